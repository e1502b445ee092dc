/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the contracts in include/ need of the C library, for a guest. */
#ifndef MICRO_ASSERT_H
#define MICRO_ASSERT_H

#define static_assert	_Static_assert

#endif

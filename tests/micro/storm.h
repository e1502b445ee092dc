/* SPDX-License-Identifier: GPL-2.0-or-later */
/* storm - things to do to the hypervisor that ought not to harm anybody. */
#ifndef MICRO_STORM_H
#define MICRO_STORM_H

/* Once, before any deed. */
void deeds_prepare(void);

/*
 * Something at random, with random_seed() done.  It may end in an exception:
 * what is refused is.  On any processor, with interrupts on.
 */
void deed(void);

#endif

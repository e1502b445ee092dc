/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few macros that everyone uses. */
#ifndef CORE_UTIL_H
#define CORE_UTIL_H

#include <stddef.h>
#include <stdint.h>

#define BIT64(n)	(UINT64_C(1) << (n))

/* The object that @ptr is the @member of; checks the pointer's type. */
#define container_of(ptr, type, member)					\
	((type *)(void *)((char *)(1 ? (ptr) : &((type *)0)->member) -	\
			  offsetof(type, member)))

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scope-bound ownership for struct tags and file descriptors.
 *
 * g_autoptr() wants a typedef and this project has none for structs, so this
 * is the same idea, keyed by the tag:
 *
 *	AUTOPTR_DEFINE(gpadl, gpadl_unref)
 *	autoptr(gpadl) g = gpadl_new(...);
 *	return g_steal_pointer(&g);
 */
#ifndef CORE_AUTOPTR_H
#define CORE_AUTOPTR_H

#include <unistd.h>

#define AUTOPTR_DEFINE(tag, release)					\
	static inline void tag##_autoptr_release(struct tag **p)	\
	{								\
		if (*p)							\
			release(*p);					\
	}
#define autoptr(tag)							\
	__attribute__((cleanup(tag##_autoptr_release))) struct tag *

static inline void autofd_release(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define autofd	__attribute__((cleanup(autofd_release))) int

static inline int autofd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dlfcn.h>
#include <pthread.h>

#include "backends/nbd_library.h"
#include "core/error.h"

struct nbd_library libnbd;

static char *why;	/* it was not loaded; NULL: it was */

static void load(void)
{
	void *so = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);
	bool ok = so != NULL;

#define F(name) ok = ok && (*(void **)&libnbd.name = dlsym(so, "nbd_" #name));
	NBD_LIBRARY(F)
#undef F
	if (!ok)
		why = g_strdup(dlerror() ?: "it is another one");
}

bool nbd_library_load(const char *disk, GError **error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	g_autofree char *what = NULL;

	pthread_once(&once, load);
	if (!why)
		return true;
	what = g_strdup_printf("cannot use disk %s", disk);
	user_error_set(error, EX_UNAVAILABLE, "nbd.library", what, why,
		       "apt install libnbd0");
	return false;
}

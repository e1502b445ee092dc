/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>

#include "core/error.h"
#include "vmm/sandbox.h"

bool sandbox_enter(GError **error)
{
	/* Bounding set needs CAP_SETPCAP; who has none has little to drop. */
	capng_select_t what = CAPNG_SELECT_CAPS;

	capng_get_caps_process();
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		what = CAPNG_SELECT_BOTH;
	capng_clear(what);
	if (capng_apply(what) == 0 && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return true;

	user_error_set(error, EX_OSERR, "host.capabilities",
		       "cannot drop privileges", g_strerror(errno),
		       "start kvmbus as an ordinary user in group kvm");
	return false;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * profile - what this host can offer of the hypervisor interface, and what of
 * it the user wants the guest to see.
 */
#ifndef VMM_PROFILE_H
#define VMM_PROFILE_H

#include <glib.h>
#include <stdbool.h>

#include "hv/profile.h"

struct clock;
struct kvm;
struct options;

/* What src/hv is to know of the host; no overlay memory, ports or profile. */
struct hv_config profile_host(const struct kvm *kvm, const struct clock *clock,
			      uint32_t vp_count);

/* The profile that the options --hv-... ask for, on @host. */
bool profile_choose(struct hv_profile *p, const struct options *o,
		    const struct hv_config *host, GError **error);

/*
 * Change @p as the key file at @path has it: a group for a leaf, a key for a
 * register.  It cannot have more than @host can offer.
 */
bool profile_read(struct hv_profile *p, const char *path,
		  const struct hv_config *host, GError **error);

/* Whether it has all that VMBus stands on. */
bool profile_has_vmbus(const struct hv_profile *p);
/* Whether KVM is to hand EOI, ICR and TPR to the guest. */
bool profile_has_apic_msrs(const struct hv_profile *p);

#endif

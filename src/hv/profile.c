/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles with a name: other views of the interface than all of it.
 */
#include <string.h>

#include "hv/hv_internal.h"

static const struct {
	const char *name;
	struct hv_profile profile;
} named[] = {
	/*
	 * What OpenVMM shows on KVM.  It grants no hypercall and announces
	 * neither leaf 6 nor limits, but KVM lets its guests post messages and
	 * signal events all the same: without them there is no VMBus.
	 */
	{ "openvmm", {
		.leaf = {
			{ HV_CPUID_IMPLEMENTATION_LIMITS },
			[3] = { HV_ACCESS_VP_RUNTIME |
				HV_ACCESS_PARTITION_REFERENCE_COUNTER |
				HV_ACCESS_SYNIC_REGS |
				HV_ACCESS_SYNTHETIC_TIMER_REGS |
				HV_ACCESS_INTR_CTRL_REGS |
				HV_ACCESS_HYPERCALL_MSRS | HV_ACCESS_VP_INDEX |
				HV_ACCESS_FREQUENCY_REGS,
				[EDX] = HV_FREQUENCY_REGS_AVAILABLE },
			[4] = { HV_DEPRECATE_AUTO_EOI,
				HV_SPINLOCK_NEVER_NOTIFY },
		},
		.unseen = { [EBX] = HV_POST_MESSAGES | HV_SIGNAL_EVENTS },
	} },
	/*
	 * "Requirements for Implementing the Microsoft Hypervisor Interface":
	 * what must be there, and nothing that need not.  No SynIC, no VMBus.
	 */
	{ "minimal", { .leaf = {
		{ HV_CPUID_IMPLEMENTATION_LIMITS },
		[3] = { HV_ACCESS_HYPERCALL_MSRS | HV_ACCESS_VP_INDEX },
	} } },
};

bool hv_profile_named(struct hv_profile *p, const char *name,
		      const struct hv_config *config)
{
	if (!strcmp(name, "full")) {
		hv_profile_full(p, config);
		return true;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(named); i++) {
		if (strcmp(name, named[i].name) != 0)
			continue;
		*p = named[i].profile;
		profile_narrow(p, config);
		return true;
	}
	return false;
}

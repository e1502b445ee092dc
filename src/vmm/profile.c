/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "core/error.h"
#include "vmm/clock.h"
#include "vmm/kvm.h"
#include "vmm/options.h"
#include "vmm/profile.h"

#define KVM_APIC_HZ	1000000000u	/* KVM's APIC timers count ns */
#define FEATURES	(HV_CPUID_FEATURES - HV_CPUID_VENDOR_AND_MAX_FUNCTIONS)
#define HINTS		(HV_CPUID_ENLIGHTENMENT_INFO - \
			 HV_CPUID_VENDOR_AND_MAX_FUNCTIONS)

enum { EAX, EBX, ECX, EDX };

/* What can be switched, whatever the profile. */
static const struct {
	const char *option;
	uint32_t access, features;	/* EAX and EDX of leaf 0x40000003 */
	uint32_t hints;			/* EAX of leaf 0x40000004 */
	const char *missing;		/* why a host would not have it */
} parts[HV_PARTS] = {
	[HV_PART_TIMERS] = { "hv-timers", HV_ACCESS_SYNTHETIC_TIMER_REGS,
			     HV_DIRECT_SYNTHETIC_TIMERS, 0, "" },
	[HV_PART_IDLE] = { "hv-idle", HV_ACCESS_GUEST_IDLE_REG,
			   HV_GUEST_IDLE_AVAILABLE, 0,
			   "this kernel's KVM cannot block interrupts: it is "
			   "older than 5.16" },
	[HV_PART_APIC] = { "hv-apic", HV_ACCESS_INTR_CTRL_REGS, 0,
			   HV_RECOMMEND_APIC_MSRS,
			   "this kernel's KVM is built without KVM_HYPERV" },
};

struct hv_config profile_host(const struct kvm *kvm, const struct clock *clock,
			      uint32_t vp_count)
{
	return (struct hv_config){
		.vp_count = vp_count,
		.tsc_hz = clock->tsc_hz,
		.tsc_start = clock->tsc_start,
		.tsc_invariant = kvm_has_invariant_tsc(kvm),
		.apic_hz = KVM_APIC_HZ,
		.gpa_bits = kvm_gpa_bits(kvm),
		.stimers = true,
		.guest_idle = kvm_can_idle(kvm),
		.apic_msrs = kvm_has_apic_msrs(kvm),
		.eoi_assist = kvm_has_eoi_assist(kvm),
	};
}

static void set_part(struct hv_profile *p, enum hv_part part, bool on)
{
	uint32_t *f = p->leaf[FEATURES], *hints = &p->leaf[HINTS][EAX];

	f[EAX] &= ~parts[part].access;
	f[EDX] &= ~parts[part].features;
	*hints &= ~parts[part].hints;
	if (!on)
		return;
	f[EAX] |= parts[part].access;
	f[EDX] |= parts[part].features;
	*hints |= parts[part].hints;
}

static bool cannot_offer(enum hv_part part, GError **error)
{
	const char *option = parts[part].option;
	g_autofree char *what = g_strdup_printf("--%s on is not possible here",
						option);
	g_autofree char *advice = g_strdup_printf("--%s off", option);

	user_error_set(error, EX_UNAVAILABLE, "kvm.offer", what,
		       parts[part].missing, advice);
	return false;
}

/*
 * "full" has the parts only if asked: guests would use them, and what they do
 * now costs fewer exits.
 */
static bool choose(struct hv_profile *p, const char *name,
		   const struct hv_config *host, GError **error)
{
	bool named = hv_profile_named(p, name, host);

	if (named && strcmp(name, "full") != 0)
		return true;
	hv_profile_full(p, host);
	for (unsigned part = 0; part < HV_PARTS; part++)
		set_part(p, part, false);
	return named || profile_read(p, name, host, error);
}

bool profile_choose(struct hv_profile *p, const struct options *o,
		    const struct hv_config *host, GError **error)
{
	struct hv_profile full;

	if (!choose(p, o->hv_profile, host, error))
		return false;
	hv_profile_full(&full, host);
	for (unsigned part = 0; part < HV_PARTS; part++) {
		enum hv_switch how = o->hv_parts[part];

		if (how == HV_AS_PROFILE)
			continue;
		if (how == HV_ON &&
		    parts[part].access & ~full.leaf[FEATURES][EAX])
			return cannot_offer(part, error);
		set_part(p, part, how == HV_ON);
	}
	/* What is no reason to refuse the rest. */
	p->leaf[HINTS][EAX] &= full.leaf[HINTS][EAX];
	return true;
}

bool profile_has_vmbus(const struct hv_profile *p)
{
	const uint32_t *f = p->leaf[FEATURES];
	uint32_t calls = HV_POST_MESSAGES | HV_SIGNAL_EVENTS;

	return (f[EAX] | p->unseen[EAX]) & HV_ACCESS_SYNIC_REGS &&
	       ((f[EBX] | p->unseen[EBX]) & calls) == calls;
}

bool profile_has_apic_msrs(const struct hv_profile *p)
{
	return p->leaf[FEATURES][EAX] & HV_ACCESS_INTR_CTRL_REGS;
}

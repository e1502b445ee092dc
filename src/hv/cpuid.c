/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest is offered.  TLFS 2.4.
 *
 * The table is all there is to gating: a feature whose bit is not set by it
 * cannot be reached by any MSR or hypercall.  A profile only takes away.
 */
#include <string.h>

#include "hv/hv_internal.h"

/* A plausible host: Windows Server 2022. */
#define VERSION_BUILD	20348u
#define VERSION_MAJOR	10u

#define LEAF(number)	((number) - HV_CPUID_VENDOR_AND_MAX_FUNCTIONS)

static bool always(const struct hv_config *c)
{
	return true;
}

static bool with_tsc(const struct hv_config *c)
{
	return c->tsc_hz;
}

static bool with_invariant_tsc(const struct hv_config *c)
{
	return c->tsc_hz && c->tsc_invariant;
}

static bool with_frequencies(const struct hv_config *c)
{
	return c->tsc_hz && c->apic_hz;
}

static bool with_stimers(const struct hv_config *c)
{
	return c->stimers;
}

static bool with_guest_idle(const struct hv_config *c)
{
	return c->guest_idle;
}

static bool with_apic_msrs(const struct hv_config *c)
{
	return c->apic_msrs;
}

static bool with_eoi_assist(const struct hv_config *c)
{
	return c->apic_msrs && c->eoi_assist;
}

static const struct {
	uint32_t access;	/* leaf 3, EAX: to MSRs */
	uint32_t privileges;	/* leaf 3, EBX: to hypercalls */
	uint32_t features;	/* leaf 3, EDX */
	uint32_t hints;		/* leaf 4, EAX: what is best used */
	bool (*offered)(const struct hv_config *c);
} features[] = {
	{ .access = HV_ACCESS_HYPERCALL_MSRS | HV_ACCESS_VP_INDEX |
		    HV_ACCESS_RESET_REG, .offered = always },
	{ .access = HV_ACCESS_VP_RUNTIME, .offered = always },
	{ .access = HV_ACCESS_PARTITION_REFERENCE_COUNTER, .offered = always },
	{ .access = HV_ACCESS_PARTITION_REFERENCE_TSC, .offered = with_tsc },
	{ .access = HV_ACCESS_TSC_INVARIANT, .offered = with_invariant_tsc },
	{ .access = HV_ACCESS_FREQUENCY_REGS,
	  .features = HV_FREQUENCY_REGS_AVAILABLE,
	  .offered = with_frequencies },
	{ .access = HV_ACCESS_SYNIC_REGS,
	  .privileges = HV_POST_MESSAGES | HV_SIGNAL_EVENTS,
	  .features = HV_SINT_POLLING_AVAILABLE,
	  .hints = HV_DEPRECATE_AUTO_EOI, .offered = always },
	{ .access = HV_ACCESS_SYNTHETIC_TIMER_REGS,
	  .features = HV_DIRECT_SYNTHETIC_TIMERS, .offered = with_stimers },
	{ .access = HV_ACCESS_GUEST_IDLE_REG,
	  .features = HV_GUEST_IDLE_AVAILABLE, .offered = with_guest_idle },
	{ .access = HV_ACCESS_INTR_CTRL_REGS, .offered = with_apic_msrs },
	{ .hints = HV_RECOMMEND_APIC_MSRS, .offered = with_eoi_assist },
	{ .features = HV_GUEST_CRASH_REGS_AVAILABLE, .offered = always },
	{ .privileges = HV_FAST_HYPERCALL_OUTPUT |
			HV_ENABLE_EXTENDED_HYPERCALLS,
	  .features = HV_XMM_INPUT_AVAILABLE | HV_XMM_OUTPUT_AVAILABLE,
	  .offered = always },
	{ .privileges = HV_ACCESS_VP_REGISTERS | HV_START_VIRTUAL_PROCESSOR,
	  .offered = always },
	{ .features = HV_HYPERCALL_MSR_LOCK_AVAILABLE, .offered = always },
	{ .hints = HV_RECOMMEND_RELAXED_TIMING, .offered = always },
};

/* Hardware features are facts that nothing depends on: there are none. */
static const struct hv_profile constants = {
	.leaf = {
		{ HV_CPUID_HARDWARE_FEATURES },
		[LEAF(HV_CPUID_VERSION)] = { VERSION_BUILD,
					     VERSION_MAJOR << 16 },
		[LEAF(HV_CPUID_ENLIGHTENMENT_INFO)] = {
			[EBX] = HV_SPINLOCK_NEVER_NOTIFY },
		[LEAF(HV_CPUID_IMPLEMENTATION_LIMITS)] = { HV_VP_MAX },
	},
};

void hv_profile_full(struct hv_profile *p, const struct hv_config *config)
{
	uint32_t *leaf3 = p->leaf[LEAF(HV_CPUID_FEATURES)];
	uint32_t *leaf4 = p->leaf[LEAF(HV_CPUID_ENLIGHTENMENT_INFO)];

	*p = constants;
	leaf4[ECX] = config->gpa_bits;
	memcpy(&p->leaf[0][EBX], "Microsoft Hv", 12);
	memcpy(p->leaf[LEAF(HV_CPUID_INTERFACE)], "Hv#1", 4);
	for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
		if (!features[i].offered(config))
			continue;
		leaf3[EAX] |= features[i].access;
		leaf3[EBX] |= features[i].privileges;
		leaf3[EDX] |= features[i].features;
		leaf4[EAX] |= features[i].hints;
	}
}

void profile_narrow(struct hv_profile *p, const struct hv_config *config)
{
	struct hv_profile full;

	hv_profile_full(&full, config);
	p->leaf[0][EAX] = CLAMP(p->leaf[0][EAX], HV_CPUID_IMPLEMENTATION_LIMITS,
				full.leaf[0][EAX]);
	memcpy(&p->leaf[0][EBX], &full.leaf[0][EBX], 3 * sizeof(uint32_t));
	memcpy(p->leaf[LEAF(HV_CPUID_INTERFACE)],
	       full.leaf[LEAF(HV_CPUID_INTERFACE)], sizeof(full.leaf[0]));
	for (unsigned r = EAX; r <= EDX; r++) {
		uint32_t can = full.leaf[LEAF(HV_CPUID_FEATURES)][r];

		p->leaf[LEAF(HV_CPUID_FEATURES)][r] &= can;
		p->unseen[r] &= can;
	}
	p->leaf[LEAF(HV_CPUID_ENLIGHTENMENT_INFO)][EAX] &=
		full.leaf[LEAF(HV_CPUID_ENLIGHTENMENT_INFO)][EAX];
}

void profile_init(struct hv *hv)
{
	struct hv_profile *p = &hv->profile;

	if (hv->config.profile)
		*p = *hv->config.profile;
	else
		hv_profile_full(p, &hv->config);
	hv->config.profile = NULL;	/* it was borrowed */
	profile_narrow(p, &hv->config);
	for (unsigned r = EAX; r <= EDX; r++)
		hv->features[r] = p->leaf[LEAF(HV_CPUID_FEATURES)][r] |
				  p->unseen[r];
}

bool hv_cpuid(const struct hv *hv, uint32_t leaf, uint32_t out[4])
{
	bool there = leaf >= HV_CPUID_VENDOR_AND_MAX_FUNCTIONS &&
		     leaf <= hv->profile.leaf[0][EAX];

	if (there)
		memcpy(out, hv->profile.leaf[LEAF(leaf)],
		       sizeof(hv->profile.leaf[0]));
	else
		memset(out, 0, sizeof(hv->profile.leaf[0]));
	return there;
}

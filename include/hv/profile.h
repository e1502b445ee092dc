/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * profile - what a guest is shown of the hypervisor interface, and the names
 * the specification has for it.
 *
 * A profile is the leaves of CPUID as a guest finds them.  It takes away from
 * what kvmbus can do and never adds to it.
 */
#ifndef HV_PROFILE_H
#define HV_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/hv.h"

#define HV_PROFILE_LEAVES	7

struct hv_profile {
	/*
	 * EAX, EBX, ECX and EDX of leaf 0x40000000 + n.  Who we are, the rest
	 * of leaf 0x40000000 and leaf 0x40000001, is not the profile's.
	 */
	uint32_t leaf[HV_PROFILE_LEAVES][4];
	/* Bits of leaf 0x40000003 that the guest may use, but does not see. */
	uint32_t unseen[4];
};

/* All that can be offered with @config. */
void hv_profile_full(struct hv_profile *p, const struct hv_config *config);
/*
 * The profile called @name ("full", "openvmm", "minimal"), less what cannot be
 * offered with @config.  False: there is none.
 */
bool hv_profile_named(struct hv_profile *p, const char *name,
		      const struct hv_config *config);

/* The specification's name of a bit; NULL: reserved, or not a bit's leaf. */
const char *hv_cpuid_bit_name(uint32_t leaf, unsigned reg, unsigned bit);
/* The name of @msr without HV_X64_MSR_; NULL: there is none. */
const char *hv_msr_name(uint32_t msr);

/* How the guest can reach an MSR. */
#define HV_MSR_READ	1u
#define HV_MSR_WRITE	2u
unsigned hv_msr_access(const struct hv *hv, uint32_t msr);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vcpu_cpuid - the CPUID of a virtual processor. */
#ifndef VMM_VCPU_CPUID_H
#define VMM_VCPU_CPUID_H

#include <glib.h>
#include <stdint.h>

#include "hv/hv.h"

struct kvm_cpuid2;

#define VCPU_CPUID_MAX	256	/* entries that KVM takes */

/*
 * What KVM supports, without nested virtualization; processor @index of
 * @vp_count; and the hypervisor's leaves, those behind the last one as zeros.
 * To be freed by g_free().
 */
struct kvm_cpuid2 *vcpu_cpuid(const struct kvm_cpuid2 *supported,
			      const struct hv *hv, uint32_t index,
			      uint32_t vp_count);

#endif

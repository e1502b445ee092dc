/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers that a vCPU starts with, and what KVM is told of it. */
#ifndef VMM_VCPU_X86_H
#define VMM_VCPU_X86_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/hv.h"
#include "vmm/kvm.h"

struct boot_state;
struct kvm_run;

/* 0 or -errno.  @vp_count, @index: for the topology leaves. */
int vcpu_set_cpuid(int vcpu_fd, const struct kvm *kvm, const struct hv *hv,
		   uint32_t index, uint32_t vp_count);

/* MTRRs, PAT and the like, as firmware leaves them. */
int vcpu_set_msrs(int vcpu_fd);

/*
 * Finish the instruction that made the last exit, and run no further.  False:
 * it needs another exit for that, which @run describes.  A signal that comes
 * meanwhile may leave no trace.
 */
bool vcpu_complete_exit(int vcpu_fd, struct kvm_run *run);

/* The boot processor's registers. */
int vcpu_set_boot_state(int vcpu_fd, const struct boot_state *boot);

/* XMM0 to XMM5.  What KVM does not give reads as zero. */
void vcpu_get_xmm(int vcpu_fd, uint8_t xmm[6][16]);
void vcpu_set_xmm(int vcpu_fd, const uint8_t xmm[6][16]);

/*
 * Let interrupts with @vector be over when they are taken, for the sake of
 * @sint; 0: this SINT does not need that any more.
 */
int vcpu_set_auto_eoi(int vcpu_fd, unsigned sint, uint8_t vector);
/* Save EOIs by the VP assist page that @value, the MSR's, enables. */
int vcpu_set_eoi_assist(int vcpu_fd, uint64_t value);

/*
 * Forget all address translations of the guest's.  0 or -errno.  On the
 * vCPU's thread; an exit may be unfinished.
 */
int vcpu_flush_tlb(int vcpu_fd);

/*
 * Let the guest's TSC be the host's less @base.  0 or -errno.
 */
int vcpu_set_tsc_base(int vcpu_fd, uint64_t base);

#endif

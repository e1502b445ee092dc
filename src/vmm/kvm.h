/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm - the KVM device and one virtual machine of it.
 *
 * A reset of the guest makes a new virtual machine: nothing of the old one's
 * state can be left behind, whatever KVM keeps in it.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/gmem.h"

struct kvm_cpuid2;

struct kvm {
	int fd;			/* /dev/kvm */
	int vm_fd;		/* -1: no machine */
	size_t run_size;	/* of a vCPU's shared page */
	/*
	 * This KVM runs guests without hardware virtualization, through an
	 * emulator (kvm_pvm): good for small test kernels only.
	 */
	bool paravirtual;
	/*
	 * Guests may use KVM's own HV_X64_MSR_EOI, ICR and TPR: the APIC is in
	 * the kernel, and only there an EOI is an EOI.
	 */
	bool apic_msrs;
	struct kvm_cpuid2 *cpuid;	/* what it supports */
	/* MSRs that KVM does not know leave to us, and are not #GP at once. */
	bool unknown_msrs;
};

/* Ports that our hypercall page uses (src/hv/page.c). */
#define KVM_HYPERCALL_PORT	0xe8
#define KVM_DOORBELL_PORT	0x9c5d

/* Open it and check all that we need.  @path: "/dev/kvm" but in tests. */
bool kvm_open(struct kvm *kvm, const char *path, GError **error);
void kvm_close(struct kvm *kvm);

/* Whether it has what apic_msrs needs, and what vcpu_idle() does. */
bool kvm_has_apic_msrs(const struct kvm *kvm);
/* Whether its APIC saves EOIs by the guest's VP assist page. */
bool kvm_has_eoi_assist(const struct kvm *kvm);
bool kvm_can_idle(const struct kvm *kvm);
/* The width of a guest's addresses; 0: not known. */
unsigned kvm_gpa_bits(const struct kvm *kvm);
/* Whether guests are told that their TSC's rate is constant, and not to. */
bool kvm_has_invariant_tsc(const struct kvm *kvm);
void kvm_hide_invariant_tsc(struct kvm *kvm);

/*
 * A virtual machine without vCPUs that has @gm for memory, an in-kernel APIC
 * and IOAPIC, and the synthetic MSRs left to us.
 */
bool kvm_create_vm(struct kvm *kvm, const struct gmem *gm, GError **error);
void kvm_destroy_vm(struct kvm *kvm);

/* -errno, or the descriptor of a new vCPU with APIC id @index. */
int kvm_create_vcpu(const struct kvm *kvm, uint32_t index);

/* The wire of IOAPIC input @gsi. */
void kvm_set_irq(const struct kvm *kvm, uint32_t gsi, bool high);

/*
 * Let a 32-bit OUT of @value to KVM_DOORBELL_PORT signal @eventfd without
 * leaving the kernel, or stop doing so.  0 or -errno.
 */
int kvm_doorbell(const struct kvm *kvm, uint32_t value, int eventfd,
		 bool assign);

/* A table of what kvm_open() requires, for "kvmbus doctor". */
struct kvm_need {
	int capability;
	const char *name;
	const char *purpose;
};
extern const struct kvm_need kvm_needs[];
extern const size_t kvm_needs_count;

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/util.h"
#include "vmm/layout.h"
#include "vmm/loader.h"
#include "vmm/vcpu_cpuid.h"
#include "vmm/vcpu_x86.h"

#define MSR_IA32_FEATURE_CONTROL	0x3a
#define MSR_IA32_MISC_ENABLE		0x1a0
#define MSR_MTRR_PHYS_BASE0		0x200
#define MSR_MTRR_PHYS_MASK0		0x201
#define MSR_MTRR_DEF_TYPE		0x2ff

#define FEATURE_CONTROL_LOCKED		1
#define MISC_ENABLE_FAST_STRING		1
#define MTRR_ENABLED_WRITE_BACK		0x806
#define MTRR_MASK_VALID			0x800

/* The XSAVE area. */
#define XSAVE_XMM	160
#define XSAVE_XSTATE_BV	512
#define XSTATE_SSE	2
#define XMM_SIZE	((size_t)6 * 16)

#define CR0_PE		BIT64(0)
#define CR0_ET		BIT64(4)
#define CR0_PG		BIT64(31)
#define CR4_PAE		BIT64(5)
#define CR4_PGE		BIT64(7)
#define EFER_LME	BIT64(8)
#define EFER_LMA	BIT64(10)
#define RFLAGS_FIXED	2

int vcpu_set_cpuid(int vcpu_fd, const struct kvm *kvm, const struct hv *hv,
		   uint32_t index, uint32_t vp_count)
{
	g_autofree struct kvm_cpuid2 *c =
		vcpu_cpuid(kvm->cpuid, hv, index, vp_count);

	return ioctl(vcpu_fd, KVM_SET_CPUID2, c) < 0 ? -errno : 0;
}

/* Returns whether KVM took it. */
static bool set_msr(int vcpu_fd, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = { .head.nmsrs = 1,
		.entry = { .index = index, .data = value } };

	return ioctl(vcpu_fd, KVM_SET_MSRS, &m) == 1;
}

int vcpu_set_msrs(int vcpu_fd)
{
	uint64_t hole = LAYOUT_HIGH_RAM - LAYOUT_LOW_RAM_MAX;
	/* 36 bits is the least any processor has; the hole is below that. */
	uint64_t mask = (BIT64(36) - 1) & ~(hole - 1);

	/* Vendors differ in what they have; a guest asks CPUID first. */
	set_msr(vcpu_fd, MSR_IA32_FEATURE_CONTROL, FEATURE_CONTROL_LOCKED);
	set_msr(vcpu_fd, MSR_IA32_MISC_ENABLE, MISC_ENABLE_FAST_STRING);
	/* All is write-back but the hole below 4 GiB. */
	if (!set_msr(vcpu_fd, MSR_MTRR_PHYS_BASE0, LAYOUT_LOW_RAM_MAX) ||
	    !set_msr(vcpu_fd, MSR_MTRR_PHYS_MASK0, mask | MTRR_MASK_VALID) ||
	    !set_msr(vcpu_fd, MSR_MTRR_DEF_TYPE, MTRR_ENABLED_WRITE_BACK))
		return -EIO;
	return 0;
}

static struct kvm_segment flat_segment(bool code, bool long_mode)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = code ? LAYOUT_CODE_SELECTOR : LAYOUT_DATA_SELECTOR,
		.type = code ? 0xb : 0x3,	/* accessed */
		.present = 1, .s = 1, .g = 1,
		.l = code && long_mode, .db = !(code && long_mode),
	};
}

bool vcpu_complete_exit(int vcpu_fd, struct kvm_run *run)
{
	bool complete;

	run->immediate_exit = 1;
	complete = ioctl(vcpu_fd, KVM_RUN, 0) < 0;
	run->immediate_exit = 0;
	return complete;
}

int vcpu_set_boot_state(int vcpu_fd, const struct boot_state *boot)
{
	bool long_mode = boot->mode == BOOT_LONG64;
	struct kvm_regs regs = {
		.rip = boot->rip, .rsp = boot->rsp, .rax = boot->rax,
		.rbx = boot->rbx, .rsi = boot->rsi, .rflags = RFLAGS_FIXED,
	};
	struct kvm_sregs s;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0)
		return -errno;
	s.cs = flat_segment(true, long_mode);
	s.ds = s.es = s.fs = s.gs = s.ss = flat_segment(false, long_mode);
	s.gdt.base = boot->gdt_base;
	s.gdt.limit = boot->gdt_limit;
	s.idt.limit = 0;
	s.cr0 = CR0_PE | CR0_ET;
	if (long_mode) {
		s.cr0 |= CR0_PG;
		s.cr3 = boot->cr3;
		s.cr4 = CR4_PAE;
		s.efer = EFER_LME | EFER_LMA;
	}
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &s) < 0 ||
	    ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

/*
 * Not by KVM_GET_FPU and KVM_SET_FPU: those take the legacy area as it is, also
 * when XSTATE_BV says that the registers are zero and the area is old.
 */
void vcpu_get_xmm(int vcpu_fd, uint8_t xmm[6][16])
{
	struct kvm_xsave area;

	if (ioctl(vcpu_fd, KVM_GET_XSAVE, &area) < 0)
		return;
	memcpy(xmm, (uint8_t *)area.region + XSAVE_XMM, XMM_SIZE);
}

void vcpu_set_xmm(int vcpu_fd, const uint8_t xmm[6][16])
{
	struct kvm_xsave area;

	if (ioctl(vcpu_fd, KVM_GET_XSAVE, &area) < 0)
		return;
	memcpy((uint8_t *)area.region + XSAVE_XMM, xmm, XMM_SIZE);
	area.region[XSAVE_XSTATE_BV / sizeof(area.region[0])] |= XSTATE_SSE;
	ioctl(vcpu_fd, KVM_SET_XSAVE, &area);
}

/*
 * What KVM's own SINTs say is a rule for its APIC, whoever sends the vector:
 * it sets no ISR bit then.  The guest does not see these registers.
 */
int vcpu_set_auto_eoi(int vcpu_fd, unsigned sint, uint8_t vector)
{
	const struct kvm_enable_cap synic = { .cap = KVM_CAP_HYPERV_SYNIC2 };
	uint64_t value = vector ? HV_SYNIC_SINT_AUTO_EOI | vector :
				  HV_SYNIC_SINT_MASKED;

	if (ioctl(vcpu_fd, KVM_ENABLE_CAP, &synic) < 0)
		return -errno;
	return set_msr(vcpu_fd, HV_X64_MSR_SINT0 + sint, value) ? 0 : -EIO;
}

/* KVM refuses what is no RAM: then there is nothing to save EOIs by. */
int vcpu_set_eoi_assist(int vcpu_fd, uint64_t value)
{
	return set_msr(vcpu_fd, HV_X64_MSR_VP_ASSIST_PAGE, value) ? 0 : -EIO;
}

/*
 * KVM drops its roots, and what the processor has of them, when it is told a
 * CR4 that is another one; shadow pages are compared with the guest's anew.
 */
int vcpu_flush_tlb(int vcpu_fd)
{
	struct kvm_sregs s;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0)
		return -errno;
	for (unsigned i = 0; i < 2; i++) {
		s.cr4 ^= CR4_PGE;
		if (ioctl(vcpu_fd, KVM_SET_SREGS, &s) < 0)
			return -errno;
	}
	return 0;
}

int vcpu_set_tsc_base(int vcpu_fd, uint64_t base)
{
	uint64_t offset = -base;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	return ioctl(vcpu_fd, KVM_SET_DEVICE_ATTR, &attr) < 0 ? -errno : 0;
}

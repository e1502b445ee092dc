/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM ends its halted state when an interrupt can be taken.  So that one that
 * cannot be taken ends it, too, the vCPU sleeps with IF set and TPR 0; and so
 * that none is taken, it sleeps with interrupts blocked as for a debugger, and
 * in front of the RDMSR: that is all it executes before it is here again.
 *
 *	awake --RIP back, IF set, TPR 0, blocked, halted--> asleep
 *	  ^                                                  |   |
 *	  +--registers as before <--an interrupt: RDMSR exit-+   |
 *	  +--registers as before <--a signal---------------------+
 *
 * KVM itself looks for interrupts before it sleeps, so none can fall between.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/util.h"
#include "hv/tlfs.h"
#include "vmm/vcpu_idle.h"
#include "vmm/vcpu_x86.h"

#define RFLAGS_IF	BIT64(9)
#define APIC_ISR	0x100
#define APIC_VECTORS	256

/* The registers that differ in sleep. */
struct wake {
	uint64_t rip, rflags, cr8;
};

/*
 * Whether an interrupt is in service: it masks others, and cannot be put aside
 * as TPR can.  The guest goes on at once then.
 */
static bool in_service(int fd)
{
	struct kvm_lapic_state apic;
	uint32_t isr, any = 0;

	if (ioctl(fd, KVM_GET_LAPIC, &apic) < 0)
		return true;
	for (unsigned i = 0; i < APIC_VECTORS / 32; i++) {
		memcpy(&isr, &apic.regs[APIC_ISR + i * 16], sizeof(isr));
		any |= isr;
	}
	return any;
}

static int block_interrupts(int fd, bool block)
{
	const struct kvm_guest_debug debug = {
		.control = block ? KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_BLOCKIRQ :
				   0,
	};

	return ioctl(fd, KVM_SET_GUEST_DEBUG, &debug) < 0 ? -errno : 0;
}

static void set_mp_state(int fd, uint32_t state)
{
	struct kvm_mp_state mp = { .mp_state = state };

	ioctl(fd, KVM_SET_MP_STATE, &mp);
}

/* KVM takes them with the next KVM_RUN.  System registers cost it more. */
static void set_registers(struct kvm_run *run, const struct wake *w)
{
	run->s.regs.regs.rip = w->rip;
	run->s.regs.regs.rflags = w->rflags;
	run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	if (run->s.regs.sregs.cr8 != w->cr8) {
		run->s.regs.sregs.cr8 = w->cr8;
		run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
	}
}

static bool left_by_read(const struct kvm_run *run)
{
	return run->exit_reason == KVM_EXIT_X86_RDMSR &&
	       run->msr.index == HV_X64_MSR_GUEST_IDLE;
}

/* 0 or -errno of KVM_RUN. */
static int sleep_as(int fd, struct kvm_run *run, const struct wake *w)
{
	int ret;

	set_registers(run, w);
	set_mp_state(fd, KVM_MP_STATE_HALTED);
	ret = ioctl(fd, KVM_RUN, 0) < 0 ? -errno : 0;
	block_interrupts(fd, false);
	return ret;
}

int vcpu_idle(int fd, struct kvm_run *run, uint64_t rip)
{
	const struct kvm_regs *r = &run->s.regs.regs;
	const struct wake awake = { r->rip, r->rflags, run->s.regs.sregs.cr8 };
	const struct wake asleep = { rip, r->rflags | RFLAGS_IF, 0 };
	int ret;

	if (in_service(fd) || block_interrupts(fd, true))
		return 0;
	ret = sleep_as(fd, run, &asleep);
	/* After INIT and SIPI the registers are new ones, and it is awake. */
	if (r->rip != rip)
		return ret == 0;
	if (!ret && left_by_read(run)) {
		run->msr.data = 0;
		run->msr.error = 0;
		vcpu_complete_exit(fd, run);
	} else {
		set_mp_state(fd, KVM_MP_STATE_RUNNABLE);
		ret = ret ?: 1;
	}
	set_registers(run, &awake);
	return ret;
}

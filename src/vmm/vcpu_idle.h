/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HV_X64_MSR_GUEST_IDLE: sleep until an interrupt is there, taken or not. */
#ifndef VMM_VCPU_IDLE_H
#define VMM_VCPU_IDLE_H

#include <linux/kvm.h>
#include <stdint.h>

/*
 * Sleep until an interrupt is pending for the vCPU, whatever RFLAGS.IF and the
 * APIC's TPR say of it, or an NMI, INIT or SIPI.  On its thread.  The RDMSR at
 * @rip that asked for it is complete, and @run has the registers after it.
 *
 * 0: go on.  Now and then that is too early.  -EINTR: a signal came.  1: KVM
 * left for another reason, which is the caller's.
 */
int vcpu_idle(int vcpu_fd, struct kvm_run *run, uint64_t rip);

#endif

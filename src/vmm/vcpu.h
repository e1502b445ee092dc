/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu - virtual processors: a thread each that runs KVM_RUN and takes what
 * comes out of it to src/hv and the port bus.
 *
 * A thread never waits for a loop, and for another vCPU only until that has
 * left its guest, or done an errand there.  When its guest is over, it reports
 * that once and ends; the machine decides what follows.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/hv.h"
#include "vmm/kvm.h"

struct boot_state;
struct ioports;
struct unknown_msr;
struct vcpu;

enum vcpu_end {
	VCPU_TRIPLE_FAULT,
	VCPU_KVM_ERROR,		/* a defect of ours or of KVM's */
};

/* What all vCPUs of a machine share; borrowed. */
struct vcpu_env {
	const struct kvm *kvm;
	struct hv *hv;
	const struct gmem *memory;	/* what KVM has */
	struct ioports *ports;
	struct unknown_msr *unknown_msr;
	uint64_t tsc_base;	/* host TSC at which the guest's was 0 */
	uint64_t (*now)(void *host);	/* hv_host_ops.now */
	/* On the vCPU's thread, at most once for each; @why is for a person. */
	void (*ended)(void *host, uint32_t vp, enum vcpu_end end,
		      const char *why);
	void *host;
};

struct vcpus {
	struct vcpu_env env;
	uint32_t count;
	struct vcpu *vcpu;	/* @count of them; NULL when stopped */
	bool paused;		/* those that are started wait, too */
};

/* Counts since the start, over all vCPUs that ran. */
struct vcpu_stats {
	uint64_t exits;			/* KVM_RUN returns */
	uint64_t io, mmio, msr, hypercalls, doorbells, interrupted;
};

/*
 * Make @vs->count vCPUs in @vs->env's new virtual machine, in VP order, VP 0
 * as @boot says, and run them.  @vs->env and count are filled in.
 */
bool vcpus_start(struct vcpus *vs, const struct boot_state *boot,
		 GError **error);

/*
 * Stop the threads and wait for them (a bounded time: no exit blocks), free
 * the vCPUs.  Not from a vCPU's thread.
 */
void vcpus_stop(struct vcpus *vs);

/*
 * Hold the vCPUs outside of the guest: when it returns, none is in an exit or
 * an errand (a bounded time, as above).  Not from a vCPU's thread, nor during
 * start and stop.
 */
void vcpus_pause(struct vcpus *vs);
void vcpus_resume(struct vcpus *vs);

/* On a vCPU's thread, inside an exit: it runs no more guest code. */
void vcpu_halt_current(void);

/* The same: it sleeps after the exit until an interrupt is pending. */
void vcpu_idle_current(void);

/* hv_host_ops.vp_runtime, on the vCPU's thread. */
uint64_t vcpu_current_runtime(void);

/* hv_host_ops.set_timer: any thread. */
void vcpu_set_timer(struct vcpus *vs, uint32_t vp, uint64_t deadline);

/*
 * On @vp's thread: interrupts with @vector, that of @sint, are over when they
 * are taken; 0: @sint has no such vector.
 */
void vcpu_auto_eoi(struct vcpus *vs, uint32_t vp, unsigned sint,
		   uint8_t vector);

/* hv_host_ops.eoi_assist. */
void vcpu_eoi_assist(struct vcpus *vs, uint32_t vp, uint64_t value);

/* hv_host_ops.flush_tlb. */
void vcpus_flush_tlb(struct vcpus *vs, uint64_t vps);

/* hv_host_ops.run_on. */
bool vcpus_run_on(struct vcpus *vs, uint32_t from, uint32_t vp,
		  void (*run)(void *arg), void *arg);

/* hv_host_ops.get_register, set_register and start_vp, on @vp's thread. */
int vcpus_get_register(struct vcpus *vs, uint32_t vp, uint32_t name,
		       union hv_register_value *value);
int vcpus_set_register(struct vcpus *vs, uint32_t vp, uint32_t name,
		       const union hv_register_value *value);
int vcpus_start_vp(struct vcpus *vs, uint32_t vp,
		   const struct hv_initial_vp_context *context);

void vcpus_stats(const struct vcpus *vs, struct vcpu_stats *stats);

#endif

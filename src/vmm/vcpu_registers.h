/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_registers - the architectural registers of a vCPU by the names, and in
 * the form, that the hypervisor interface has for them (TLFS 7.8.2).
 *
 * All on the vCPU's thread.  General and system registers are those of @run,
 * as the last exit left them; what is set there holds from the next KVM_RUN on.
 */
#ifndef VMM_VCPU_REGISTERS_H
#define VMM_VCPU_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/tlfs.h"

struct kvm_run;

/* 0; -ENOENT: no such register here; -EINVAL: it cannot have this value. */
int vcpu_get_register(int fd, const struct kvm_run *run, uint32_t name,
		      union hv_register_value *value);
int vcpu_set_register(int fd, struct kvm_run *run, uint32_t name,
		      const union hv_register_value *value);

/* Whether it has not run since its INIT, or since it was made. */
bool vcpu_waits_for_sipi(int fd);

/*
 * Let a vCPU that waits for SIPI start in @context.  0; -EINVAL: it cannot
 * start so, and nothing has changed.
 */
int vcpu_start_in(int fd, const struct hv_initial_vp_context *context);

#endif

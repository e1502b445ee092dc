/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm_irq - interrupts that arrive as messages: SINTs, IPIs, direct timers.
 *
 * They are sent by KVM_SIGNAL_MSI.  An irqfd would take a route in KVM's table,
 * and each change of that is a new table and a wait for all readers of the old.
 */
#ifndef VMM_KVM_IRQ_H
#define VMM_KVM_IRQ_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/kvm.h"

struct kvm_irq {
	const struct kvm *kvm;
	uint32_t vp_count;
	uint8_t *vector;	/* of vp_count * 16 SINTs; 0: none; atomic */
};

void kvm_irq_init(struct kvm_irq *ki, const struct kvm *kvm, uint32_t vp_count);
void kvm_irq_finish(struct kvm_irq *ki);

/* Wires IOAPIC inputs to the IOAPIC; once for each virtual machine. */
bool kvm_irq_start(struct kvm_irq *ki, GError **error);

/* What kvm_irq_raise_sint() sends from now on; @vector 0: nothing. */
void kvm_irq_route_sint(struct kvm_irq *ki, uint32_t vp, unsigned sint,
			uint8_t vector);
/* Any thread. */
void kvm_irq_raise_sint(const struct kvm_irq *ki, uint32_t vp, unsigned sint);

/* Edge-triggered, fixed.  Any thread. */
void kvm_irq_send(const struct kvm_irq *ki, uint32_t vp, uint8_t vector);

#endif

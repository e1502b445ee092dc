/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "core/error.h"
#include "core/trace.h"
#include "hv/tlfs.h"
#include "vmm/kvm_irq.h"

#define IOAPIC_PINS	24
#define MSI_ADDRESS	0xfee00000u
#define MSI_DEST_SHIFT	12

static uint8_t *vector_of(const struct kvm_irq *ki, uint32_t vp, unsigned sint)
{
	g_assert(vp < ki->vp_count && sint < HV_SYNIC_SINT_COUNT);
	return &ki->vector[vp * HV_SYNIC_SINT_COUNT + sint];
}

void kvm_irq_init(struct kvm_irq *ki, const struct kvm *kvm, uint32_t vp_count)
{
	*ki = (struct kvm_irq){ .kvm = kvm, .vp_count = vp_count };
	ki->vector = g_new0(uint8_t, vp_count * HV_SYNIC_SINT_COUNT);
}

void kvm_irq_finish(struct kvm_irq *ki)
{
	g_clear_pointer(&ki->vector, g_free);
}

/* KVM's own table would have them reach a PIC, too. */
static int set_routes(const struct kvm_irq *ki)
{
	g_autofree struct kvm_irq_routing *t = g_malloc0(
		sizeof(*t) + IOAPIC_PINS * sizeof(t->entries[0]));

	for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++)
		t->entries[t->nr++] = (struct kvm_irq_routing_entry){
			.gsi = pin,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { KVM_IRQCHIP_IOAPIC, pin },
		};
	return ioctl(ki->kvm->vm_fd, KVM_SET_GSI_ROUTING, t) < 0 ? -errno : 0;
}

bool kvm_irq_start(struct kvm_irq *ki, GError **error)
{
	int ret = set_routes(ki);

	if (ret)
		user_error_set(error, EX_OSERR, "kvm.routes",
			       "cannot set up interrupts", g_strerror(-ret),
			       "kvmbus doctor, and dmesg for what KVM says");
	return !ret;
}

void kvm_irq_route_sint(struct kvm_irq *ki, uint32_t vp, unsigned sint,
			uint8_t vector)
{
	/* Partner: the load in kvm_irq_raise_sint(). */
	__atomic_store_n(vector_of(ki, vp, sint), vector, __ATOMIC_RELAXED);
	trace(TRACE_KVM, "kvm.route vp=%u sint=%u vector=%u", vp, sint, vector);
}

void kvm_irq_raise_sint(const struct kvm_irq *ki, uint32_t vp, unsigned sint)
{
	uint8_t vector = __atomic_load_n(vector_of(ki, vp, sint),
					 __ATOMIC_RELAXED);

	if (vector)
		kvm_irq_send(ki, vp, vector);
}

void kvm_irq_send(const struct kvm_irq *ki, uint32_t vp, uint8_t vector)
{
	struct kvm_msi msi = {
		.address_lo = MSI_ADDRESS | vp << MSI_DEST_SHIFT,
		.data = vector,
	};

	if (ioctl(ki->kvm->vm_fd, KVM_SIGNAL_MSI, &msi) < 0)
		trace(TRACE_KVM, "kvm.msi vp=%u error=%d", vp, errno);
}

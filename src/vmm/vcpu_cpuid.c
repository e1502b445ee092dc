/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/kvm.h>

#include "vmm/vcpu_cpuid.h"

#define HYPERVISOR_FIRST	0x40000000u
#define HYPERVISOR_LAST		0x400000ffu

/* Bits that say how many processors there are and which one this is. */
struct topology {
	uint32_t index;
	uint32_t count;
	uint32_t shift;		/* bits of the APIC id within the package */
};

static uint32_t id_bits(uint32_t count)
{
	uint32_t bits = 0;

	while ((1u << bits) < count)
		bits++;
	return bits;
}

static bool is_replaced(uint32_t leaf)
{
	return leaf == 0xb || leaf == 0x1f || leaf == 0x8000000a ||
	       (leaf & 0xffff0000u) == HYPERVISOR_FIRST;
}

/* Nested virtualization stays hidden; the rest is who and how many we are. */
static void patch(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	switch (e->function) {
	case 1:
		e->ebx = (e->ebx & 0xff00ffffu & 0x00ffffffu) |
			 t->index << 24 | t->count << 16;
		e->ecx &= ~(1u << 5);			/* VMX */
		e->ecx |= 1u << 31 | 1u << 24;		/* guest; deadline */
		e->edx = (e->edx & ~(1u << 28)) |
			 (t->count > 1 ? 1u << 28 : 0);	/* HTT */
		break;
	case 4:
		if (!(e->eax & 0x1f))
			break;
		e->eax = (e->eax & 0x3fff) | (t->count - 1) << 26;
		if ((e->eax >> 5 & 7) == 3)		/* level 3: shared */
			e->eax |= (t->count - 1) << 14;
		break;
	case 0x80000001:
		e->ecx &= ~(1u << 2);			/* SVM */
		break;
	case 0x80000008:
		e->ecx = t->shift << 12 | (t->count - 1);
		break;
	case 0x8000001e:
		e->eax = t->index;
		e->ebx = t->index & 0xff;
		e->ecx = 0;
		break;
	default:
		break;
	}
}

static void add(struct kvm_cpuid2 *c, uint32_t leaf, uint32_t sub,
		const uint32_t r[4])
{
	g_assert(c->nent < VCPU_CPUID_MAX);
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){
		.function = leaf, .index = sub,
		.flags = leaf == 0xb ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = r[0], .ebx = r[1], .ecx = r[2], .edx = r[3],
	};
}

static void add_topology(struct kvm_cpuid2 *c, const struct topology *t)
{
	const uint32_t smt[4] = { 0, 1, 1u << 8 | 0, t->index };
	const uint32_t core[4] = { t->shift, t->count, 2u << 8 | 1, t->index };
	const uint32_t none[4] = { 0, 0, 2, t->index };

	add(c, 0xb, 0, smt);
	add(c, 0xb, 1, core);
	add(c, 0xb, 2, none);
}

/*
 * A leaf that KVM has not been told reads, on processors like Intel's, as the
 * highest basic one does.  So those behind the last of ours are told, too, and
 * zero, as far as KVM takes them.
 */
static void add_hypervisor(struct kvm_cpuid2 *c, const struct hv *hv)
{
	uint32_t r[4];

	for (uint32_t leaf = HYPERVISOR_FIRST;
	     leaf <= HYPERVISOR_LAST && c->nent < VCPU_CPUID_MAX; leaf++) {
		hv_cpuid(hv, leaf, r);
		add(c, leaf, 0, r);
	}
}

struct kvm_cpuid2 *vcpu_cpuid(const struct kvm_cpuid2 *supported,
			      const struct hv *hv, uint32_t index,
			      uint32_t vp_count)
{
	const struct topology t = { index, vp_count, id_bits(vp_count) };
	struct kvm_cpuid2 *c = g_malloc0(sizeof(*c) + VCPU_CPUID_MAX *
						      sizeof(c->entries[0]));

	for (uint32_t i = 0; i < supported->nent; i++) {
		struct kvm_cpuid_entry2 e = supported->entries[i];

		if (is_replaced(e.function))
			continue;
		patch(&e, &t);
		g_assert(c->nent < VCPU_CPUID_MAX);
		c->entries[c->nent++] = e;
	}
	add_topology(c, &t);
	add_hypervisor(c, hv);
	return c;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "vmm/vcpu_cpuid.h"

#define LEAF_FIRST	0x40000000u
#define LEAF_LAST	0x400000ffu
#define GARBAGE		0x55aa55aau

static struct hv *hv;

static int setup(void **state)
{
	const struct hv_config config = { .vp_count = 4 };

	hv = hv_new(&config, NULL, NULL, NULL);
	return 0;
}

static int teardown(void **state)
{
	hv_free(hv);
	return 0;
}

/* Of a host with @count entries, and a hypervisor's leaves besides. */
static struct kvm_cpuid2 *cpuid(uint32_t count, uint32_t index)
{
	g_autofree struct kvm_cpuid2 *supported =
		g_malloc0(sizeof(*supported) +
			  (count + 2) * sizeof(supported->entries[0]));

	for (uint32_t i = 0; i < count + 2; i++)
		supported->entries[i] = (struct kvm_cpuid_entry2){
			.function = i < count ? i : LEAF_FIRST + i - count,
			.eax = GARBAGE, .ebx = GARBAGE,
			.ecx = GARBAGE, .edx = GARBAGE,
		};
	supported->nent = count + 2;
	return vcpu_cpuid(supported, hv, index, 4);
}

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *c,
					   uint32_t leaf)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == leaf) {
			assert_null(found);
			found = &c->entries[i];
		}
	return found;
}

/* How many of the hypervisor's leaves there are, each as hv has it. */
static uint32_t check_leaves(const struct kvm_cpuid2 *c)
{
	uint32_t leaf = LEAF_FIRST, want[4];
	const struct kvm_cpuid_entry2 *e;

	for (; (e = find(c, leaf)); leaf++) {
		hv_cpuid(hv, leaf, want);
		assert_int_equal(e->flags, 0);
		assert_int_equal(e->eax, want[0]);
		assert_int_equal(e->ebx, want[1]);
		assert_int_equal(e->ecx, want[2]);
		assert_int_equal(e->edx, want[3]);
	}
	for (uint32_t rest = leaf; rest <= LEAF_LAST + 1; rest++)
		assert_null(find(c, rest));
	return leaf - LEAF_FIRST;
}

static void leaves_behind_ours_are_told_as_far_as_kvm_takes_them(void **state)
{
	for (uint32_t count = 0; count <= 200; count += 50) {
		g_autofree struct kvm_cpuid2 *c = cpuid(count, 0);

		assert_int_equal(c->nent, VCPU_CPUID_MAX);
		/* Leaf 0xb is ours and has three entries. */
		assert_int_equal(check_leaves(c),
				 VCPU_CPUID_MAX - 3 -
				 (count > 0xb ? count - 1 : 0) +
				 (count > 0x1f ? 1 : 0));
	}
}

static void each_processor_has_its_apic_id_and_nothing_is_nested(void **state)
{
	for (uint32_t i = 0; i < 4; i++) {
		g_autofree struct kvm_cpuid2 *c = cpuid(4, i);
		const struct kvm_cpuid_entry2 *e = find(c, 1);

		assert_int_equal(e->ebx >> 24, i);
		assert_int_equal(e->ebx >> 16 & 0xff, 4);
		assert_int_equal(e->ecx & 1u << 5, 0);
	}
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(leaves_behind_ours_are_told_as_far_as_kvm_takes_them),
		T(each_processor_has_its_apic_id_and_nothing_is_nested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

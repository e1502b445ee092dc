/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What docs/conformance.md says is offered is what the guest is told. */
#include <stdio.h>

#include "hv_test.h"

#define LEAF(n)		(HV_CPUID_VENDOR_AND_MAX_FUNCTIONS + (n))
#define FIRST		3
#define LAST		4
#define REGISTERS	4

/* A line of offers.txt. */
struct offer {
	unsigned leaf, reg, bit;
	bool offered;
};

static bool parse(const char *line, struct offer *o)
{
	char reg, word[4];

	if (sscanf(line, "%u E%cX %u %3s", &o->leaf, &reg, &o->bit, word) != 4)
		return false;
	assert_in_range(o->leaf, FIRST, LAST);
	assert_in_range(reg, 'A', 'D');
	assert_in_range(o->bit, 0, 31);
	o->reg = (unsigned)(reg - 'A');
	o->offered = !strcmp(word, "yes");
	return true;
}

/* EBX of leaf 4 is a number, not bits. */
static bool has_bits(unsigned leaf, unsigned reg)
{
	return leaf == 3 || reg == 0;
}

static void the_table_says_what_cpuid_says(void **state)
{
	uint32_t offered[LAST + 1][REGISTERS] = { 0 };
	FILE *f = fopen(OFFERS, "r");
	struct offer o;
	char line[256];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (parse(line, &o) && o.offered)
			offered[o.leaf][o.reg] |= 1u << o.bit;
	fclose(f);
	for (unsigned leaf = FIRST; leaf <= LAST; leaf++) {
		uint32_t out[REGISTERS];

		assert_true(hv_cpuid(h.hv, LEAF(leaf), out));
		for (unsigned reg = 0; reg < REGISTERS; reg++)
			if (has_bits(leaf, reg) &&
			    out[reg] != offered[leaf][reg])
				fail_msg("%u.E%cX is %#x; offers.txt has %#x",
					 leaf, 'A' + reg, out[reg],
					 offered[leaf][reg]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_table_says_what_cpuid_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

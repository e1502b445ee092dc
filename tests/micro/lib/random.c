/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "random.h"

static uint64_t states[CPU_MAX];

void random_seed(uint32_t seed)
{
	uint64_t n = ((uint64_t)this_cpu()->index << 32 | seed) + 1;

	states[this_cpu()->index] = 0x9e3779b97f4a7c15ull * n;
}

uint64_t random64(void)
{
	uint64_t *state = &states[this_cpu()->index];

	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

uint32_t below(uint32_t n)
{
	return (uint32_t)(random64() >> 32) % n;
}

uint32_t number(void)
{
	static const uint32_t table[] = {
		0, 1, 2, 3, 4, 7, 8, 16, 64, 0xff, 0x1000, 0x7fff, 0xffff,
		2047, 2048, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff8,
		0xffffffff, 0xe1e10, 0xe1e11, 0xe1e12,
	};
	uint32_t n = below(ARRAY_SIZE(table) + 4);

	return n < ARRAY_SIZE(table) ? table[n] : (uint32_t)random64();
}

uint64_t page_address(void)
{
	static const uint64_t nowhere[] = {
		POOL_END, 0xfec00000, 0xfee00000, 0xfffff000, 1ull << 40,
		1ull << 52, ~0xfffull,
	};
	uint32_t n = below(ARRAY_SIZE(nowhere) * 4);

	if (n < ARRAY_SIZE(nowhere))
		return nowhere[n];
	return FREE_RAM + (uint64_t)below(FREE_PAGES) * PAGE_SIZE;
}

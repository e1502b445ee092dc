/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/unknown_msr.h"

void unknown_msr_init(struct unknown_msr *u)
{
	*u = (struct unknown_msr){ 0 };
	pthread_mutex_init(&u->lock, NULL);
}

void unknown_msr_finish(struct unknown_msr *u)
{
	pthread_mutex_destroy(&u->lock);
}

static bool is_told(const struct unknown_msr *u, uint32_t msr)
{
	for (unsigned i = 0; i < u->count; i++)
		if (u->told[i] == msr)
			return true;
	return false;
}

bool unknown_msr_is_new(struct unknown_msr *u, uint32_t msr)
{
	bool is_new;

	pthread_mutex_lock(&u->lock);
	is_new = u->count < UNKNOWN_MSR_TOLD_MAX && !is_told(u, msr);
	if (is_new)
		u->told[u->count++] = msr;
	pthread_mutex_unlock(&u->lock);
	return is_new;
}

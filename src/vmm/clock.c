/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <x86intrin.h>

#include "hv/hv.h"
#include "vmm/clock.h"

#define CLOCKSOURCE	"/sys/devices/system/clocksource/clocksource0/" \
			"current_clocksource"
#define NS_PER_S	1000000000u
#define NS_PER_REF	100u

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

bool clock_host_tsc_is_steady(void)
{
	g_autofree char *name = NULL;

	return g_file_get_contents(CLOCKSOURCE, &name, NULL, NULL) &&
	       !strcmp(g_strstrip(name), "tsc");
}

void clock_init(struct clock *c, int vm_fd, bool fixed_tsc)
{
	/* Asked of a machine since Linux 5.18; an older KVM gets no page. */
	int khz = ioctl(vm_fd, KVM_GET_TSC_KHZ, 0);

	*c = (struct clock){
		.tsc_base = fixed_tsc ? 0 : __rdtsc(),
		.tsc_start = fixed_tsc ? __rdtsc() : 0,
		.mono_base = monotonic_ns(),
	};
	if (khz > 0 && clock_host_tsc_is_steady())
		c->tsc_hz = (uint64_t)khz * 1000;
}

uint64_t clock_now(const struct clock *c, const struct hv *hv)
{
	if (c->tsc_hz)
		return hv_tsc_to_ref(hv, __rdtsc() - c->tsc_base);
	return (monotonic_ns() - c->mono_base) / NS_PER_REF;
}

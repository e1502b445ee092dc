/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that begins as Windows does.  It reads CPUID, says who it is, and
 * then uses on each processor, one started after the other, whatever CPUID
 * has announced.  It asks for VMBus versions from the newest down, reads its
 * disk, and ends with a bugcheck.  "cpus=N" says how many processors there are.
 */
#include "storage.h"
#include "windows.h"

#define VERSION_WIN_COPPER	0x00060000	/* 6.0 */

#define BUGCHECK	0xe2		/* MANUALLY_INITIATED_CRASH */

#define OFFERS		16
#define RING_PAGES	4

uint32_t cpus;
struct cpuid features, hints;
volatile struct hv_reference_tsc_page *tsc_page;

/* The order of leaves is that of their numbers. */
/* TLFS: FD-01 FD-02 FD-03 FD-06 FD-13 */
static void discover(void)
{
	const struct cpuid signature = { .eax = 0x31237648 };	/* Hv#1 */
	struct cpuid c;
	uint32_t max;

	check(cpuid(1).ecx >> 31, "there is a hypervisor");
	max = cpuid(HV_CPUID_VENDOR_AND_MAX_FUNCTIONS).eax;
	check(max >= HV_CPUID_IMPLEMENTATION_LIMITS, "with all leaves");
	c = cpuid(HV_CPUID_INTERFACE);
	check(!memcmp(&c, &signature, sizeof(c)), "of Microsoft's interface");
	cpuid(HV_CPUID_VERSION);
	features = cpuid(HV_CPUID_FEATURES);
	hints = cpuid(HV_CPUID_ENLIGHTENMENT_INFO);
	check(features.eax & HV_ACCESS_HYPERCALL_MSRS &&
	      features.eax & HV_ACCESS_VP_INDEX, "and the registers it needs");
	check(cpuid(HV_CPUID_IMPLEMENTATION_LIMITS).eax != UINT32_MAX ||
	      !(hints.eax & HINT_FLUSHES),
	      "flushes are not recommended without a limit of processors");
	features_all_known();
}

/* What the boot processor does once for all. */
static void enlighten(void)
{
	hypercall_enable_as(WINDOWS);
	if (!has_access(HV_ACCESS_PARTITION_REFERENCE_TSC))
		return;
	tsc_page = page_alloc();
	wrmsr(HV_X64_MSR_REFERENCE_TSC,
	      (uintptr_t)tsc_page | HV_MSR_PAGE_ENABLE);
}

static void all_cpus(void)
{
	features_try();
	for (uint32_t id = 1; id < cpus; id++) {
		start_cpu(id, features_try);
		if (!WAIT(features_tried == id + 1, LONG))
			bail("processor %u does not come to its end", id);
	}
	features_report();
}

/* From the newest down, until the host agrees. */
static bool agree(void)
{
	static const uint32_t versions[] = {
		VERSION_WIN_COPPER, VERSION_WIN10_V5_3, VERSION_WIN10_V5_2,
		VERSION_WIN10_V5_1, VERSION_WIN10_V5, VERSION_WIN10_V4_1,
		VERSION_WIN10, VERSION_WIN8_1, VERSION_WIN8, VERSION_WIN7,
	};
	const struct vmbus_channel_version_response *r;
	struct message m;

	for (unsigned i = 0; i < ARRAY_SIZE(versions); i++) {
		if (!vmbus_contact(versions[i], 0) ||
		    !vmbus_expect(CHANNELMSG_VERSION_RESPONSE, &m))
			return false;
		r = (void *)m.payload;
		print("# version %u.%u is %s\n", versions[i] >> 16,
		      versions[i] & 0xffff,
		      r->version_supported ? "agreed on" : "refused");
		if (r->version_supported)
			return !r->connection_state;
	}
	return false;
}

static void disk(void)
{
	struct channel offers[OFFERS], *ch;
	uint32_t *sector = page_alloc();
	unsigned n;

	vmbus_prepare();
	check(agree(), "each version is answered, until one is agreed on");
	n = vmbus_offers(offers, OFFERS);
	ch = storage_find(offers, n < OFFERS ? n : OFFERS);
	check(ch && channel_open(ch, RING_PAGES) && storage_begin(ch),
	      "there is a disk");
	check(ch && storage_sector(ch, 7, sector, false) && sector[3] == 7,
	      "that can be read");
}

/* TLFS: CRASH-04 CRASH-11 */
static void bugcheck(void)
{
	static const uint64_t p[] = { BUGCHECK, 0x11, 0x22, 0x33, 0x44 };

	for (uint32_t i = 0; i < ARRAY_SIZE(p); i++)
		wrmsr(HV_X64_MSR_CRASH_P0 + i, p[i]);
	wrmsr(HV_X64_MSR_CRASH_CTL, HV_CRASH_CTL_CRASH_NOTIFY);
	report(false, "a bugcheck is the end", "%s", "the guest still runs");
}

void test_main(void)
{
	cpus = option_number("cpus", 1);
	discover();
	enlighten();
	all_cpus();
	if (has_access(HV_ACCESS_SYNIC_REGS))
		disk();
	if (has_feature(HV_GUEST_CRASH_REGS_AVAILABLE))
		bugcheck();
}

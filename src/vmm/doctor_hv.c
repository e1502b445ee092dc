/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "kvmbus doctor --hv": what a guest will find of the hypervisor interface. */
#include <inttypes.h>
#include <string.h>

#include "core/gmem.h"
#include "vmm/clock.h"
#include "vmm/doctor.h"
#include "vmm/kvm.h"
#include "vmm/profile.h"

#define LEAF_BASE	HV_CPUID_VENDOR_AND_MAX_FUNCTIONS
#define MSR_FIRST	0x40000000u
#define MSR_LAST	0x400001ffu

enum { EAX, EBX, ECX, EDX };
static const char *const registers[] = { "eax", "ebx", "ecx", "edx" };

static void print_bits(FILE *out, uint32_t leaf, unsigned reg, uint32_t bits,
		       const char *remark)
{
	for (unsigned b = 0; b < 32; b++) {
		const char *name = hv_cpuid_bit_name(leaf, reg, b);

		if (name && bits >> b & 1)
			fprintf(out, "    %s[%u]%*s %s%s\n", registers[reg], b,
				b < 10 ? 2 : 1, "", name, remark);
	}
}

/* What a leaf says by numbers, in words. */
static void print_numbers(FILE *out, uint32_t leaf, const uint32_t r[4])
{
	switch (leaf) {
	case HV_CPUID_VENDOR_AND_MAX_FUNCTIONS:
		fprintf(out, "    vendor \"%.12s\", highest leaf %#x\n",
			(const char *)&r[EBX], r[EAX]);
		break;
	case HV_CPUID_INTERFACE:
		fprintf(out, "    interface \"%.4s\"\n", (const char *)r);
		break;
	case HV_CPUID_VERSION:
		fprintf(out, "    version %u.%u.%u\n", r[EBX] >> 16,
			r[EBX] & 0xffff, r[EAX]);
		break;
	case HV_CPUID_ENLIGHTENMENT_INFO:
		fprintf(out, "    address bits %u\n", r[ECX] & 0x7f);
		break;
	case HV_CPUID_IMPLEMENTATION_LIMITS:
		fprintf(out, "    virtual processors %u, logical %u\n", r[EAX],
			r[EBX]);
		break;
	default:
		break;
	}
}

static void print_msrs(FILE *out, const struct hv *hv)
{
	uint32_t last;

	for (uint32_t msr = MSR_FIRST; msr <= MSR_LAST; msr = last + 1) {
		const char *name = hv_msr_name(msr);
		unsigned how = hv_msr_access(hv, msr);

		last = msr;
		if (!how)
			continue;
		while (last < MSR_LAST && hv_msr_name(last + 1) == name &&
		       hv_msr_access(hv, last + 1) == how)
			last++;
		fprintf(out, "%#x", msr);
		if (last != msr)
			fprintf(out, "-%#x", last);
		fprintf(out, "%*s %s%s  HV_X64_MSR_%s\n",
			last != msr ? 0 : 11, "", how & HV_MSR_READ ? "r" : "-",
			how & HV_MSR_WRITE ? "w" : "-", name);
	}
}

void doctor_print_hv(FILE *out, const struct hv *hv,
		     const struct hv_profile *profile)
{
	uint32_t r[4];

	for (uint32_t leaf = LEAF_BASE; hv_cpuid(hv, leaf, r); leaf++) {
		fprintf(out, "%#x  eax %08x  ebx %08x  ecx %08x  edx %08x\n",
			leaf, r[EAX], r[EBX], r[ECX], r[EDX]);
		print_numbers(out, leaf, r);
		for (unsigned reg = EAX; reg <= EDX; reg++) {
			print_bits(out, leaf, reg, r[reg], "");
			if (leaf == HV_CPUID_FEATURES)
				print_bits(out, leaf, reg,
					   profile->unseen[reg] & ~r[reg],
					   " (allowed, not shown)");
		}
	}
	fprintf(out, "\n");
	print_msrs(out, hv);
}

/* A virtual machine as a guest would have one, but without memory. */
static bool learn_host(struct hv_config *config, uint32_t cpus, GError **error)
{
	static const struct gmem no_memory;
	struct clock clock;
	struct kvm kvm;
	bool ok;

	if (!kvm_open(&kvm, "/dev/kvm", error))
		return false;
	ok = kvm_create_vm(&kvm, &no_memory, error);
	if (ok) {
		clock_init(&clock, kvm.vm_fd, kvm.paravirtual);
		*config = profile_host(&kvm, &clock, cpus);
	}
	kvm_close(&kvm);
	return ok;
}

int doctor_hv(const struct options *o, GError **error)
{
	struct hv_profile profile;
	struct hv_config config;
	struct hv *hv;

	if (!learn_host(&config, o->cpus, error) ||
	    !profile_choose(&profile, o, &config, error))
		return (*error)->code;
	config.profile = &profile;
	/* Nothing of it runs: there is no memory, and no host to call. */
	hv = hv_new(&config, NULL, NULL, NULL);
	printf("what a guest finds, by the profile %s\n\n", o->hv_profile);
	doctor_print_hv(stdout, hv, &profile);
	hv_free(hv);
	return 0;
}

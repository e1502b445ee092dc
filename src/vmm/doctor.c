/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include "core/error.h"
#include "core/loop.h"
#include "vmm/clock.h"
#include "vmm/doctor.h"
#include "vmm/kvm.h"

/* One line, and below it what an error says to do. */
static void print(const char *mark, const char *name, const char *text)
{
	printf("%-5s %-16s %s\n", mark, name, text);
}

static int check_kvm(void)
{
	g_autoptr(GError) error = NULL;
	struct kvm kvm;
	int status = 0;

	if (!kvm_open(&kvm, "/dev/kvm", &error)) {
		print("BAD", "/dev/kvm", error->message);
		return error->code;
	}
	print("ok", "/dev/kvm", "can be opened, and has all that is needed");
	if (kvm.paravirtual) {
		print("BAD", "virtualization",
		      "this KVM (kvm_pvm) cannot run unmodified guests;\n"
		      "     try: scripts/with-kvm kvmbus ...");
		status = EX_UNAVAILABLE;
	} else {
		print("ok", "virtualization", "by the processor");
	}
	if (ioctl(kvm.fd, KVM_CHECK_EXTENSION, KVM_CAP_HYPERV) > 0)
		print("ok", "KVM_HYPERV",
		      "in this kernel: guests may use AutoEOI, and --hv-apic");
	else
		print("lack", "KVM_HYPERV",
		      "not in this kernel: guests that use AutoEOI, such as\n"
		      "     FreeBSD, may hang; no --hv-apic");
	kvm_close(&kvm);
	return status;
}

static int check_io_uring(void)
{
	g_autoptr(GError) error = NULL;
	struct loop *l = loop_new(&error);

	if (!l) {
		print("BAD", "io_uring", error->message);
		return error->code;
	}
	loop_free(l);
	print("ok", "io_uring", "can be used");
	return 0;
}

static void check_clock(void)
{
	if (clock_host_tsc_is_steady())
		print("ok", "clock", "guests read time without leaving");
	else
		print("slow", "clock",
		      "the host does not keep time by its TSC: guests leave\n"
		      "     to read time; see "
		      "/sys/devices/system/clocksource/clocksource0");
}

int doctor(void)
{
	struct utsname un;
	int kvm, uring;

	if (uname(&un) == 0)
		printf("      %-16s %s %s\n", "host", un.sysname, un.release);
	kvm = check_kvm();
	uring = check_io_uring();
	check_clock();
	printf("%s\n", kvm || uring ? "machines cannot run here" :
				      "machines can run here");
	return kvm ? kvm : uring;
}

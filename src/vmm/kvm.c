/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/error.h"
#include "hv/tlfs.h"
#include "vmm/kvm.h"

#define KVM_CPUID_MAX		256
/* Three pages that Intel's KVM hides from the guest, in the MMIO hole. */
#define KVM_TSS_ADDRESS		0xfeffd000u

#define CPUID_POWER			0x80000007u
#define CPUID_POWER_INVARIANT_TSC	(1u << 8)
#define CPUID_ADDRESS_SIZES		0x80000008u

#define SYNTHETIC_MSR_BASE	0x40000000u
#define SYNTHETIC_MSR_COUNT	0x200u

const struct kvm_need kvm_needs[] = {
	{ KVM_CAP_USER_MEMORY, "USER_MEMORY", "guest memory" },
	{ KVM_CAP_IRQCHIP, "IRQCHIP", "the in-kernel APIC" },
	{ KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING", "the IOAPIC" },
	{ KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI", "SINT interrupts" },
	{ KVM_CAP_IOEVENTFD, "IOEVENTFD", "doorbells" },
	{ KVM_CAP_SYNC_REGS, "SYNC_REGS", "hypercalls" },
	{ KVM_CAP_X86_USER_SPACE_MSR, "X86_USER_SPACE_MSR",
	  "the synthetic MSRs" },
	{ KVM_CAP_X86_MSR_FILTER, "X86_MSR_FILTER", "the synthetic MSRs" },
	{ KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT", "stopping a vCPU" },
	{ KVM_CAP_EXT_CPUID, "EXT_CPUID", "the guest's CPUID" },
	{ KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS", "faults on hypercalls" },
};
const size_t kvm_needs_count = G_N_ELEMENTS(kvm_needs);

static bool open_failed(const char *path, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot use %s", path);

	if (errno == EACCES || errno == EPERM)
		user_error_set(error, EX_NOPERM, "kvm.permission", what,
			       "you may not read and write it; it belongs to "
			       "group kvm",
			       "sudo usermod -aG kvm $USER && newgrp kvm\n"
			       "in CI: sudo chmod 666 /dev/kvm");
	else
		user_error_set(error, EX_UNAVAILABLE, "kvm.missing", what,
			       g_strerror(errno),
			       "sudo modprobe kvm_intel, or kvm_amd; "
			       "virtualization must be on in the firmware\n"
			       "without such a machine: scripts/with-kvm runs "
			       "a command in an emulated one");
	return false;
}

static bool check_needs(const struct kvm *kvm, const char *path, GError **error)
{
	g_autofree char *why = NULL;

	if (ioctl(kvm->fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		g_autofree char *what = g_strdup_printf("cannot use %s", path);

		user_error_set(error, EX_UNAVAILABLE, "kvm.version", what,
			       "it is not a KVM device",
			       "ls -l /dev/kvm: it should be character device "
			       "10, 232");
		return false;
	}
	for (size_t i = 0; i < kvm_needs_count; i++) {
		const struct kvm_need *n = &kvm_needs[i];

		if (ioctl(kvm->fd, KVM_CHECK_EXTENSION, n->capability) > 0)
			continue;
		why = g_strdup_printf("it has no KVM_CAP_%s, needed for %s",
				      n->name, n->purpose);
		user_error_set(error, EX_UNAVAILABLE, "kvm.capability",
			       "this kernel's KVM is too old", why,
			       "use Linux 5.15 or newer");
		return false;
	}
	return true;
}

static struct kvm_cpuid2 *supported_cpuid(int fd)
{
	struct kvm_cpuid2 *c = g_malloc0(sizeof(*c) + KVM_CPUID_MAX *
					 sizeof(c->entries[0]));

	c->nent = KVM_CPUID_MAX;
	if (ioctl(fd, KVM_GET_SUPPORTED_CPUID, c) < 0)
		c->nent = 0;
	return c;
}

bool kvm_open(struct kvm *kvm, const char *path, GError **error)
{
	*kvm = (struct kvm){ .vm_fd = -1 };
	kvm->fd = open(path, O_RDWR | O_CLOEXEC);
	if (kvm->fd < 0)
		return open_failed(path, error);
	if (!check_needs(kvm, path, error)) {
		kvm_close(kvm);
		return false;
	}
	kvm->run_size = (size_t)ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	kvm->paravirtual = !access("/sys/module/kvm_pvm", F_OK) &&
			   access("/sys/module/kvm_intel", F_OK) &&
			   access("/sys/module/kvm_amd", F_OK);
	kvm->cpuid = supported_cpuid(kvm->fd);
	return true;
}

void kvm_close(struct kvm *kvm)
{
	kvm_destroy_vm(kvm);
	if (kvm->fd >= 0)
		close(kvm->fd);
	kvm->fd = -1;
	g_clear_pointer(&kvm->cpuid, g_free);
}

static struct kvm_cpuid_entry2 *find_cpuid(const struct kvm *kvm, uint32_t leaf)
{
	for (uint32_t i = 0; i < kvm->cpuid->nent; i++)
		if (kvm->cpuid->entries[i].function == leaf)
			return &kvm->cpuid->entries[i];
	return NULL;
}

unsigned kvm_gpa_bits(const struct kvm *kvm)
{
	const struct kvm_cpuid_entry2 *e = find_cpuid(kvm, CPUID_ADDRESS_SIZES);

	return e ? e->eax & 0xff : 0;
}

bool kvm_has_invariant_tsc(const struct kvm *kvm)
{
	const struct kvm_cpuid_entry2 *e = find_cpuid(kvm, CPUID_POWER);

	return e && e->edx & CPUID_POWER_INVARIANT_TSC;
}

void kvm_hide_invariant_tsc(struct kvm *kvm)
{
	struct kvm_cpuid_entry2 *e = find_cpuid(kvm, CPUID_POWER);

	if (e)
		e->edx &= ~CPUID_POWER_INVARIANT_TSC;
}

bool kvm_has_apic_msrs(const struct kvm *kvm)
{
	return ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_HYPERV) > 0;
}

/* Not if it is on, or if there is no such file. */
static bool is_off(const char *parameter)
{
	g_autofree char *value = NULL;

	return g_file_get_contents(parameter, &value, NULL, NULL) &&
	       (value[0] == 'N' || value[0] == '0');
}

/* Where the hardware takes EOIs without an exit, KVM saves none. */
bool kvm_has_eoi_assist(const struct kvm *kvm)
{
	return kvm_has_apic_msrs(kvm) &&
	       (is_off("/sys/module/kvm_intel/parameters/enable_apicv") ||
		is_off("/sys/module/kvm_amd/parameters/avic"));
}

bool kvm_can_idle(const struct kvm *kvm)
{
	int modes = ioctl(kvm->fd, KVM_CHECK_EXTENSION,
			  KVM_CAP_SET_GUEST_DEBUG2);

	return modes > 0 && (modes & KVM_GUESTDBG_BLOCKIRQ);
}

static void allow(uint8_t *msrs, uint32_t msr)
{
	uint32_t bit = msr - SYNTHETIC_MSR_BASE;

	msrs[bit / 8] |= (uint8_t)(1u << bit % 8);
}

/*
 * Every access to a synthetic MSR leaves to us, but those to apic_msrs; to one
 * that KVM does not know if unknown_msrs.  KVM would let EOI be read, so a read
 * of that leaves, too.
 */
static int filter_msrs(const struct kvm *kvm)
{
	uint8_t reads[SYNTHETIC_MSR_COUNT / 8] = { 0 };
	uint8_t writes[SYNTHETIC_MSR_COUNT / 8] = { 0 };
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args[0] = KVM_MSR_EXIT_REASON_FILTER |
			   (kvm->unknown_msrs ?
				    KVM_MSR_EXIT_REASON_UNKNOWN : 0),
	};
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges = {
			{ KVM_MSR_FILTER_READ, SYNTHETIC_MSR_COUNT,
			  SYNTHETIC_MSR_BASE, reads },
			{ KVM_MSR_FILTER_WRITE, SYNTHETIC_MSR_COUNT,
			  SYNTHETIC_MSR_BASE, writes },
		},
	};

	if (kvm->apic_msrs) {
		for (uint32_t m = HV_X64_MSR_EOI; m <= HV_X64_MSR_TPR; m++)
			allow(writes, m);
		allow(reads, HV_X64_MSR_ICR);
		allow(reads, HV_X64_MSR_TPR);
	}
	if (ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		return -errno;
	return ioctl(kvm->vm_fd, KVM_X86_SET_MSR_FILTER, &filter) < 0 ?
		       -errno : 0;
}

static int set_memory(int vm_fd, const struct gmem *gm)
{
	for (size_t i = 0; i < gm->count; i++) {
		struct kvm_userspace_memory_region r = {
			.slot = (uint32_t)i,
			.guest_phys_addr = gm->region[i].gpa,
			.memory_size = gm->region[i].size,
			.userspace_addr = (uintptr_t)gm->region[i].hva,
		};

		if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &r) < 0)
			return -errno;
	}
	return 0;
}

/* TLFS 8.5: MONITOR and MWAIT, which CPUID denies, are #UD.  KVM has NOPs. */
static void refuse_monitor(const struct kvm *kvm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DISABLE_QUIRKS2,
		.args[0] = KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS,
	};

	/* Before Linux 6.0 it is no choice. */
	ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &cap);
}

static int vm_setup(const struct kvm *kvm, const struct gmem *gm)
{
	/* Only Intel's KVM without unrestricted guests uses it. */
	ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, (unsigned long)KVM_TSS_ADDRESS);
	if (ioctl(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return -errno;
	refuse_monitor(kvm);
	return filter_msrs(kvm) ?: set_memory(kvm->vm_fd, gm);
}

bool kvm_create_vm(struct kvm *kvm, const struct gmem *gm, GError **error)
{
	int ret;

	kvm->vm_fd = ioctl(kvm->fd, KVM_CREATE_VM, 0UL);
	ret = kvm->vm_fd < 0 ? -errno : vm_setup(kvm, gm);
	if (!ret)
		return true;

	kvm_destroy_vm(kvm);
	user_error_set(error, EX_OSERR, "kvm.create",
		       "cannot create a virtual machine", g_strerror(-ret),
		       "kvmbus doctor, and dmesg for what KVM says");
	return false;
}

void kvm_destroy_vm(struct kvm *kvm)
{
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	kvm->vm_fd = -1;
}

int kvm_create_vcpu(const struct kvm *kvm, uint32_t index)
{
	int fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, (unsigned long)index);

	return fd < 0 ? -errno : fd;
}

void kvm_set_irq(const struct kvm *kvm, uint32_t gsi, bool high)
{
	struct kvm_irq_level level = { .irq = gsi, .level = high };

	ioctl(kvm->vm_fd, KVM_IRQ_LINE, &level);
}

int kvm_doorbell(const struct kvm *kvm, uint32_t value, int eventfd,
		 bool assign)
{
	struct kvm_ioeventfd e = {
		.datamatch = value,
		.addr = KVM_DOORBELL_PORT,
		.len = sizeof(value),
		.fd = eventfd,
		.flags = KVM_IOEVENTFD_FLAG_PIO |
			 KVM_IOEVENTFD_FLAG_DATAMATCH |
			 (assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	return ioctl(kvm->vm_fd, KVM_IOEVENTFD, &e) < 0 ? -errno : 0;
}

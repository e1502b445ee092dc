/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Synthetic MSRs: which there are, who may touch them, and those that are the
 * partition's.  The registers of the SynIC and of the timers are in synic.c
 * and stimer.c.
 */
#include "hv/hv_internal.h"

#define GPA_BITS_MAX	52	/* what any x86 can address */

static bool read_guest_os_id(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	*value = vp->hv->guest_os_id;
	return true;
}

static unsigned page_of(uint32_t msr)
{
	return msr == HV_X64_MSR_HYPERCALL ? PAGE_HYPERCALL :
					     PAGE_REFERENCE_TSC;
}

static void set_page(struct hv *hv, unsigned page, uint64_t value)
{
	hv->page_msr[page] = value;
	overlay_set(hv, page, value);
}

/* A bit of the hypercall MSR that is reserved where locking is not offered. */
static bool hypercall_page_is_locked(const struct hv *hv)
{
	return hv_offers(hv, EDX, HV_HYPERCALL_MSR_LOCK_AVAILABLE) &&
	       hv->page_msr[PAGE_HYPERCALL] & HV_MSR_HYPERCALL_LOCKED;
}

/*
 * TLFS 2.6: without an identity there is no hypercall page.  But nothing takes
 * away a locked one.
 */
static bool write_guest_os_id(struct hv_vp *vp, uint32_t msr, uint64_t value)
{
	struct hv *hv = vp->hv;

	hv->guest_os_id = value;
	if (!value && !hypercall_page_is_locked(hv))
		set_page(hv, PAGE_HYPERCALL, hv->page_msr[PAGE_HYPERCALL] &
						     ~HV_MSR_PAGE_ENABLE);
	return true;
}

static bool read_page(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	*value = vp->hv->page_msr[page_of(msr)];
	return true;
}

/*
 * TLFS 3.13.  Of all pages only this one must be within the address space; the
 * others are then nowhere (11.8.3, 12.7.1).
 */
static bool write_hypercall(struct hv_vp *vp, uint32_t msr, uint64_t value)
{
	struct hv *hv = vp->hv;
	unsigned gpa_bits = hv->config.gpa_bits ?: GPA_BITS_MAX;

	if (value >> gpa_bits || hypercall_page_is_locked(hv))
		return false;
	if (!hv->guest_os_id)
		value &= ~HV_MSR_PAGE_ENABLE;
	/* Not while a processor may execute it. */
	if (!(hv->page_msr[PAGE_HYPERCALL] & HV_MSR_PAGE_ENABLE))
		hypercall_page_write(hv);
	set_page(hv, PAGE_HYPERCALL, value);
	return true;
}

static bool write_reference_tsc(struct hv_vp *vp, uint32_t msr, uint64_t value)
{
	struct hv *hv = vp->hv;

	if (!(hv->page_msr[PAGE_REFERENCE_TSC] & HV_MSR_PAGE_ENABLE))
		reference_tsc_page_write(hv);
	set_page(hv, PAGE_REFERENCE_TSC, value);
	return true;
}

static bool read_assist(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	*value = vp->assist;
	return true;
}

/* Who was not told so does not look for saved EOIs. */
static bool recommends_apic_msrs(const struct hv *hv)
{
	uint32_t r[4];

	hv_cpuid(hv, HV_CPUID_ENLIGHTENMENT_INFO, r);
	return r[EAX] & HV_RECOMMEND_APIC_MSRS;
}

static bool write_assist(struct hv_vp *vp, uint32_t msr, uint64_t value)
{
	struct hv *hv = vp->hv;

	vp->assist = value;
	overlay_set(hv, overlay_of_vp(vp, PAGE_ASSIST), value);
	if (recommends_apic_msrs(hv))
		hv->ops->eoi_assist(hv->host, vp->index, value);
	return true;
}

static bool read_vp_index(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	*value = vp->index;
	return true;
}

static bool read_zero(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	*value = 0;
	return true;
}

static bool write_reset(struct hv_vp *vp, uint32_t msr, uint64_t value)
{
	if (value & HV_RESET)
		vp->hv->ops->reset(vp->hv->host, vp->index);
	return true;
}

static bool read_vp_runtime(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	*value = vp->hv->ops->vp_runtime(vp->hv->host, vp->index);
	return true;
}

static bool read_ref_count(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	*value = reftime_now(vp->hv);
	return true;
}

static bool read_frequency(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	const struct hv_config *c = &vp->hv->config;

	*value = msr == HV_X64_MSR_TSC_FREQUENCY ? c->tsc_hz : c->apic_hz;
	return true;
}

/* TLFS 7.5: the value means nothing. */
static bool read_guest_idle(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	vp->hv->ops->idle(vp->hv->host, vp->index);
	return read_zero(vp, msr, value);
}

static bool read_crash_p(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	*value = vp->hv->crash[msr - HV_X64_MSR_CRASH_P0];
	return true;
}

static bool write_crash_p(struct hv_vp *vp, uint32_t msr, uint64_t value)
{
	vp->hv->crash[msr - HV_X64_MSR_CRASH_P0] = value;
	return true;
}

/* It reads as what can be done, not as it was written. */
static bool read_crash_ctl(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	*value = HV_CRASH_CTL_CRASH_NOTIFY | HV_CRASH_CTL_CRASH_NOTIFY_MSG;
	return true;
}

static bool read_tsc_invariant(struct hv_vp *vp, uint32_t msr, uint64_t *value)
{
	*value = vp->hv->tsc_invariant_control;
	return true;
}

/* The guest says that it knows; KVM has CPUID show the bit all along. */
static bool write_tsc_invariant(struct hv_vp *vp, uint32_t msr, uint64_t value)
{
	uint64_t *control = &vp->hv->tsc_invariant_control;

	if (value & ~HV_EXPOSE_INVARIANT_TSC || value < *control)
		return false;
	*control = value;
	return true;
}

/* In order of number.  No read or write: such an access is #GP. */
static const struct msr_range {
	uint32_t first, last;
	/* What must be offered: bits of CPUID 0x40000003, EAX and EDX. */
	uint32_t access, features;
	bool (*read)(struct hv_vp *vp, uint32_t msr, uint64_t *value);
	bool (*write)(struct hv_vp *vp, uint32_t msr, uint64_t value);
	bool shared;	/* the partition's: under its lock */
} ranges[] = {
	{ HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_GUEST_OS_ID,
	  HV_ACCESS_HYPERCALL_MSRS, 0,
	  read_guest_os_id, write_guest_os_id, true },
	{ HV_X64_MSR_HYPERCALL, HV_X64_MSR_HYPERCALL,
	  HV_ACCESS_HYPERCALL_MSRS, 0, read_page, write_hypercall, true },
	{ HV_X64_MSR_VP_INDEX, HV_X64_MSR_VP_INDEX,
	  HV_ACCESS_VP_INDEX, 0, read_vp_index, NULL, false },
	{ HV_X64_MSR_RESET, HV_X64_MSR_RESET,
	  HV_ACCESS_RESET_REG, 0, read_zero, write_reset, false },
	{ HV_X64_MSR_VP_RUNTIME, HV_X64_MSR_VP_RUNTIME,
	  HV_ACCESS_VP_RUNTIME, 0, read_vp_runtime, NULL, false },
	{ HV_X64_MSR_TIME_REF_COUNT, HV_X64_MSR_TIME_REF_COUNT,
	  HV_ACCESS_PARTITION_REFERENCE_COUNTER, 0,
	  read_ref_count, NULL, false },
	{ HV_X64_MSR_REFERENCE_TSC, HV_X64_MSR_REFERENCE_TSC,
	  HV_ACCESS_PARTITION_REFERENCE_TSC, 0,
	  read_page, write_reference_tsc, true },
	{ HV_X64_MSR_TSC_FREQUENCY, HV_X64_MSR_APIC_FREQUENCY,
	  HV_ACCESS_FREQUENCY_REGS, HV_FREQUENCY_REGS_AVAILABLE,
	  read_frequency, NULL, false },
	/*
	 * Appendix C has it go with AccessIntrCtrlRegs, but Linux writes it on
	 * every processor, whatever it was offered.
	 */
	{ HV_X64_MSR_VP_ASSIST_PAGE, HV_X64_MSR_VP_ASSIST_PAGE, 0, 0,
	  read_assist, write_assist, false },
	{ HV_X64_MSR_SCONTROL, HV_X64_MSR_SCONTROL,
	  HV_ACCESS_SYNIC_REGS, 0, synic_read, synic_write, false },
	{ HV_X64_MSR_SVERSION, HV_X64_MSR_SVERSION,
	  HV_ACCESS_SYNIC_REGS, 0, synic_read, NULL, false },
	{ HV_X64_MSR_SIEFP, HV_X64_MSR_EOM,
	  HV_ACCESS_SYNIC_REGS, 0, synic_read, synic_write, false },
	{ HV_X64_MSR_SINT0, HV_X64_MSR_SINT0 + HV_SYNIC_SINT_COUNT - 1,
	  HV_ACCESS_SYNIC_REGS, 0, synic_read, synic_write, false },
	{ HV_X64_MSR_STIMER0_CONFIG,
	  HV_X64_MSR_STIMER0_CONFIG + 2 * HV_STIMER_COUNT - 1,
	  HV_ACCESS_SYNTHETIC_TIMER_REGS, 0,
	  stimer_read, stimer_write, false },
	{ HV_X64_MSR_GUEST_IDLE, HV_X64_MSR_GUEST_IDLE,
	  HV_ACCESS_GUEST_IDLE_REG, HV_GUEST_IDLE_AVAILABLE,
	  read_guest_idle, NULL, false },
	{ HV_X64_MSR_CRASH_P0, HV_X64_MSR_CRASH_CTL - 1,
	  0, HV_GUEST_CRASH_REGS_AVAILABLE,
	  read_crash_p, write_crash_p, true },
	{ HV_X64_MSR_CRASH_CTL, HV_X64_MSR_CRASH_CTL,
	  0, HV_GUEST_CRASH_REGS_AVAILABLE,
	  read_crash_ctl, crash_write_ctl, false },
	{ HV_X64_MSR_TSC_INVARIANT_CONTROL, HV_X64_MSR_TSC_INVARIANT_CONTROL,
	  HV_ACCESS_TSC_INVARIANT, 0,
	  read_tsc_invariant, write_tsc_invariant, true },
};

/* The range of @msr, if the guest was offered it. */
static const struct msr_range *find(const struct hv *hv, uint32_t msr)
{
	for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++) {
		const struct msr_range *r = &ranges[i];

		if (msr >= r->first && msr <= r->last)
			return hv_offers(hv, EAX, r->access) &&
			       hv_offers(hv, EDX, r->features) ? r : NULL;
	}
	return NULL;
}

unsigned hv_msr_access(const struct hv *hv, uint32_t msr)
{
	const struct msr_range *r = find(hv, msr);

	/* Not among ours: the host has the APIC. */
	if (msr >= HV_X64_MSR_EOI && msr <= HV_X64_MSR_TPR &&
	    hv_offers(hv, EAX, HV_ACCESS_INTR_CTRL_REGS))
		return (msr == HV_X64_MSR_EOI ? 0 : HV_MSR_READ) | HV_MSR_WRITE;
	if (!r)
		return 0;
	return (r->read ? HV_MSR_READ : 0) | (r->write ? HV_MSR_WRITE : 0);
}

bool hv_msr_read(struct hv *hv, uint32_t vp, uint32_t msr, uint64_t *value)
{
	const struct msr_range *r = find(hv, msr);
	bool ok;

	g_assert(vp < hv->config.vp_count);
	if (!r || !r->read)
		return false;
	if (r->shared)
		pthread_mutex_lock(&hv->lock);
	ok = r->read(&hv->vp[vp], msr, value);
	if (r->shared)
		pthread_mutex_unlock(&hv->lock);
	return ok;
}

bool hv_msr_write(struct hv *hv, uint32_t vp, uint32_t msr, uint64_t value)
{
	const struct msr_range *r = find(hv, msr);
	bool ok;

	g_assert(vp < hv->config.vp_count);
	if (!r || !r->write)
		return false;
	if (r->shared)
		pthread_mutex_lock(&hv->lock);
	ok = r->write(&hv->vp[vp], msr, value);
	if (r->shared)
		pthread_mutex_unlock(&hv->lock);
	return ok;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HvGetVpRegisters and HvSetVpRegisters.  TLFS 7.8.2, 7.10.1, 7.10.2.
 *
 *	caller: which VP, which row -> run_on -> VP's thread: get or set
 *
 * One table says which registers there are.  Of synthetic ones that are MSRs,
 * the MSR is the register; the architecture's are the host's.
 */
#include <errno.h>
#include <string.h>

#include "hv/hypercall.h"
#include "hv/x86.h"

#define ALL		UINT64_MAX
#define LOW_32		UINT64_C(0xffffffff)
#define SEGMENT_VALID	(~((uint64_t)HV_X64_SEGMENT_RSVD << 48))
#define TABLE_VALID	(UINT64_C(0xffff) << 48)	/* the limit */
#define PAGE_OFFSET	(GMEM_PAGE_SIZE - 1)

struct row {
	uint32_t first, last;
	const struct kind *kind;
	/* The MSR of the first, a leaf of CPUID, or the value that it has. */
	uint64_t is;
	/* Bits of both words that may be set, of the first that must be. */
	uint64_t valid[2], fixed;
	bool read_only;
};

/* On the VP's thread. */
struct kind {
	enum hv_status (*get)(struct hv_vp *vp, const struct row *row,
			      uint32_t name, union hv_register_value *value);
	enum hv_status (*set)(struct hv_vp *vp, const struct row *row,
			      uint32_t name,
			      const union hv_register_value *value);
};

static enum hv_status status_of(int ret)
{
	switch (ret) {
	case 0:
		return HV_STATUS_SUCCESS;
	case -EBUSY:
		return HV_STATUS_INVALID_VP_STATE;
	case -ENOENT:
		return HV_STATUS_INVALID_PARAMETER;
	default:
		return HV_STATUS_INVALID_REGISTER_VALUE;
	}
}

static enum hv_status get_host(struct hv_vp *vp, const struct row *row,
			       uint32_t name, union hv_register_value *value)
{
	struct hv *hv = vp->hv;

	return status_of(hv->ops->get_register(hv->host, vp->index, name,
					       value));
}

static enum hv_status set_host(struct hv_vp *vp, const struct row *row,
			       uint32_t name,
			       const union hv_register_value *value)
{
	struct hv *hv = vp->hv;

	return status_of(hv->ops->set_register(hv->host, vp->index, name,
					       value));
}

/* TLFS 7.9.5: a limit in pages ends with a page, others are below 1 MiB. */
bool segment_is_valid(const struct hv_x64_segment_register *s)
{
	if (s->attributes & HV_X64_SEGMENT_RSVD)
		return false;
	if (!(s->attributes & HV_X64_SEGMENT_PRESENT))
		return true;
	if (s->attributes & HV_X64_SEGMENT_GRANULARITY)
		return (s->limit & PAGE_OFFSET) == PAGE_OFFSET;
	return s->limit < 1u << 20;
}

static enum hv_status set_segment(struct hv_vp *vp, const struct row *row,
				  uint32_t name,
				  const union hv_register_value *value)
{
	return segment_is_valid(&value->segment) ?
		       set_host(vp, row, name, value) :
		       HV_STATUS_INVALID_REGISTER_VALUE;
}

/* 2 and 3 are reserved, and above 7 all. */
bool pat_is_valid(uint64_t pat)
{
	for (unsigned i = 0; i < 64; i += 8) {
		const uint8_t memory_type = (uint8_t)(pat >> i);

		if (memory_type > 7 || (memory_type & ~1u) == 2)
			return false;
	}
	return true;
}

static enum hv_status set_pat(struct hv_vp *vp, const struct row *row,
			      uint32_t name,
			      const union hv_register_value *value)
{
	return pat_is_valid(value->word[0]) ?
		       set_host(vp, row, name, value) :
		       HV_STATUS_INVALID_REGISTER_VALUE;
}

static uint32_t msr_of(const struct row *row, uint32_t name)
{
	return (uint32_t)row->is + name - row->first;
}

/* What the guest was not offered is not there. */
static enum hv_status get_msr(struct hv_vp *vp, const struct row *row,
			      uint32_t name, union hv_register_value *value)
{
	return hv_msr_read(vp->hv, vp->index, msr_of(row, name),
			   &value->word[0]) ? HV_STATUS_SUCCESS :
					      HV_STATUS_INVALID_PARAMETER;
}

static enum hv_status set_msr(struct hv_vp *vp, const struct row *row,
			      uint32_t name,
			      const union hv_register_value *value)
{
	const uint32_t msr = msr_of(row, name);

	if (!(hv_msr_access(vp->hv, msr) & HV_MSR_WRITE))
		return HV_STATUS_INVALID_PARAMETER;
	return hv_msr_write(vp->hv, vp->index, msr, value->word[0]) ?
		       HV_STATUS_SUCCESS : HV_STATUS_INVALID_REGISTER_VALUE;
}

static enum hv_status get_leaf(struct hv_vp *vp, const struct row *row,
			       uint32_t name, union hv_register_value *value)
{
	hv_cpuid(vp->hv, (uint32_t)row->is, value->reg32);
	return HV_STATUS_SUCCESS;
}

static enum hv_status get_constant(struct hv_vp *vp, const struct row *row,
				   uint32_t name,
				   union hv_register_value *value)
{
	value->word[0] = row->is;
	return HV_STATUS_SUCCESS;
}

/* It may be written back. */
static enum hv_status set_constant(struct hv_vp *vp, const struct row *row,
				   uint32_t name,
				   const union hv_register_value *value)
{
	return value->word[0] == row->is && !value->word[1] ?
		       HV_STATUS_SUCCESS : HV_STATUS_INVALID_REGISTER_VALUE;
}

static const struct kind host = { get_host, set_host };
static const struct kind segment = { get_host, set_segment };
static const struct kind pat = { get_host, set_pat };
static const struct kind msr = { get_msr, set_msr };
static const struct kind leaf = { get_leaf, NULL };
static const struct kind constant = { get_constant, set_constant };

#define ROW(first, last, ...)	{ first, last, __VA_ARGS__ }
#define ONE(name, ...)		ROW(name, name, __VA_ARGS__)
#define ONE_MSR(name, number)	ONE(name, &msr, number, .valid = { ALL })

/* In order of number. */
static const struct row rows[] = {
	ONE(HV_REGISTER_HYPERVISOR_VERSION, &leaf, HV_CPUID_VERSION,
	    .read_only = true),
	ONE(HV_REGISTER_PRIVILEGES_AND_FEATURES, &leaf, HV_CPUID_FEATURES,
	    .read_only = true),
	ONE(HV_REGISTER_FEATURES_INFO, &leaf, HV_CPUID_ENLIGHTENMENT_INFO,
	    .read_only = true),
	ONE(HV_REGISTER_IMPLEMENTATION_LIMITS, &leaf,
	    HV_CPUID_IMPLEMENTATION_LIMITS, .read_only = true),
	ONE(HV_REGISTER_HARDWARE_FEATURES, &leaf, HV_CPUID_HARDWARE_FEATURES,
	    .read_only = true),
	ROW(HV_REGISTER_GUEST_CRASH_P0, HV_REGISTER_GUEST_CRASH_CTL - 1, &msr,
	    HV_X64_MSR_CRASH_P0, .valid = { ALL }),
	/* Its write is an action, not a value. */
	ONE(HV_REGISTER_GUEST_CRASH_CTL, &msr, HV_X64_MSR_CRASH_CTL,
	    .read_only = true),
	ONE_MSR(HV_REGISTER_PROCESSOR_CLOCK_FREQUENCY,
		HV_X64_MSR_TSC_FREQUENCY),
	ONE_MSR(HV_REGISTER_INTERRUPT_CLOCK_FREQUENCY,
		HV_X64_MSR_APIC_FREQUENCY),
	/* An event is pending within the host only. */
	ONE(HV_REGISTER_PENDING_EVENT_0, &constant, .valid = { ALL, ALL }),
	ROW(HV_X64_REGISTER_RAX, HV_X64_REGISTER_RIP, &host,
	    .valid = { ALL }),
	ONE(HV_X64_REGISTER_RFLAGS, &host, .valid = { RFLAGS_VALID },
	    .fixed = RFLAGS_FIXED),
	ONE(HV_X64_REGISTER_CR0, &host, .valid = { CR0_VALID }),
	ONE(HV_X64_REGISTER_CR2, &host, .valid = { ALL }),
	ONE(HV_X64_REGISTER_CR3, &host, .valid = { ~CR3_RSVD }),
	ONE(HV_X64_REGISTER_CR4, &host, .valid = { LOW_32 }),
	ONE(HV_X64_REGISTER_CR8, &host, .valid = { 0xf }),
	ONE(HV_X64_REGISTER_XFEM, &host, .valid = { ALL }),
	ROW(HV_X64_REGISTER_DR0, HV_X64_REGISTER_DR6 - 1, &host,
	    .valid = { ALL }),
	ROW(HV_X64_REGISTER_DR6, HV_X64_REGISTER_DR7, &host,
	    .valid = { LOW_32 }),
	ROW(HV_X64_REGISTER_ES, HV_X64_REGISTER_TR, &segment,
	    .valid = { ALL, SEGMENT_VALID }),
	ROW(HV_X64_REGISTER_IDTR, HV_X64_REGISTER_GDTR, &host,
	    .valid = { TABLE_VALID, ALL }),
	ONE(HV_X64_REGISTER_EFER, &host, .valid = { EFER_VALID }),
	ROW(HV_X64_REGISTER_KERNEL_GS_BASE, HV_X64_REGISTER_APIC_BASE, &host,
	    .valid = { ALL }),
	ONE(HV_X64_REGISTER_PAT, &pat, .valid = { ALL }),
	ROW(HV_X64_REGISTER_SYSENTER_CS, HV_X64_REGISTER_SFMASK, &host,
	    .valid = { ALL }),
	ONE_MSR(HV_REGISTER_VP_RUNTIME, HV_X64_MSR_VP_RUNTIME),
	ONE_MSR(HV_X64_REGISTER_HYPERCALL, HV_X64_MSR_HYPERCALL),
	ONE_MSR(HV_REGISTER_GUEST_OS_ID, HV_X64_MSR_GUEST_OS_ID),
	ONE_MSR(HV_REGISTER_VP_INDEX, HV_X64_MSR_VP_INDEX),
	ONE_MSR(HV_REGISTER_TIME_REF_COUNT, HV_X64_MSR_TIME_REF_COUNT),
	ONE_MSR(HV_REGISTER_VP_ASSIST_PAGE, HV_X64_MSR_VP_ASSIST_PAGE),
	ONE_MSR(HV_REGISTER_REFERENCE_TSC, HV_X64_MSR_REFERENCE_TSC),
	ROW(HV_REGISTER_SINT0, HV_REGISTER_SCONTROL - 1, &msr,
	    HV_X64_MSR_SINT0, .valid = { ALL }),
	ROW(HV_REGISTER_SCONTROL, HV_REGISTER_SIPP, &msr, HV_X64_MSR_SCONTROL,
	    .valid = { ALL }),
	ROW(HV_REGISTER_STIMER0_CONFIG,
	    HV_REGISTER_STIMER0_CONFIG + 2 * HV_STIMER_COUNT - 1, &msr,
	    HV_X64_MSR_STIMER0_CONFIG, .valid = { ALL }),
	/* Of trust levels there is the lowest, and nothing is intercepted. */
	ONE(HV_REGISTER_VSM_CODE_PAGE_OFFSETS, &constant,
	    .valid = { ALL, ALL }),
	ONE(HV_REGISTER_VSM_VP_STATUS, &constant, HV_VSM_VP_ENABLED_VTL_0,
	    .read_only = true),
	ONE(HV_REGISTER_VSM_PARTITION_STATUS, &constant,
	    HV_VSM_PARTITION_ENABLED_VTL_0, .read_only = true),
	ONE(HV_REGISTER_VSM_VINA, &constant, .valid = { ALL, ALL }),
	ONE(HV_REGISTER_VSM_CAPABILITIES, &constant, .read_only = true),
	ONE(HV_REGISTER_VSM_PARTITION_CONFIG, &constant,
	    .valid = { ALL, ALL }),
	ONE(HV_REGISTER_VSM_VP_SECURE_CONFIG_VTL0, &constant,
	    .valid = { ALL, ALL }),
	ROW(HV_X64_REGISTER_CR_INTERCEPT_CONTROL,
	    HV_X64_REGISTER_CR_INTERCEPT_LAST, &constant,
	    .valid = { ALL, ALL }),
};

static const struct row *find(uint32_t name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (name >= rows[i].first && name <= rows[i].last)
			return &rows[i];
	return NULL;
}

/* What can be said without the VP. */
static bool can_be(const struct row *row, const union hv_register_value *value)
{
	return !(value->word[0] & ~row->valid[0]) &&
	       !(value->word[1] & ~row->valid[1]) &&
	       (value->word[0] & row->fixed) == row->fixed;
}

/* One register of one VP. */
struct errand {
	struct hv_vp *vp;
	const struct row *row;
	uint32_t name;
	union hv_register_value value;
	enum hv_status status;
};

static enum hv_status errand_init(const struct call *c, struct errand *e)
{
	const struct hv_input_vp_registers *in = c->input;
	enum hv_status status;
	uint32_t vp;

	status = find_vp(c, in->partition_id, in->vp_index, &vp);
	if (status)
		return status;
	memcpy(&e->name, c->element, sizeof(e->name));
	e->row = find(e->name);
	if (!is_own_vtl(in->input_vtl) || !e->row ||
	    in->rsvdz[0] | in->rsvdz[1] | in->rsvdz[2])
		return HV_STATUS_INVALID_PARAMETER;
	e->vp = &c->hv->vp[vp];
	/* Of a VP whose thread has ended, for its machine does. */
	e->status = HV_STATUS_INVALID_VP_STATE;
	return HV_STATUS_SUCCESS;
}

static void get(void *arg)
{
	struct errand *e = arg;

	e->status = e->row->kind->get(e->vp, e->row, e->name, &e->value);
}

static void set(void *arg)
{
	struct errand *e = arg;

	e->status = e->row->kind->set(e->vp, e->row, e->name, &e->value);
}

static enum hv_status do_errand(const struct call *c, struct errand *e,
				void (*run)(void *arg))
{
	c->hv->ops->run_on(c->hv->host, c->vp->index, e->vp->index, run, e);
	return e->status;
}

enum hv_status get_vp_registers(struct call *c)
{
	struct errand e = { 0 };
	enum hv_status status = errand_init(c, &e);

	if (!status)
		status = do_errand(c, &e, get);
	if (!status)
		memcpy(c->result, &e.value, sizeof(e.value));
	return status;
}

enum hv_status set_vp_registers(struct call *c)
{
	const struct hv_register_assoc *element = c->element;
	struct errand e = { 0 };
	enum hv_status status = errand_init(c, &e);

	if (status)
		return status;
	memcpy(&e.value, &element->value, sizeof(e.value));
	if (e.row->read_only || !can_be(e.row, &e.value))
		return HV_STATUS_INVALID_PARAMETER;
	return do_errand(c, &e, set);
}

/* TLFS 9.4.1. */
enum hv_status switch_address_space(struct call *c)
{
	const struct hv_input_switch_virtual_address_space *in = c->input;
	struct errand e = {
		.vp = c->vp, .row = find(HV_X64_REGISTER_CR3),
		.name = HV_X64_REGISTER_CR3,
		.value = { .word = { in->address_space } },
	};

	if (can_be(e.row, &e.value))
		set(&e);
	else
		e.status = HV_STATUS_INVALID_PARAMETER;
	return e.status ? HV_STATUS_INVALID_PARAMETER : HV_STATUS_SUCCESS;
}

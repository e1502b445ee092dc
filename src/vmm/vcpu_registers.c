/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "core/util.h"
#include "vmm/vcpu_registers.h"

#define CR4_LA57	BIT64(12)
#define EFER_LMA	BIT64(10)
#define MSR_PAT		0x277

/* How one kind of registers is reached; @n is the number in its row. */
struct access {
	int (*get)(int fd, const struct kvm_run *run, unsigned n,
		   union hv_register_value *value);
	int (*set)(int fd, struct kvm_run *run, unsigned n,
		   const union hv_register_value *value);
};

static bool is_canonical(const struct kvm_sregs *s, uint64_t address)
{
	const unsigned unused = s->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}

/* RAX to R15, RIP and RFLAGS, in this order. */
static const uint8_t general[] = {
	offsetof(struct kvm_regs, rax), offsetof(struct kvm_regs, rcx),
	offsetof(struct kvm_regs, rdx), offsetof(struct kvm_regs, rbx),
	offsetof(struct kvm_regs, rsp), offsetof(struct kvm_regs, rbp),
	offsetof(struct kvm_regs, rsi), offsetof(struct kvm_regs, rdi),
	offsetof(struct kvm_regs, r8), offsetof(struct kvm_regs, r9),
	offsetof(struct kvm_regs, r10), offsetof(struct kvm_regs, r11),
	offsetof(struct kvm_regs, r12), offsetof(struct kvm_regs, r13),
	offsetof(struct kvm_regs, r14), offsetof(struct kvm_regs, r15),
	offsetof(struct kvm_regs, rip), offsetof(struct kvm_regs, rflags),
};

static int get_general(int fd, const struct kvm_run *run, unsigned n,
		       union hv_register_value *value)
{
	const uint8_t *regs = (const uint8_t *)&run->s.regs.regs;

	value->word[0] = *(const __u64 *)(const void *)(regs + general[n]);
	return 0;
}

/* An address that a processor could not have there would end its machine. */
static bool can_be_rip(const struct kvm_sregs *s, uint64_t rip)
{
	return s->efer & EFER_LMA && s->cs.l ? is_canonical(s, rip) :
					       rip <= UINT32_MAX;
}

static int set_general(int fd, struct kvm_run *run, unsigned n,
		       const union hv_register_value *value)
{
	uint8_t *regs = (uint8_t *)&run->s.regs.regs;

	if (n == HV_X64_REGISTER_RIP - HV_X64_REGISTER_RAX &&
	    !can_be_rip(&run->s.regs.sregs, value->word[0]))
		return -EINVAL;
	*(__u64 *)(void *)(regs + general[n]) = value->word[0];
	run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	return 0;
}

/* At once, because KVM says then whether it can be. */
static int set_sregs(int fd, struct kvm_run *run, const struct kvm_sregs *s)
{
	if (ioctl(fd, KVM_SET_SREGS, s) < 0 ||
	    ioctl(fd, KVM_GET_SREGS, &run->s.regs.sregs) < 0)
		return -errno;
	return 0;
}

/* CR0, CR2, CR3, CR4 and CR8. */
static __u64 *control(struct kvm_sregs *s, unsigned n)
{
	__u64 *const field[] = { &s->cr0, &s->cr2, &s->cr3, &s->cr4, &s->cr8 };

	return field[n];
}

static int get_control(int fd, const struct kvm_run *run, unsigned n,
		       union hv_register_value *value)
{
	struct kvm_sregs s = run->s.regs.sregs;

	value->word[0] = *control(&s, n);
	return 0;
}

static int set_control(int fd, struct kvm_run *run, unsigned n,
		       const union hv_register_value *value)
{
	struct kvm_sregs s = run->s.regs.sregs;

	*control(&s, n) = value->word[0];
	return set_sregs(fd, run, &s);
}

static int get_efer(int fd, const struct kvm_run *run, unsigned n,
		    union hv_register_value *value)
{
	value->word[0] = run->s.regs.sregs.efer;
	return 0;
}

static int set_efer(int fd, struct kvm_run *run, unsigned n,
		    const union hv_register_value *value)
{
	struct kvm_sregs s = run->s.regs.sregs;

	s.efer = value->word[0];
	return set_sregs(fd, run, &s);
}

static struct hv_x64_segment_register from_segment(const struct kvm_segment *s)
{
	return (struct hv_x64_segment_register){
		.base = s->base, .limit = s->limit, .selector = s->selector,
		.attributes = (uint16_t)(s->type | s->s << 4 | s->dpl << 5 |
					 (s->present && !s->unusable) << 7 |
					 s->avl << 12 | s->l << 13 |
					 s->db << 14 | s->g << 15),
	};
}

static struct kvm_segment to_segment(struct hv_x64_segment_register r)
{
	const uint16_t a = r.attributes;

	return (struct kvm_segment){
		.base = r.base, .limit = r.limit, .selector = r.selector,
		.type = HV_X64_SEGMENT_TYPE(a), .dpl = HV_X64_SEGMENT_DPL(a),
		.s = !!(a & HV_X64_SEGMENT_NON_SYSTEM),
		.present = !!(a & HV_X64_SEGMENT_PRESENT),
		.unusable = !(a & HV_X64_SEGMENT_PRESENT),
		.avl = !!(a & HV_X64_SEGMENT_AVAILABLE),
		.l = !!(a & HV_X64_SEGMENT_LONG),
		.db = !!(a & HV_X64_SEGMENT_DEFAULT),
		.g = !!(a & HV_X64_SEGMENT_GRANULARITY),
	};
}

/* ES, CS, SS, DS, FS, GS, LDTR and TR. */
static struct kvm_segment *segment(struct kvm_sregs *s, unsigned n)
{
	struct kvm_segment *const field[] = { &s->es, &s->cs, &s->ss, &s->ds,
					      &s->fs, &s->gs, &s->ldt, &s->tr };

	return field[n];
}

static int get_segment(int fd, const struct kvm_run *run, unsigned n,
		       union hv_register_value *value)
{
	struct kvm_sregs s = run->s.regs.sregs;

	value->segment = from_segment(segment(&s, n));
	return 0;
}

static int set_segment(int fd, struct kvm_run *run, unsigned n,
		       const union hv_register_value *value)
{
	struct kvm_sregs s = run->s.regs.sregs;

	if (!is_canonical(&s, value->segment.base))
		return -EINVAL;
	*segment(&s, n) = to_segment(value->segment);
	return set_sregs(fd, run, &s);
}

/* IDTR and GDTR. */
static struct kvm_dtable *table(struct kvm_sregs *s, unsigned n)
{
	return n ? &s->gdt : &s->idt;
}

static int get_table(int fd, const struct kvm_run *run, unsigned n,
		     union hv_register_value *value)
{
	struct kvm_sregs s = run->s.regs.sregs;

	value->table.base = table(&s, n)->base;
	value->table.limit = table(&s, n)->limit;
	return 0;
}

static struct kvm_dtable to_table(struct hv_x64_table_register r)
{
	return (struct kvm_dtable){ .base = r.base, .limit = r.limit };
}

static int set_table(int fd, struct kvm_run *run, unsigned n,
		     const union hv_register_value *value)
{
	struct kvm_sregs s = run->s.regs.sregs;

	if (!is_canonical(&s, value->table.base))
		return -EINVAL;
	*table(&s, n) = to_table(value->table);
	return set_sregs(fd, run, &s);
}

/* DR0 to DR3, DR6 and DR7. */
static __u64 *debug(struct kvm_debugregs *d, unsigned n)
{
	return n < 4 ? &d->db[n] : n == 4 ? &d->dr6 : &d->dr7;
}

static int get_debug(int fd, const struct kvm_run *run, unsigned n,
		     union hv_register_value *value)
{
	struct kvm_debugregs d;

	if (ioctl(fd, KVM_GET_DEBUGREGS, &d) < 0)
		return -errno;
	value->word[0] = *debug(&d, n);
	return 0;
}

static int set_debug(int fd, struct kvm_run *run, unsigned n,
		     const union hv_register_value *value)
{
	struct kvm_debugregs d;

	if (ioctl(fd, KVM_GET_DEBUGREGS, &d) < 0)
		return -errno;
	*debug(&d, n) = value->word[0];
	return ioctl(fd, KVM_SET_DEBUGREGS, &d) < 0 ? -errno : 0;
}

/* There is XCR0 only. */
static int get_xcr(int fd, const struct kvm_run *run, unsigned n,
		   union hv_register_value *value)
{
	struct kvm_xcrs x;

	if (ioctl(fd, KVM_GET_XCRS, &x) < 0 || !x.nr_xcrs)
		return -ENOENT;
	value->word[0] = x.xcrs[0].value;
	return 0;
}

static int set_xcr(int fd, struct kvm_run *run, unsigned n,
		   const union hv_register_value *value)
{
	const struct kvm_xcrs x = {
		.nr_xcrs = 1, .xcrs[0].value = value->word[0],
	};

	return ioctl(fd, KVM_SET_XCRS, &x) < 0 ? -errno : 0;
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static int set_msr(int fd, uint32_t index, uint64_t value)
{
	struct one_msr m = { { .nmsrs = 1 }, { .index = index, .data = value } };

	return ioctl(fd, KVM_SET_MSRS, &m) == 1 ? 0 : -EINVAL;
}

/* From KERNEL_GS_BASE on; EFER, before it, is a system register. */
static const uint32_t msrs[] = {
	0xc0000102, 0x1b, MSR_PAT, 0x174, 0x176, 0x175,
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
};

static int get_msr(int fd, const struct kvm_run *run, unsigned n,
		   union hv_register_value *value)
{
	struct one_msr m = { { .nmsrs = 1 }, { .index = msrs[n] } };

	if (ioctl(fd, KVM_GET_MSRS, &m) != 1)
		return -ENOENT;
	value->word[0] = m.entry.data;
	return 0;
}

static int set_one_msr(int fd, struct kvm_run *run, unsigned n,
		       const union hv_register_value *value)
{
	int ret = set_msr(fd, msrs[n], value->word[0]);

	/* One of them is among the system registers, too. */
	if (!ret && ioctl(fd, KVM_GET_SREGS, &run->s.regs.sregs) < 0)
		ret = -errno;
	return ret;
}

static const struct {
	uint32_t first, last;
	struct access access;
} rows[] = {
	{ HV_X64_REGISTER_RAX, HV_X64_REGISTER_RFLAGS,
	  { get_general, set_general } },
	{ HV_X64_REGISTER_CR0, HV_X64_REGISTER_CR8,
	  { get_control, set_control } },
	{ HV_X64_REGISTER_XFEM, HV_X64_REGISTER_XFEM, { get_xcr, set_xcr } },
	{ HV_X64_REGISTER_DR0, HV_X64_REGISTER_DR7, { get_debug, set_debug } },
	{ HV_X64_REGISTER_ES, HV_X64_REGISTER_TR,
	  { get_segment, set_segment } },
	{ HV_X64_REGISTER_IDTR, HV_X64_REGISTER_GDTR,
	  { get_table, set_table } },
	{ HV_X64_REGISTER_EFER, HV_X64_REGISTER_EFER, { get_efer, set_efer } },
	{ HV_X64_REGISTER_KERNEL_GS_BASE, HV_X64_REGISTER_SFMASK,
	  { get_msr, set_one_msr } },
};

/* The row of @name, and which of it that is; NULL: there is none. */
static const struct access *find(uint32_t name, unsigned *n)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (name < rows[i].first || name > rows[i].last)
			continue;
		*n = name - rows[i].first;
		return &rows[i].access;
	}
	return NULL;
}

int vcpu_get_register(int fd, const struct kvm_run *run, uint32_t name,
		      union hv_register_value *value)
{
	const struct access *a;
	unsigned n;

	*value = (union hv_register_value){ 0 };
	a = find(name, &n);
	return a ? a->get(fd, run, n, value) : -ENOENT;
}

int vcpu_set_register(int fd, struct kvm_run *run, uint32_t name,
		      const union hv_register_value *value)
{
	const struct access *a;
	unsigned n;

	a = find(name, &n);
	return a ? a->set(fd, run, n, value) : -ENOENT;
}

bool vcpu_waits_for_sipi(int fd)
{
	struct kvm_mp_state mp;

	return ioctl(fd, KVM_GET_MP_STATE, &mp) == 0 &&
	       (mp.mp_state == KVM_MP_STATE_UNINITIALIZED ||
		mp.mp_state == KVM_MP_STATE_INIT_RECEIVED);
}

static void put_context(struct kvm_sregs *s,
			const struct hv_initial_vp_context *c)
{
	s->cs = to_segment(c->cs);
	s->ds = to_segment(c->ds);
	s->es = to_segment(c->es);
	s->fs = to_segment(c->fs);
	s->gs = to_segment(c->gs);
	s->ss = to_segment(c->ss);
	s->tr = to_segment(c->tr);
	s->ldt = to_segment(c->ldtr);
	s->idt = to_table(c->idtr);
	s->gdt = to_table(c->gdtr);
	s->efer = c->efer;
	s->cr0 = c->cr0;
	s->cr3 = c->cr3;
	s->cr4 = c->cr4;
}

/* Addresses are what neither KVM nor src/hv looks at. */
static bool addresses_are_valid(const struct kvm_sregs *s, uint64_t rip)
{
	return can_be_rip(s, rip) && is_canonical(s, s->fs.base) &&
	       is_canonical(s, s->gs.base) && is_canonical(s, s->tr.base) &&
	       is_canonical(s, s->ldt.base) && is_canonical(s, s->idt.base) &&
	       is_canonical(s, s->gdt.base) && s->ss.base <= UINT32_MAX &&
	       s->ds.base <= UINT32_MAX && s->es.base <= UINT32_MAX;
}

/* KVM checks all system registers before it takes any; the rest cannot fail. */
int vcpu_start_in(int fd, const struct hv_initial_vp_context *c)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs r;
	struct kvm_sregs s;

	if (ioctl(fd, KVM_GET_REGS, &r) < 0 || ioctl(fd, KVM_GET_SREGS, &s) < 0)
		return -errno;
	put_context(&s, c);
	if (!addresses_are_valid(&s, c->rip))
		return -EINVAL;
	if (ioctl(fd, KVM_SET_SREGS, &s) < 0)
		return -errno;
	r.rip = c->rip;
	r.rsp = c->rsp;
	r.rflags = c->rflags;
	if (ioctl(fd, KVM_SET_REGS, &r) < 0 || set_msr(fd, MSR_PAT, c->pat) ||
	    ioctl(fd, KVM_SET_MP_STATE, &mp) < 0)
		return -errno;
	return 0;
}

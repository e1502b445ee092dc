/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/trace.h"
#include "core/util.h"
#include "devices/chipset/ioports.h"
#include "vmm/loader.h"
#include "vmm/unknown_msr.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_gate.h"
#include "vmm/vcpu_idle.h"
#include "vmm/vcpu_registers.h"
#include "vmm/vcpu_timer.h"
#include "vmm/vcpu_x86.h"

#define KICK_SIGNAL	SIGRTMIN
#define NS_PER_S	1000000000u
#define NS_PER_REF	100u		/* reference time unit */
#define UD_VECTOR	6
#define GP_VECTOR	13
#define IDLE_MAX	10000000u	/* 1 s, reference time */
#define CR0_PE		1u
#define EFER_LMA	(1u << 10)
#define RFLAGS_VM	(UINT64_C(1) << 17)

struct vcpu {
	struct vcpus *vs;
	uint32_t index;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool started;
	bool stop;			/* atomic */
	bool idle;			/* wanted, after this exit */
	bool waits;			/* for SIPI; errands were told */
	uint16_t auto_eoi;		/* SINTs that KVM has a rule for */
	struct vcpu_gate gate;
	struct vcpu_timer timer;
	struct vcpu_stats stats;
};

/*
 * A signal can come between a check of @stop and KVM_RUN.  It is not lost: the
 * handler sets immediate_exit, so that KVM_RUN returns at once.
 */
static __thread struct kvm_run *running;
static __thread struct vcpu *current;

static void kicked(int signal)
{
	if (running)
		running->immediate_exit = 1;
}

static void end(struct vcpu *v, enum vcpu_end why, const char *text)
{
	const struct vcpu_env *env = &v->vs->env;

	__atomic_store_n(&v->stop, true, __ATOMIC_RELEASE);
	env->ended(env->host, v->index, why, text);
}

static uint64_t to_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
}

void vcpu_halt_current(void)
{
	g_assert(current);
	__atomic_store_n(&current->stop, true, __ATOMIC_RELEASE);
}

void vcpu_idle_current(void)
{
	g_assert(current);
	current->idle = true;
}

/* The thread's own time: the guest, KVM's work for it, and ours. */
uint64_t vcpu_current_runtime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return to_ns(&ts) / NS_PER_REF;
}

static uint64_t now(const struct vcpu *v)
{
	return v->vs->env.now(v->vs->env.host);
}

void vcpu_set_timer(struct vcpus *vs, uint32_t vp, uint64_t deadline)
{
	if (vs->vcpu)
		vcpu_timer_set(&vs->vcpu[vp].timer, deadline,
			       now(&vs->vcpu[vp]));
}

static void check_timer(struct vcpu *v)
{
	if (vcpu_timer_is_due(&v->timer, now(v)))
		hv_timer_expired(v->vs->env.hv, v->index);
}

/* KVM is told only of SINTs that have, or had, a rule of their own. */
void vcpu_auto_eoi(struct vcpus *vs, uint32_t vp, unsigned sint, uint8_t vector)
{
	uint16_t bit = (uint16_t)BIT64(sint);
	struct vcpu *v;
	int ret;

	if (!vs->vcpu)
		return;
	v = &vs->vcpu[vp];
	if (!vector && !(v->auto_eoi & bit))
		return;
	v->auto_eoi |= bit;
	ret = vcpu_set_auto_eoi(v->fd, sint, vector);
	trace(TRACE_KVM, "kvm.auto_eoi vp=%u sint=%u vector=%u error=%d", vp,
	      sint, vector, -ret);
}

void vcpu_eoi_assist(struct vcpus *vs, uint32_t vp, uint64_t value)
{
	int ret = vcpu_set_eoi_assist(vs->vcpu[vp].fd, value);

	trace(TRACE_KVM, "kvm.eoi_assist vp=%u value=%#" G_GINT64_MODIFIER
	      "x error=%d", vp, value, -ret);
}

/* A signal that comes while the exit is completed is lost: so look. */
static void complete_exit(struct vcpu *v)
{
	vcpu_complete_exit(v->fd, v->run);
	check_timer(v);
}

/* #UD, or #GP with error code 0. */
static void inject(struct vcpu *v, uint8_t vector)
{
	struct kvm_vcpu_events events;

	complete_exit(v);
	if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
		return;
	events.exception.injected = 1;
	events.exception.nr = vector;
	events.exception.has_error_code = vector == GP_VECTOR;
	events.exception.error_code = 0;
	events.flags = 0;
	ioctl(v->fd, KVM_SET_VCPU_EVENTS, &events);
}

/* Whether KVM_RUN failed on the way into a handler of the guest's. */
static bool delivers_exception(const struct vcpu *v)
{
	struct kvm_vcpu_events events;

	return !ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events) &&
	       events.exception.injected;
}

/*
 * KVM_RUN is -EFAULT: the guest writes to what it may only read, which KVM does
 * not tell from other reasons, but there are none (memory.h).
 */
static void write_is_refused(struct vcpu *v)
{
	trace(TRACE_KVM, "kvm.write_refused vp=%u rip=%#llx", v->index,
	      v->run->s.regs.regs.rip);
	if (delivers_exception(v))
		end(v, VCPU_TRIPLE_FAULT, "triple fault");
	else
		inject(v, GP_VECTOR);
}

/* Whether KVM is past the OUT already differs; once it is complete, it is. */
static void call_again(struct vcpu *v)
{
	complete_exit(v);
	v->run->s.regs.regs.rip -= HV_CALL_OUT_SIZE;
	v->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
}

static void hypercall(struct vcpu *v)
{
	struct kvm_regs *r = &v->run->s.regs.regs;
	const struct kvm_sregs *s = &v->run->s.regs.sregs;
	struct hv *hv = v->vs->env.hv;
	struct hv_call call = {
		.rax = r->rax, .rbx = r->rbx, .rcx = r->rcx, .rdx = r->rdx,
		.rsi = r->rsi, .rdi = r->rdi, .r8 = r->r8,
		.long_mode = s->cs.l && (s->efer & EFER_LMA),
		.protected_mode = (s->cr0 & CR0_PE) &&
				  !(r->rflags & RFLAGS_VM),
		.cpl = s->ss.dpl,
	};

	v->stats.hypercalls++;
	if (hv_call_wants_xmm(hv, &call))
		vcpu_get_xmm(v->fd, call.xmm);
	if (!hv_hypercall(hv, v->index, &call)) {
		inject(v, UD_VECTOR);
		return;
	}
	r->rax = call.rax;
	r->rcx = call.rcx;
	r->rdx = call.rdx;
	r->r8 = call.r8;
	v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	if (call.xmm_dirty)
		vcpu_set_xmm(v->fd, call.xmm);
	if (call.again)
		call_again(v);
}

/* A doorbell without a taker in the kernel. */
static void doorbell(struct vcpu *v)
{
	struct kvm_regs *r = &v->run->s.regs.regs;

	v->stats.doorbells++;
	r->rax = hv_doorbell(v->vs->env.hv, v->index, (uint32_t)r->rax);
	v->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
}

static void exit_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool out = run->io.direction == KVM_EXIT_IO_OUT;

	if (out && run->io.port == KVM_HYPERCALL_PORT) {
		/* 16-bit code makes a 16-bit OUT of the page's: no caller. */
		if (run->io.size == 4 && run->io.count == 1)
			hypercall(v);
		else
			inject(v, UD_VECTOR);
		return;
	}
	if (out && run->io.size == 4 && run->io.count == 1 &&
	    run->io.port == KVM_DOORBELL_PORT) {
		doorbell(v);
		return;
	}
	v->stats.io++;
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		uint32_t value = 0;

		if (out) {
			memcpy(&value, data, run->io.size);
			ioports_write(v->vs->env.ports, run->io.port,
				      run->io.size, value);
		} else {
			value = ioports_read(v->vs->env.ports, run->io.port,
					     run->io.size);
			memcpy(data, &value, run->io.size);
		}
	}
}

/*
 * Nothing is mapped outside RAM but what KVM has: the bus floats high.  A write
 * to RAM is one to what the guest may only read, by an instruction that KVM
 * emulates: it is #GP behind it.
 */
static void exit_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	v->stats.mmio++;
	trace(TRACE_KVM, "kvm.mmio vp=%u gpa=%#llx len=%u write=%u", v->index,
	      run->mmio.phys_addr, run->mmio.len, run->mmio.is_write);
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	else if (gmem_ptr(v->vs->env.memory, run->mmio.phys_addr, 1))
		inject(v, GP_VECTOR);
}

/* One that KVM does not know, and that is not a hypervisor's. */
static bool is_unknown_msr(const struct kvm_run *run)
{
	return run->msr.reason == KVM_MSR_EXIT_REASON_UNKNOWN &&
	       run->msr.index >> 16 != HV_X64_MSR_GUEST_OS_ID >> 16;
}

static void ignore_msr(struct vcpu *v, bool write)
{
	if (unknown_msr_is_new(v->vs->env.unknown_msr, v->run->msr.index))
		fprintf(stderr, "kvmbus: the guest %s MSR %#x, which is not "
			"there: it reads as 0, writes are ignored\n",
			write ? "writes" : "reads", v->run->msr.index);
	if (!write)
		v->run->msr.data = 0;
}

static void exit_msr(struct vcpu *v, bool write)
{
	struct kvm_run *run = v->run;
	struct hv *hv = v->vs->env.hv;
	uint64_t value = run->msr.data;
	bool ok = true;

	v->stats.msr++;
	if (is_unknown_msr(run)) {
		ignore_msr(v, write);
	} else if (write) {
		ok = hv_msr_write(hv, v->index, run->msr.index, value);
	} else {
		ok = hv_msr_read(hv, v->index, run->msr.index, &value);
		run->msr.data = value;
	}
	trace(TRACE_KVM, "kvm.msr vp=%u msr=%#x write=%d value=%#llx ok=%d",
	      v->index, run->msr.index, write, run->msr.data, ok);
	run->msr.error = !ok;
}

static void exit_unexpected(struct vcpu *v)
{
	const struct kvm_run *run = v->run;
	g_autofree char *why = g_strdup_printf(
		"KVM left with reason %u, detail %u, at rip %#llx",
		run->exit_reason,
		run->exit_reason == KVM_EXIT_INTERNAL_ERROR ?
			run->internal.suberror : 0,
		run->s.regs.regs.rip);

	end(v, VCPU_KVM_ERROR, why);
}

static void handle_exit(struct vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		exit_io(v);
		break;
	case KVM_EXIT_MMIO:
		exit_mmio(v);
		break;
	case KVM_EXIT_X86_RDMSR:
		exit_msr(v, false);
		break;
	case KVM_EXIT_X86_WRMSR:
		exit_msr(v, true);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_SHUTDOWN:
		end(v, VCPU_TRIPLE_FAULT, "triple fault");
		break;
	default:
		exit_unexpected(v);
	}
}

static void run_failed(struct vcpu *v, int error)
{
	g_autofree char *why = g_strdup_printf("KVM_RUN failed: %s",
					       g_strerror(error));

	end(v, VCPU_KVM_ERROR, why);
}

static bool must_stop(const struct vcpu *v)
{
	return __atomic_load_n(&v->stop, __ATOMIC_ACQUIRE);
}

/*
 * An errand finds registers as they are between two instructions.  Signals that
 * come while an exit is completed are lost: look at the timer, and the caller
 * at @stop.  KVM takes INIT when it is asked whether it waits for SIPI; so not
 * inside of an exit, whose registers would then be those of before.
 */
static void run_errand(struct vcpu *v)
{
	while (!must_stop(v) && !vcpu_complete_exit(v->fd, v->run))
		handle_exit(v);
	v->waits = vcpu_waits_for_sipi(v->fd);
	vcpu_gate_run(&v->gate);
	v->waits = false;
	check_timer(v);
}

/*
 * From here to vcpu_gate_leave() the guest can run.  False: it cannot yet, for
 * errands, or ever, if it cannot be made to forget old translations.
 */
static bool enter_guest(struct vcpu *v)
{
	int ret = 0;

	switch (vcpu_gate_enter(&v->gate)) {
	case GATE_ERRANDS:
		run_errand(v);
		return false;
	case GATE_STALE:
		ret = vcpu_flush_tlb(v->fd);
		break;
	case GATE_HELD:
		return false;
	case GATE_PASSED:
		break;
	}
	if (!ret)
		return true;
	vcpu_gate_leave(&v->gate);
	run_failed(v, -ret);
	return false;
}

void vcpus_flush_tlb(struct vcpus *vs, uint64_t vps)
{
	unsigned visit[HV_VP_MAX] = { 0 };

	for (uint32_t i = 0; i < vs->count; i++)
		if (vps & BIT64(i))
			visit[i] = vcpu_gate_mark(&vs->vcpu[i].gate,
						  KICK_SIGNAL);
	for (uint32_t i = 0; i < vs->count; i++)
		if (vps & BIT64(i))
			vcpu_gate_wait(&vs->vcpu[i].gate, visit[i]);
}

bool vcpus_run_on(struct vcpus *vs, uint32_t from, uint32_t vp,
		  void (*run)(void *arg), void *arg)
{
	if (from != vp)
		return vcpu_gate_run_on(&vs->vcpu[vp].gate, KICK_SIGNAL,
					&vs->vcpu[from].gate, run, arg);
	run(arg);
	return true;
}

int vcpus_get_register(struct vcpus *vs, uint32_t vp, uint32_t name,
		       union hv_register_value *value)
{
	const struct vcpu *v = &vs->vcpu[vp];

	return vcpu_get_register(v->fd, v->run, name, value);
}

int vcpus_set_register(struct vcpus *vs, uint32_t vp, uint32_t name,
		       const union hv_register_value *value)
{
	const struct vcpu *v = &vs->vcpu[vp];

	/* SIPI would start it with what is left of them. */
	if (v->waits)
		return -EBUSY;
	return vcpu_set_register(v->fd, v->run, name, value);
}

int vcpus_start_vp(struct vcpus *vs, uint32_t vp,
		   const struct hv_initial_vp_context *context)
{
	struct vcpu *v = &vs->vcpu[vp];
	int ret;

	if (!v->waits)
		return -EBUSY;
	ret = vcpu_start_in(v->fd, context);
	v->waits = ret < 0;
	return ret;
}

static void take_signal(struct vcpu *v)
{
	v->run->immediate_exit = 0;
	check_timer(v);
}

/*
 * Signals that come while an exit is completed are lost: look at the timer.  A
 * sleep is cut in pieces, because INIT and SIPI end it unseen: the guest runs
 * then with interrupts blocked until KVM leaves the next time.
 */
static void idle(struct vcpu *v)
{
	const uint64_t rip = v->run->s.regs.regs.rip;
	int ret = -EINTR;

	v->idle = false;
	vcpu_complete_exit(v->fd, v->run);
	take_signal(v);
	do {
		if (must_stop(v))
			return;
		vcpu_timer_nap(&v->timer, now(v) + IDLE_MAX, now(v));
		if (!enter_guest(v))
			continue;
		ret = vcpu_idle(v->fd, v->run, rip);
		vcpu_gate_leave(&v->gate);
		take_signal(v);
	} while (ret == -EINTR);
	if (ret > 0)
		handle_exit(v);
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;

	running = v->run;
	current = v;
	if (!vcpu_timer_start(&v->timer, KICK_SIGNAL, now(v))) {
		run_failed(v, errno);
		vcpu_gate_close(&v->gate);
		return NULL;
	}
	while (!must_stop(v)) {
		int error;

		if (!enter_guest(v))
			continue;
		error = ioctl(v->fd, KVM_RUN, 0) < 0 ? errno : 0;
		vcpu_gate_leave(&v->gate);
		v->stats.exits++;
		if (!error) {
			handle_exit(v);
			while (v->idle)
				idle(v);
		} else if (error == EINTR || error == EAGAIN) {
			/* EAGAIN: an AP that was sent INIT. */
			v->stats.interrupted++;
			take_signal(v);
		} else if (error == EFAULT) {
			write_is_refused(v);
		} else {
			run_failed(v, error);
		}
	}
	vcpu_gate_close(&v->gate);
	/* A reset or power-off instruction is complete before the end. */
	vcpu_complete_exit(v->fd, v->run);
	running = NULL;
	vcpu_timer_stop(&v->timer);
	return NULL;
}

static int vcpu_init(struct vcpu *v, const struct boot_state *boot)
{
	const struct vcpu_env *env = &v->vs->env;
	int ret;

	v->fd = kvm_create_vcpu(env->kvm, v->index);
	if (v->fd < 0)
		return v->fd;
	v->run = mmap(NULL, env->kvm->run_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		v->run = NULL;
		return -errno;
	}
	v->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	ret = vcpu_set_cpuid(v->fd, env->kvm, env->hv, v->index, v->vs->count) ?:
	      vcpu_set_msrs(v->fd) ?:
	      vcpu_set_tsc_base(v->fd, env->tsc_base);
	if (ret || v->index)
		return ret;
	return vcpu_set_boot_state(v->fd, boot);
}

static void vcpu_finish(struct vcpu *v)
{
	if (v->run)
		munmap(v->run, v->vs->env.kvm->run_size);
	if (v->fd >= 0)
		close(v->fd);
	vcpu_timer_finish(&v->timer);
	vcpu_gate_finish(&v->gate);
}

static bool start_failed(struct vcpus *vs, int ret, GError **error)
{
	vcpus_stop(vs);
	user_error_set(error, EX_OSERR, "kvm.vcpu",
		       "cannot start the virtual processors", g_strerror(-ret),
		       "try fewer: -c N");
	return false;
}

bool vcpus_start(struct vcpus *vs, const struct boot_state *boot,
		 GError **error)
{
	const struct sigaction sa = { .sa_handler = kicked };
	int ret;

	sigaction(KICK_SIGNAL, &sa, NULL);
	vs->vcpu = g_new0(struct vcpu, vs->count);
	for (uint32_t i = 0; i < vs->count; i++) {
		vs->vcpu[i].vs = vs;
		vs->vcpu[i].index = i;
		vs->vcpu[i].fd = -1;
		vcpu_timer_init(&vs->vcpu[i].timer);
		vcpu_gate_init(&vs->vcpu[i].gate);
		if (vs->paused)
			vcpu_gate_hold(&vs->vcpu[i].gate, KICK_SIGNAL);
	}
	for (uint32_t i = 0; i < vs->count; i++) {
		ret = vcpu_init(&vs->vcpu[i], boot);
		if (ret)
			return start_failed(vs, ret, error);
	}
	for (uint32_t i = 0; i < vs->count; i++) {
		struct vcpu *v = &vs->vcpu[i];

		ret = pthread_create(&v->thread, NULL, vcpu_main, v);
		if (ret)
			return start_failed(vs, -ret, error);
		v->started = true;
	}
	return true;
}

void vcpus_stop(struct vcpus *vs)
{
	if (!vs->vcpu)
		return;

	for (uint32_t i = 0; i < vs->count; i++) {
		__atomic_store_n(&vs->vcpu[i].stop, true, __ATOMIC_RELEASE);
		vcpu_gate_release(&vs->vcpu[i].gate);
		if (!vs->vcpu[i].started)
			vcpu_gate_close(&vs->vcpu[i].gate);
	}
	for (uint32_t i = 0; i < vs->count; i++) {
		struct vcpu *v = &vs->vcpu[i];

		if (!v->started)
			continue;
		pthread_kill(v->thread, KICK_SIGNAL);
		pthread_join(v->thread, NULL);
	}
	/* Until the last one has ended, it may be at the others' gates. */
	for (uint32_t i = 0; i < vs->count; i++)
		vcpu_finish(&vs->vcpu[i]);
	g_clear_pointer(&vs->vcpu, g_free);
}

/*
 * Waiting twice: one that rests can be woken by an errand of one that does not
 * rest yet; those that run errands ask nothing of others.
 */
void vcpus_pause(struct vcpus *vs)
{
	vs->paused = true;
	if (!vs->vcpu)
		return;
	for (uint32_t i = 0; i < vs->count; i++)
		vcpu_gate_hold(&vs->vcpu[i].gate, KICK_SIGNAL);
	for (uint32_t i = 0; i < 2 * vs->count; i++)
		vcpu_gate_wait_held(&vs->vcpu[i % vs->count].gate);
}

void vcpus_resume(struct vcpus *vs)
{
	vs->paused = false;
	for (uint32_t i = 0; vs->vcpu && i < vs->count; i++)
		vcpu_gate_release(&vs->vcpu[i].gate);
}

void vcpus_stats(const struct vcpus *vs, struct vcpu_stats *stats)
{
	*stats = (struct vcpu_stats){ 0 };
	for (uint32_t i = 0; vs->vcpu && i < vs->count; i++) {
		const struct vcpu_stats *s = &vs->vcpu[i].stats;

		stats->exits += s->exits;
		stats->io += s->io;
		stats->mmio += s->mmio;
		stats->msr += s->msr;
		stats->hypercalls += s->hypercalls;
		stats->doorbells += s->doorbells;
		stats->interrupted += s->interrupted;
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "core/trace.h"
#include "core/util.h"
#include "devices/chipset/ioports.h"
#include "hv/hv.h"
#include "vmbus/bus.h"
#include "vmm/board.h"
#include "vmm/clock.h"
#include "vmm/control.h"
#include "vmm/crash.h"
#include "vmm/doorbell.h"
#include "vmm/hv_testdev.h"
#include "vmm/kvm.h"
#include "vmm/kvm_irq.h"
#include "vmm/machine.h"
#include "vmm/machine_methods.h"
#include "vmm/memory.h"
#include "vmm/network.h"
#include "vmm/profile.h"
#include "vmm/signals.h"
#include "vmm/storage.h"
#include "vmm/unknown_msr.h"
#include "vmm/vcpu.h"

#define NS_PER_MS	1000000u

/* What can end the guest's run; the first one counts. */
enum event {
	EVENT_NONE,
	EVENT_RESET,
	EVENT_POWER_OFF,
	EVENT_CRASH,
	EVENT_BUGCHECK,
	EVENT_TRIPLE_FAULT,
	EVENT_KVM_ERROR,
	EVENT_TIMEOUT,
	EVENT_QUIT,
	EVENT_STATUS,		/* somebody has chosen the status */
};

struct machine {
	const struct options *options;
	struct loop *loop;
	struct kvm kvm;
	struct memory memory;
	struct clock clock;
	struct hv_profile profile;
	struct kvm_irq irq;
	struct hv *hv;
	struct hv_testdev *testdev;	/* of MACHINE_UNIT_TEST, else NULL */
	struct vmbus *bus;
	struct storage storage;
	struct network network;
	struct board *board;
	struct vcpus vcpus;
	struct unknown_msr unknown_msr;
	struct signals signals;
	struct control *control;	/* NULL: nobody may call */
	struct loop_timer timeout;

	pthread_mutex_t lock;		/* of the event */
	enum event event;
	int event_status;		/* of EVENT_STATUS */
	char *why;			/* of a crash or error */
	struct loop_note event_note;	/* something has happened */
	struct loop_note drained;	/* the bus is at rest */

	int status;
	GError *error;
};

/* Any thread.  What comes second does not matter any more. */
static void take_event(struct machine *m, enum event event, int status,
		       const char *why)
{
	pthread_mutex_lock(&m->lock);
	if (m->event == EVENT_NONE) {
		m->event = event;
		m->event_status = status;
		m->why = g_strdup(why);
		loop_post(m->loop, &m->event_note);
	}
	pthread_mutex_unlock(&m->lock);
}

static void raise_event(struct machine *m, enum event event, const char *why)
{
	take_event(m, event, 0, why);
}

/*
 * What src/hv asks for.
 */
static void host_interrupt(void *host, uint32_t vp, uint8_t vector)
{
	kvm_irq_send(&((struct machine *)host)->irq, vp, vector);
}

static void host_flush_tlb(void *host, uint32_t vp, uint64_t vps)
{
	vcpus_flush_tlb(&((struct machine *)host)->vcpus, vps);
}

static bool host_run_on(void *host, uint32_t from, uint32_t vp,
			void (*run)(void *arg), void *arg)
{
	return vcpus_run_on(&((struct machine *)host)->vcpus, from, vp, run,
			    arg);
}

static int host_get_register(void *host, uint32_t vp, uint32_t name,
			     union hv_register_value *value)
{
	return vcpus_get_register(&((struct machine *)host)->vcpus, vp, name,
				  value);
}

static int host_set_register(void *host, uint32_t vp, uint32_t name,
			     const union hv_register_value *value)
{
	return vcpus_set_register(&((struct machine *)host)->vcpus, vp, name,
				  value);
}

static int host_start_vp(void *host, uint32_t vp,
			 const struct hv_initial_vp_context *context)
{
	return vcpus_start_vp(&((struct machine *)host)->vcpus, vp, context);
}

static void host_sint_route(void *host, uint32_t vp, unsigned sint,
			    uint8_t vector, bool auto_eoi)
{
	struct machine *m = host;

	vcpu_auto_eoi(&m->vcpus, vp, sint, auto_eoi ? vector : 0);
	kvm_irq_route_sint(&m->irq, vp, sint, vector);
}

static void host_eoi_assist(void *host, uint32_t vp, uint64_t value)
{
	vcpu_eoi_assist(&((struct machine *)host)->vcpus, vp, value);
}

static void host_sint_raise(void *host, uint32_t vp, unsigned sint)
{
	kvm_irq_raise_sint(&((struct machine *)host)->irq, vp, sint);
}

static void host_idle(void *host, uint32_t vp)
{
	vcpu_idle_current();
}

static void host_set_timer(void *host, uint32_t vp, uint64_t deadline)
{
	vcpu_set_timer(&((struct machine *)host)->vcpus, vp, deadline);
}

static uint64_t host_now(void *host)
{
	const struct machine *m = host;

	return clock_now(&m->clock, m->hv);
}

static uint64_t host_vp_runtime(void *host, uint32_t vp)
{
	return vcpu_current_runtime();
}

static int host_overlay_show(void *host, gpa_t gpa, uint32_t page,
			     bool writable)
{
	return memory_overlay_show(&((struct machine *)host)->memory, gpa,
				   page, writable);
}

static void host_overlay_hide(void *host, gpa_t gpa)
{
	memory_overlay_hide(&((struct machine *)host)->memory, gpa);
}

static void host_crash(void *host, uint32_t vp, const struct hv_crash *crash)
{
	g_autofree char *why = crash_describe(crash);

	vcpu_halt_current();
	raise_event(host, crash_is_bugcheck(crash) ? EVENT_BUGCHECK :
						     EVENT_CRASH, why);
}

static void host_reset(void *host, uint32_t vp)
{
	vcpu_halt_current();
	raise_event(host, EVENT_RESET, NULL);
}

static const struct hv_host_ops hv_host_ops = {
	.interrupt = host_interrupt,
	.flush_tlb = host_flush_tlb,
	.run_on = host_run_on,
	.get_register = host_get_register,
	.set_register = host_set_register,
	.start_vp = host_start_vp,
	.sint_route = host_sint_route,
	.eoi_assist = host_eoi_assist,
	.sint_raise = host_sint_raise,
	.idle = host_idle,
	.set_timer = host_set_timer,
	.now = host_now,
	.vp_runtime = host_vp_runtime,
	.overlay_show = host_overlay_show,
	.overlay_hide = host_overlay_hide,
	.crash = host_crash,
	.reset = host_reset,
};

/*
 * What src/vmbus asks for.
 */
static struct hv_sint *bus_sint(void *host, uint32_t vp, unsigned sint)
{
	return hv_get_sint(((struct machine *)host)->hv, vp, sint);
}

static int bus_doorbell_connect(void *host, uint32_t id,
				struct vmbus_channel *ch, void **cookie)
{
	struct machine *m = host;

	return doorbell_connect(&m->kvm, m->hv, id, ch, cookie);
}

static void bus_doorbell_disconnect(void *host, void *cookie)
{
	doorbell_disconnect(cookie);
}

static const struct vmbus_host_ops bus_host_ops = {
	.sint = bus_sint,
	.doorbell_connect = bus_doorbell_connect,
	.doorbell_disconnect = bus_doorbell_disconnect,
};

/*
 * What ends a run.
 */
static void vcpu_ended(void *host, uint32_t vp, enum vcpu_end end,
		       const char *why)
{
	raise_event(host, end == VCPU_TRIPLE_FAULT ? EVENT_TRIPLE_FAULT :
						     EVENT_KVM_ERROR, why);
}

/* On the thread of the vCPU that asked for it, inside its exit. */
static void board_reset(void *host)
{
	vcpu_halt_current();
	raise_event(host, EVENT_RESET, NULL);
}

static void board_power_off(void *host)
{
	vcpu_halt_current();
	raise_event(host, EVENT_POWER_OFF, NULL);
}

static void board_exit(void *host, int status)
{
	vcpu_halt_current();
	take_event(host, EVENT_STATUS, status, NULL);
}

static void board_quit(void *host)
{
	raise_event(host, EVENT_QUIT, NULL);
}

static const struct board_ops board_ops = {
	.reset = board_reset,
	.power_off = board_power_off,
	.exit = board_exit,
	.quit = board_quit,
};

static void timed_out(struct loop_timer *t)
{
	raise_event(container_of(t, struct machine, timeout), EVENT_TIMEOUT,
		    NULL);
}

static void signalled(struct signals *s, int signal)
{
	struct machine *m = container_of(s, struct machine, signals);

	take_event(m, EVENT_STATUS, 128 + signal, NULL);
}

/* The guest starts from nothing: a new virtual machine, its first vCPU. */
static bool boot(struct machine *m, GError **error)
{
	struct boot_state state;

	return kvm_create_vm(&m->kvm, &m->memory.guest, error) &&
	       kvm_irq_start(&m->irq, error) &&
	       board_load(m->board, profile_has_vmbus(&m->profile), &state,
			  error) &&
	       vcpus_start(&m->vcpus, &state, error);
}

static void finish(struct machine *m, int status)
{
	m->status = status;
	loop_stop(m->loop);
}

static void finish_with(struct machine *m, int status, const char *id,
			const char *what, const char *why, const char *advice)
{
	user_error_set(&m->error, status, id, what, why, advice);
	finish(m, status);
}

static void reboot(struct machine *m)
{
	struct vcpus *vs = &m->vcpus;

	trace(TRACE_KVM, "kvm.reset");
	if (m->testdev)
		hv_testdev_reset(m->testdev);
	hv_reset(m->hv);
	board_reset_devices(m->board);
	kvm_destroy_vm(&m->kvm);
	pthread_mutex_lock(&m->lock);
	m->event = EVENT_NONE;
	g_clear_pointer(&m->why, g_free);
	pthread_mutex_unlock(&m->lock);
	g_assert(!vs->vcpu);
	if (!boot(m, &m->error))
		finish(m, m->error->code);
}

static bool means_reset(const struct machine *m)
{
	bool crash = m->event == EVENT_TRIPLE_FAULT ||
		     m->event == EVENT_CRASH || m->event == EVENT_BUGCHECK;

	return m->event == EVENT_RESET ||
	       (crash && m->options->on_crash == ON_CRASH_RESET);
}

/* vCPUs have stopped and no request is in flight. */
static void drained(struct loop_note *note)
{
	struct machine *m = container_of(note, struct machine, drained);

	if (means_reset(m)) {
		reboot(m);
		return;
	}
	switch (m->event) {
	case EVENT_CRASH:
		finish_with(m, EXIT_GUEST_CRASHED, "guest.panic",
			    "the guest crashed: panic", m->why, NULL);
		break;
	case EVENT_BUGCHECK:
		finish_with(m, EXIT_GUEST_CRASHED, "guest.bugcheck",
			    "the guest crashed: bugcheck", m->why, NULL);
		break;
	case EVENT_TRIPLE_FAULT:
		finish_with(m, EXIT_GUEST_CRASHED, "guest.triple-fault",
			    "the guest crashed: triple fault",
			    "an exception without a handler that works",
			    "--on-crash reset, if the guest resets so");
		break;
	case EVENT_KVM_ERROR:
		finish_with(m, EX_SOFTWARE, "kvm.run",
			    "a virtual processor cannot go on", m->why,
			    "please report it with the output of --trace kvm");
		break;
	case EVENT_TIMEOUT:
		finish_with(m, EXIT_TIMED_OUT, "run.timeout",
			    "the time is up", "the guest still ran",
			    "more: --timeout TIME");
		break;
	case EVENT_STATUS:
		finish(m, m->event_status);
		break;
	default:
		finish(m, 0);
	}
}

static void handle_event(struct loop_note *note)
{
	struct machine *m = container_of(note, struct machine, event_note);
	struct vcpu_stats s;

	vcpus_stats(&m->vcpus, &s);
	vcpus_stop(&m->vcpus);
	if (m->options->stats)
		fprintf(stderr,
			"kvmbus: exits=%" PRIu64 " io=%" PRIu64 " mmio=%" PRIu64
			" msr=%" PRIu64 " hypercalls=%" PRIu64
			" doorbells=%" PRIu64 " interrupted=%" PRIu64 "\n",
			s.exits, s.io, s.mmio, s.msr, s.hypercalls,
			s.doorbells, s.interrupted);
	vmbus_reset(m->bus, &m->drained);
}

/*
 * What may be asked of it.
 */
void machine_pause(struct machine *m)
{
	vcpus_pause(&m->vcpus);
}

void machine_resume(struct machine *m)
{
	storage_again(&m->storage);
	vcpus_resume(&m->vcpus);
}

/* The guest does not see that the host has failed: it waits, and so does all. */
static void disk_held(void *host, const struct storage_held *h)
{
	struct machine *m = host;

	machine_pause(m);
	fprintf(stderr,
		"kvmbus: the host has failed at disk %s (controller %u, "
		"LUN %u): %s; the guest is paused until, when that is mended: "
		"kvmbus call %s Resume\n", h->file, h->controller, h->lun,
		g_strerror(h->error), m->options->control);
}

bool machine_is_paused(const struct machine *m)
{
	return m->vcpus.paused;
}

struct storage *machine_storage(struct machine *m)
{
	return &m->storage;
}

void machine_reset(struct machine *m)
{
	raise_event(m, EVENT_RESET, NULL);
}

void machine_power_off(struct machine *m)
{
	raise_event(m, EVENT_POWER_OFF, NULL);
}

struct network *machine_network(struct machine *m)
{
	return &m->network;
}

/*
 * Making one.
 */
static bool open_control(struct machine *m, GError **error)
{
	if (!m->options->control)
		return true;
	m->control = control_new(m->options->control, machine_methods, m->loop,
				 m, error);
	return m->control;
}

static bool open_host(struct machine *m, GError **error)
{
	const struct options *o = m->options;

	m->loop = loop_new(error);
	return m->loop && open_control(m, error) &&
	       kvm_open(&m->kvm, "/dev/kvm", error) &&
	       memory_init(&m->memory, o->memory, hv_overlay_pages(o->cpus),
			   error) &&
	       storage_open(&m->storage, o, &m->memory.gmem, m->loop,
			    error) &&
	       network_open(&m->network, o, &m->memory.gmem, error);
}

/* A NIC that nobody has asked for may be missing. */
static bool needs_vmbus(const struct options *o)
{
	return o->disks->len || (o->nics->len && !o->default_nic);
}

static bool make_profile(struct machine *m, struct hv_config *config,
			 GError **error)
{
	*config = profile_host(&m->kvm, &m->clock, m->options->cpus);
	if (!profile_choose(&m->profile, m->options, config, error))
		return false;
	m->kvm.apic_msrs = profile_has_apic_msrs(&m->profile);
	if (profile_has_vmbus(&m->profile) || !needs_vmbus(m->options))
		return true;
	user_error_set(error, EX_USAGE, "hv.no-vmbus",
		       "the guest would not find its disks and NICs",
		       "the profile lacks what VMBus needs: AccessSynicRegs, "
		       "PostMessages, SignalEvents",
		       "--hv-profile full, or no --disk and --net");
	return false;
}

static bool make_hv(struct machine *m, GError **error)
{
	struct hv_config config;

	if (!make_profile(m, &config, error))
		return false;
	config.overlay = m->memory.overlay;
	config.call_port = KVM_HYPERCALL_PORT;
	config.doorbell_port = KVM_DOORBELL_PORT;
	config.profile = &m->profile;
	m->hv = hv_new(&config, &m->memory.gmem, &hv_host_ops, m);
	m->vcpus = (struct vcpus){
		.count = m->options->cpus,
		.env = {
			.kvm = &m->kvm, .hv = m->hv,
			.memory = &m->memory.guest,
			.ports = board_ports(m->board),
			.tsc_base = m->clock.tsc_base,
			.unknown_msr = &m->unknown_msr,
			.now = host_now, .ended = vcpu_ended, .host = m,
		},
	};
	return true;
}

static void make_bus(struct machine *m)
{
	static const uint32_t ids[] = { VMBUS_MESSAGE_CONNECTION_ID,
					VMBUS_MESSAGE_CONNECTION_ID_4 };

	m->bus = vmbus_new(&m->memory.gmem, m->loop, &bus_host_ops, m);
	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
		hv_connect_message(m->hv, ids[i],
				   vmbus_message_port(m->bus, ids[i]));
	hv_connect_event(m->hv, VMBUS_EVENT_CONNECTION_ID,
			 vmbus_shared_event_port(m->bus));
	if (profile_has_vmbus(&m->profile))
		storage_offer(&m->storage, m->bus);
	network_offer(&m->network, m->bus);
}

static void make_testdev(struct machine *m)
{
	if (m->options->machine != MACHINE_UNIT_TEST)
		return;
	m->testdev = hv_testdev_new(m->hv, &hv_host_ops, m);
	ioports_add(board_ports(m->board), hv_testdev_port(m->testdev));
}

struct machine *machine_new(const struct options *o, GError **error)
{
	autoptr(machine) m = g_new0(struct machine, 1);

	m->options = o;
	m->kvm.fd = m->kvm.vm_fd = -1;
	m->memory.fd = m->memory.overlay_fd = -1;
	m->signals.fd = -1;
	m->event_note.run = handle_event;
	m->drained.run = drained;
	m->timeout.expired = timed_out;
	m->signals.received = signalled;
	pthread_mutex_init(&m->lock, NULL);
	unknown_msr_init(&m->unknown_msr);
	if (!open_host(m, error))
		return NULL;
	m->kvm.unknown_msrs = !o->unknown_msr_gp;
	m->board = board_new(o, &m->kvm, &m->memory.gmem, m->loop, &board_ops,
			     m, error);
	if (!m->board)
		return NULL;
	kvm_irq_init(&m->irq, &m->kvm, o->cpus);
	/* The first virtual machine, to learn the clock before src/hv is. */
	if (!kvm_create_vm(&m->kvm, &m->memory.guest, error))
		return NULL;
	clock_init(&m->clock, m->kvm.vm_fd, m->kvm.paravirtual);
	kvm_destroy_vm(&m->kvm);
	if (!m->clock.tsc_hz)
		kvm_hide_invariant_tsc(&m->kvm);
	if (!make_hv(m, error))
		return NULL;
	storage_watch(&m->storage, disk_held, m);
	make_bus(m);
	make_testdev(m);
	return g_steal_pointer(&m);
}

int machine_run(struct machine *m, GError **error)
{
	signals_catch(&m->signals, m->loop);
	if (!storage_start(&m->storage, error) ||
	    !network_start(&m->network, error) || !boot(m, error) ||
	    (m->control && !control_start(m->control, error)))
		return (*error)->code;
	if (m->options->timeout_ms)
		loop_timer_set(m->loop, &m->timeout,
			       loop_now(m->loop) +
				       m->options->timeout_ms * NS_PER_MS);
	loop_run(m->loop);
	if (m->error)
		g_propagate_error(error, g_steal_pointer(&m->error));
	return m->status;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;

	control_free(m->control);
	vcpus_stop(&m->vcpus);
	storage_close(&m->storage);
	network_close(&m->network);
	vmbus_free(m->bus);
	hv_testdev_free(m->testdev);
	hv_free(m->hv);
	board_free(m->board);
	kvm_irq_finish(&m->irq);
	kvm_close(&m->kvm);
	memory_finish(&m->memory);
	signals_finish(&m->signals);
	loop_free(m->loop);
	g_free(m->why);
	g_clear_error(&m->error);
	unknown_msr_finish(&m->unknown_msr);
	pthread_mutex_destroy(&m->lock);
	g_free(m);
}

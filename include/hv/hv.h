/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hv - the hypervisor interface (HV#1) of one partition, as a state machine.
 *
 * Inputs are the calls below; outputs are struct hv_host_ops, the ports and
 * guest memory.  No file descriptors, threads or clocks in here, so every test
 * of it is an ordinary program.
 *
 * Locking: VP n's inputs come from VP n's thread, one at a time but for what
 * run_on() has it do; ports and SINTs are used from any thread.  One lock per
 * VP and one for the partition, never held across a call to struct hv_host_ops
 * or a port, with the exception of sint_route, set_timer, now and the overlay
 * calls.  Ports are called with a lock that keeps them connected, so a port
 * must not connect or disconnect one.
 */
#ifndef HV_HV_H
#define HV_HV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/autoptr.h"
#include "core/gmem.h"
#include "hv/ports.h"
#include "hv/tlfs.h"

#define HV_VP_MAX	64	/* a set of VPs is the bits of 64 */

struct hv;
struct hv_profile;

#define HV_CRASH_MESSAGE_MAX	4096

/* What the guest said when it crashed.  TLFS 4.3, guest crash enlightenment. */
struct hv_crash {
	uint64_t guest_os_id;	/* HV_X64_MSR_GUEST_OS_ID */
	uint64_t p[5];		/* HV_X64_MSR_CRASH_P0-P4 */
	/*
	 * Text the guest left (CRASH_CTL bit 62), NUL-terminated, printable
	 * ASCII and newlines only; empty if none.
	 */
	char message[HV_CRASH_MESSAGE_MAX + 1];
};

struct hv_host_ops {
	/* Make @vp take @vector as an edge-triggered interrupt.  Any thread. */
	void (*interrupt)(void *host, uint32_t vp, uint8_t vector);

	/*
	 * When this returns, no VP of @vps (bit n: VP n) goes on with address
	 * translations older than the call; nor does @vp, the caller, if it
	 * is one of them, once it is back in the guest.  On @vp's thread.
	 */
	void (*flush_tlb)(void *host, uint32_t vp, uint64_t vps);

	/*
	 * Call @run(@arg) on @vp's thread while that is out of its guest, and
	 * return when it is done; on the thread of @from, which is @vp or
	 * does meanwhile what others want of it in the same way.  @run waits
	 * for nobody.  False: @vp's thread has ended, and nothing was called.
	 */
	bool (*run_on)(void *host, uint32_t from, uint32_t vp,
		       void (*run)(void *arg), void *arg);

	/*
	 * Architectural registers, HV_X64_REGISTER_*, on @vp's thread.  Those
	 * of a VP that is in an exit are as the exit found them.  0; -ENOENT:
	 * not here; -EINVAL: it cannot have this value; -EBUSY: the VP has not
	 * started.
	 */
	int (*get_register)(void *host, uint32_t vp, uint32_t name,
			    union hv_register_value *value);
	int (*set_register)(void *host, uint32_t vp, uint32_t name,
			    const union hv_register_value *value);

	/*
	 * Let @vp, which waits for SIPI, start in @context, on its thread.  0;
	 * -EBUSY: it does not wait; -EINVAL: it cannot start so.
	 */
	int (*start_vp)(void *host, uint32_t vp,
			const struct hv_initial_vp_context *context);

	/*
	 * The wire of a SINT: sint_raise() will mean @vector from now on, or
	 * nothing if @vector is 0 (masked, SynIC off).  With @auto_eoi the
	 * interrupt is over when it is taken: the guest will write no EOI.  On
	 * @vp's thread or in hv_reset(), with the VP's lock held.
	 */
	void (*sint_route)(void *host, uint32_t vp, unsigned sint,
			   uint8_t vector, bool auto_eoi);
	/*
	 * VP_ASSIST_PAGE is @value: if it is enabled, its first word tells the
	 * guest of interrupts that need no EOI.  On @vp's thread; only if
	 * hv_config.eoi_assist.  TLFS 10.3.5.
	 */
	void (*eoi_assist)(void *host, uint32_t vp, uint64_t value);
	/* Any thread. */
	void (*sint_raise)(void *host, uint32_t vp, unsigned sint);

	/*
	 * Let @vp sleep, once the exit that this is called from is over, until
	 * an interrupt is pending for it, even one that it cannot take.  On
	 * @vp's thread; only if hv_config.guest_idle.
	 */
	void (*idle)(void *host, uint32_t vp);

	/*
	 * Call hv_timer_expired(@vp) on @vp's thread once now() has reached
	 * @deadline; UINT64_MAX: no more.  Replaces the previous one.  Any
	 * thread, with the VP's lock held.
	 */
	void (*set_timer)(void *host, uint32_t vp, uint64_t deadline);

	/*
	 * Partition reference time, 100 ns units, monotonic over all VPs.  If
	 * hv_config.tsc_hz is set, it is exactly what the guest computes from
	 * its TSC by the reference TSC page: hv_tsc_to_ref().
	 */
	uint64_t (*now)(void *host);

	/*
	 * Time that @vp has run since its start, the host's work for it
	 * included, in 100 ns units; never goes back.  On @vp's thread.
	 */
	uint64_t (*vp_runtime)(void *host, uint32_t vp);

	/*
	 * Let the guest see page @page of hv_config.overlay at @gpa, instead of
	 * RAM or of another such page, until overlay_hide() brings RAM back.
	 * -errno if it cannot be, -EFAULT if @gpa is not RAM; then RAM is
	 * there.  If it is not @writable, a guest's write to it is #GP.  Never
	 * two at a time; hv keeps order among several.
	 */
	int (*overlay_show)(void *host, gpa_t gpa, uint32_t page,
			    bool writable);
	void (*overlay_hide)(void *host, gpa_t gpa);

	/* The guest wrote CRASH_CTL.  On @vp's thread. */
	void (*crash)(void *host, uint32_t vp, const struct hv_crash *crash);
	/* The guest asked for a reset by HV_X64_MSR_RESET.  On @vp's thread. */
	void (*reset)(void *host, uint32_t vp);
};

/* How many pages of overlay memory a partition with @vp_count VPs needs. */
uint32_t hv_overlay_pages(uint32_t vp_count);

struct hv_config {
	uint32_t vp_count;	/* 1 to HV_VP_MAX; APIC ids are VP indexes */
	/*
	 * Guest TSC frequency if it is constant and shared, else 0.  More than
	 * 10 MHz, the rate of reference time.
	 */
	uint64_t tsc_hz;
	/* Guest TSC at which reference time is 0. */
	uint64_t tsc_start;
	/* CPUID 0x80000007.EDX[8] tells the guest that @tsc_hz is constant. */
	bool tsc_invariant;
	uint64_t apic_hz;	/* APIC timer input clock; 0: unknown */
	unsigned gpa_bits;	/* width of guest addresses; 0: unknown */
	/* Overlay pages, hv_overlay_pages() of them, borrowed, zeroed. */
	uint8_t *overlay;
	/*
	 * Ports that the hypercall page uses: @call_port (8 bit) leaves to
	 * hv_hypercall(), @doorbell_port to hv_doorbell().
	 */
	uint8_t call_port;
	uint16_t doorbell_port;
	bool stimers;		/* synthetic timers can be offered */
	bool guest_idle;	/* idle works */
	/*
	 * The host has EOI, ICR and TPR (CPUID 0x40000003.EAX[4]) and hands
	 * them to the guest: hv_msr_read() and hv_msr_write() do not know them.
	 */
	bool apic_msrs;
	/*
	 * And eoi_assist works, and is better than what the hardware does for
	 * an EOI.  Only with apic_msrs.
	 */
	bool eoi_assist;
	/*
	 * What the guest is shown of what can be offered (hv/profile.h); NULL:
	 * all.  Borrowed until hv_new() returns.
	 */
	const struct hv_profile *profile;
};

/* @gm, @ops, @host are borrowed.  Never fails; @config is checked by assert. */
struct hv *hv_new(const struct hv_config *config, const struct gmem *gm,
		  const struct hv_host_ops *ops, void *host);
void hv_free(struct hv *hv);
AUTOPTR_DEFINE(hv, hv_free)

/*
 * CPUID leaf 0x40000000 to 0x400000ff, the same for all VPs: EAX, EBX, ECX,
 * EDX.  False if the leaf is beyond the highest one; then @out is zeroed.
 */
bool hv_cpuid(const struct hv *hv, uint32_t leaf, uint32_t out[4]);

/* MSRs 0x40000000 to 0x400001ff.  False: #GP, and nothing has changed. */
bool hv_msr_read(struct hv *hv, uint32_t vp, uint32_t msr, uint64_t *value);
bool hv_msr_write(struct hv *hv, uint32_t vp, uint32_t msr, uint64_t value);

#define HV_CALL_OUT_SIZE	2

/* The caller's state at an exit through call_port, and the result in it. */
struct hv_call {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, r8;
	bool long_mode;		/* 64-bit code segment, not compatibility */
	bool protected_mode;	/* CR0.PE, and not virtual-8086 */
	uint8_t cpl;
	/* XMM0-XMM5, filled by the caller only if hv_call_wants_xmm(). */
	uint8_t xmm[6][16];
	bool xmm_dirty;		/* the call returned output in xmm */
	/*
	 * The rep call was cut short so that interrupts can be taken: run the
	 * guest at the same OUT, which is HV_CALL_OUT_SIZE bytes long in the
	 * page (src/hv/page.c).  The start index in the input value is the
	 * element to go on with.
	 */
	bool again;
};

/* Whether the call uses XMM registers (costs the VMM an ioctl). */
bool hv_call_wants_xmm(const struct hv *hv, const struct hv_call *call);

/*
 * Do it, or a slice of it.  Changes RAX or EDX:EAX, the start index of a rep
 * call, and what a fast call's output is in: RDX, R8, XMM.  False: #UD, and
 * nothing has changed.
 */
bool hv_hypercall(struct hv *hv, uint32_t vp, struct hv_call *call);

/*
 * An OUT to doorbell_port that no in-kernel doorbell took: EAX holds the
 * connection id.  Return the value for RAX (see src/hv/page.c).
 */
uint64_t hv_doorbell(struct hv *hv, uint32_t vp, uint32_t connection_id);

/* See hv_host_ops.set_timer; early or spurious calls are harmless. */
void hv_timer_expired(struct hv *hv, uint32_t vp);

/* Reference time for a guest TSC value, with the page's own arithmetic. */
uint64_t hv_tsc_to_ref(const struct hv *hv, uint64_t tsc);

/*
 * The partition was reset: every MSR, overlay, timer and message is as on the
 * first day.  Ports and the notes of SINTs stay; reference time goes on.  All
 * VPs are stopped.
 */
void hv_reset(struct hv *hv);

/*
 * Attach a port to a connection id (24 bit).  Borrowed until disconnected.
 * -EEXIST if the id is taken.  Any thread, but not from inside a port; when
 * hv_disconnect() returns nobody is inside the port, nor will be.
 */
int hv_connect_event(struct hv *hv, uint32_t id, struct hv_event_port *port);
int hv_connect_message(struct hv *hv, uint32_t id,
		       struct hv_message_port *port);
void hv_disconnect(struct hv *hv, uint32_t id);

/* The SINT, owned by @hv; NULL if there is no such VP or SINT. */
struct hv_sint *hv_get_sint(struct hv *hv, uint32_t vp, unsigned sint);

#endif

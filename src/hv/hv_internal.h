/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State shared between the files of src/hv.
 *
 * Locks, outermost first: ports_lock, hv.lock or hv_vp.lock (never both),
 * overlay_lock.  What has none is of its VP's thread alone.
 */
#ifndef HV_HV_INTERNAL_H
#define HV_HV_INTERNAL_H

#include <glib.h>
#include <pthread.h>

#include "hv/hv.h"
#include "hv/profile.h"

/* Overlay pages: two of the partition, then three of each VP. */
enum { PAGE_HYPERCALL, PAGE_REFERENCE_TSC, PAGES_OF_PARTITION };
enum { PAGE_SIEF, PAGE_SIM, PAGE_ASSIST, PAGES_OF_VP };

struct overlay {
	gpa_t gpa;
	bool on;		/* the guest has put it there */
	bool seen;		/* and nothing younger covers it */
	uint64_t order;		/* of being put there */
};

struct stimer {
	uint64_t config, count;
	uint64_t due;		/* reference time; UINT64_MAX: not running */
	bool waits;		/* for the message slot of its SINT */
	uint64_t expired;	/* when, as its message says */
};

/* One SINT; all of it under the VP's lock. */
struct synic_sint {
	struct hv_sint port;
	struct hv_vp *vp;
	unsigned index;
	uint64_t msr;
	/* What the host was told. */
	uint8_t vector;		/* 0: none */
	bool auto_eoi;
	/* Those who wait for the message slot: in order, and bit n: timer n. */
	struct hv_sint_note *notes;
	uint8_t timers;
};

/* What a VP asks its host's timer for. */
enum due { DUE_TIMER, DUE_RETRY, DUE_COUNT };

struct hv_vp {
	struct hv *hv;
	uint32_t index;

	pthread_mutex_t lock;
	uint64_t scontrol, siefp, simp;
	struct synic_sint sint[HV_SYNIC_SINT_COUNT];
	struct hv_sint_note *running;	/* of any SINT, lock released */
	pthread_t runner;
	pthread_cond_t ran;
	uint64_t due[DUE_COUNT];	/* UINT64_MAX: never */
	uint64_t deadline;		/* the first, as the host was told */
	uint64_t retry_wait;		/* from a try to the next */

	/* The VP's own thread only. */
	uint64_t assist;
	struct stimer timer[HV_STIMER_COUNT];
};

struct hv {
	struct hv_config config;
	const struct gmem *gm;
	const struct hv_host_ops *ops;
	void *host;
	struct hv_profile profile;
	uint32_t features[4];	/* what it offers of leaf 0x40000003 */
	uint64_t tsc_scale;	/* 0 if there is no reference TSC page */
	uint64_t tsc_offset;

	pthread_mutex_t lock;	/* of the partition's registers */
	uint64_t guest_os_id;
	uint64_t page_msr[PAGES_OF_PARTITION];
	uint64_t tsc_invariant_control;
	uint64_t crash[5];

	pthread_mutex_t overlay_lock;
	struct overlay *overlay;	/* hv_overlay_pages() */
	uint64_t overlay_order;

	pthread_rwlock_t ports_lock;	/* read while inside a port */
	GHashTable *ports;		/* connection id -> struct port */

	const struct hypercall *calls;	/* see hypercall.h */
	size_t call_count;

	struct hv_vp *vp;
};

/* cpuid.c: the registers of CPUID, and whether all @bits are offered. */
enum hv_reg { EAX, EBX, ECX, EDX };
void profile_init(struct hv *hv);
/* Take from @p what cannot be offered with @config. */
void profile_narrow(struct hv_profile *p, const struct hv_config *config);
static inline bool hv_offers(const struct hv *hv, enum hv_reg reg,
			     uint32_t bits)
{
	return (hv->features[reg] & bits) == bits;
}

/* calls.c */
void calls_init(struct hv *hv);

/* overlay.c */
static inline uint32_t overlay_of_vp(const struct hv_vp *vp, unsigned page)
{
	return PAGES_OF_PARTITION + vp->index * PAGES_OF_VP + page;
}
uint8_t *overlay_memory(const struct hv *hv, uint32_t page);
/* Put @page where @msr says, or take it away if that is not enabled. */
void overlay_set(struct hv *hv, uint32_t page, uint64_t msr);
/* Whether what is seen at @gpa, the address of a page, is not RAM. */
bool overlay_is_at(struct hv *hv, gpa_t gpa);

/* page.c, reftime.c: what the partition's pages hold. */
void hypercall_page_write(const struct hv *hv);
void reference_tsc_page_write(const struct hv *hv);

/* reftime.c */
void reftime_init(struct hv *hv);
uint64_t reftime_now(const struct hv *hv);

/* ports.c */
void ports_init(struct hv *hv);
void ports_finish(struct hv *hv);
enum hv_status ports_signal(struct hv *hv, uint32_t id, uint16_t flag);
enum hv_status ports_post(struct hv *hv, uint32_t id, uint32_t type,
			  const void *payload, size_t len);

/* synic.c: MSRs SCONTROL to EOM and SINT0 to SINT15. */
void synic_init(struct hv_vp *vp);
void synic_finish(struct hv_vp *vp);
void synic_reset(struct hv_vp *vp);
bool synic_read(struct hv_vp *vp, uint32_t msr, uint64_t *value);
bool synic_write(struct hv_vp *vp, uint32_t msr, uint64_t value);
bool synic_page_is_on(const struct hv_vp *vp, uint64_t page_msr);
void synic_raise(const struct synic_sint *s);

/* message.c */
int message_post(struct hv_sint *port, uint32_t type, const void *payload,
		 size_t len, struct hv_sint_note *note);
bool message_is_taken(struct hv_sint *port);
void message_forget(struct hv_sint *port, struct hv_sint_note *note);
/* Timer @n's message.  False: the slot is busy, and timer @n waits for it. */
bool message_post_timer(struct synic_sint *s, unsigned n,
			const struct hv_timer_message_payload *payload);
void message_forget_timer(struct synic_sint *s, unsigned n);
/* On the VP's thread: slots may have become free.  Try what waits for them. */
void message_retry(struct hv_vp *vp);

/* The same, if it is due: nothing may have said so. */
void message_retry_expired(struct hv_vp *vp);
/* With the VP's lock: whether something waits has changed. */
void message_update_retry(struct hv_vp *vp);

/* deadline.c: with the VP's lock. */
void deadline_init(struct hv_vp *vp);
void deadline_set(struct hv_vp *vp, enum due due, uint64_t at);

/* stimer.c: all on the VP's thread. */
bool stimer_read(struct hv_vp *vp, uint32_t msr, uint64_t *value);
bool stimer_write(struct hv_vp *vp, uint32_t msr, uint64_t value);
/* Expire what is due. */
void stimer_run(struct hv_vp *vp);
void stimer_retry(struct hv_vp *vp);
void stimer_init(struct hv_vp *vp);
void stimer_reset(struct hv_vp *vp);

/* crash.c */
bool crash_write_ctl(struct hv_vp *vp, uint32_t msr, uint64_t ctl);

#endif

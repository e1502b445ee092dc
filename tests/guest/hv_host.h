/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hv_host - a host for src/hv in a test: RAM, overlays, a clock to turn, and a
 * record of what hv asked for; and the guest's side of the SynIC.
 *
 * Overlays are mapped over RAM as the real machine does it, so in @ram a test
 * sees what a guest would; gmem is a mapping without them.  The recording may be
 * read while other threads signal.
 */
#ifndef TESTS_HV_HOST_H
#define TESTS_HV_HOST_H

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/gmem.h"
#include "hv/hv.h"

#define HV_HOST_RAM		(UINT64_C(1) << 20)
#define HV_HOST_CALL_PORT	0xe8
#define HV_HOST_DOORBELL_PORT	0x9c5d
#define HV_HOST_TSC_HZ		UINT64_C(2000000000)
#define HV_HOST_APIC_HZ		UINT64_C(200000000)
#define HV_HOST_GPA_BITS	40

struct hv_host_vp {
	uint64_t deadline;		/* UINT64_MAX: none */
	unsigned idles;
	unsigned timer_sets;
	uint8_t route[HV_SYNIC_SINT_COUNT];
	bool auto_eoi[HV_SYNIC_SINT_COUNT];
	unsigned routes;		/* calls of sint_route */
	unsigned raised[HV_SYNIC_SINT_COUNT];
	unsigned assists;		/* calls of eoi_assist */
	uint64_t assist;		/* and the last one's value */
	unsigned interrupts[256];	/* by vector */
};

/* Registers that tests set; all others are zero. */
#define HV_HOST_REGISTERS	256

struct hv_host {
	struct hv *hv;
	struct hv_config config;
	struct gmem gmem;
	struct gmem_region region;
	uint8_t *ram, *below, *overlay;
	int ram_fd, overlay_fd;
	uint64_t now;
	uint64_t runtime;		/* of VP 0; VP n has n more */
	struct hv_host_vp vp[HV_VP_MAX];
	unsigned shows, hides;
	bool writable;			/* as the last one was shown */
	bool read_only[HV_HOST_RAM / GMEM_PAGE_SIZE];
	int show_fails;			/* with this -errno, if not 0 */
	unsigned flushes;
	uint32_t flusher;		/* who asked for the last one */
	uint64_t flushed;		/* and for whom */
	/* What run_on was last asked for, and the VP that it is in. */
	uint32_t from;
	unsigned errands;
	int inside;			/* -1: none */
	uint64_t ended;			/* VPs that run nothing any more */
	struct hv_host_register {
		uint32_t vp, name;
		union hv_register_value value;
	} registers[HV_HOST_REGISTERS];
	unsigned register_count;
	int set_fails, start_fails;	/* with this -errno, if not 0 */
	unsigned starts;
	uint32_t started;
	struct hv_initial_vp_context context;
	unsigned crashes, resets;
	struct hv_crash crash;		/* the last one */
};

/*
 * hv_host_ops
 */
static inline void hv_host_interrupt(void *host, uint32_t vp, uint8_t vector)
{
	struct hv_host *h = host;

	__atomic_fetch_add(&h->vp[vp].interrupts[vector], 1, __ATOMIC_RELAXED);
}

static inline void hv_host_flush_tlb(void *host, uint32_t vp, uint64_t vps)
{
	struct hv_host *h = host;

	h->flushes++;
	h->flusher = vp;
	h->flushed = vps;
}

static inline bool hv_host_run_on(void *host, uint32_t from, uint32_t vp,
				  void (*run)(void *arg), void *arg)
{
	struct hv_host *h = host;

	g_assert(from < h->config.vp_count && vp < h->config.vp_count);
	if (h->ended >> vp & 1)
		return false;
	h->errands++;
	h->from = from;
	h->inside = (int)vp;
	run(arg);
	h->inside = -1;
	return true;
}

static inline bool hv_host_is_here(const struct hv_host *h, uint32_t vp)
{
	/* The caller of a simple call is there by itself. */
	return h->inside == (int)vp || (h->inside == -1 && vp == 0);
}

static inline struct hv_host_register *
hv_host_register(struct hv_host *h, uint32_t vp, uint32_t name)
{
	struct hv_host_register *r = h->registers;

	while (r < h->registers + h->register_count &&
	       (r->vp != vp || r->name != name))
		r++;
	return r;
}

static inline int hv_host_get_register(void *host, uint32_t vp, uint32_t name,
				       union hv_register_value *value)
{
	struct hv_host *h = host;
	const struct hv_host_register *r = hv_host_register(h, vp, name);

	g_assert(hv_host_is_here(h, vp));
	*value = (union hv_register_value){ 0 };
	if (r < h->registers + h->register_count)
		*value = r->value;
	return 0;
}

static inline int hv_host_set_register(void *host, uint32_t vp, uint32_t name,
				       const union hv_register_value *value)
{
	struct hv_host *h = host;
	struct hv_host_register *r = hv_host_register(h, vp, name);

	g_assert(hv_host_is_here(h, vp));
	if (h->set_fails)
		return h->set_fails;
	g_assert(r < h->registers + HV_HOST_REGISTERS);
	if (r == h->registers + h->register_count)
		h->register_count++;
	*r = (struct hv_host_register){ vp, name, *value };
	return 0;
}

static inline int hv_host_start_vp(void *host, uint32_t vp,
				   const struct hv_initial_vp_context *context)
{
	struct hv_host *h = host;

	g_assert(hv_host_is_here(h, vp));
	if (h->start_fails)
		return h->start_fails;
	h->starts++;
	h->started = vp;
	h->context = *context;
	return 0;
}

static inline void hv_host_sint_route(void *host, uint32_t vp, unsigned sint,
				      uint8_t vector, bool auto_eoi)
{
	struct hv_host *h = host;

	h->vp[vp].route[sint] = vector;
	h->vp[vp].auto_eoi[sint] = auto_eoi;
	h->vp[vp].routes++;
}

static inline void hv_host_eoi_assist(void *host, uint32_t vp, uint64_t value)
{
	struct hv_host *h = host;

	h->vp[vp].assists++;
	h->vp[vp].assist = value;
}

static inline void hv_host_sint_raise(void *host, uint32_t vp, unsigned sint)
{
	struct hv_host *h = host;

	__atomic_fetch_add(&h->vp[vp].raised[sint], 1, __ATOMIC_SEQ_CST);
}

static inline void hv_host_idle(void *host, uint32_t vp)
{
	((struct hv_host *)host)->vp[vp].idles++;
}

static inline void hv_host_set_timer(void *host, uint32_t vp,
				     uint64_t deadline)
{
	struct hv_host *h = host;

	h->vp[vp].deadline = deadline;
	h->vp[vp].timer_sets++;
}

static inline uint64_t hv_host_now(void *host)
{
	return ((struct hv_host *)host)->now;
}

static inline uint64_t hv_host_vp_runtime(void *host, uint32_t vp)
{
	return ((struct hv_host *)host)->runtime + vp;
}

/* Where the guest has that page, or NULL. */
static inline uint8_t *hv_host_page(struct hv_host *h, gpa_t gpa)
{
	return gmem_ptr(&h->gmem, gpa, GMEM_PAGE_SIZE) ? h->ram + gpa : NULL;
}

static inline void hv_host_map(uint8_t *at, int prot, int fd, uint64_t offset)
{
	void *p = mmap(at, GMEM_PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED, fd,
		       (off_t)offset);

	g_assert(p == at);
}

static inline int hv_host_overlay_show(void *host, gpa_t gpa, uint32_t page,
				       bool writable)
{
	struct hv_host *h = host;
	uint8_t *at = hv_host_page(h, gpa);

	h->shows++;
	g_assert(page < hv_overlay_pages(h->config.vp_count));
	g_assert(gpa % GMEM_PAGE_SIZE == 0);
	if (!at)
		return -EFAULT;
	if (h->show_fails)
		return h->show_fails;
	h->writable = writable;
	h->read_only[gpa / GMEM_PAGE_SIZE] = !writable;
	hv_host_map(at, PROT_READ | (writable ? PROT_WRITE : 0), h->overlay_fd,
		    page * GMEM_PAGE_SIZE);
	return 0;
}

static inline void hv_host_overlay_hide(void *host, gpa_t gpa)
{
	struct hv_host *h = host;
	uint8_t *at = hv_host_page(h, gpa);

	h->hides++;
	g_assert(at);
	h->read_only[gpa / GMEM_PAGE_SIZE] = false;
	hv_host_map(at, PROT_READ | PROT_WRITE, h->ram_fd, gpa);
}

static inline void hv_host_crash(void *host, uint32_t vp,
				 const struct hv_crash *crash)
{
	struct hv_host *h = host;

	h->crashes++;
	h->crash = *crash;
}

static inline void hv_host_reset(void *host, uint32_t vp)
{
	((struct hv_host *)host)->resets++;
}

static const struct hv_host_ops hv_host_ops = {
	.interrupt = hv_host_interrupt,
	.flush_tlb = hv_host_flush_tlb,
	.run_on = hv_host_run_on,
	.get_register = hv_host_get_register,
	.set_register = hv_host_set_register,
	.start_vp = hv_host_start_vp,
	.sint_route = hv_host_sint_route,
	.eoi_assist = hv_host_eoi_assist,
	.sint_raise = hv_host_sint_raise,
	.idle = hv_host_idle,
	.set_timer = hv_host_set_timer,
	.now = hv_host_now,
	.vp_runtime = hv_host_vp_runtime,
	.overlay_show = hv_host_overlay_show,
	.overlay_hide = hv_host_overlay_hide,
	.crash = hv_host_crash,
	.reset = hv_host_reset,
};

/*
 * Making one.
 */
static inline int hv_host_memfd(uint64_t size)
{
	int fd = memfd_create("hv-host", MFD_CLOEXEC);

	g_assert(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	return fd;
}

static inline uint8_t *hv_host_memory(uint64_t size, int fd)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	g_assert(p != MAP_FAILED);
	return p;
}

/* The offered features as @config has them; memory and ports are ours. */
static inline void hv_host_init_with(struct hv_host *h,
				     const struct hv_config *config)
{
	const uint64_t overlays = hv_overlay_pages(config->vp_count) *
				  GMEM_PAGE_SIZE;

	*h = (struct hv_host){ .config = *config, .inside = -1 };
	h->ram_fd = hv_host_memfd(HV_HOST_RAM);
	h->ram = hv_host_memory(HV_HOST_RAM, h->ram_fd);
	h->below = hv_host_memory(HV_HOST_RAM, h->ram_fd);
	h->overlay_fd = hv_host_memfd(overlays);
	h->overlay = hv_host_memory(overlays, h->overlay_fd);
	h->region = (struct gmem_region){ 0, HV_HOST_RAM, h->below };
	h->gmem = (struct gmem){ &h->region, 1 };
	for (uint32_t i = 0; i < HV_VP_MAX; i++)
		h->vp[i].deadline = UINT64_MAX;
	h->config.overlay = h->overlay;
	h->config.call_port = HV_HOST_CALL_PORT;
	h->config.doorbell_port = HV_HOST_DOORBELL_PORT;
	h->hv = hv_new(&h->config, &h->gmem, &hv_host_ops, h);
}

/* A guest's write to memory: false if it is #GP. */
static inline bool hv_host_store(struct hv_host *h, gpa_t gpa, uint8_t value)
{
	if (h->read_only[gpa / GMEM_PAGE_SIZE])
		return false;
	h->ram[gpa] = value;
	return true;
}

/* All features. */
static inline struct hv_config hv_host_config(uint32_t vp_count)
{
	return (struct hv_config){
		.vp_count = vp_count,
		.tsc_hz = HV_HOST_TSC_HZ,
		.tsc_invariant = true,
		.apic_hz = HV_HOST_APIC_HZ,
		.gpa_bits = HV_HOST_GPA_BITS,
		.stimers = true,
		.guest_idle = true,
	};
}

static inline void hv_host_init(struct hv_host *h, uint32_t vp_count)
{
	const struct hv_config config = hv_host_config(vp_count);

	hv_host_init_with(h, &config);
}

static inline void hv_host_finish(struct hv_host *h)
{
	hv_free(h->hv);
	munmap(h->ram, HV_HOST_RAM);
	munmap(h->below, HV_HOST_RAM);
	munmap(h->overlay,
	       hv_overlay_pages(h->config.vp_count) * GMEM_PAGE_SIZE);
	close(h->ram_fd);
	close(h->overlay_fd);
}

/* Turn the clock, and let timers expire that are due by then. */
static inline void hv_host_set_time(struct hv_host *h, uint64_t now)
{
	h->now = now;
	for (uint32_t i = 0; i < h->config.vp_count; i++) {
		if (h->vp[i].deadline > now)
			continue;
		h->vp[i].deadline = UINT64_MAX;
		hv_timer_expired(h->hv, i);
		g_assert(h->vp[i].deadline > now);
	}
}

/*
 * The guest's side.
 */
static inline bool hv_host_wrmsr(struct hv_host *h, uint32_t vp, uint32_t msr,
				 uint64_t value)
{
	return hv_msr_write(h->hv, vp, msr, value);
}

/* What #GP must not leave behind. */
#define HV_HOST_NO_VALUE	UINT64_C(0xdeadbeefdeadbeef)

static inline uint64_t hv_host_rdmsr(struct hv_host *h, uint32_t vp,
				     uint32_t msr)
{
	uint64_t value = HV_HOST_NO_VALUE;

	if (!hv_msr_read(h->hv, vp, msr, &value))
		g_assert(value == HV_HOST_NO_VALUE);
	return value;
}

/* Where hv_host_synic_on() puts the pages of a VP: RAM from 512 KiB up. */
static inline gpa_t hv_host_simp(uint32_t vp)
{
	return 0x80000 + vp * 2 * GMEM_PAGE_SIZE;
}

static inline gpa_t hv_host_siefp(uint32_t vp)
{
	return hv_host_simp(vp) + GMEM_PAGE_SIZE;
}

static inline void hv_host_synic_on(struct hv_host *h, uint32_t vp)
{
	g_assert(hv_host_siefp(vp) < HV_HOST_RAM);
	hv_host_wrmsr(h, vp, HV_X64_MSR_SIMP,
		      hv_host_simp(vp) | HV_MSR_PAGE_ENABLE);
	hv_host_wrmsr(h, vp, HV_X64_MSR_SIEFP,
		      hv_host_siefp(vp) | HV_MSR_PAGE_ENABLE);
	hv_host_wrmsr(h, vp, HV_X64_MSR_SCONTROL, HV_SYNIC_CONTROL_ENABLE);
}

static inline uint8_t *hv_host_slot(struct hv_host *h, uint32_t vp,
				    unsigned sint)
{
	return h->ram + hv_host_simp(vp) + sint * HV_MESSAGE_SIZE;
}

static inline uint32_t hv_host_message_type(struct hv_host *h, uint32_t vp,
					    unsigned sint)
{
	uint8_t *slot = hv_host_slot(h, vp, sint);

	return __atomic_load_n((uint32_t *)(void *)slot, __ATOMIC_ACQUIRE);
}

/* Whether flag @flag was set; it is not any more. */
static inline bool hv_host_take_flag(struct hv_host *h, uint32_t vp,
				     unsigned sint, unsigned flag)
{
	uint8_t *byte = h->ram + hv_host_siefp(vp) +
			sint * HV_EVENT_FLAG_COUNT / 8 + flag / 8;
	uint8_t bit = (uint8_t)(1u << flag % 8);

	return __atomic_fetch_and(byte, (uint8_t)~bit, __ATOMIC_SEQ_CST) & bit;
}

struct hv_host_message {
	struct hv_message_header header;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
};

/*
 * Take the message in the slot, as a guest does: empty the slot, then look
 * whether more wait, and then say EOM.  False if there is none.
 */
static inline bool hv_host_take_message(struct hv_host *h, uint32_t vp,
					unsigned sint,
					struct hv_host_message *m)
{
	uint8_t *slot = hv_host_slot(h, vp, sint);
	uint8_t *flags = slot +
			 offsetof(struct hv_message_header, message_flags);

	if (hv_host_message_type(h, vp, sint) == HVMSG_NONE)
		return false;
	m->header.message_type = hv_host_message_type(h, vp, sint);
	m->header.message_flags = __atomic_load_n(flags, __ATOMIC_RELAXED);
	m->header.payload_size =
		slot[offsetof(struct hv_message_header, payload_size)];
	memcpy(&m->header.origination_id,
	       slot + offsetof(struct hv_message_header, origination_id),
	       sizeof(m->header.origination_id));
	memcpy(m->payload, slot + sizeof(m->header), m->header.payload_size);
	__atomic_store_n((uint32_t *)(void *)slot, HVMSG_NONE,
			 __ATOMIC_SEQ_CST);
	if (__atomic_load_n(flags, __ATOMIC_SEQ_CST) & HV_MESSAGE_FLAG_PENDING)
		hv_host_wrmsr(h, vp, HV_X64_MSR_EOM, 0);
	return true;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hv_model - what the SynIC, the synthetic timers and the overlay pages do,
 * said a second time, as plainly as it can be: no locks, atomics or effects.
 * TLFS 5.2.1, 11 and 12.  It shares nothing with src/hv but the constants.
 *
 * Where the TLFS leaves a choice, the model makes that of include/hv, and its
 * comment begins with "Choice:".
 *
 * Inputs are the functions below; the outputs are the fields of the structures,
 * to be looked at after each input.
 */
#ifndef TESTS_HV_MODEL_H
#define TESTS_HV_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/ports.h"
#include "hv/tlfs.h"

#define HV_MODEL_VPS		2
#define HV_MODEL_SENDERS	3	/* of messages, to each SINT */
#define HV_MODEL_PAGE		4096u

/* The pages of RAM that are looked at; the last is the last of the RAM. */
#define HV_MODEL_PAGES		8
#define HV_MODEL_RAM_END	UINT64_C(0x100000)
#define HV_MODEL_GPA \
	(HV_MODEL_RAM_END - HV_MODEL_PAGES * HV_MODEL_PAGE)

/* The partition's overlays, then those of each VP. */
enum { MODEL_HYPERCALL, MODEL_TSC, MODEL_OF_PARTITION };
enum { MODEL_SIEF, MODEL_SIM, MODEL_ASSIST, MODEL_OF_VP };
#define HV_MODEL_OVERLAYS \
	(MODEL_OF_PARTITION + HV_MODEL_VPS * MODEL_OF_VP)

struct model_overlay {
	uint64_t msr;
	unsigned placed;	/* the larger, the later */
	uint8_t bytes[HV_MODEL_PAGE];
};

/* One who sends numbered messages to a SINT, and waits when it must. */
struct model_sender {
	unsigned backlog;	/* messages not yet sent */
	unsigned next;		/* number of the next one */
	unsigned runs;		/* times it was told to try again */
	bool queued;
};

struct model_sint {
	uint64_t msr;
	struct model_sender sender[HV_MODEL_SENDERS];
	struct model_sender *queue[HV_MODEL_SENDERS];
	unsigned waiting;	/* entries of queue */
	unsigned raised;
};

struct model_timer {
	uint64_t config, count;
	uint64_t due;		/* UINT64_MAX: not running */
	uint64_t expiration;	/* of the message */
	bool queued;		/* it has a message that waits */
};

struct model_vp {
	uint64_t scontrol;
	struct model_sint sint[HV_SYNIC_SINT_COUNT];
	struct model_timer timer[HV_STIMER_COUNT];
	unsigned interrupts[256];	/* of timers, by vector */
	uint64_t retry;		/* of messages that wait; UINT64_MAX: none */
	uint64_t retry_wait;
};

struct hv_model {
	uint64_t now;
	uint64_t guest_os_id;
	unsigned placed;	/* the last of model_overlay.placed */
	struct model_overlay overlay[HV_MODEL_OVERLAYS];
	struct model_vp vp[HV_MODEL_VPS];
	uint8_t ram[HV_MODEL_PAGES][HV_MODEL_PAGE];
	/* What the two pages hold that the hypervisor fills. */
	uint8_t content[MODEL_OF_PARTITION][HV_MODEL_PAGE];
};

/* Message @number of sender @sender, the same on both sides: its length. */
struct model_message {
	uint32_t type;
	uint64_t origin;
	size_t len;
	uint8_t payload[HV_MESSAGE_PAYLOAD_MAX];
};
void hv_model_message(struct model_message *m, unsigned sender,
		      unsigned number);
/* The port that it posts to. */
uint32_t hv_model_port_id(unsigned sender);

void hv_model_init(struct hv_model *m,
		   uint8_t (*content)[HV_MODEL_PAGE]);
void hv_model_reset(struct hv_model *m);

/* Only the MSRs of hv_pair_msr.  A write may be refused, with #GP. */
uint64_t hv_model_read(struct hv_model *m, unsigned vp, uint32_t msr);
bool hv_model_write(struct hv_model *m, unsigned vp, uint32_t msr,
		    uint64_t value);

/* hv_sint.signal, .post by a sender with one message more, and .forget. */
int hv_model_signal(struct hv_model *m, unsigned vp, unsigned sint,
		    uint16_t flag);
void hv_model_post(struct hv_model *m, unsigned vp, unsigned sint,
		   unsigned sender);
/* hv_sint.takes_messages */
bool hv_model_takes_messages(struct hv_model *m, unsigned vp);
void hv_model_forget(struct hv_model *m, unsigned vp, unsigned sint,
		     unsigned sender);

/* Time is @now, and whatever is due has expired. */
void hv_model_set_time(struct hv_model *m, uint64_t now);
/* Whatever is due of @vp has. */
void hv_model_timer_expired(struct hv_model *m, unsigned vp);

/* The page that is seen at page @n of HV_MODEL_GPA; only @n is RAM. */
uint8_t *hv_model_page(struct hv_model *m, unsigned n);
/* Whether the guest may write to it. */
bool hv_model_page_is_writable(const struct hv_model *m, unsigned n);

/* What the interrupt line of a SINT stands for; 0: nothing. */
uint8_t hv_model_vector(const struct model_vp *v, unsigned sint);
/* When the first timer is due, or messages that wait are tried. */
uint64_t hv_model_deadline(const struct model_vp *v);

#endif

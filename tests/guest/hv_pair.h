/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hv_pair - src/hv and its model side by side: each input goes to both, and
 * then all that a guest or a host can see of them is compared.
 */
#ifndef TESTS_HV_PAIR_H
#define TESTS_HV_PAIR_H

#include "hv_host.h"
#include "hv_model.h"

struct hv_pair_sender {
	struct hv_sint *sint;
	struct hv_sint_note note;
	unsigned index;		/* of the senders to this SINT */
	unsigned backlog, next, runs;
};

struct hv_pair {
	struct hv_host h;
	struct hv_model m;
	struct hv_pair_sender sender[HV_MODEL_VPS][HV_SYNIC_SINT_COUNT]
				    [HV_MODEL_SENDERS];
	char *difference;	/* the first one that was seen, or NULL */
};

void hv_pair_init(struct hv_pair *p);
/* Compares once more, and looks at the RAM that nobody was given. */
void hv_pair_reset_and_check(struct hv_pair *p);
void hv_pair_finish(struct hv_pair *p);

/* The MSRs that are compared. */
extern const uint32_t hv_pair_msr[];
extern const size_t hv_pair_msr_count;

/*
 * Inputs.  @at is an offset from HV_MODEL_GPA; a store to what the guest may
 * only read is none.
 */
void hv_pair_write(struct hv_pair *p, unsigned vp, uint32_t msr,
		   uint64_t value);
void hv_pair_store(struct hv_pair *p, unsigned at, const void *bytes,
		   size_t len);
void hv_pair_signal(struct hv_pair *p, unsigned vp, unsigned sint,
		    uint16_t flag);
void hv_pair_post(struct hv_pair *p, unsigned vp, unsigned sint,
		  unsigned sender);
void hv_pair_forget(struct hv_pair *p, unsigned vp, unsigned sint,
		    unsigned sender);
void hv_pair_set_time(struct hv_pair *p, uint64_t now);
/* The host's timer comes without reason. */
void hv_pair_early_timer(struct hv_pair *p, unsigned vp);
void hv_pair_reset(struct hv_pair *p);

#endif

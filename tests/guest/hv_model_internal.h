/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the model have of each other. */
#ifndef TESTS_HV_MODEL_INTERNAL_H
#define TESTS_HV_MODEL_INTERNAL_H

#include "hv_model.h"

#define MODEL_RETRY_MIN	10000u		/* 1 ms */

struct model_overlay *model_of_vp(struct hv_model *m,
				  const struct model_vp *v, unsigned which);

/* hv_model_synic.c.  False: the slot is busy, or out of reach. */
bool model_deliver(struct hv_model *m, struct model_vp *v, unsigned sint,
		   const struct model_message *msg);
/* Slots may have become free. */
void model_retry(struct hv_model *m, struct model_vp *v);
/* The same if it is time. */
void model_retry_due(struct hv_model *m, struct model_vp *v);
/* Something may wait or not any more: see to it. */
void model_plan_retry(struct hv_model *m, struct model_vp *v);

/* hv_model_timer.c */
void model_timer_write(struct hv_model *m, struct model_vp *v, unsigned reg,
		       uint64_t value);
/* The message of timer @n, for the first time or once more. */
void model_send_expired(struct hv_model *m, struct model_vp *v, unsigned n);

#endif

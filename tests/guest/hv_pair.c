/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>

#include "core/util.h"
#include "hv_pair.h"

static_assert(HV_MODEL_RAM_END == HV_HOST_RAM, "the window is its end");

#define SINT(n)		(HV_X64_MSR_SINT0 + (n))
#define TIMER(n)	(HV_X64_MSR_STIMER0_CONFIG + (n))

const uint32_t hv_pair_msr[] = {
	HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_VP_INDEX,
	HV_X64_MSR_TIME_REF_COUNT, HV_X64_MSR_REFERENCE_TSC,
	HV_X64_MSR_VP_ASSIST_PAGE, HV_X64_MSR_SCONTROL, HV_X64_MSR_SVERSION,
	HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP, HV_X64_MSR_EOM,
	SINT(0), SINT(1), SINT(2), SINT(3), SINT(4), SINT(5), SINT(6), SINT(7),
	SINT(8), SINT(9), SINT(10), SINT(11), SINT(12), SINT(13), SINT(14),
	SINT(15),
	TIMER(0), TIMER(1), TIMER(2), TIMER(3), TIMER(4), TIMER(5), TIMER(6),
	TIMER(7),
};
const size_t hv_pair_msr_count = G_N_ELEMENTS(hv_pair_msr);

/*
 * Comparing.
 */
static void G_GNUC_PRINTF(2, 3) differ(struct hv_pair *p, const char *text, ...)
{
	va_list args;

	if (p->difference)
		return;
	va_start(args, text);
	p->difference = g_strdup_vprintf(text, args);
	va_end(args);
}

#define SAME(p, model, hv, text, ...)					\
	do {								\
		uint64_t model_ = (model), hv_ = (hv);			\
									\
		if (model_ != hv_)					\
			differ((p), text ": model %#" PRIx64 ", hv %#"	\
			       PRIx64, __VA_ARGS__, model_, hv_);	\
	} while (0)

static void compare_msrs(struct hv_pair *p, unsigned vp)
{
	for (size_t i = 0; i < hv_pair_msr_count; i++) {
		uint64_t wanted = hv_model_read(&p->m, vp, hv_pair_msr[i]);
		uint64_t value = HV_HOST_NO_VALUE;

		hv_msr_read(p->h.hv, vp, hv_pair_msr[i], &value);
		SAME(p, wanted, value, "VP %u MSR %#x", vp, hv_pair_msr[i]);
	}
}

static void compare_sint(struct hv_pair *p, unsigned vp, unsigned i)
{
	const struct model_sint *s = &p->m.vp[vp].sint[i];
	struct hv_sint *real = p->sender[vp][i][0].sint;

	SAME(p, hv_model_vector(&p->m.vp[vp], i), p->h.vp[vp].route[i],
	     "VP %u SINT %u vector", vp, i);
	SAME(p, hv_model_takes_messages(&p->m, vp),
	     real->takes_messages(real),
	     "VP %u SINT %u takes messages", vp, i);
	SAME(p, s->raised, p->h.vp[vp].raised[i],
	     "VP %u SINT %u interrupts", vp, i);
	for (unsigned n = 0; n < HV_MODEL_SENDERS; n++) {
		const struct hv_pair_sender *it = &p->sender[vp][i][n];

		SAME(p, s->sender[n].runs, it->runs,
		     "VP %u SINT %u sender %u runs", vp, i, n);
		SAME(p, s->sender[n].next, it->next,
		     "VP %u SINT %u sender %u messages", vp, i, n);
		SAME(p, s->sender[n].queued, (uint64_t)it->note.queued,
		     "VP %u SINT %u sender %u waits", vp, i, n);
	}
}

static void compare_vp(struct hv_pair *p, unsigned vp)
{
	const struct model_vp *v = &p->m.vp[vp];

	compare_msrs(p, vp);
	for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
		compare_sint(p, vp, i);
	for (unsigned i = 0; i < G_N_ELEMENTS(v->interrupts); i++)
		SAME(p, v->interrupts[i], p->h.vp[vp].interrupts[i],
		     "VP %u vector %u interrupts", vp, i);
	SAME(p, hv_model_deadline(v), p->h.vp[vp].deadline,
	     "VP %u deadline", vp);
}

static const uint8_t *real_page(const struct hv_pair *p, unsigned n)
{
	return p->h.ram + HV_MODEL_GPA + n * HV_MODEL_PAGE;
}

static void compare_page(struct hv_pair *p, unsigned n)
{
	const uint8_t *wanted = hv_model_page(&p->m, n);
	const uint8_t *page = real_page(p, n);

	if (memcmp(wanted, page, HV_MODEL_PAGE) == 0)
		return;
	for (unsigned i = 0; i < HV_MODEL_PAGE; i++)
		SAME(p, wanted[i], page[i], "page %u byte %#x", n, i);
}

static void compare(struct hv_pair *p)
{
	for (unsigned vp = 0; vp < HV_MODEL_VPS; vp++)
		compare_vp(p, vp);
	for (unsigned n = 0; n < HV_MODEL_PAGES; n++)
		compare_page(p, n);
}

/*
 * Inputs.
 */
void hv_pair_write(struct hv_pair *p, unsigned vp, uint32_t msr, uint64_t value)
{
	bool wanted = hv_model_write(&p->m, vp, msr, value);
	bool done = hv_msr_write(p->h.hv, vp, msr, value);

	SAME(p, wanted, done, "VP %u MSR %#x accepts %#" PRIx64, vp, msr,
	     value);
	compare(p);
}

void hv_pair_store(struct hv_pair *p, unsigned at, const void *bytes,
		   size_t len)
{
	unsigned n = at / HV_MODEL_PAGE;

	g_assert(at % HV_MODEL_PAGE + len <= HV_MODEL_PAGE);
	if (!hv_model_page_is_writable(&p->m, n))
		return;
	memcpy(hv_model_page(&p->m, n) + at % HV_MODEL_PAGE, bytes, len);
	memcpy(p->h.ram + HV_MODEL_GPA + at, bytes, len);
	compare(p);
}

void hv_pair_signal(struct hv_pair *p, unsigned vp, unsigned sint,
		    uint16_t flag)
{
	struct hv_sint *real = p->sender[vp][sint][0].sint;
	int wanted = hv_model_signal(&p->m, vp, sint, flag);
	int done = real->signal(real, flag);

	SAME(p, (uint64_t)-wanted, (uint64_t)-done,
	     "VP %u SINT %u flag %u error", vp, sint, flag);
	compare(p);
}

static void drain(struct hv_pair_sender *s)
{
	struct model_message m;

	for (; s->backlog; s->backlog--, s->next++) {
		hv_model_message(&m, s->index, s->next);
		if (s->sint->post(s->sint, m.type, m.payload, m.len, &s->note))
			return;
	}
}

static void run(struct hv_sint_note *note)
{
	struct hv_pair_sender *s = container_of(note, struct hv_pair_sender,
						note);

	s->runs++;
	drain(s);
}

void hv_pair_post(struct hv_pair *p, unsigned vp, unsigned sint,
		  unsigned sender)
{
	struct hv_pair_sender *s = &p->sender[vp][sint][sender];

	hv_model_post(&p->m, vp, sint, sender);
	s->backlog++;
	drain(s);
	compare(p);
}

void hv_pair_forget(struct hv_pair *p, unsigned vp, unsigned sint,
		    unsigned sender)
{
	struct hv_pair_sender *s = &p->sender[vp][sint][sender];

	hv_model_forget(&p->m, vp, sint, sender);
	s->sint->forget(s->sint, &s->note);
	s->backlog = 0;
	compare(p);
}

void hv_pair_set_time(struct hv_pair *p, uint64_t now)
{
	hv_model_set_time(&p->m, now);
	hv_host_set_time(&p->h, now);
	compare(p);
}

void hv_pair_early_timer(struct hv_pair *p, unsigned vp)
{
	hv_model_timer_expired(&p->m, vp);
	p->h.vp[vp].deadline = UINT64_MAX;
	hv_timer_expired(p->h.hv, vp);
	compare(p);
}

void hv_pair_reset(struct hv_pair *p)
{
	hv_model_reset(&p->m);
	hv_reset(p->h.hv);
	compare(p);
}

/*
 * Making one.
 */

/* What the page of @msr shows: its contents are the hypervisor's to choose. */
static void learn(struct hv_pair *p, uint32_t msr, uint8_t *content)
{
	hv_msr_write(p->h.hv, 0, msr, HV_MODEL_GPA | HV_MSR_PAGE_ENABLE);
	memcpy(content, real_page(p, 0), HV_MODEL_PAGE);
	hv_reset(p->h.hv);
}

static void add_senders(struct hv_pair *p, unsigned vp, unsigned sint)
{
	for (unsigned n = 0; n < HV_MODEL_SENDERS; n++)
		p->sender[vp][sint][n] = (struct hv_pair_sender){
			.sint = hv_get_sint(p->h.hv, vp, sint),
			.note = { .run = run,
				  .port_id = hv_model_port_id(n) },
			.index = n,
		};
}

void hv_pair_init(struct hv_pair *p)
{
	uint8_t content[MODEL_OF_PARTITION][HV_MODEL_PAGE];

	memset(p, 0, sizeof(*p));
	hv_host_init(&p->h, HV_MODEL_VPS);
	hv_msr_write(p->h.hv, 0, HV_X64_MSR_GUEST_OS_ID, 1);
	learn(p, HV_X64_MSR_HYPERCALL, content[MODEL_HYPERCALL]);
	learn(p, HV_X64_MSR_REFERENCE_TSC, content[MODEL_TSC]);
	hv_model_init(&p->m, content);
	for (unsigned vp = 0; vp < HV_MODEL_VPS; vp++)
		for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
			add_senders(p, vp, i);
	compare(p);
}

void hv_pair_reset_and_check(struct hv_pair *p)
{
	static const uint8_t zero[HV_MODEL_PAGE];

	hv_pair_reset(p);
	for (gpa_t gpa = 0; gpa < HV_MODEL_GPA; gpa += HV_MODEL_PAGE)
		if (memcmp(p->h.ram + gpa, zero, HV_MODEL_PAGE))
			differ(p, "RAM at %#" PRIx64
			       " was written to", gpa);
}

void hv_pair_finish(struct hv_pair *p)
{
	hv_host_finish(&p->h);
	g_free(p->difference);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv_pair.h"
#include "hv_sequence.h"

#define STEPS_MAX	1024
#define PLACES		12		/* for pages; from the 8th on, no RAM */
#define TIME_MAX	(UINT64_C(1) << 60)
#define SLOT		HV_MESSAGE_SIZE

static struct hv_pair pair;

static unsigned vp_of(const struct hv_step *s)
{
	return s->who % HV_MODEL_VPS;
}

/* Mostly the same few, so that messages meet. */
static unsigned few(unsigned sint)
{
	return sint < 12 ? sint % 4 : sint;
}

static unsigned sint_of(const struct hv_step *s)
{
	return few(s->who >> 1 & 15);
}

static unsigned sender_of(const struct hv_step *s)
{
	return (s->who >> 5) % HV_MODEL_SENDERS;
}

static uint64_t raw(const struct hv_step *s)
{
	return (uint64_t)s->how << 56 | s->value;
}

/* Often in the window, and often where another one is. */
static uint64_t place(const struct hv_step *s)
{
	unsigned n = s->how % 16;

	if (n >= PLACES)
		return (1 + (uint64_t)s->value % 0x1000) << 24;
	return HV_MODEL_GPA + n * HV_MODEL_PAGE;
}

static uint64_t count(const struct hv_step *s)
{
	uint64_t now = pair.m.now;

	switch (s->how % 8) {
	case 0:
		return 0;
	case 1:
		return s->value % 64;
	case 2:
		return s->value % 0x10000;
	case 3:
		return now;
	case 4:
		return now - s->value % 0x1000;
	case 5:
		return now + s->value % 0x1000;
	case 6:
		return now + s->value % 0x100000;
	default:
		return UINT64_MAX - s->value;
	}
}

static uint64_t config(const struct hv_step *s)
{
	uint64_t value = raw(s);

	return (value & ~(UINT64_C(15) << 16)) |
	       (uint64_t)few(HV_STIMER_SINT(value)) << 16;
}

static uint64_t value_for(uint32_t msr, const struct hv_step *s)
{
	switch (msr) {
	case HV_X64_MSR_GUEST_OS_ID:
		return s->how % 4 ? raw(s) | 1 : 0;
	case HV_X64_MSR_HYPERCALL:
		return place(s) | (s->value & HV_MSR_PAGE_ENABLE);
	case HV_X64_MSR_REFERENCE_TSC:
	case HV_X64_MSR_VP_ASSIST_PAGE:
	case HV_X64_MSR_SIEFP:
	case HV_X64_MSR_SIMP:
		return place(s) | (s->value & 0xfff);
	case HV_X64_MSR_STIMER0_CONFIG ... HV_X64_MSR_STIMER0_CONFIG + 7:
		return msr % 2 ? count(s) : config(s);
	default:
		return raw(s);
	}
}

static void write_msr(const struct hv_step *s)
{
	uint32_t msr = hv_pair_msr[s->which % hv_pair_msr_count];

	hv_pair_write(&pair, vp_of(s), msr, value_for(msr, s));
}

/* A guest that wants to hear of everything. */
static void set_up(const struct hv_step *s)
{
	unsigned vp = vp_of(s);

	hv_pair_write(&pair, vp, HV_X64_MSR_SIMP,
		      place(s) | HV_MSR_PAGE_ENABLE);
	hv_pair_write(&pair, vp, HV_X64_MSR_SIEFP,
		      (place(s) ^ HV_MODEL_PAGE) | HV_MSR_PAGE_ENABLE);
	hv_pair_write(&pair, vp, HV_X64_MSR_SINT0 + sint_of(s),
		      0x20 + s->which % 0xe0u);
	hv_pair_write(&pair, vp, HV_X64_MSR_SCONTROL, HV_SYNIC_CONTROL_ENABLE);
}

/* Where the guest sees the slot of its SINT, if it does. */
static bool find_slot(const struct hv_step *s, unsigned *at)
{
	const struct model_overlay *o =
		&pair.m.overlay[MODEL_OF_PARTITION + vp_of(s) * MODEL_OF_VP];

	for (unsigned n = 0; n < HV_MODEL_PAGES; n++) {
		if (hv_model_page(&pair.m, n) != o[MODEL_SIM].bytes)
			continue;
		*at = n * HV_MODEL_PAGE + sint_of(s) * SLOT;
		return true;
	}
	return false;
}

/* As guests do, but some are slow to say that they have. */
static void take_message(const struct hv_step *s)
{
	static const uint8_t none[4];
	unsigned at;

	if (!find_slot(s, &at))
		return;
	hv_pair_store(&pair, at, none, sizeof(none));
	if (s->how % 4 &&
	    (pair.h.ram[HV_MODEL_GPA + at + 5] & HV_MESSAGE_FLAG_PENDING))
		hv_pair_write(&pair, vp_of(s), HV_X64_MSR_EOM, 0);
}

/* @len bytes at a slot or an array of flags, or at any place of the page. */
static void store(const struct hv_step *s, const void *bytes, size_t len)
{
	unsigned page = s->which % HV_MODEL_PAGES;
	unsigned at = s->how % 2 ? sint_of(s) * SLOT + s->how / 2 % 8 :
				   s->value % (HV_MODEL_PAGE - SLOT);

	hv_pair_store(&pair, page * HV_MODEL_PAGE + at, bytes, len);
}

static void pass_time(const struct hv_step *s)
{
	static const uint64_t most[] = {
		16, 0x1000, 0x100000, UINT64_C(1) << 32,
	};
	uint64_t now = pair.m.now + s->value % most[s->how % 4];

	if (now < TIME_MAX)
		hv_pair_set_time(&pair, now);
}

enum {
	WRITE, TAKE = 5, STORE = 8, CLEAR, SIGNAL, POST = 13, FORGET = 17,
	TIME, EARLY = 22, EOM, SET_UP, RESET = 27, STEPS,
};

/* What is more often done has more numbers. */
static void do_step(const struct hv_step *s)
{
	static const uint8_t zero[SLOT - 8];

	switch (s->what % STEPS) {
	case WRITE ... TAKE - 1:
		write_msr(s);
		break;
	case TAKE ... STORE - 1:
		take_message(s);
		break;
	case STORE:
		store(s, &s->value, sizeof(s->value));
		break;
	case CLEAR:
		store(s, zero, sizeof(zero));
		break;
	case SIGNAL ... POST - 1:
		hv_pair_signal(&pair, vp_of(s), sint_of(s),
			       (uint16_t)(s->how % 4 ? s->value % 8 :
						       s->value));
		break;
	case POST ... FORGET - 1:
		hv_pair_post(&pair, vp_of(s), sint_of(s), sender_of(s));
		break;
	case FORGET:
		hv_pair_forget(&pair, vp_of(s), sint_of(s), sender_of(s));
		break;
	case TIME ... EARLY - 1:
		pass_time(s);
		break;
	case EARLY:
		hv_pair_early_timer(&pair, vp_of(s));
		break;
	case EOM:
		hv_pair_write(&pair, vp_of(s), HV_X64_MSR_EOM, s->value);
		break;
	case SET_UP ... RESET - 1:
		set_up(s);
		break;
	default:
		if (s->how % 8 == 0)
			hv_pair_reset(&pair);
	}
}

static char *report(const uint8_t *data, size_t steps)
{
	GString *text = g_string_new(pair.difference);
	struct hv_step s;

	for (size_t n = 0; n < steps; n++) {
		memcpy(&s, data + n * sizeof(s), sizeof(s));
		g_string_append_printf(
			text, "\nstep %zu: what %u vp %u sint %u sender %u "
			"which %u how %u value %#x", n, s.what % STEPS,
			vp_of(&s), sint_of(&s), sender_of(&s), s.which, s.how,
			s.value);
	}
	return g_string_free(text, FALSE);
}

char *hv_sequence_run(const uint8_t *data, size_t size)
{
	size_t count_of = MIN(size / sizeof(struct hv_step), STEPS_MAX);
	char *text = NULL;
	struct hv_step s;
	size_t n;

	hv_pair_init(&pair);
	for (n = 0; n < count_of && !pair.difference; n++) {
		memcpy(&s, data + n * sizeof(s), sizeof(s));
		do_step(&s);
	}
	if (!pair.difference)
		hv_pair_reset_and_check(&pair);
	if (pair.difference)
		text = report(data, n);
	hv_pair_finish(&pair);
	return text;
}

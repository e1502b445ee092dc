/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest and its devices do to the SynIC, the timers and the overlays:
 * any order of MSR accesses, writes to memory, passing time, signals, posts
 * and resets.
 *
 * Input: a byte that chooses the profile, then steps of 11 bytes.
 */
#include "core/util.h"
#include "hv/profile.h"
#include "hv_host.h"

#define VP_COUNT	2
#define STEPS_MAX	512
#define NOTES		3

struct step {
	uint8_t what;		/* enum, and bit 7: which VP */
	uint8_t where;		/* low byte of an MSR, or a SINT */
	uint8_t more;
	uint64_t value;
} __attribute__((packed));

enum { WRMSR, RDMSR, STORE, TIME, SIGNAL, POST, FORGET, EXPIRE, RESET, EOM };

static struct hv_host h;

struct sender {
	struct hv_sint_note note;
	struct hv_sint *sint;
	unsigned runs;
};

static struct sender senders[VP_COUNT][HV_SYNIC_SINT_COUNT][NOTES];

static void post(struct sender *s, uint32_t type, size_t len)
{
	static const uint8_t payload[256];
	int ret = s->sint->post(s->sint, type ? type : 1, payload, len,
				&s->note);

	g_assert(ret == 0 || ret == -EAGAIN ||
		 (ret == -EINVAL && len > HV_MESSAGE_PAYLOAD_MAX));
	g_assert(ret != -EAGAIN || s->note.queued);
}

static void run(struct hv_sint_note *note)
{
	struct sender *s = container_of(note, struct sender, note);

	g_assert(!note->queued);
	if (++s->runs % 3)
		post(s, s->runs, s->runs % 64);
}

static uint32_t msr_of(const struct step *s)
{
	return 0x40000000u | (s->more & 1u) << 8 | s->where;
}

static void wrmsr(uint32_t vp, const struct step *s)
{
	uint32_t msr = msr_of(s);
	uint64_t before = hv_host_rdmsr(&h, vp, msr);

	if (!hv_host_wrmsr(&h, vp, msr, s->value))
		g_assert(before == hv_host_rdmsr(&h, vp, msr));
}

static void do_step(const struct step *s)
{
	uint32_t vp = s->what >> 7;
	struct sender *sender = &senders[vp][s->where % HV_SYNIC_SINT_COUNT]
					[s->more % NOTES];

	switch (s->what & 0x7f) {
	case WRMSR:
		wrmsr(vp, s);
		break;
	case RDMSR:
		hv_host_rdmsr(&h, vp, msr_of(s));
		break;
	case STORE:
		hv_host_store(&h, s->value % HV_HOST_RAM, s->where);
		break;
	case TIME:
		/* By up to an hour: hv_host_set_time() loops on none. */
		h.now += s->value % UINT64_C(36000000000);
		hv_host_set_time(&h, h.now);
		break;
	case SIGNAL:
		sender->sint->signal(sender->sint, (uint16_t)s->value);
		break;
	case POST:
		post(sender, (uint32_t)s->value, s->value >> 32 & 0xff);
		break;
	case FORGET:
		sender->sint->forget(sender->sint, &sender->note);
		g_assert(!sender->note.queued);
		break;
	case EXPIRE:
		hv_timer_expired(h.hv, vp);
		break;
	case RESET:
		hv_reset(h.hv);
		break;
	case EOM:
		hv_host_wrmsr(&h, vp, HV_X64_MSR_EOM, 0);
		break;
	}
}

static void set_up(uint8_t profile)
{
	static const char *const names[] = { "full", "openvmm", "minimal" };
	struct hv_config config = hv_host_config(VP_COUNT);
	struct hv_profile p;

	hv_profile_named(&p, names[profile % G_N_ELEMENTS(names)], &config);
	config.profile = &p;
	hv_host_init_with(&h, &config);
	for (uint32_t vp = 0; vp < VP_COUNT; vp++)
		for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++)
			for (unsigned n = 0; n < NOTES; n++)
				senders[vp][i][n] = (struct sender){
					.note.run = run,
					.sint = hv_get_sint(h.hv, vp, i),
				};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct step s;

	if (!size)
		return 0;
	set_up(*data);
	data++;
	size--;
	for (unsigned n = 0; n < STEPS_MAX && size >= sizeof(s); n++) {
		memcpy(&s, data, sizeof(s));
		data += sizeof(s);
		size -= sizeof(s);
		do_step(&s);
	}
	/* Whatever was done: after a reset all RAM is RAM. */
	hv_reset(h.hv);
	for (uint32_t vp = 0; vp < VP_COUNT; vp++)
		g_assert(h.vp[vp].deadline == UINT64_MAX);
	g_assert(h.hides <= h.shows);
	hv_host_finish(&h);
	return 0;
}

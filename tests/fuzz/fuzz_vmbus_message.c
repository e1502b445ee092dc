/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest without manners against the bus: any messages in any order, memory
 * that changes, bells, messages left in their slots; and a host whose devices
 * come, go, and are slow to close.
 *
 * Each message of ours must have a known type and its exact size.  Rings that
 * share pages may keep a device busy for ever, turn by turn; but whatever
 * happened, a reset at the end must bring everything to rest.
 *
 * Input: steps, each an opcode and what it needs.
 */
#include <string.h>

#include "core/util.h"
#include "echo_device.h"
#include "fake_guest.h"
#include "vmbus/vmbus_internal.h"

#define STEPS_MAX	256
#define DEVICES		2
#define PAGES		64	/* of RAM, from address 0 */
#define TURNS		1000

enum { MESSAGE, RUN, TIME, STORE, RING, SHARED_EVENT, HEAR, SINT_OFF,
       DEVICE, ANSWER, SEND, COME_OR_GO, RESET, OPS };

static struct guest *g;
static struct echo echo[DEVICES];

struct withdrawal {
	struct loop_note done;
	bool here;		/* offered, and not on its way out */
	bool leaving;
};

static struct withdrawal device[DEVICES];
static struct loop_note reset_note;
static unsigned resets_asked, resets_done;

static const size_t size_of[CHANNELMSG_COUNT] = {
	[CHANNELMSG_OFFERCHANNEL] = 196,
	[CHANNELMSG_RESCIND_CHANNELOFFER] = 12,
	[CHANNELMSG_ALLOFFERS_DELIVERED] = 8,
	[CHANNELMSG_OPENCHANNEL_RESULT] = 20,
	[CHANNELMSG_GPADL_CREATED] = 20,
	[CHANNELMSG_GPADL_TORNDOWN] = 12,
	[CHANNELMSG_VERSION_RESPONSE] = 16,
	[CHANNELMSG_UNLOAD_RESPONSE] = 8,
	[CHANNELMSG_CLOSE_RESERVED_RESPONSE] = 12,
	[CHANNELMSG_TL_CONNECT_RESULT] = 44,
	[CHANNELMSG_MODIFYCHANNEL_RESPONSE] = 16,
};

static bool run(void)
{
	bool at_rest = guest_turns(g, TURNS);
	struct guest_message *m;

	while ((m = guest_take(g))) {
		struct vmbus_channel_message_header h;

		memcpy(&h, m->data, sizeof(h));
		g_assert(h.msgtype < CHANNELMSG_COUNT);
		g_assert(m->len && m->len == size_of[h.msgtype]);
		g_free(m);
	}
	g_assert(g->bus->gpadl_words <= GPADL_WORDS_MAX);
	g_assert(g->bus->filling->len <= GPADLS_FILLING_MAX);
	return at_rest;
}

static void left(struct loop_note *note)
{
	struct withdrawal *w = container_of(note, struct withdrawal, done);

	w->leaving = false;
}

static void reset_done(struct loop_note *note)
{
	resets_done++;
}

static void reset(void)
{
	if (resets_asked != resets_done)
		return;
	resets_asked++;
	vmbus_reset(g->bus, &reset_note);
}

static void come_or_go(uint8_t which)
{
	struct withdrawal *w = &device[which % DEVICES];
	struct vmbus_device *dev = &echo[which % DEVICES].vmbus;

	if (w->leaving)
		return;
	if (w->here) {
		w->leaving = true;
		vmbus_withdraw(g->bus, dev, &w->done);
	} else {
		g_assert(!vmbus_offer(g->bus, dev));
	}
	w->here = !w->here;
}

/* Header, and as much behind it as its first byte says. */
static void message(struct reader *in)
{
	uint8_t m[HV_MESSAGE_PAYLOAD_MAX] = { 0 }, len = 0, type = 0;

	if (!READ(in, &type) || !READ(in, &len))
		return;
	m[0] = type & 0x7f;
	len = (uint8_t)MIN(len, MIN(sizeof(m) - 8, in->left));
	reader_copy(in, m + 8, len);
	guest_post_on(g, type & 0x80 ? 1 : 4, m, 8u + len);
}

static void store(struct reader *in)
{
	struct {
		uint16_t where;
		uint32_t value;
	} __attribute__((packed)) s;

	if (READ(in, &s))
		memcpy(g->ram + s.where * 4 % (PAGES * GMEM_PAGE_SIZE),
		       &s.value, 4);
}

/* How a device behaves from now on. */
static void set_device(uint8_t b)
{
	struct echo *e = &echo[b & 1];

	e->hold = b & 2;
	e->close_late = b & 4;
	e->open_fails = b & 8 ? -EIO : 0;
	e->depth = b >> 4;
	g->doorbell_fails = b == 0xff ? -ENOSPC : 0;
	if (!e->close_late)
		echo_finish_close(e);
}

static void step(struct reader *in)
{
	uint8_t op = 0, b = 0;

	READ(in, &op);
	if (op % OPS == MESSAGE) {
		message(in);
		return;
	}
	if (op % OPS == STORE) {
		store(in);
		return;
	}
	READ(in, &b);
	switch (op % OPS) {
	case RUN:
		run();
		break;
	case TIME:
		guest_later(g, b * UINT64_C(10000));
		run();
		break;
	case RING:
		loop_post(g->dev, &g->doorbell[b % 8].note);
		break;
	case SHARED_EVENT:
		vmbus_shared_event_port(g->bus)->signal(
			vmbus_shared_event_port(g->bus), b);
		break;
	case HEAR:
		g->deaf = b & 1;
		break;
	case SINT_OFF:
		guest_sint_off(g, b % GUEST_VPS, VMBUS_MESSAGE_SINT, b & 0x80);
		break;
	case DEVICE:
		set_device(b);
		break;
	case ANSWER:
		echo_release(&echo[b & 1], b >> 1);
		break;
	case SEND:
		echo_send(&echo[b & 1], b >> 1);
		break;
	case COME_OR_GO:
		come_or_go(b);
		break;
	case RESET:
		reset();
		break;
	}
}

/* Devices behave, the guest listens, the machine is reset. */
static void come_to_rest(void)
{
	g->deaf = false;
	g->doorbell_fails = 0;
	for (uint32_t vp = 0; vp < GUEST_VPS; vp++)
		guest_sint_off(g, vp, VMBUS_MESSAGE_SINT, false);
	run();
	for (unsigned i = 0; i < DEVICES; i++) {
		set_device((uint8_t)i);
		echo[i].to_send = 0;
		echo_release(&echo[i], UINT32_MAX);
	}
	run();
	g_assert(resets_asked == resets_done);
	reset();
	g_assert(run());
	g_assert(resets_asked == resets_done);
	g_assert(!g_hash_table_size(g->bus->gpadls) && !g->bus->gpadl_words);
	for (unsigned i = 0; i < DEVICES; i++) {
		g_assert(!device[i].leaving && !echo[i].channels->len);
		if (device[i].here)
			come_or_go((uint8_t)i);
		g_string_truncate(echo[i].log, 0);
	}
	g_assert(run());
	for (guint i = 0; i < g->bus->channels->len; i++)
		g_assert(!bus_channel(g->bus, i));
}

static void start(void)
{
	g = guest_new(1);
	g->region.size = PAGES * GMEM_PAGE_SIZE;
	reset_note.run = reset_done;
	for (uint8_t i = 0; i < DEVICES; i++) {
		echo_init(&echo[i], g->dev, &g->gm, i);
		echo[i].subchannels = 2;
		device[i].done.run = left;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = { data, size };

	if (!g)
		start();
	memset(g->ram, 0, PAGES * GMEM_PAGE_SIZE);
	for (uint8_t i = 0; i < DEVICES; i++)
		come_or_go(i);
	for (unsigned i = 0; i < STEPS_MAX && in.left; i++)
		step(&in);
	come_to_rest();
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "core/util.h"
#include "fake_guest.h"

static uint64_t now_ns;

static uint64_t fake_clock(void)
{
	return now_ns;
}

uint64_t guest_now(void)
{
	return now_ns;
}

/*
 * The virtual processors' SINTs.
 */
static int sint_signal(struct hv_sint *port, uint16_t flag)
{
	struct guest_sint *s = container_of(port, struct guest_sint, port);
	uint64_t bit = BIT64(flag % 64);

	g_assert(flag < HV_EVENT_FLAG_COUNT);
	if (!(__atomic_fetch_or(&s->flags[flag / 64], bit, __ATOMIC_SEQ_CST) &
	      bit))
		__atomic_fetch_add(&s->interrupts, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int sint_post(struct hv_sint *port, uint32_t type, const void *payload,
		     size_t len, struct hv_sint_note *note)
{
	struct guest_sint *s = container_of(port, struct guest_sint, port);
	int ret = 0;

	g_assert(type == VMBUS_MESSAGE_TYPE && len <= HV_MESSAGE_PAYLOAD_MAX);
	g_assert(note->port_id == VMBUS_MESSAGE_PORT_ID);
	pthread_mutex_lock(&s->lock);
	if (s->off || s->full) {
		g_assert(!s->note || s->note == note);
		s->note = note;
		ret = -EAGAIN;
	} else {
		s->full = true;
		s->slot.len = len;
		memcpy(s->slot.data, payload, len);
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static void sint_forget(struct hv_sint *port, struct hv_sint_note *note)
{
	struct guest_sint *s = container_of(port, struct guest_sint, port);

	pthread_mutex_lock(&s->lock);
	if (s->note == note)
		s->note = NULL;
	pthread_mutex_unlock(&s->lock);
}

/* The slot may be free: tell who waits. */
static void sint_retry(struct guest_sint *s)
{
	struct hv_sint_note *note;

	pthread_mutex_lock(&s->lock);
	note = s->note;
	s->note = NULL;
	pthread_mutex_unlock(&s->lock);
	if (note)
		note->run(note);
}

void guest_sint_off(struct guest *g, uint32_t vp, unsigned sint, bool off)
{
	g->sint[vp][sint].off = off;
	if (!off)
		sint_retry(&g->sint[vp][sint]);
}

static bool sint_collect(struct guest *g, struct guest_sint *s)
{
	if (!s->full || s->off)
		return false;
	g_queue_push_tail(&g->messages, g_memdup2(&s->slot, sizeof(s->slot)));
	s->full = false;
	sint_retry(s);
	return true;
}

/*
 * The bus's host.
 */
static struct hv_sint *host_sint(void *host, uint32_t vp, unsigned sint)
{
	struct guest *g = host;

	return vp < GUEST_VPS && sint < GUEST_SINTS ? &g->sint[vp][sint].port :
						      NULL;
}

/* Connection ids are the bus's choice: all we need is that they differ. */
static struct guest_doorbell *doorbell_of(struct guest *g, uint32_t id)
{
	return &g->doorbell[id % GUEST_RELIDS];
}

static void doorbell_run(struct loop_note *note)
{
	struct guest_doorbell *d =
		container_of(note, struct guest_doorbell, note);

	if (d->ch)
		vmbus_channel_doorbell(d->ch);
}

static int host_connect(void *host, uint32_t connection_id,
			struct vmbus_channel *ch, void **cookie)
{
	struct guest *g = host;
	struct guest_doorbell *d = doorbell_of(g, connection_id);

	if (g->doorbell_fails)
		return g->doorbell_fails;
	g_assert(!d->ch);
	d->ch = ch;
	__atomic_store_n(&d->loop, vmbus_channel_loop(ch), __ATOMIC_RELEASE);
	*cookie = d;
	return 0;
}

static void host_disconnect(void *host, void *cookie)
{
	struct guest_doorbell *d = cookie;

	g_assert(d->ch);
	d->ch = NULL;
}

static const struct vmbus_host_ops host_ops = {
	.sint = host_sint,
	.doorbell_connect = host_connect,
	.doorbell_disconnect = host_disconnect,
};

static void sints_init(struct guest *g)
{
	for (uint32_t vp = 0; vp < GUEST_VPS; vp++)
		for (unsigned i = 0; i < GUEST_SINTS; i++) {
			struct guest_sint *s = &g->sint[vp][i];

			s->port = (struct hv_sint){
				.signal = sint_signal,
				.post = sint_post,
				.forget = sint_forget,
			};
			s->slot.vp = vp;
			s->slot.sint = i;
			pthread_mutex_init(&s->lock, NULL);
		}
}

/* With a page behind it that nobody may touch. */
static uint8_t *map_ram(void)
{
	uint8_t *p = mmap(NULL, GUEST_RAM + GMEM_PAGE_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	g_assert(p != MAP_FAILED);
	g_assert(!mprotect(p, GUEST_RAM, PROT_READ | PROT_WRITE));
	return p;
}

static struct guest *new_guest(unsigned loops)
{
	struct guest *g = g_new0(struct guest, 1);

	g->main = loop_new(NULL);
	g->dev = loops > 1 ? loop_new(NULL) : g->main;
	g_assert(g->main && g->dev);
	g->ram = map_ram();
	g->region = (struct gmem_region){ 0, GUEST_RAM, g->ram };
	g->gm = (struct gmem){ &g->region, 1 };
	g->next_page = 1;
	g->next_gpadl = 0xe1e10;
	g->connection_id = VMBUS_MESSAGE_CONNECTION_ID;
	sints_init(g);
	for (uint32_t i = 0; i < GUEST_RELIDS; i++)
		g->doorbell[i].note.run = doorbell_run;
	g_queue_init(&g->messages);
	g->bus = vmbus_new(&g->gm, g->main, &host_ops, g);
	return g;
}

struct guest *guest_new(unsigned loops)
{
	struct guest *g = new_guest(loops);

	now_ns = 1000;
	loop_set_clock(g->main, fake_clock);
	loop_set_clock(g->dev, fake_clock);
	return g;
}

struct guest *guest_new_threaded(void)
{
	struct guest *g = new_guest(2);

	g->threaded = true;
	return g;
}

void guest_free(struct guest *g)
{
	vmbus_free(g->bus);
	if (g->dev != g->main)
		loop_free(g->dev);
	loop_free(g->main);
	g_queue_clear_full(&g->messages, g_free);
	for (uint32_t vp = 0; vp < GUEST_VPS; vp++)
		for (unsigned i = 0; i < GUEST_SINTS; i++)
			pthread_mutex_destroy(&g->sint[vp][i].lock);
	munmap(g->ram, GUEST_RAM + GMEM_PAGE_SIZE);
	g_free(g);
}

static bool collect(struct guest *g)
{
	bool any = false;

	for (uint32_t vp = 0; vp < GUEST_VPS && !g->deaf; vp++)
		for (unsigned i = 0; i < GUEST_SINTS; i++)
			any |= sint_collect(g, &g->sint[vp][i]);
	return any;
}

/* A loop may be idle for a turn while the other has something for it. */
bool guest_turns(struct guest *g, unsigned turns)
{
	unsigned idle = 0;

	while (idle < 2 && turns--) {
		bool any = loop_turn(g->main, false);

		if (g->dev != g->main && !g->threaded)
			any |= loop_turn(g->dev, false);
		any |= collect(g);
		idle = any ? 0 : idle + 1;
	}
	return idle == 2;
}

/* Whoever spins is caught here. */
void guest_run(struct guest *g)
{
	g_assert_true(guest_turns(g, 100000));
}

void guest_later(struct guest *g, uint64_t ns)
{
	now_ns += ns;
}

void guest_pass(struct guest *g, uint64_t ns)
{
	guest_later(g, ns);
	guest_run(g);
}

gpa_t guest_pages(struct guest *g, uint32_t count)
{
	gpa_t gpa = g->next_page * GMEM_PAGE_SIZE;

	g_assert_cmpuint(count, <=, GUEST_RAM / GMEM_PAGE_SIZE - g->next_page);
	g->next_page += count;
	return gpa;
}

/*
 * Messages.
 */
int guest_post_on(struct guest *g, uint32_t connection_id, const void *msg,
		  size_t len)
{
	struct hv_message_port *port = vmbus_message_port(g->bus,
							  connection_id);

	return port->post(port, VMBUS_MESSAGE_TYPE, msg, len);
}

int guest_post(struct guest *g, const void *msg, size_t len)
{
	int ret = guest_post_on(g, g->connection_id, msg, len);

	guest_run(g);
	return ret;
}

struct guest_message *guest_take(struct guest *g)
{
	return g_queue_pop_head(&g->messages);
}

#define PATIENCE_US	(10 * G_USEC_PER_SEC)

bool guest_expect(struct guest *g, uint32_t type, void *msg, size_t len)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_US;
	struct vmbus_channel_message_header h;
	const struct guest_message *next;

	while (!(next = g_queue_peek_head(&g->messages)) && g->threaded &&
	       g_get_monotonic_time() < end)
		guest_run(g);
	if (!next || next->len != len)
		return false;
	memcpy(&h, next->data, sizeof(h));
	if (h.msgtype != type)
		return false;
	if (msg)
		memcpy(msg, next->data, len);
	g_free(guest_take(g));
	return true;
}

/*
 * A driver.
 */
bool guest_connect(struct guest *g, uint32_t version)
{
	struct vmbus_channel_initiate_contact c = {
		.header.msgtype = CHANNELMSG_INITIATE_CONTACT,
		.vmbus_version_requested = version,
	};
	struct vmbus_channel_version_response r;

	if (version >= VERSION_WIN10_V5)
		c.msg_sint = VMBUS_MESSAGE_SINT;
	else
		c.interrupt_page = guest_pages(g, 1);
	g->connection_id = version >= VERSION_WIN10_V5 ?
				   VMBUS_MESSAGE_CONNECTION_ID_4 :
				   VMBUS_MESSAGE_CONNECTION_ID;
	g->version = version;
	g_assert_cmpint(GUEST_POST(g, &c), ==, 0);
	g_assert_true(GUEST_EXPECT(g, CHANNELMSG_VERSION_RESPONSE, &r));
	if (r.version_supported && version >= VERSION_WIN10_V5)
		g->connection_id = r.msg_conn_id;
	return r.version_supported;
}

void guest_request_offers(struct guest *g, struct guest_offer *out)
{
	const struct vmbus_channel_message_header h = {
		.msgtype = CHANNELMSG_REQUESTOFFERS,
	};

	out->count = 0;
	g_assert_cmpint(GUEST_POST(g, &h), ==, 0);
	while (GUEST_EXPECT(g, CHANNELMSG_OFFERCHANNEL,
			    &out->offer[out->count]))
		out->count++;
	g_assert_true(guest_expect(g, CHANNELMSG_ALLOFFERS_DELIVERED, NULL,
				   sizeof(h)));
}

#define HEADER_WORDS	((HV_MESSAGE_PAYLOAD_MAX - \
			  sizeof(struct vmbus_channel_gpadl_header)) / 8)
#define BODY_WORDS	((HV_MESSAGE_PAYLOAD_MAX - \
			  sizeof(struct vmbus_channel_gpadl_body)) / 8)

struct gpadl_header_msg {
	struct vmbus_channel_gpadl_header h;
	uint64_t word[HEADER_WORDS];
} __attribute__((packed));

struct gpadl_body_msg {
	struct vmbus_channel_gpadl_body b;
	uint64_t word[BODY_WORDS];
} __attribute__((packed));

/* @left words from @from on, as bodies. */
static void send_bodies(struct guest *g, uint32_t id, const uint64_t *from,
			uint32_t left)
{
	struct gpadl_body_msg m = {
		.b.header.msgtype = CHANNELMSG_GPADL_BODY, .b.gpadl = id,
	};
	uint32_t n;

	for (; left; left -= n, from += n, m.b.msgnumber++) {
		n = MIN(left, (uint32_t)BODY_WORDS);
		memcpy(m.word, from, n * 8);
		g_assert_cmpint(guest_post(g, &m, sizeof(m.b) + n * 8), ==, 0);
	}
}

void guest_send_gpadl(struct guest *g, uint32_t relid, uint32_t id, gpa_t gpa,
		      uint32_t pages)
{
	const struct gpa_range range = { pages * (uint32_t)GMEM_PAGE_SIZE, 0 };
	uint32_t words = pages + 1, n = MIN(words, (uint32_t)HEADER_WORDS);
	g_autofree uint64_t *buf = g_new(uint64_t, words);
	struct gpadl_header_msg m = {
		.h.header.msgtype = CHANNELMSG_GPADL_HEADER,
		.h.child_relid = relid,
		.h.gpadl = id,
		.h.range_buflen = (uint16_t)(words * 8),
		.h.rangecount = 1,
	};

	memcpy(buf, &range, sizeof(range));
	for (uint32_t i = 0; i < pages; i++)
		buf[i + 1] = gpa / GMEM_PAGE_SIZE + i;
	memcpy(m.word, buf, n * 8);
	g_assert_cmpint(guest_post(g, &m, sizeof(m.h) + n * 8), ==, 0);
	send_bodies(g, id, buf + n, words - n);
}

bool guest_gpadl(struct guest *g, uint32_t relid, uint32_t id, gpa_t gpa,
		 uint32_t pages)
{
	struct vmbus_channel_gpadl_created r;

	guest_send_gpadl(g, relid, id, gpa, pages);
	g_assert_true(GUEST_EXPECT(g, CHANNELMSG_GPADL_CREATED, &r));
	g_assert_cmpuint(r.child_relid, ==, relid);
	g_assert_cmpuint(r.gpadl, ==, id);
	return r.creation_status == VMBUS_STATUS_SUCCESS;
}

void guest_send_teardown(struct guest *g, uint32_t relid, uint32_t id)
{
	const struct vmbus_channel_gpadl_teardown t = {
		.header.msgtype = CHANNELMSG_GPADL_TEARDOWN,
		.child_relid = relid, .gpadl = id,
	};

	g_assert_cmpint(GUEST_POST(g, &t), ==, 0);
}

static void ring_at(struct guest_ring *r, uint8_t *at, uint32_t pages)
{
	memset(at, 0, GMEM_PAGE_SIZE);
	*r = (struct guest_ring){
		.ctrl = (void *)at,
		.data = at + GMEM_PAGE_SIZE,
		.size = (pages - 1) * (uint32_t)GMEM_PAGE_SIZE,
	};
}

void guest_channel_init(struct guest_channel *c, struct guest *g,
			const struct vmbus_channel_offer_channel *offer,
			uint32_t pages, uint32_t split)
{
	uint8_t *at;

	*c = (struct guest_channel){
		.g = g, .pages = pages, .split = split,
		.relid = offer->child_relid,
		.connection_id = offer->connection_id,
		.gpadl = g->next_gpadl++,
		.gpa = guest_pages(g, pages),
	};
	at = g->ram + c->gpa;
	ring_at(&c->tx, at, split);
	ring_at(&c->rx, at + split * GMEM_PAGE_SIZE, pages - split);
	c->tx.ctrl->feature_bits = RING_FEAT_PENDING_SEND_SZ;
}

void guest_channel_send_open(struct guest_channel *c)
{
	const struct vmbus_channel_open_channel o = {
		.header.msgtype = CHANNELMSG_OPENCHANNEL,
		.child_relid = c->relid,
		.openid = c->relid,
		.ringbuffer_gpadlhandle = c->gpadl,
		.target_vp = c->target_vp,
		.downstream_ringbuffer_pageoffset = c->split,
	};

	g_assert_cmpint(GUEST_POST(c->g, &o), ==, 0);
}

bool guest_channel_open(struct guest_channel *c)
{
	struct vmbus_channel_open_result r;

	if (!guest_gpadl(c->g, c->relid, c->gpadl, c->gpa, c->pages))
		return false;
	guest_channel_send_open(c);
	g_assert_true(GUEST_EXPECT(c->g, CHANNELMSG_OPENCHANNEL_RESULT, &r));
	g_assert_cmpuint(r.child_relid, ==, c->relid);
	g_assert_cmpuint(r.openid, ==, c->relid);
	return r.status == VMBUS_STATUS_SUCCESS;
}

void guest_channel_send_close(struct guest_channel *c)
{
	const struct vmbus_channel_close_channel m = {
		.header.msgtype = CHANNELMSG_CLOSECHANNEL,
		.child_relid = c->relid,
	};

	g_assert_cmpint(GUEST_POST(c->g, &m), ==, 0);
}

void guest_channel_close(struct guest_channel *c)
{
	struct vmbus_channel_gpadl_torndown t;

	guest_channel_send_close(c);
	guest_send_teardown(c->g, c->relid, c->gpadl);
	g_assert_true(GUEST_EXPECT(c->g, CHANNELMSG_GPADL_TORNDOWN, &t));
	g_assert_cmpuint(t.gpadl, ==, c->gpadl);
}

/*
 * Rings.  What the two sides share is loaded and stored atomically.
 */
static uint32_t load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static uint32_t used(const struct guest_ring *r, uint32_t read, uint32_t write)
{
	return (write + r->size - read) % r->size;
}

static void put(struct guest_ring *r, uint32_t *at, const void *from,
		size_t len)
{
	size_t first = MIN(len, r->size - *at);

	memcpy(r->data + *at, from, first);
	memcpy(r->data, (const uint8_t *)from + first, len - first);
	*at = (uint32_t)((*at + len) % r->size);
}

static void get(const struct guest_ring *r, uint32_t *at, void *to, size_t len)
{
	size_t first = MIN(len, r->size - *at);

	memcpy(to, r->data + *at, first);
	memcpy((uint8_t *)to + first, r->data, len - first);
	*at = (uint32_t)((*at + len) % r->size);
}

int guest_ring_write(struct guest_ring *r,
		     const struct vmpacket_descriptor *desc,
		     const void *body, size_t len, bool *ring)
{
	static const uint8_t zero[8];
	uint32_t old = load(&r->ctrl->write_index), at = old;
	size_t total = sizeof(*desc) + (len + 7) / 8 * 8 + 8;
	uint64_t trailer = (uint64_t)old << 32;

	*ring = false;
	if (r->size - used(r, load(&r->ctrl->read_index), old) <= total)
		return -EAGAIN;
	put(r, &at, desc, sizeof(*desc));
	if (len)
		put(r, &at, body, len);
	put(r, &at, zero, (8 - len % 8) % 8);
	put(r, &at, &trailer, sizeof(trailer));
	__atomic_store_n(&r->ctrl->write_index, at, __ATOMIC_SEQ_CST);
	*ring = !load(&r->ctrl->interrupt_mask) &&
		load(&r->ctrl->read_index) == old;
	return 0;
}

bool guest_ring_read(struct guest_ring *r, struct guest_packet *p)
{
	uint32_t write = load(&r->ctrl->write_index), at = r->index;
	uint32_t start = at;
	uint64_t trailer;

	g_assert_cmpuint(write, <, r->size);
	g_assert_cmpuint(write % 8, ==, 0);
	if (write == r->index)
		return false;
	get(r, &at, &p->desc, sizeof(p->desc));
	g_assert_cmpuint(p->desc.offset8, >=, 2);
	g_assert_cmpuint(p->desc.len8, >=, p->desc.offset8);
	p->len = p->desc.len8 * 8u - sizeof(p->desc);
	g_assert_cmpuint(p->len, <=, sizeof(p->payload));
	g_assert_cmpuint(p->desc.len8 * 8u + 8, <=, used(r, start, write));
	get(r, &at, p->payload, p->len);
	get(r, &at, &trailer, sizeof(trailer));
	g_assert_cmpuint(trailer, ==, (uint64_t)start << 32);
	r->index = at;
	return true;
}

bool guest_ring_commit(struct guest_ring *r)
{
	uint32_t old = load(&r->ctrl->read_index), wanted, write, before, room;

	__atomic_store_n(&r->ctrl->read_index, r->index, __ATOMIC_SEQ_CST);
	if (!(load(&r->ctrl->feature_bits) & RING_FEAT_PENDING_SEND_SZ))
		return false;
	wanted = load(&r->ctrl->pending_send_sz);
	write = load(&r->ctrl->write_index);
	before = r->size - used(r, old, write);
	room = r->size - used(r, r->index, write);
	return wanted && before <= wanted && room > wanted;
}

void guest_channel_ring(struct guest_channel *c)
{
	struct guest *g = c->g;
	struct guest_doorbell *d = doorbell_of(g, c->connection_id);

	struct loop *loop = __atomic_load_n(&d->loop, __ATOMIC_ACQUIRE);

	__atomic_fetch_add(&d->rings, 1, __ATOMIC_SEQ_CST);
	if (loop)
		loop_post(loop, &d->note);
}

int guest_channel_send(struct guest_channel *c, uint64_t trans_id,
		       const void *payload, size_t len)
{
	const struct vmpacket_descriptor desc = {
		.type = VM_PKT_DATA_INBAND,
		.offset8 = sizeof(desc) / 8,
		.len8 = (uint16_t)((sizeof(desc) + len + 7) / 8),
		.flags = VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED,
		.trans_id = trans_id,
	};
	bool ring;
	int ret = guest_ring_write(&c->tx, &desc, payload, len, &ring);

	if (ring)
		guest_channel_ring(c);
	return ret;
}

bool guest_channel_recv(struct guest_channel *c, struct guest_packet *p)
{
	if (!guest_ring_read(&c->rx, p))
		return false;
	if (guest_ring_commit(&c->rx))
		guest_channel_ring(c);
	return true;
}

bool guest_channel_signalled(struct guest_channel *c)
{
	struct guest_sint *s = &c->g->sint[c->target_vp][VMBUS_MESSAGE_SINT];
	uint64_t bit = BIT64(c->relid % 64);

	return __atomic_fetch_and(&s->flags[c->relid / 64], ~bit,
				  __ATOMIC_SEQ_CST) & bit;
}

bool guest_channel_wait(struct guest_channel *c, int64_t us)
{
	gint64 end = g_get_monotonic_time() + us;

	while (!guest_channel_signalled(c)) {
		if (g_get_monotonic_time() > end)
			return false;
		sched_yield();
	}
	return true;
}

bool guest_channel_take_all(struct guest_channel *c,
			    bool (*take)(struct guest_channel *c,
					 const struct guest_packet *p))
{
	struct guest_packet p;
	bool more = true;

	while (more) {
		__atomic_store_n(&c->rx.ctrl->interrupt_mask, 1,
				 __ATOMIC_SEQ_CST);
		while (guest_channel_recv(c, &p))
			if (!take(c, &p))
				return false;
		__atomic_store_n(&c->rx.ctrl->interrupt_mask, 0,
				 __ATOMIC_SEQ_CST);
		more = __atomic_load_n(&c->rx.ctrl->write_index,
				       __ATOMIC_SEQ_CST) != c->rx.index;
	}
	return true;
}

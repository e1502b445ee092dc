/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/if_ether.h>
#include <poll.h>
#include <pthread.h>
#include <slirp/libslirp.h>
#include <string.h>

#include "backends/nat_filter.h"
#include "backends/nat_forward.h"
#include "backends/nat_network.h"
#include "backends/nat_probe.h"
#include "backends/nat_refuse.h"
#include "backends/nat_sockets.h"
#include "backends/net_copy.h"
#include "backends/net_merge.h"
#include "backends/net_nat.h"
#include "backends/net_queue.h"
#include "backends/net_segment.h"
#include "core/error.h"
#include "core/trace.h"
#include "core/util.h"

#define NS_PER_MS	1000000u
#define IDLE_MS		1000	/* what libslirp says if nothing is due */
#define MTU		1500
#define SPEED		UINT64_C(10000000000)
/* Frames for the guest; from half of it on, no more is read from the host. */
#define QUEUE_SIZE	(4u << 20)
/* Of one frame: Linux takes no MSS below 48, of which 64 KiB are 1366. */
#define SEGMENTS_MAX	2048
/* What is forbidden is refused so often, and dropped beyond that. */
#define REFUSALS_MAX	100
#define REFUSALS_NS	UINT64_C(1000000000)
/* In a row, each for a datagram at least. */
#define LOOKS_MAX	64
#define TH_SYN_ACK	0x12
#define TH_SYN_ONLY	0x02

struct net_nat {
	struct net_backend nb;
	struct loop *loop;
	Slirp *slirp;
	struct nat_sockets sockets;
	struct loop_poll poll;		/* of the sockets */
	struct loop_timer timer;	/* of TCP, and of what expires */
	struct loop_note work;		/* libslirp has something to do, or
					   there are frames for the guest */
	bool working;			/* and sees to these afterwards */
	struct net_queue queue;
	struct nat_forwards forwards;
	struct nat_probes probes;	/* of the forwards for TCP */
	bool host_metadata;
	unsigned recv_offloads;		/* NET_OFFLOAD_* of the guest's */
	unsigned refusals;		/* since then */
	uint64_t refusals_since;
	uint8_t frame[NET_FRAME_MAX];	/* the one that is sent */
	uint8_t segment[ETH_HLEN + MTU];	/* a part of it */
};

/* One that libslirp asks for. */
struct nat_timer {
	struct loop_timer timer;
	struct net_nat *nat;
	SlirpTimerId id;
	void *opaque;
};

/* All instances share libslirp's clock and its cache of the resolver. */
static pthread_mutex_t slirp_lock = PTHREAD_MUTEX_INITIALIZER;

static struct in_addr addr4(uint32_t addr)
{
	return (struct in_addr){ htonl(addr) };
}

static void push(struct net_nat *nat, const void *frame, size_t len)
{
	if (len > NET_FRAME_MAX || !net_queue_push(&nat->queue, frame, len))
		nat->nb.dropped++;
	if (!nat->working)
		loop_post(nat->loop, &nat->work);
}

/*
 * What libslirp asks for.
 */
static ssize_t cb_send_packet(const void *frame, size_t len, void *opaque)
{
	struct net_nat *nat = opaque;

	nat_probes_see_answer(&nat->probes, frame, len);
	push(nat, frame, len);
	return (ssize_t)len;
}

static void cb_guest_error(const char *message, void *opaque)
{
	trace(TRACE_NET, "nat.guest: %s", message);
}

static int64_t cb_clock_get_ns(void *opaque)
{
	struct net_nat *nat = opaque;

	return (int64_t)loop_now(nat->loop);
}

static void timer_expired(struct loop_timer *t)
{
	struct nat_timer *nt = container_of(t, struct nat_timer, timer);

	pthread_mutex_lock(&slirp_lock);
	slirp_handle_timer(nt->nat->slirp, nt->id, nt->opaque);
	pthread_mutex_unlock(&slirp_lock);
}

static void *cb_timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
	struct nat_timer *nt = g_new0(struct nat_timer, 1);

	nt->timer.expired = timer_expired;
	nt->nat = opaque;
	nt->id = id;
	nt->opaque = cb_opaque;
	return nt;
}

static void cb_timer_free(void *timer, void *opaque)
{
	struct net_nat *nat = opaque;
	struct nat_timer *nt = timer;

	loop_timer_clear(nat->loop, &nt->timer);
	g_free(nt);
}

static void cb_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	struct net_nat *nat = opaque;
	struct nat_timer *nt = timer;

	loop_timer_set(nat->loop, &nt->timer, (uint64_t)expire_ms * NS_PER_MS);
}

static void cb_register_poll_fd(int fd, void *opaque)
{
	nat_sockets_opened(&((struct net_nat *)opaque)->sockets, fd);
}

static void cb_unregister_poll_fd(int fd, void *opaque)
{
	nat_sockets_closed(&((struct net_nat *)opaque)->sockets, fd);
}

static void cb_notify(void *opaque)
{
	struct net_nat *nat = opaque;

	loop_post(nat->loop, &nat->work);
}

static const SlirpCb callbacks = {
	.send_packet = cb_send_packet,
	.guest_error = cb_guest_error,
	.clock_get_ns = cb_clock_get_ns,
	.timer_free = cb_timer_free,
	.timer_mod = cb_timer_mod,
	.register_poll_fd = cb_register_poll_fd,
	.unregister_poll_fd = cb_unregister_poll_fd,
	.notify = cb_notify,
	.timer_new_opaque = cb_timer_new,
};

/*
 * The host's side.
 */
static int add_poll(int fd, int events, void *opaque)
{
	nat_sockets_want(&((struct net_nat *)opaque)->sockets, fd, events);
	return fd;
}

static int get_revents(int fd, void *opaque)
{
	return nat_sockets_ready(&((struct net_nat *)opaque)->sockets, fd);
}

static bool has_room(const struct net_nat *nat)
{
	return nat->queue.used <= nat->queue.size / 2;
}

/* Not before now, as it may have been learned from inside of libslirp. */
static void follow_guest(struct net_nat *nat)
{
	nat_forwards_lead_to(&nat->forwards, addr4(nat->probes.guest.at.addr));
	nat_forwards_lead_to6(&nat->forwards, &nat->probes.guest.at6.addr);
	nat_forwards_follow(&nat->forwards);
}

/* What is due now, and what is waited for next: its milliseconds. */
static uint32_t look(struct net_nat *nat)
{
	uint32_t timeout = UINT32_MAX;

	slirp_pollfds_poll(nat->slirp, 0, get_revents, nat);
	nat_sockets_begin(&nat->sockets);
	slirp_pollfds_fill(nat->slirp, &timeout, add_poll, nat);
	return timeout;
}

/*
 * libslirp takes a datagram of each socket at a time.  The rest of them are
 * taken now, too, so that what is done for a crowd is not done for each.
 */
static uint32_t look_again(struct net_nat *nat, bool ready)
{
	unsigned looks = 0;
	uint32_t timeout;

	ready = ready && has_room(nat) && nat_sockets_look(&nat->sockets);
	do {
		timeout = look(nat);
	} while (ready && ++looks < LOOKS_MAX && has_room(nat) &&
		 nat_sockets_look(&nat->sockets));
	nat_sockets_end(&nat->sockets);
	return timeout;
}

/* @ready: so are sockets, perhaps. */
static void work(struct net_nat *nat, bool ready)
{
	uint32_t timeout;

	pthread_mutex_lock(&slirp_lock);
	nat->working = true;
	follow_guest(nat);
	timeout = look_again(nat, ready);
	nat->working = false;
	pthread_mutex_unlock(&slirp_lock);

	loop_poll_set(&nat->poll, has_room(nat) ? POLLIN : 0);
	/* A listener alone makes libslirp ask for a timer. */
	if (timeout < IDLE_MS && nat->sockets.open)
		loop_timer_set(nat->loop, &nat->timer,
			       loop_now(nat->loop) + timeout * NS_PER_MS);
	else
		loop_timer_clear(nat->loop, &nat->timer);
	if (nat->queue.used)
		nat->nb.user.readable(nat->nb.user.user);
}

static void work_noted(struct loop_note *note)
{
	work(container_of(note, struct net_nat, work), false);
}

static void sockets_ready(struct loop_poll *p, unsigned events)
{
	work(container_of(p, struct net_nat, poll), true);
}

static void timed_out(struct loop_timer *t)
{
	work(container_of(t, struct net_nat, timer), false);
}

/*
 * Forwards of TCP listen when the guest does.
 */
static void probe_send(void *user, const uint8_t *frame, size_t len)
{
	push(user, frame, len);
}

static void probe_changed(void *user, unsigned id, bool open)
{
	struct net_nat *nat = user;

	nat_forwards_open(&nat->forwards, id, open);
	loop_post(nat->loop, &nat->work);
}

static const struct nat_probe_ops probe_ops = {
	.send = probe_send,
	.changed = probe_changed,
};

/*
 * The guest's side.
 */
static bool gather(struct net_nat *nat, const struct net_frame *frame)
{
	return frame->len <= sizeof(nat->frame) &&
	       net_gather(frame, nat->frame, frame->len) == frame->len;
}

/* Whether libslirp may make a socket for it. */
static bool may_open_socket(const uint8_t *frame, const struct nat_packet *p)
{
	if (!p->ip || p->protocol == IPPROTO_ICMPV6)
		return false;
	return p->protocol != IPPROTO_TCP ||
	       (frame[p->l4 + 13] & TH_SYN_ACK) == TH_SYN_ONLY;
}

static void refuse(struct net_nat *nat, const struct nat_packet *packet)
{
	uint64_t now = loop_now(nat->loop);
	uint8_t answer[NAT_REFUSAL_MAX];
	size_t len;

	if (now - nat->refusals_since >= REFUSALS_NS) {
		nat->refusals_since = now;
		nat->refusals = 0;
	}
	if (nat->refusals == REFUSALS_MAX)
		return;
	len = nat_refuse(nat->frame, packet, answer);
	if (!len)
		return;
	nat->refusals++;
	push(nat, answer, len);
}

/* libslirp takes IPv6 no longer than the MTU. */
static bool send_segments(struct net_nat *nat, const struct net_frame *frame)
{
	const struct iovec iov = { nat->frame, frame->len };
	const struct net_frame whole = {
		.hdr = frame->hdr, .iov = &iov, .iovcnt = 1, .len = frame->len,
	};
	struct net_segmenter s;
	size_t len;

	if (!net_segmenter_init(&s, &whole) || s.max > sizeof(nat->segment) ||
	    net_segmenter_count(&s, &len) > SEGMENTS_MAX)
		return false;
	while ((len = net_segmenter_next(&s, nat->segment)))
		slirp_input(nat->slirp, nat->segment, (int)len);
	return true;
}

static bool send_one(struct net_nat *nat, const struct net_frame *frame)
{
	enum nat_verdict verdict = NAT_DROP;
	struct nat_packet packet;

	if (gather(nat, frame))
		verdict = nat_filter(nat->frame, frame->len,
				     nat->host_metadata, &packet);
	if (verdict == NAT_REFUSE)
		refuse(nat, &packet);
	if (verdict != NAT_PASS)
		return false;
	if (nat_sockets_full(&nat->sockets) &&
	    may_open_socket(nat->frame, &packet))
		return false;
	if (frame->hdr.gso_type == VIRTIO_NET_HDR_GSO_TCPV6)
		return send_segments(nat, frame);
	if (frame->hdr.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		nat_finish_checksums(nat->frame, &packet);
	if (!nat_probes_see(&nat->probes, nat->frame, &packet))
		slirp_input(nat->slirp, nat->frame, (int)frame->len);
	return true;
}

static unsigned nat_send(struct net_backend *nb, const struct net_frame *frames,
			 unsigned count)
{
	struct net_nat *nat = container_of(nb, struct net_nat, nb);

	pthread_mutex_lock(&slirp_lock);
	for (unsigned i = 0; i < count; i++)
		if (!send_one(nat, &frames[i]))
			nb->dropped++;
	pthread_mutex_unlock(&slirp_lock);
	loop_post(nat->loop, &nat->work);
	return count;
}

static int nat_recv(struct net_backend *nb, struct net_frame *frame)
{
	struct net_nat *nat = container_of(nb, struct net_nat, nb);
	bool was_full = !has_room(nat);
	bool got = false;

	while (!got && nat->queue.used) {
		got = net_merge_take(&nat->queue, nat->recv_offloads, frame);
		nb->dropped += !got;
	}
	if (was_full && has_room(nat))
		loop_post(nat->loop, &nat->work);
	return got;
}

static void nat_set_offloads(struct net_backend *nb, unsigned offloads)
{
	container_of(nb, struct net_nat, nb)->recv_offloads = offloads;
}

static void nat_forget(struct net_backend *nb)
{
	struct net_nat *nat = container_of(nb, struct net_nat, nb);
	size_t len;

	nat_probes_forget(&nat->probes);
	while (net_queue_pop(&nat->queue, &len))
		;
	loop_post(nat->loop, &nat->work);
}

static void nat_close(struct net_backend *nb)
{
	struct net_nat *nat = container_of(nb, struct net_nat, nb);

	pthread_mutex_lock(&slirp_lock);
	slirp_cleanup(nat->slirp);
	pthread_mutex_unlock(&slirp_lock);
	nat_sockets_finish(&nat->sockets);
	net_queue_finish(&nat->queue);
	g_free(nat);
}

static const struct net_backend_ops nat_ops = {
	.name = "nat",
	.send = nat_send,
	.recv = nat_recv,
	.set_offloads = nat_set_offloads,
	.forget = nat_forget,
	.close = nat_close,
};

static Slirp *make_slirp(struct net_nat *nat, bool isolated)
{
	SlirpConfig config = {
		.version = 4,
		.restricted = isolated,
		.in_enabled = true,
		.vnetwork = addr4(NAT_NETWORK),
		.vnetmask = addr4(NAT_NETMASK),
		.vhost = addr4(NAT_GATEWAY),
		.vdhcp_start = addr4(NAT_GUEST),
		.vnameserver = addr4(NAT_RESOLVER),
		.in6_enabled = true,
		.vprefix_len = 64,
		.if_mtu = MTU,
		.if_mru = MTU,
	};
	Slirp *slirp;

	inet_pton(AF_INET6, NAT_NETWORK6, &config.vprefix_addr6);
	inet_pton(AF_INET6, NAT_GATEWAY6, &config.vhost6);
	inet_pton(AF_INET6, NAT_RESOLVER6, &config.vnameserver6);
	pthread_mutex_lock(&slirp_lock);
	slirp = slirp_new(&config, &callbacks, nat);
	pthread_mutex_unlock(&slirp_lock);
	return slirp;
}

static bool open_forwards(struct net_nat *nat,
			  const struct net_nat_options *options,
			  GError **error)
{
	bool good = true;

	g_assert(options->forward_count <= NET_FORWARDS_MAX);
	nat_forwards_init(&nat->forwards, nat->slirp, &nat->sockets,
			  options->stuck);
	pthread_mutex_lock(&slirp_lock);
	for (unsigned i = 0; i < options->forward_count && good; i++) {
		struct net_forward *spec = &options->forwards[i];

		good = nat_forwards_add(&nat->forwards, spec, error);
		if (good && !spec->udp)
			nat_probes_add(&nat->probes, spec->ip6,
				       spec->guest_port, i);
	}
	pthread_mutex_unlock(&slirp_lock);
	return good;
}

/* What a guest can make libslirp say is no message to the user. */
static void slirp_said(const gchar *domain, GLogLevelFlags level,
		       const gchar *message, gpointer data)
{
	trace(TRACE_NET, "nat.slirp: %s", message);
}

struct net_backend *net_nat_open(struct loop *loop,
				 const struct net_nat_options *options,
				 GError **error)
{
	struct net_nat *nat = g_new0(struct net_nat, 1);
	int ret = nat_sockets_init(&nat->sockets);

	if (ret < 0) {
		user_error_set(error, EX_OSERR, "host.descriptors",
			       "cannot watch the NAT's sockets",
			       g_strerror(-ret), "raise the limit: ulimit -n");
		g_free(nat);
		return NULL;
	}
	nat->nb = (struct net_backend){
		.ops = &nat_ops,
		.offloads = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 |
			    NET_OFFLOAD_TSO6,
		.mtu_max = MTU, .speed = SPEED, .link_up = true,
	};
	nat->loop = loop;
	nat->host_metadata = options->host_metadata;
	nat->work.run = work_noted;
	nat->timer.expired = timed_out;
	nat->poll.ready = sockets_ready;
	loop_poll_add(loop, &nat->poll, nat->sockets.fd);
	net_queue_init(&nat->queue, QUEUE_SIZE);
	g_log_set_handler("Slirp", G_LOG_LEVEL_MASK, slirp_said, NULL);
	nat->slirp = make_slirp(nat, options->isolated);
	nat_probes_init(&nat->probes, loop, &probe_ops, nat);
	if (!open_forwards(nat, options, error)) {
		nat_close(&nat->nb);
		return NULL;
	}
	/* What libslirp waits for from the start. */
	loop_post(loop, &nat->work);
	return &nat->nb;
}

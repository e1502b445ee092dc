/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "backends/net_copy.h"
#include "backends/net_mem.h"
#include "core/util.h"

static unsigned mem_send(struct net_backend *nb, const struct net_frame *frames,
			 unsigned count)
{
	struct net_mem *nm = container_of(nb, struct net_mem, net);
	unsigned n = MIN(count, nm->room);

	for (unsigned i = 0; i < n; i++) {
		struct net_mem_frame *f =
			g_malloc(sizeof(*f) + frames[i].len);

		f->hdr = frames[i].hdr;
		f->len = frames[i].len;
		g_assert(net_room(&frames[i]) == f->len);
		net_gather(&frames[i], f->bytes, f->len);
		g_queue_push_tail(&nm->sent, f);
	}
	nm->room -= n;
	return n;
}

static int mem_recv(struct net_backend *nb, struct net_frame *frame)
{
	struct net_mem *nm = container_of(nb, struct net_mem, net);
	struct net_mem_frame *f;

	nm->pieces = frame->iovcnt;
	while ((f = g_queue_pop_head(&nm->incoming))) {
		bool all = net_scatter(frame, f->bytes, f->len);

		frame->hdr = f->hdr;
		g_free(f);
		if (all)
			return 1;
		nb->dropped++;
	}
	return 0;
}

static void mem_set_offloads(struct net_backend *nb, unsigned offloads)
{
	container_of(nb, struct net_mem, net)->offloads = offloads;
}

static void mem_forget(struct net_backend *nb)
{
	container_of(nb, struct net_mem, net)->forgotten++;
}

static void mem_close(struct net_backend *nb)
{
	struct net_mem *nm = container_of(nb, struct net_mem, net);

	g_queue_clear_full(&nm->sent, g_free);
	g_queue_clear_full(&nm->incoming, g_free);
	g_free(nm);
}

static const struct net_backend_ops mem_ops = {
	.name = "mem",
	.send = mem_send,
	.recv = mem_recv,
	.set_offloads = mem_set_offloads,
	.forget = mem_forget,
	.close = mem_close,
};

struct net_mem *net_mem_new(void)
{
	struct net_mem *nm = g_new0(struct net_mem, 1);

	nm->net = (struct net_backend){
		.ops = &mem_ops,
		.offloads = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 |
			    NET_OFFLOAD_TSO6 | NET_OFFLOAD_USO,
		.mtu_max = UINT16_MAX,
		.speed = UINT64_C(10000000000),
		.link_up = true,
	};
	g_queue_init(&nm->sent);
	g_queue_init(&nm->incoming);
	nm->room = UINT32_MAX;
	return nm;
}

struct net_mem_frame *net_mem_sent(struct net_mem *nm)
{
	return g_queue_pop_head(&nm->sent);
}

void net_mem_receive(struct net_mem *nm, const struct virtio_net_hdr *hdr,
		     const void *bytes, size_t len)
{
	struct net_mem_frame *f = g_malloc(sizeof(*f) + len);

	f->hdr = hdr ? *hdr : (struct virtio_net_hdr){ 0 };
	f->len = len;
	memcpy(f->bytes, bytes, len);
	g_queue_push_tail(&nm->incoming, f);
}

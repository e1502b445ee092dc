/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/net_copy.h"
#include "backends/net_segment.h"
#include "backends/net_tap.h"
#include "core/autoptr.h"
#include "core/error.h"
#include "core/util.h"

#ifndef TUN_F_USO4	/* headers of Linux before 6.2 */
#define TUN_F_USO4	0x20
#define TUN_F_USO6	0x40
#endif

#define TUN_DEVICE	"/dev/net/tun"
#define IOV_COUNT	(IOV_MAX - 2)	/* pieces of a frame */
#define SPEED		UINT64_C(10000000000)
/* In one go: who sends such frames does not have the loop for itself. */
#define DROPS_MAX	64

struct net_tap {
	struct net_backend nb;
	struct loop_poll poll;
	unsigned waiting;	/* POLLIN, POLLOUT: who could not go on */
	unsigned offloads;	/* NET_OFFLOAD_* that the host may leave */
	int fd;
	/* Datagrams that came as one frame, and the one that is next. */
	struct net_segmenter cut;
	struct net_frame whole;
	struct iovec whole_iov;
	uint8_t bytes[NET_FRAME_MAX], datagram[NET_FRAME_MAX];
};

static struct net_tap *tap_of(struct net_backend *nb)
{
	return container_of(nb, struct net_tap, nb);
}

/* Also finds out, on a later turn, that the device is not there any more. */
static void tap_wait(struct net_tap *t, unsigned event)
{
	if (!t->nb.link_up)
		return;
	t->waiting |= event;
	loop_poll_set(&t->poll, t->waiting);
}

static void tap_ready(struct loop_poll *p, unsigned events)
{
	struct net_tap *t = container_of(p, struct net_tap, poll);
	const struct net_user *u = &t->nb.user;
	unsigned ready = events & t->waiting;

	/* Told for a device that was deleted, and for nothing else. */
	if (events & POLLERR) {
		t->nb.link_up = false;
		u->link(u->user, false);
		ready = t->waiting;
	}
	t->waiting &= ~ready;
	if (t->nb.link_up && t->waiting)
		loop_poll_set(&t->poll, t->waiting);
	if (ready & POLLIN)
		u->readable(u->user);
	if (ready & POLLOUT)
		u->writable(u->user);
}

/* 0, or -errno. */
static int tap_write(struct net_tap *t, const struct net_frame *f)
{
	struct iovec iov[1 + IOV_COUNT];
	ssize_t n;

	if (f->iovcnt > IOV_COUNT)
		return -E2BIG;
	iov[0].iov_base = (void *)&f->hdr;
	iov[0].iov_len = sizeof(f->hdr);
	memcpy(iov + 1, f->iov, (size_t)f->iovcnt * sizeof(*iov));
	do
		n = writev(t->fd, iov, 1 + f->iovcnt);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static unsigned tap_send(struct net_backend *nb, const struct net_frame *frames,
			 unsigned count)
{
	struct net_tap *t = tap_of(nb);

	for (unsigned i = 0; i < count; i++) {
		int ret = tap_write(t, &frames[i]);

		if (ret == -EAGAIN) {
			tap_wait(t, POLLOUT);
			return i;
		}
		if (ret < 0)
			nb->dropped++;
		if (ret == -EBADFD)
			tap_wait(t, POLLIN);
	}
	return count;
}

/*
 * The kernel cuts what is too large and does not say so; hence there is room
 * for one byte more, which no frame may reach.
 */
static ssize_t tap_read(struct net_tap *t, struct net_frame *f)
{
	struct iovec iov[1 + IOV_COUNT + 1];
	int count = MIN(f->iovcnt, IOV_COUNT);
	uint8_t beyond;
	ssize_t n;

	iov[0].iov_base = &f->hdr;
	iov[0].iov_len = sizeof(f->hdr);
	memcpy(iov + 1, f->iov, (size_t)count * sizeof(*iov));
	iov[1 + count].iov_base = &beyond;
	iov[1 + count].iov_len = sizeof(beyond);
	do
		n = readv(t->fd, iov, 2 + count);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n - (ssize_t)sizeof(f->hdr);
}

/*
 * Whether the user may rely on the header.  What the host had queued before
 * set_offloads() still leaves what is not allowed any more.
 */
static bool header_is_good(const struct net_tap *t, const struct net_frame *f)
{
	static const unsigned needed[] = {
		[VIRTIO_NET_HDR_GSO_TCPV4] = NET_OFFLOAD_TSO4,
		[VIRTIO_NET_HDR_GSO_TCPV6] = NET_OFFLOAD_TSO6,
		[VIRTIO_NET_HDR_GSO_UDP_L4] = NET_OFFLOAD_USO,
	};
	const struct virtio_net_hdr *h = &f->hdr;
	bool csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	if (csum && (!(t->offloads & NET_OFFLOAD_CSUM) ||
		     (size_t)h->csum_start + h->csum_offset + 2 > f->len))
		return false;
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	return csum && h->gso_size && h->hdr_len <= f->len &&
	       h->gso_type < G_N_ELEMENTS(needed) &&
	       t->offloads & needed[h->gso_type];
}

/*
 * Datagrams that the host left in one frame: read at once, they go on one by
 * one, as no guest can be told to cut them.
 */
static bool next_datagram(struct net_tap *t, struct net_frame *f)
{
	size_t len;

	while (t->cut.left) {
		len = net_segmenter_next(&t->cut, t->datagram);
		if (net_scatter(f, t->datagram, len)) {
			f->hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
			return true;
		}
		t->nb.dropped++;
	}
	return false;
}

static bool begin_cut(struct net_tap *t, const struct net_frame *f)
{
	t->whole_iov = (struct iovec){ t->bytes, f->len };
	t->whole = (struct net_frame){
		.hdr = f->hdr, .iov = &t->whole_iov, .iovcnt = 1, .len = f->len,
	};
	net_gather(f, t->bytes, f->len);
	if (net_segmenter_init(&t->cut, &t->whole))
		return true;
	t->cut.left = 0;
	return false;
}

/* Whether @f, as it was read, is for the user. */
static bool take(struct net_tap *t, struct net_frame *f, size_t room)
{
	if (f->len <= room && header_is_good(t, f)) {
		if (f->hdr.gso_type != VIRTIO_NET_HDR_GSO_UDP_L4)
			return true;
		if (begin_cut(t, f))
			return next_datagram(t, f);
	}
	t->nb.dropped++;
	return false;
}

static int tap_recv(struct net_backend *nb, struct net_frame *f)
{
	struct net_tap *t = tap_of(nb);
	const struct net_frame reached = {
		.iov = f->iov, .iovcnt = MIN(f->iovcnt, IOV_COUNT),
	};
	size_t room = MIN(net_room(&reached), NET_FRAME_MAX);
	ssize_t n;

	if (next_datagram(t, f))
		return 1;
	for (unsigned i = 0; i < DROPS_MAX && (n = tap_read(t, f)) > 0; i++) {
		f->len = (size_t)n;
		if (take(t, f, room))
			return 1;
	}
	tap_wait(t, POLLIN);
	return 0;
}

static int set_offloads(int fd, unsigned offloads)
{
	unsigned long flags = 0;

	if (offloads & NET_OFFLOAD_CSUM)
		flags |= TUN_F_CSUM;
	if (offloads & NET_OFFLOAD_TSO4)
		flags |= TUN_F_TSO4;
	if (offloads & NET_OFFLOAD_TSO6)
		flags |= TUN_F_TSO6;
	if (offloads & NET_OFFLOAD_USO)
		flags |= TUN_F_USO4 | TUN_F_USO6;
	return ioctl(fd, TUNSETOFFLOAD, flags);
}

/*
 * The kernel then does itself what is not allowed to be left.  Who has room for
 * large frames has it for those of datagrams, which are cut here.
 */
static void tap_set_offloads(struct net_backend *nb, unsigned offloads)
{
	struct net_tap *t = tap_of(nb);

	if (offloads & (NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6))
		offloads |= NET_OFFLOAD_USO;
	t->offloads = offloads & nb->offloads;
	/* Fails for a device that was deleted only. */
	set_offloads(t->fd, t->offloads);
}

static void tap_close(struct net_backend *nb)
{
	struct net_tap *t = tap_of(nb);

	close(t->fd);
	g_free(t);
}

static const struct net_backend_ops tap_ops = {
	.name = "tap",
	.send = tap_send,
	.recv = tap_recv,
	.set_offloads = tap_set_offloads,
	.close = tap_close,
};

/*
 * Opening.
 */
static bool fail(GError **error, const char *name, int status, const char *id,
		 const char *why, const char *advice)
{
	g_autofree char *what = g_strdup_printf("cannot use tap device %s",
						name);
	/* Advice names it up to twice. */
	/* cppcheck-suppress wrongPrintfScanfArgNum */
	g_autofree char *text = g_strdup_printf(advice, name, name);

	user_error_set(error, status, id, what, why, text);
	return false;
}

static bool no_tun(GError **error, const char *name, int err)
{
	switch (err) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return fail(error, name, EX_UNAVAILABLE, "net.tap-driver",
			    "the host has no " TUN_DEVICE,
			    "load its driver: sudo modprobe tun");
	case EACCES:
	case EPERM:
		return fail(error, name, EX_NOPERM, "net.tap-driver",
			    "no permission to open " TUN_DEVICE,
			    "sudo chmod a+rw " TUN_DEVICE);
	default:
		return fail(error, name, EX_OSERR, "net.tap-driver",
			    g_strerror(err), "another --net");
	}
}

static bool attach_failed(GError **error, const char *name, int err)
{
	switch (err) {
	case EPERM:
		if (if_nametoindex(name))
			return fail(error, name, EX_NOPERM,
				    "net.tap-permission",
				    "it is another user's",
				    "sudo ip link delete %s, then\n"
				    "sudo ip tuntap add dev %s mode tap "
				    "user $USER");
		return fail(error, name, EX_NOPERM, "net.tap-missing",
			    "there is no such device, and no permission to "
			    "make one",
			    "sudo ip tuntap add dev %s mode tap user $USER\n"
			    "sudo ip link set %s up");
	case EBUSY:
		return fail(error, name, EX_UNAVAILABLE, "net.tap-busy",
			    "another process uses it",
			    "stop that one, or a device of its own for each "
			    "machine");
	case EINVAL:
		return fail(error, name, EX_DATAERR, "net.tap-kind",
			    "it is not a tap device",
			    "another name; see what there is: ip tuntap");
	default:
		return fail(error, name, EX_OSERR, "net.tap-attach",
			    g_strerror(err), "another --net");
	}
}

/* The kernel would take a name with % for a pattern. */
static bool name_is_good(const char *name)
{
	return *name && strlen(name) < IFNAMSIZ && !strpbrk(name, "%/: \t\n") &&
	       strcmp(name, ".") && strcmp(name, "..");
}

static int attach(int fd, const char *name, int flags)
{
	struct ifreq ifr = {
		.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
				     flags),
	};

	g_strlcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
	return ioctl(fd, TUNSETIFF, &ifr);
}

/*
 * A queue of @name, or -1.  A device has several queues or can have but one,
 * IFF_MULTI_QUEUE in @flags or not, and which it is only an attempt tells.
 */
static int open_queue(const char *name, int flags, GError **error)
{
	autofd fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int hdr_len = sizeof(struct virtio_net_hdr), ret;

	if (fd < 0) {
		no_tun(error, name, errno);
		return -1;
	}
	ret = attach(fd, name, flags);
	if (ret < 0 && errno == EINVAL)
		ret = attach(fd, name, flags ^ IFF_MULTI_QUEUE);
	if (ret < 0 || ioctl(fd, TUNSETVNETHDRSZ, &hdr_len) < 0) {
		attach_failed(error, name, errno);
		return -1;
	}
	return autofd_steal(&fd);
}

static bool has_several_queues(int fd)
{
	struct ifreq ifr = { 0 };

	return ioctl(fd, TUNGETIFF, &ifr) == 0 &&
	       ifr.ifr_flags & IFF_MULTI_QUEUE;
}

static uint32_t read_mtu(const char *name)
{
	struct ifreq ifr = { 0 };
	autofd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	g_strlcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &ifr) < 0 || ifr.ifr_mtu < 0)
		return 1500;
	return (uint32_t)ifr.ifr_mtu;
}

/* What may be sent is what the kernel can leave undone itself. */
static unsigned find_offloads(int fd)
{
	unsigned all = NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6;

	if (set_offloads(fd, all | NET_OFFLOAD_USO) == 0)
		all |= NET_OFFLOAD_USO;
	set_offloads(fd, 0);
	return all;
}

struct net_backend *net_tap_new(struct loop *loop, int fd, uint32_t mtu)
{
	struct net_tap *t = g_new0(struct net_tap, 1);

	t->nb.ops = &tap_ops;
	t->nb.offloads = find_offloads(fd);
	t->nb.mtu_max = mtu;
	t->nb.speed = SPEED;
	t->nb.link_up = true;
	t->fd = fd;
	t->poll.ready = tap_ready;
	loop_poll_add(loop, &t->poll, fd);
	/* Whoever never calls recv() has to learn of the device's end, too. */
	tap_wait(t, POLLIN);
	return &t->nb;
}

bool net_tap_open(struct loop *const *loops, const char *name, unsigned queues,
		  struct net_cable *cable, GError **error)
{
	cable->count = 0;
	if (!name_is_good(name))
		return fail(error, name, EX_USAGE, "net.tap-name",
			    "a device's name has 1 to 15 characters, none of "
			    "them / : % or a space",
			    "--net tap:tap0");
	do {
		int fd = open_queue(name, queues > 1 ? IFF_MULTI_QUEUE : 0,
				    error);

		if (fd < 0) {
			net_cable_close(cable);
			return false;
		}
		if (!has_several_queues(fd))
			queues = 1;
		cable->queue[cable->count] =
			net_tap_new(loops[cable->count], fd, read_mtu(name));
		cable->count++;
	} while (cable->count < queues);
	return true;
}

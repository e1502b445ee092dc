/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State shared between the files of a NIC.
 *
 *	netvsp.c	the channels; a packet goes to one of:
 *	nvsp.c		setting up: version, buffers, sub-channels
 *	rndis.c		control messages, and indications
 *	oid.c		what they ask and set
 *	tx.c		frames of the guest's
 *	rx.c		frames for the guest
 *	rx_buffers.c	where the guest wants them
 *	lines.c		what happens on a queue of the cable, and between them
 *	link.c		whether there is one
 *	stats.c		what was counted
 *	rss.c		the channel that a received frame goes to
 *	flow.c		the channel that its flow was sent on
 *	frame.c		headers and checksums of frames
 */
#ifndef DEVICES_NETVSP_NETVSP_INTERNAL_H
#define DEVICES_NETVSP_NETVSP_INTERNAL_H

#include <glib.h>
#include <pthread.h>
#include <string.h>

#include "core/trace.h"
#include "core/util.h"
#include "devices/netvsp/frame.h"
#include "devices/netvsp/netvsp.h"
#include "devices/netvsp/netvsp_proto.h"

/* Bytes of a frame with its Ethernet header; a VLAN tag is not counted. */
#define VLAN_SIZE		4u
#define MTU_DEFAULT		1514u
#define MTU_MAX			9216u

#define RECV_BUF_PAGES_MAX	(32u << 8)	/* 32 MiB */
#define SEND_BUF_PAGES_MAX	(32u << 8)
#define SEND_SECTION_SIZE	6144u

#define TX_FRAMES_PER_MESSAGE	8	/* as we tell guests */
#define TX_BATCH		64	/* frames handed over at once */
#define TX_SOURCE_MAX		96	/* pieces of one message */
#define TX_IOV_MAX		1024
#define TX_SIZE_MAX		(44u + 512 + NET_FRAME_MAX)
/* How long a back end that is full holds up what is behind in the ring. */
#define TX_PATIENCE_NS		UINT64_C(200000000)

#define CONTROL_SIZE_MAX	8192u	/* bytes of a control message */
#define RESPONSE_SIZE_MAX	1200u	/* and of what we say */
#define RESPONSES_MAX		32	/* that wait for buffers */
#define GROUPS_MAX		32	/* addresses of groups to listen to */
#define FLOW_BITS		10	/* of the number of flows' entries */

/* A frame for the guest begins here in its suballocation. */
#define RX_DATA_OFFSET		252u
/* Behind it: Windows does not use what is in there. */
#define RX_TAIL			36u
#define RX_CONTROL_BUFFERS	16u	/* kept for control messages */
#define RX_BUDGET		256	/* frames of one turn */
#define RX_IOV_MAX		(VMBUS_RANGES_MAX * 4 + 1)

struct netvsp;

/*
 * Frames on their way to the back end, with what is owed for them.
 *
 *	          full                    out of patience
 *	flowing --------> blocked: the ------------------> shedding: frames get
 *	   ^              ring waits        receive         lost, the ring is
 *	   |                  |             buffers run out  emptied
 *	   +------------------+-----------------------------+
 *	             net_user.writable(), or all were taken
 *
 * For what is behind frames in the ring has to come by: receive buffers that
 * the guest gives back, without which a peer may never go on, and control.
 */
struct tx {
	unsigned frames, sent, iovs, owed;
	bool blocked, shedding;
	size_t bulk;	/* bytes that left since something came, see tx.c */
	size_t debt;	/* and of what is owed for */
	bool looking;	/* at the ring: what is owed may wait */
	struct loop_timer patience;	/* set while blocked */
	struct net_frame frame[TX_BATCH];
	struct frame_header header[TX_BATCH];
	uint8_t to[TX_BATCH][6];	/* addresses of the frames */
	struct iovec iov[TX_IOV_MAX];
	struct {
		uint64_t trans_id;
		enum nvsp_status status;
	} answer[TX_BATCH];
};

/* Suballocations of the receive buffer, linked by number.  Zeroes: none. */
struct chain {
	uint32_t first, last, count;
};

/* A channel. */
struct queue {
	struct netvsp *nv;
	struct vmbus_channel *ch;
	unsigned index;
	struct line *line;		/* that it sends and lives on */
	struct tx tx;
	struct vmbus_transfer rx;	/* filled, not yet sent */
	struct chain arrived;		/* to be sent: what was in the inbox */
	pthread_mutex_t lock;		/* of the inbox, taken last of all */
	struct chain inbox;		/* frames that other lines received */
};

/* A suballocation.  Who may touch it: see rx_buffers.c. */
struct buffer {
	uint32_t next;			/* of a chain or packet, or NO_BUFFER */
	uint16_t len;			/* bytes for the guest */
	bool more;			/* the frame goes on in the next one */
	uint8_t sent_on;		/* atomic: the guest has a packet that
					   begins here, by channel n - 1; or 0 */
};
#define NO_BUFFER	UINT32_MAX

/* The guest's receive buffer. */
struct recv_buf {
	struct vmbus_loan *loan;	/* NULL: there is none */
	uint16_t id;
	uint32_t size;			/* bytes of a suballocation */
	uint32_t count;
	uint32_t control;		/* the first few, for control messages */
	uint32_t share;			/* that each line has of the others */
	struct buffer *buffer;
	struct chain free_control;	/* line 0's */
};

struct ppi {
	struct rndis_per_packet_info head;
	uint32_t value;
} __attribute__((packed));

/* A frame in its suballocations, and as far as it is longer in the spill. */
struct rx_frame {
	uint32_t buffer[VMBUS_RANGES_MAX];
	unsigned buffers;		/* that it may fill */
	unsigned most;			/* that the largest one takes */
	struct iovec iov[RX_IOV_MAX];
	struct net_frame net;
	struct frame_header h;
	struct ppi ppi[3];		/* to be told with it */
	unsigned ppis;
	uint32_t skip;			/* bytes that are not wanted in front */
};

struct counters {
	uint64_t frames[FRAME_CASTS], bytes[FRAME_CASTS];
};

struct stats {
	struct counters rx, tx;
	uint64_t tx_errors;
	uint64_t tx_lost;		/* frames that the cable took not */
};

/* What a line is to do before anything else. */
#define LINE_FORGET	(1u << 0)	/* net_forget() */
#define LINE_OFFLOADS	(1u << 1)	/* take over nv->rx_offloads */
#define LINE_SETTLE	(1u << 2)	/* pay for what was dropped */
#define LINE_SHED	(1u << 3)	/* someone is out of buffers */

/*
 * A queue of the cable, with a loop on which it and its channels live: the
 * n-th channel is line (n % lines)'s.
 *
 * Lines share a NIC, and so have locks.  What happens on a line's loop is a
 * turn, from line_begin() to line_end(), and holds line->turn, which nobody
 * else wants as a rule.  In its turn a line changes what is its own: all of
 * this, its channels, the suballocations that it holds.  And it reads what is
 * the NIC's, which changes only while all lines are stopped:
 *
 *	a control message, in a turn of line 0		lines_stop(nv, 1)
 *	open(), close(), the link's switch, in none	lines_stop(nv, 0)
 *
 * That takes their turns from them, in ascending order.  Nothing else takes
 * two, so nobody waits longer than for the end of a turn, which is bounded.
 * Even then a back end, a timer and a channel are touched by their own loop
 * only; it is asked to by line_ask().
 */
struct line {
	struct netvsp *nv;
	unsigned index;
	struct net_backend *nb;
	struct loop *loop;
	pthread_mutex_t turn;
	pthread_mutex_t gate;		/* who waits for the turn goes first */
	bool wanted;			/* atomic: someone does */
	unsigned due;			/* atomic: LINE_* */
	struct loop_note note;		/* a turn is wanted */

	bool idle;			/* until net_user.readable() */
	struct stats stats;
	struct chain free;		/* of its share */
	unsigned expected;		/* buffers that the next frame takes */
	struct rx_frame receiving;
	/* Of this turn: frames for other lines' channels; others' buffers. */
	struct chain out[NETVSP_QUEUES_MAX], back[NETVSP_QUEUES_MAX];
	uint64_t out_set, back_set;	/* a bit for each that has some */

	pthread_mutex_t lock;		/* of what follows, taken last of all */
	struct chain returned;		/* of its share, by other lines */
	bool starving;			/* waits for them; others may look */

	/* The end of frames longer than expected, and those nobody wants. */
	uint8_t spill[NET_FRAME_MAX];
} __attribute__((aligned(64)));		/* no two locks in one cache line */

enum rndis_state { RNDIS_DOWN, RNDIS_UP };

/* What the guest has switched on. */
struct offloads {
	bool rx_tcp4, rx_udp4, rx_tcp6, rx_udp6;	/* checksums */
	bool rsc4, rsc6;
};

struct rss {
	bool on;
	bool in_turn;			/* the table is 0, 1, ... again and again */
	uint32_t hash_info;
	uint16_t entries;
	uint8_t table[NDIS_RSS_TABLE_ENTRIES];
	uint8_t key[NDIS_RSS_KEY_SIZE];
};

struct netvsp {
	struct vmbus_device vmbus;
	struct line *line[NETVSP_QUEUES_MAX];
	unsigned lines;
	const struct net_backend *nb;	/* line 0's: what any is like */
	uint8_t permanent_mac[6];
	uint8_t changed_mac[6];		/* by a guest, or the permanent one */
	unsigned max_queues;
	struct queue *queue[NETVSP_QUEUES_MAX];

	/* From here on it is void when the primary channel opens. */
	struct {
		uint32_t version;	/* 0: not agreed */
		bool configured;
		uint32_t mtu;
		uint64_t capabilities;
		unsigned subchannels;	/* that the guest may open */
		bool table_due;		/* our send table, to the guest */
		struct recv_buf recv;
		struct vmbus_loan *send;

		enum rndis_state rndis;
		uint8_t mac[6];		/* as this driver knows it */
		uint32_t filter;	/* NDIS_PACKET_TYPE_* */
		struct offloads offloads;
		bool offloads_due;	/* to be indicated */
		struct rss rss;
		uint8_t flow[1u << FLOW_BITS];	/* atomic: queue + 1, or 0 */
		uint8_t group[GROUPS_MAX][6];
		unsigned groups;	/* 0: the guest sorts them out */
	};
	unsigned rx_offloads;		/* NET_OFFLOAD_* that may come */

	bool unplugged;			/* by the user */
	bool link_up;			/* what there is now */
	bool link_told;			/* what the guest knows */
	bool link_changed;		/* since then */
	struct loop_timer link_quiet;	/* set: it is not told anything now */

	GQueue responses;		/* GBytes, control messages to send */
};

static inline struct queue *primary(struct netvsp *nv)
{
	return nv->queue[0];
}

/* The channel of @line's behind @q, or its first one; NULL if there is none. */
static inline struct queue *line_next(const struct line *line,
				      const struct queue *q)
{
	const struct netvsp *nv = line->nv;
	unsigned i = q ? q->index + nv->lines : line->index;

	for (; i < nv->max_queues; i += nv->lines)
		if (nv->queue[i])
			return nv->queue[i];
	return NULL;
}

/* netvsp.c */
void netvsp_reset(struct netvsp *nv);
/* Answer a packet, if its sender wants to know. */
void queue_answer(struct queue *q, const struct vmpacket_descriptor *desc,
		  const struct nvsp_message *m);

/* lines.c */
void line_init(struct line *line, struct netvsp *nv, unsigned index,
	       struct loop *loop, struct net_backend *nb);
void line_finish(struct line *line);
/* A turn, on the line's loop.  It begins with what the line was asked. */
void line_begin(struct line *line);
void line_end(struct line *line);
/*
 * Wait for the turns of lines @first to the last to end, and let none begin:
 * 1 in a turn of line 0's, 0 in none.
 */
void lines_stop(struct netvsp *nv, unsigned first);
void lines_go(struct netvsp *nv, unsigned first);
/* Any thread: a turn of @line's is to begin with @due, LINE_* or nothing. */
void line_ask(struct line *line, unsigned due);
/* All but line 0, by line 0. */
void lines_ask(struct netvsp *nv, unsigned due);
/* tx_shed() for the channels of a line. */
void line_shed(struct line *line);
/*
 * Frames in hand are lost, those of all lines; what is owed for them comes when
 * these have their turn.  On line 0's loop, all are stopped.
 */
void lines_shed(struct netvsp *nv);
/* Ask other lines to shed, for @line has run out of buffers; are there such? */
void line_starves(struct line *line);
bool others_starve(const struct line *line);

/* nvsp.c: a message of the primary channel other than RNDIS. */
void nvsp_handle(struct queue *q, const struct vmpacket_descriptor *desc,
		 const struct nvsp_message *m);
/* A sub-channel has opened; also: try again to send what is due. */
void nvsp_send_table(struct netvsp *nv);

/* rndis.c: a control message, our copy.  */
enum nvsp_status rndis_handle(struct netvsp *nv, struct reader msg);
/* Indicate a status, with what belongs to it. */
void rndis_indicate(struct netvsp *nv, enum rndis_status status,
		    const void *data, uint32_t len);
/* Send what waits, as far as there is room. */
void rndis_send_responses(struct netvsp *nv);

/*
 * oid.c.  Query: append the answer to @out; @in is what came with the request.
 */
enum rndis_status oid_query(struct netvsp *nv, uint32_t oid, struct reader in,
			    GByteArray *out);
enum rndis_status oid_set(struct netvsp *nv, uint32_t oid, struct reader in);
void oid_default_offloads(struct netvsp *nv);
/* What was set has an effect that is to be indicated behind the answer. */
void oid_indicate(struct netvsp *nv);

/*
 * tx.c: an RNDIS packet, of @pkt or in a section of the send buffer.  It is
 * answered when its frames have left, in a stream together with others.
 */
void tx_packet(struct queue *q, struct vmbus_packet *pkt,
	       const struct nvsp_message *m);
/* Hand over what there is.  False if the back end is full. */
bool tx_flush(struct queue *q);
/* Answer what has left: the guest is interrupted in any case. */
void tx_pay(struct queue *q);
/* The ring has been looked at, and had something (@some) or not. */
void tx_looked(struct queue *q, bool some);
/*
 * No frame is in hand any more, and nothing owed: what the back end does not
 * take is lost.
 */
void tx_shed(struct queue *q);
/* The same for a queue of another line, up to its next tx_flush(). */
void tx_drop(struct queue *q);
void tx_out_of_patience(struct loop_timer *t);

/* rx.c */
void rx_run(struct line *line);
/* Send a filled packet.  False if the ring is full. */
bool rx_flush(struct queue *q);
/* @len bytes to the guest by a buffer kept for control.  False: none. */
bool rx_send_control(struct netvsp *nv, const void *msg, size_t len);
/* What may come has changed: tell the back ends. */
void rx_update_offloads(struct netvsp *nv);

/* rx_buffers.c; the first three while all lines are stopped */
bool rx_buffer_set(struct netvsp *nv, struct vmbus_loan *loan, uint16_t id);
void rx_buffer_drop(struct netvsp *nv);
/* Take back what went, or was to go, by a sub-channel that is none any more. */
void rx_queue_gone(struct queue *q);
/*
 * The guest is done with a packet that it got by @q.  False, and nothing is
 * given back, if it has none such: it may say so late, behind a buffer's end.
 */
bool rx_completed(struct queue *q, uint64_t trans_id);
/* A packet has gone to the guest; its first suballocation. */
void rx_sent(struct queue *q, uint32_t first);
/*
 * @line has @count free ones.  Else it is starving until some come back; and
 * frames in hand, behind which they may be, are shed.
 */
bool rx_has_free(struct line *line, unsigned count);
/* Inbox to arrived. */
void rx_collect(struct queue *q);
/* At the end of a turn: to other lines what is theirs. */
void rx_hand_over(struct line *line);
/* Bytes of a frame that fit into a suballocation. */
uint32_t rx_room(const struct recv_buf *b);
/* Append [off, off + len) of suballocation @n; the new count. */
int rx_map(const struct recv_buf *b, uint32_t n, uint32_t off, uint32_t len,
	   struct iovec *iov, int used);
void rx_write(const struct recv_buf *b, uint32_t n, const void *src,
	      uint32_t len);
/* Append @n, which is in no chain; take the first of one that has some. */
void chain_add(struct recv_buf *b, struct chain *c, uint32_t n);
uint32_t chain_take(struct recv_buf *b, struct chain *c);

/* link.c */
bool link_is_up(const struct netvsp *nv);
/* In units of 100 bits a second. */
uint32_t link_speed(const struct netvsp *nv);
/* A driver begins, which will ask for itself. */
void link_begin(struct netvsp *nv);
/* It may have changed: tell the guest. */
void link_update(struct netvsp *nv);
void link_was_quiet(struct loop_timer *t);

/* stats.c */
void stats_count(struct counters *c, const uint8_t *to, size_t len);
uint64_t stats_frames(const struct counters *c);
uint64_t stats_bytes(const struct counters *c);
/* Of all lines, which are stopped. */
struct stats stats_sum(const struct netvsp *nv);
/* Append the OIDs that query() knows; append the value of one. */
void stats_list(GByteArray *out);
bool stats_query(const struct netvsp *nv, uint32_t oid, GByteArray *out);
void stats_object(const struct netvsp *nv, struct ndis_statistics *s);

/* rss.c */
enum rndis_status rss_set(struct netvsp *nv, struct reader in);
/* The queue of a frame; *@hash is 0 if it has none. */
struct queue *rss_queue(struct netvsp *nv, const struct frame_header *h,
			uint32_t *hash);
/* flow.c */
void flow_sent(struct queue *q, const struct frame_header *h);
/* NULL if it was not sent on any. */
struct queue *flow_queue(struct netvsp *nv, const struct frame_header *h);

/* Toeplitz hash; @key is NDIS_RSS_KEY_SIZE bytes. */
uint32_t rss_toeplitz(const uint8_t *key, const uint8_t *input, size_t len);

#endif

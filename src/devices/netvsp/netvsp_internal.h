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
 *	link.c		whether there is one
 *	stats.c		what was counted
 *	rss.c		the channel that a received frame goes to
 *	flow.c		the channel that its flow was sent on
 *	frame.c		headers and checksums of frames
 */
#ifndef DEVICES_NETVSP_NETVSP_INTERNAL_H
#define DEVICES_NETVSP_NETVSP_INTERNAL_H

#include <glib.h>
#include <string.h>

#include "core/trace.h"
#include "core/util.h"
#include "devices/netvsp/frame.h"
#include "devices/netvsp/netvsp.h"
#include "devices/netvsp/netvsp_proto.h"

/* Bytes of a frame with its Ethernet header; a VLAN tag is not counted. */
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

/* A queue of the cable. */
struct line {
	struct netvsp *nv;
	struct net_backend *nb;
	bool idle;			/* until net_user.readable() */
};

/* A channel. */
struct queue {
	struct netvsp *nv;
	struct vmbus_channel *ch;
	unsigned index;
	struct line *line;		/* that it sends on */
	struct tx tx;
	struct vmbus_transfer rx;	/* filled, not yet sent */
};

/* The guest's receive buffer.  Suballocations are linked by their numbers. */
struct recv_buf {
	struct vmbus_loan *loan;	/* NULL: there is none */
	uint16_t id;
	uint32_t size;			/* bytes of a suballocation */
	uint32_t count;
	uint32_t free, free_control;	/* first of a list, or NO_BUFFER */
	uint32_t free_count;
	uint32_t *next;
	uint8_t *state;			/* enum buffer_state */
};
#define NO_BUFFER	UINT32_MAX

enum buffer_state { BUFFER_FREE, BUFFER_HEAD, BUFFER_LINKED };

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

struct counters {
	uint64_t frames[FRAME_CASTS], bytes[FRAME_CASTS];
};

struct netvsp {
	struct vmbus_device vmbus;
	struct line line[NETVSP_QUEUES_MAX];
	unsigned lines;
	unsigned turn;			/* of the line to receive from first */
	const struct net_backend *nb;	/* what any line is like */
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
		uint8_t flow[1u << FLOW_BITS];	/* queue's index + 1, or 0 */
		uint8_t group[GROUPS_MAX][6];
		unsigned groups;	/* 0: the guest sorts them out */
		struct counters rx, tx;
		uint64_t tx_errors;
		uint64_t tx_lost;	/* frames that the cable took not */
	};

	bool unplugged;			/* by the user */
	bool link_up;			/* what there is now */
	bool link_told;			/* what the guest knows */
	bool link_changed;		/* since then */
	struct loop_timer link_quiet;	/* set: it is not told anything now */

	GQueue responses;		/* GBytes, control messages to send */
	struct rx_frame receiving;
	unsigned rx_expected;		/* buffers that the next frame takes */
	struct loop_note rx_note;	/* more to receive than a turn takes */
	/* The end of frames longer than expected, and those nobody wants. */
	uint8_t spill[NET_FRAME_MAX];
};

static inline struct queue *primary(struct netvsp *nv)
{
	return nv->queue[0];
}

/* netvsp.c */
void netvsp_reset(struct netvsp *nv);
/* Answer a packet, if its sender wants to know. */
void queue_answer(struct queue *q, const struct vmpacket_descriptor *desc,
		  const struct nvsp_message *m);

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
void tx_shed_all(struct netvsp *nv);
void tx_out_of_patience(struct loop_timer *t);

/* rx.c */
bool rx_buffer_set(struct netvsp *nv, struct vmbus_loan *loan, uint16_t id);
void rx_buffer_drop(struct netvsp *nv);
/*
 * The guest is done with a packet of ours.  False, and nothing is given back,
 * if it does not have that: it may say so late, behind a buffer's end.
 */
bool rx_completed(struct netvsp *nv, uint64_t trans_id);
void rx_run(struct netvsp *nv);
/* Send a filled packet.  False if the ring is full. */
bool rx_flush(struct queue *q);
/* @len bytes to the guest by a buffer kept for control.  False: none. */
bool rx_send_control(struct netvsp *nv, const void *msg, size_t len);
/* What may come has changed: tell the back end. */
void rx_update_offloads(struct netvsp *nv);

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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_netvsc - the guest's driver of a NIC, on fake channels and a cable
 * whose far end is the test.
 */
#ifndef TESTS_FAKE_NETVSC_H
#define TESTS_FAKE_NETVSC_H

#include "backends/net_mem.h"
#include "devices/netvsp/netvsp_internal.h"
#include "fake_channel.h"

#define NETVSC_RECV_PAGES	256u
#define NETVSC_SEND_PAGES	64u
#define NETVSC_FREE_PAGES	64u	/* for whatever a test puts there */
#define NETVSC_RECV_GPA		UINT64_C(0)
#define NETVSC_SEND_GPA		(NETVSC_RECV_PAGES * GMEM_PAGE_SIZE)
#define NETVSC_FREE_GPA		(NETVSC_SEND_GPA + \
				 NETVSC_SEND_PAGES * GMEM_PAGE_SIZE)
#define NETVSC_RAM		(NETVSC_FREE_GPA + \
				 NETVSC_FREE_PAGES * GMEM_PAGE_SIZE)
#define NETVSC_RECV_GPADL	7
#define NETVSC_SEND_GPADL	8
#define NETVSC_RECV_ID		0xcafe
#define NETVSC_QUEUES		4

extern const uint8_t netvsc_mac[6];

struct netvsc {
	struct loop *loop;		/* the first line's */
	struct loop *loops[NETVSC_QUEUES];
	uint8_t *ram;
	struct gmem_region region;
	struct gmem gm;
	struct net_mem *line[NETVSC_QUEUES];
	struct net_mem *cable;		/* line[0] */
	struct netvsp *nv;
	struct vmbus_channel *ch[NETVSC_QUEUES];
	uint64_t trans_id;		/* of the last packet */
	uint32_t request_id;
	struct nvsp_message answer;	/* the last one */
	size_t answer_len;
};

/* The primary channel is open; nothing else has happened.  One line. */
struct netvsc *netvsc_new(unsigned queues);
/* With a loop for each line. */
struct netvsc *netvsc_new_lines(unsigned queues, unsigned lines);
/* On @loop, which passes; @cable is borrowed and has one queue. */
struct netvsc *netvsc_new_on(struct loop *loop, unsigned queues,
			     const struct net_cable *cable);
void netvsc_free(struct netvsc *c);
/* A turn of each loop; whether anything was done. */
bool netvsc_turn(struct netvsc *c);
/* Frames that were lost for the cable took them not. */
uint64_t netvsc_lost(const struct netvsc *c);

/* NVSP: send @m and keep the answer; 0 if there was none. */
bool netvsc_message(struct netvsc *c, const struct nvsp_message *m);
/* The same without wanting one. */
void netvsc_tell(struct netvsc *c, const struct nvsp_message *m);
bool netvsc_init(struct netvsc *c, uint32_t version);
void netvsc_config(struct netvsc *c, uint32_t mtu, uint64_t capabilities);
bool netvsc_buffers(struct netvsc *c);
/* All of it as Linux does, up to a packet filter that lets all in. */
void netvsc_start(struct netvsc *c, uint32_t version, uint32_t mtu,
		  uint64_t capabilities);

/* A packet in section 0 of the send buffer; the status that it ended with. */
uint32_t netvsc_send(struct netvsc *c, unsigned queue, uint32_t channel_type,
		     const void *rndis, size_t len);
/* Take all frames that left: each must be what its header says. */
void netvsc_check_sent(struct netvsc *c);
/* One RNDIS data message around @frame with @ppis PPIs; its length. */
size_t netvsc_wrap(uint8_t *out, const struct ppi *ppi, unsigned ppis,
		   const void *frame, size_t len);
struct ppi netvsc_ppi(uint32_t type, uint32_t value);

/* RNDIS control: type and body; the answer's body behind its header. */
GByteArray *netvsc_control(struct netvsc *c, uint32_t type, const void *body,
			   size_t len);
/* Status; @out gets what was asked for, if not NULL. */
uint32_t netvsc_query(struct netvsc *c, uint32_t oid, const void *in,
		      size_t in_len, GByteArray *out);
uint32_t netvsc_set(struct netvsc *c, uint32_t oid, const void *in, size_t len);
/* Whether frames of many segments may come as such (RSC). */
uint32_t netvsc_set_rsc(struct netvsc *c, bool on);

/* A received frame, or a part of one. */
struct netvsc_frame {
	uint64_t trans_id;
	uint32_t csum, vlan, hash;
	bool has_csum, has_vlan, has_hash, has_id;
	struct rndis_packet_id id;
	size_t len;
	uint8_t bytes[MTU_MAX + 64];
};
/* All that channel @queue got; struct netvsc_frame.  They are completed. */
GPtrArray *netvsc_received(struct netvsc *c, unsigned queue);

#endif

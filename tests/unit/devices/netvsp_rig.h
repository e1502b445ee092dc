/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A NIC, its guest's driver, and frames for both. */
#ifndef TESTS_NETVSP_RIG_H
#define TESTS_NETVSP_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_netvsc.h"

#define OID_FRAME_SIZE 0x00010106
#define OID_FILTER     0x0001010e
#define OID_GROUPS     0x01010103
#define OID_RSS	       0x00010204
#define OID_PARAMETER  0x0001021b
#define OID_MAC	       0x01010102
#define OID_OFFLOAD    0xfc01020c
#define OID_OFFLOAD_HW 0xfc01020d

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
/* Up to a packet filter that lets all in. */
#define STARTED(name)                                                          \
	cmocka_unit_test_setup_teardown(name, setup_started, teardown)

int setup(void **state);
int setup_started(void **state);
int teardown(void **state);

/*
 * Frames, and what is true of them, said the slow and plain way.
 */
struct made {
	size_t len;
	size_t l3, l4, payload;
	uint8_t bytes[NET_FRAME_MAX];
};

void put16(uint8_t *p, unsigned v);
unsigned get16(const uint8_t *p);
/* One's complement sum of big-endian 16-bit words, a word at a time. */
unsigned plain_sum(const uint8_t *p, size_t len, unsigned sum);
unsigned plain_pseudo(const struct made *f, int version, unsigned proto,
		      size_t len);
/* To the guest or from it, its transport's checksum not filled in. */
struct made *make_frame(int version, unsigned proto, size_t payload);
size_t csum_at(const struct made *f, unsigned proto);
/* Whether the transport's checksum in @bytes is right. */
bool is_right(const uint8_t *bytes, const struct made *f, int version,
	      unsigned proto);
/* Finish what a frame that was sent has left to do, as a plain host would. */
void finish(struct net_mem_frame *s);

/* The guest sends @f; the status that it ended with. */
uint32_t send_frame(struct netvsc *c, const struct made *f,
		    const struct ppi *ppi, unsigned ppis);
/* The cable has @f for the guest. */
void come(struct netvsc *c, const struct made *f,
	  const struct virtio_net_hdr *hdr);
void open_subchannels(struct netvsc *c, uint32_t count);
void set_cable(struct netvsc *c, bool up);
/* The @count statuses of @want have been indicated, and no more. */
void assert_indicated(struct netvsc *c, const uint32_t *want, unsigned count);
extern const uint32_t is_down[1];
/* As the guest is told. */
bool is_connected(struct netvsc *c);

/* A clock for the loop, which only tests advance. */
extern uint64_t rig_now;
uint64_t rig_clock(void);

#endif

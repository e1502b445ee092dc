/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioports - the port bus: who answers which port.
 *
 * vCPUs enter it from their threads; one lock is held while a device answers,
 * so that chipset devices need none of their own.  A device that is entered
 * from elsewhere (console input) takes the same lock.
 */
#ifndef DEVICES_CHIPSET_IOPORTS_H
#define DEVICES_CHIPSET_IOPORTS_H

#include <pthread.h>
#include <stdint.h>

#define IOPORTS_MAX	16	/* devices */

/* A device's end: embed it. */
struct ioport {
	uint16_t first, last;
	/* @port is absolute; @size is 1, 2 or 4 bytes. */
	uint32_t (*read)(struct ioport *io, uint16_t port, unsigned size);
	void (*write)(struct ioport *io, uint16_t port, unsigned size,
		      uint32_t value);
};

struct ioports {
	pthread_mutex_t lock;
	struct ioport *io[IOPORTS_MAX];
	unsigned count;
};

void ioports_init(struct ioports *ports);
void ioports_finish(struct ioports *ports);
/* Ranges do not overlap; @io is borrowed.  Before the vCPUs run. */
void ioports_add(struct ioports *ports, struct ioport *io);

/* A port that nobody answers reads as ones and swallows what is written. */
uint32_t ioports_read(struct ioports *ports, uint16_t port, unsigned size);
void ioports_write(struct ioports *ports, uint16_t port, unsigned size,
		   uint32_t value);

#endif

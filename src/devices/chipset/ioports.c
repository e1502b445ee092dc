/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "core/trace.h"
#include "devices/chipset/ioports.h"

void ioports_init(struct ioports *ports)
{
	*ports = (struct ioports){ 0 };
	pthread_mutex_init(&ports->lock, NULL);
}

void ioports_finish(struct ioports *ports)
{
	pthread_mutex_destroy(&ports->lock);
}

void ioports_add(struct ioports *ports, struct ioport *io)
{
	g_assert(ports->count < IOPORTS_MAX);
	ports->io[ports->count++] = io;
}

static struct ioport *find(const struct ioports *ports, uint16_t port)
{
	for (unsigned i = 0; i < ports->count; i++)
		if (port >= ports->io[i]->first && port <= ports->io[i]->last)
			return ports->io[i];
	return NULL;
}

static uint32_t ones(unsigned size)
{
	return UINT32_MAX >> (32 - 8 * size);
}

uint32_t ioports_read(struct ioports *ports, uint16_t port, unsigned size)
{
	struct ioport *io = find(ports, port);
	uint32_t value = ones(size);

	if (io && io->read) {
		pthread_mutex_lock(&ports->lock);
		value = io->read(io, port, size) & ones(size);
		pthread_mutex_unlock(&ports->lock);
	}
	trace(TRACE_CHIPSET, "chipset.in port=%#x size=%u value=%#x claimed=%d",
	      port, size, value, io != NULL);
	return value;
}

void ioports_write(struct ioports *ports, uint16_t port, unsigned size,
		   uint32_t value)
{
	struct ioport *io = find(ports, port);

	trace(TRACE_CHIPSET, "chipset.out port=%#x size=%u value=%#x "
	      "claimed=%d", port, size, value, io != NULL);
	if (io && io->write) {
		pthread_mutex_lock(&ports->lock);
		io->write(io, port, size, value);
		pthread_mutex_unlock(&ports->lock);
	}
}

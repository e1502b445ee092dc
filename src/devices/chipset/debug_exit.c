/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/util.h"
#include "devices/chipset/debug_exit.h"

static void debug_exit_write(struct ioport *io, uint16_t port, unsigned size,
			     uint32_t value)
{
	struct debug_exit *d = container_of(io, struct debug_exit, io);

	d->exit(d, (uint8_t)(value << 1 | 1));
}

void debug_exit_init(struct debug_exit *d)
{
	*d = (struct debug_exit){
		.io = {
			.first = DEBUG_EXIT_PORT, .last = DEBUG_EXIT_PORT + 3,
			.write = debug_exit_write,
		},
	};
}

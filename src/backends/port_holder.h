/* SPDX-License-Identifier: GPL-2.0-or-later */
/* port_holder - who has a port that is in use, for the user to know. */
#ifndef BACKENDS_PORT_HOLDER_H
#define BACKENDS_PORT_HOLDER_H

#include <stdbool.h>
#include <stdint.h>

/* As process_with_fd() says it, or NULL. */
char *port_holder(uint16_t port, bool udp);

#endif

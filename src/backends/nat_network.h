/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The network that NAT shows to a guest: 10.0.2.0/24, as libslirp's users know. */
#ifndef BACKENDS_NAT_NETWORK_H
#define BACKENDS_NAT_NETWORK_H

#include <stdint.h>

#define NAT_NETWORK	0x0a000200u
#define NAT_NETMASK	0xffffff00u
#define NAT_GATEWAY	(NAT_NETWORK | 2)
#define NAT_RESOLVER	(NAT_NETWORK | 3)
#define NAT_GUEST	(NAT_NETWORK | 15)	/* the first lease */

#define NAT_NETWORK6	"fec0::"
#define NAT_GATEWAY6	"fec0::2"
#define NAT_RESOLVER6	"fec0::3"
/* The same as values of struct in6_addr. */
#define NAT_GATEWAY6_ADDR	{ { { 0xfe, 0xc0, [15] = 2 } } }
#define NAT_RESOLVER6_ADDR	{ { { 0xfe, 0xc0, [15] = 3 } } }

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uart16550 - a serial port as National Semiconductor's 16550A has it.
 *
 * Output goes out at once, so the transmitter is always empty.  Input waits in
 * a FIFO of 16; what does not fit is taken later, none is lost.
 */
#ifndef DEVICES_CHIPSET_UART16550_H
#define DEVICES_CHIPSET_UART16550_H

#include <stdbool.h>
#include <stddef.h>

#include "core/irq.h"
#include "devices/chipset/ioports.h"

#define UART_FIFO_SIZE	16

struct uart16550 {
	struct ioport io;
	struct irq_line *irq;
	/* A byte was sent; under the bus lock. */
	void (*output)(struct uart16550 *u, uint8_t byte);
	/* The receive FIFO has become empty; also in uart_reset(). */
	void (*drained)(struct uart16550 *u);

	uint8_t ier, lcr, mcr, scr, fcr;
	uint16_t divisor;
	bool thr_interrupt;	/* "transmitter empty" not yet seen */
	uint8_t fifo[UART_FIFO_SIZE];
	unsigned fifo_len;
};

/* @port: the first of eight.  @irq is borrowed; callbacks are set after. */
void uart_init(struct uart16550 *u, uint16_t port, struct irq_line *irq);
void uart_reset(struct uart16550 *u);
/* With the bus lock held.  Return how many bytes were taken. */
size_t uart_input(struct uart16550 *u, const uint8_t *bytes, size_t len);

#endif

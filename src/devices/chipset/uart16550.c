/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <string.h>

#include "core/util.h"
#include "devices/chipset/uart16550.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR,
       REG_SCR };

#define IER_RDI		0x01	/* received data */
#define IER_THRI	0x02	/* transmitter empty */
#define IIR_NONE	0x01
#define IIR_THRI	0x02
#define IIR_RDI		0x04
#define IIR_FIFO_ON	0xc0
#define FCR_ENABLE	0x01
#define FCR_CLEAR_RCVR	0x02
#define LCR_DLAB	0x80
#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define LSR_DR		0x01
#define LSR_THRE	0x20
#define LSR_TEMT	0x40
#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80

static uint8_t pending(const struct uart16550 *u)
{
	if ((u->ier & IER_RDI) && u->fifo_len)
		return IIR_RDI;
	if ((u->ier & IER_THRI) && u->thr_interrupt)
		return IIR_THRI;
	return IIR_NONE;
}

/* PCs gate the line with OUT2. */
static void update_irq(struct uart16550 *u)
{
	irq_set(u->irq, pending(u) != IIR_NONE && (u->mcr & MCR_OUT2));
}

static unsigned fifo_room(const struct uart16550 *u)
{
	unsigned size = u->fcr & FCR_ENABLE ? UART_FIFO_SIZE : 1;

	return size > u->fifo_len ? size - u->fifo_len : 0;
}

/* Take @n bytes away; whoever has more to offer may do so now. */
static void consume(struct uart16550 *u, unsigned n)
{
	if (!n)
		return;
	u->fifo_len -= n;
	memmove(u->fifo, u->fifo + n, u->fifo_len);
	if (!u->fifo_len && u->drained)
		u->drained(u);
}

static uint8_t receive(struct uart16550 *u)
{
	uint8_t byte = u->fifo_len ? u->fifo[0] : 0;

	consume(u, MIN(u->fifo_len, 1));
	return byte;
}

static void transmit(struct uart16550 *u, uint8_t byte)
{
	u->thr_interrupt = true;
	if (u->mcr & MCR_LOOP)
		uart_input(u, &byte, 1);
	else if (u->output)
		u->output(u, byte);
}

static uint8_t modem_status(const struct uart16550 *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (u->mcr & MCR_RTS ? MSR_CTS : 0) |
	       (u->mcr & MCR_DTR ? MSR_DSR : 0) |
	       (u->mcr & MCR_OUT1 ? MSR_RI : 0) |
	       (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static uint8_t read_iir(struct uart16550 *u)
{
	uint8_t iir = pending(u);

	if (iir == IIR_THRI)
		u->thr_interrupt = false;
	return iir | (u->fcr & FCR_ENABLE ? IIR_FIFO_ON : 0);
}

static uint32_t uart_read(struct ioport *io, uint16_t port, unsigned size)
{
	struct uart16550 *u = container_of(io, struct uart16550, io);
	uint8_t value = 0;

	switch (port - io->first) {
	case REG_DATA:
		value = u->lcr & LCR_DLAB ? (uint8_t)u->divisor : receive(u);
		break;
	case REG_IER:
		value = u->lcr & LCR_DLAB ? (uint8_t)(u->divisor >> 8) :
					    u->ier;
		break;
	case REG_IIR_FCR:
		value = read_iir(u);
		break;
	case REG_LCR:
		value = u->lcr;
		break;
	case REG_MCR:
		value = u->mcr;
		break;
	case REG_LSR:
		value = LSR_THRE | LSR_TEMT | (u->fifo_len ? LSR_DR : 0);
		break;
	case REG_MSR:
		value = modem_status(u);
		break;
	case REG_SCR:
		value = u->scr;
		break;
	}
	update_irq(u);
	return value;
}

static void write_ier(struct uart16550 *u, uint8_t value)
{
	/* Turning it on asks at once: the transmitter is empty. */
	if (value & ~u->ier & IER_THRI)
		u->thr_interrupt = true;
	u->ier = value & 0x0f;
}

static void uart_write(struct ioport *io, uint16_t port, unsigned size,
		       uint32_t value)
{
	struct uart16550 *u = container_of(io, struct uart16550, io);
	uint8_t v = (uint8_t)value;

	switch (port - io->first) {
	case REG_DATA:
		if (u->lcr & LCR_DLAB)
			u->divisor = (u->divisor & 0xff00) | v;
		else
			transmit(u, v);
		break;
	case REG_IER:
		if (u->lcr & LCR_DLAB)
			u->divisor = (uint16_t)((u->divisor & 0xff) | v << 8);
		else
			write_ier(u, v);
		break;
	case REG_IIR_FCR:
		if (v & FCR_CLEAR_RCVR || ((v ^ u->fcr) & FCR_ENABLE))
			consume(u, u->fifo_len);
		u->fcr = v & FCR_ENABLE;
		break;
	case REG_LCR:
		u->lcr = v;
		break;
	case REG_MCR:
		u->mcr = v & 0x1f;
		break;
	case REG_SCR:
		u->scr = v;
		break;
	}
	update_irq(u);
}

void uart_reset(struct uart16550 *u)
{
	u->ier = u->lcr = u->mcr = u->scr = u->fcr = 0;
	u->divisor = 12;	/* 9600 baud */
	u->thr_interrupt = false;
	consume(u, u->fifo_len);
	update_irq(u);
}

void uart_init(struct uart16550 *u, uint16_t port, struct irq_line *irq)
{
	*u = (struct uart16550){
		.io = {
			.first = port, .last = port + 7,
			.read = uart_read, .write = uart_write,
		},
		.irq = irq,
	};
	uart_reset(u);
}

size_t uart_input(struct uart16550 *u, const uint8_t *bytes, size_t len)
{
	size_t n = MIN(len, fifo_room(u));

	memcpy(u->fifo + u->fifo_len, bytes, n);
	u->fifo_len += (unsigned)n;
	update_irq(u);
	return n;
}

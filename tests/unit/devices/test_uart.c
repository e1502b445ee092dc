/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>
#include <string.h>

#include "devices/chipset/uart16550.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR	IIR

static struct uart16550 u;
static GString *sent;
static unsigned drains;
static struct {
	struct irq_line line;
	bool high;
	unsigned edges;		/* an I/O APIC looks at these */
} irq;

static void set(struct irq_line *line, bool high)
{
	irq.edges += high && !irq.high;
	irq.high = high;
}

static void output(struct uart16550 *uart, uint8_t byte)
{
	g_string_append_c(sent, (char)byte);
}

static void drained(struct uart16550 *uart)
{
	drains++;
}

static int setup(void **state)
{
	irq.line.set = set;
	irq.high = false;
	irq.edges = 0;
	uart_init(&u, 0x3f8, &irq.line);
	u.output = output;
	u.drained = drained;
	sent = g_string_new(NULL);
	drains = 0;
	return 0;
}

static int teardown(void **state)
{
	g_string_free(sent, TRUE);
	return 0;
}

static uint8_t in(unsigned reg)
{
	return (uint8_t)u.io.read(&u.io, (uint16_t)(0x3f8 + reg), 1);
}

static void out(unsigned reg, uint8_t value)
{
	u.io.write(&u.io, (uint16_t)(0x3f8 + reg), 1, value);
}

static size_t type(const char *text)
{
	return uart_input(&u, (const uint8_t *)text, strlen(text));
}

/* As Linux's driver sets a port up: FIFO on, OUT2, DTR, RTS. */
static void start_driver(uint8_t ier)
{
	out(FCR, 1);
	out(FCR, 7);
	out(LCR, 3);
	out(MCR, 0x0b);
	out(IER, ier);
}

/* What Linux's 8250 driver does to find out what there is. */
static void linux_finds_a_16550a(void **state)
{
	out(IER, 0);
	assert_int_equal(in(IER) & 0x0f, 0);
	out(IER, 0x0f);
	assert_int_equal(in(IER) & 0x0f, 0x0f);
	out(IER, 0);
	out(MCR, 0x10 | 0x0a);		/* loop: RTS and OUT2 come back */
	assert_int_equal(in(MSR) & 0xf0, 0x90);
	out(MCR, 0x10 | 0x05);		/* DTR, OUT1 */
	assert_int_equal(in(MSR) & 0xf0, 0x60);
	out(MCR, 0);
	assert_int_equal(in(MSR) & 0xf0, 0xb0);
	out(SCR, 0xa5);
	assert_int_equal(in(SCR), 0xa5);
	assert_int_equal(in(IIR) >> 6, 0);
	out(FCR, 1);
	assert_int_equal(in(IIR) >> 6, 3);
	out(LCR, 0x80);			/* no 16650: its EFR is not there */
	assert_int_not_equal(in(IIR), 0);
	out(LCR, 0xbf);
	assert_int_not_equal(in(IIR), 0);
	out(LCR, 0);
	out(IER, 0x40);			/* no XScale */
	assert_int_equal(in(IER), 0);
	/* Its test for transmitters that do not ask again. */
	out(MCR, 0x08);
	out(IER, 2);
	assert_int_equal(in(IIR) & 0x0f, 2);
	assert_int_equal(in(IIR) & 0x0f, 1);
	out(IER, 0);
	out(IER, 2);
	assert_int_equal(in(IIR) & 0x0f, 2);
}

static void the_divisor_hides_behind_its_latch(void **state)
{
	out(LCR, 0x83);
	out(DATA, 0x34);
	out(IER, 0x12);
	assert_int_equal(in(DATA), 0x34);
	assert_int_equal(in(IER), 0x12);
	assert_int_equal(in(LCR), 0x83);
	out(LCR, 3);
	assert_int_equal(in(IER), 0);
	assert_int_equal(sent->len, 0);
	out(DATA, 'x');
	assert_string_equal(sent->str, "x");
	assert_int_equal(in(LSR), 0x60);
}

/* The driver fills the transmitter each time that it is empty. */
static void every_byte_sent_asks_for_the_next(void **state)
{
	start_driver(3);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(irq.high);
		assert_int_equal(irq.edges, i + 1);
		assert_int_equal(in(IIR) & 0x0f, 2);
		assert_false(irq.high);		/* reading it was enough */
		assert_int_equal(in(IIR) & 0x0f, 1);
		out(DATA, 'a');
	}
	assert_string_equal(sent->str, "aaaaa");
	out(IER, 1);			/* nothing more to send */
	assert_false(irq.high);
	assert_int_equal(in(IIR) & 0x0f, 1);
	out(IER, 3);
	assert_int_equal(irq.edges, 7);
}

static void input_interrupts_until_it_is_read(void **state)
{
	start_driver(1);
	assert_false(irq.high);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(type("ab"), 2);
	assert_true(irq.high);
	assert_int_equal(in(IIR) & 0x0f, 4);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(DATA), 'a');
	assert_true(irq.high);
	assert_int_equal(drains, 0);
	assert_int_equal(in(DATA), 'b');
	assert_false(irq.high);
	assert_int_equal(drains, 1);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(DATA), 0);
	assert_int_equal(drains, 1);
	type("c");
	assert_int_equal(irq.edges, 2);
	/* Received data go before an empty transmitter. */
	out(IER, 3);
	assert_int_equal(in(IIR) & 0x0f, 4);
	in(DATA);
	assert_int_equal(in(IIR) & 0x0f, 2);
}

static void interrupts_need_to_be_on_in_both_places(void **state)
{
	type("a");
	assert_false(irq.high);
	out(IER, 1);
	assert_false(irq.high);		/* OUT2 is the gate */
	out(MCR, 8);
	assert_true(irq.high);
	out(MCR, 0);
	assert_false(irq.high);
	out(MCR, 8);
	out(IER, 0);
	assert_false(irq.high);
}

static void what_does_not_fit_is_not_taken(void **state)
{
	assert_int_equal(type("ab"), 1);	/* no FIFO yet */
	assert_int_equal(type("b"), 0);
	out(FCR, 1);
	assert_int_equal(type("0123456789abcdefg"), 16);
	assert_int_equal(type("g"), 0);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(in(DATA), "0123456789abcdef"[i]);
	assert_int_equal(drains, 2);	/* by the FIFO's switch, by reading */
}

/* Who waits for room is told whatever made it. */
static void clearing_the_fifo_makes_room_for_what_waits(void **state)
{
	out(FCR, 1);
	type("0123456789abcdefg");
	out(FCR, 3);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(drains, 1);
	type("0123456789abcdefg");
	out(FCR, 0);
	assert_int_equal(drains, 2);
	type("x");
	uart_reset(&u);
	assert_int_equal(drains, 3);
	assert_int_equal(in(LSR), 0x60);
	uart_reset(&u);
	out(FCR, 3);
	assert_int_equal(drains, 3);
}

static void a_loop_brings_back_what_was_sent(void **state)
{
	start_driver(1);
	out(MCR, 0x1b);
	out(DATA, 'l');
	assert_string_equal(sent->str, "");
	assert_int_equal(in(DATA), 'l');
}

static void a_reset_forgets_everything(void **state)
{
	start_driver(3);
	type("abc");
	uart_reset(&u);
	assert_false(irq.high);
	assert_int_equal(in(IER), 0);
	assert_int_equal(in(IIR), 1);
	assert_int_equal(in(LCR), 0);
	assert_int_equal(in(MCR), 0);
	assert_int_equal(in(LSR), 0x60);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(linux_finds_a_16550a),
		TEST(the_divisor_hides_behind_its_latch),
		TEST(every_byte_sent_asks_for_the_next),
		TEST(input_interrupts_until_it_is_read),
		TEST(interrupts_need_to_be_on_in_both_places),
		TEST(what_does_not_fit_is_not_taken),
		TEST(clearing_the_fifo_makes_room_for_what_waits),
		TEST(a_loop_brings_back_what_was_sent),
		TEST(a_reset_forgets_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* COM1, results and the command line. */
#include <stdarg.h>

#include "guest.h"

#define COM1		0x3f8
#define LSR		5
#define LSR_THR_EMPTY	0x20
#define FCR		2
#define FCR_ENABLE	1
#define FIFO_SIZE	16

#define DEBUG_EXIT	0xf4
#define PM1_CONTROL	0x404
#define SLEEP_S5	(1u << 13)

#define MULTIBOOT_HAS_CMDLINE	4

/* Multiboot 0.6.96, 3.3, as far as we look. */
struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

uint32_t multiboot_info;

static unsigned results;

static void send(const char *text, size_t len)
{
	outb(COM1 + FCR, FCR_ENABLE);
	while (len) {
		size_t n = len < FIFO_SIZE ? len : FIFO_SIZE;

		while (!(inb(COM1 + LSR) & LSR_THR_EMPTY))
			pause();
		len -= n;
		asm volatile("rep outsb" : "+S"(text), "+c"(n)
			     : "d"(COM1) : "memory");
	}
}

struct line {
	char text[400];
	size_t len;
};

static void put(struct line *l, char c)
{
	if (l->len < sizeof(l->text))
		l->text[l->len++] = c;
}

static void put_string(struct line *l, const char *s)
{
	while (*s)
		put(l, *s++);
}

static void put_hex(struct line *l, uint64_t v, unsigned width)
{
	unsigned digits = 1;

	while (digits < 16 && v >> (4 * digits))
		digits++;
	if (digits < width)
		digits = width;
	while (digits--)
		put(l, "0123456789abcdef"[v >> (4 * digits) & 0xf]);
}

static void put_decimal(struct line *l, unsigned long v)
{
	char digits[20];
	unsigned n = 0;

	do
		digits[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n--)
		put(l, digits[n]);
}

/* One conversion, after its '%'; returns what follows. */
static const char *convert(struct line *l, const char *f, va_list *ap)
{
	unsigned longs = 0, width = 0;
	uint64_t v;

	if (*f == '#') {
		put_string(l, "0x");
		f++;
	}
	for (; *f >= '0' && *f <= '9'; f++)
		width = width * 10 + (unsigned)(*f - '0');
	for (; *f == 'l'; f++)
		longs++;
	if (*f == 's') {
		put_string(l, va_arg(*ap, const char *));
		return f + 1;
	}
	v = longs == 2 ? va_arg(*ap, uint64_t) :
	    longs == 1 ? va_arg(*ap, unsigned long) :
			 va_arg(*ap, unsigned);
	if (*f == 'c')
		put(l, (char)v);
	else if (*f == 'x')
		put_hex(l, v, width);
	else if (*f == 'd' && !longs && (int)v < 0) {
		put(l, '-');
		put_decimal(l, -(unsigned)v);
	} else
		put_decimal(l, (unsigned long)v);
	return f + 1;
}

static void format(struct line *l, const char *f, va_list *ap)
{
	while (*f)
		if (*f == '%')
			f = convert(l, f + 1, ap);
		else
			put(l, *f++);
}

void print(const char *f, ...)
{
	struct line l = { .len = 0 };
	va_list ap;

	va_start(ap, f);
	format(&l, f, &ap);
	va_end(ap);
	send(l.text, l.len);
}

void report(bool good, const char *sentence, const char *detail, ...)
{
	struct line l = { .len = 0 };
	va_list ap;

	results++;
	put_string(&l, good ? "ok - " : "not ok - ");
	put_string(&l, sentence);
	if (!good) {
		put_string(&l, ": ");
		va_start(ap, detail);
		format(&l, detail, &ap);
		va_end(ap);
	}
	put(&l, '\n');
	send(l.text, l.len);
}

void skip(const char *sentence, const char *why)
{
	results++;
	print("ok - %s # SKIP %s\n", sentence, why);
}

static _Noreturn void stop(void)
{
	for (;;)
		asm volatile("cli; hlt");
}

static _Noreturn void power_off(void)
{
	outw(PM1_CONTROL, SLEEP_S5);
	stop();
}

void bail(const char *f, ...)
{
	struct line l = { .len = 0 };
	va_list ap;

	put_string(&l, "Bail out! ");
	va_start(ap, f);
	format(&l, f, &ap);
	va_end(ap);
	put(&l, '\n');
	send(l.text, l.len);
	power_off();
}

static void print_plan(void)
{
	print("1..%u\n", results);
}

void finish(void)
{
	print_plan();
	power_off();
}

void finish_with(uint32_t code)
{
	print_plan();
	outl(DEBUG_EXIT, code);
	stop();
}

const char *option(const char *name)
{
	const struct multiboot_info *info = (void *)(uintptr_t)multiboot_info;
	const char *s = (void *)(uintptr_t)info->cmdline;
	size_t len = strlen(name);

	if (!(info->flags & MULTIBOOT_HAS_CMDLINE))
		return NULL;
	for (;;) {
		if (!strncmp(s, name, len) && s[len] == '=')
			return s + len + 1;
		while (*s && *s != ' ')
			s++;
		if (!*s)
			return NULL;
		s++;
	}
}

bool option_is(const char *name, const char *value)
{
	const char *s = option(name);
	size_t len = strlen(value);

	return s && !strncmp(s, value, len) && (!s[len] || s[len] == ' ');
}

unsigned option_number(const char *name, unsigned otherwise)
{
	const char *s = option(name);
	unsigned n = 0;

	if (!s)
		return otherwise;
	while (*s >= '0' && *s <= '9')
		n = n * 10 + (unsigned)(*s++ - '0');
	return n;
}

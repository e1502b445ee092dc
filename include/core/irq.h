/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq - a device's end of an interrupt wire.
 *
 * A device owns no number, only the wire it was given; the board decides what
 * is at the other end (KVM_IRQ_LINE, a test's counter).
 */
#ifndef CORE_IRQ_H
#define CORE_IRQ_H

#include <stdbool.h>

struct irq_line {
	/* Level: stays as set.  Setting what is set already is harmless. */
	void (*set)(struct irq_line *line, bool high);
};

static inline void irq_set(struct irq_line *line, bool high)
{
	line->set(line, high);
}

#endif

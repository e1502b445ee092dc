/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON to stdout. */
#ifndef VMM_JSON_H
#define VMM_JSON_H

#include <glib.h>

/* A string; what is no UTF-8 comes as U+FFFD. */
void json_print_text(const char *text);
/* Dictionaries are objects, arrays and tuples are arrays. */
void json_print_variant(GVariant *value);

#endif

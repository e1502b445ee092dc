/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "core/error.h"

#define LINE_INDENT	"     "
#define ID_COLUMN	60

G_DEFINE_QUARK(kvmbus-user-error, user_error)

/* Append "     why: @text", its further lines aligned under the first. */
static void append_line(GString *out, const char *label, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (unsigned i = 0; lines[i]; i++)
		g_string_append_printf(out, "\n" LINE_INDENT "%s%s",
				       i ? "     " : label, lines[i]);
}

void user_error_set(GError **error, int exit_status, const char *id,
		    const char *what, const char *why, const char *advice)
{
	g_autoptr(GString) text = g_string_new(what);
	size_t line_start;

	append_line(text, "why: ", why);
	line_start = (size_t)(strrchr(text->str, '\n') - text->str);
	while (text->len - line_start < ID_COLUMN)
		g_string_append_c(text, ' ');
	g_string_append_printf(text, " [%s]", id);
	if (advice)
		append_line(text, "try: ", advice);
	g_set_error_literal(error, USER_ERROR, exit_status, text->str);
}

char *user_error_id(const GError *error)
{
	g_autofree char *text = g_strdup(error->message);
	char *advice = strstr(text, "\n" LINE_INDENT "try: ");
	char *id;

	g_assert(error->domain == USER_ERROR);
	if (advice)
		*advice = '\0';
	id = strrchr(text, '[') + 1;
	return g_strndup(id, strlen(id) - 1);
}

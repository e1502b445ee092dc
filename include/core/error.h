/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error - what a person reads when something outside kvmbus is wrong.
 *
 * A GError of the domain USER_ERROR: its code is the process's exit status
 * (sysexits.h and the ones below), its message is complete, of three kinds of
 * lines, the deepest cause first:
 *
 *	disk.img cannot be opened for writing
 *	     why: another process holds it: pid 812 (kvmbus)      [disk.locked]
 *	     try: stop that machine, or use --disk disk.img,ro=on
 */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include <glib.h>
#include <sysexits.h>

enum exit_status {
	EXIT_GUEST_CRASHED	= 120,	/* panic, triple fault */
	EXIT_TIMED_OUT		= 124,
};

GQuark user_error_quark(void);
#define USER_ERROR	user_error_quark()

/*
 * @id: "area.word", stable, for programs.  @what names the thing as the user
 * typed it; @why and @advice are whole phrases in lower case; @advice may be
 * NULL and may hold several lines.
 */
void user_error_set(GError **error, int exit_status, const char *id,
		    const char *what, const char *why, const char *advice);

/* The id of an error of this domain, the caller's to free. */
char *user_error_id(const GError *error);

#endif

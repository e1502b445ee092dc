/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control - a machine's D-Bus interface, on a Unix socket of its own.
 *
 *	client -- socket --> control thread -- note --> main loop: run()
 *	client <------------ control thread <---------- control_return()
 *
 * D-Bus without a bus: each client has a connection of its own, and finds the
 * object CONTROL_OBJECT with the interface CONTROL_INTERFACE.  Only the user
 * who runs the machine, and root, may connect.  Clients are CONTROL_CLIENTS at
 * most, and calls under way CONTROL_CALLS in all: more are refused.  A client
 * that asks and does not read the answers is left.  Calls that want no answer
 * are not taken.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <gio/gio.h>
#include <stdbool.h>

#include "core/loop.h"

#define CONTROL_OBJECT		"/org/kvmbus/Machine"
#define CONTROL_INTERFACE	"org.kvmbus.Machine1"
/* An error's name is this and its id, with '_' where D-Bus allows no '-'. */
#define CONTROL_ERROR		"org.kvmbus.Error."
/*
 * A header field of an error, uint32: the exit status that it would have on a
 * command line.  Who does not know a field has to ignore it.
 */
#define CONTROL_STATUS		238

#define CONTROL_CLIENTS		16
#define CONTROL_CALLS		64

/*
 * A string that begins with a path or a URI.  Who asks in another folder than
 * the machine's has to make it absolute, and finds it by an annotation.
 */
#define CONTROL_PATH		"path"
#define CONTROL_IS_PATH		"org.kvmbus.Path"

struct control;
struct control_call;

struct control_method {
	const char *name;
	/* "name:signature ...", "" for none; or CONTROL_PATH as signature */
	const char *in, *out;
	/*
	 * On the main loop.  Leads to one control_return() or control_fail()
	 * there, now or later.
	 */
	void (*run)(void *host, struct control_call *call);
};

/*
 * Listen at @path, a socket that only its owner can use; one that a machine
 * left behind is taken over.  @methods end with a nameless one; they,
 * @main_loop and @host are borrowed.  NULL with an error for the user.
 */
struct control *control_new(const char *path,
			    const struct control_method *methods,
			    struct loop *main_loop, void *host, GError **error);
/* Start the thread that serves it. */
bool control_start(struct control *c, GError **error);
/*
 * The main loop has ended.  Calls that have no answer get one that says so;
 * they are gone after this.  NULL is fine.
 */
void control_free(struct control *c);

/* The @host that the method was called with. */
void *control_host(const struct control_call *call);
/* A tuple of what the method's @in says, borrowed. */
GVariant *control_args(const struct control_call *call);
/* @values: a tuple of what the method's @out says; a floating one is taken. */
void control_return(struct control_call *call, GVariant *values);
/* @error of user_error_set() passes. */
void control_fail(struct control_call *call, GError *error);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "backends/chardev.h"
#include "core/util.h"

#define ESCAPE	0x1d	/* Ctrl-] */

static const char keys_help[] =
	"\r\nkvmbus: Ctrl-] q       end the machine at once\r\n"
	"        Ctrl-] ?       list the keys\r\n"
	"        Ctrl-] Ctrl-]  send Ctrl-]\r\n";

struct chardev_stdio {
	struct chardev cd;
	struct loop *loop;
	struct loop_op poll;
	struct loop_note retry;
	struct chardev_input input;
	bool polling;
	bool eof;
	bool tty;
	bool escaped;		/* the last key was the escape key */
};

static struct termios saved_termios;
static bool terminal_is_raw;

static void restore_terminal(void)
{
	if (!terminal_is_raw)
		return;
	terminal_is_raw = false;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_termios);
}

/*
 * Raw, so that the guest sees every key; output processing stays, as our own
 * messages and those of others go to the same terminal.
 */
static void make_terminal_raw(void)
{
	static bool registered;
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &saved_termios) < 0)
		return;
	t = saved_termios;
	cfmakeraw(&t);
	t.c_oflag = saved_termios.c_oflag;
	if (!registered)
		atexit(restore_terminal);
	registered = true;
	terminal_is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &t) == 0;
}

static void write_all(const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd out = { STDOUT_FILENO, POLLOUT, 0 };

			poll(&out, 1, -1);
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

static void stdio_write(struct chardev *cd, const uint8_t *bytes, size_t len)
{
	write_all(bytes, len);
}

static void our_key(struct chardev_stdio *s, uint8_t key)
{
	if (key == 'q')
		s->cd.user.quit(s->cd.user.user);
	else if (key == '?')
		write_all(keys_help, strlen(keys_help));
}

/*
 * What a person typed, without our own keys.  If the guest takes none of it,
 * keys are dropped in the end: ours have to be seen always.
 */
static void take_keys(struct chardev_stdio *s, const uint8_t *keys, size_t len)
{
	struct chardev_input *in = &s->input;

	for (size_t i = 0; i < len; i++) {
		bool escaped = s->escaped;

		s->escaped = !escaped && keys[i] == ESCAPE;
		if (escaped && keys[i] != ESCAPE)
			our_key(s, keys[i]);
		else if (!s->escaped && in->len < sizeof(in->bytes))
			in->bytes[in->len++] = keys[i];
	}
}

static void wait_for_input(struct chardev_stdio *s)
{
	if (s->polling || s->eof || (!s->tty && s->input.len))
		return;
	s->polling = true;
	io_uring_prep_poll_add(loop_sqe(s->loop, &s->poll), STDIN_FILENO,
			       POLLIN);
}

static void offer(struct chardev_stdio *s)
{
	chardev_input_offer(&s->input, &s->cd.user);
	wait_for_input(s);
}

static void polled(struct loop_op *op, int res)
{
	struct chardev_stdio *s = container_of(op, struct chardev_stdio, poll);
	uint8_t bytes[CHARDEV_INPUT_MAX];
	ssize_t n = -1;

	s->polling = false;
	if (res >= 0)
		n = read(STDIN_FILENO, bytes, sizeof(bytes));
	if (res < 0 || n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
		s->eof = true;
		return;
	}
	if (n > 0 && s->tty) {
		take_keys(s, bytes, (size_t)n);
	} else if (n > 0) {
		memcpy(s->input.bytes, bytes, (size_t)n);
		s->input.len = (size_t)n;
	}
	offer(s);
}

static void retry(struct loop_note *note)
{
	offer(container_of(note, struct chardev_stdio, retry));
}

static void stdio_accept(struct chardev *cd)
{
	struct chardev_stdio *s = container_of(cd, struct chardev_stdio, cd);

	loop_post(s->loop, &s->retry);
}

static void stdio_close(struct chardev *cd)
{
	restore_terminal();
	g_free(container_of(cd, struct chardev_stdio, cd));
}

static const struct chardev_ops stdio_ops = {
	.write = stdio_write,
	.accept = stdio_accept,
	.close = stdio_close,
};

struct chardev *chardev_stdio_open(struct loop *loop,
				   const struct chardev_user *user,
				   GError **error)
{
	struct chardev_stdio *s = g_new0(struct chardev_stdio, 1);

	s->cd.ops = &stdio_ops;
	s->cd.user = *user;
	s->loop = loop;
	s->poll.done = polled;
	s->retry.run = retry;
	s->tty = isatty(STDIN_FILENO);
	if (s->tty)
		make_terminal_raw();
	wait_for_input(s);
	return &s->cd;
}

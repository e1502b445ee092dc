/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/block_nbd.h"
#include "backends/qemu_nbd.h"
#include "backends/start_guard.h"
#include "core/autoptr.h"
#include "core/error.h"

#define LISTEN_FD	3	/* of systemd's protocol for sockets */
#define WORDS_MAX	4096	/* of its last words that are shown */

struct qemu_nbd {
	pid_t pid;
	int words;		/* what it writes to stderr */
	struct start_guard guard;
};

/* All that exec() needs, made before fork(). */
struct program {
	const char *path;
	char *const *argv;
	char **envp;
	char *listen_pid;	/* of @envp, to be filled in */
	size_t listen_pid_max;
	pid_t parent;
	int go[2];		/* a pipe: it waits for a byte, or our end */
	int listener, null, words;
};

static bool fail(const struct block_file_options *o, int status,
		 const char *id, const char *why, const char *advice,
		 GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot use disk %s", o->path);

	user_error_set(error, status, id, what, why, advice);
	return false;
}

/*
 * In the child, between fork() and exec(): no allocations, no locks.  A
 * terminal's signals are not for it, since the guest goes on with its disk.
 */
static void become(const struct program *p)
{
	sigset_t none;
	char byte;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	close(p->go[1]);
	if (getppid() != p->parent || read(p->go[0], &byte, 1) != 1)
		_exit(EXIT_FAILURE);
	dup2(p->null, STDIN_FILENO);
	dup2(p->null, STDOUT_FILENO);
	dup2(p->words, STDERR_FILENO);
	if (p->listener == LISTEN_FD)
		fcntl(LISTEN_FD, F_SETFD, 0);
	else
		dup2(p->listener, LISTEN_FD);
	snprintf(p->listen_pid, p->listen_pid_max, "LISTEN_PID=%d",
		 (int)getpid());
	execve(p->path, p->argv, p->envp);
	_exit(EXIT_FAILURE);
}

/* A string of JSON. */
static char *quote(const char *text)
{
	GString *s = g_string_new("\"");

	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			g_string_append_printf(s, "\\%c", *p);
		else if ((unsigned char)*p < 0x20)
			g_string_append_printf(s, "\\u%04x", (unsigned)*p);
		else
			g_string_append_c(s, *p);
	}
	g_string_append_c(s, '"');
	return g_string_free(s, FALSE);
}

/*
 * In this form neither the file's name nor what is in the file can be taken
 * for something else, and an image that names a parent is told of none.
 */
static char *describe_image(const struct block_file_options *o,
			    const char *driver, bool backing)
{
	g_autofree char *path = g_canonicalize_filename(o->path, NULL);
	g_autofree char *name = quote(path);
	struct stat st;
	bool device = stat(o->path, &st) == 0 && S_ISBLK(st.st_mode);

	return g_strdup_printf("json:{\"driver\": \"%s\", %s\"file\": "
			       "{\"driver\": \"%s\", \"filename\": %s}}",
			       driver, backing ? "" : "\"backing\": null, ",
			       device ? "host_device" : "file", name);
}

/* Whether the file takes what bypasses the host's page cache. */
static bool can_be_direct(const struct block_file_options *o)
{
	autofd fd = -1;

	if (!o->direct)
		return false;
	fd = open(o->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	return fd >= 0;
}

static GStrv make_arguments(const struct block_file_options *o,
			    const char *driver, bool backing)
{
	g_autoptr(GStrvBuilder) b = g_strv_builder_new();
	g_autofree char *image = describe_image(o, driver, backing);

	g_strv_builder_add(b, "qemu-nbd");
	if (o->read_only)
		g_strv_builder_add(b, "--read-only");
	if (can_be_direct(o))
		g_strv_builder_add_many(b, "--cache=none", "--aio=native",
					NULL);
	else
		g_strv_builder_add(b, "--cache=writeback");
	g_strv_builder_add_many(b, "--discard=unmap", "--detect-zeroes=off",
				image, NULL);
	return g_strv_builder_end(b);
}

/* Where a socket may have a name that fits; NULL with errno. */
static char *make_folder(void)
{
	const char *const places[] = {
		g_get_user_runtime_dir(), g_get_tmp_dir(),
	};

	errno = ENAMETOOLONG;
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *folder = g_build_filename(
			places[i], "kvmbus-XXXXXX", NULL);

		if (strlen(folder) + sizeof("/s") <=
		    sizeof(((struct sockaddr_un *)NULL)->sun_path) &&
		    mkdtemp(folder))
			return g_steal_pointer(&folder);
	}
	return NULL;
}

/*
 * A listener with one connection waiting, whose other end goes to *@client.
 * Its name is in a folder of ours and gone when this returns.  -errno.
 */
static int make_sockets(int *client)
{
	g_autofree char *folder = make_folder();
	autofd listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct sockaddr *at = (const struct sockaddr *)&addr;
	int ret = 0;

	if (!folder)
		return -errno;
	g_snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", folder);
	if (listener < 0 || fd < 0 ||
	    bind(listener, at, sizeof(addr)) < 0 || listen(listener, 1) < 0 ||
	    connect(fd, at, sizeof(addr)) < 0)
		ret = -errno;
	unlink(addr.sun_path);
	rmdir(folder);
	if (ret)
		return ret;
	*client = autofd_steal(&fd);
	return autofd_steal(&listener);
}

/* Its process id, or -errno.  @without has all but the environment. */
static int start(const struct program *without)
{
	struct program p = *without;
	char listen_pid[sizeof("LISTEN_PID=") + 3 * sizeof(pid_t)];
	g_auto(GStrv) env = g_get_environ();
	g_autoptr(GPtrArray) envp = g_ptr_array_new();
	pid_t pid;

	env = g_environ_setenv(env, "LISTEN_FDS", "1", TRUE);
	env = g_environ_unsetenv(env, "LISTEN_PID");
	for (unsigned i = 0; env[i]; i++)
		g_ptr_array_add(envp, env[i]);
	g_ptr_array_add(envp, listen_pid);
	g_ptr_array_add(envp, NULL);
	p.envp = (char **)envp->pdata;
	p.listen_pid = listen_pid;
	p.listen_pid_max = sizeof(listen_pid);
	p.parent = getpid();
	pid = fork();
	if (pid == 0)
		become(&p);
	return pid < 0 ? -errno : pid;
}

/* It begins when there is somebody who would end it. */
static int start_guarded(struct qemu_nbd *q, struct program *p)
{
	autofd from = -1, to = -1;
	int ret;

	if (pipe2(p->go, O_CLOEXEC) < 0)
		return -errno;
	from = p->go[0];
	to = p->go[1];
	ret = start(p);
	if (ret < 0)
		return ret;
	q->pid = ret;
	ret = start_guard_begin(&q->guard, q->pid);
	if (!ret && write(to, "", 1) != 1)
		ret = -errno;
	return ret;
}

/*
 * Its words go to a pipe that it does not wait for: what is more than fits is
 * lost.
 */
static int run(struct qemu_nbd *q, const char *path, char *const *argv)
{
	autofd null = open("/dev/null", O_RDWR | O_CLOEXEC);
	autofd listener = -1, words = -1;
	struct program p = { .path = path, .argv = argv, .null = null };
	int fds[2], client = -1, ret;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	q->words = fds[0];
	words = p.words = fds[1];
	listener = p.listener = make_sockets(&client);
	if (listener < 0)
		return listener;
	ret = start_guarded(q, &p);
	if (ret < 0) {
		close(client);
		return ret;
	}
	return client;
}

/* When the connection is closed it ends by itself, with all written. */
static void finish(void *user)
{
	struct qemu_nbd *q = user;

	start_guard_end(&q->guard);
	while (q->pid > 0 && waitpid(q->pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (q->words >= 0)
		close(q->words);
	g_free(q);
}

/* What it said, in one line; NULL: nothing. */
static char *last_words(const struct qemu_nbd *q)
{
	char text[WORDS_MAX + 1];
	ssize_t n = read(q->words, text, WORDS_MAX);
	const char *from = text;

	if (n <= 0)
		return NULL;
	text[n] = '\0';
	if (g_str_has_prefix(from, "qemu-nbd: "))
		from += strlen("qemu-nbd: ");
	return g_strdelimit(g_strchomp(g_strdup(from)), "\n", ' ');
}

/* There was no disk: say what it said, or else what is in @error. */
static void give_up(struct qemu_nbd *q, const struct block_file_options *o,
		    GError **error)
{
	g_autofree char *words = NULL;

	/* Nothing has been written, and SIGTERM could be missed. */
	if (q->pid > 0)
		kill(q->pid, SIGKILL);
	while (q->pid > 0 && waitpid(q->pid, NULL, 0) < 0 && errno == EINTR)
		;
	q->pid = 0;
	words = last_words(q);
	finish(q);
	if (!words)
		return;
	g_clear_error(error);
	fail(o, EX_DATAERR, "qemu-nbd.failed", words,
	     "what this is about: qemu-img info, qemu-img check", error);
}

struct block_backend *qemu_nbd_open(struct loop *loop,
				    const struct block_file_options *o,
				    const char *driver, bool backing,
				    GError **error)
{
	g_autofree char *path = g_find_program_in_path("qemu-nbd");
	g_auto(GStrv) argv = make_arguments(o, driver, backing);
	struct block_nbd_options nbd = {
		.server.name = o->path, .read_only = o->read_only,
		.closed = finish,
	};
	struct block_backend *bb;
	struct qemu_nbd *q;

	if (!path) {
		fail(o, EX_UNAVAILABLE, "qemu-nbd.missing",
		     "its format is read by qemu-nbd, which is not installed",
		     "sudo apt install qemu-utils", error);
		return NULL;
	}
	nbd.user = q = g_new0(struct qemu_nbd, 1);
	q->words = -1;
	nbd.server.fd = run(q, path, argv);
	if (nbd.server.fd < 0) {
		fail(o, EX_OSERR, "qemu-nbd.start",
		     g_strerror(-nbd.server.fd),
		     "room in $XDG_RUNTIME_DIR or $TMPDIR, and for a process",
		     error);
		finish(q);
		return NULL;
	}
	bb = block_nbd_open(loop, &nbd, error);
	if (bb)
		start_guard_end(&q->guard);
	else
		give_up(q, o, error);
	return bb;
}

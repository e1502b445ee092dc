/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/start_guard.h"
#include "core/autoptr.h"

#define ALIVE_FD	3
#define CHILD_FD	4

/*
 * In the new process, which is a copy of one with threads: no allocations, no
 * locks.  Nothing of ours may stay open here, our end of the pipe least of all.
 */
static void watch(int alive, int child)
{
	sigset_t none;
	char c;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	/* Out of the way of both numbers first. */
	alive = fcntl(alive, F_DUPFD, CHILD_FD + 1);
	child = fcntl(child, F_DUPFD, CHILD_FD + 1);
	if (dup2(alive, ALIVE_FD) < 0 || dup2(child, CHILD_FD) < 0 ||
	    close_range(CHILD_FD + 1, ~0u, 0) < 0)
		_exit(EXIT_FAILURE);
	while (read(ALIVE_FD, &c, 1) < 0 && errno == EINTR)
		;
	pidfd_send_signal(CHILD_FD, SIGKILL, NULL, 0);
	_exit(EXIT_SUCCESS);
}

int start_guard_begin(struct start_guard *g, pid_t pid)
{
	autofd child = pidfd_open(pid, 0), theirs = -1, ours = -1;
	int fds[2];

	if (child < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	theirs = fds[0];
	ours = fds[1];
	g->pid = fork();
	if (g->pid == 0)
		watch(theirs, child);
	if (g->pid < 0) {
		g->pid = 0;
		return -errno;
	}
	g->alive = autofd_steal(&ours);
	return 0;
}

void start_guard_end(struct start_guard *g)
{
	if (!g->pid)
		return;

	kill(g->pid, SIGKILL);
	while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(g->alive);
	g->pid = 0;
}

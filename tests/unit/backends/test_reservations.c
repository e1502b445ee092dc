/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file that machines have in common: crashes, damage, names. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/reservations.h"
#include "backends/crc32c.h"
#include "core/error.h"

#define SLOT		4096	/* after the header: one of two states */
#define FILE_SIZE	(3 * SLOT)

/* A state as it is in the file. */
struct slot {
	uint64_t sequence;
	uint32_t crc, zero;
	struct pr_state state;
};

static char *folder, *disk, *file;

static int setup(void **state)
{
	folder = g_dir_make_tmp("reservations-XXXXXX", NULL);
	disk = g_build_filename(folder, "disk", NULL);
	file = g_build_filename(folder, "disk.pr", NULL);
	return 0;
}

static int teardown(void **state)
{
	unlink(file);
	rmdir(folder);
	g_free(folder);
	g_free(disk);
	g_free(file);
	return 0;
}

static struct reservations *join(const char *name)
{
	g_autoptr(GError) error = NULL;
	struct reservations *r = reservations_open(disk, name, &error);

	if (!r)
		fail_msg("%s", error->message);
	return r;
}

static void refused(const char *name, int status, const char *why)
{
	g_autoptr(GError) error = NULL;

	assert_null(reservations_open(disk, name, &error));
	assert_int_equal(error->code, status);
	if (!strstr(error->message, "[disk.reservations]") ||
	    !strstr(error->message, why))
		fail_msg("no \"%s\" in: %s", why, error->message);
}

/* Register @key for good. */
static void register_key(struct reservations *r, uint64_t key)
{
	int result;
	struct pr_state *s = reservations_begin(r, &result);

	assert_non_null(s);
	s->initiator[reservations_self(r)].key = key;
	s->aptpl = 1;
	assert_int_equal(reservations_commit(r), 0);
}

static void with_file(ssize_t (*call)(int fd, struct slot *s, off_t at),
		      struct slot *s, off_t at)
{
	int fd = open(file, O_RDWR);

	assert_int_equal(call(fd, s, at), sizeof(*s));
	close(fd);
}

static ssize_t do_read(int fd, struct slot *s, off_t at)
{
	return pread(fd, s, sizeof(*s), at);
}

static ssize_t do_write(int fd, struct slot *s, off_t at)
{
	s->crc = 0;
	s->crc = crc32c(0, s, sizeof(*s));
	return pwrite(fd, s, sizeof(*s), at);
}

static void what_one_changes_the_others_see(void **state)
{
	struct reservations *a = join("a"), *b = join("b");
	int result;

	assert_int_not_equal(reservations_self(a), reservations_self(b));
	assert_memory_equal(reservations_disk_id(a), reservations_disk_id(b),
			    16);
	for (uint64_t key = 1; key < 100; key++) {
		register_key(a, key);
		assert_int_equal(reservations_refresh(b), 0);
		assert_int_equal(reservations_state(b)
				 ->initiator[reservations_self(a)].key, key);
	}
	/* What is abandoned is not there, and nobody can change it meanwhile. */
	reservations_begin(a, &result)->generation = 77;
	assert_null(reservations_begin(b, &result));
	assert_int_equal(result, -EAGAIN);
	reservations_abandon(a);
	assert_int_equal(reservations_begin(b, &result)->generation, 0);
	reservations_abandon(b);
	reservations_close(a);
	reservations_close(b);
}

static void a_name_is_for_one_machine(void **state)
{
	struct reservations *a = join("a");

	refused("a", EX_TEMPFAIL, "has this name");
	reservations_close(a);
	reservations_close(join("a"));
}

static void places_of_those_who_left_are_used_again(void **state)
{
	struct reservations *all[PR_INITIATORS_MAX];

	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++) {
		g_autofree char *name = g_strdup_printf("m%u", i);

		all[i] = join(name);
	}
	refused("one more", EX_TEMPFAIL, "64 machines");
	register_key(all[0], 1);
	reservations_close(all[0]);
	/* Its place is kept by its registration. */
	refused("one more", EX_TEMPFAIL, "64 machines");
	reservations_close(all[1]);
	all[1] = join("one more");
	all[0] = join("m0");
	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++)
		reservations_close(all[i]);
}

static void who_is_alive_and_writes_is_known(void **state)
{
	struct reservations *a = join("a"), *b = join("b");
	unsigned place = reservations_self(b);

	assert_true(reservations_is_alive(a, place));
	assert_false(reservations_is_writing(a, place));
	assert_int_equal(reservations_enter(b), 0);
	assert_int_equal(reservations_enter(b), 0);
	reservations_leave(b);
	assert_true(reservations_is_writing(a, place));
	reservations_leave(b);
	assert_false(reservations_is_writing(a, place));
	reservations_close(b);
	assert_false(reservations_is_alive(a, place));
	reservations_close(a);
}

/* Change the state for ever: the key is always the generation + 1. */
static void G_GNUC_NORETURN change_until_killed(const char *name)
{
	struct reservations *r = join(name);
	int result;

	for (;;) {
		struct pr_state *s = reservations_begin(r, &result);

		if (!s)
			continue;
		s->aptpl = 1;
		s->generation++;
		for (unsigned i = 0; i < PR_INITIATORS_MAX; i++)
			if (s->initiator[i].id[0])
				s->initiator[i].key = s->generation + 1;
		reservations_commit(r);
	}
}

static void expect_whole(const struct pr_state *s)
{
	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++)
		if (s->initiator[i].key)
			assert_int_equal(s->initiator[i].key,
					 s->generation + 1);
}

static void a_machine_may_be_killed_at_any_instant(void **state)
{
	uint32_t seen = 0;

	for (unsigned n = 0; n < 60; n++) {
		bool watch = n % 2;
		struct reservations *r = watch ? join("watcher") : NULL;
		pid_t pid = fork();

		if (!pid)
			change_until_killed("child");
		for (unsigned i = 0; watch && i < 2000; i++)
			if (!reservations_refresh(r))
				expect_whole(reservations_state(r));
		usleep(n * 200);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (!r)
			r = join("watcher");
		assert_int_equal(reservations_refresh(r), 0);
		expect_whole(reservations_state(r));
		assert_true(reservations_state(r)->generation >= seen);
		seen = reservations_state(r)->generation;
		reservations_close(r);
	}
	assert_true(seen > 0);
}

static void after_a_crash_of_the_host_the_last_whole_state_counts(void **state)
{
	struct reservations *r = join("a");
	struct slot newest, other;
	off_t at;

	register_key(r, 5);
	register_key(r, 6);
	reservations_close(r);
	with_file(do_read, &newest, SLOT);
	with_file(do_read, &other, 2 * SLOT);
	at = newest.sequence > other.sequence ? SLOT : 2 * SLOT;
	assert_int_equal(truncate(file, at), 0);
	assert_int_equal(truncate(file, FILE_SIZE), 0);
	r = join("a");
	assert_int_equal(reservations_state(r)->initiator[0].key, 5);
	reservations_close(r);
}

static void a_file_without_header_is_a_new_one(void **state)
{
	const int fd = open(file, O_CREAT | O_RDWR, 0600);

	assert_int_equal(ftruncate(fd, FILE_SIZE - 1), 0);
	close(fd);
	reservations_close(join("a"));
	assert_int_equal(truncate(file, 0), 0);
	reservations_close(join("a"));
}

static void another_file_is_refused(void **state)
{
	assert_true(g_file_set_contents(file, "something else", -1, NULL));
	refused("a", EX_DATAERR, "damaged, or another file");
	unlink(file);
	assert_int_equal(mkdir(file, 0700), 0);
	refused("a", EX_CANTCREAT, "directory");
	rmdir(file);
}

/* Each breaks a state that is good otherwise, and has a good checksum. */
static void states_that_cannot_be_are_refused(void **state)
{
	static const struct pr_state bad[] = {
		{ .aptpl = 2 },
		{ .type = 2 }, { .type = 4 }, { .type = 9 }, { .type = 255 },
		{ .holder = PR_INITIATORS_MAX },
		{ .reserved6 = PR_INITIATORS_MAX + 1 },
		{ .type = PR_WRITE_EXCLUSIVE, .holder = 1 },
		{ .type = PR_WRITE_EXCLUSIVE_AR },
		{ .initiator[3].key = 1 },
		{ .initiator = { [3].id = "x", [9].id = "x" } },
	};
	struct slot good = { 0 };

	reservations_close(join("a"));
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct slot s = { .sequence = 1000, .state = bad[i] };

		s.sequence = 1000;
		with_file(do_write, &s, SLOT);
		s.sequence = 1001;
		with_file(do_write, &s, 2 * SLOT);
		refused("a", EX_DATAERR, "damaged, or another file");
		with_file(do_write, &good, SLOT);
		reservations_close(join("a"));
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_one_changes_the_others_see),
		TEST(a_name_is_for_one_machine),
		TEST(places_of_those_who_left_are_used_again),
		TEST(who_is_alive_and_writes_is_known),
		TEST(a_machine_may_be_killed_at_any_instant),
		TEST(after_a_crash_of_the_host_the_last_whole_state_counts),
		TEST(a_file_without_header_is_a_new_one),
		TEST(another_file_is_refused),
		TEST(states_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

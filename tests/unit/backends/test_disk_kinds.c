/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images of each kind under an ephemeral disk: what is written is read again,
 * and the image, with all that it consists of, stays as it is.  What those give
 * back that other programs write.  And which of them several machines write.
 */
#include "block_shadow.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/block_open.h"
#include "backends/block_overlay.h"
#include "backends/vhd.h"
#include "backends/vhdx.h"
#include "run_command.h"

#define KIB		1024u
#define SIZE		(5000 * KIB)
#define PIECE		(100 * KIB)	/* all data, or none */
#define LEN_MAX		(20 * KIB)	/* of random requests */
#define STEPS		4000

static struct loop *loop;
static char *dir, *image, *below, *raw;
static uint8_t *bytes;		/* of the disk */
static bool fixed;		/* disks without a parent */

static char *path_of(const char *name)
{
	return g_build_filename(dir, name, NULL);
}

static int setup(void **state)
{
	dir = g_dir_make_tmp("ephemeral-XXXXXX", NULL);
	assert_non_null(dir);
	image = path_of("image");
	below = path_of("below");
	raw = path_of("raw");
	bytes = g_malloc0(SIZE);
	for (unsigned i = 0; i < SIZE; i++)
		if (i / PIECE % 3)
			bytes[i] = (uint8_t)(i / 512 * 7 + 1);
	g_setenv("TMPDIR", dir, TRUE);
	return 0;
}

static int teardown(void **state)
{
	fixed = false;
	g_unsetenv("TMPDIR");
	unlink(image);
	unlink(below);
	unlink(raw);
	assert_int_equal(rmdir(dir), 0);
	g_free(image);
	g_free(below);
	g_free(raw);
	g_free(dir);
	g_free(bytes);
	return 0;
}

/* Some of them need a loop that turns no more when they are closed. */
static void close_image(struct block_backend *bb)
{
	block_close(bb);
	loop_free(loop);
}

static struct block_backend *open_image(const char *path, bool read_only)
{
	const struct block_file_options o = {
		.path = path, .read_only = read_only, .direct = true,
		.reconnect = 30, .backing = true,
	};
	g_autoptr(GError) error = NULL;
	struct block_backend *bb;

	loop = loop_new(NULL);
	bb = block_open(loop, &o, false, &error);

	if (!bb)
		fail_msg("%s", error->message);
	return bb;
}

static void done(struct block_request *rq)
{
	rq->done = NULL;
}

static void request(struct block_backend *bb, enum block_op op, uint64_t at,
		    uint64_t len)
{
	struct iovec iov = { bytes + at, len };
	struct block_request rq = {
		.op = op, .offset = at, .len = len, .iov = &iov,
		.iovcnt = op == BLOCK_WRITE, .done = done,
	};

	block_submit(bb, &rq);
	while (rq.done)
		loop_turn(loop, true);
	assert_int_equal(rq.result, 0);
}

/* Every second piece of the disk, from the first or the second one on. */
static void write_half(const char *path, unsigned first)
{
	struct block_backend *bb = open_image(path, false);

	for (uint64_t at = first * PIECE; at < SIZE; at += 2 * PIECE)
		request(bb, BLOCK_WRITE, at, MIN(PIECE, SIZE - at));
	close_image(bb);
}

/*
 * Images.
 */
static void make_raw(const char *path)
{
	assert_true(g_file_set_contents(path, (char *)bytes, SIZE, NULL));
}

static void create_vhd(const char *path, const char *parent)
{
	const struct vhd_create_options o = {
		.type = parent ? VHD_DIFFERENCING :
			fixed ? VHD_FIXED : VHD_DYNAMIC,
		.size = parent ? 0 : SIZE, .parent = parent,
		.block_size = 512 * KIB,
	};
	const struct block_file_options f = { .path = path };
	struct block_backend *file;

	assert_true(g_file_set_contents(path, "", 0, NULL));
	assert_int_equal(truncate(path, 512), 0);
	file = block_file_open(NULL, &f, NULL);
	assert_true(vhd_create(file, path, &o, NULL));
	block_close(file);
}

static void create_vhdx(const char *path, const char *parent)
{
	struct vhdx_create_options o = {
		.size = SIZE, .block_size = 1024 * KIB,
		.fixed = fixed && !parent,
	};

	if (parent)
		assert_true(vhdx_create_options_adopt(&o, path, parent, NULL));
	assert_true(vhdx_create(path, &o, NULL));
	vhdx_create_options_finish(&o);
}

static void make(void (*create)(const char *path, const char *parent),
		 bool child)
{
	create(child ? below : image, NULL);
	write_half(child ? below : image, 0);
	if (child)
		create(image, below);
	write_half(image, 1);
}

/*
 * Use.
 */
static char *sum(const char *path)
{
	g_autofree char *content = NULL;
	size_t len;

	if (!g_file_get_contents(path, &content, &len, NULL))
		return NULL;
	return g_compute_checksum_for_data(G_CHECKSUM_SHA256,
					   (uint8_t *)content, len);
}

/* Nothing of it is left for the next one. */
static void use_once(const char *path, uint32_t seed)
{
	struct block_backend *bb = open_image(path, true);
	struct shadow s;

	bb = block_overlay_open(loop, bb, 0, NULL);
	assert_non_null(bb);
	assert_int_equal(bb->size, SIZE);
	shadow_init(&s, loop, bb, LEN_MAX, seed);
	memcpy(s.bytes, bytes, SIZE);
	shadow_verify(&s);
	shadow_run(&s, STEPS);
	shadow_verify(&s);
	shadow_finish(&s);
	close_image(bb);
}

static void use(const char *path)
{
	g_autofree char *image_was = sum(image), *below_was = sum(below);
	g_autofree char *image_is = NULL, *below_is = NULL;

	use_once(path, 1);
	use_once(path, 2);
	image_is = sum(image);
	below_is = sum(below);
	assert_string_equal(image_is, image_was);
	if (below_was)
		assert_string_equal(below_is, below_was);
}

static void over_raw(void **state)
{
	make_raw(image);
	use(image);
}

static void over_vhd(void **state)
{
	make(create_vhd, false);
	use(image);
}

static void over_a_child_of_vhd(void **state)
{
	make(create_vhd, true);
	use(image);
}

static void over_vhdx(void **state)
{
	make(create_vhdx, false);
	use(image);
}

static void over_a_child_of_vhdx(void **state)
{
	make(create_vhdx, true);
	use(image);
}

static void over_children_of_fixed_disks(void **state)
{
	fixed = true;
	make(create_vhd, true);
	use(image);
	unlink(image);
	unlink(below);
	make(create_vhdx, true);
	use(image);
}

static void over_qcow2(void **state)
{
	make_raw(raw);
	if (!run("qemu-img convert -f raw -O qcow2 %s %s", raw, image))
		skip();
	use(image);
}

static void over_qcow2_with_another_file(void **state)
{
	make_raw(below);
	if (!run("qemu-img create -f qcow2 -F raw -b %s %s", below, image))
		skip();
	use(image);
}

static void free_space(const char *path);

/* By a server; @writable: to give space back, or else under something. */
static void use_served(bool writable)
{
	g_autofree char *name = path_of("socket");
	g_autofree char *uri = g_strdup_printf("nbd+unix:///?socket=%s", name);
	g_autofree char *pid_name = path_of("pid"), *pid = NULL;
	bool there = run("qemu-nbd --fork --persistent --shared=4 "
			 "--discard=unmap %s --pid-file=%s -k %s -f raw %s",
			 writable ? "" : "--read-only", pid_name, name, image);

	if (there && writable)
		free_space(uri);
	else if (there)
		use(uri);
	if (there && g_file_get_contents(pid_name, &pid, NULL, NULL))
		kill((pid_t)g_ascii_strtoll(pid, NULL, 10), SIGTERM);
	unlink(name);
	unlink(pid_name);
	if (!there)
		skip();
}

static void over_a_raw_export(void **state)
{
	make_raw(image);
	use_served(false);
}

static void over_a_vhdx_in_an_export(void **state)
{
	make(create_vhdx, false);
	use_served(false);
}

static uint64_t space_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Zeroes are holes there, and what lies beside them stays. */
static void free_space(const char *path)
{
	const uint64_t hole = 1024 * KIB, len = 2048 * KIB;
	struct block_backend *bb = open_image(path, false);
	uint64_t before = space_of(image);
	struct shadow s;

	assert_true(bb->discard_granularity);
	request(bb, BLOCK_WRITE_ZEROES, hole, len);
	request(bb, BLOCK_FLUSH, 0, 0);
	shadow_init(&s, loop, bb, PIECE, 0);
	memcpy(s.bytes, bytes, SIZE);
	memset(s.bytes + hole, 0, len);
	shadow_verify(&s);
	shadow_finish(&s);
	close_image(bb);
	assert_true(space_of(image) + len / 2 < before);
}

static void zeroes_are_holes_of_an_export(void **state)
{
	memset(bytes, 'd', SIZE);
	make_raw(image);
	use_served(true);
}

static void zeroes_are_holes_of_a_qcow2(void **state)
{
	memset(bytes, 'd', SIZE);
	make_raw(raw);
	if (!run("qemu-img convert -f raw -O qcow2 %s %s", raw, image))
		skip();
	free_space(image);
}

/*
 * Shared disks.
 */
static struct block_backend *open_shared(const char *name, GError **error)
{
	const struct block_file_options o = {
		.path = image, .direct = true, .shared = name,
	};

	return block_open(loop, &o, false, error);
}

static struct vhdx_facts facts_of(const char *path)
{
	const struct block_file_options o = { .path = path, .read_only = true };
	struct block_backend *file = block_file_open(NULL, &o, NULL);
	struct vhdx_facts facts;

	assert_non_null(file);
	assert_true(vhdx_read_facts(file, path, &facts, NULL));
	block_close(file);
	return facts;
}

/* As a crash of both would leave it, too. */
static void expect_closed_and_written(const struct vhdx_facts *was)
{
	struct vhdx_facts now;

	assert_true(run("cp %s %s", image, below));
	now = facts_of(below);
	assert_false(now.dirty);
	assert_false(guid_equal(&now.data_write_guid, &was->data_write_guid));
	assert_true(guid_equal(&now.disk_id, &was->disk_id));
}

static void machines_share_a_fixed_vhdx(void **state)
{
	g_autoptr(GError) error = NULL;
	struct block_backend *a, *b;
	struct vhdx_facts was;
	struct shadow s;

	fixed = true;
	create_vhdx(image, NULL);
	was = facts_of(image);
	loop = loop_new(NULL);
	a = open_shared("a", &error);
	if (!a && strstr(error->message, "[disk.shared-direct]")) {
		loop_free(loop);
		skip();
	}
	expect_closed_and_written(&was);
	b = open_shared("b", NULL);
	assert_non_null(b);
	assert_null(open_shared("b", NULL));
	shadow_init(&s, loop, a, LEN_MAX, 1);
	for (unsigned i = 0; i < 4; i++) {
		s.bb = i % 2 ? b : a;
		shadow_verify(&s);
		shadow_run(&s, STEPS);
		expect_closed_and_written(&was);
	}
	block_close(a);
	s.bb = b;
	shadow_run(&s, STEPS);
	close_image(b);
	expect_closed_and_written(&was);
	s.bb = open_image(below, true);
	s.loop = loop;
	shadow_verify(&s);
	close_image(s.bb);
	shadow_finish(&s);
}

/* Neither one that grows, nor one of which a block is missing. */
static void a_vhdx_that_has_to_change_is_not_shared(void **state)
{
	static const char *const ids[] = { "[disk.shared-format]",
					   "[vhdx.shared]" };

	for (unsigned i = 0; i < 2; i++) {
		g_autofree char *content = NULL, *was = NULL, *is = NULL;
		g_autoptr(GError) error = NULL;
		size_t len;

		fixed = i;
		create_vhdx(image, NULL);
		assert_true(g_file_get_contents(image, &content, &len, NULL));
		if (i)
			memset(content + (3u << 20) + 8, 0, 8);
		assert_true(g_file_set_contents(image, content, (gssize)len,
						NULL));
		was = sum(image);
		loop = loop_new(NULL);
		assert_null(open_shared("a", &error));
		loop_free(loop);
		if (!strstr(error->message, ids[i]) &&
		    !strstr(error->message, "[disk.shared-direct]"))
			fail_msg("no %s in: %s", ids[i], error->message);
		is = sum(image);
		assert_string_equal(is, was);
		unlink(image);
	}
}

/* It may have become one that gives back blocks by its log. */
static void a_dynamic_vhdx_with_all_blocks_is_not_shared(void **state)
{
	const struct block_file_options o = { .path = image, .shared = "a" };
	const struct block_file_options f = { .path = image };
	g_autoptr(GError) error = NULL;
	struct block_backend *file;

	make(create_vhdx, false);
	write_half(image, 0);
	file = block_file_open(NULL, &f, NULL);
	assert_non_null(file);
	assert_null(vhdx_open(NULL, file, &o, &error));
	assert_non_null(strstr(error->message, "[vhdx.shared]"));
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(over_raw),
		TEST(over_vhd),
		TEST(over_a_child_of_vhd),
		TEST(over_vhdx),
		TEST(over_a_child_of_vhdx),
		TEST(over_children_of_fixed_disks),
		TEST(over_qcow2),
		TEST(over_qcow2_with_another_file),
		TEST(over_a_raw_export),
		TEST(over_a_vhdx_in_an_export),
		TEST(zeroes_are_holes_of_an_export),
		TEST(zeroes_are_holes_of_a_qcow2),
		TEST(machines_share_a_fixed_vhdx),
		TEST(a_vhdx_that_has_to_change_is_not_shared),
		TEST(a_dynamic_vhdx_with_all_blocks_is_not_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

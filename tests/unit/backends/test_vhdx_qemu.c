/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VHDX files against another implementation: qemu-img. */
#include "vhdx_rig.h"

#include <unistd.h>

#include "backends/block_file.h"
#include "run_command.h"

static struct rig rig;
static char *dir;

static char *in_dir(const char *name)
{
	return g_build_filename(dir, name, NULL);
}

static int setup(void **state)
{
	rig = (struct rig){ .loop = loop_new(NULL) };
	rig.buf = g_aligned_alloc(1, RIG_BUFFER, 4096);
	dir = g_dir_make_tmp("vhdx-XXXXXX", NULL);
	assert_non_null(dir);
	return 0;
}

static int teardown(void **state)
{
	run("rm -rf %s", dir);
	g_free(dir);
	g_free(rig.shadow);
	g_aligned_free(rig.buf);
	loop_free(rig.loop);
	return 0;
}

static void open_disk(const char *path, bool read_only)
{
	const struct block_file_options o = {
		.path = path, .direct = true, .read_only = read_only,
	};
	g_autoptr(GError) error = NULL;
	struct block_backend *file = block_file_open(rig.loop, &o, &error);

	assert_non_null(file);
	rig.bb = vhdx_open(rig.loop, file, &o, &error);
	if (!rig.bb)
		fail_msg("%s", error->message);
}

static void close_disk(void)
{
	block_close(rig.bb);
	rig.bb = NULL;
}

static void load_shadow(const char *path, uint64_t size)
{
	gsize len;

	g_free(rig.shadow);
	assert_true(g_file_get_contents(path, (char **)&rig.shadow, &len,
					NULL));
	assert_int_equal(len, size);
}

/* A raw disk of 40 MiB and a bit, with data here and there. */
static void make_raw(const char *path, uint64_t size)
{
	g_autofree uint8_t *bytes = g_malloc0(size);
	g_autoptr(GRand) rand = g_rand_new_with_seed(7);

	for (unsigned i = 0; i < 60; i++)
		memset(bytes + g_rand_int_range(rand, 0, (gint32)size / 4096) *
			       4096u, g_rand_int_range(rand, 1, 256), 4096);
	assert_true(g_file_set_contents(path, (char *)bytes, (gssize)size,
					NULL));
}

static void what_qemu_img_makes_is_read_and_written(void **state)
{
	static const char *const options[] = {
		"subformat=dynamic", "subformat=fixed",
		"subformat=dynamic,block_size=1M",
		"subformat=dynamic,block_size=8M,log_size=2M",
		"subformat=dynamic,block_size=256M,log_size=16M",
		"subformat=dynamic,block_state_zero=off",
		"subformat=fixed,block_size=2M",
	};
	const uint64_t size = 40 * MIB + 512;
	g_autofree char *raw = in_dir("raw"), *vhdx = in_dir("vhdx");

	if (!run("qemu-img --version"))
		skip();
	for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
		g_autoptr(GRand) rand = g_rand_new_with_seed(i);

		make_raw(raw, size);
		load_shadow(raw, size);
		assert_true(run("qemu-img convert -f raw -O vhdx -o %s "
				"%s %s", options[i], raw, vhdx));
		open_disk(vhdx, true);
		assert_int_equal(rig.bb->size, size);
		rig_compare(&rig);
		close_disk();
		open_disk(vhdx, false);
		for (unsigned n = 0; n < 40; n++)
			rig_random(&rig, rand);
		close_disk();
		assert_true(g_file_set_contents(raw, (char *)rig.shadow,
						(gssize)size, NULL));
		assert_true(run("qemu-img check -f vhdx %s", vhdx));
		assert_true(run("qemu-img compare -f vhdx -F raw %s %s",
				vhdx, raw));
		unlink(vhdx);
	}
}

static void qemu_img_reads_what_we_make(void **state)
{
	static const struct vhdx_create_options options[] = {
		{ .size = 40 * MIB },
		{ .size = 40 * MIB, .block_size = 1 << 20 },
		{ .size = 40 * MIB + 1024, .block_size = 2 << 20 },
		{ .size = 40 * MIB, .block_size = 1 << 20, .fixed = true },
		{ .size = 40 * MIB, .block_size = 256 << 20 },
	};
	g_autofree char *raw = in_dir("raw"), *vhdx = in_dir("vhdx");

	if (!run("qemu-img --version"))
		skip();
	for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
		g_autoptr(GRand) rand = g_rand_new_with_seed(i);

		assert_true(vhdx_create(vhdx, &options[i], NULL));
		assert_false(vhdx_create(vhdx, &options[i], NULL));
		assert_true(run("qemu-img check -f vhdx %s", vhdx));
		g_free(rig.shadow);
		rig.shadow = g_malloc0(options[i].size);
		open_disk(vhdx, false);
		for (unsigned n = 0; n < 100; n++)
			rig_random(&rig, rand);
		close_disk();
		assert_true(g_file_set_contents(raw, (char *)rig.shadow,
						(gssize)options[i].size,
						NULL));
		assert_true(run("qemu-img check -f vhdx %s", vhdx));
		assert_true(run("qemu-img compare -f vhdx -F raw %s %s",
				vhdx, raw));
		unlink(vhdx);
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_qemu_img_makes_is_read_and_written),
		TEST(qemu_img_reads_what_we_make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images of all kinds beside a raw shadow: written, trimmed, and resized, by
 * turns, and what another implementation, qemu-img, makes of them.
 */
#include "vhdx_rig.h"

#include <unistd.h>

#include "backends/block_now.h"
#include "backends/block_open.h"
#include "backends/vhd.h"
#include "run_command.h"

#define SIZE		(9 * MIB + 1024)
#define ROUNDS		5
#define REQUESTS	30

static struct rig rig;
static uint64_t shadow_size;
static char *dir, *image, *raw;

static int setup(void **state)
{
	rig = (struct rig){ .loop = loop_new(NULL) };
	rig.buf = g_aligned_alloc(1, RIG_BUFFER, 4096);
	dir = g_dir_make_tmp("disk-XXXXXX", NULL);
	assert_non_null(dir);
	image = g_build_filename(dir, "image", NULL);
	raw = g_build_filename(dir, "raw", NULL);
	return 0;
}

static int teardown(void **state)
{
	unlink(image);
	unlink(raw);
	assert_int_equal(rmdir(dir), 0);
	g_free(image);
	g_free(raw);
	g_free(dir);
	g_free(rig.shadow);
	g_aligned_free(rig.buf);
	loop_free(rig.loop);
	return 0;
}

static void set_shadow(uint64_t size)
{
	rig.shadow = g_realloc(rig.shadow, size);
	if (size > shadow_size)
		memset(rig.shadow + shadow_size, 0, size - shadow_size);
	shadow_size = size;
}

static void open_image(void)
{
	const struct block_file_options o = { .path = image, .direct = true };
	g_autoptr(GError) error = NULL;

	rig.bb = block_open(rig.loop, &o, false, &error);
	if (!rig.bb)
		fail_msg("%s", error->message);
	assert_int_equal(rig.bb->size, shadow_size);
}

static void use_image(GRand *rand)
{
	open_image();
	rig_compare(&rig);
	for (unsigned n = 0; n < REQUESTS; n++)
		rig_random(&rig, rand);
	block_close(rig.bb);
}

static void resize_vhd(uint64_t size)
{
	const struct block_file_options o = { .path = image };
	struct block_backend *file = block_file_open(NULL, &o, NULL);
	struct vhd_facts facts;

	assert_true(vhd_read_facts(file, image, &facts, NULL));
	assert_int_equal(vhd_resize(file, &facts, size), 0);
	block_close(file);
}

static void resize_vhdx(uint64_t size)
{
	open_image();
	assert_int_equal(vhdx_resize(rig.bb, size), 0);
	block_close(rig.bb);
}

static void agree(const char *format)
{
	assert_true(g_file_set_contents(raw, (char *)rig.shadow,
					(gssize)shadow_size, NULL));
	/* It has no check of the other one. */
	if (!strcmp(format, "vhdx"))
		assert_true(run("qemu-img check -f vhdx %s", image));
	assert_true(run("qemu-img compare -f %s -F raw %s %s", format, image,
			raw));
}

/* Sizes that no format has to round. */
static void live(const char *format, void (*resize)(uint64_t size),
		 uint32_t seed)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

	for (unsigned n = 0; n < ROUNDS; n++) {
		uint64_t size = shadow_size + 1024 * (uint64_t)
				g_rand_int_range(rand, 1, 9000);

		use_image(rand);
		agree(format);
		if (!resize)
			continue;
		resize(size);
		set_shadow(size);
	}
	use_image(rand);
	agree(format);
}

static void begin(void)
{
	shadow_size = 0;
	set_shadow(SIZE);
	unlink(image);
}

static void vhds_of_ours(void **state)
{
	static const struct vhd_create_options options[] = {
		{ .type = VHD_DYNAMIC, .size = SIZE },
		{ .type = VHD_DYNAMIC, .size = SIZE, .block_size = 64 << 10 },
		{ .type = VHD_FIXED, .size = SIZE },
	};

	if (!run("qemu-img --version"))
		skip();
	for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
		const struct block_file_options o = { .path = image };
		struct block_backend *file;

		begin();
		assert_true(g_file_set_contents(image, "", 0, NULL));
		assert_int_equal(truncate(image, 512), 0);
		file = block_file_open(NULL, &o, NULL);
		assert_true(vhd_create(file, image, &options[i], NULL));
		block_close(file);
		live("vpc", options[i].type == VHD_DYNAMIC ? resize_vhd : NULL,
		     i);
	}
}

static void vhdxs_of_ours(void **state)
{
	static const struct vhdx_create_options options[] = {
		{ .size = SIZE, .block_size = 1 << 20 },
		{ .size = SIZE, .block_size = 8 << 20 },
		{ .size = SIZE, .block_size = 2 << 20, .fixed = true },
	};

	if (!run("qemu-img --version"))
		skip();
	for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
		begin();
		assert_true(vhdx_create(image, &options[i], NULL));
		live("vhdx", resize_vhdx, i);
	}
}

static void what_qemu_img_makes(void **state)
{
	static const struct {
		const char *format, *options;
		void (*resize)(uint64_t size);
	} kinds[] = {
		{ "vpc", "subformat=dynamic,force_size=on", resize_vhd },
		{ "vpc", "subformat=fixed,force_size=on", NULL },
		{ "vhdx", "subformat=dynamic,block_size=1M", resize_vhdx },
		{ "vhdx", "subformat=dynamic,block_state_zero=off",
		  resize_vhdx },
		{ "vhdx", "subformat=dynamic,log_size=4M", resize_vhdx },
		{ "vhdx", "subformat=fixed,block_size=1M", resize_vhdx },
	};

	if (!run("qemu-img --version"))
		skip();
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		begin();
		assert_true(run("qemu-img create -f %s -o %s %s %"
				G_GUINT64_FORMAT, kinds[i].format,
				kinds[i].options, image, SIZE));
		live(kinds[i].format, kinds[i].resize, i);
	}
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(vhds_of_ours),
		TEST(vhdxs_of_ours),
		TEST(what_qemu_img_makes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

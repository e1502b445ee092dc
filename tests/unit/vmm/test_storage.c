/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes of a machine's disks and discs, of which no guest needs to know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/util.h"
#include "vmm/storage_internal.h"

#define GIB	(UINT64_C(1) << 30)

static struct {
	char *folder, *disc, *disk;
	struct loop *loop;
	struct options options;
	struct storage s;
	unsigned answers;
	uint64_t size;		/* of the last answer */
	char *id;		/* of the last one's error; NULL: none */
	GString *list;
} t;

static void add(unsigned controller, unsigned lun, const char *file, bool drive)
{
	struct disk_options *d = g_new0(struct disk_options, 1);

	d->cdrom = drive;
	d->direct = true;
	d->file = g_strdup(file);
	d->controller = controller;
	d->lun = lun;
	g_ptr_array_add(t.options.disks, d);
}

static int set_up(void **state)
{
	g_autofree char *bytes = g_malloc0(4 * SCSI_DVD_BLOCK);

	memset(&t, 0, sizeof(t));
	t.folder = g_dir_make_tmp("kvmbus-storage-XXXXXX", NULL);
	t.disc = g_build_filename(t.folder, "disc", NULL);
	assert_true(g_file_set_contents(t.disc, bytes, 4 * SCSI_DVD_BLOCK,
					NULL));
	t.disk = g_build_filename(t.folder, "disk", NULL);
	assert_true(g_file_set_contents(t.disk, bytes, 4 * SCSI_DVD_BLOCK,
					NULL));
	t.list = g_string_new(NULL);
	t.loop = loop_new(NULL);
	t.options.cpus = 1;
	t.options.disks = g_ptr_array_new_with_free_func(
		(GDestroyNotify)disk_options_free);
	add(0, 5, NULL, true);
	add(1, 2, t.disk, false);
	add(3, 63, t.disc, true);
	assert_true(storage_open(&t.s, &t.options, NULL, t.loop, NULL));
	assert_true(storage_start(&t.s, NULL));
	return 0;
}

static int tear_down(void **state)
{
	storage_close(&t.s);
	g_ptr_array_unref(t.options.disks);
	loop_free(t.loop);
	g_string_free(t.list, TRUE);
	g_unlink(t.disc);
	g_unlink(t.disk);
	g_rmdir(t.folder);
	g_free(t.folder);
	g_free(t.disc);
	g_free(t.disk);
	g_free(t.id);
	return 0;
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void answered(const struct storage_result *r, void *arg)
{
	GError *error = r->error;

	g_clear_pointer(&t.id, g_free);
	if (error)
		t.id = user_error_id(error);
	g_clear_error(&error);
	t.size = r->size;
	t.answers++;
}

static const struct storage_reply reply = { answered, NULL };

static void wait_for(unsigned answers)
{
	while (t.answers < answers)
		loop_turn(t.loop, true);
	t.answers = 0;
}

static void list_one(unsigned controller, unsigned lun, const char *file,
		     void *arg)
{
	if (controller != 1)
		g_string_append_printf(t.list, "%u:%u %s;", controller, lun,
				       *file ? "disc" : "");
}

static const char *list(void)
{
	g_string_truncate(t.list, 0);
	storage_look(&t.s, &reply);
	wait_for(1);
	storage_list(&t.s, list_one, NULL);
	return t.list->str;
}

/* START STOP UNIT by the guest, on the loop that its commands come on. */
struct eject {
	struct loop_note note;
	struct scsi_request rq;
	unsigned controller, lun;
	int over;		/* atomic: the loop's to the test's */
};

static void ejected(struct scsi_request *rq)
{
	struct eject *e = container_of(rq, struct eject, rq);

	assert_int_equal(rq->status, SCSI_GOOD);
	__atomic_store_n(&e->over, 1, __ATOMIC_RELEASE);
}

static void eject(struct loop_note *note)
{
	struct eject *e = container_of(note, struct eject, note);
	struct scsi_lun *lun = storvsp_lun(t.s.controller[e->controller].sv,
					   e->lun);

	e->rq = (struct scsi_request){
		.cdb = { 0x1b, 0, 0, 0, 2, 0 }, .cdb_len = 6, .done = ejected,
	};
	scsi_submit(lun, &e->rq);
}

static void guest_ejects(unsigned controller, unsigned lun)
{
	struct eject e = {
		.note.run = eject, .controller = controller, .lun = lun,
	};

	loop_post(iothread_loop(t.s.controller[controller].io), &e.note);
	while (!__atomic_load_n(&e.over, __ATOMIC_ACQUIRE))
		g_thread_yield();
}

static void a_disc_that_the_guest_ejects_is_listed_no_more(void **state)
{
	assert_string_equal(list(), "0:5 ;3:63 disc;");
	guest_ejects(3, 63);
	assert_string_equal(list(), "0:5 ;3:63 ;");
}

static void another_disc_takes_the_place_of_one_that_is_gone(void **state)
{
	guest_ejects(3, 63);
	storage_insert(&t.s, 3, 63, t.disc, &reply);
	wait_for(1);
	assert_null(t.id);
	assert_string_equal(list(), "0:5 ;3:63 disc;");
	storage_eject(&t.s, 3, 63, false, &reply);
	wait_for(1);
	assert_null(t.id);
	assert_string_equal(list(), "0:5 ;3:63 ;");
}

static void one_change_of_a_drive_is_under_way(void **state)
{
	storage_insert(&t.s, 0, 5, t.disc, &reply);
	storage_eject(&t.s, 0, 5, true, &reply);
	assert_int_equal(t.answers, 1);
	assert_string_equal(t.id, "disk.busy");
	wait_for(2);
	assert_null(t.id);
	assert_string_equal(list(), "0:5 disc;3:63 disc;");
}

static void a_list_that_crosses_a_change_is_not_torn(void **state)
{
	for (unsigned i = 0; i < 100; i++) {
		storage_insert(&t.s, 0, 5, t.disc, &reply);
		storage_look(&t.s, &reply);
		wait_for(2);
		assert_string_equal(list(), "0:5 disc;3:63 disc;");
		storage_look(&t.s, &reply);
		storage_eject(&t.s, 0, 5, false, &reply);
		wait_for(2);
		assert_string_equal(list(), "0:5 ;3:63 disc;");
	}
}

static void what_cannot_be_is_refused(void **state)
{
	static const struct {
		unsigned controller, lun;
		const char *id;
	} wrong[] = {
		{ 0, 4, "cdrom.no-drive" }, { 1, 2, "cdrom.no-drive" },
		{ 4, 0, "cdrom.no-drive" }, { 0, 64, "cdrom.no-drive" },
		{ 3, 63, "cdrom.full" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		storage_insert(&t.s, wrong[i].controller, wrong[i].lun, t.disc,
			       &reply);
		wait_for(1);
		assert_string_equal(t.id, wrong[i].id);
	}
	assert_string_equal(list(), "0:5 ;3:63 disc;");
}

static void a_disk_grows_and_one_at_a_time(void **state)
{
	storage_grow(&t.s, 1, 2, 9 * SCSI_DVD_BLOCK, &reply);
	storage_grow(&t.s, 1, 2, 10 * SCSI_DVD_BLOCK, &reply);
	assert_int_equal(t.answers, 1);
	assert_string_equal(t.id, "disk.busy");
	storage_grow(&t.s, 3, 63, SCSI_DVD_BLOCK, &reply);
	assert_int_equal(t.answers, 2);
	assert_string_equal(t.id, "disk.busy");
	wait_for(3);
	assert_null(t.id);
	assert_int_equal(t.size, 9 * SCSI_DVD_BLOCK);
	storage_grow(&t.s, 1, 2, 8 * SCSI_DVD_BLOCK, &reply);
	wait_for(1);
	assert_string_equal(t.id, "disk.shrink");
	storage_grow(&t.s, 3, 63, GIB, &reply);
	wait_for(1);
	assert_string_equal(t.id, "disk.fixed-size");
}

static void changes_under_way_end_with_the_machine(void **state)
{
	storage_insert(&t.s, 0, 5, t.disc, &reply);
	storage_look(&t.s, &reply);
}

/* A disk whose file ends too early is one at which the host fails. */
struct guest_read {
	struct loop_note note;
	struct scsi_request rq;
	uint8_t buf[512];
	struct iovec iov;
	int over;		/* atomic: the loop's to the test's */
};

static unsigned told, listed;

static void disk_held(void *host, const struct storage_held *h)
{
	assert_ptr_equal(host, &t);
	assert_int_equal(h->controller, 3);
	assert_int_equal(h->lun, 7);
	assert_int_equal(h->error, EIO);
	assert_string_equal(h->file, t.disc);
	told++;
}

static void wait_until_told(unsigned times)
{
	while (told < times)
		loop_turn(t.loop, true);
}

static void list_held(const struct storage_held *h, void *arg)
{
	assert_int_equal(h->lun, 7);
	listed++;
}

static unsigned those_held(void)
{
	listed = 0;
	storage_list_held(&t.s, list_held, NULL);
	return listed;
}

static void read_over(struct scsi_request *rq)
{
	struct guest_read *r = container_of(rq, struct guest_read, rq);

	__atomic_store_n(&r->over, 1, __ATOMIC_RELEASE);
}

static void read_block(struct loop_note *note)
{
	struct guest_read *r = container_of(note, struct guest_read, note);

	r->iov = (struct iovec){ r->buf, sizeof(r->buf) };
	r->rq = (struct scsi_request){
		.cdb = { 0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0 }, .cdb_len = 10,
		.dir = SCSI_DATA_IN, .data = &r->iov, .data_cnt = 1,
		.data_len = sizeof(r->buf), .done = read_over,
	};
	scsi_submit(storvsp_lun(t.s.controller[3].sv, 7), &r->rq);
}

static int set_up_held(void **state)
{
	struct disk_options *d = g_new0(struct disk_options, 1);

	set_up(state);
	storage_close(&t.s);
	d->file = g_strdup(t.disc);
	d->raw = d->pause_on_error = true;
	d->controller = 3;
	d->lun = 7;
	g_ptr_array_set_size(t.options.disks, 0);
	g_ptr_array_add(t.options.disks, d);
	told = 0;
	assert_true(storage_open(&t.s, &t.options, NULL, t.loop, NULL));
	storage_watch(&t.s, disk_held, &t);
	assert_true(storage_start(&t.s, NULL));
	return 0;
}

static void a_disk_that_holds_tells_and_is_tried_again(void **state)
{
	struct guest_read r = { .note.run = read_block };

	assert_int_equal(truncate(t.disc, 0), 0);
	assert_int_equal(those_held(), 0);
	loop_post(iothread_loop(t.s.controller[3].io), &r.note);
	wait_until_told(1);
	assert_int_equal(those_held(), 1);
	storage_again(&t.s);
	wait_until_told(2);
	assert_int_equal(those_held(), 1);
	assert_int_equal(truncate(t.disc, 4 * SCSI_DVD_BLOCK), 0);
	storage_again(&t.s);
	while (!__atomic_load_n(&r.over, __ATOMIC_ACQUIRE))
		g_thread_yield();
	assert_int_equal(r.rq.status, SCSI_GOOD);
	assert_int_equal(those_held(), 0);
	assert_int_equal(told, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disc_that_the_guest_ejects_is_listed_no_more),
		TEST(another_disc_takes_the_place_of_one_that_is_gone),
		TEST(one_change_of_a_drive_is_under_way),
		TEST(a_list_that_crosses_a_change_is_not_torn),
		TEST(what_cannot_be_is_refused),
		TEST(a_disk_grows_and_one_at_a_time),
		TEST(changes_under_way_end_with_the_machine),
		cmocka_unit_test_setup_teardown(
			a_disk_that_holds_tells_and_is_tried_again, set_up_held,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

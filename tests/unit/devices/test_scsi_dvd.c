/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi_rig.h"

#include <errno.h>

#define SECTOR		512u	/* of the file */
#define BLOCK		2048u
#define BLOCKS		300u
#define DISC_SIZE	(BLOCKS * BLOCK)

#define TRAY_CLOSED	0x023a01
#define TRAY_OPEN	0x023a02
#define LOCKED_EMPTY	0x025302
#define LOCKED		0x055302
#define MAY_HAVE_CHANGED	0x062800

static uint8_t buf[4096];

static struct scsi_identity id;

static struct block_backend *new_medium(void)
{
	return rig_backend(DISC_SIZE, SECTOR);
}

static int setup(void **state)
{
	id = rig_identity("");
	rig_start();
	rig.lun = scsi_dvd_new(new_medium(), &id, MAX_TRANSFER);
	return 0;
}

static int setup_empty(void **state)
{
	id = rig_identity("");
	rig_start();
	rig.lun = scsi_dvd_new(NULL, &id, MAX_TRANSFER);
	return 0;
}

static int ready(void)
{
	return command(CDB(0, 0, 0, 0, 0, 0), NO_DATA);
}

static int start_stop(uint8_t flags)
{
	return command(CDB(0x1b, 0, 0, 0, flags, 0), NO_DATA);
}

#define EJECT	2
#define LOAD	3

static int prevent(uint8_t flags)
{
	return command(CDB(0x1e, 0, 0, 0, flags, 0), NO_DATA);
}

static int read10(uint32_t lba, uint16_t blocks)
{
	return command(CDB(0x28, 0, lba >> 24, (uint8_t)(lba >> 16),
			   (uint8_t)(lba >> 8), (uint8_t)lba, 0, blocks >> 8,
			   (uint8_t)blocks, 0), IN(buf, blocks * BLOCK));
}

/* The next event of the medium class, and the status with it. */
static void expect_event(uint8_t event, uint8_t status)
{
	memset(buf, 0xee, 8);
	expect_good(command(CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0),
			    IN(buf, 8)), 8);
	assert_memory_equal(buf, "\0\x06\x04\x10", 4);
	assert_int_equal(buf[4], event);
	assert_int_equal(buf[5], status);
	assert_int_equal(be(buf + 6, 2), 0);
}

/* What Linux's sr asks when it finds a drive, in its order. */
static void linux_probes_a_drive(void **state)
{
	expect_good(command(CDB(0x12, 0, 0, 0, 36, 0), IN(buf, 36)), 36);
	assert_int_equal(be(buf, 4), 0x05800502);
	assert_memory_equal(buf + 8, "Msft    Virtual DVD-ROM 1.0 ", 28);
	expect_good(command(CDB(0x12, 1, 0, 0, 255, 0), IN(buf, 255)), 6);
	assert_memory_equal(buf, "\x05\0\0\x02\0\x83", 6);
	expect_good(command(CDB(0x12, 1, 0x83, 0, 255, 0), IN(buf, 255)), 52);
	assert_int_equal(be(buf, 4), 0x05830030);
	expect_good(ready(), 0);
	expect_good(command(CDB(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128, 0),
			    IN(buf, 128)), 30);
	assert_memory_equal(buf, "\0\x1c\0\0\0\0\0\0\x2a\x14\x3b\0\x70\0\x29",
			    15);
	expect_event(2, 2);
	expect_event(0, 2);
	expect_good(ready(), 0);
	expect_good(command(CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), IN(buf, 8)),
		    8);
	assert_int_equal(be(buf, 8), (uint64_t)(BLOCKS - 1) << 32 | BLOCK);
	/* The last session, in the way of the first drives. */
	expect_good(command(CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0x40),
			    IN(buf, 12)), 12);
	assert_memory_equal(buf, "\0\x0a\1\1\0\x14\1\0\0\0\0\0", 12);
	expect_good(command(CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 8, 0),
			    IN(buf, 8)), 8);
	assert_int_equal(be(buf + 6, 2), 0x10);
}

static void blocks_have_2048_bytes_and_all_are_there(void **state)
{
	static const uint8_t reads[][16] = {
		{ 0x28, 0, 0, 0, 0, 7, 0, 0, 1 },
		{ 0xa8, 0, 0, 0, 0, 7, 0, 0, 0, 1 },
		{ 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1 },
	};

	block_mem_bytes(rig.mem)[7 * BLOCK] = 1;
	block_mem_bytes(rig.mem)[8 * BLOCK - 1] = 2;
	for (unsigned i = 0; i < G_N_ELEMENTS(reads); i++) {
		memset(buf, 0xee, BLOCK);
		expect_good(command(reads[i], 16, IN(buf, BLOCK)), BLOCK);
		assert_int_equal(buf[0], 1);
		assert_int_equal(buf[BLOCK - 1], 2);
	}
	expect_good(read10(BLOCKS - 1, 1), BLOCK);
	expect_sense(read10(BLOCKS, 1), LBA_OUT_OF_RANGE);
	expect_sense(read10(BLOCKS - 1, 2), LBA_OUT_OF_RANGE);
	expect_sense(read10(UINT32_MAX, 2), LBA_OUT_OF_RANGE);
	expect_good(command(CDB(0x2f, 0, 0, 0, 1, 43, 0, 0, 1, 0), NO_DATA), 0);
	expect_sense(command(CDB(0x2f, 0, 0, 0, 1, 43, 0, 0, 2, 0), NO_DATA),
		     LBA_OUT_OF_RANGE);
}

static void large_discs_are_read_beyond_4_gib(void **state)
{
	const struct block_error_rule rule = { .ops = ~0u, .error = -EIO };

	rig.error->size = UINT64_C(50) << 30;
	block_error_set(rig.error, &rule);
	spy();
	expect_sense(read10(3000000, 1), MEDIUM_READ_ERROR);
	assert_int_equal(last.offset, UINT64_C(3000000) * BLOCK);
	expect_sense(read10(25 << 20, 1), LBA_OUT_OF_RANGE);
	/* What has no number is not said to be there. */
	rig.error->size = UINT64_C(1) << 50;
	expect_good(command(CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), IN(buf, 8)),
		    8);
	assert_int_equal(be(buf, 4), UINT32_MAX);
	expect_good(command(CDB(0x43, 2, 0, 0, 0, 0, 0xaa, 0, 12, 0),
			    IN(buf, 12)), 12);
	assert_memory_equal(buf + 8, "\0\xff\x3b\x4a", 4);
	expect_good(command(CDB(0xad, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0),
			    IN(buf, 20)), 20);
	assert_int_equal(be(buf + 12, 4), 0xffffff);
}

/* Both layers of a DVD, of which one is all that is told. */
static void a_disc_of_8_5_gib_is_whole(void **state)
{
	const struct block_error_rule rule = { .ops = ~0u, .error = -EIO };
	const uint64_t size = UINT64_C(17) << 29;
	const uint32_t blocks = (uint32_t)(size / BLOCK), last_lba = blocks - 1;
	const uint8_t reads[][16] = {
		{ 0x28, 0, 0, 0x43, 0xff, 0xff, 0, 0, 1 },
		{ 0xa8, 0, 0, 0x43, 0xff, 0xff, 0, 0, 0, 1 },
		{ 0x88, 0, 0, 0, 0, 0, 0, 0x43, 0xff, 0xff, 0, 0, 0, 1 },
	};

	assert_int_equal(last_lba, 0x43ffff);
	rig.error->size = size;
	block_error_set(rig.error, &rule);
	spy();
	for (unsigned i = 0; i < G_N_ELEMENTS(reads); i++) {
		uint8_t beyond[16];

		expect_sense(command(reads[i], 16, IN(buf, BLOCK)),
			     MEDIUM_READ_ERROR);
		assert_int_equal(last.offset, size - BLOCK);
		assert_int_equal(last.len, BLOCK);
		memcpy(beyond, reads[i], sizeof(beyond));
		beyond[i == 0 ? 8 : i == 1 ? 9 : 13] = 2;
		expect_sense(command(beyond, 16, IN(buf, 2 * BLOCK)),
			     LBA_OUT_OF_RANGE);
	}
	expect_good(command(CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), IN(buf, 8)),
		    8);
	assert_int_equal(be(buf, 4), last_lba);
	assert_int_equal(be(buf + 4, 4), BLOCK);
	/* READ TOC: where the lead-out begins, as a block and as a time. */
	expect_good(command(CDB(0x43, 0, 0, 0, 0, 0, 0xaa, 0, 12, 0),
			    IN(buf, 12)), 12);
	assert_int_equal(be(buf + 8, 4), blocks);
	expect_good(command(CDB(0x43, 2, 0, 0, 0, 0, 0xaa, 0, 12, 0),
			    IN(buf, 12)), 12);
	assert_memory_equal(buf + 8, "\0\xff\x3b\x4a", 4);
	expect_good(command(CDB(0x52, 1, 0, 0, 0, 1, 0, 0, 36, 0),
			    IN(buf, 36)), 36);
	assert_int_equal(be(buf + 24, 4), blocks);
	expect_good(command(CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 8, 0),
			    IN(buf, 8)), 8);
	assert_int_equal(be(buf + 6, 2), 0x10);
	expect_good(command(CDB(0xad, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0),
			    IN(buf, 20)), 20);
	assert_int_equal(be(buf + 8, 4), 0x30000);
	assert_int_equal(be(buf + 12, 4), 0x30000 + last_lba);
}

static void what_cannot_be_a_disc_is_known_before(void **state)
{
	rig.error->size = BLOCK;
	assert_true(scsi_dvd_takes(rig.error));
	rig.error->size = 0;
	assert_false(scsi_dvd_takes(rig.error));
	rig.error->size = BLOCK + SECTOR;
	assert_false(scsi_dvd_takes(rig.error));
	rig.error->size = DISC_SIZE;
	rig.error->block_size = 4096;
	assert_false(scsi_dvd_takes(rig.error));
}

static void an_empty_drive_says_so_to_all_that_need_a_disc(void **state)
{
	static const uint8_t opcodes[] = {
		0x00, 0x25, 0x28, 0x2f, 0x43, 0x51, 0x52, 0x88, 0xa8, 0xad,
	};

	for (size_t i = 0; i < sizeof(opcodes); i++) {
		const uint8_t cdb[16] = { opcodes[i] };

		expect_sense(command(cdb, 16, NO_DATA), TRAY_CLOSED);
	}
	expect_event(0, 0);
	expect_good(command(CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 16, 0),
			    IN(buf, 16)), 16);
	assert_int_equal(be(buf + 6, 2), 0);
	assert_int_equal(buf[14], 0);
	assert_int_equal(scsi_dvd_eject(rig.lun, true), -ENOMEDIUM);
}

static void a_disc_that_is_put_in_is_noticed(void **state)
{
	assert_int_equal(scsi_dvd_insert(rig.lun, new_medium()), 0);
	/* These do not take the attention. */
	expect_good(command(CDB(0x12, 0, 0, 0, 36, 0), IN(buf, 36)), 36);
	expect_event(2, 2);
	expect_sense(ready(), MAY_HAVE_CHANGED);
	expect_good(ready(), 0);
	expect_event(0, 2);
	expect_good(read10(0, 1), BLOCK);
}

static void request_sense_takes_the_attention(void **state)
{
	assert_int_equal(scsi_dvd_insert(rig.lun, new_medium()), 0);
	expect_good(command(CDB(3, 0, 0, 0, 18, 0), IN(buf, 18)), 18);
	assert_memory_equal(buf, "\x70\0\x06\0\0\0\0\x0a\0\0\0\0\x28", 13);
	expect_good(command(CDB(3, 0, 0, 0, 18, 0), IN(buf, 18)), 18);
	assert_int_equal(buf[2], 0);
	expect_good(ready(), 0);
}

static void a_disc_that_the_guest_ejects_is_gone(void **state)
{
	expect_event(2, 2);
	expect_good(start_stop(EJECT), 0);
	expect_sense(ready(), TRAY_OPEN);
	expect_event(3, 1);
	expect_event(0, 1);
	expect_good(command(CDB(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0),
			    IN(buf, 8)), 8);
	assert_memory_equal(buf, "\0\x10\0\0\0\0\0\0", 8);
	expect_good(start_stop(LOAD), 0);
	expect_sense(ready(), TRAY_CLOSED);
	expect_event(0, 0);
	expect_good(start_stop(EJECT), 0);	/* an empty tray, too */
	expect_sense(ready(), TRAY_OPEN);
	expect_event(0, 1);
	assert_int_equal(scsi_dvd_insert(rig.lun, new_medium()), 0);
	expect_event(2, 2);
}

static void starting_and_stopping_moves_no_tray(void **state)
{
	static const uint8_t flags[] = { 0, 1, LOAD, 0x10 | EJECT, 0x30 };

	for (size_t i = 0; i < sizeof(flags); i++) {
		expect_good(start_stop(flags[i]), 0);
		expect_good(ready(), 0);
	}
}

static void a_lock_keeps_the_disc_until_it_is_opened(void **state)
{
	expect_event(2, 2);
	expect_good(prevent(1), 0);
	expect_sense(start_stop(EJECT), LOCKED);
	expect_good(command(CDB(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128, 0),
			    IN(buf, 128)), 30);
	assert_int_equal(buf[14], 0x2b);
	/* The user is not obeyed, but heard. */
	assert_int_equal(scsi_dvd_eject(rig.lun, false), -EBUSY);
	expect_event(1, 2);
	expect_event(0, 2);
	assert_int_equal(scsi_dvd_insert(rig.lun, rig.error), -EEXIST);
	expect_good(prevent(0), 0);
	expect_good(start_stop(EJECT), 0);
	expect_good(prevent(1), 0);
	expect_sense(start_stop(EJECT), LOCKED_EMPTY);
}

static void a_persistent_lock_is_for_the_user_only(void **state)
{
	expect_event(2, 2);
	expect_good(prevent(3), 0);
	expect_good(prevent(0), 0);	/* that is the other one */
	assert_int_equal(scsi_dvd_eject(rig.lun, false), -EBUSY);
	expect_event(1, 2);
	expect_good(start_stop(EJECT), 0);
	expect_event(3, 1);
}

static void force_and_a_reset_open_a_lock(void **state)
{
	expect_event(2, 2);
	expect_good(prevent(1), 0);
	assert_int_equal(scsi_dvd_eject(rig.lun, true), 0);
	expect_sense(ready(), TRAY_OPEN);
	expect_event(3, 1);
	assert_int_equal(scsi_dvd_insert(rig.lun, new_medium()), 0);
	assert_int_equal(scsi_dvd_eject(rig.lun, false), -EBUSY);
	scsi_lun_reset(rig.lun);
	assert_int_equal(scsi_dvd_eject(rig.lun, false), 0);
}

static void another_disc_is_a_removal_and_a_new_one(void **state)
{
	expect_event(2, 2);
	assert_int_equal(scsi_dvd_eject(rig.lun, false), 0);
	assert_int_equal(scsi_dvd_insert(rig.lun, new_medium()), 0);
	expect_event(3, 0);
	expect_event(2, 2);
	/* One that was never seen leaves no trace but its removal. */
	assert_int_equal(scsi_dvd_eject(rig.lun, false), 0);
	assert_int_equal(scsi_dvd_insert(rig.lun, new_medium()), 0);
	assert_int_equal(scsi_dvd_eject(rig.lun, false), 0);
	expect_event(3, 1);
	expect_event(0, 1);
}

static void events_are_polled_and_not_lost(void **state)
{
	expect_sense(command(CDB(0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8, 0),
			     IN(buf, 8)), INVALID_FIELD);
	/* Classes that there are not: which there are. */
	expect_good(command(CDB(0x4a, 1, 0, 0, 0xef, 0, 0, 0, 8, 0),
			    IN(buf, 8)), 4);
	assert_memory_equal(buf, "\0\x02\x80\x10", 4);
	for (uint8_t n = 0; n < 8; n++)
		expect_good(command(CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, n, 0),
				    IN(buf, 8)), n);
	expect_good(command(CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0),
			    IN(buf, 7)), 7);
	expect_event(2, 2);
}

static void a_read_ends_by_the_disc_that_it_began_with(void **state)
{
	struct iovec iov = { buf, BLOCK };
	struct block_backend *first = rig.error;

	block_mem_bytes(rig.mem)[0] = 1;
	block_error_hold(first, true);
	submit(CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), SCSI_DATA_IN, &iov, 1);
	assert_int_equal(scsi_dvd_eject(rig.lun, false), 0);
	assert_int_equal(scsi_dvd_insert(rig.lun, new_medium()), 0);
	block_mem_bytes(rig.mem)[0] = 2;
	assert_int_equal(rig.done, 0);
	block_error_hold(first, false);
	wait_done();
	expect_good(rig.rq.status, BLOCK);
	assert_int_equal(buf[0], 1);
	expect_sense(ready(), MAY_HAVE_CHANGED);
	expect_good(read10(0, 1), BLOCK);
	assert_int_equal(buf[0], 2);
}

static void only_drives_take_discs(void **state)
{
	struct scsi_lun *disk = scsi_disk_new(new_medium(), &id, MAX_TRANSFER);

	assert_int_equal(scsi_dvd_insert(disk, rig.error), -ENODEV);
	assert_int_equal(scsi_dvd_eject(disk, true), -ENODEV);
	scsi_lun_reset(disk);
	scsi_lun_free(disk);
}

static int toc(uint8_t msf, uint8_t format, uint8_t first)
{
	memset(buf, 0xee, 64);
	return command(CDB(0x43, msf, format, 0, 0, 0, first, 0, 64, 0),
		       IN(buf, 64));
}

static void a_table_of_contents_has_one_track_and_an_end(void **state)
{
	expect_good(toc(0, 0, 0), 20);
	assert_memory_equal(buf, "\0\x12\1\1\0\x14\1\0\0\0\0\0"
			    "\0\x14\xaa\0\0\0\x01\x2c", 20);
	expect_good(toc(2, 0, 1), 20);
	assert_memory_equal(buf + 8, "\0\0\2\0\0\x14\xaa\0\0\0\6\0", 12);
	expect_good(toc(0, 0, 0xaa), 12);
	assert_memory_equal(buf, "\0\x0a\1\1\0\x14\xaa\0\0\0\x01\x2c", 12);
	expect_sense(toc(0, 0, 2), INVALID_FIELD);
	expect_sense(toc(0, 0, 0xa9), INVALID_FIELD);
	expect_good(toc(2, 1, 0), 12);
	assert_memory_equal(buf, "\0\x0a\1\1\0\x14\1\0\0\0\2\0", 12);
	expect_good(toc(2, 2, 1), 48);
	assert_memory_equal(buf, "\0\x2e\1\1"
			    "\1\x14\0\xa0\0\0\0\0\1\0\0"
			    "\1\x14\0\xa1\0\0\0\0\1\0\0"
			    "\1\x14\0\xa2\0\0\0\0\0\6\0"
			    "\1\x14\0\1\0\0\0\0\0\2\0", 48);
	expect_sense(toc(2, 2, 2), INVALID_FIELD);
	expect_sense(toc(0, 3, 0), INVALID_FIELD);
	expect_sense(toc(0, 5, 0), INVALID_FIELD);
	expect_sense(command(CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 64, 0xc0),
			     IN(buf, 64)), INVALID_FIELD);
}

static int configuration(uint8_t type, uint16_t first)
{
	return command(CDB(0x46, type, first >> 8, (uint8_t)first, 0, 0, 0, 0,
			   255, 0), IN(buf, 255));
}

/* The features of the last answer, as a list. */
static void expect_features(const char *expected)
{
	g_autoptr(GString) list = g_string_new(NULL);
	unsigned len = (unsigned)be(buf, 4) + 4;

	assert_int_equal(rig.rq.transferred, len);
	for (unsigned at = 8; at < len; at += 4u + buf[at + 3])
		g_string_append_printf(list, "%x%s ", (unsigned)be(buf + at, 2),
				       buf[at + 2] & 1 ? "" : "-");
	assert_string_equal(list->str, expected);
}

static void features_are_as_many_as_are_asked_for(void **state)
{
	configuration(0, 0);
	expect_features("0 1 2 3 10 1e- 1f 100 105 ");
	assert_memory_equal(buf + 8, "\0\0\3\x08\0\x10\1\0\0\x08\0\0", 12);
	configuration(1, 0);
	expect_features("0 1 2 3 10 1f 100 105 ");
	configuration(1, 0x1f);
	expect_features("1f 100 105 ");
	configuration(2, 0x1e);
	expect_features("1e- ");
	configuration(2, 0x20);
	expect_features("");
	expect_sense(configuration(3, 0), INVALID_FIELD);
	scsi_dvd_eject(rig.lun, false);
	configuration(1, 0);
	expect_features("0 1 2 3 100 105 ");
	configuration(0, 0);
	expect_features("0 1 2 3 10- 1e- 1f- 100 105 ");
}

static void a_disc_is_complete_and_has_one_track(void **state)
{
	expect_good(command(CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 255, 0),
			    IN(buf, 255)), 34);
	assert_memory_equal(buf, "\0\x20\x0e\1\1\1\1\x20", 8);
	for (uint8_t type = 1; type < 8; type++)
		expect_sense(command(CDB(0x51, type, 0, 0, 0, 0, 0, 0, 255, 0),
				     IN(buf, 255)), INVALID_FIELD);
}

static int track(uint8_t by, uint32_t number)
{
	return command(CDB(0x52, by, (uint8_t)(number >> 24),
			   (uint8_t)(number >> 16), (uint8_t)(number >> 8),
			   (uint8_t)number, 0, 0, 255, 0), IN(buf, 255));
}

static void the_track_is_found_by_each_of_its_names(void **state)
{
	static const struct { uint8_t by; uint32_t number, sense; } cases[] = {
		{ 0, 0, 0 }, { 0, BLOCKS - 1, 0 },
		{ 0, BLOCKS, LBA_OUT_OF_RANGE },
		{ 0, UINT32_MAX, LBA_OUT_OF_RANGE },
		{ 1, 1, 0 }, { 1, 0, INVALID_FIELD }, { 1, 2, INVALID_FIELD },
		{ 1, 0xff, INVALID_FIELD },
		{ 2, 1, 0 }, { 2, 2, INVALID_FIELD }, { 3, 1, INVALID_FIELD },
		{ 5, 1, INVALID_FIELD },	/* an open one */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		int status = track(cases[i].by, cases[i].number);

		if (cases[i].sense) {
			expect_sense(status, cases[i].sense);
			continue;
		}
		expect_good(status, 36);
		assert_memory_equal(buf, "\0\x22\1\1\0\4\1", 7);
		assert_int_equal(be(buf + 8, 4), 0);
		assert_int_equal(be(buf + 24, 4), BLOCKS);
	}
}

static int structure(uint8_t media, uint8_t layer, uint8_t format)
{
	return command(CDB(0xad, media, 0, 0, 0, 0, layer, format, 0xff, 0xff,
			   0, 0), IN(buf, sizeof(buf)));
}

static void a_dvd_has_the_structures_of_a_dvd(void **state)
{
	expect_good(structure(0, 0, 0), 2052);
	assert_memory_equal(buf, "\x08\x02\0\0\x01\x0f\x01\0\0\3\0\0\0\3\x01"
			    "\x2b", 16);
	expect_good(structure(0, 0, 1), 8);
	assert_memory_equal(buf, "\0\x06\0\0\0\0\0\0", 8);
	expect_good(structure(0, 0, 4), 2052);
	expect_good(structure(0, 0, 0xff), 16);
	assert_memory_equal(buf, "\0\x0e\0\0\0\x40\x08\x04\1\x40\0\x08"
			    "\4\x40\x08\x04", 16);
	expect_sense(structure(0, 0, 2), INVALID_FIELD);
	expect_sense(structure(1, 0, 0), INVALID_FIELD);
	expect_sense(structure(0, 1, 0), INVALID_FIELD);
}

static void mode_pages_are_read_and_not_changed(void **state)
{
	expect_good(command(CDB(0x1a, 0, 0x3f, 0, 255, 0), IN(buf, 255)), 38);
	assert_memory_equal(buf, "\x25\0\0\0\x01\x0a", 6);
	assert_memory_equal(buf + 16, "\x2a\x14", 2);
	buf[0] = 0;
	expect_good(command(CDB(0x15, 0x10, 0, 0, 38, 0), OUT(buf, 38)), 38);
	buf[18] ^= 1;
	expect_sense(command(CDB(0x15, 0x10, 0, 0, 38, 0), OUT(buf, 38)),
		     INVALID_PARAMETER);
	buf[18] ^= 1;
	buf[4] = 0x3f;			/* all of them as one */
	buf[5] = 32;
	expect_sense(command(CDB(0x15, 0x10, 0, 0, 38, 0), OUT(buf, 38)),
		     INVALID_PARAMETER);
	expect_sense(command(CDB(0x1a, 0, 8, 0, 255, 0), IN(buf, 255)),
		     INVALID_FIELD);
}

static void answers_are_cut_to_every_allocation(void **state)
{
	static const struct { uint8_t cdb[12], at; uint16_t len; } cases[] = {
		{ { 0x12 }, 3, 36 }, { { 0x12, 1 }, 3, 6 },
		{ { 0x43 }, 7, 20 }, { { 0x43, 0, 1 }, 7, 12 },
		{ { 0x43, 0, 2 }, 7, 48 }, { { 0x46 }, 7, 88 },
		{ { 0x4a, 1, 0, 0, 0x10 }, 7, 8 }, { { 0x4a, 1 }, 7, 4 },
		{ { 0x51 }, 7, 34 }, { { 0x52 }, 7, 36 },
		{ { 0x5a, 0, 0x3f }, 7, 42 }, { { 0xad }, 8, 2052 },
		{ { 0xbd }, 8, 8 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		for (unsigned n = 0; n < cases[i].len + 2u; n++) {
			uint8_t cdb[12];
			unsigned expected = MIN(n, cases[i].len);

			memcpy(cdb, cases[i].cdb, sizeof(cdb));
			cdb[cases[i].at] = (uint8_t)(n >> 8);
			cdb[cases[i].at + 1] = (uint8_t)n;
			memset(buf, 0xee, sizeof(buf));
			expect_good(command(cdb, 12, IN(buf, sizeof(buf))),
				    expected);
			assert_int_equal(buf[expected], 0xee);
		}
	}
}

static void every_command_needs_all_of_its_cdb(void **state)
{
	static const uint8_t len[8] = { 6, 10, 10, 0, 16, 12, 0, 0 };
	unsigned known = 0;

	for (unsigned op = 0; op < 256; op++) {
		uint8_t cdb[16] = { (uint8_t)op };

		command(cdb, 16, NO_DATA);
		if (rig.rq.status == SCSI_CHECK_CONDITION &&
		    rig.rq.sense[12] == 0x20)
			continue;
		known++;
		for (unsigned n = 1; n < len[op >> 5]; n++)
			expect_sense(command(cdb, n, NO_DATA), INVALID_FIELD);
	}
	assert_int_equal(known, 22);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_EMPTY(f)	cmocka_unit_test_setup_teardown(f, setup_empty, \
							teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(linux_probes_a_drive),
		TEST(blocks_have_2048_bytes_and_all_are_there),
		TEST(large_discs_are_read_beyond_4_gib),
		TEST(a_disc_of_8_5_gib_is_whole),
		TEST(what_cannot_be_a_disc_is_known_before),
		TEST_EMPTY(an_empty_drive_says_so_to_all_that_need_a_disc),
		TEST_EMPTY(a_disc_that_is_put_in_is_noticed),
		TEST_EMPTY(request_sense_takes_the_attention),
		TEST(a_disc_that_the_guest_ejects_is_gone),
		TEST(starting_and_stopping_moves_no_tray),
		TEST(a_lock_keeps_the_disc_until_it_is_opened),
		TEST(a_persistent_lock_is_for_the_user_only),
		TEST(force_and_a_reset_open_a_lock),
		TEST(another_disc_is_a_removal_and_a_new_one),
		TEST(events_are_polled_and_not_lost),
		TEST(a_read_ends_by_the_disc_that_it_began_with),
		TEST_EMPTY(only_drives_take_discs),
		TEST(a_table_of_contents_has_one_track_and_an_end),
		TEST(features_are_as_many_as_are_asked_for),
		TEST(a_disc_is_complete_and_has_one_track),
		TEST(the_track_is_found_by_each_of_its_names),
		TEST(a_dvd_has_the_structures_of_a_dvd),
		TEST(mode_pages_are_read_and_not_changed),
		TEST(answers_are_cut_to_every_allocation),
		TEST(every_command_needs_all_of_its_cdb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "scsi_rig.h"

#include <errno.h>
#include <inttypes.h>

#define DISK_SIZE	(UINT64_C(1) << 20)
#define BLOCK		512u
#define BLOCKS		(DISK_SIZE / BLOCK)

static uint8_t buf[MAX_TRANSFER];

static void start(uint32_t block, const char *serial)
{
	const struct scsi_identity id = rig_identity(serial);

	rig_start();
	rig.lun = scsi_disk_new(rig_backend(DISK_SIZE, block), &id,
				MAX_TRANSFER);
}

static int setup(void **state)
{
	start(BLOCK, "SN-1");
	return 0;
}

static int read10(uint32_t lba, uint16_t blocks, size_t len)
{
	return command(CDB(0x28, 0, lba >> 24, (uint8_t)(lba >> 16),
			   (uint8_t)(lba >> 8), (uint8_t)lba, 0, blocks >> 8,
			   (uint8_t)blocks, 0), IN(buf, len));
}

static int write10(uint32_t lba, uint16_t blocks, size_t len)
{
	return command(CDB(0x2a, 0, lba >> 24, (uint8_t)(lba >> 16),
			   (uint8_t)(lba >> 8), (uint8_t)lba, 0, blocks >> 8,
			   (uint8_t)blocks, 0), OUT(buf, len));
}

/* What Linux's sd asks when it finds a disk, in its order. */
static void linux_probes_a_disk(void **state)
{
	expect_good(command(CDB(0x12, 0, 0, 0, 36, 0), IN(buf, 36)), 36);
	assert_int_equal(buf[0], 0);
	assert_int_equal(buf[1], 0);
	assert_int_equal(buf[2], 5);
	assert_int_equal(buf[4], 31);
	assert_memory_equal(buf + 8, "Msft    Virtual Disk    1.0 ", 28);
	expect_good(command(CDB(0x12, 1, 0, 0, 4, 0), IN(buf, 4)), 4);
	assert_int_equal(buf[3], 6);
	expect_good(command(CDB(0x12, 1, 0, 0, 10, 0), IN(buf, 10)), 10);
	assert_memory_equal(buf + 4, "\x00\x80\x83\xb0\xb1\xb2", 6);
	expect_good(command(CDB(0, 0, 0, 0, 0, 0), NO_DATA), 0);
	expect_good(command(CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32,
				0, 0), IN(buf, 32)), 32);
	assert_int_equal(be(buf, 8), BLOCKS - 1);
	assert_int_equal(be(buf + 8, 4), BLOCK);
	assert_int_equal(buf[13], 3);		/* 4096 below */
	assert_int_equal(buf[14], 0xc0);	/* thin, reads zero */
	expect_good(command(CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), IN(buf, 8)),
		    8);
	assert_int_equal(be(buf, 4), BLOCKS - 1);
	/* Write protection, then the cache: header and 20 bytes of page. */
	expect_good(command(CDB(0x1a, 0, 0x3f, 0, 4, 0), IN(buf, 4)), 4);
	assert_int_equal(buf[0], 23);
	assert_int_equal(buf[2], 0x10);
	expect_good(command(CDB(0x1a, 0, 8, 0, 24, 0), IN(buf, 24)), 24);
	assert_int_equal(buf[3], 0);
	assert_int_equal(buf[4], 8);
	assert_int_equal(buf[5], 18);
	assert_int_equal(buf[6], 4);		/* write cache on */
	expect_sense(command(CDB(0x1a, 0, 0x0a, 5, 255, 0), IN(buf, 255)),
		     INVALID_FIELD);
	expect_sense(command(CDB(0xa3, 0x0c, 1, 0x12, 0, 0, 0, 0, 2, 0, 0, 0),
			     IN(buf, 512)), INVALID_OPCODE);
}

static void vital_pages_have_their_length_and_contents(void **state)
{
	expect_good(command(CDB(0x12, 1, 0x80, 0, 255, 0), IN(buf, 255)), 8);
	assert_memory_equal(buf, "\x00\x80\x00\x04SN-1", 8);

	expect_good(command(CDB(0x12, 1, 0x83, 0, 255, 0), IN(buf, 255)), 52);
	assert_int_equal(be(buf + 2, 2), 48);
	assert_memory_equal(buf + 4, "\x01\x01\x00\x18Msft    \x01\x02\x03 uni",
			    19);
	assert_memory_equal(buf + 32, "\x01\x03\x00\x10\x60\x02\x24\x80\x01\x02"
			    "\x03 unique i", 20);

	expect_good(command(CDB(0x12, 1, 0xb0, 0, 255, 0), IN(buf, 255)), 64);
	assert_int_equal(be(buf + 2, 2), 60);
	assert_int_equal(buf[4], 1);
	assert_int_equal(be(buf + 8, 4), MAX_TRANSFER / BLOCK);
	assert_int_equal(be(buf + 20, 4), UINT32_MAX);
	assert_int_equal(be(buf + 24, 4), 256);
	assert_int_equal(be(buf + 28, 4), 8);
	assert_int_equal(be(buf + 32, 4), 0x80000000u);
	assert_int_equal(be(buf + 36, 8), (UINT64_C(1) << 32) / BLOCK);

	expect_good(command(CDB(0x12, 1, 0xb1, 0, 255, 0), IN(buf, 255)), 64);
	assert_int_equal(be(buf + 4, 2), 1);
	expect_good(command(CDB(0x12, 1, 0xb2, 0, 255, 0), IN(buf, 255)), 8);
	assert_memory_equal(buf + 4, "\x00\xe4\x02\x00", 4);
	expect_sense(command(CDB(0x12, 1, 0x89, 0, 255, 0), IN(buf, 255)),
		     INVALID_FIELD);
	expect_sense(command(CDB(0x12, 0, 0x80, 0, 255, 0), IN(buf, 255)),
		     INVALID_FIELD);
}

static void a_disk_without_serial_or_discard_does_not_claim_them(void **state)
{
	teardown(state);
	start(BLOCK, "");
	rig.error->discard_granularity = 0;
	expect_good(command(CDB(0x12, 1, 0, 0, 64, 0), IN(buf, 64)), 9);
	assert_memory_equal(buf + 4, "\x00\x83\xb0\xb1\xb2", 5);
	expect_sense(command(CDB(0x12, 1, 0x80, 0, 64, 0), IN(buf, 64)),
		     INVALID_FIELD);
	expect_good(command(CDB(0x12, 1, 0xb0, 0, 64, 0), IN(buf, 64)), 64);
	for (unsigned i = 20; i < 36; i++)
		assert_int_equal(buf[i], 0);
	expect_good(command(CDB(0x12, 1, 0xb2, 0, 64, 0), IN(buf, 64)), 8);
	assert_memory_equal(buf + 4, "\0\0\0\0", 4);
	expect_sense(command(CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0),
			     OUT(buf, 24)), INVALID_OPCODE);
	/* Zeroes can still be written; asking to free blocks is too much. */
	memset(buf, 0, BLOCK);
	expect_sense(command(CDB(0x41, 0x08, 0, 0, 0, 0, 0, 0, 1, 0),
			     OUT(buf, BLOCK)), INVALID_FIELD);
	expect_good(command(CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0),
			    OUT(buf, BLOCK)), BLOCK);
}

static void answers_are_cut_to_the_allocation_and_to_the_buffer(void **state)
{
	struct iovec iov[3] = { { buf, 5 }, { buf + 100, 0 }, { buf + 200, 9 } };

	memset(buf, 0xee, 300);
	expect_good(command(CDB(0x12, 0, 0, 0, 5, 0), IN(buf, 36)), 5);
	assert_int_equal(buf[5], 0xee);
	expect_good(command(CDB(0x12, 0, 0, 0, 0, 0), IN(buf, 36)), 0);
	expect_good(command(CDB(0x12, 0, 0, 0, 36, 0), OUT(buf, 36)), 0);
	expect_good(command(CDB(0x12, 0, 0, 0, 36, 0), NO_DATA), 0);

	submit(CDB(0x12, 0, 0, 0xff, 0xff, 0), SCSI_DATA_IN, iov, 3);
	wait_done();
	expect_good(rig.rq.status, 14);
	assert_memory_equal(buf + 200, "\0\0\x02Msft  ", 9);
	assert_int_equal(buf[209], 0xee);
}

static void reads_return_what_writes_of_every_size_have_stored(void **state)
{
	const uint8_t cdbs[][16] = {
		{ 0x0a, 0, 0, 3, 2, 0 },
		{ 0x2a, 0, 0, 0, 0, 3, 0, 0, 2, 0 },
		{ 0xaa, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0 },
		{ 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0 },
	};
	const size_t len[] = { 6, 10, 12, 16 };

	for (unsigned w = 0; w < 4; w++) {
		for (unsigned r = 0; r < 4; r++) {
			uint8_t cdb[16];

			memset(buf, (int)(w * 4 + r + 1), 1024);
			expect_good(command(cdbs[w], len[w], OUT(buf, 1024)),
				    1024);
			memcpy(cdb, cdbs[r], 16);
			cdb[0] -= 2;	/* the READ of that WRITE */
			memset(buf, 0, 1024);
			expect_good(command(cdb, len[r], IN(buf, 1024)), 1024);
			for (unsigned i = 0; i < 1024; i++)
				assert_int_equal(buf[i], w * 4 + r + 1);
		}
	}
	assert_int_equal(block_mem_bytes(rig.mem)[3 * BLOCK - 1], 0);
	assert_int_equal(block_mem_bytes(rig.mem)[5 * BLOCK], 0);
}

static void a_six_byte_length_of_zero_is_256_blocks(void **state)
{
	expect_good(command(CDB(0x08, 0, 0, 0, 0, 0), IN(buf, 256 * BLOCK)),
		    256 * BLOCK);
	/* Only 21 bits of it are LBA. */
	expect_good(command(CDB(0x08, 0xe0, 0, 0, 1, 0), IN(buf, BLOCK)),
		    BLOCK);
}

static void ranges_end_exactly_at_the_last_block(void **state)
{
	expect_good(read10(BLOCKS - 1, 1, BLOCK), BLOCK);
	expect_good(read10(BLOCKS - 2, 2, 2 * BLOCK), 2 * BLOCK);
	expect_sense(read10(BLOCKS - 1, 2, 2 * BLOCK), LBA_OUT_OF_RANGE);
	expect_sense(read10(BLOCKS, 1, BLOCK), LBA_OUT_OF_RANGE);
	expect_sense(read10(UINT32_MAX, 1, BLOCK), LBA_OUT_OF_RANGE);
	expect_sense(write10(BLOCKS - 1, 2, 2 * BLOCK), LBA_OUT_OF_RANGE);
	/* No blocks: allowed up to the end, and not beyond. */
	expect_good(read10(BLOCKS, 0, 0), 0);
	expect_sense(read10(BLOCKS + 1, 0, 0), LBA_OUT_OF_RANGE);
	/* A sum that wraps, a product that wraps. */
	expect_sense(command(CDB(0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				 0xff, 0xff, 0, 0, 0, 2, 0, 0),
			     IN(buf, 2 * BLOCK)), LBA_OUT_OF_RANGE);
	expect_sense(command(CDB(0x88, 0, 0x00, 0x80, 0, 0, 0, 0, 0, 0,
				 0, 0, 0, 1, 0, 0),
			     IN(buf, BLOCK)), LBA_OUT_OF_RANGE);
	expect_sense(command(CDB(0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0,
				 0xff, 0xff, 0xff, 0xff, 0, 0),
			     IN(buf, BLOCK)), LBA_OUT_OF_RANGE);
	assert_int_equal(block_mem_count(rig.mem, BLOCK_WRITE), 0);
}

static void data_must_have_the_size_and_direction_of_the_command(void **state)
{
	expect_sense(read10(0, 2, BLOCK), INVALID_FIELD);
	expect_sense(read10(0, 1, 2 * BLOCK), INVALID_FIELD);
	expect_sense(read10(0, 1, BLOCK - 1), INVALID_FIELD);
	expect_sense(command(CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0),
			     OUT(buf, BLOCK)), INVALID_FIELD);
	expect_sense(command(CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0),
			     IN(buf, BLOCK)), INVALID_FIELD);
	expect_sense(command(CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), NO_DATA),
		     INVALID_FIELD);
	/* Protection information is not offered. */
	expect_sense(command(CDB(0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0),
			     IN(buf, BLOCK)), INVALID_FIELD);
	assert_int_equal(block_mem_count(rig.mem, BLOCK_READ), 0);
}

static void fua_is_for_writes_that_ask_for_it(void **state)
{
	spy();
	write10(0, 1, BLOCK);
	assert_false(last.fua);
	expect_good(command(CDB(0x2a, 0x08, 0, 0, 0, 0, 0, 0, 1, 0),
			    OUT(buf, BLOCK)), BLOCK);
	assert_true(last.fua);
	expect_good(command(CDB(0x28, 0x08, 0, 0, 0, 0, 0, 0, 1, 0),
			    IN(buf, BLOCK)), BLOCK);
	assert_false(last.fua);
	/* In WRITE(6) that bit belongs to the LBA. */
	expect_good(command(CDB(0x0a, 0x00, 0, 0, 1, 0), OUT(buf, BLOCK)),
		    BLOCK);
	assert_false(last.fua);
}

static void caches_are_flushed_by_every_command_that_should(void **state)
{
	expect_good(command(CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), NO_DATA), 0);
	assert_int_equal(block_mem_count(rig.mem, BLOCK_FLUSH), 1);
	expect_good(command(CDB(0x91, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
				0), NO_DATA), 0);
	assert_int_equal(block_mem_count(rig.mem, BLOCK_FLUSH), 2);
	expect_good(command(CDB(0x1b, 0, 0, 0, 0, 0), NO_DATA), 0);
	assert_int_equal(block_mem_count(rig.mem, BLOCK_FLUSH), 3);
	expect_good(command(CDB(0x1b, 0, 0, 0, 1, 0), NO_DATA), 0);
	assert_int_equal(block_mem_count(rig.mem, BLOCK_FLUSH), 3);
	expect_sense(command(CDB(0x35, 0, 0xff, 0, 0, 0, 0, 0, 1, 0), NO_DATA),
		     LBA_OUT_OF_RANGE);
}

static void verify_checks_the_range_and_compares_nothing(void **state)
{
	expect_good(command(CDB(0x2f, 0, 0, 0, 0, 0, 0, 0, 8, 0), NO_DATA), 0);
	expect_sense(command(CDB(0x2f, 0, 0, 0, 0x08, 0, 0, 0, 1, 0), NO_DATA),
		     LBA_OUT_OF_RANGE);
	expect_sense(command(CDB(0x2f, 2, 0, 0, 0, 0, 0, 0, 1, 0),
			     OUT(buf, BLOCK)), INVALID_FIELD);
	expect_good(command(CDB(0x8f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
				0), NO_DATA), 0);
}

static void a_read_only_disk_refuses_all_that_writes(void **state)
{
	rig.error->read_only = true;
	memset(buf, 0, BLOCK);
	expect_sense(write10(0, 1, BLOCK), WRITE_PROTECTED);
	expect_sense(command(CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0),
			     OUT(buf, BLOCK)), WRITE_PROTECTED);
	expect_sense(command(CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 8, 0),
			     OUT(buf, 8)), WRITE_PROTECTED);
	expect_good(read10(0, 1, BLOCK), BLOCK);
	expect_good(command(CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), NO_DATA), 0);
	expect_good(command(CDB(0x1a, 0, 0x3f, 0, 4, 0), IN(buf, 4)), 4);
	assert_int_equal(buf[2], 0x90);
	expect_good(command(CDB(0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 28, 0),
			    IN(buf, 28)), 28);
	assert_int_equal(be(buf, 2), 26);
	assert_int_equal(buf[3], 0x90);
}

/* An UNMAP parameter list in @buf: its header, and descriptors. */
static size_t unmap_list(unsigned count, const uint64_t (*ranges)[2])
{
	size_t len = 8 + 16 * count;

	memset(buf, 0, len);
	buf[0] = (uint8_t)((len - 2) >> 8);
	buf[1] = (uint8_t)(len - 2);
	buf[2] = (uint8_t)((len - 8) >> 8);
	buf[3] = (uint8_t)(len - 8);
	for (unsigned i = 0; i < count; i++) {
		for (unsigned b = 0; b < 8; b++)
			buf[8 + 16 * i + b] =
				(uint8_t)(ranges[i][0] >> (56 - 8 * b));
		for (unsigned b = 0; b < 4; b++)
			buf[16 + 16 * i + b] =
				(uint8_t)(ranges[i][1] >> (24 - 8 * b));
	}
	return len;
}

static int unmap(size_t parameter_len, size_t data_len)
{
	return command(CDB(0x42, 0, 0, 0, 0, 0, 0, (uint8_t)(parameter_len >> 8),
			   (uint8_t)parameter_len, 0), OUT(buf, data_len));
}

static void unmap_zeroes_each_range_and_no_more(void **state)
{
	const uint64_t ranges[][2] = { { 8, 8 }, { 100, 0 }, { BLOCKS - 1, 1 } };
	uint8_t *disk = block_mem_bytes(rig.mem);
	size_t len;

	memset(disk, 0xaa, DISK_SIZE);
	len = unmap_list(3, ranges);
	expect_good(unmap(len, len), (uint32_t)len);
	for (uint64_t i = 0; i < DISK_SIZE; i++) {
		bool gone = (i >= 8 * BLOCK && i < 16 * BLOCK) ||
			    i >= DISK_SIZE - BLOCK;

		if (disk[i] != (gone ? 0 : 0xaa))
			fail_msg("byte %" PRIu64 " is %#x", i, disk[i]);
	}
	assert_int_equal(block_mem_count(rig.mem, BLOCK_WRITE_ZEROES), 2);
}

static void unmap_checks_all_of_its_list_before_it_starts(void **state)
{
	const uint64_t good[][2] = { { 0, 8 }, { 8, 8 } };
	const uint64_t beyond[][2] = { { 0, 8 }, { BLOCKS - 1, 2 } };
	const uint64_t wraps[][2] = { { 0, 8 }, { UINT64_MAX, 2 } };
	size_t len = unmap_list(2, good);

	expect_good(unmap(0, len), 0);
	for (size_t n = 1; n < 8; n++)
		expect_sense(unmap(n, len), PARAMETER_LENGTH);
	for (size_t n = 8; n < len; n++)
		expect_sense(unmap(n, len), INVALID_PARAMETER);
	for (size_t n = 8; n < len; n++)
		expect_sense(unmap(len, n), INVALID_PARAMETER);
	buf[1]--;			/* data length against descriptors */
	expect_sense(unmap(len, len), INVALID_PARAMETER);
	buf[1] = 0;
	expect_sense(unmap(len, len), INVALID_PARAMETER);
	unmap_list(2, good);
	expect_sense(command(CDB(0x42, 1, 0, 0, 0, 0, 0, 0, 40, 0),
			     OUT(buf, 40)), INVALID_FIELD);
	expect_sense(command(CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0),
			     IN(buf, 40)), PARAMETER_LENGTH);
	unmap_list(2, beyond);
	expect_sense(unmap(40, 40), LBA_OUT_OF_RANGE);
	unmap_list(2, wraps);
	expect_sense(unmap(40, 40), LBA_OUT_OF_RANGE);
	assert_int_equal(block_mem_count(rig.mem, BLOCK_WRITE_ZEROES), 0);
	/* An empty list is none. */
	unmap_list(0, good);
	expect_good(unmap(8, 8), 8);
}

static void unmap_takes_as_many_ranges_as_it_says_and_not_one_more(void **state)
{
	uint64_t ranges[257][2];
	size_t len;

	for (unsigned i = 0; i < 257; i++) {
		ranges[i][0] = i;
		ranges[i][1] = 1;
	}
	len = unmap_list(256, ranges);
	expect_good(unmap(len, len), (uint32_t)len);
	assert_int_equal(block_mem_count(rig.mem, BLOCK_WRITE_ZEROES), 256);
	len = unmap_list(257, ranges);
	expect_sense(unmap(len, len), INVALID_PARAMETER);
	assert_int_equal(block_mem_count(rig.mem, BLOCK_WRITE_ZEROES), 256);
}

static void write_same_writes_zeroes_and_refuses_the_rest(void **state)
{
	uint8_t *disk = block_mem_bytes(rig.mem);

	memset(disk, 0xaa, DISK_SIZE);
	memset(buf, 0, BLOCK);
	expect_good(command(CDB(0x41, 0, 0, 0, 0, 8, 0, 0, 8, 0),
			    OUT(buf, BLOCK)), BLOCK);
	expect_good(command(CDB(0x93, 0x08, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 1,
				0, 0), OUT(buf, BLOCK)), BLOCK);
	expect_good(command(CDB(0x93, 0x01, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 1,
				0, 0), NO_DATA), 0);
	assert_int_equal(disk[8 * BLOCK - 1], 0xaa);
	for (unsigned i = 8 * BLOCK; i < 18 * BLOCK; i++)
		assert_int_equal(disk[i], 0);
	assert_int_equal(disk[18 * BLOCK], 0xaa);

	buf[BLOCK - 1] = 1;
	expect_sense(command(CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0),
			     OUT(buf, BLOCK)), INVALID_FIELD);
	buf[BLOCK - 1] = 0;
	expect_sense(command(CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0),
			     OUT(buf, BLOCK - 1)), INVALID_FIELD);
	expect_sense(command(CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0), NO_DATA),
		     INVALID_FIELD);
	expect_sense(command(CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 0, 0),
			     OUT(buf, BLOCK)), INVALID_FIELD);
	for (unsigned bit = 1; bit < 8; bit++)
		if (bit != 3)
			expect_sense(command(CDB(0x41, (uint8_t)(1 << bit), 0,
						 0, 0, 0, 0, 0, 1, 0),
					     OUT(buf, BLOCK)), INVALID_FIELD);
	expect_sense(command(CDB(0x93, 0, 0, 0, 0, 0, 0, 0, 0x07, 0xff, 0, 0, 0,
				 2, 0, 0), OUT(buf, BLOCK)), LBA_OUT_OF_RANGE);
	expect_sense(command(CDB(0x93, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				 0xff, 0xff, 0, 0, 0, 2, 0, 0),
			     OUT(buf, BLOCK)), LBA_OUT_OF_RANGE);
	/* More than page B0 allows. */
	expect_sense(command(CDB(0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 1,
				 0, 0), OUT(buf, BLOCK)), INVALID_FIELD);
}

static void errors_of_the_host_become_sense(void **state)
{
	static const struct { int error; uint32_t read, write; } cases[] = {
		{ -EIO, MEDIUM_READ_ERROR, MEDIUM_WRITE_ERROR },
		{ -ENOMEM, MEDIUM_READ_ERROR, MEDIUM_WRITE_ERROR },
		{ -ENOSPC, NO_SPACE, NO_SPACE },
		{ -EDQUOT, NO_SPACE, NO_SPACE },
		{ -EROFS, WRITE_PROTECTED, WRITE_PROTECTED },
	};
	const uint64_t range[][2] = { { 0, 1 }, { 8, 1 } };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct block_error_rule rule = {
			.ops = ~0u, .error = cases[i].error,
		};
		const struct block_error_rule later = {
			.ops = ~0u, .error = cases[i].error, .after = 1,
		};

		block_error_set(rig.error, &rule);
		memset(buf, 0, BLOCK);
		expect_sense(read10(0, 1, BLOCK), cases[i].read);
		expect_sense(write10(0, 1, BLOCK), cases[i].write);
		expect_sense(command(CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0),
				     NO_DATA), cases[i].write);
		expect_sense(command(CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1, 0),
				     OUT(buf, BLOCK)), cases[i].write);
		block_error_set(rig.error, &later);
		unmap_list(2, range);
		expect_sense(unmap(40, 40), cases[i].write);
	}
}

static void every_command_needs_all_of_its_cdb(void **state)
{
	static const uint8_t opcodes[] = {
		0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x16, 0x17, 0x1a, 0x1b,
		0x1d, 0x1e, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42, 0x55,
		0x5a, 0x88, 0x8a, 0x8f, 0x91, 0x93, 0x9e, 0xa8, 0xaa,
	};
	static const uint8_t len[8] = { 6, 10, 10, 0, 16, 12, 0, 0 };

	for (size_t i = 0; i < sizeof(opcodes); i++) {
		uint8_t cdb[16] = { opcodes[i] };

		for (unsigned n = 1; n < len[opcodes[i] >> 5]; n++)
			expect_sense(command(cdb, n, NO_DATA), INVALID_FIELD);
	}
}

static void every_other_opcode_is_refused(void **state)
{
	unsigned refused = 0;

	for (unsigned op = 0; op < 256; op++) {
		uint8_t cdb[16] = { (uint8_t)op };

		command(cdb, 16, NO_DATA);
		if (rig.rq.status == SCSI_CHECK_CONDITION &&
		    rig.rq.sense[12] == 0x20)
			refused++;
	}
	assert_int_equal(refused, 256 - 29);
}

static void mode_select_takes_what_mode_sense_gave(void **state)
{
	expect_good(command(CDB(0x1a, 0, 8, 0, 24, 0), IN(buf, 24)), 24);
	buf[0] = 0;
	expect_good(command(CDB(0x15, 0x10, 0, 0, 24, 0), OUT(buf, 24)), 24);
	buf[6] = 0;			/* turn the cache off */
	expect_sense(command(CDB(0x15, 0x10, 0, 0, 24, 0), OUT(buf, 24)),
		     INVALID_PARAMETER);
	for (unsigned n = 1; n < 4; n++)
		expect_sense(command(CDB(0x15, 0x10, 0, 0, (uint8_t)n, 0),
				     OUT(buf, 24)), PARAMETER_LENGTH);
	for (unsigned n = 5; n < 24; n++)
		expect_sense(command(CDB(0x15, 0x10, 0, 0, (uint8_t)n, 0),
				     OUT(buf, 24)), INVALID_PARAMETER);
	expect_sense(command(CDB(0x15, 0x10, 0, 0, 24, 0), OUT(buf, 23)),
		     PARAMETER_LENGTH);
	buf[3] = 21;			/* block descriptors beyond the end */
	expect_sense(command(CDB(0x15, 0x10, 0, 0, 24, 0), OUT(buf, 24)),
		     PARAMETER_LENGTH);

	expect_good(command(CDB(0x5a, 0, 8, 0, 0, 0, 0, 0, 28, 0), IN(buf, 28)),
		    28);
	expect_good(command(CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 28, 0),
			    OUT(buf, 28)), 28);
	buf[7] = 0xff, buf[6] = 0xff;
	expect_sense(command(CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 28, 0),
			     OUT(buf, 28)), PARAMETER_LENGTH);
	expect_sense(command(CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0xff, 0xff, 0),
			     OUT(buf, sizeof(buf))), PARAMETER_LENGTH);
	expect_good(command(CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 0, 0), NO_DATA),
		    0);
}

static void nothing_of_a_mode_page_can_be_changed(void **state)
{
	expect_good(command(CDB(0x1a, 0, 0x48, 0, 24, 0), IN(buf, 24)), 24);
	for (unsigned i = 6; i < 24; i++)
		assert_int_equal(buf[i], 0);
	expect_sense(command(CDB(0x1a, 0, 0xc8, 0, 24, 0), IN(buf, 24)),
		     INVALID_FIELD);
	expect_sense(command(CDB(0x1a, 0, 0x1c, 0, 24, 0), IN(buf, 24)),
		     INVALID_FIELD);
}

static void sense_is_never_left_over(void **state)
{
	expect_good(command(CDB(0x03, 0, 0, 0, 18, 0), IN(buf, 18)), 18);
	assert_memory_equal(buf, "\x70\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\0\0\0", 18);
	expect_sense(command(CDB(0x03, 1, 0, 0, 18, 0), IN(buf, 18)),
		     INVALID_FIELD);
}

static void a_large_disk_of_4k_blocks_has_its_own_geometry(void **state)
{
	teardown(state);
	start(4096, "");
	rig.error->size = UINT64_C(1) << 45;	/* nobody reads there */
	expect_good(command(CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), IN(buf, 8)),
		    8);
	assert_int_equal(be(buf, 4), UINT32_MAX);
	assert_int_equal(be(buf + 4, 4), 4096);
	expect_good(command(CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32,
				0, 0), IN(buf, 32)), 32);
	assert_int_equal(be(buf, 8), (UINT64_C(1) << 33) - 1);
	assert_int_equal(buf[13], 0);
	expect_sense(command(CDB(0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
				 32, 0, 0), IN(buf, 32)), INVALID_FIELD);
	memset(buf, 7, 4096);
	expect_good(write10(255, 1, 4096), 4096);
	expect_good(read10(255, 1, 4096), 4096);
	assert_int_equal(block_mem_bytes(rig.mem)[DISK_SIZE - 1], 7);
	memset(buf, 0, 4096);
	expect_good(command(CDB(0x41, 0, 0, 0, 0, 255, 0, 0, 1, 0),
			    OUT(buf, 4096)), 4096);
	assert_int_equal(block_mem_bytes(rig.mem)[DISK_SIZE - 4096], 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(linux_probes_a_disk),
		TEST(vital_pages_have_their_length_and_contents),
		TEST(a_disk_without_serial_or_discard_does_not_claim_them),
		TEST(answers_are_cut_to_the_allocation_and_to_the_buffer),
		TEST(reads_return_what_writes_of_every_size_have_stored),
		TEST(a_six_byte_length_of_zero_is_256_blocks),
		TEST(ranges_end_exactly_at_the_last_block),
		TEST(data_must_have_the_size_and_direction_of_the_command),
		TEST(fua_is_for_writes_that_ask_for_it),
		TEST(caches_are_flushed_by_every_command_that_should),
		TEST(verify_checks_the_range_and_compares_nothing),
		TEST(a_read_only_disk_refuses_all_that_writes),
		TEST(unmap_zeroes_each_range_and_no_more),
		TEST(unmap_checks_all_of_its_list_before_it_starts),
		TEST(unmap_takes_as_many_ranges_as_it_says_and_not_one_more),
		TEST(write_same_writes_zeroes_and_refuses_the_rest),
		TEST(errors_of_the_host_become_sense),
		TEST(every_command_needs_all_of_its_cdb),
		TEST(every_other_opcode_is_refused),
		TEST(mode_select_takes_what_mode_sense_gave),
		TEST(nothing_of_a_mode_page_can_be_changed),
		TEST(sense_is_never_left_over),
		TEST(a_large_disk_of_4k_blocks_has_its_own_geometry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

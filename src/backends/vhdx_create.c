/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New disks.  The first MiB has the headers; log, metadata and BAT follow,
 * and then, in a fixed disk, the blocks in their order.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "backends/block_file.h"
#include "backends/block_now.h"
#include "backends/vhdx_internal.h"
#include "core/error.h"

#define LOG_OFFSET	(1 * VHDX_MIB)
#define LOG_SIZE	(1 * VHDX_MIB)
#define METADATA_OFFSET	(2 * VHDX_MIB)
#define METADATA_SIZE	(1 * VHDX_MIB)
#define BAT_OFFSET	(3 * VHDX_MIB)
#define BLOCK_DEFAULT	(32u << 20)
#define BLOCK_OF_CHILD	(2u << 20)	/* a bitmap makes smaller ones cheap */

void vhdx_new_guid(struct guid *g)
{
	if (getrandom(g, sizeof(*g), 0) != sizeof(*g))
		g_assert_not_reached();
	g->b[7] = (uint8_t)((g->b[7] & 0x0f) | 0x40);
	g->b[8] = (uint8_t)((g->b[8] & 0x3f) | 0x80);
}

static bool plan(struct vhdx_layout *l, const struct vhdx_create_options *o)
{
	static const struct guid none;

	l->size = o->size;
	l->has_parent = o->way != NULL;
	l->block_size = o->block_size ? o->block_size :
			l->has_parent ? BLOCK_OF_CHILD : BLOCK_DEFAULT;
	l->sector = o->sector_size ? o->sector_size : 512;
	l->physical_sector = o->physical_sector ? o->physical_sector : 4096;
	l->leave_allocated = o->fixed;
	l->disk_id = o->id;
	if (guid_equal(&o->id, &none))
		vhdx_new_guid(&l->disk_id);
	if (!vhdx_layout_valid(l))
		return false;
	l->bat = (struct vhdx_region){
		BAT_OFFSET, (l->entries * sizeof(uint64_t) + VHDX_MIB - 1) &
			    ~(VHDX_MIB - 1),
	};
	return true;
}

static int write_identifier(struct block_backend *file)
{
	static const char creator[] = "kvmbus";
	uint8_t sector[VHDX_SECTOR] = { 0 };
	struct vhdx_file_identifier *id = (void *)sector;

	memcpy(id->signature, VHDX_FILE_SIGNATURE, sizeof(id->signature));
	for (size_t i = 0; i < sizeof(creator); i++)
		id->creator[i] = (uint16_t)creator[i];
	return block_write_now(file, 0, sector, sizeof(sector));
}

static int write_headers(struct block_backend *file)
{
	struct vhdx_header h = {
		.signature = VHDX_HEADER_SIGNATURE, .version = 1,
		.log_offset = LOG_OFFSET, .log_length = LOG_SIZE,
	};
	int ret = 0;

	vhdx_new_guid(&h.file_write_guid);
	vhdx_new_guid(&h.data_write_guid);
	for (unsigned n = 0; n < 2 && !ret; n++) {
		h.sequence_number = n + 1;
		h.checksum = vhdx_checksum(&h, sizeof(h));
		ret = block_write_now(file, n ? VHDX_HEADER2_OFFSET :
				      VHDX_HEADER1_OFFSET, &h, sizeof(h));
	}
	return ret;
}

static int write_regions(struct block_backend *file,
			 const struct vhdx_layout *l)
{
	const struct vhdx_region_table_entry entries[] = {
		{ VHDX_REGION_BAT, l->bat.offset, (uint32_t)l->bat.length, 1 },
		{ VHDX_REGION_METADATA, METADATA_OFFSET, METADATA_SIZE, 1 },
	};
	g_autofree uint8_t *table = g_malloc0(VHDX_TABLE_SIZE);
	struct vhdx_region_table_header *h = (void *)table;
	int ret;

	h->signature = VHDX_REGION_SIGNATURE;
	h->entry_count = G_N_ELEMENTS(entries);
	memcpy(h + 1, entries, sizeof(entries));
	h->checksum = vhdx_checksum(table, VHDX_TABLE_SIZE);
	ret = block_write_now(file, VHDX_REGION1_OFFSET, table,
			      VHDX_TABLE_SIZE);
	return ret ? ret : block_write_now(file, VHDX_REGION2_OFFSET, table,
					   VHDX_TABLE_SIZE);
}

struct metadata_item {
	struct guid id;
	const void *value;
	uint32_t length, flags;
};

/* A table, and the items behind it. */
static int write_items(struct block_backend *file,
		       const struct metadata_item *items, unsigned count)
{
	uint64_t length = VHDX_TABLE_SIZE;
	uint32_t offset = VHDX_TABLE_SIZE;
	struct vhdx_metadata_table_header *h;
	struct vhdx_metadata_table_entry *e;
	g_autofree uint8_t *table = NULL;

	for (unsigned i = 0; i < count; i++)
		length += items[i].length;
	length = (length + VHDX_SECTOR - 1) & ~(uint64_t)(VHDX_SECTOR - 1);
	table = g_malloc0(length);
	h = (void *)table;
	e = (void *)(h + 1);
	memcpy(h->signature, VHDX_METADATA_SIGNATURE, sizeof(h->signature));
	h->entry_count = (uint16_t)count;
	for (unsigned i = 0; i < count; i++, e++) {
		*e = (struct vhdx_metadata_table_entry){
			items[i].id, offset, items[i].length, items[i].flags,
			0,
		};
		memcpy(table + offset, items[i].value, items[i].length);
		offset += items[i].length;
	}
	return block_write_now(file, METADATA_OFFSET, table, length);
}

static int write_metadata(struct block_backend *file,
			  const struct vhdx_layout *l,
			  const struct vhdx_create_options *o)
{
	const struct vhdx_file_parameters parameters = {
		l->block_size,
		(l->leave_allocated ? VHDX_LEAVE_BLOCKS_ALLOCATED : 0) |
		(l->has_parent ? VHDX_HAS_PARENT : 0),
	};
	const uint32_t own = VHDX_METADATA_IS_REQUIRED;
	const uint32_t disk = own | VHDX_METADATA_IS_VIRTUAL_DISK;
	const struct guid linkage[2] = { o->parent };
	uint32_t length = 0;
	g_autofree uint8_t *locator = o->way ?
		vhdx_locator_make(linkage, o->way, &length) : NULL;
	const struct metadata_item items[] = {
		{ VHDX_ITEM_FILE_PARAMETERS, &parameters, 8, own },
		{ VHDX_ITEM_VIRTUAL_DISK_SIZE, &l->size, 8, disk },
		{ VHDX_ITEM_VIRTUAL_DISK_ID, &l->disk_id, 16, disk },
		{ VHDX_ITEM_LOGICAL_SECTOR_SIZE, &l->sector, 4, disk },
		{ VHDX_ITEM_PHYSICAL_SECTOR_SIZE, &l->physical_sector, 4,
		  disk },
		{ VHDX_ITEM_PARENT_LOCATOR, locator, length, own },
	};

	return write_items(file, items, G_N_ELEMENTS(items) - !locator);
}

/* A fixed disk has all of its blocks; the BAT of another is zeroes. */
static int write_bat(struct block_backend *file, const struct vhdx_layout *l)
{
	uint64_t block = 0, at = l->bat.offset + l->bat.length;
	uint64_t page[VHDX_SECTOR / sizeof(uint64_t)];
	int ret = 0;

	for (uint64_t i = 0; i < l->entries && !ret; i++) {
		unsigned n = i % G_N_ELEMENTS(page);

		if (!n)
			memset(page, 0, sizeof(page));
		if (i % (l->chunk_ratio + 1) != l->chunk_ratio)
			page[n] = (at + block++ * l->block_size) |
				  PAYLOAD_BLOCK_FULLY_PRESENT;
		if (n == G_N_ELEMENTS(page) - 1 || i == l->entries - 1)
			ret = block_write_now(file, l->bat.offset +
					      (i - n) * sizeof(uint64_t),
					      page, sizeof(page));
	}
	return ret;
}

int vhdx_format(struct block_backend *file,
		const struct vhdx_create_options *o)
{
	struct vhdx_layout l = { 0 };
	uint64_t end;
	int ret;

	if (!plan(&l, o))
		return -EINVAL;
	end = l.bat.offset + l.bat.length;
	if (o->fixed)
		end += l.blocks * l.block_size;
	ret = file->size < end ? block_grow_now(file, end) : 0;
	if (!ret)
		ret = write_regions(file, &l);
	if (!ret)
		ret = write_metadata(file, &l, o);
	if (!ret && o->fixed)
		ret = write_bat(file, &l);
	/* What makes it a VHDX comes last. */
	if (!ret)
		ret = write_headers(file);
	if (!ret)
		ret = block_flush_now(file);
	if (!ret)
		ret = write_identifier(file);
	return ret ? ret : block_flush_now(file);
}

static bool create_failed(GError **error, const char *path, int code)
{
	g_autofree char *what = g_strdup_printf("cannot make VHDX disk %s",
						path);

	if (code == EINVAL)
		user_error_set(error, EX_USAGE, "vhdx.create", what,
			       "there is no such disk",
			       "a size of whole sectors, up to 64 TiB; blocks "
			       "of 1M, 2M, 4M ... 256M; sectors of 512 or 4096");
	else
		user_error_set(error, EX_CANTCREAT, "vhdx.create", what,
			       g_strerror(code), code == EEXIST ?
			       "another name, or remove that file" : NULL);
	return false;
}

bool vhdx_create(const char *path, const struct vhdx_create_options *o,
		 GError **error)
{
	const struct block_file_options file_options = { .path = path };
	struct block_backend *file;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int ret;

	if (fd < 0)
		return create_failed(error, path, errno);
	/* A file of its own needs a size to be opened as a disk. */
	ret = ftruncate(fd, (off_t)VHDX_MIB) < 0 ? -errno : 0;
	close(fd);
	file = ret ? NULL : block_file_open(NULL, &file_options, error);
	if (file) {
		ret = vhdx_format(file, o);
		block_close(file);
	}
	if (file && !ret)
		return true;
	unlink(path);
	return ret ? create_failed(error, path, -ret) : false;
}

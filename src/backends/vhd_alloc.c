/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places in the file for new blocks, and the BAT. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "backends/vhd_internal.h"

#define GROW_BLOCKS	8u	/* that the file is extended by */
/* Entries of the BAT are 32-bit numbers of sectors. */
#define ROOM_MAX	((uint64_t)VHD_UNUSED * VHD_SECTOR -		\
			 (GROW_BLOCKS + 1) * (uint64_t)VHD_BLOCK_MAX * 2)
#define DATA_ALIGN	4096u	/* as file systems and drives like it */
#define ENTRIES		(VHD_SECTOR / 4)	/* of a sector of the BAT */

/* Where the bitmap of a block begins that is put at @from or behind it. */
static uint64_t place_at(const struct vhd *v, uint64_t from)
{
	uint64_t data = from + v->bitmap_size + DATA_ALIGN - 1;

	return data / DATA_ALIGN * DATA_ALIGN - v->bitmap_size;
}

static uint64_t place_end(const struct vhd *v, uint64_t place)
{
	return place + v->bitmap_size + v->block_size;
}

/*
 * Growing.  The footer at the old end stays where it is: the next block's
 * place begins there, and its bitmap takes the sector or begins behind it.
 */
static void grow_finished(struct vhd *v, int result)
{
	GQueue waiting = v->placeless;
	GList *link;

	v->growing = false;
	if (!result) {
		v->end = v->room;
		v->room = v->file->size - VHD_SECTOR;
	}
	g_queue_init(&v->placeless);
	while ((link = g_queue_pop_head_link(&waiting))) {
		if (result)
			vhd_block_placed(link->data, result);
		else
			vhd_place(v, link->data);
	}
}

static void grow_flushed(struct block_request *rq)
{
	grow_finished(container_of(rq, struct vhd, grow_rq), rq->result);
}

static void footer_written(struct block_request *rq)
{
	struct vhd *v = container_of(rq, struct vhd, grow_rq);

	if (rq->result) {
		grow_finished(v, rq->result);
		return;
	}
	*rq = (struct block_request){
		.op = BLOCK_FLUSH, .done = grow_flushed,
	};
	block_submit(v->file, rq);
}

static void grown(struct block_request *rq)
{
	struct vhd *v = container_of(rq, struct vhd, grow_rq);

	if (rq->result) {
		grow_finished(v, rq->result);
		return;
	}
	v->grow_iov = (struct iovec){ &v->footer, sizeof(v->footer) };
	*rq = (struct block_request){
		.op = BLOCK_WRITE, .offset = v->file->size - VHD_SECTOR,
		.len = VHD_SECTOR, .iov = &v->grow_iov, .iovcnt = 1,
		.done = footer_written,
	};
	block_submit(v->file, rq);
}

static void grow(struct vhd *v)
{
	uint64_t end = v->room;

	for (uint32_t i = 0; i < MIN(GROW_BLOCKS, v->blocks); i++)
		end = place_end(v, place_at(v, end));
	v->growing = true;
	v->grow_rq = (struct block_request){
		.op = BLOCK_GROW, .done = grown,
		.offset = MAX(end + VHD_SECTOR, v->file->size + VHD_SECTOR),
	};
	block_submit(v->file, &v->grow_rq);
}

void vhd_place(struct vhd *v, struct vhd_block *b)
{
	uint64_t place = place_at(v, v->end);

	if (block_bitmap_test(v->fresh, b->index)) {
		vhd_block_placed(b, 0);
	} else if (place_end(v, place) <= v->room) {
		vhd_entry_set(v, b->index, (uint32_t)(place / VHD_SECTOR));
		block_bitmap_set(v->fresh, b->index, b->index + 1);
		v->end = place_end(v, place);
		vhd_block_placed(b, 0);
	} else if (v->room >= ROOM_MAX) {
		vhd_block_placed(b, -ENOSPC);
	} else {
		g_queue_push_tail_link(&v->placeless, &b->link);
		if (!v->growing)
			grow(v);
	}
}

/*
 * The BAT.  One sector of it is written at a time, with all entries that wait
 * for that.
 */
static void bat_start(struct vhd *v);

static void bat_written(struct block_request *rq)
{
	struct vhd *v = container_of(rq, struct vhd, bat_rq);
	GQueue listed = v->listed;
	int result = rq->result;
	GList *link;

	v->written++;
	for (link = listed.head; result && link; link = link->next) {
		const struct vhd_block *b = link->data;

		block_bitmap_set(v->fresh, b->index, b->index + 1);
	}
	g_queue_init(&v->listed);
	bat_start(v);
	while ((link = g_queue_pop_head_link(&listed)))
		vhd_block_listed(link->data, result);
}

/* The entries of the sector as the file is to have them. */
static void encode_sector(struct vhd *v, uint32_t sector)
{
	memset(v->sector, 0xff, sizeof(v->sector));
	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint32_t index = sector * ENTRIES + i;
		uint32_t entry;

		if (index >= v->blocks || vhd_is_absent(v, index))
			continue;
		entry = htobe32(vhd_entry(v, index));
		memcpy(v->sector + i * sizeof(entry), &entry, sizeof(entry));
	}
}

static void take_entries_of(struct vhd *v, uint32_t sector)
{
	GList *link, *next;

	for (link = v->listing.head; link; link = next) {
		struct vhd_block *b = link->data;

		next = link->next;
		if (b->index / ENTRIES != sector)
			continue;
		g_queue_unlink(&v->listing, link);
		g_queue_push_tail_link(&v->listed, link);
		block_bitmap_clear(v->fresh, b->index, b->index + 1);
	}
}

static void bat_start(struct vhd *v)
{
	const struct vhd_block *b = g_queue_peek_head(&v->listing);
	uint32_t sector;

	if (!b || !g_queue_is_empty(&v->listed))
		return;
	sector = b->index / ENTRIES;
	take_entries_of(v, sector);
	encode_sector(v, sector);
	v->bat_iov = (struct iovec){ v->sector, VHD_SECTOR };
	v->bat_rq = (struct block_request){
		.op = BLOCK_WRITE, .offset = v->table + sector * VHD_SECTOR,
		.len = VHD_SECTOR, .iov = &v->bat_iov, .iovcnt = 1,
		.done = bat_written,
	};
	block_submit(v->file, &v->bat_rq);
}

void vhd_list(struct vhd *v, struct vhd_block *b)
{
	g_queue_push_tail_link(&v->listing, &b->link);
	bat_start(v);
}

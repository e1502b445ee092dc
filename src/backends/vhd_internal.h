/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A dynamic or differencing VHD while it is used.
 *
 * A block of the disk is one of these:
 *
 *	absent	reads from the parent, or as zeroes
 *	fresh	has a place in the file, but the file's BAT does not say so yet:
 *		a write that failed; it is absent in all but its place
 *	partial	its sector bitmap says which sectors it has
 *	full	it has all of them: requests go straight to the file
 *
 * A block that is written while it is not full is held in memory as a
 * vhd_block, and so are the last few partial ones that were read.  All writes
 * that wait for it make one round, of which the next step begins when the last
 * one is done:
 *
 *	place -> data -> sector bitmap -> BAT entry, if new -> done()
 *
 * The bitmap of one that has a place is read while its data is written.
 *
 * So a block is in the BAT only when what it has is in the file.  The file is
 * extended several blocks at a time, by a footer at its new end that is stable
 * before any of the room is used: there is a valid footer at the end always, or
 * else the copy at the start.
 */
#ifndef BACKENDS_VHD_INTERNAL_H
#define BACKENDS_VHD_INTERNAL_H

#include "backends/block_bitmap.h"
#include "backends/block_job.h"
#include "backends/vhd.h"
#include "backends/vhd_format.h"
#include "core/util.h"

struct part_list {
	struct block_part *first, **end;
};

struct vhd;

struct vhd_block {
	struct vhd *vhd;
	uint32_t index;
	uint8_t *bits;		/* sector bitmap, as in the file */
	uint8_t *new_bits;	/* as the round will leave it */
	bool loading, loaded;	/* the bits */
	int load_error;
	bool busy;		/* a round is under way */
	bool add;		/* it is new: the BAT has to be written */
	unsigned pending;	/* data requests of the round */
	struct part_list readers;	/* wait for the bits */
	struct part_list writers;	/* wait for the next round */
	struct part_list round;
	struct block_request rq;	/* of its bitmap */
	struct iovec iov;
	GList link;		/* in vhd.idle, or in one of its queues */
};

struct vhd {
	struct block_backend bb;
	struct block_backend *file;
	struct block_backend *parent;	/* NULL: dynamic */
	struct block_jobs jobs;
	struct vhd_footer footer;
	uint32_t block_size, bitmap_size;
	uint64_t table;		/* where the BAT is in the file */
	uint32_t blocks;
	uint32_t *bat;		/* complements: absent ones need no memory */
	uint64_t *fresh, *full;	/* a bit for each block */

	GHashTable *held;	/* index -> struct vhd_block */
	GQueue idle;		/* those without users, oldest first */

	uint64_t end, room;	/* free place in the file, from and to */
	GQueue placeless;	/* blocks that wait for the file to grow */
	bool growing;
	GQueue listing;		/* blocks that wait for their BAT entry */
	GQueue listed;		/* those whose entries are being written */
	uint32_t bat_sector;	/* that is being written */
	uint8_t sector[VHD_SECTOR];	/* its contents */
	struct block_request grow_rq, bat_rq;
	struct iovec grow_iov, bat_iov;

	/* Counts writes of metadata: all, and those known to be stable. */
	uint64_t written, stable;
};

static inline struct vhd *vhd_of_part(const struct block_part *p)
{
	return container_of(p->job->rq->backend, struct vhd, bb);
}

/* The sector of a block's bitmap, or VHD_UNUSED. */
static inline uint32_t vhd_entry(const struct vhd *v, uint32_t index)
{
	return ~v->bat[index];
}

static inline void vhd_entry_set(struct vhd *v, uint32_t index,
				 uint32_t sector)
{
	v->bat[index] = ~sector;
}

static inline bool vhd_is_absent(const struct vhd *v, uint32_t index)
{
	return vhd_entry(v, index) == VHD_UNUSED ||
	       block_bitmap_test(v->fresh, index);
}

/* vhd.c */
/* Where data of block @index is in the file; it is not absent. */
uint64_t vhd_data_offset(const struct vhd *v, uint32_t index);
/* Do a part again that has waited for its block. */
void vhd_read_part(struct vhd *v, struct block_part *p);

/* vhd_block.c */
/* The block in memory; NULL if it is not there. */
struct vhd_block *vhd_block_find(struct vhd *v, uint32_t index);
/* Let @p wait until the bits of a partial block are there. */
void vhd_block_load(struct vhd *v, uint32_t index, struct block_part *p);
/* Let @p, a write or zeroes, be done in a round. */
void vhd_block_write(struct vhd *v, uint32_t index, struct block_part *p);
/* Whether sector @n of the block is in the file. */
static inline bool vhd_block_has(const struct vhd_block *b, uint32_t n)
{
	return b->bits[n / 8] & 0x80 >> n % 8;
}
void vhd_block_free(void *block);

/* vhd_alloc.c: what rounds need of the file */
/* Give @b a place, then vhd_block_placed(), perhaps at once. */
void vhd_place(struct vhd *v, struct vhd_block *b);
void vhd_block_placed(struct vhd_block *b, int result);
/* Write @b's BAT entry, then vhd_block_listed(), later. */
void vhd_list(struct vhd *v, struct vhd_block *b);
void vhd_block_listed(struct vhd_block *b, int result);

/* vhd_open.c */
/* An error about @path, which @format says: always false. */
bool vhd_fail(GError **error, const char *path, const char *id,
	      const char *advice, const char *format, ...) G_GNUC_PRINTF(5, 6);
bool vhd_read_failed(GError **error, const char *path, int result);

/* vhd_table.c */
/*
 * Read the BAT of @v, all else of which is known, and where the blocks end.
 * If it is to be written, no two of them may share a place.
 */
bool vhd_table_read(struct vhd *v, const struct vhd_facts *facts,
		    const char *path, GError **error);

/* vhd_resize.c */
/* See block_backend_ops. */
int vhd_extend(struct block_backend *bb, uint64_t size);
/*
 * Make @f the footer, with all that it points to.  It is one sector, old or new;
 * that at the end is believed first, and if there is none, the copy.
 */
int vhd_enter_footer(struct block_backend *file, const struct vhd_footer *f);

/* A backend for the disk that has been checked and read; passes all. */
void vhd_init(struct vhd *v, struct loop *loop);

#endif

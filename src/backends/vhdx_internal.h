/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of VHDX share.
 *
 *	vhdx.c		opening, closing
 *	vhdx_create.c	new disks
 *	vhdx_header.c	headers, region table
 *	vhdx_metadata.c	metadata: sizes
 *	vhdx_parent.c	which file a differencing disk differs from
 *	vhdx_replay.c	the log of a file that was not closed
 *	vhdx_io.c	requests
 *	vhdx_step.c	what a request does in one block
 *	vhdx_bitmap.c	which sectors a partially present block has
 *	vhdx_cache.c	pages of the BAT and of sector bitmaps
 *	vhdx_space.c	blocks in the file that are free
 *	vhdx_commit.c	the log: pages become stable
 *	vhdx_resize.c	another size
 *	vhdx_merge.c	what it has becomes its parent's
 *	vhdx_survey.c	where data is; what is wrong
 *
 * Requests wait in one queue for whatever they lack, a page, space, a commit;
 * each event wakes all of them, and they look again.
 */
#ifndef BACKENDS_VHDX_INTERNAL_H
#define BACKENDS_VHDX_INTERNAL_H

#include "backends/block_parent.h"
#include "backends/vhdx.h"
#include "backends/vhdx_proto.h"

#define VHDX_COMMIT_PAGES	126u	/* of one log entry */
#define VHDX_WAIT		1	/* beside 0 and -errno */

/* Where the file has what, and how the disk is made. */
struct vhdx_region {
	uint64_t offset;
	uint64_t length;
};

struct vhdx_layout {
	struct vhdx_region log, bat, metadata;
	uint32_t block_size;
	bool leave_allocated;
	bool has_parent;
	uint64_t size;			/* of the disk ... */
	uint64_t size_at;		/* ... and where the file says so */
	uint32_t sector, physical_sector;
	uint64_t chunk_ratio;		/* payload blocks of a bitmap block */
	uint64_t blocks, entries;	/* payload blocks, BAT entries */
	struct guid disk_id;
};

/* A page of the BAT or of a sector bitmap. */
struct vhdx_page {
	struct vhdx *v;
	uint64_t offset;		/* in the file */
	bool loading;
	bool dirty;			/* the log has not what is here */
	bool logged;			/* being committed */
	int error;			/* of loading */
	uint64_t dirty_number;		/* order of becoming dirty */
	GList link, dirty_link;
	struct block_request rq;
	struct iovec iov;
	uint8_t *bytes;			/* VHDX_SECTOR of them */
};

struct vhdx_cache {
	GHashTable *pages;		/* by offset */
	GQueue age;			/* oldest first */
	GQueue dirty;			/* likewise */
	uint64_t dirty_number;		/* of the last that became dirty */
	GSList *failed;			/* until those who wait have seen it */
};

struct vhdx_space {
	GArray *free;			/* offsets of blocks of zeroes */
	uint64_t end;			/* behind it nothing is used */
	bool growing;
	int error;			/* of growing, once */
	struct block_request rq;
};

struct vhdx_log {
	int step;			/* enum in vhdx_commit.c */
	bool begun;			/* headers say that there is a log */
	int begin_error;		/* once */
	int result;			/* of the last commit */
	int room_error;			/* the same, once */
	unsigned slot;			/* half of the log for the next entry */
	uint64_t sequence;
	uint64_t file_size;		/* when the pages were taken */
	uint64_t started, finished;	/* commits */
	struct vhdx_page *page[VHDX_COMMIT_PAGES];
	unsigned count, applied;
	bool unapplied;			/* stable in the log, not in place */
	uint8_t *copy;			/* of the pages */
	uint8_t *entry;
	GArray *freed;			/* offsets of blocks, with this */
	struct block_request rq;
	struct iovec iov;
};

/* What a request is, on its way. */
struct vhdx_io {
	struct block_request *rq;
	uint64_t at;			/* bytes that have been looked at */
	unsigned pieces;		/* that have not ended */
	bool crowded;			/* goes on when they have */
	bool walked;
	int error;
	/* Of one that waits for a commit: the first that will do ... */
	uint64_t ticket;
	uint64_t dirty_number;		/* ... if it has all pages up to this */
	GList link;
	struct vhdx_io *next;
};

/* The part of a request that is in one block. */
struct vhdx_span {
	uint64_t block;
	uint32_t skip, len;		/* bytes */
};

/* A request in the file or to the parent. */
struct vhdx_piece {
	struct block_request rq;
	struct vhdx *v;
	struct vhdx_io *io;
	unsigned phase;
	struct iovec *iov;
	int iov_size;
	/* Of what is written to a partially present block; else entry 0. */
	struct vhdx_span span;
	uint64_t entry;			/* the block's, when it began */
	GList link;
	struct vhdx_piece *next;
};

struct vhdx {
	struct block_backend bb;
	struct block_backend *file;
	struct block_backend *parent;	/* NULL: not a differencing disk */
	struct loop *loop;
	struct vhdx_layout layout;
	struct vhdx_header header;	/* the current one */
	unsigned current;		/* which of the two that is */
	bool damaged_header;		/* the other one was, at opening */
	bool damaged_regions;		/* likewise */
	bool replayed;
	bool aside;			/* replayed, but not into the file */
	bool looking;			/* and so not writing, whatever is */
	bool shared;			/* only payload is written any more */
	struct guid next_data_write;	/* zero: any new one */
	struct vhdx_cache cache;
	struct vhdx_space space;
	struct vhdx_log log;
	GArray *freed;			/* offsets of blocks, not committed */
	/*
	 * Requests in the file, of those that started before and after the
	 * last commit that frees space: what is freed is used again when the
	 * former have ended.
	 */
	unsigned in_flight[2];
	unsigned phase;
	bool closing;			/* no loop any more, or for now */
	bool submitting;
	struct loop_note note;		/* what has to go on on a later turn */
	GQueue waiting;			/* struct vhdx_io */
	GQueue showing;			/* struct vhdx_piece, likewise */
	GQueue committing;		/* those that wait for a commit */
	GQueue answers;
	struct vhdx_io *free_ios;
	struct vhdx_piece *free_pieces;
};

/* An error about @path: always false. */
bool vhdx_fail(GError **error, const char *path, const char *id,
	       const char *why, const char *advice);

/* vhdx_create.c: one that nobody else has. */
void vhdx_new_guid(struct guid *g);

struct vhdx_locator;

/* vhdx.c: one that nothing is known of yet; @file passes. */
struct vhdx *vhdx_new(struct loop *loop, struct block_backend *file);
/* As it is: nothing is written. */
void vhdx_free(struct vhdx *v);
/* All but its parent, which *@locator names. */
bool vhdx_read_file(struct vhdx *v, struct vhdx_locator *locator,
		    const char *path, GError **error);
/* With its parents, and ready for requests. */
bool vhdx_load(struct vhdx *v, const struct block_chain *at, GError **error);
/* Whether @parent is the one that @l names, and can be. */
bool vhdx_parent_fits(const struct vhdx *v, const struct vhdx_locator *l,
		      const char *path, const struct vhdx *parent,
		      const char *parent_path, GError **error);
/* Whether the way to @parent can be in a locator. */
bool vhdx_way_is_text(const char *way, const char *parent, GError **error);

/* vhdx_header.c */
bool vhdx_headers_read(struct vhdx *v, const char *path, GError **error);
bool vhdx_regions_read(struct vhdx *v, const char *path, GError **error);
/* Make @v->header the next one: number, checksum.  Returns its place. */
uint64_t vhdx_header_next(struct vhdx *v);
/*
 * Set the bits of the MiB of the file that headers and regions have, also those
 * that nobody here knows.  Returns where they end.
 */
uint64_t vhdx_regions_mark(struct vhdx *v, uint64_t *used);
/* The region table, with another place for the BAT; NULL: both are damaged. */
uint8_t *vhdx_regions_make(struct vhdx *v, const struct vhdx_region *bat);
/* Say in both headers that the log is empty.  0 or -errno. */
int vhdx_header_end_log(struct vhdx *v);
uint32_t vhdx_checksum(const void *data, size_t len);
bool vhdx_log_is_empty(const struct vhdx *v);

/* vhdx_metadata.c; the locator is that of a disk with a parent. */
bool vhdx_metadata_read(struct vhdx *v, struct vhdx_locator *locator,
			const char *path, GError **error);
/*
 * Put another parent locator there, through the log that has begun.  0 or
 * -errno; -ENOSPC: the region has no room for it.
 */
int vhdx_metadata_set_locator(struct vhdx *v, const uint8_t *item,
			      uint32_t len);
/* Whether a disk can be like that; if so, count its blocks and entries. */
bool vhdx_layout_valid(struct vhdx_layout *l);

/* vhdx_parent.c */
struct vhdx_locator {
	struct guid linkage[2];		/* DataWriteGuids; zero: none */
	GPtrArray *paths;		/* on this host, in order */
};
void vhdx_locator_finish(struct vhdx_locator *l);
/*
 * The item of @len bytes of the disk at @path: NULL, or what is wrong with it,
 * a phrase that follows "its parent locator".
 */
const char *vhdx_locator_read(struct vhdx_locator *l, const uint8_t *item,
			      uint32_t len, const char *path);
/* Whether a parent with this DataWriteGuid is the right one. */
bool vhdx_locator_has(const struct vhdx_locator *l, const struct guid *id);
/*
 * An item of *@len bytes for a parent with one of these ids, of which the
 * second may be zero, at @way, which is UTF-8 and shorter than PATH_MAX.
 */
uint8_t *vhdx_locator_make(const struct guid linkage[2], const char *way,
			   uint32_t *len);

/*
 * vhdx_replay.c: leaves an empty log; or, if the file is not to be written,
 * @v->file as it would be then.
 */
bool vhdx_replay(struct vhdx *v, const char *path, GError **error);

/* vhdx_cache.c */
void vhdx_cache_init(struct vhdx_cache *c);
void vhdx_cache_finish(struct vhdx_cache *c);
/* Forget all that is in the file as well; nobody waits for a page. */
void vhdx_cache_drop_clean(struct vhdx_cache *c);
/* Forget loads that failed: everyone who waited has been told. */
void vhdx_cache_forget_failures(struct vhdx_cache *c);
/* The page that byte @offset of the file is in: 0, -errno, or VHDX_WAIT. */
int vhdx_page_get(struct vhdx *v, uint64_t offset, struct vhdx_page **page);
/* It has been got since the loop's last turn, with room, and is changed. */
void vhdx_page_dirty(struct vhdx_page *p);
/*
 * Let @pages become dirty: 0, -errno, or VHDX_WAIT.  All that are fit one log
 * entry, so that what is changed at once is stable at once.
 */
int vhdx_make_room(struct vhdx *v, unsigned pages);
/*
 * Where the BAT has the entry of a payload block, and of the sector bitmap
 * block of its chunk.
 */
uint64_t vhdx_bat_payload(const struct vhdx *v, uint64_t block);
uint64_t vhdx_bat_bitmap(const struct vhdx *v, uint64_t block);
/* The entry that is there: 0, -errno, or VHDX_WAIT. */
int vhdx_bat_get(struct vhdx *v, uint64_t at, uint64_t *entry);
/* It has been got since the loop's last turn, and there is room. */
void vhdx_bat_set(struct vhdx *v, uint64_t at, uint64_t entry);
/*
 * Bytes of the file that are changed through the log, all at once; they are on
 * VHDX_COMMIT_PAGES at most.  Without a loop.  0, or -errno and none is.
 */
struct vhdx_change {
	uint64_t offset;
	const void *bytes;
	size_t len;
};
int vhdx_change(struct vhdx *v, const struct vhdx_change *changes, unsigned n);
/* Whether a block of @len bytes can be there: in the file, on no region. */
bool vhdx_block_fits(const struct vhdx *v, uint64_t offset, uint64_t len);

/*
 * vhdx_bitmap.c: sectors of one block, whose first is 0.  All return 0, -errno,
 * or VHDX_WAIT.
 */
/* How many of @count sectors from @first on are like the first: *@present. */
int vhdx_sectors_get(struct vhdx *v, uint64_t block, uint32_t first,
		     uint32_t *count, bool *present);
/* Now they are present; *@all: and so are all of the block, as far as known. */
int vhdx_sectors_set(struct vhdx *v, uint64_t block, uint32_t first,
		     uint32_t count, bool *all);
/*
 * Have a bitmap for a block that has no sectors yet.  There is room for
 * VHDX_BITMAP_PAGES pages.
 */
int vhdx_sectors_clear(struct vhdx *v, uint64_t block);
/* Those of the bits of the largest block, and of the BAT's entry for them. */
#define VHDX_BITMAP_PAGES	17u

/* vhdx_space.c */
void vhdx_space_init(struct vhdx *v);
void vhdx_space_finish(struct vhdx_space *s);
/* A payload block of zeroes in the file: 0, -errno, or VHDX_WAIT. */
int vhdx_allocate(struct vhdx *v, uint64_t *offset);
/* The same for @len bytes, whole MiB, at the file's end. */
int vhdx_allocate_end(struct vhdx *v, uint64_t len, uint64_t *offset);
/* A payload block of zeroes that nobody uses any more. */
void vhdx_space_add(struct vhdx *v, uint64_t offset);
/* Cut off what is free at the file's end; the log is empty.  0 or -errno. */
int vhdx_space_give_back(struct vhdx *v);

/* vhdx_survey.c */
uint64_t vhdx_next_data(struct block_backend *bb, uint64_t at);
/* Whether each block has a place of its own: else an error about @path. */
bool vhdx_may_write(struct vhdx *v, const char *path, GError **error);
/* The same of a disk that others write, too: and each block is there. */
bool vhdx_may_share(struct vhdx *v, const char *path, GError **error);

/* vhdx_resize.c: see block_backend_ops. */
int vhdx_extend(struct block_backend *bb, uint64_t size);

/* vhdx_commit.c */
void vhdx_log_init(struct vhdx *v);
void vhdx_log_finish(struct vhdx *v);
/* The file may be written: 0, -errno, or VHDX_WAIT. */
int vhdx_begin(struct vhdx *v);
/*
 * The same at once, without a loop from now on; @data: what the disk has is
 * changed, and so is its DataWriteGuid.  0 or -errno.
 */
int vhdx_begin_now(struct vhdx *v, bool data);
/* Start a commit if none runs. */
void vhdx_commit(struct vhdx *v);
/* All of @v->in_flight of the other phase have ended. */
void vhdx_commit_quiet(struct vhdx *v);
/* Everything stable and in place, the log empty; blocks.  0 or -errno. */
int vhdx_commit_all(struct vhdx *v);

/* vhdx_step.c */
/* Go on with a request by one span: 0, -errno, or VHDX_WAIT. */
int vhdx_step(struct vhdx *v, struct vhdx_io *io);
/* Say of what is written that it is there, as far as that is possible now. */
void vhdx_show(struct vhdx *v);
void vhdx_step_finish(struct vhdx *v);

/* vhdx_io.c */
void vhdx_submit(struct block_backend *bb, struct block_request *rq);
/* A piece of @io has ended. */
void vhdx_io_piece_ended(struct vhdx *v, struct vhdx_io *io);
void vhdx_go_on(struct loop_note *note);
void vhdx_wake(struct vhdx *v);
void vhdx_committed(struct vhdx *v);
void vhdx_io_finish(struct vhdx *v);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file:
 *
 *	0	header: magic number, the disk's id, and how often the state
 *		was changed
 *	4096	the state after an even number of changes, with a checksum
 *	8192	that after an odd one
 *
 * A change writes the state that is not in force, and then the header.  Its
 * bytes are locked, whatever they hold: the first one by who changes the
 * state, the second by all who have the file open, and two for each place.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/reservations.h"
#include "backends/crc32c.h"
#include "core/autoptr.h"
#include "core/error.h"

#define MAGIC		"kvmbus pr 1\0\0\0\0"
#define SLOT_SIZE	4096
#define FILE_SIZE	(3 * SLOT_SIZE)
#define TRIES		8	/* to read while others write */

#define LOCK_CHANGE	0
#define LOCK_USERS	1
#define LOCK_ALIVE	64
#define LOCK_WRITING	(LOCK_ALIVE + PR_INITIATORS_MAX)

struct header {
	char magic[16];
	uint8_t disk_id[16];
	uint64_t sequence;
};

struct slot {
	uint64_t sequence;
	uint32_t crc;		/* of the whole with zero here */
	uint32_t zero;
	struct pr_state state;
};

struct reservations {
	int fd;
	uint8_t disk_id[16];
	unsigned self;
	unsigned writes;	/* under way */
	struct slot now, next;
};

/*
 * Locks.
 */
static int lock_call(int fd, int command, short type, off_t at)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = at,
		.l_len = 1,
	};
	int ret;

	do {
		ret = fcntl(fd, command, &lock);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	return lock.l_type;
}

static int lock_byte(const struct reservations *r, short type, off_t at)
{
	int ret = lock_call(r->fd, F_OFD_SETLK, type, at);

	return MIN(ret, 0);
}

static bool others_lock(const struct reservations *r, off_t at)
{
	return lock_call(r->fd, F_OFD_GETLK, F_WRLCK, at) != F_UNLCK;
}

/*
 * The state in the file.
 */
static uint32_t crc_of(const struct slot *slot)
{
	struct slot copy = *slot;

	copy.crc = 0;
	return crc32c(0, &copy, sizeof(copy));
}

static bool has_no_id(const struct pr_initiator *i)
{
	static const uint8_t none[sizeof(i->id)];

	return !memcmp(i->id, none, sizeof(none));
}

static bool is_type(uint8_t type)
{
	return type <= PR_EXCLUSIVE_ACCESS_AR && (0x1eb & 1u << type);
}

/* What is registered has a name, and each name one place. */
static bool initiators_valid(const struct pr_state *s, unsigned *registered)
{
	*registered = 0;
	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++) {
		const struct pr_initiator *a = &s->initiator[i];

		*registered += a->key != 0;
		if (has_no_id(a)) {
			if (a->key)
				return false;
			continue;
		}
		for (unsigned k = 0; k < i; k++)
			if (!memcmp(a->id, s->initiator[k].id, sizeof(a->id)))
				return false;
	}
	return true;
}

static bool state_valid(const struct pr_state *s)
{
	unsigned registered;

	if (s->aptpl > 1 || !is_type(s->type) ||
	    s->holder >= PR_INITIATORS_MAX ||
	    s->reserved6 > PR_INITIATORS_MAX ||
	    !initiators_valid(s, &registered))
		return false;
	if (!s->type)
		return true;
	return s->type >= PR_WRITE_EXCLUSIVE_AR ?
	       registered : s->initiator[s->holder].key != 0;
}

static off_t place_of(uint64_t sequence)
{
	return (off_t)(SLOT_SIZE * (1 + (sequence & 1)));
}

static bool read_slot(int fd, off_t at, struct slot *slot)
{
	return pread(fd, slot, sizeof(*slot), at) == sizeof(*slot) &&
	       slot->crc == crc_of(slot) &&
	       at == place_of(slot->sequence) && state_valid(&slot->state);
}

static bool read_sequence(int fd, uint64_t *sequence)
{
	return pread(fd, sequence, sizeof(*sequence),
		     offsetof(struct header, sequence)) == sizeof(*sequence);
}

int reservations_refresh(struct reservations *r)
{
	uint64_t sequence, before;
	struct slot slot;

	if (!read_sequence(r->fd, &sequence))
		return -EUCLEAN;
	for (unsigned tries = 0; tries < TRIES; tries++) {
		if (sequence == r->now.sequence)
			return 0;
		if (read_slot(r->fd, place_of(sequence), &slot) &&
		    slot.sequence == sequence) {
			r->now = slot;
			return 0;
		}
		/* Somebody writes there, if the header has moved on. */
		before = sequence;
		if (!read_sequence(r->fd, &sequence) || sequence == before)
			return -EUCLEAN;
	}
	return -EAGAIN;
}

static int write_all(int fd, const void *data, size_t len, off_t at)
{
	ssize_t n = pwrite(fd, data, len, at);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

/* Make r->next the state. */
static int write_next(struct reservations *r)
{
	struct slot *slot = &r->next;
	int ret;

	slot->sequence = r->now.sequence + 1;
	slot->crc = crc_of(slot);
	ret = write_all(r->fd, slot, sizeof(*slot), place_of(slot->sequence));
	if (!ret)
		ret = write_all(r->fd, &slot->sequence, sizeof(uint64_t),
				offsetof(struct header, sequence));
	if (!ret)
		r->now = *slot;
	return ret;
}

struct pr_state *reservations_begin(struct reservations *r, int *result)
{
	*result = lock_byte(r, F_WRLCK, LOCK_CHANGE);
	if (*result)
		return NULL;
	*result = reservations_refresh(r);
	if (*result) {
		reservations_abandon(r);
		return NULL;
	}
	r->next = r->now;
	return &r->next.state;
}

void reservations_abandon(struct reservations *r)
{
	lock_byte(r, F_UNLCK, LOCK_CHANGE);
}

int reservations_commit(struct reservations *r)
{
	int ret = write_next(r);

	reservations_abandon(r);
	return ret;
}

void reservations_sync(struct reservations *r, struct loop *loop,
		       struct loop_op *op)
{
	io_uring_prep_fsync(loop_sqe(loop, op), r->fd, 0);
}

unsigned reservations_self(const struct reservations *r)
{
	return r->self;
}

const uint8_t *reservations_disk_id(const struct reservations *r)
{
	return r->disk_id;
}

const struct pr_state *reservations_state(const struct reservations *r)
{
	return &r->now.state;
}

bool reservations_is_alive(const struct reservations *r, unsigned place)
{
	return place == r->self || others_lock(r, LOCK_ALIVE + place);
}

bool reservations_is_writing(const struct reservations *r, unsigned place)
{
	return others_lock(r, LOCK_WRITING + place);
}

int reservations_enter(struct reservations *r)
{
	int ret = 0;

	if (!r->writes)
		ret = lock_byte(r, F_WRLCK, LOCK_WRITING + r->self);
	if (ret)
		return ret;
	r->writes++;
	ret = reservations_refresh(r);
	if (ret)
		reservations_leave(r);
	return ret;
}

void reservations_leave(struct reservations *r)
{
	g_assert(r->writes);
	if (!--r->writes)
		lock_byte(r, F_UNLCK, LOCK_WRITING + r->self);
}

/*
 * Opening.
 */
static bool fail(GError **error, const char *path, int status, const char *why,
		 const char *advice)
{
	g_autofree char *what = g_strdup_printf("cannot use %s, the "
						"reservations of a shared disk",
						path);

	user_error_set(error, status, "disk.reservations", what, why, advice);
	return false;
}

static bool fail_damaged(GError **error, const char *path)
{
	return fail(error, path, EX_DATAERR, "it is damaged, or another file",
		    "remove it when no machine uses the disk");
}

static bool fail_errno(GError **error, const char *path, int result)
{
	return fail(error, path, EX_CANTCREAT, g_strerror(-result),
		    "a folder that may be written");
}

/* A file without header is one that nobody has finished. */
static bool make_file(struct reservations *r, const char *path, GError **error)
{
	struct header h = { .magic = MAGIC };
	int ret = ftruncate(r->fd, FILE_SIZE) < 0 ? -errno : 0;

	for (unsigned i = 0; i < sizeof(h.disk_id); i++)
		h.disk_id[i] = (uint8_t)g_random_int();
	r->now = (struct slot){ 0 };
	r->now.crc = crc_of(&r->now);
	if (!ret)
		ret = write_all(r->fd, &r->now, sizeof(r->now), place_of(0));
	if (!ret)
		ret = write_all(r->fd, &h, sizeof(h), 0);
	memcpy(r->disk_id, h.disk_id, sizeof(h.disk_id));
	return !ret || fail_errno(error, path, ret);
}

/*
 * The state that counts.  After a crash of the host the header may be older
 * than the state that was made stable; a process that uses the file knows.
 */
static bool read_state(struct reservations *r, bool first)
{
	struct slot slot;
	bool any = false;

	r->now.sequence = UINT64_MAX;
	if (!first)
		return !reservations_refresh(r);
	for (unsigned i = 0; i < 2; i++) {
		if (read_slot(r->fd, place_of(i), &slot) &&
		    (!any || slot.sequence > r->now.sequence)) {
			r->now = slot;
			any = true;
		}
	}
	return any;
}

static bool load(struct reservations *r, const char *path, bool first,
		 GError **error)
{
	static const struct header none;
	struct header h = { 0 };
	struct stat st;

	if (fstat(r->fd, &st) < 0)
		return fail_errno(error, path, -errno);
	if (!S_ISREG(st.st_mode) || pread(r->fd, &h, sizeof(h), 0) < 0)
		return fail_damaged(error, path);
	if (!memcmp(&h, &none, sizeof(h)))
		return make_file(r, path, error);
	memcpy(r->disk_id, h.disk_id, sizeof(h.disk_id));
	if (memcmp(h.magic, MAGIC, sizeof(h.magic)) || !read_state(r, first))
		return fail_damaged(error, path);
	return true;
}

/* Nobody uses the disk: it has lost power, as it were. */
static void power_on(struct pr_state *s)
{
	if (s->aptpl)
		return;
	s->type = PR_NONE;
	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++)
		s->initiator[i] = (struct pr_initiator){ 0 };
}

/* The place of @id, or a new one; PR_INITIATORS_MAX if there is none. */
static unsigned find_place(const struct reservations *r,
			   const struct pr_state *s, const uint8_t *id)
{
	unsigned unused = PR_INITIATORS_MAX;

	for (unsigned i = 0; i < PR_INITIATORS_MAX; i++) {
		const struct pr_initiator *a = &s->initiator[i];

		if (!memcmp(a->id, id, sizeof(a->id)))
			return i;
		if (unused == PR_INITIATORS_MAX && !a->key &&
		    (has_no_id(a) || !others_lock(r, LOCK_ALIVE + i)))
			unused = i;
	}
	return unused;
}

/* NAA 3h, an address that its user assigns. */
static void id_of(const char *name, uint8_t *id)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	uint8_t digest[32];
	gsize len = sizeof(digest);

	g_checksum_update(sum, (const guchar *)name, -1);
	g_checksum_get_digest(sum, digest, &len);
	memcpy(id, digest, sizeof(((struct pr_initiator *)NULL)->id));
	id[0] = 0x30 | (id[0] & 0x0f);
}

static bool take_place(struct reservations *r, const char *path,
		       const char *name, bool first, GError **error)
{
	struct pr_state *s = &r->next.state;
	uint8_t id[sizeof(s->initiator[0].id)];
	int ret;

	r->next = r->now;
	if (first)
		power_on(s);
	id_of(name, id);
	r->self = find_place(r, s, id);
	if (r->self == PR_INITIATORS_MAX)
		return fail(error, path, EX_TEMPFAIL, "64 machines have a "
			    "place in it", "stop or unregister one of them");
	ret = lock_byte(r, F_WRLCK, LOCK_ALIVE + r->self);
	if (ret)
		return fail(error, path, EX_TEMPFAIL,
			    "another machine has this name",
			    "another shared=NAME");
	memcpy(s->initiator[r->self].id, id, sizeof(id));
	if (s->reserved6 == r->self + 1)
		s->reserved6 = 0;
	ret = write_next(r);
	return !ret || fail_errno(error, path, ret);
}

/* With the lock of a change, so that nobody comes or goes meanwhile. */
static bool join(struct reservations *r, const char *path, const char *name,
		 GError **error)
{
	bool first = !lock_byte(r, F_WRLCK, LOCK_USERS);
	int ret = lock_byte(r, F_RDLCK, LOCK_USERS);

	if (ret)
		return fail_errno(error, path, ret);
	return load(r, path, first, error) &&
	       take_place(r, path, name, first, error);
}

struct reservations *reservations_open(const char *disk, const char *name,
				       GError **error)
{
	g_autofree char *path = g_strdup_printf("%s.pr", disk);
	struct reservations *r = g_new0(struct reservations, 1);
	bool ok;

	r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
	if (r->fd < 0) {
		fail_errno(error, path, -errno);
		g_free(r);
		return NULL;
	}
	lock_call(r->fd, F_OFD_SETLKW, F_WRLCK, LOCK_CHANGE);
	ok = join(r, path, name, error);
	reservations_abandon(r);
	if (ok)
		return r;
	reservations_close(r);
	return NULL;
}

void reservations_close(struct reservations *r)
{
	if (!r)
		return;

	close(r->fd);
	g_free(r);
}

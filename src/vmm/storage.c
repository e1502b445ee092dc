/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "backends/block_limit.h"
#include "backends/block_open.h"
#include "backends/block_overlay.h"
#include "backends/nbd_connect.h"
#include "core/error.h"
#include "vmm/storage_internal.h"

#define VPS_PER_CHANNEL	4	/* as Hyper-V has it */

/* {6b766d62-7573-4000-8000-00000000000n}, n being the controller. */
static struct guid instance_of(unsigned controller)
{
	struct guid g = GUID(0x6b766d62, 0x7573, 0x4000, 0x8000, 0);

	g.b[15] = (uint8_t)controller;
	return g;
}

/* Channels beyond the first: one channel for each four VPs. */
static unsigned subchannels_for(unsigned cpus)
{
	unsigned channels = (cpus + VPS_PER_CHANNEL - 1) / VPS_PER_CHANNEL;

	return MIN(channels, STORVSP_SUBCHANNEL_MAX) - 1;
}

/* The same disk in the same place has the same name in every run. */
static struct scsi_identity identity_of(const struct disk_options *d)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	struct scsi_identity id = { 0 };
	uint8_t digest[32];
	gsize len = sizeof(digest);
	g_autofree char *name =
		g_strdup_printf("kvmbus disk %u:%u %s", d->controller, d->lun,
				d->serial ? d->serial : "");

	g_checksum_update(sum, (const guchar *)name, -1);
	g_checksum_get_digest(sum, digest, &len);
	memcpy(id.unique_id, digest, sizeof(id.unique_id));
	if (d->serial)
		g_strlcpy(id.serial, d->serial, sizeof(id.serial));
	return id;
}

static struct block_hold_watch *watch_of(const struct storage *s,
					 const struct disk_options *d)
{
	struct controller *c = &s->controller[d->controller];

	return d->pause_on_error ? &c->place[d->lun].watch : NULL;
}

/* An ephemeral disk is read from its file, and written elsewhere. */
static struct block_backend *open_backend(const struct storage *s,
					  struct loop *loop,
					  const struct disk_options *d,
					  bool ephemeral, GError **error)
{
	const struct block_file_options options = {
		.path = d->file, .read_only = d->read_only || ephemeral,
		.direct = d->direct, .shared = ephemeral ? NULL : d->shared,
		.reconnect = d->reconnect, .backing = d->backing,
		.watch = watch_of(s, d),
	};
	struct block_backend *bb = block_open(loop, &options, d->raw, error);

	if (!bb || !ephemeral || d->read_only)
		return bb;
	return block_overlay_open(loop, bb, d->ephemeral_max, error);
}

/* What is asked for goes around what the file has become. */
static struct block_backend *limit(struct loop *loop,
				   const struct disk_options *d,
				   struct block_backend *bb)
{
	const struct block_limits limits = { .ops = d->iops, .bytes = d->bps };

	return bb && (d->iops || d->bps) ? block_limit_new(loop, bb, &limits) :
					   bb;
}

/* Outermost, so that what is tried again is paid for again. */
static struct block_backend *hold(const struct storage *s, struct loop *loop,
				  const struct disk_options *d,
				  struct block_backend *bb)
{
	struct block_hold_watch *watch = watch_of(s, d);

	return bb && watch ? block_hold_new(loop, bb, watch) : bb;
}

struct block_backend *storage_open_medium(struct loop *loop, const char *path,
					  bool direct, GError **error)
{
	const struct block_file_options options = {
		.path = path, .read_only = true, .direct = direct,
	};
	g_autofree char *what = g_strdup_printf("%s cannot be in a DVD drive",
						path);
	g_autofree char *as_disk = g_strdup_printf(
		"is it all there? Compare its size and sha256sum with its "
		"maker's\nor let it be a disk: --disk %s,format=raw", path);
	struct block_backend *bb;

	/* A disc leaves when the guest wishes, at once: no connection does. */
	if (nbd_is_uri(path)) {
		user_error_set(error, EX_USAGE, "cdrom.nbd", what,
			       "discs are files or devices of the host",
			       "let it be a disk: --disk");
		return NULL;
	}
	bb = block_file_open(loop, &options, error);
	if (!bb || scsi_dvd_takes(bb))
		return bb;
	user_error_set(error, EX_DATAERR, "cdrom.size", what,
		       "it has not whole blocks of 2048 bytes, as discs have",
		       as_disk);
	block_close(bb);
	return NULL;
}

/* A drive is what the user asks for by its option, or by an ISO image. */
static bool is_dvd(const struct disk_options *d)
{
	return d->cdrom ||
	       (!d->raw && !d->shared && block_is_iso(d->file));
}

/* What is said about a file by its name must not depend on the name. */
static bool share(struct loop *loop, const struct disk_options *d,
		  struct scsi_lun *lun, GError **error)
{
	g_autofree char *path = g_file_test(d->file, G_FILE_TEST_IS_REGULAR) ?
				realpath(d->file, NULL) : NULL;
	struct reservations *r = reservations_open(path ?: d->file, d->shared,
						   error);

	if (r)
		scsi_lun_share(lun, loop, r);
	return r != NULL;
}

struct scsi_lun *storage_open_lun(const struct storage *s, struct loop *loop,
				  const struct disk_options *d, GError **error)
{
	const struct scsi_identity id = identity_of(d);
	bool ephemeral = s->options->ephemeral || d->ephemeral;
	bool dvd = is_dvd(d);
	struct block_backend *bb;
	struct scsi_lun *lun;

	if (!d->file)
		return scsi_dvd_new(NULL, &id, STORVSP_TRANSFER_MAX);
	bb = dvd ? storage_open_medium(loop, d->file, d->direct, error) :
		   open_backend(s, loop, d, ephemeral, error);
	bb = hold(s, loop, d, limit(loop, d, bb));
	if (!bb)
		return NULL;
	lun = dvd ? scsi_dvd_new(bb, &id, STORVSP_TRANSFER_MAX) :
		    scsi_disk_new(bb, &id, STORVSP_TRANSFER_MAX);
	if (!d->shared || ephemeral || share(loop, d, lun, error))
		return lun;
	scsi_lun_free(lun);
	return NULL;
}

void storage_take_place(struct storage *s, const struct disk_options *d)
{
	s->controller[d->controller].place[d->lun].file =
		g_strdup(d->file ?: "");
}

static bool open_disk(struct storage *s, const struct disk_options *d,
		      GError **error)
{
	struct controller *c = &s->controller[d->controller];
	struct scsi_lun *lun = storage_open_lun(s, iothread_loop(c->io), d,
						error);

	if (!lun)
		return false;
	storage_take_place(s, d);
	/* options_parse() has kept places apart and in range. */
	if (storvsp_attach(c->sv, d->lun, lun))
		g_assert_not_reached();
	return true;
}

bool storage_open_controller(struct storage *s, unsigned number,
			     GError **error)
{
	const struct guid instance = instance_of(number);
	struct controller *c = &s->controller[number];

	c->io = iothread_new(error);
	if (!c->io)
		return false;
	c->sv = storvsp_new(iothread_loop(c->io), s->gm, &instance,
			    subchannels_for(s->options->cpus));
	return true;
}

bool storage_open(struct storage *s, const struct options *o,
		  const struct gmem *gm, struct loop *main_loop,
		  GError **error)
{
	*s = (struct storage){
		.options = o, .gm = gm, .main_loop = main_loop,
	};
	s->controller = g_new0(struct controller, CONTROLLER_MAX);
	storage_hold_init(s);
	for (unsigned i = 0; i < o->disks->len; i++) {
		const struct disk_options *d = o->disks->pdata[i];

		if (!s->controller[d->controller].sv &&
		    !storage_open_controller(s, d->controller, error))
			return false;
		if (!open_disk(s, d, error))
			return false;
	}
	return true;
}

void storage_offer(struct storage *s, struct vmbus *bus)
{
	s->bus = bus;
	for (unsigned i = 0; i < CONTROLLER_MAX; i++) {
		struct controller *c = &s->controller[i];

		if (!c->sv)
			continue;
		vmbus_offer(bus, storvsp_device(c->sv));
		c->offered = true;
	}
}

bool storage_start(struct storage *s, GError **error)
{
	for (unsigned i = 0; i < CONTROLLER_MAX; i++)
		if (s->controller[i].io &&
		    !iothread_start(s->controller[i].io, error))
			return false;
	return true;
}

void storage_close(struct storage *s)
{
	if (!s->controller)
		return;

	/*
	 * Loops go last, but run no more when their users go.  A thread that
	 * has started a program for a disk is there as long as that disk.
	 */
	iothread_rest(s->files);
	iothread_stop(s->growth);
	for (unsigned i = 0; i < CONTROLLER_MAX; i++)
		iothread_stop(s->controller[i].io);
	storage_drop_moves(s);
	for (unsigned i = 0; i < CONTROLLER_MAX; i++) {
		struct controller *c = &s->controller[i];

		storvsp_free(c->sv);
		iothread_free(c->io);
		for (unsigned lun = 0; lun < STORVSP_LUN_MAX; lun++)
			g_free(c->place[lun].file);
	}
	iothread_stop(s->files);
	iothread_free(s->files);
	iothread_free(s->growth);
	g_clear_pointer(&s->controller, g_free);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *	ready -> decode -> scsi_submit ... scsi_done -> encode -> vmbus_complete
 *
 * Requests come from a pool of their channel, made when it opens.  When it is
 * empty, packets stay in the ring.
 *
 * A LUN is in a slot, which counts its requests:
 *
 *	empty --attach--> there --detach--> leaving --last request--> settling
 *	  ^                                                              |
 *	  +---------------------------- flushed -------------------------+
 *
 * One that is there can be held: its requests wait, and when those before have
 * ended and all is stable, who holds it may change what is below.
 *
 * To the guest only one that is there exists.  After a change it is asked to
 * enumerate the bus.  A slot that has lost its LUN is not used again before
 * the guest has seen that: it would go on with what it knows of the old one.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "core/trace.h"
#include "core/util.h"
#include "devices/storvsp/storvsp_internal.h"

/*
 * Slots.
 */

/* A LUN that the guest may use. */
static struct scsi_lun *lun_of(const struct storvsp_slot *slot)
{
	return slot->detach ? NULL : slot->lun;
}

static void settled(struct scsi_request *rq)
{
	struct storvsp_detach *d =
		container_of(rq, struct storvsp_detach, settle);

	d->failed = rq->status != SCSI_GOOD;
	d->done(d);
}

/* The slot is empty before it is heard that the LUN has settled. */
static void release(struct storvsp_slot *slot)
{
	struct storvsp_detach *d = slot->detach;

	if (!d || slot->in_flight)
		return;
	d->lun = slot->lun;
	d->settle = (struct scsi_request){ .done = settled };
	slot->lun = NULL;
	slot->detach = NULL;
	scsi_lun_settle(d->lun, &d->settle);
}

static void hold_settled(struct scsi_request *rq)
{
	struct storvsp_hold *h = container_of(rq, struct storvsp_hold, settle);

	h->failed = rq->status != SCSI_GOOD;
	h->done(h);
}

/* The last request before those that wait may have ended. */
static void settle_held(struct storvsp_slot *slot)
{
	struct storvsp_hold *h = slot->hold;

	if (!h || slot->in_flight || slot->settling)
		return;
	slot->settling = true;
	h->settle = (struct scsi_request){ .done = hold_settled };
	scsi_lun_settle(slot->lun, &h->settle);
}

static void submit(struct storvsp_slot *slot, struct storvsp_request *rq)
{
	if (slot->hold) {
		rq->next = NULL;
		*slot->held_end = rq;
		slot->held_end = &rq->next;
		return;
	}
	slot->in_flight++;
	scsi_submit(slot->lun, &rq->scsi);
}

/* Versions before 5.1 have shorter packets. */
static void enumerate(struct storvsp *sv)
{
	const struct vstor_packet p = {
		.operation = VSTOR_OPERATION_ENUMERATE_BUS,
	};
	size_t len = sv->version < VMSTOR_WIN8 ? VSTOR_PACKET_MIN : sizeof(p);

	if (sv->must_enumerate)
		sv->must_enumerate = vmbus_send(sv->primary, &p, len) ==
				     -EAGAIN;
}

/* If not, the guest looks at all LUNs when it is. */
static bool is_ready(const struct storvsp *sv)
{
	return sv->primary && sv->state == INIT_READY;
}

void storvsp_announce(struct storvsp *sv)
{
	if (!is_ready(sv))
		return;
	sv->must_enumerate = true;
	enumerate(sv);
}

static void lun_set_changed(struct storvsp *sv, unsigned number)
{
	for (unsigned i = 0; i < STORVSP_LUN_MAX && is_ready(sv); i++)
		if (i != number && lun_of(&sv->slot[i]))
			scsi_lun_set_changed(sv->slot[i].lun);
	storvsp_announce(sv);
}

/*
 * Answers.
 */
static void complete(struct storvsp_channel *sc, uint64_t trans_id,
		     struct vstor_packet *p, size_t len,
		     enum vstor_status status)
{
	p->operation = VSTOR_OPERATION_COMPLETE_IO;
	p->flags = 0;
	p->status = status;
	/* FreeBSD sends without wanting an answer by id 0. */
	if (trans_id)
		vmbus_complete(sc->ch, trans_id, p, MIN(len, sizeof(*p)));
}

static void request_free(struct storvsp_request *rq)
{
	struct storvsp_channel *sc = rq->sc;

	if (rq->slot)
		sc->of_lun[rq->slot - sc->sv->slot]--;
	rq->next = sc->free;
	sc->free = rq;
	sc->in_flight--;
	vmbus_channel_set_busy(sc->ch, sc->in_flight != 0);
}

static enum vstor_status status_of(uint8_t srb_status)
{
	switch (srb_status & 0x3f) {
	case SRB_STATUS_SUCCESS:
		return VSTOR_STATUS_SUCCESS;
	case SRB_STATUS_BUSY:
		return VSTOR_STATUS_BUSY;
	case SRB_STATUS_INVALID_LUN:
	case SRB_STATUS_INVALID_TARGET_ID:
		return VSTOR_STATUS_DEVICE_DOES_NOT_EXIST;
	case SRB_STATUS_INVALID_REQUEST:
		return VSTOR_STATUS_INVALID_DEVICE_REQUEST;
	default:
		return VSTOR_STATUS_IO_DEVICE_ERROR;
	}
}

static void channel_finish(struct storvsp_channel *sc)
{
	struct vmbus_channel *ch = sc->ch;

	g_free(sc);
	vmbus_closed(ch);
}

/* The SRB is over with @srb_status; @transferred bytes have moved. */
static void reply(struct storvsp_request *rq, uint8_t srb_status,
		  uint32_t transferred)
{
	struct storvsp_channel *sc = rq->sc;
	struct vmscsi_request *srb = &rq->packet.vm_srb;

	srb->srb_status = srb_status;
	srb->scsi_status = rq->scsi.status;
	srb->data_transfer_length = transferred;
	complete(sc, rq->trans_id, &rq->packet, rq->packet_len,
		 status_of(srb_status));
	request_free(rq);
	if (sc->closing && !sc->in_flight)
		channel_finish(sc);
}

#define INQUIRY			0x12
#define MODE_SENSE_6		0x1a
#define MODE_SENSE_10		0x5a
#define REPORT_LUNS		0xa0

/* Linux takes these commands for successes even if they fail ... */
static bool failure_is_ignored(const struct scsi_request *rq)
{
	uint8_t op = rq->cdb[0];

	return op == INQUIRY || op == MODE_SENSE_6 || op == MODE_SENSE_10;
}

/* ... and looks at the buffer: let it find zeroes, not what was there. */
static void clear_ignored_failure(const struct scsi_request *rq)
{
	if (rq->dir != SCSI_DATA_IN || !failure_is_ignored(rq))
		return;
	for (int i = 0; i < rq->data_cnt; i++)
		memset(rq->data[i].iov_base, 0, rq->data[i].iov_len);
}

static void scsi_done(struct scsi_request *scsi)
{
	struct storvsp_request *rq =
		container_of(scsi, struct storvsp_request, scsi);
	struct storvsp_slot *slot = rq->slot;
	struct vmscsi_request *srb = &rq->packet.vm_srb;
	uint8_t srb_status = SRB_STATUS_SUCCESS;
	uint8_t room = MIN(srb->sense_info_length, VMSCSI_SENSE_MAX);

	if (scsi->status == SCSI_CHECK_CONDITION) {
		srb->sense_info_length = MIN(scsi->sense_len, room);
		memset(srb->sense_data, 0, sizeof(srb->sense_data));
		memcpy(srb->sense_data, scsi->sense, srb->sense_info_length);
		srb_status = SRB_STATUS_ERROR |
			     (room ? SRB_STATUS_AUTOSENSE_VALID : 0);
		clear_ignored_failure(scsi);
	} else if (scsi->status != SCSI_GOOD) {
		/* Linux tries again, for good, only what was busy here too. */
		srb_status = scsi->status == SCSI_BUSY ? SRB_STATUS_BUSY :
							 SRB_STATUS_ERROR;
	}
	trace(TRACE_STORVSP, "storvsp.done trans=%#" G_GINT64_MODIFIER
	      "x status=%u bytes=%u", rq->trans_id, scsi->status,
	      scsi->transferred);
	reply(rq, srb_status, scsi->transferred);
	slot->in_flight--;
	release(slot);
	settle_held(slot);
}

/*
 * Requests.
 */

/* Turn the GPA-direct header into iovecs.  The count, or -errno. */
static int decode_data(const struct gmem *gm, struct reader *r,
		       struct iovec *iov, uint32_t len)
{
	struct vmdata_gpa_direct h;
	struct gpa_range range;
	uint32_t off, step;
	uint64_t pfn;
	int n = 0;

	if (!READ(r, &h) || h.range_cnt != 1 || !READ(r, &range) ||
	    range.byte_count < len || range.byte_offset >= GMEM_PAGE_SIZE)
		return -EPROTO;
	for (off = range.byte_offset; len; len -= step, off = 0) {
		step = MIN(len, (uint32_t)GMEM_PAGE_SIZE - off);
		if (!READ(r, &pfn) || pfn > UINT64_MAX / GMEM_PAGE_SIZE)
			return -EPROTO;
		n = gmem_map(gm, pfn * GMEM_PAGE_SIZE + off, step, iov, n,
			     IOV_MAX_COUNT);
		if (n < 0)
			return n;
	}
	return n;
}

static const enum scsi_direction directions[] = {
	[WRITE_TYPE] = SCSI_DATA_OUT,
	[READ_TYPE] = SCSI_DATA_IN,
	[UNKNOWN_TYPE] = SCSI_DATA_NONE,
};

/* Fill @rq->scsi from the packet; touch nothing else.  0 or -errno. */
static int decode_srb(const struct storvsp *sv, struct vmbus_packet *pkt,
		      struct storvsp_request *rq)
{
	const struct vmscsi_request *srb = &rq->packet.vm_srb;
	uint32_t len = srb->data_transfer_length;
	int n;

	rq->scsi = (struct scsi_request){ .done = scsi_done };
	if (srb->cdb_length > SCSI_CDB_MAX || !srb->cdb_length ||
	    srb->data_in >= G_N_ELEMENTS(directions) ||
	    len > STORVSP_TRANSFER_MAX)
		return -EPROTO;
	memcpy(rq->scsi.cdb, srb->cdb, srb->cdb_length);
	rq->scsi.cdb_len = srb->cdb_length;
	if (!len || srb->data_in == UNKNOWN_TYPE)
		return 0;
	if (pkt->desc.type != VM_PKT_DATA_USING_GPA_DIRECT)
		return -EPROTO;
	n = decode_data(sv->vmbus.gm, &pkt->header, rq->iov, len);
	if (n < 0)
		return n;
	rq->scsi.dir = directions[srb->data_in];
	rq->scsi.data = rq->iov;
	rq->scsi.data_cnt = n;
	rq->scsi.data_len = len;
	return 0;
}

/* Copy @len bytes to where the guest wants data; what was taken. */
static uint32_t put_data(const struct scsi_request *rq, const uint8_t *from,
			 uint32_t len)
{
	uint32_t left = MIN(len, rq->data_len), done = 0;

	for (int i = 0; i < rq->data_cnt && left; i++) {
		uint32_t n = (uint32_t)MIN(rq->data[i].iov_len, left);

		memcpy(rq->data[i].iov_base, from + done, n);
		done += n;
		left -= n;
	}
	return done;
}

#define INQUIRY_EVPD		0x01
#define INQUIRY_SIZE		36
#define NO_DEVICE_HERE		0x7f	/* qualifier 3, type 1f */

/*
 * LUNs and targets that are not there: INQUIRY must succeed and say so, as
 * Linux does not see it fail.
 */
static void absent(struct storvsp_request *rq, enum srb_status otherwise)
{
	static const uint8_t nothing[INQUIRY_SIZE] = {
		NO_DEVICE_HERE, 0, 5, 2, INQUIRY_SIZE - 5,
	};

	if (rq->scsi.cdb[0] == INQUIRY && !(rq->scsi.cdb[1] & INQUIRY_EVPD) &&
	    rq->scsi.dir == SCSI_DATA_IN) {
		reply(rq, SRB_STATUS_SUCCESS,
		      put_data(&rq->scsi, nothing, sizeof(nothing)));
	} else {
		clear_ignored_failure(&rq->scsi);
		reply(rq, (uint8_t)otherwise, 0);
	}
}

/*
 * Which LUNs there are is the target's to say, even if LUN 0 is none.  Targets
 * that are not there have none: Linux asks them all.
 */
static void report_luns(struct storvsp *sv, struct storvsp_request *rq,
			bool target_exists)
{
	const uint8_t *cdb = rq->scsi.cdb;
	uint32_t allocation = (uint32_t)cdb[6] << 24 | cdb[7] << 16 |
			      cdb[8] << 8 | cdb[9];
	uint8_t list[8 + 8 * STORVSP_LUN_MAX] = { 0 };
	uint32_t len = 8;

	for (unsigned i = 0; i < STORVSP_LUN_MAX && target_exists; i++) {
		sv->slot[i].unseen = false;
		if (!lun_of(&sv->slot[i]))
			continue;
		scsi_lun_set_reported(sv->slot[i].lun);
		list[len + 1] = (uint8_t)i;
		len += 8;
	}
	list[2] = (uint8_t)((len - 8) >> 8);
	list[3] = (uint8_t)(len - 8);
	reply(rq, SRB_STATUS_SUCCESS,
	      rq->scsi.dir == SCSI_DATA_IN ?
		      put_data(&rq->scsi, list, MIN(len, allocation)) : 0);
}

static void no_lun(struct storvsp *sv, struct storvsp_request *rq)
{
	uint8_t number = rq->packet.vm_srb.lun;

	if (number < STORVSP_LUN_MAX)
		sv->slot[number].unseen = false;
	absent(rq, SRB_STATUS_INVALID_LUN);
}

/* It has what a LUN may have of the channel's pool beside others. */
static bool is_full(const struct storvsp_request *rq, unsigned number)
{
	const struct storvsp *sv = rq->sc->sv;

	if (rq->sc->of_lun[number] < LUN_DEPTH || failure_is_ignored(&rq->scsi))
		return false;
	for (unsigned i = 0; i < STORVSP_LUN_MAX; i++)
		if (i != number && lun_of(&sv->slot[i]))
			return true;
	return false;
}

static void to_lun(struct storvsp_request *rq, unsigned number)
{
	struct storvsp_slot *slot = &rq->sc->sv->slot[number];

	if (is_full(rq, number)) {
		rq->scsi.status = SCSI_TASK_SET_FULL;
		reply(rq, SRB_STATUS_BUSY, 0);
		return;
	}
	rq->slot = slot;
	rq->sc->of_lun[number]++;
	submit(slot, rq);
}

static void execute_srb(struct storvsp *sv, struct storvsp_request *rq)
{
	const struct vmscsi_request *srb = &rq->packet.vm_srb;
	bool is_target = !srb->path_id && !srb->target_id;
	struct scsi_lun *lun = storvsp_lun(sv, srb->lun);

	trace(TRACE_STORVSP, "storvsp.submit trans=%#" G_GINT64_MODIFIER
	      "x lun=%u op=%02x len=%u", rq->trans_id, srb->lun,
	      rq->scsi.cdb[0], rq->scsi.data_len);
	if (rq->scsi.cdb[0] == REPORT_LUNS)
		report_luns(sv, rq, is_target);
	else if (!is_target)
		absent(rq, SRB_STATUS_INVALID_TARGET_ID);
	else if (lun)
		to_lun(rq, srb->lun);
	else
		no_lun(sv, rq);
}

/*
 * The channel.
 */

/* Read the packet.  Its size as sent, or 0 if it is none. */
static size_t read_packet(struct vmbus_packet *pkt, struct vstor_packet *p)
{
	size_t len = pkt->payload.left;

	memset(p, 0, sizeof(*p));
	if (len < VSTOR_PACKET_MIN)
		return 0;
	reader_copy(&pkt->payload, p, MIN(len, sizeof(*p)));
	return len;
}

static void handle_srb(struct storvsp_channel *sc, struct vmbus_packet *pkt,
		       const struct vstor_packet *p, size_t len)
{
	struct storvsp_request *rq = sc->free;
	struct storvsp *sv = sc->sv;
	int ret;

	sc->free = rq->next;
	sc->in_flight++;
	vmbus_channel_set_busy(sc->ch, true);
	rq->packet = *p;
	rq->packet_len = len;
	rq->trans_id = pkt->desc.trans_id;
	rq->slot = NULL;
	ret = decode_srb(sv, pkt, rq);
	if (ret) {
		trace(TRACE_STORVSP, "storvsp.reject error=%d", -ret);
		reply(rq, SRB_STATUS_INVALID_REQUEST, 0);
		return;
	}
	execute_srb(sv, rq);
}

static void handle(struct storvsp_channel *sc, struct vmbus_packet *pkt)
{
	struct vstor_packet p;
	size_t len = read_packet(pkt, &p);
	bool inband = pkt->desc.type == VM_PKT_DATA_INBAND;

	if (!len || (!inband &&
		     pkt->desc.type != VM_PKT_DATA_USING_GPA_DIRECT)) {
		trace(TRACE_STORVSP, "storvsp.drop type=%u len=%zu",
		      pkt->desc.type, len);
		return;
	}
	if (p.operation == VSTOR_OPERATION_EXECUTE_SRB &&
	    sc->sv->state == INIT_READY)
		handle_srb(sc, pkt, &p, len);
	else
		complete(sc, pkt->desc.trans_id, &p, len,
			 storvsp_control(sc, &p));
}

static void storvsp_ready(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct storvsp_channel *sc = vmbus_channel_data(ch);
	struct vmbus_packet pkt;

	if (ch == sc->sv->primary)
		enumerate(sc->sv);
	/* What finds the pool empty waits in the ring for a completion. */
	while (sc->free && vmbus_recv(ch, &pkt) > 0)
		handle(sc, &pkt);
}

/* The guest knows nothing of what was before. */
static void begin_anew(struct storvsp *sv)
{
	storvsp_reset_luns(sv, 0, STORVSP_LUN_MAX);
	for (unsigned i = 0; i < STORVSP_LUN_MAX; i++)
		sv->slot[i].unseen = false;
}

static int storvsp_open(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct storvsp *sv = container_of(dev, struct storvsp, vmbus);
	struct storvsp_channel *sc = g_malloc0(sizeof(*sc));

	sc->sv = sv;
	sc->ch = ch;
	for (unsigned i = 0; i < QUEUE_DEPTH; i++) {
		sc->pool[i].sc = sc;
		sc->pool[i].iov = sc->iov[i];
		sc->pool[i].next = sc->free;
		sc->free = &sc->pool[i];
	}
	if (!vmbus_channel_index(ch)) {
		sv->state = INIT_BEGIN;
		sv->has_subchannels = false;
		sv->primary = ch;
		sv->must_enumerate = false;
		begin_anew(sv);
	}
	vmbus_channel_set_data(ch, sc);
	return 0;
}

/* Requests of @sc that wait will never be done. */
static void drop_held(struct storvsp_channel *sc, struct storvsp_slot *slot)
{
	struct storvsp_request *rq = slot->held, *next;

	slot->held = NULL;
	slot->held_end = &slot->held;
	for (; rq; rq = next) {
		next = rq->next;
		if (rq->sc == sc)
			request_free(rq);
		else
			submit(slot, rq);
	}
}

static void storvsp_close(struct vmbus_device *dev, struct vmbus_channel *ch)
{
	struct storvsp_channel *sc = vmbus_channel_data(ch);

	sc->closing = true;
	if (ch == sc->sv->primary)
		sc->sv->primary = NULL;
	for (unsigned i = 0; i < STORVSP_LUN_MAX; i++)
		if (sc->sv->slot[i].hold)
			drop_held(sc, &sc->sv->slot[i]);
	if (!sc->in_flight) {
		channel_finish(sc);
		return;
	}
	for (unsigned i = 0; i < STORVSP_LUN_MAX; i++)
		if (sc->sv->slot[i].lun)
			scsi_lun_hurry(sc->sv->slot[i].lun);
}

static const struct vmbus_device_ops storvsp_ops = {
	.name = "storvsp",
	.open = storvsp_open,
	.ready = storvsp_ready,
	.close = storvsp_close,
};

struct storvsp *storvsp_new(struct loop *loop, const struct gmem *gm,
			    const struct guid *instance,
			    unsigned max_subchannels)
{
	struct storvsp *sv = g_new0(struct storvsp, 1);

	sv->vmbus = (struct vmbus_device){
		.ops = &storvsp_ops,
		.if_type = GUID(0xba6163d9, 0x04a1, 0x4d29, 0xb605,
				0x72e2ffb1dc7f),
		.if_instance = *instance,
		.loop = loop,
		.gm = gm,
	};
	sv->max_subchannels = MIN(max_subchannels, STORVSP_SUBCHANNEL_MAX);
	return sv;
}

void storvsp_free(struct storvsp *sv)
{
	if (!sv)
		return;

	for (unsigned i = 0; i < STORVSP_LUN_MAX; i++)
		scsi_lun_free(sv->slot[i].lun);
	g_free(sv);
}

int storvsp_attach(struct storvsp *sv, unsigned number, struct scsi_lun *lun)
{
	if (number >= STORVSP_LUN_MAX)
		return -EINVAL;
	if (sv->slot[number].lun)
		return -EEXIST;
	if (sv->slot[number].unseen)
		return -EBUSY;
	sv->slot[number].lun = lun;
	trace(TRACE_STORVSP, "storvsp.attach lun=%u", number);
	lun_set_changed(sv, number);
	return 0;
}

int storvsp_detach(struct storvsp *sv, unsigned number,
		   struct storvsp_detach *d)
{
	struct storvsp_slot *slot = &sv->slot[number];

	if (number >= STORVSP_LUN_MAX || !slot->lun)
		return -ENODEV;
	if (slot->detach || slot->hold)
		return -EBUSY;
	slot->detach = d;
	slot->unseen = is_ready(sv);
	trace(TRACE_STORVSP, "storvsp.detach lun=%u in_flight=%u", number,
	      slot->in_flight);
	lun_set_changed(sv, number);
	scsi_lun_hurry(slot->lun);
	release(slot);
	return 0;
}

int storvsp_hold(struct storvsp *sv, unsigned number, struct storvsp_hold *h)
{
	struct storvsp_slot *slot = &sv->slot[number];

	if (number >= STORVSP_LUN_MAX || !lun_of(slot))
		return -ENODEV;
	if (slot->hold)
		return -EBUSY;
	slot->hold = h;
	slot->settling = false;
	slot->held = NULL;
	slot->held_end = &slot->held;
	settle_held(slot);
	return 0;
}

void storvsp_release(struct storvsp *sv, unsigned number)
{
	struct storvsp_slot *slot = &sv->slot[number];
	struct storvsp_request *rq = slot->held, *next;

	slot->hold = NULL;
	slot->held = NULL;
	for (; rq; rq = next) {
		next = rq->next;
		submit(slot, rq);
	}
}

struct scsi_lun *storvsp_lun(const struct storvsp *sv, unsigned number)
{
	return number < STORVSP_LUN_MAX ? lun_of(&sv->slot[number]) : NULL;
}

void storvsp_again(struct storvsp *sv)
{
	for (unsigned i = 0; i < STORVSP_LUN_MAX; i++)
		if (sv->slot[i].lun)
			scsi_lun_again(sv->slot[i].lun);
}

struct vmbus_device *storvsp_device(struct storvsp *sv)
{
	return &sv->vmbus;
}

// SPDX-License-Identifier: MIT
/*
 * The request path of virtio-blk (virtio 1.3, section 5.2.6).
 *
 * A request is a 16-byte header, data, and one status byte. Where descriptors begin and end means
 * nothing (2.7.4.1): the header is the first 16 device-readable bytes, the status is the last
 * device-writable one, and all between is data.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stddef.h>

#include "devices/blk/blk_internal.h"

#define BATCH 32

/* struct virtio_blk_req, what comes before the data */
struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};
_Static_assert(sizeof(struct blk_header) == 16, "virtio 1.3, 5.2.6");

/* Overwrites device-writable bytes from @from up to @to. */
static __attribute__((cold)) void clear(struct vg_request *req, size_t from, size_t to)
{
	static const uint8_t zeroes[VG_PAGE_SIZE];

	for (unsigned int i = req->out_iovs; from < to && i < req->out_iovs + req->in_iovs; i++) {
		const struct vg_iov *iov = &req->iov[i];

		for (size_t at = from; at < iov->len && at < to;) {
			size_t end = to < iov->len ? to : iov->len;
			size_t part = end - at < sizeof(zeroes) ? end - at : sizeof(zeroes);

			vg_guest_copy_to(vg_guest_offset(iov->base, at), zeroes, part);
			at += part;
		}
		from = from > iov->len ? from - iov->len : 0;
		to = to > iov->len ? to - iov->len : 0;
	}
}

/*
 * Answers a request whose first @filled device-writable bytes hold data. The status comes last, so
 * the used length must be that of all (what lies past the used length does not reach the guest when
 * it was copied): then what holds no data is cleared, so that the length is true.
 */
static void answer(struct vg_blk *blk, struct vg_virtqueue *vq, struct vg_element *elem,
		   uint32_t filled, uint8_t status)
{
	uint32_t len = elem->req.in_len;

	blk->stats.errors += status != VIRTIO_BLK_S_OK;
	if (__builtin_expect(filled < len - 1, 0))
		clear(&elem->req, filled, len - 1);
	vg_request_write(&elem->req, len - 1, &status, sizeof(status));
	vg_vq_complete(vq, elem, len);
}

void blk_op_done(struct vg_blk_op *op, int error, uint32_t bytes)
{
	struct blk_request *r =
		(struct blk_request *)(void *)((char *)op - offsetof(struct blk_request, op));
	struct vg_blk *blk = r->blk;
	uint32_t filled = 0;

	switch (op->type) {
	case VG_BLK_READ:
		blk->stats.reads++;
		blk->stats.bytes_read += bytes;
		filled = bytes;
		break;
	case VG_BLK_WRITE:
		blk->stats.writes++;
		blk->stats.bytes_written += bytes;
		break;
	case VG_BLK_FLUSH:
		blk->stats.flushes++;
		break;
	}
	blk->stats.in_flight--;
	blk->free[blk->num_free++] = r;
	answer(blk, r->vq, r->elem, filled, error ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
}

/*
 * Points @op at @len bytes (not 0) of the pieces from @iov on, after the first @offset; they are
 * there. When that begins and ends where pieces do, as with every driver known, nothing is copied.
 */
static void point(struct vg_blk_op *op, const struct vg_iov *iov, size_t offset, size_t len)
{
	unsigned int n = 0;
	size_t sum = 0;

	while (offset >= iov->len)
		offset -= (iov++)->len;
	while (sum < offset + len)
		sum += iov[n++].len;
	op->iov = iov;
	op->iovs = (uint16_t)n;
	op->len = (uint32_t)len;
	if (__builtin_expect(!offset && sum == len, 1))
		return;
	memcpy(op->scratch, iov, n * sizeof(*iov));
	op->scratch[0].base = vg_guest_offset(op->scratch[0].base, offset);
	op->scratch[0].len -= offset;
	op->scratch[n - 1].len -= sum - offset - len;
	op->iov = op->scratch;
}

/* What the engine works on for @elem; there are as many as elements can be in flight. */
static struct blk_request *take(struct vg_blk *blk, struct vg_virtqueue *vq,
				struct vg_element *elem, enum vg_blk_op_type type)
{
	struct blk_request *r = blk->free[--blk->num_free];

	r->vq = vq;
	r->elem = elem;
	r->op.type = type;
	r->op.stable = false;
	r->op.len = 0;
	r->op.iovs = 0;
	r->op.offset = 0;
	blk->stats.in_flight++;
	return r;
}

static void transfer(struct vg_blk *blk, struct vg_virtqueue *vq, struct vg_element *elem,
		     uint64_t sector, bool write)
{
	struct vg_request *req = &elem->req;
	uint32_t len = write ? req->out_len - (uint32_t)sizeof(struct blk_header) : req->in_len - 1;
	bool bad = len % VG_BLK_SECTOR || sector > blk->sectors ||
		   len / VG_BLK_SECTOR > blk->sectors - sector || (write && blk->read_only);
	struct blk_request *r;

	if (__builtin_expect(bad || !len, 0)) {
		blk->stats.reads += !write;
		blk->stats.writes += write;
		answer(blk, vq, elem, 0, bad ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
		return;
	}
	r = take(blk, vq, elem, write ? VG_BLK_WRITE : VG_BLK_READ);
	r->op.offset = sector * VG_BLK_SECTOR;
	r->op.stable = write && blk->stable;
	if (write)
		point(&r->op, req->iov, sizeof(struct blk_header), len);
	else
		point(&r->op, req->iov + req->out_iovs, 0, len);
	vg_blk_submit(blk->engine, &r->op);
}

static void get_id(struct vg_blk *blk, struct vg_virtqueue *vq, struct vg_element *elem)
{
	uint32_t room = elem->req.in_len - 1;
	uint32_t len = room < sizeof(blk->serial) ? room : (uint32_t)sizeof(blk->serial);

	blk->stats.other++;
	vg_request_write(&elem->req, 0, blk->serial, len);
	answer(blk, vq, elem, len, VIRTIO_BLK_S_OK);
}

static void handle(struct vg_blk *blk, struct vg_virtqueue *vq, struct vg_element *elem)
{
	struct vg_request *req = &elem->req;
	struct blk_header header;

	/*
	 * A driver looks at nothing but the status byte, and would take what it held before, often
	 * 0, for success: where its request cannot be reached as a whole, that byte still says so.
	 */
	elem->on_error = VIRTIO_BLK_S_IOERR;
	if (__builtin_expect(req->error || !req->in_len, 0)) {
		blk->stats.other++;
		blk->stats.errors++;
		vg_vq_complete(vq, elem, 0);
		return;
	}
	/* The one fetch of the header. */
	if (vg_request_read(req, 0, &header, sizeof(header)) < sizeof(header)) {
		blk->stats.other++;
		answer(blk, vq, elem, 0, VIRTIO_BLK_S_IOERR);
		return;
	}
	switch (le32toh(header.type)) {
	case VIRTIO_BLK_T_IN:
		transfer(blk, vq, elem, le64toh(header.sector), false);
		break;
	case VIRTIO_BLK_T_OUT:
		transfer(blk, vq, elem, le64toh(header.sector), true);
		break;
	case VIRTIO_BLK_T_FLUSH:
		vg_blk_submit(blk->engine, &take(blk, vq, elem, VG_BLK_FLUSH)->op);
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(blk, vq, elem);
		break;
	default:
		blk->stats.other++;
		answer(blk, vq, elem, 0, VIRTIO_BLK_S_UNSUPP);
	}
}

int blk_process(void *priv, unsigned int index, struct vg_virtqueue *vq, unsigned int budget)
{
	struct vg_element *elems[BATCH];
	struct vg_blk *blk = priv;
	unsigned int taken = 0;
	int n;

	(void)index;
	while (taken < budget) {
		n = vg_vq_pop(vq, elems, budget - taken < BATCH ? budget - taken : BATCH);
		/* What came before the corruption is honest work; the next call says the rest. */
		if (n < 0 && !taken)
			return n;
		if (n <= 0)
			break;
		for (int i = 0; i < n; i++)
			handle(blk, vq, elems[i]);
		taken += (unsigned int)n;
	}
	return (int)taken;
}

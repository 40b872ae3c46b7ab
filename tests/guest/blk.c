// SPDX-License-Identifier: MIT
/* The request path of virtio-blk: submit, kick, reap, wait. Set-up is in blk_setup.c. */
#include "blk_internal.h"

#define NEEDS_RESET 0x40
#define MOVE_SIZE   16384u /* so much is copied from the pool before it is zeroed */

/* Exchanges the slot's buffer for the one that was not used for longest. */
static void next_buffer(struct blk_queue *bq, struct slot *slot)
{
	struct buffer *spare = &bq->spare[bq->next_spare], last;

	if (!bq->num_spare)
		return;
	last = (struct buffer){slot->pub.data, slot->pages, slot->offset, 0};
	slot->pub.data = spare->data;
	slot->pages = spare->pages;
	slot->offset = spare->offset;
	*spare = last;
	if (++bq->next_spare == bq->num_spare)
		bq->next_spare = 0;
}

int vgg_blk_prepare(struct vgg_blk *blk, struct vgg_blk_slot *pub)
{
	struct slot *slot = slot_of(pub);
	int err;

	if (pub->busy)
		return -EBUSY;
	if (blk->mode != VGG_FRESH) {
		next_buffer(&blk->queue[pub->queue], slot);
		return 0;
	}
	err = vgg_unshare(blk->g, &slot->fresh);
	if (!err)
		err = vgg_share(blk->g, bytes_to_pages(blk->max_bytes), true, &slot->fresh);
	slot->pages = &slot->fresh;
	pub->data = slot->fresh.base;
	return err;
}

/*
 * Takes a place in the pool for @len bytes. What the device reads is copied there; where it is to
 * write there are zeros, so that it finds nothing of an earlier request.
 */
static int bounce_out(struct vgg_blk *blk, struct blk_queue *bq, struct slot *slot,
		      enum vgg_blk_op op, uint32_t len)
{
	struct buffer *place = &slot->bounced;

	if (!bounces(blk->mode) || !len)
		return 0;
	if (!bq->num_pool)
		return -ENOSPC;
	*place = bq->pool[--bq->num_pool];
	slot->pages = place->pages;
	slot->offset = place->offset;
	if (op == VGG_BLK_WRITE) {
		memcpy(place->data, slot->pub.data, len);
		blk->g->stats.bytes_bounced += len;
	} else {
		memset(place->data, 0, place->stale);
		blk->g->stats.bytes_zeroed += place->stale;
	}
	if (place->stale < len)
		place->stale = len;
	return 0;
}

/* Copies from the pool and leaves zeros there, written while the cache has what was read. */
static void move_in(uint8_t *to, uint8_t *from, uint32_t len)
{
	uint32_t part;

	for (; len; len -= part, to += part, from += part) {
		part = len < MOVE_SIZE ? len : MOVE_SIZE;
		memcpy(to, from, part);
		memset(from, 0, part);
	}
}

/* Gives the place back; with @take, what the device wrote goes to the driver's memory first. */
static void bounce_in(struct vgg_blk *blk, struct blk_queue *bq, struct slot *slot, bool take)
{
	struct buffer *place = &slot->bounced;
	uint32_t len = slot->pub.len;

	if (!place->data)
		return;
	if (take && slot->pub.op != VGG_BLK_WRITE) {
		move_in(slot->pub.data, place->data, len);
		if (place->stale == len)
			place->stale = 0;
		blk->g->stats.bytes_bounced += len;
		blk->g->stats.bytes_zeroed += len;
	}
	bq->pool[bq->num_pool++] = *place;
	place->data = NULL;
}

/* The data of @slot as segments, at least blk->segments of them where it is long enough. */
static int data_segments(const struct vgg_blk *blk, const struct slot *slot, uint32_t len,
			 struct vgg_seg *segs, unsigned int max)
{
	uint32_t piece = len, done = 0;
	unsigned int n = 0;

	if (blk->segments > 1 && len / blk->segments >= VGG_SECTOR)
		piece = len / blk->segments / VGG_SECTOR * VGG_SECTOR;
	while (done < len) {
		uint32_t left = len - done < piece ? len - done : piece;
		int got = vgg_segments(slot->pages, slot->offset + done, left, segs + n, max - n);

		if (got < 0)
			return got;
		n += (unsigned int)got;
		done += left;
	}
	return (int)n;
}

int vgg_blk_submit(struct vgg_blk *blk, struct vgg_blk_slot *pub, enum vgg_blk_op op,
		   uint64_t sector, uint32_t len)
{
	struct blk_queue *bq = &blk->queue[pub->queue];
	struct slot *slot = slot_of(pub);
	struct vgg_seg segs[MAX_SEGMENTS];
	unsigned int out = 1, in = 1;
	int n, head;

	if (pub->busy)
		return -EBUSY;
	if (len > blk->max_bytes || (len && !pub->data))
		return -EINVAL;
	slot->meta->type = htole32(op);
	slot->meta->reserved = 0;
	slot->meta->sector = htole64(sector);
	slot->meta->status = 0xff;
	n = bounce_out(blk, bq, slot, op, len);
	if (n)
		return n;

	segs[0] = (struct vgg_seg){slot->meta_addr, HEADER_BYTES};
	n = len ? data_segments(blk, slot, len, segs + 1, MAX_SEGMENTS - 2) : 0;
	if (n < 0) {
		bounce_in(blk, bq, slot, false);
		return n;
	}
	*(op == VGG_BLK_WRITE ? &out : &in) += (unsigned int)n;
	segs[1 + n] = (struct vgg_seg){slot->meta_addr + HEADER_BYTES, 1};

	head = vgg_ring_add(&bq->q.ring, segs, out, in, blk->indirect ? &slot->indirect : NULL,
			    slot);
	if (head < 0) {
		bounce_in(blk, bq, slot, false);
		return head;
	}
	pub->op = op;
	pub->len = len;
	pub->busy = true;
	bq->inflight++;
	return 0;
}

int vgg_blk_kick(struct vgg_blk *blk, uint16_t queue)
{
	struct vgg_queue *q = &blk->queue[queue].q;

	return vgg_ring_publish(&q->ring) ? vgg_kick(blk->g, q) : 0;
}

int vgg_blk_reap(struct vgg_blk *blk, uint16_t queue, struct vgg_blk_slot **done, unsigned int max)
{
	struct blk_queue *bq = &blk->queue[queue];
	struct vgg_stats *stats = &blk->g->stats;
	unsigned int n;

	for (n = 0; n < max; n++) {
		uint32_t used_len;
		struct slot *slot;
		void *cookie;
		int got = vgg_ring_get(&bq->q.ring, &cookie, &used_len);

		if (got < 0)
			return vgg_fail(blk->g, got,
					"the device completed a request that is not in flight");
		if (!got)
			break;
		slot = cookie;
		slot->pub.busy = false;
		slot->pub.used_len = used_len;
		slot->pub.status = slot->meta->status;
		bounce_in(blk, bq, slot, true);
		bq->inflight--;
		stats->requests++;
		if (slot->pub.op == VGG_BLK_READ)
			stats->bytes_read += slot->pub.len;
		else if (slot->pub.op == VGG_BLK_WRITE)
			stats->bytes_written += slot->pub.len;
		done[n] = &slot->pub;
	}
	return (int)n;
}

bool vgg_blk_arm(struct vgg_blk *blk, uint16_t batch)
{
	bool ready = false;

	for (unsigned int i = 0; i < blk->queues; i++) {
		struct blk_queue *bq = &blk->queue[i];
		uint16_t after = batch < bq->inflight ? batch : (uint16_t)bq->inflight;

		if (after && vgg_ring_enable_interrupts(&bq->q.ring, after))
			ready = true;
	}
	return ready;
}

static bool any_used(const struct vgg_blk *blk)
{
	for (unsigned int i = 0; i < blk->queues; i++) {
		const struct vgg_ring *ring = &blk->queue[i].q.ring;

		if (vg_guest_load16_acquire(&ring->used->idx) != ring->last_used)
			return true;
	}
	return false;
}

int vgg_blk_wait(struct vgg_blk *blk, uint16_t batch)
{
	uint64_t deadline = vgg_now_ms() + blk->g->timeout_ms;
	int err = 0;

	while (!vgg_blk_arm(blk, batch)) {
		int left = vgg_left_ms(deadline);

		if (!left) {
			err = vgg_fail(blk->g, -ETIMEDOUT, "no request was completed within %u ms",
				       blk->g->timeout_ms);
			break;
		}
		err = vgg_wait(blk->g, left);
		if (err < 0)
			break;
		err = vgg_ctl_receive(blk->g, NULL, NULL);
		if (err < 0)
			break;
		if (blk->g->config_status & NEEDS_RESET) {
			err = vgg_fail(blk->g, -EIO, "the device asks to be reset");
			break;
		}
		if (any_used(blk))
			break;
	}
	for (unsigned int i = 0; i < blk->queues; i++)
		vgg_ring_disable_interrupts(&blk->queue[i].q.ring);
	return err < 0 ? err : 0;
}

/* One request on slot 0 of queue 0, to its end. */
static int one(struct vgg_blk *blk, enum vgg_blk_op op, uint64_t sector, uint32_t len)
{
	struct vgg_blk_slot *slot = vgg_blk_slot(blk, 0, 0), *done = slot;
	int err = vgg_blk_submit(blk, slot, op, sector, len);

	if (!err)
		err = vgg_blk_kick(blk, 0);
	while (!err && !(err = vgg_blk_reap(blk, 0, &done, 1)))
		err = vgg_blk_wait(blk, 1);
	if (err < 0)
		return err;
	switch (done->status) {
	case VGG_BLK_OK:
		return 0;
	case VGG_BLK_UNSUPP:
		return vgg_fail(blk->g, -EOPNOTSUPP, "the device does not support the request");
	default:
		return vgg_fail(blk->g, -EIO, "the device reports an I/O error (status %u)",
				done->status);
	}
}

int vgg_blk_read(struct vgg_blk *blk, uint64_t sector, void *buf, uint32_t len)
{
	struct vgg_blk_slot *slot = vgg_blk_slot(blk, 0, 0);
	int err = vgg_blk_prepare(blk, slot);

	if (!err)
		err = one(blk, VGG_BLK_READ, sector, len);
	if (!err)
		memcpy(buf, slot->data, len);
	return err;
}

int vgg_blk_write(struct vgg_blk *blk, uint64_t sector, const void *buf, uint32_t len)
{
	struct vgg_blk_slot *slot = vgg_blk_slot(blk, 0, 0);
	int err = vgg_blk_prepare(blk, slot);

	if (err)
		return err;
	if (len > blk->max_bytes)
		return -EINVAL;
	memcpy(slot->data, buf, len);
	return one(blk, VGG_BLK_WRITE, sector, len);
}

int vgg_blk_flush(struct vgg_blk *blk)
{
	return one(blk, VGG_BLK_FLUSH, 0, 0);
}

int vgg_blk_get_id(struct vgg_blk *blk, char id[21])
{
	struct vgg_blk_slot *slot = vgg_blk_slot(blk, 0, 0);
	int err = vgg_blk_prepare(blk, slot);

	if (!err)
		err = one(blk, VGG_BLK_GET_ID, 0, 20);
	if (err)
		return err;
	memcpy(id, slot->data, 20);
	id[20] = 0;
	return 0;
}

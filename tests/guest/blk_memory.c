// SPDX-License-Identifier: MIT
/* The memory of virtio-blk's queues: headers, indirect tables, data, and what bouncing takes. */
#include <stdlib.h>

#include "blk_internal.h"

static uint32_t table_stride(const struct vgg_blk *blk)
{
	uint32_t stride = 4 * (uint32_t)sizeof(struct vgg_desc);

	while (stride < blk->max_segs * sizeof(struct vgg_desc))
		stride *= 2;
	return stride;
}

static uint32_t meta_pages(const struct vgg_blk *blk)
{
	return bytes_to_pages(blk->depth * META_BYTES);
}

static uint32_t table_pages(const struct vgg_blk *blk)
{
	return blk->indirect ? bytes_to_pages(blk->depth * table_stride(blk)) : 0;
}

int blk_make_fat(struct vgg_blk *blk, uint16_t queue_size)
{
	uint32_t queue = vgg_queue_pages(queue_size) + meta_pages(blk) + table_pages(blk) +
			 blk->depth * bytes_to_pages(blk->max_bytes);
	int err = vgg_share(blk->g, blk->queues * queue, true, &blk->fat);

	return err ? err : vgg_declare(blk->g, &blk->fat);
}

int blk_take_pages(struct vgg_blk *blk, uint32_t count, bool declare, struct vgg_pages *pages)
{
	int err;

	if (blk->mode == VGG_FAT) {
		if (count > blk->fat.count - blk->fat_used)
			return -ENOSPC;
		vgg_slice(&blk->fat, blk->fat_used, count, pages);
		blk->fat_used += count;
		return 0;
	}
	err = vgg_share(blk->g, count, true, pages);
	if (!err && declare)
		err = vgg_declare(blk->g, pages);
	return err;
}

/* Fills what lies behind a slot's data in its last page. */
static void hide(const struct vgg_blk *blk, uint8_t *data, uint32_t slot_pages)
{
	size_t size = (size_t)slot_pages * VGG_PAGE, len = strlen(blk->secret);

	for (size_t at = blk->max_bytes; at + len <= size; at += len)
		memcpy(data + at, blk->secret, len);
}

/* The buffer @i of the queue: that of a slot, or a spare one. */
static void place_buffer(const struct vgg_blk *blk, struct blk_queue *bq, uint32_t i,
			 struct buffer at)
{
	struct slot *slot = &bq->slots[i];

	if (i >= blk->depth) {
		bq->spare[i - blk->depth] = at;
		return;
	}
	slot->pub.data = at.data;
	slot->pages = at.pages;
	slot->offset = at.offset;
}

/* Pages for @count times @slot_pages, in chunks; each lies in one chunk. */
static int make_chunks(struct vgg_blk *blk, struct blk_queue *bq, uint32_t count,
		       uint32_t slot_pages)
{
	uint32_t per_chunk = 1;
	int err = 0;

	while (per_chunk < count &&
	       (blk->mode == VGG_FAT || (per_chunk + 1) * slot_pages <= VGG_CHUNK))
		per_chunk++;
	bq->chunks = calloc(count / per_chunk + 1u, sizeof(*bq->chunks));
	if (!bq->chunks)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && !err; i++) {
		struct buffer at = {0};

		if (i % per_chunk == 0) {
			err = blk_take_pages(blk, per_chunk * slot_pages, in_regions(blk->mode),
					     &bq->chunks[bq->num_chunks]);
			/* Granted it may be though it could not be declared. */
			bq->num_chunks++;
			if (err)
				break;
		}
		at.pages = &bq->chunks[bq->num_chunks - 1];
		at.offset = (size_t)(i % per_chunk) * slot_pages * VGG_PAGE;
		at.data = at.pages->base + at.offset;
		if (bounces(blk->mode))
			bq->pool[bq->num_pool++] = at;
		else
			place_buffer(blk, bq, i, at);
	}
	return err;
}

/* Where the driver's own data lies and is not granted. */
static int make_own_data(struct vgg_blk *blk, struct blk_queue *bq, uint32_t slot_pages)
{
	size_t size = (size_t)slot_pages * VGG_PAGE;

	bq->data = aligned_alloc(VGG_PAGE, size * blk->buffers);
	if (!bq->data)
		return -ENOMEM;
	memset(bq->data, 0, size * blk->buffers);
	for (uint32_t i = 0; i < blk->buffers; i++)
		place_buffer(blk, bq, i, (struct buffer){.data = bq->data + i * size});
	return 0;
}

/* The bytes of the queue's data. */
int blk_make_data(struct vgg_blk *blk, struct blk_queue *bq)
{
	uint32_t slot_pages = bytes_to_pages(blk->max_bytes);
	bool bounce = bounces(blk->mode);
	int err;

	bq->num_spare = blk->buffers - blk->depth;
	bq->spare = calloc(bq->num_spare + 1u, sizeof(*bq->spare));
	bq->pool = calloc(bounce ? blk->depth : 1u, sizeof(*bq->pool));
	if (!bq->spare || !bq->pool)
		return -ENOMEM;
	err = make_chunks(blk, bq, bounce ? blk->depth : blk->buffers, slot_pages);
	if (!err && bounce)
		err = make_own_data(blk, bq, slot_pages);
	for (uint32_t i = 0; i < blk->depth && !err && blk->secret; i++)
		hide(blk, bq->slots[i].pub.data, slot_pages);
	for (uint32_t i = 0; i < bq->num_spare && !err && blk->secret; i++)
		hide(blk, bq->spare[i].data, slot_pages);
	return err;
}

/* Headers, status bytes and indirect tables: none crosses a page. */
int blk_make_meta(struct vgg_blk *blk, struct blk_queue *bq)
{
	uint32_t stride = table_stride(blk);
	bool declare = in_regions(blk->mode) || blk->mode == VGG_HYBRID;
	int err = blk_take_pages(blk, meta_pages(blk), declare, &bq->meta);

	if (!err && blk->indirect)
		err = blk_take_pages(blk, table_pages(blk), declare, &bq->tables);
	if (err)
		return err;
	for (uint32_t i = 0; i < blk->depth; i++) {
		struct slot *slot = &bq->slots[i];

		slot->meta = (void *)(bq->meta.base + (size_t)i * META_BYTES);
		slot->meta_addr = vgg_address(&bq->meta, (size_t)i * META_BYTES);
		if (blk->indirect) {
			slot->indirect.table = (void *)(bq->tables.base + (size_t)i * stride);
			slot->indirect.addr = vgg_address(&bq->tables, (size_t)i * stride);
		}
	}
	return 0;
}

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

/* Where the driver's own data lies and is not granted. */
static int make_bounce(struct vgg_blk *blk, struct blk_queue *bq, uint32_t slot_pages)
{
	size_t size = (size_t)slot_pages * VGG_PAGE;

	bq->pool = calloc(blk->depth + 1u, sizeof(*bq->pool));
	bq->data = aligned_alloc(VGG_PAGE, size * blk->depth);
	if (!bq->pool || !bq->data)
		return -ENOMEM;
	memset(bq->data, 0, size * blk->depth);
	for (uint32_t i = 0; i < blk->depth; i++) {
		struct slot *slot = &bq->slots[i];

		bq->pool[bq->num_pool++] = (struct bounce){slot->pages, slot->offset};
		slot->pub.data = bq->data + i * size;
	}
	return 0;
}

/* The bytes of each slot's data, in chunks; a slot lies in one chunk. */
int blk_make_data(struct vgg_blk *blk, struct blk_queue *bq)
{
	uint32_t slot_pages = bytes_to_pages(blk->max_bytes);
	uint32_t per_chunk = 1;
	int err = 0;

	while (per_chunk < blk->depth &&
	       (blk->mode == VGG_FAT || (per_chunk + 1) * slot_pages <= VGG_CHUNK))
		per_chunk++;
	bq->chunks = calloc(blk->depth / per_chunk + 1u, sizeof(*bq->chunks));
	if (!bq->chunks)
		return -ENOMEM;
	for (uint32_t i = 0; i < blk->depth && !err; i++) {
		if (i % per_chunk == 0) {
			err = blk_take_pages(blk, per_chunk * slot_pages, in_regions(blk->mode),
					     &bq->chunks[bq->num_chunks]);
			/* Granted it may be though it could not be declared. */
			bq->num_chunks++;
			if (err)
				break;
		}
		bq->slots[i].pages = &bq->chunks[bq->num_chunks - 1];
		bq->slots[i].offset = (size_t)(i % per_chunk) * slot_pages * VGG_PAGE;
		bq->slots[i].pub.data = bq->slots[i].pages->base + bq->slots[i].offset;
	}
	if (!err && bounces(blk->mode))
		err = make_bounce(blk, bq, slot_pages);
	for (uint32_t i = 0; i < blk->depth && !err && blk->secret; i++)
		hide(blk, bq->slots[i].pub.data, slot_pages);
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

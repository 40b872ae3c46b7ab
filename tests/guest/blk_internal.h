/* SPDX-License-Identifier: MIT */
/* What the set-up and the request path of virtio-blk share. */
#ifndef VGGUEST_BLK_INTERNAL_H
#define VGGUEST_BLK_INTERNAL_H

#include "blk.h"
#include "internal.h"

#define MAX_SEGMENTS 256 /* of one request, with header and status */
#define HEADER_BYTES 16u
#define META_BYTES   64u /* stride: no slot's header shares a cache line with another's */

struct meta {
	uint32_t type, reserved;
	uint64_t sector;
	uint8_t status; /* written by the device */
};

/* Room for the data of one request, as large as it may be. */
struct buffer {
	uint8_t *data;
	const struct vgg_pages *pages; /* without a meaning where the data is the driver's own */
	size_t offset;
	uint32_t stale; /* in the pool: so many bytes from the first on may be other than zero */
};

struct slot {
	struct vgg_blk_slot pub;
	struct meta *meta;
	uint64_t meta_addr;
	struct vgg_indirect indirect;
	const struct vgg_pages *pages; /* of the data: a chunk, or fresh */
	size_t offset;
	struct buffer bounced; /* BOUNCE, FAT: a place of the pool while the request has one */
	struct vgg_pages fresh;
};

struct blk_queue {
	struct vgg_queue q;
	unsigned int inflight;
	struct slot *slots;
	struct vgg_pages meta, tables;
	struct vgg_pages *chunks; /* data */
	unsigned int num_chunks;
	/* BOUNCE, FAT: a stack of free places, what was used last is in the cache; and the data. */
	struct buffer *pool;
	unsigned int num_pool;
	uint8_t *data;
	/* Buffers that no slot has, in the order in which they are to be used. */
	struct buffer *spare;
	unsigned int num_spare, next_spare;
};

struct vgg_blk {
	struct vgg *g;
	enum vgg_mode mode;
	uint16_t queues, depth, segments;
	uint32_t buffers; /* of a queue, at least depth */
	uint32_t max_bytes, max_segs;
	bool indirect;
	const char *secret;
	struct vgg_pages fat; /* FAT: all pages, of which fat_used are taken */
	uint32_t fat_used;
	uint8_t *hidden; /* a page with the secret that is granted to nobody */
	struct vgg_blk_info info;
	struct blk_queue queue[VGG_MAX_QUEUES];
};

static inline struct slot *slot_of(struct vgg_blk_slot *pub)
{
	return (struct slot *)(void *)pub; /* its first member */
}

static inline bool in_regions(enum vgg_mode mode)
{
	return mode == VGG_REGION || mode == VGG_BOUNCE || mode == VGG_FAT;
}

static inline bool bounces(enum vgg_mode mode)
{
	return mode == VGG_BOUNCE || mode == VGG_FAT;
}

static inline uint32_t bytes_to_pages(uint32_t bytes)
{
	return (bytes + VGG_PAGE - 1) / VGG_PAGE;
}

/* blk_memory.c: the one region of mode FAT; pages for one purpose, from it or granted for it; the
 * memory of a queue. */
int blk_make_fat(struct vgg_blk *blk, uint16_t queue_size);
int blk_take_pages(struct vgg_blk *blk, uint32_t count, bool declare, struct vgg_pages *pages);
int blk_make_meta(struct vgg_blk *blk, struct blk_queue *bq);
int blk_make_data(struct vgg_blk *blk, struct blk_queue *bq);

#endif

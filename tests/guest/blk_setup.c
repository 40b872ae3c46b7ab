// SPDX-License-Identifier: MIT
/* Bringing virtio-blk up and down: configuration, queues, granted buffers. */
#include <stdio.h>
#include <stdlib.h>

#include "blk_internal.h"

#define DEVICE_ID_BLOCK    2
#define F_INDIRECT_DESC    (UINT64_C(1) << 28)
#define F_EVENT_IDX        (UINT64_C(1) << 29)
#define F_VERSION_1        (UINT64_C(1) << 32)
#define F_ACCESS_PLATFORM  (UINT64_C(1) << 33)
#define CONFIG_CAPACITY    0
#define CONFIG_SEG_MAX     12
#define CONFIG_BLK_SIZE    20
#define CONFIG_NUM_QUEUES  34
#define DEFAULT_QUEUE_SIZE 128
#define DEFAULT_BYTES      65536u

static int read_number(struct vgg *g, uint32_t offset, uint32_t len, uint64_t *value)
{
	uint64_t raw = 0;
	int err = vgg_read_config(g, offset, &raw, len, NULL);

	*value = le64toh(raw);
	return err;
}

static int read_config(struct vgg_blk *blk)
{
	struct vgg_blk_info *info = &blk->info;
	uint64_t v;
	int err = read_number(blk->g, CONFIG_CAPACITY, 8, &info->capacity);

	info->read_only = info->features & VGG_BLK_F_RO;
	info->block_size = VGG_SECTOR;
	info->seg_max = MAX_SEGMENTS - 2;
	info->queues = 1;
	if (!err && info->features & VGG_BLK_F_BLK_SIZE) {
		err = read_number(blk->g, CONFIG_BLK_SIZE, 4, &v);
		info->block_size = (uint32_t)v;
	}
	if (!err && info->features & VGG_BLK_F_SEG_MAX) {
		err = read_number(blk->g, CONFIG_SEG_MAX, 4, &v);
		info->seg_max = (uint32_t)v;
	}
	if (!err && info->features & VGG_BLK_F_MQ) {
		err = read_number(blk->g, CONFIG_NUM_QUEUES, 2, &v);
		info->queues = (uint16_t)v;
	}
	return err;
}

static int make_queue(struct vgg_blk *blk, const struct vgg_blk_config *config, uint16_t index)
{
	struct vgg_queue_config qc = {
		.index = index,
		.size = config->queue_size ? config->queue_size : DEFAULT_QUEUE_SIZE,
		.own_port = config->own_ports,
		.event_idx = blk->info.features & F_EVENT_IDX,
		.declare = in_regions(blk->mode) || blk->mode == VGG_HYBRID,
	};
	struct blk_queue *bq = &blk->queue[index];
	struct vgg_pages rings;
	int err = vgg_queue_max_size(blk->g, index);

	if (err < 0)
		return err;
	if (err < 2)
		return vgg_fail(blk->g, -ENXIO, "the device has no queue %u", index);
	if (qc.size > err)
		qc.size = (uint16_t)err;
	if (blk->mode == VGG_FAT) {
		err = blk_take_pages(blk, vgg_queue_pages(qc.size), true, &rings);
		if (err)
			return err;
		qc.pages = &rings;
	}
	err = vgg_queue_create(blk->g, &qc, &bq->q);
	if (err)
		return err;
	blk->info.queue_size = bq->q.ring.size;

	bq->slots = calloc(blk->depth, sizeof(*bq->slots));
	if (!bq->slots)
		return vgg_fail(blk->g, -ENOMEM, "out of memory");
	for (uint16_t i = 0; i < blk->depth; i++) {
		bq->slots[i].pub.queue = index;
		bq->slots[i].pub.index = i;
	}
	err = blk_make_meta(blk, bq);
	if (!err && blk->mode != VGG_FRESH)
		err = blk_make_data(blk, bq);
	vgg_ring_disable_interrupts(&bq->q.ring);
	return err;
}

/* Frees what make_queue() made; goes on after an error and returns the first. */
static int drop_queue(struct vgg_blk *blk, struct blk_queue *bq)
{
	int err = 0, e;

	for (unsigned int i = 0; i < bq->num_chunks; i++) {
		e = vgg_unshare(blk->g, &bq->chunks[i]);
		err = err ? err : e;
	}
	for (uint32_t i = 0; bq->slots && i < blk->depth; i++) {
		e = vgg_unshare(blk->g, &bq->slots[i].fresh);
		err = err ? err : e;
	}
	e = vgg_unshare(blk->g, &bq->tables);
	err = err ? err : e;
	e = vgg_unshare(blk->g, &bq->meta);
	err = err ? err : e;
	e = vgg_queue_destroy(blk->g, &bq->q);
	err = err ? err : e;
	free(bq->chunks);
	free(bq->pool);
	free(bq->data);
	free(bq->spare);
	free(bq->slots);
	*bq = (struct blk_queue){0};
	return err;
}

static int hide_page(struct vgg_blk *blk)
{
	if (!blk->secret)
		return 0;
	blk->hidden = aligned_alloc(VGG_PAGE, VGG_PAGE);
	if (!blk->hidden)
		return vgg_fail(blk->g, -ENOMEM, "out of memory");
	snprintf((char *)blk->hidden, VGG_PAGE, "%s", blk->secret);
	return 0;
}

int vgg_blk_open(struct vgg *g, const struct vgg_blk_config *config, struct vgg_blk **out)
{
	struct vgg_device_info info;
	struct vgg_blk *blk;
	uint64_t wanted = VGG_BLK_F_SEG_MAX | VGG_BLK_F_RO | VGG_BLK_F_BLK_SIZE | VGG_BLK_F_FLUSH |
			  VGG_BLK_F_TOPOLOGY | VGG_BLK_F_MQ | F_INDIRECT_DESC | F_EVENT_IDX |
			  F_VERSION_1 | F_ACCESS_PLATFORM;
	char words[sizeof(g->error)];
	int err = vgg_get_info(g, &info);

	*out = NULL;
	if (err)
		return err;
	if (config->max_bytes > VGG_BLK_MAX_BYTES)
		return vgg_fail(g, -EINVAL, "a request has at most %u bytes", VGG_BLK_MAX_BYTES);
	if (info.device_id != DEVICE_ID_BLOCK)
		return vgg_fail(g, -ENODEV, "the device is not a virtio-blk (its type is %u)",
				info.device_id);
	blk = calloc(1, sizeof(*blk));
	if (!blk)
		return vgg_fail(g, -ENOMEM, "out of memory");
	blk->g = g;
	blk->mode = config->mode;
	blk->depth = config->depth ? config->depth : 1;
	blk->segments = config->segments ? config->segments : 1;
	blk->buffers = config->buffers > blk->depth ? config->buffers : blk->depth;
	blk->max_bytes = config->max_bytes ? config->max_bytes : DEFAULT_BYTES;
	blk->secret = config->secret;
	err = hide_page(blk);
	if (err)
		goto out;
	g->config_status = 0;
	if (config->no_event_idx)
		wanted &= ~F_EVENT_IDX;
	if (config->no_indirect)
		wanted &= ~F_INDIRECT_DESC;

	err = vgg_negotiate(g, wanted, &blk->info.features);
	if (!err)
		err = read_config(blk);
	if (err)
		goto out;
	/* A page of its own for each descriptor at worst, and one for each forced split. */
	blk->max_segs = bytes_to_pages(blk->max_bytes) + blk->segments + 2;
	if (blk->max_segs > MAX_SEGMENTS)
		blk->max_segs = MAX_SEGMENTS;
	blk->indirect = blk->info.features & F_INDIRECT_DESC;
	blk->queues = config->queues ? config->queues : 1;
	if (blk->queues > blk->info.queues)
		blk->queues = blk->info.queues;
	if (blk->queues > VGG_MAX_QUEUES)
		blk->queues = VGG_MAX_QUEUES;
	if (blk->mode == VGG_FAT)
		err = blk_make_fat(blk,
				   config->queue_size ? config->queue_size : DEFAULT_QUEUE_SIZE);
	for (uint16_t i = 0; i < blk->queues && !err; i++)
		err = make_queue(blk, config, i);
	if (!err)
		err = vgg_driver_ok(g);
	if (!err)
		err = vgg_announce(g);
	if (err)
		goto out;
	blk->info.queues = blk->queues;
	blk->info.depth = blk->depth;
	*out = blk;
	return 0;
out:
	/* The words of the first error are what the caller wants to hear. */
	memcpy(words, g->error, sizeof(words));
	vgg_blk_close(blk);
	memcpy(g->error, words, sizeof(words));
	return err;
}

static int drop(struct vgg_blk *blk)
{
	int err = 0, e;

	for (unsigned int i = 0; i < VGG_MAX_QUEUES; i++) {
		e = drop_queue(blk, &blk->queue[i]);
		err = err ? err : e;
	}
	e = vgg_unshare(blk->g, &blk->fat);
	err = err ? err : e;
	free(blk->hidden);
	free(blk);
	return err;
}

int vgg_blk_close(struct vgg_blk *blk)
{
	struct vgg *g;
	int err, e;

	if (!blk)
		return 0;
	g = blk->g;
	err = g->over ? -ECONNRESET : vgg_reset(g);
	/* Without a reset, only the connection's end makes the backend let go of the grants. */
	if (err == -ECONNRESET)
		err = vgg_disconnect(g);
	else if (err)
		vgg_disconnect(g);
	e = drop(blk);
	return err ? err : e;
}

void vgg_blk_get_info(const struct vgg_blk *blk, struct vgg_blk_info *info)
{
	*info = blk->info;
}

struct vgg_queue *vgg_blk_queue(struct vgg_blk *blk, uint16_t queue)
{
	return &blk->queue[queue].q;
}

struct vgg_blk_slot *vgg_blk_slot(struct vgg_blk *blk, uint16_t queue, uint16_t index)
{
	return &blk->queue[queue].slots[index].pub;
}

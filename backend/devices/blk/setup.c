// SPDX-License-Identifier: MIT
/* Making and ending a virtio-blk device; its features and configuration space (5.2.3, 5.2.4). */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stddef.h>
#include <stdlib.h>

#include "devices/blk/blk_internal.h"

#define BIT(n) (UINT64_C(1) << (n))
#define BLK_F_ALWAYS                                                                               \
	(BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |     \
	 BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_MQ))

/* What a driver may put into one request is what the view takes: nothing else bounds the bytes. */
_Static_assert(VG_BLK_SEG_MAX + 2 <= VG_REQUEST_SEGMENTS, "header, data, status");
_Static_assert(VG_BLK_SEG_MAX *VG_BLK_SIZE_MAX + 16 + 1 <= VG_REQUEST_BYTES, "likewise");

/* struct virtio_blk_config up to what the features offered make valid. Little-endian. */
struct blk_config {
	uint64_t capacity; /* sectors of 512 bytes */
	uint32_t size_max;
	uint32_t seg_max;
	uint8_t geometry[4]; /* not offered */
	uint32_t blk_size;
	uint8_t physical_block_exp; /* logical blocks in a physical one: exponent of 2 */
	uint8_t alignment_offset;
	uint16_t min_io_size; /* logical blocks */
	uint32_t opt_io_size; /* logical blocks */
	uint8_t writeback;    /* not offered */
	uint8_t unused0;
	uint16_t num_queues;
};
#define BLK_CONFIG_SIZE 36
_Static_assert(offsetof(struct blk_config, blk_size) == 20, "virtio 1.3, 5.2.4");
_Static_assert(offsetof(struct blk_config, num_queues) + 2 == BLK_CONFIG_SIZE, "likewise");

static void fill_config(const struct vg_blk_limits *limits, unsigned int queues,
			struct blk_config *config)
{
	uint32_t ratio = limits->physical_block / limits->logical_block;

	*config = (struct blk_config){
		.capacity = htole64(limits->capacity / VG_BLK_SECTOR),
		.size_max = htole32(VG_BLK_SIZE_MAX),
		.seg_max = htole32(VG_BLK_SEG_MAX),
		.blk_size = htole32(limits->logical_block),
		.physical_block_exp = (uint8_t)__builtin_ctz(ratio),
		.min_io_size = htole16((uint16_t)ratio),
		.opt_io_size = htole32(limits->optimal_io / limits->logical_block),
		.num_queues = htole16((uint16_t)queues),
	};
}

/* 5.2.6.2: without the driver's flushes a write must be on the disk when it is answered. */
static int blk_start(void *priv, uint64_t features)
{
	struct vg_blk *blk = priv;

	blk->stable = !(features & BIT(VIRTIO_BLK_F_FLUSH));
	return 0;
}

static const struct vg_device_ops blk_ops = {
	.name = "virtio-blk",
	.device_id = 2,
	.process = blk_process,
	.start = blk_start,
};

static int open_engine(const struct vg_blk_config *config, const char *label,
		       struct vg_blk_engine **out)
{
	const struct vg_blk_engine_options options = {
		.io = config->io,
		.fd = config->fd,
		.read_only = config->read_only,
		.buffered = config->buffered,
		.size = config->null_size,
		.log = config->log,
		.label = label,
	};

	switch (config->engine) {
	case VG_BLK_ENGINE_FILE:
		return vg_blk_engine_file_open(&options, out);
	case VG_BLK_ENGINE_NULL:
		return vg_blk_engine_null_open(&options, out);
	}
	return -EINVAL;
}

static int make_requests(struct vg_blk *blk, unsigned int count)
{
	blk->requests = calloc(count, sizeof(*blk->requests));
	blk->free = calloc(count, sizeof(struct blk_request *));
	blk->scratch = calloc((size_t)count * VG_REQUEST_IOVS, sizeof(*blk->scratch));
	if (!blk->requests || !blk->free || !blk->scratch)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		struct blk_request *r = &blk->requests[count - 1 - i];

		r->blk = blk;
		r->op.scratch = &blk->scratch[(size_t)(count - 1 - i) * VG_REQUEST_IOVS];
		r->op.done = blk_op_done;
		blk->free[i] = r;
	}
	blk->num_free = count;
	return 0;
}

int vg_blk_create(const struct vg_blk_config *config, struct vg_blk **out)
{
	const char *label = config->label ? config->label : "disk";
	struct blk_config space;
	struct vg_blk *blk;
	int ret;

	*out = NULL;
	if (!config->view || !config->queues || config->queues > VG_DEVICE_MAX_QUEUES)
		return -EINVAL;
	blk = calloc(1, sizeof(*blk));
	if (!blk)
		return -ENOMEM;
	blk->view = config->view;
	if (config->serial)
		memcpy(blk->serial, config->serial, strnlen(config->serial, VG_BLK_SERIAL));
	ret = open_engine(config, label, &blk->engine);
	if (ret)
		goto out;
	blk->sectors = blk->engine->limits.capacity / VG_BLK_SECTOR;
	blk->read_only = blk->engine->limits.read_only;
	ret = make_requests(blk, config->queues * VG_BLK_QUEUE_SIZE);
	if (ret)
		goto out;
	fill_config(&blk->engine->limits, config->queues, &space);
	ret = vg_device_create(
		&(struct vg_device_config){
			.ops = &blk_ops,
			.priv = blk,
			.view = config->view,
			.features = BLK_F_ALWAYS | (blk->read_only ? BIT(VIRTIO_BLK_F_RO) : 0),
			.num_queues = (uint16_t)config->queues,
			.max_queue_size = VG_BLK_QUEUE_SIZE,
			.config_size = BLK_CONFIG_SIZE,
			.config = &space,
			.log = config->log,
			.label = label,
		},
		&blk->device);
out:
	if (ret) {
		vg_blk_destroy(blk);
		return ret;
	}
	*out = blk;
	return 0;
}

void vg_blk_destroy(struct vg_blk *blk)
{
	if (!blk)
		return;
	vg_device_destroy(blk->device);
	vg_blk_engine_close(blk->engine);
	free(blk->scratch);
	free(blk->free);
	free(blk->requests);
	free(blk);
}

struct vg_device *vg_blk_device(struct vg_blk *blk)
{
	return blk->device;
}

void vg_blk_get_stats(const struct vg_blk *blk, struct vg_blk_stats *stats)
{
	*stats = blk->stats;
}

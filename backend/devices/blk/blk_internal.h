/* SPDX-License-Identifier: MIT */
/* What the request path (blk.c) and set-up (setup.c) share. */
#ifndef BACKEND_DEVICES_BLK_INTERNAL_H
#define BACKEND_DEVICES_BLK_INTERNAL_H

#include "devices/blk/blk.h"
#include "devices/blk/engine.h"

/* A request that is with the engine. */
struct blk_request {
	struct vg_blk_op op;
	struct vg_blk *blk;
	struct vg_virtqueue *vq;
	struct vg_element *elem;
};

struct vg_blk {
	struct vg_blk_engine *engine;
	struct vg_view *view;
	uint64_t sectors; /* of VG_BLK_SECTOR bytes */
	bool read_only;
	bool stable; /* the driver does not flush, so each write must be on the disk */
	struct vg_blk_stats stats;

	/* One for each element that can be in flight; free[] is a stack, what was used last is in
	 * the cache. */
	struct blk_request *requests;
	struct blk_request **free;
	unsigned int num_free;
	/* VG_REQUEST_IOVS pieces for each, apart from it: most are never touched. */
	struct vg_iov *scratch;

	struct vg_device *device;
	char serial[VG_BLK_SERIAL];
};

/* vg_blk_op.done of every request. */
void blk_op_done(struct vg_blk_op *op, int error, uint32_t bytes);
/* vg_device_ops.process */
int blk_process(void *priv, unsigned int index, struct vg_virtqueue *vq, unsigned int budget);

#endif

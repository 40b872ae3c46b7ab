// SPDX-License-Identifier: MIT
/*
 * The engine that does nothing, at once: what is left is the cost of everything else.
 *
 * Like Linux's null_blk it claims whole transfers and touches no byte. So a read hands the guest
 * whatever its buffer held before: in a region, the guest's own bytes; in memory of ours that the
 * hypervisor copies from, zeroes or what an earlier request of this same device left, for that
 * memory is the view's and a view serves one device of one guest. No other guest's byte can be
 * there. It is for measuring only; a disk that keeps nothing is of no other use.
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/blk/engine.h"

static void null_submit(struct vg_blk_engine *engine, struct vg_blk_op *op)
{
	(void)engine;
	op->done(op, 0, op->type == VG_BLK_FLUSH ? 0 : op->len);
}

static void null_close(struct vg_blk_engine *engine)
{
	free(engine);
}

static const struct vg_blk_engine_ops null_ops = {.submit = null_submit, .close = null_close};

int vg_blk_engine_null_open(const struct vg_blk_engine_options *options, struct vg_blk_engine **out)
{
	struct vg_blk_engine *engine;

	*out = NULL;
	if (options->size < VG_BLK_SECTOR) {
		vg_err(options->log,
		       "%s: a null disk of %llu bytes: give it at least one sector "
		       "(%u bytes)",
		       options->label, (unsigned long long)options->size, VG_BLK_SECTOR);
		return -EINVAL;
	}
	engine = calloc(1, sizeof(*engine));
	if (!engine)
		return -ENOMEM;
	engine->ops = &null_ops;
	engine->limits = (struct vg_blk_limits){
		.capacity = options->size - options->size % VG_BLK_SECTOR,
		.logical_block = VG_BLK_SECTOR,
		.physical_block = VG_PAGE_SIZE,
		.read_only = options->read_only,
	};
	*out = engine;
	return 0;
}

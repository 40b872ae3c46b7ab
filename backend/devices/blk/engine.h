/* SPDX-License-Identifier: MIT */
/*
 * What lies under a virtio-blk device: something that reads, writes and flushes bytes.
 *
 * An engine trusts its caller, which has checked every range against the capacity. It does not
 * trust the memory: guests write to it at any time, so only the kernel touches it.
 *
 * The process must ignore SIGXFSZ: with a file-size limit a write would otherwise end it.
 */
#ifndef BACKEND_DEVICES_BLK_ENGINE_H
#define BACKEND_DEVICES_BLK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/guest.h>
#include <vgrant/log.h>
#include <vgrant/view.h>

#include "devices/io.h"

#define VG_BLK_SECTOR 512u

struct vg_blk_engine;

enum vg_blk_op_type { VG_BLK_READ, VG_BLK_WRITE, VG_BLK_FLUSH };

/* One operation: the caller's memory, which stays where it is until done was called. */
struct vg_blk_op {
	/* Filled by the caller. */
	enum vg_blk_op_type type;
	bool stable;     /* a write: on the disk before it is done, without a flush */
	uint16_t iovs;   /* at most VG_REQUEST_IOVS */
	uint32_t len;    /* bytes, the sum of the pieces */
	uint64_t offset; /* bytes */
	const struct vg_iov *iov;
	/* Room for VG_REQUEST_IOVS pieces, for the engine's use; iov may lie here too. */
	struct vg_iov *scratch;
	/*
	 * @error is 0 or negative errno; @bytes is how many were transferred from the start, all of
	 * them when @error is 0. May be called from within vg_blk_submit(), and may submit again.
	 */
	void (*done)(struct vg_blk_op *op, int error, uint32_t bytes);

	/* The engine's own. */
	struct vg_io io;
	struct vg_blk_engine *engine;
	struct vg_blk_op *next;
	uint32_t bytes; /* done so far */
	uint8_t retries;
	bool direct;        /* the part under way goes past the page cache */
	bool buffered_only; /* the kernel refused the direct way */
};

struct vg_blk_limits {
	uint64_t capacity;       /* bytes, whole sectors */
	uint32_t logical_block;  /* bytes, a power of two */
	uint32_t physical_block; /* bytes, a power of two, at least logical_block */
	uint32_t optimal_io;     /* bytes, whole logical blocks; 0: not known */
	bool read_only;
};

struct vg_blk_engine_ops {
	void (*submit)(struct vg_blk_engine *engine, struct vg_blk_op *op);
	void (*close)(struct vg_blk_engine *engine);
};

/* The common head of every engine. */
struct vg_blk_engine {
	const struct vg_blk_engine_ops *ops;
	struct vg_blk_limits limits;
	unsigned int inflight;
};

struct vg_blk_engine_options {
	struct vg_io_ring *io; /* borrowed, outlives the engine; NULL: plain, blocking calls */
	int fd;                /* file: borrowed, stays open until the engine is closed */
	bool read_only;        /* file: refuse to write even if fd allows it */
	bool buffered;         /* file: never go past the page cache */
	uint64_t size;         /* null: bytes */
	const struct vg_log *log;
	const char *label; /* for log lines: "dom3 xvda" */
};

/*
 * A regular file or a block device. *out is the caller's, to be closed. What is wrong is logged.
 * -EINVAL: neither of the two, or too small for one sector; -EBADF; -EACCES: open for writing only;
 * -ENOMEM; what the kernel says about the device.
 */
int vg_blk_engine_file_open(const struct vg_blk_engine_options *options,
			    struct vg_blk_engine **out);
/*
 * Nothing: for measuring the way to the disk without one. -EINVAL: smaller than one sector;
 * -ENOMEM.
 */
int vg_blk_engine_null_open(const struct vg_blk_engine_options *options,
			    struct vg_blk_engine **out);

/*
 * Begins @op; its done is called exactly once. A write counts as done when the kernel has taken it
 * into its cache (or @stable: on the disk); a flush, when all writes that were done before it began
 * are on the disk. The request path: never allocates, never logs, blocks only without a ring.
 */
static inline void vg_blk_submit(struct vg_blk_engine *engine, struct vg_blk_op *op)
{
	engine->ops->submit(engine, op);
}

/* Nothing may be in flight. NULL is allowed. */
static inline void vg_blk_engine_close(struct vg_blk_engine *engine)
{
	if (engine)
		engine->ops->close(engine);
}

#endif

/* SPDX-License-Identifier: MIT */
/* What the tests of the block engines share: an engine over a file, and operations on it. */
#ifndef VGRANT_UNIT_ENGINE_SUPPORT_H
#define VGRANT_UNIT_ENGINE_SUPPORT_H

#include "disk_support.h"

#include "devices/blk/engine.h"

#define MAX_PIECES 16

/* The four ways in which a file can be served, as the index of a loop test. */
#define WAYS          4
#define WAY_RING(i)   ((i)&1)
#define WAY_DIRECT(i) ((i)&2)

static struct vg_blk_engine *engine;
static struct vg_io_ring *ring;
static int fd = -1;

struct operation {
	struct vg_blk_op op;
	struct vg_iov iov[MAX_PIECES];
	struct vg_iov scratch[MAX_PIECES];
	unsigned int calls;
	int error;
	uint32_t bytes;
};

static inline struct vg_blk_engine_options engine_options(int way)
{
	return (struct vg_blk_engine_options){
		.io = WAY_RING(way) ? ring : NULL,
		.fd = fd,
		.buffered = !WAY_DIRECT(way),
		.log = &test_log,
		.label = "test disk",
	};
}

static inline void engine_begin(int way, off_t size)
{
	struct vg_blk_engine_options options;

	fd = disk_file(size);
	disk_fill(fd, (size_t)size, 0);
	/* So that what was filled in does not wait to be written under a test's feet. */
	ck_assert_int_eq(fsync(fd), 0);
	if (WAY_RING(way))
		ring = ring_open(8);
	options = engine_options(way);
	ck_assert_int_eq(vg_blk_engine_file_open(&options, &engine), 0);
}

static inline void engine_end(void)
{
	ck_assert_uint_eq(engine->inflight, 0);
	vg_blk_engine_close(engine);
	vg_io_ring_close(ring);
	close(fd);
}

static inline void operation_done(struct vg_blk_op *op, int error, uint32_t bytes)
{
	struct operation *o = (struct operation *)(void *)op; /* its first member */

	o->calls++;
	o->error = error;
	o->bytes = bytes;
}

static inline void operation(struct operation *o, enum vg_blk_op_type type, uint64_t offset)
{
	memset(o, 0xa5, sizeof(*o)); /* the engine may rely on nothing but what its caller fills */
	o->calls = 0;
	o->op.type = type;
	o->op.stable = false;
	o->op.iovs = 0;
	o->op.len = 0;
	o->op.offset = offset;
	o->op.iov = o->iov;
	o->op.scratch = o->scratch;
	o->op.done = operation_done;
}

static inline void piece(struct operation *o, void *base, size_t len)
{
	o->iov[o->op.iovs++] = (struct vg_iov){.base = (void VG_GUEST *)base, .len = len};
	o->op.len += (uint32_t)len;
}

static inline void run(struct operation *o)
{
	o->calls = 0;
	vg_blk_submit(engine, &o->op);
	if (ring)
		ring_drain(ring, 0);
	ck_assert_uint_eq(o->calls, 1);
	ck_assert_uint_eq(engine->inflight, 0);
}

/* Runs it, and it succeeds. */
static inline void run_well(struct operation *o)
{
	run(o);
	ck_assert_int_eq(o->error, 0);
	ck_assert_uint_eq(o->bytes, o->op.len);
}

/* Whether the file system of the working directory does I/O past the cache, found out anew. */
static inline bool direct_works(int file)
{
	static uint8_t page[4096] __attribute__((aligned(4096)));
	char path[32];
	bool works;
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	again = open(path, O_RDWR | O_DIRECT);
	if (again < 0)
		return false;
	works = pread(again, page, sizeof(page), 0) > 0;
	close(again);
	return works;
}

static inline void *aligned(size_t size)
{
	void *p = aligned_alloc(4096, size);

	ck_assert_ptr_nonnull(p);
	memset(p, 0xee, size);
	return p;
}

#endif

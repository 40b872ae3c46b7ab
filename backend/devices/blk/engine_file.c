// SPDX-License-Identifier: MIT
/*
 * Regular files and block devices, through io_uring where there is a ring, else by plain calls.
 *
 * Two ways lead to one file: past the page cache (O_DIRECT), for whatever is aligned as that asks,
 * and through it for the rest. The kernel keeps the two coherent only one after the other: when a
 * buffered access fills a cache page while a direct write to another sector of the same page is
 * under way, the stale page can stay, or even be written back over what was written directly. So a
 * direct write and a buffered access are never under way together: what would break the rule waits.
 * Direct reads are free, for the kernel writes the cache back before it reads, and they fill no
 * page.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "devices/blk/file.h"

/* In a row and without progress, for EINTR and EAGAIN. */
#define MAX_RETRIES 8

/* Those that must not meet add up to 3. */
enum side { ANY, DIRECT_WRITES, BUFFERED };

struct file_engine {
	struct vg_blk_engine engine;
	struct vg_io_ring *ring; /* or NULL */
	int fd;                  /* through the page cache; the caller's */
	struct file_direct direct;

	unsigned int under_way[3]; /* parts, of each enum side */
	/* Operations that wait for the other way to become quiet, oldest first. */
	struct vg_blk_op *waiting, **waiting_end;
};

/* ---- which way ---- */

static bool fits_direct(const struct file_engine *f, const struct vg_blk_op *op)
{
	uint64_t lengths = op->offset + op->bytes;
	uintptr_t bases = 0;

	if (f->direct.fd < 0 || op->buffered_only || op->type == VG_BLK_FLUSH)
		return false;
	for (unsigned int i = 0; i < op->iovs; i++) {
		bases |= (uintptr_t)op->iov[i].base;
		lengths |= op->iov[i].len;
	}
	return !(bases & f->direct.mem_mask) && !(lengths & f->direct.offset_mask);
}

static enum side side_of(const struct vg_blk_op *op)
{
	if (op->type == VG_BLK_FLUSH)
		return ANY;
	if (!op->direct)
		return BUFFERED;
	return op->type == VG_BLK_WRITE ? DIRECT_WRITES : ANY;
}

static bool collides(const struct file_engine *f, const struct vg_blk_op *op)
{
	enum side side = side_of(op);

	return side != ANY && f->under_way[DIRECT_WRITES + BUFFERED - side];
}

static void enqueue(struct file_engine *f, struct vg_blk_op *op)
{
	op->next = NULL;
	*f->waiting_end = op;
	f->waiting_end = &op->next;
}

/* ---- one part: what one system call or one entry of the ring does ---- */

static void file_io_done(struct vg_io *io, int res);

static void prepare(const struct file_engine *f, struct vg_blk_op *op, struct io_uring_sqe *sqe)
{
	int fd = op->direct ? f->direct.fd : f->fd;
	uint64_t offset = op->offset + op->bytes;

	switch (op->type) {
	case VG_BLK_READ:
		vg_io_prep_read(f->ring, sqe, fd, op->iov, op->iovs, offset);
		break;
	case VG_BLK_WRITE:
		vg_io_prep_write(f->ring, sqe, fd, op->iov, op->iovs, offset,
				 op->stable ? RWF_DSYNC : 0);
		break;
	case VG_BLK_FLUSH:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	}
	op->io.done = file_io_done;
	io_uring_sqe_set_data(sqe, &op->io);
}

static int call(const struct file_engine *f, const struct vg_blk_op *op)
{
	int fd = op->direct ? f->direct.fd : f->fd;
	off_t offset = (off_t)(op->offset + op->bytes);
	ssize_t ret = 0;

	switch (op->type) {
	case VG_BLK_READ:
		ret = preadv(fd, vg_iov_kernel(op->iov), op->iovs, offset);
		break;
	case VG_BLK_WRITE:
		ret = pwritev2(fd, vg_iov_kernel(op->iov), op->iovs, offset,
			       op->stable ? RWF_DSYNC : 0);
		break;
	case VG_BLK_FLUSH:
		ret = fdatasync(fd);
		break;
	}
	return ret < 0 ? -errno : (int)ret;
}

static void finish(struct file_engine *f, struct vg_blk_op *op, int error)
{
	f->engine.inflight--;
	op->done(op, error, op->bytes);
}

/* Leaves the first @n bytes of the pieces out; some remain. */
static void skip(struct vg_blk_op *op, size_t n)
{
	while (n >= op->iov->len) {
		n -= op->iov->len;
		op->iov++;
		op->iovs--;
	}
	if (!n)
		return;
	memmove(op->scratch, op->iov, op->iovs * sizeof(*op->iov));
	op->iov = op->scratch;
	op->scratch[0].base = vg_guest_offset(op->scratch[0].base, n);
	op->scratch[0].len -= n;
}

/* Takes the outcome of one part. True: the operation goes on; false: it is over, done was called.
 */
static bool advance(struct file_engine *f, struct vg_blk_op *op, int res)
{
	int error = 0;

	f->under_way[side_of(op)]--;
	if (res < 0) {
		if ((res == -EAGAIN || res == -EINTR) && op->retries++ < MAX_RETRIES)
			return true;
		/* Alignment is not all that the direct way asks for: memory it cannot pin. */
		if (op->direct && (res == -EINVAL || res == -EFAULT || res == -EOPNOTSUPP)) {
			op->buffered_only = true;
			return true;
		}
		error = res;
	} else if (op->type != VG_BLK_FLUSH) {
		op->bytes += (uint32_t)res;
		op->retries = 0;
		if (op->bytes < op->len && res) {
			skip(op, (size_t)res);
			return true;
		}
		/* No progress: the file has become shorter. */
		if (op->bytes < op->len)
			error = -EIO;
	}
	finish(f, op, error);
	return false;
}

static void start(struct file_engine *f, struct vg_blk_op *op, bool first_in_line)
{
	do {
		struct io_uring_sqe *sqe;
		enum side side;

		op->direct = fits_direct(f, op);
		side = side_of(op);
		if (side != ANY && (collides(f, op) || (f->waiting && !first_in_line))) {
			enqueue(f, op);
			return;
		}
		f->under_way[side]++;
		sqe = f->ring ? vg_io_sqe(f->ring) : NULL;
		if (sqe) {
			prepare(f, op, sqe);
			return;
		}
	} while (advance(f, op, call(f, op)));
}

static void file_io_done(struct vg_io *io, int res)
{
	struct vg_blk_op *op =
		(struct vg_blk_op *)(void *)((char *)io - offsetof(struct vg_blk_op, io));
	struct file_engine *f = (struct file_engine *)(void *)op->engine;

	if (advance(f, op, res))
		start(f, op, false);
	while (f->waiting && !collides(f, f->waiting)) {
		op = f->waiting;
		f->waiting = op->next;
		if (!f->waiting)
			f->waiting_end = &f->waiting;
		start(f, op, true);
	}
}

static void file_submit(struct vg_blk_engine *engine, struct vg_blk_op *op)
{
	struct file_engine *f = (struct file_engine *)(void *)engine;

	op->engine = engine;
	op->bytes = 0;
	op->retries = 0;
	op->buffered_only = false;
	engine->inflight++;
	start(f, op, false);
}

/* ---- set-up ---- */

static void file_close(struct vg_blk_engine *engine)
{
	struct file_engine *f = (struct file_engine *)(void *)engine;

	if (f->direct.fd >= 0)
		close(f->direct.fd);
	free(f);
}

static const struct vg_blk_engine_ops file_ops = {.submit = file_submit, .close = file_close};

int vg_blk_engine_file_open(const struct vg_blk_engine_options *options, struct vg_blk_engine **out)
{
	struct vg_blk_limits limits;
	struct file_engine *f;
	int ret;

	*out = NULL;
	ret = file_probe_limits(options, &limits);
	if (ret)
		return ret;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->engine.ops = &file_ops;
	f->engine.limits = limits;
	f->ring = options->io;
	f->fd = options->fd;
	f->waiting_end = &f->waiting;
	file_probe_direct(options, &limits, &f->direct);
	*out = &f->engine;
	return 0;
}

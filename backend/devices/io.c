// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/io_internal.h"

/* Completions taken off the ring before their requests are told. */
#define REAP_BATCH 32
/* Times that one vg_io_submit() may enter the kernel: each but the last makes progress. */
#define SUBMIT_TRIES 16

/* Without NODROP an overflow loses completions; with SUBMIT_STABLE an iovec array may go away after
 * submission. */
#define FEATURES (IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE)

/* What the devices of this project ask of a ring; nothing else is let through. */
static const uint8_t allowed_ops[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
				      IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED};
#define NUM_OPS (sizeof(allowed_ops) / sizeof(allowed_ops[0]))

/*
 * Optional flags, most wanted first: completions are posted when the worker enters the kernel of
 * its own accord, without an interrupt to its CPU (5.19); a bad entry does not hold up those after
 * it (5.18).
 */
static const unsigned int flag_choices[] = {
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
	0,
};
#define NUM_CHOICES (sizeof(flag_choices) / sizeof(flag_choices[0]))

/* liburing 2.3, which Debian 12 has, declares functions for this but does not export them. */
static int restrict_ring(const struct vg_io_ring *ring)
{
	struct io_uring_restriction rules[NUM_OPS + 1] = {0};
	int fd = ring->ring.ring_fd;

	for (unsigned int i = 0; i < NUM_OPS; i++) {
		rules[i].opcode = IORING_RESTRICTION_SQE_OP;
		rules[i].sqe_op = allowed_ops[i];
	}
	/* Of registrations those in the table of buffers, if there is one. */
	rules[NUM_OPS].opcode = IORING_RESTRICTION_REGISTER_OP;
	rules[NUM_OPS].register_op = IORING_REGISTER_BUFFERS_UPDATE;
	if (syscall(__NR_io_uring_register, fd, IORING_REGISTER_RESTRICTIONS, rules,
		    NUM_OPS + ring->registers) ||
	    syscall(__NR_io_uring_register, fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0))
		return -errno;
	return 0;
}

static void log_failure(const struct vg_log *log, int error)
{
	switch (error) {
	case -ENOSYS:
		vg_warn(log, "io_uring is not to be had: this kernel has none, or one older than "
			     "5.10; disks use plain system calls, which is slower");
		break;
	case -EPERM:
	case -EACCES:
		vg_warn(log, "io_uring is forbidden here (sysctl kernel.io_uring_disabled, or a "
			     "seccomp filter); disks use plain system calls, which is slower");
		break;
	case -ENOMEM:
		vg_err(log, "no memory for an io_uring: raise the limit of locked memory "
			    "(LimitMEMLOCK= in the unit, ulimit -l)");
		break;
	default:
		vg_err(log, "cannot open an io_uring: %s", strerror(-error));
	}
}

int vg_io_ring_open(unsigned int entries, bool registers, const struct vg_log *log,
		    struct vg_io_ring **out)
{
	struct io_uring_params params;
	struct vg_io_ring *ring;
	int ret = -EINVAL;

	*out = NULL;
	if (!entries || entries > VG_IO_MAX_ENTRIES)
		return -EINVAL;
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	for (unsigned int i = 0; i < NUM_CHOICES && ret == -EINVAL; i++) {
		params = (struct io_uring_params){.flags = IORING_SETUP_R_DISABLED |
							   flag_choices[i]};
		ret = io_uring_queue_init_params(entries, &ring->ring, &params);
	}
	if (ret == -EINVAL)
		ret = -ENOSYS; /* not even R_DISABLED: before 5.10 */
	if (ret)
		goto out;
	ring->log = log;
	if (registers)
		io_buffers_open(ring);
	ret = (params.features & FEATURES) == FEATURES ? restrict_ring(ring) : -ENOSYS;
	if (ret)
		io_uring_queue_exit(&ring->ring);
out:
	if (ret) {
		log_failure(log, ret);
		free(ring);
		return ret == -EACCES ? -EPERM : ret;
	}
	*out = ring;
	return 0;
}

void vg_io_ring_close(struct vg_io_ring *ring)
{
	if (!ring)
		return;
	io_uring_queue_exit(&ring->ring);
	free(ring);
}

int vg_io_ring_fd(const struct vg_io_ring *ring)
{
	return ring->ring.ring_fd;
}

unsigned int vg_io_inflight(const struct vg_io_ring *ring)
{
	return ring->inflight;
}

struct io_uring_sqe *vg_io_sqe(struct vg_io_ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);

	if (__builtin_expect(!sqe, 0)) {
		vg_io_submit(ring);
		sqe = io_uring_get_sqe(&ring->ring);
		if (!sqe)
			return NULL;
	}
	ring->inflight++;
	return sqe;
}

static inline int fixed_buffer(const struct vg_io_ring *ring, const struct vg_iov *iov,
			       unsigned int iovs)
{
	return iovs == 1 && ring->num_live ? vg_io_buffer_find(ring, iov->base, iov->len) : -1;
}

void vg_io_prep_read(struct vg_io_ring *ring, struct io_uring_sqe *sqe, int fd,
		     const struct vg_iov *iov, unsigned int iovs, uint64_t offset)
{
	int index = fixed_buffer(ring, iov, iovs);

	if (index < 0) {
		io_uring_prep_readv(sqe, fd, vg_iov_kernel(iov), iovs, offset);
		return;
	}
	io_uring_prep_read_fixed(sqe, fd, VG_GUEST_RAW(void, iov->base), (unsigned int)iov->len,
				 offset, index);
	ring->fixed++;
}

void vg_io_prep_write(struct vg_io_ring *ring, struct io_uring_sqe *sqe, int fd,
		      const struct vg_iov *iov, unsigned int iovs, uint64_t offset, int flags)
{
	int index = fixed_buffer(ring, iov, iovs);

	if (index < 0) {
		io_uring_prep_writev2(sqe, fd, vg_iov_kernel(iov), iovs, offset, flags);
		return;
	}
	io_uring_prep_write_fixed(sqe, fd, VG_GUEST_RAW(void, iov->base), (unsigned int)iov->len,
				  offset, index);
	sqe->rw_flags = flags;
	ring->fixed++;
}

int vg_io_submit(struct vg_io_ring *ring)
{
	for (int tries = 0; io_uring_sq_ready(&ring->ring); tries++) {
		int ret = io_uring_submit(&ring->ring);

		ring->submits++;
		if (tries == SUBMIT_TRIES || (ret <= 0 && ret != -EINTR))
			return ret < 0 ? ret : -EAGAIN;
	}
	return 0;
}

unsigned int vg_io_reap(struct vg_io_ring *ring, unsigned int budget)
{
	struct io_uring_cqe *cqes[REAP_BATCH];
	struct vg_io *io[REAP_BATCH];
	int res[REAP_BATCH];
	unsigned int done = 0, n, told;

	while (done < budget) {
		n = budget - done < REAP_BATCH ? budget - done : REAP_BATCH;
		n = io_uring_peek_batch_cqe(&ring->ring, cqes, n);
		if (!n)
			break;
		told = 0;
		for (unsigned int i = 0; i < n; i++) {
			if (__builtin_expect(io_is_buffer_tag(cqes[i]->user_data), 0)) {
				io_buffer_gone(ring, cqes[i]->user_data);
				continue;
			}
			io[told] = io_uring_cqe_get_data(cqes[i]);
			res[told++] = cqes[i]->res;
		}
		/* Given back first: done may queue more, and the kernel needs room for what
		 * follows. */
		io_uring_cq_advance(&ring->ring, n);
		ring->inflight -= told;
		for (unsigned int i = 0; i < told; i++)
			io[i]->done(io[i], res[i]);
		done += n;
	}
	return done;
}

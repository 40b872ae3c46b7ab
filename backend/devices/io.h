/* SPDX-License-Identifier: MIT */
/*
 * The io_uring of one worker, shared by all its devices.
 *
 * A device embeds a struct vg_io in each of its requests, fills a submission entry and names the
 * vg_io as the entry's user data. The loop that owns the ring submits once for all devices, and
 * calls back what has completed:
 *
 *     sqe = vg_io_sqe(ring);
 *     io_uring_prep_readv(sqe, …);
 *     io_uring_sqe_set_data(sqe, &request->io);    after prep, which may clear it
 *     …
 *     vg_io_submit(ring);                          once a turn of the loop
 *     epoll_wait(… vg_io_ring_fd(ring) …);         readable when something has completed
 *     vg_io_reap(ring, budget);                    calls request->io.done(&request->io, res)
 *
 * The ring accepts only the operations that the devices need (READV, WRITEV, FSYNC, and the first
 * two on registered memory), whatever a worker that was taken over may ask of it. One thread uses a
 * ring.
 */
#ifndef BACKEND_DEVICES_IO_H
#define BACKEND_DEVICES_IO_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include <vgrant/guest.h>
#include <vgrant/log.h>

struct vg_io_ring;

/* Part of a request that is on its way through the ring: stays where it is until done was called.
 */
struct vg_io {
	/* @res is what the system call of the same name would return, or negative errno. It may
	 * take entries for further operations. */
	void (*done)(struct vg_io *io, int res);
};

#define VG_IO_MAX_ENTRIES 4096

/*
 * Opens a ring with @entries submission entries (1 to VG_IO_MAX_ENTRIES, rounded up to a power of
 * two) and room for twice as many completions. With @registers memory can be registered, see
 * vg_io_buffer_hold(). *out is the caller's, to be closed.
 *
 * -ENOSYS: this kernel has no io_uring, or one that may lose completions or cannot be restricted
 * (before 5.10). -EPERM: it is forbidden here. Then devices are created without a ring and do their
 * I/O by plain system calls, which block. -EINVAL, -ENOMEM, -EMFILE. A reason is logged.
 */
int vg_io_ring_open(unsigned int entries, bool registers, const struct vg_log *log,
		    struct vg_io_ring **out);
/* Nothing may be in flight. NULL is allowed. */
void vg_io_ring_close(struct vg_io_ring *ring);

/*
 * For epoll, level-triggered: readable while completions wait. The ring's: never to be closed. A
 * sleep in epoll_wait() may end with EINTR when the kernel finishes an operation.
 */
int vg_io_ring_fd(const struct vg_io_ring *ring);

/*
 * A submission entry, which the caller must fill and give its vg_io; it is in flight from now on.
 * Submits what is queued when the queue is full; NULL when the kernel takes none of it at present:
 * then the caller does its work by a plain system call. The request path.
 */
struct io_uring_sqe *vg_io_sqe(struct vg_io_ring *ring);

/*
 * Hands what is queued to the kernel: one system call, or none when nothing is queued. A negative
 * errno (-EAGAIN, -EBUSY, -ENOMEM) says that something is queued still: reap, then call again soon.
 * Blocks only as an operation does that the kernel runs at once (a buffered read from its cache).
 */
int vg_io_submit(struct vg_io_ring *ring);

/*
 * Calls done for up to @budget completions and returns how many there were. Makes a system call
 * only when the kernel says that it keeps completions which did not fit into the ring (none is
 * lost), or which it has not posted yet.
 */
unsigned int vg_io_reap(struct vg_io_ring *ring, unsigned int budget);

/* Entries given out by vg_io_sqe() whose done has not been called. */
unsigned int vg_io_inflight(const struct vg_io_ring *ring);

/* ---- registered memory: the kernel pins it once instead of for each operation ---- */

#define VG_IO_MAX_BUFFERS 1024

struct vg_io_stats {
	uint64_t submits;     /* system calls that submitted operations */
	uint64_t fixed;       /* operations on registered memory */
	unsigned int buffers; /* registered now */
};

/*
 * Registers @len bytes at @base, which the process can write. Returns a handle for
 * vg_io_buffer_release(), or negative errno, which is logged once a ring: then the memory is used
 * without. -ENOSPC: VG_IO_MAX_BUFFERS are; -EOPNOTSUPP, -EFAULT: the kernel does not pin this kind
 * of memory for long (grants before Linux 6.5), or has no such thing (before 5.19); -ENOMEM: past
 * the limit of locked memory. Blocks for the pinning.
 */
int vg_io_buffer_hold(struct vg_io_ring *ring, void VG_GUEST *base, size_t len);
/*
 * Nothing in flight may use the memory. True: the kernel has let go of its pages, and @handle is
 * over. False: not yet; ask again after vg_io_reap(), which learns of it (the ring's descriptor is
 * readable then). Until then the memory must stay mapped.
 */
bool vg_io_buffer_release(struct vg_io_ring *ring, int handle);
/* What IORING_OP_READ_FIXED and WRITE_FIXED call buf_index, of the registered memory that all of
 * this lies in, or -1. The request path. */
int vg_io_buffer_find(const struct vg_io_ring *ring, const void VG_GUEST *base, size_t len);
void vg_io_get_stats(const struct vg_io_ring *ring, struct vg_io_stats *stats);

/* As io_uring_prep_readv() and _writev2(); of one piece that lies in registered memory, as the
 * operation on that. The request path. */
void vg_io_prep_read(struct vg_io_ring *ring, struct io_uring_sqe *sqe, int fd,
		     const struct vg_iov *iov, unsigned int iovs, uint64_t offset);
void vg_io_prep_write(struct vg_io_ring *ring, struct io_uring_sqe *sqe, int fd,
		      const struct vg_iov *iov, unsigned int iovs, uint64_t offset, int flags);

#endif

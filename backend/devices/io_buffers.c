// SPDX-License-Identifier: MIT
/*
 * Memory registered with the ring: the kernel pins it once instead of once an operation. For as
 * long as it does the pages are in use, whatever becomes of the mapping: so who gives them away
 * asks until the kernel has let go.
 */
#include <errno.h>
#include <string.h>

#include "devices/io_internal.h"

void io_buffers_open(struct vg_io_ring *ring)
{
	/* Before Linux 5.19 there is no table with room for later. */
	ring->registers = !io_uring_register_buffers_sparse(&ring->ring, VG_IO_MAX_BUFFERS);
}

/* Has the kernel put @len bytes at @base, or nothing, in place of what it has under @index. */
static int update(struct vg_io_ring *ring, unsigned int index, void *base, size_t len)
{
	struct iovec iov = {.iov_base = base, .iov_len = len};
	__u64 tag = len ? io_buffer_tag(index) : 0;
	int ret = io_uring_register_buffers_update_tag(&ring->ring, index, &iov, &tag, 1);

	if (ret < 0)
		return ret;
	return ret == 1 ? 0 : -EIO;
}

static void complain(struct vg_io_ring *ring, int error)
{
	const char *why = strerror(-error);

	if (ring->complained)
		return;
	ring->complained = true;
	if (error == -EOPNOTSUPP || error == -EFAULT)
		why = "this kernel does not pin such memory for long";
	else if (error == -ENOMEM)
		why = "the limit of locked memory is reached (LimitMEMLOCK= in the unit, ulimit "
		      "-l)";
	vg_info(ring->log,
		"some regions are not registered with io_uring: %s. Their pages are pinned "
		"for each request instead, which takes more CPU time",
		why);
}

/* Where in order[] the first buffer is that begins past @start. */
static unsigned int past(const struct vg_io_ring *ring, uintptr_t start)
{
	unsigned int low = 0, high = ring->num_live;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (ring->buffer[ring->order[mid]].start <= start)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int vg_io_buffer_hold(struct vg_io_ring *ring, void VG_GUEST *base, size_t len)
{
	unsigned int index = 0, at;
	int ret = -EOPNOTSUPP;

	while (index < VG_IO_MAX_BUFFERS && ring->buffer[index].state != IO_BUFFER_FREE)
		index++;
	if (index == VG_IO_MAX_BUFFERS)
		ret = -ENOSPC;
	else if (ring->registers)
		ret = update(ring, index, VG_GUEST_RAW(void, base), len);
	if (ret) {
		complain(ring, ret);
		return ret;
	}
	at = past(ring, (uintptr_t)base);
	memmove(&ring->order[at + 1], &ring->order[at],
		(ring->num_live - at) * sizeof(ring->order[0]));
	ring->order[at] = (uint16_t)index;
	ring->num_live++;
	ring->buffer[index] = (struct io_buffer){(uintptr_t)base, len, IO_BUFFER_LIVE};
	return (int)index;
}

/* No operation finds it any more. */
static void forget(struct vg_io_ring *ring, unsigned int index)
{
	unsigned int at = 0;

	while (at < ring->num_live && ring->order[at] != index)
		at++;
	if (at == ring->num_live)
		return;
	ring->num_live--;
	memmove(&ring->order[at], &ring->order[at + 1],
		(ring->num_live - at) * sizeof(ring->order[0]));
}

bool vg_io_buffer_release(struct vg_io_ring *ring, int handle)
{
	unsigned int index = (unsigned int)handle;
	struct io_buffer *buffer = &ring->buffer[index];

	if (buffer->state == IO_BUFFER_LIVE) {
		forget(ring, index);
		/* For want of memory, perhaps: it is tried again when somebody asks again. */
		if (!update(ring, index, NULL, 0))
			buffer->state = IO_BUFFER_LEAVING;
	}
	if (buffer->state != IO_BUFFER_GONE)
		return false;
	buffer->state = IO_BUFFER_FREE;
	return true;
}

void io_buffer_gone(struct vg_io_ring *ring, uint64_t tag)
{
	struct io_buffer *buffer = &ring->buffer[tag >> 1];

	if (buffer->state == IO_BUFFER_LEAVING)
		buffer->state = IO_BUFFER_GONE;
}

int vg_io_buffer_find(const struct vg_io_ring *ring, const void VG_GUEST *base, size_t len)
{
	unsigned int at = past(ring, (uintptr_t)base);
	const struct io_buffer *buffer;
	size_t offset;

	if (!at)
		return -1;
	buffer = &ring->buffer[ring->order[at - 1]];
	offset = (uintptr_t)base - buffer->start;
	if (offset > buffer->len || len > buffer->len - offset)
		return -1;
	return ring->order[at - 1];
}

void vg_io_get_stats(const struct vg_io_ring *ring, struct vg_io_stats *stats)
{
	*stats = (struct vg_io_stats){
		.submits = ring->submits,
		.fixed = ring->fixed,
		.buffers = ring->num_live,
	};
}

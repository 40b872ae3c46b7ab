/* SPDX-License-Identifier: MIT */
/* What io.c (the ring) and io_buffers.c (memory that is registered with it) share. */
#ifndef BACKEND_DEVICES_IO_INTERNAL_H
#define BACKEND_DEVICES_IO_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/io.h"

enum io_buffer_state {
	IO_BUFFER_FREE,
	IO_BUFFER_LIVE,
	IO_BUFFER_LEAVING, /* the kernel was told to let go, and will say when it has */
	IO_BUFFER_GONE,    /* it has; nobody has asked since */
};

struct io_buffer {
	uintptr_t start;
	size_t len;
	uint8_t state;
};

struct vg_io_ring {
	struct io_uring ring;
	unsigned int inflight;
	uint64_t submits; /* system calls that submitted operations */
	uint64_t fixed;   /* operations on registered memory */

	const struct vg_log *log;
	bool registers;  /* the kernel has a table for buffers */
	bool complained; /* that some memory is not registered */
	struct io_buffer buffer[VG_IO_MAX_BUFFERS];
	uint16_t order[VG_IO_MAX_BUFFERS]; /* those that are live, by where they lie */
	uint16_t num_live;
};

/*
 * What the kernel says when it has let go of a buffer is a completion of its own, whose user data
 * is odd, as no pointer to a vg_io is.
 */
static inline uint64_t io_buffer_tag(unsigned int index)
{
	return (uint64_t)index << 1 | 1;
}

static inline bool io_is_buffer_tag(uint64_t user_data)
{
	return user_data & 1;
}

/* io_buffers.c, cold. Makes the table; before the ring is restricted. */
void io_buffers_open(struct vg_io_ring *ring);
void io_buffer_gone(struct vg_io_ring *ring, uint64_t tag);

#endif

/* SPDX-License-Identifier: MIT */
/* What the tests of the ring, of the block engines and of virtio-blk share. */
#ifndef VGRANT_UNIT_DISK_SUPPORT_H
#define VGRANT_UNIT_DISK_SUPPORT_H

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/io.h"

#define WAIT_MS 60000 /* for one completion, at most */

/* ---- a log that can be looked at ---- */

static char logged[4096];

static inline void log_emit(void *opaque, enum vg_log_level level, const char *fmt, va_list ap)
{
	size_t at = strlen(logged);

	(void)opaque;
	(void)level;
	at += (size_t)vsnprintf(logged + at, sizeof(logged) - at, fmt, ap);
	if (at + 1 < sizeof(logged))
		memcpy(logged + at, "\n", 2);
}

static const struct vg_log test_log = {.emit = log_emit};

static inline unsigned int log_count(const char *what)
{
	unsigned int n = 0;

	for (const char *p = logged; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/* ---- a file without a name, on the file system of the working directory ---- */

static inline int disk_file(off_t size)
{
	char dir[] = "disk-XXXXXX", path[64];
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/image", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(ftruncate(fd, size), 0);
	return fd;
}

/* The byte at @offset of a test disk: neighbours differ, sectors differ, and so do pages. */
static inline uint8_t disk_byte(uint64_t offset, unsigned int seed)
{
	return (uint8_t)(offset * 7 + offset / 512 * 13 + offset / 4096 * 29 + seed);
}

static inline void disk_fill(int fd, size_t size, unsigned int seed)
{
	uint8_t *bytes = malloc(size);

	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = disk_byte(i, seed);
	ck_assert_int_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
	free(bytes);
}

/* How many of @len bytes are what disk_fill() put at @offset. */
static inline size_t disk_same(const uint8_t *bytes, size_t len, uint64_t offset, unsigned int seed)
{
	size_t same = 0;

	for (size_t i = 0; i < len; i++)
		same += bytes[i] == disk_byte(offset + i, seed);
	return same;
}

/* ---- the ring ---- */

static inline struct vg_io_ring *ring_open(unsigned int entries)
{
	struct vg_io_ring *ring;

	ck_assert_int_eq(vg_io_ring_open(entries, true, &test_log, &ring), 0);
	return ring;
}

/* Until the ring has something to tell, and takes it. */
static inline void ring_wait(struct vg_io_ring *ring)
{
	struct pollfd p = {.fd = vg_io_ring_fd(ring), .events = POLLIN};

	/* Ready, or interrupted by the kernel's own completion work. */
	ck_assert_int_ne(poll(&p, 1, WAIT_MS), 0);
	vg_io_reap(ring, 1000);
}

/* Submits, and reaps until no more than @left operations are in flight. */
static inline void ring_drain(struct vg_io_ring *ring, unsigned int left)
{
	while (vg_io_inflight(ring) > left) {
		ck_assert_int_eq(vg_io_submit(ring), 0);
		ring_wait(ring);
	}
}

#endif

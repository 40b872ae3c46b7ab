/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk (virtio 1.3, section 5.2), over an engine that moves the bytes.
 *
 * The cache is a write-back one: a write is answered when the engine has taken it, and is on the
 * disk once a flush that came after the answer is answered (5.2.6.2). A driver that does not
 * negotiate VIRTIO_BLK_F_FLUSH gets every write put on the disk before its answer instead.
 */
#ifndef BACKEND_DEVICES_BLK_BLK_H
#define BACKEND_DEVICES_BLK_BLK_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/device.h>

struct vg_blk;
struct vg_io_ring;

enum vg_blk_engine_kind {
	VG_BLK_ENGINE_FILE, /* a regular file or block device */
	VG_BLK_ENGINE_NULL, /* keeps nothing: for measuring */
};

#define VG_BLK_QUEUE_SIZE 256 /* of each queue, at most */
#define VG_BLK_SEG_MAX    254 /* with header and status: VG_REQUEST_SEGMENTS */
#define VG_BLK_SIZE_MAX   16384
#define VG_BLK_SERIAL     20

struct vg_blk_config {
	struct vg_view *view;  /* borrowed, outlives the device */
	struct vg_io_ring *io; /* borrowed, outlives the device; NULL: plain, blocking calls */
	enum vg_blk_engine_kind engine;
	int fd;              /* file: borrowed, stays open until vg_blk_destroy() */
	bool read_only;      /* refuse writes even if fd allows them */
	bool buffered;       /* file: never O_DIRECT */
	uint64_t null_size;  /* null: bytes */
	unsigned int queues; /* 1 to VG_DEVICE_MAX_QUEUES */
	const char *serial;  /* at most VG_BLK_SERIAL bytes of it are told to the guest; may be
				NULL */
	const struct vg_log *log;
	const char *label; /* for log lines: "dom3 xvda"; must outlive vg_blk_create() only */
};

struct vg_blk_stats {
	uint64_t reads, writes, flushes; /* answered, with success or not */
	uint64_t other;                  /* get-id, unknown types, and what could not be read */
	uint64_t errors;                 /* of all these: answered otherwise than with OK */
	uint64_t bytes_read, bytes_written;
	unsigned int in_flight; /* with the engine now */
};

/*
 * Makes the device and all the memory that its requests will need. *out is the caller's, to be
 * destroyed. -EINVAL, -ENOMEM, and what vg_blk_engine_file_open() returns; what is wrong is logged.
 * Blocks for looking at the disk.
 */
int vg_blk_create(const struct vg_blk_config *config, struct vg_blk **out);

/* The device, for a bus and for the loop. It belongs to @blk. */
struct vg_device *vg_blk_device(struct vg_blk *blk);

/* Nothing may be in flight (see vg_device_stop()). NULL is allowed. */
void vg_blk_destroy(struct vg_blk *blk);

void vg_blk_get_stats(const struct vg_blk *blk, struct vg_blk_stats *stats);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk (virtio 1.3, section 5.2), driver half, on libvgguest. Requests live in slots, each
 * with a data buffer that is granted already: what a slot holds is what the device reads or writes.
 */
#ifndef VGGUEST_BLK_H
#define VGGUEST_BLK_H

#include "vgguest.h"

#define VGG_SECTOR        512u
#define VGG_BLK_MAX_BYTES (4u << 20) /* of one request's data: as much as vgrantd takes */

#define VGG_BLK_F_SIZE_MAX   (UINT64_C(1) << 1)
#define VGG_BLK_F_SEG_MAX    (UINT64_C(1) << 2)
#define VGG_BLK_F_RO         (UINT64_C(1) << 5)
#define VGG_BLK_F_BLK_SIZE   (UINT64_C(1) << 6)
#define VGG_BLK_F_FLUSH      (UINT64_C(1) << 9)
#define VGG_BLK_F_TOPOLOGY   (UINT64_C(1) << 10)
#define VGG_BLK_F_CONFIG_WCE (UINT64_C(1) << 11)
#define VGG_BLK_F_MQ         (UINT64_C(1) << 12)

enum vgg_blk_op {
	VGG_BLK_READ = 0,
	VGG_BLK_WRITE = 1,
	VGG_BLK_FLUSH = 4,
	VGG_BLK_GET_ID = 8,
};

#define VGG_BLK_OK     0
#define VGG_BLK_IOERR  1
#define VGG_BLK_UNSUPP 2

/* Where the buffers of requests lie (DESIGN's frontend policies). */
enum vgg_mode {
	VGG_REGION, /* all in regions: no grant operation per request */
	VGG_GRANT,  /* granted, not declared: the backend copies or maps each request */
	VGG_HYBRID, /* header and status in a region, data granted */
	VGG_FRESH, /* as GRANT, and the data's grants are made for one request and ended after it */
	VGG_BOUNCE, /* data is the driver's own memory, and copied to and from a pool in regions */
	VGG_FAT,    /* as BOUNCE, and pool, rings and all else lie in one region */
};

struct vgg_blk_config {
	enum vgg_mode mode;
	uint16_t queues;     /* 0: 1; bounded by what the device has */
	uint16_t queue_size; /* 0: 128; bounded by what the device has */
	uint16_t depth;      /* slots of each queue; 0: 1 */
	uint32_t max_bytes;  /* of one request's data; 0: 65536 */
	uint16_t segments;   /* data is split into at least this many descriptors; 0: 1 */
	uint32_t buffers;    /* data buffers of each queue, used in turn; less than depth: depth */
	bool own_ports;      /* an event channel a queue */
	bool no_event_idx, no_indirect;
	/* What the rest of each data buffer's last page is filled with, and a page that is never
	 * granted: a backend is not to see it. NULL: nothing. */
	const char *secret;
};

struct vgg_blk;

struct vgg_blk_slot {
	uint8_t *data;  /* max_bytes, granted but in BOUNCE and FAT; NULL between requests in mode
			   FRESH */
	void *user;     /* the caller's */
	uint64_t stamp; /* likewise */
	uint16_t queue, index;
	bool busy;
	/* of the present or last request */
	enum vgg_blk_op op;
	uint32_t len;
	uint8_t status; /* VGG_BLK_OK …; 0xff: the device wrote none */
	uint32_t used_len;
};

struct vgg_blk_info {
	uint64_t capacity; /* sectors */
	uint64_t features; /* negotiated */
	uint32_t block_size;
	uint32_t seg_max;
	uint16_t queues, queue_size, depth;
	bool read_only;
};

/* Brings the device of a connected @g (borrowed) up to DRIVER_OK. *out is the caller's. */
int vgg_blk_open(struct vgg *g, const struct vgg_blk_config *config, struct vgg_blk **out);
/* Resets the device, then frees queues and buffers. NULL is allowed. When the device cannot be
 * reset or the backend closes it, the connection is ended first, as vgg_disconnect() does. */
int vgg_blk_close(struct vgg_blk *blk);
void vgg_blk_get_info(const struct vgg_blk *blk, struct vgg_blk_info *info);
struct vgg_queue *vgg_blk_queue(struct vgg_blk *blk, uint16_t queue);

/* ---- several in flight ---- */

/* Slot @index of @queue; for one that is not busy, data may be filled. */
struct vgg_blk_slot *vgg_blk_slot(struct vgg_blk *blk, uint16_t queue, uint16_t index);
/* Before each request with data: gives the slot its buffer in mode FRESH; in the others the next
 * one, where there are more than slots. */
int vgg_blk_prepare(struct vgg_blk *blk, struct vgg_blk_slot *slot);
/* Adds a request; the device sees it at vgg_blk_kick(). -EBUSY slot, -ENOSPC ring, -EINVAL. */
int vgg_blk_submit(struct vgg_blk *blk, struct vgg_blk_slot *slot, enum vgg_blk_op op,
		   uint64_t sector, uint32_t len);
/* Publishes what was submitted on @queue and rings when the device wants it. */
int vgg_blk_kick(struct vgg_blk *blk, uint16_t queue);
/* Takes up to @max completions of @queue without waiting; returns how many, or -EPROTO. */
int vgg_blk_reap(struct vgg_blk *blk, uint16_t queue, struct vgg_blk_slot **done, unsigned int max);
/* Asks for interrupts on all queues with requests in flight, with EVENT_IDX after @batch
 * completions. True: a completion is there. */
bool vgg_blk_arm(struct vgg_blk *blk, uint16_t batch);
/* Sleeps until at least one of the queues has a completion, at most the time-out. With EVENT_IDX
 * the device is asked to wait for @batch completions of a queue. */
int vgg_blk_wait(struct vgg_blk *blk, uint16_t batch);

/* ---- one at a time, on queue 0: 0, -EIO, -EOPNOTSUPP, or as vgg_request() ---- */

int vgg_blk_read(struct vgg_blk *blk, uint64_t sector, void *buf, uint32_t len);
int vgg_blk_write(struct vgg_blk *blk, uint64_t sector, const void *buf, uint32_t len);
int vgg_blk_flush(struct vgg_blk *blk);
int vgg_blk_get_id(struct vgg_blk *blk, char id[21]);

#endif

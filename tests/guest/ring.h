/* SPDX-License-Identifier: MIT */
/*
 * The driver side of a split virtqueue (virtio 1.3, section 2.7), over memory that is already
 * granted. Pure: no Xen call, no system call, no allocation after vgg_ring_init(). It walks chains
 * from private state only, so that nothing the device writes into the rings can lead it astray.
 *
 * The areas are public so that a test can write what no driver would write.
 */
#ifndef VGGUEST_RING_H
#define VGGUEST_RING_H

#include <stdbool.h>
#include <stdint.h>

#define VGG_RING_MAX 1024 /* entries */

#define VGG_DESC_F_NEXT     1
#define VGG_DESC_F_WRITE    2
#define VGG_DESC_F_INDIRECT 4

struct vgg_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vgg_avail {
	uint16_t flags, idx;
	uint16_t ring[]; /* size entries, then used_event */
};

struct vgg_used_elem {
	uint32_t id, len;
};

struct vgg_used {
	uint16_t flags, idx;
	struct vgg_used_elem ring[]; /* size entries, then avail_event */
};

/* Bytes of the three areas. */
#define VGG_DESC_BYTES(size)  (16u * (size))
#define VGG_AVAIL_BYTES(size) (6u + 2u * (size))
#define VGG_USED_BYTES(size)  (6u + 8u * (size))

/* One piece of a request. */
struct vgg_seg {
	uint64_t addr;
	uint32_t len;
};

/* Memory for indirect tables: one of @entries descriptors for each ring entry, granted. */
struct vgg_indirect {
	struct vgg_desc *table;
	uint64_t addr;
};

struct vgg_ring {
	uint16_t size;
	bool event_idx;
	struct vgg_desc *desc; /* shared with the device */
	struct vgg_avail *avail;
	struct vgg_used *used;

	uint16_t avail_idx; /* private: next to publish */
	uint16_t published; /* avail_idx as the device may have seen it */
	uint16_t last_used;
	uint16_t num_free;
	uint16_t free_head;
	struct {
		void *cookie;   /* of the chain's head; NULL: not in flight */
		uint16_t count; /* descriptors of the chain */
		uint16_t next;  /* in the free list, or in the chain */
	} * state;
};

/* The areas are zeroed. -EINVAL: size; -ENOMEM. vgg_ring_fini() frees the private state only. */
int vgg_ring_init(struct vgg_ring *ring, uint16_t size, void *desc, void *avail, void *used,
		  bool event_idx);
void vgg_ring_fini(struct vgg_ring *ring);

/*
 * Puts a chain of @out device-readable and @in device-writable segments into the ring; not visible
 * before vgg_ring_publish(). @cookie (not NULL) comes back from vgg_ring_get(). With @indirect, one
 * ring entry is used and its table holds the chain. Returns the head, or -ENOSPC.
 */
int vgg_ring_add(struct vgg_ring *ring, const struct vgg_seg *segs, unsigned int out,
		 unsigned int in, const struct vgg_indirect *indirect, void *cookie);

/* Publishes what was added. True: the device wants a kick. */
bool vgg_ring_publish(struct vgg_ring *ring);

/*
 * Takes one used element: 1 with *cookie and *len, 0: none, -EPROTO: the device named a head that
 * is not in flight (the ring is not usable any more).
 */
int vgg_ring_get(struct vgg_ring *ring, void **cookie, uint32_t *len);

/* Asks for an interrupt after @after more used elements (1: the next). True: they are there
 * already. Without EVENT_IDX @after is always 1. */
bool vgg_ring_enable_interrupts(struct vgg_ring *ring, uint16_t after);
void vgg_ring_disable_interrupts(struct vgg_ring *ring);

#endif

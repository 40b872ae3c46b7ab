/* SPDX-License-Identifier: MIT */
/* The split ring's layout (virtio 1.3, section 2.7), and the queue's state. */
#ifndef VGRANT_VIRTQUEUE_SPLIT_H
#define VGRANT_VIRTQUEUE_SPLIT_H

#include <vgrant/virtqueue.h>

#define DESC_F_NEXT          1
#define DESC_F_WRITE         2
#define DESC_F_INDIRECT      4
#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY     1

struct split_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct split_avail {
	uint16_t flags, idx;
	uint16_t ring[]; /* size entries, then used_event */
};

struct split_used_elem {
	uint32_t id, len;
};

struct split_used {
	uint16_t flags, idx;
	struct split_used_elem ring[]; /* size entries, then avail_event */
};

#define AVAIL_EVENT(vq) ((uint16_t VG_GUEST *)(uintptr_t) & (vq)->used->ring[(vq)->size])

/* A later process is to see these stores in this order, whenever this one ends. */
static inline void vq_log_inflight(struct vg_vq_log *log, uint16_t head, uint8_t value)
{
	__atomic_store_n(&log->inflight[head], value, __ATOMIC_RELEASE);
}

/* Elements handled between two looks at the other end; bounds the arrays on the stack. */
#define VQ_BATCH 64

struct vg_virtqueue {
	/* In guest memory: read or written through accessors only. */
	const struct split_desc VG_GUEST *desc;
	const struct split_avail VG_GUEST *avail;
	struct split_used VG_GUEST *used;

	/* Private. Indices run freely modulo 2^16. */
	const char *broken; /* why, or NULL */
	struct vg_view *view;
	uint16_t size;
	uint16_t last_avail, used_idx;
	bool indirect, event_idx;
	bool throttled; /* the next request waits for one in flight to close */
	bool abandoned; /* nothing reaches the guest any more */

	uint16_t num_free, num_done, num_elems;
	struct vg_element **free_elem; /* a stack: what was used last is in the cache */
	struct vg_element **done;
	struct vg_element *elem;

	/* Indirect tables, copied out: one for each chain of a batch whose table lies in no region,
	 * and the one being walked. */
	struct split_desc (*table)[VG_REQUEST_SEGMENTS];
	uint16_t waiting; /* of them: noted, still to be fetched */

	/* Of a queue that can be resumed, else NULL; and what is to be done again, taken before the
	 * available ring. */
	struct vg_vq_log *log;
	uint16_t *redo;
	uint16_t num_redo;

	struct vg_pin pin[3]; /* descriptor, driver, device area */
};

#endif

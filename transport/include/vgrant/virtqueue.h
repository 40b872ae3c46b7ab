/* SPDX-License-Identifier: MIT */
/*
 * The device side of a split virtqueue (virtio 1.3, section 2.7), over a memory view.
 *
 * The driver is not trusted: every field of its rings is fetched once, then checked. What cannot be
 * a driver's honest mistake (an index past the ring, a loop, a jump of the available index by more
 * than the ring's size) breaks the queue: vg_vq_pop() returns -EPROTO from then on and the device
 * asks for a reset. What concerns one request only (an address that resolves to nothing) is that
 * request's ->error.
 *
 * Completions are batched: vg_vq_complete() only notes one, vg_vq_flush() writes them out together.
 */
#ifndef VGRANT_VIRTQUEUE_H
#define VGRANT_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/view.h>

#pragma GCC visibility push(default)

#define VG_VQ_MAX_SIZE 1024

struct vg_virtqueue;

/*
 * What lets a later process go on with a queue that this one leaves at any instruction: memory of
 * the caller's that outlives the process, zero for a queue that begins. The ring itself tells the
 * rest: as many heads were taken as were used and are in flight.
 */
struct vg_vq_log {
	uint16_t used; /* up to this used index inflight[] is up to date */
	uint16_t pad;
	uint8_t inflight[VG_VQ_MAX_SIZE]; /* by head: taken, and perhaps not in the used ring */
};

struct vg_vq_config {
	struct vg_view *view;  /* borrowed: outlives the queue */
	uint16_t size;         /* power of two, 2 to VG_VQ_MAX_SIZE */
	uint64_t desc_addr;    /* descriptor area, 16-byte aligned */
	uint64_t driver_addr;  /* available ring, 2-byte aligned */
	uint64_t device_addr;  /* used ring, 4-byte aligned */
	bool indirect;         /* VIRTIO_F_INDIRECT_DESC negotiated */
	bool event_idx;        /* VIRTIO_F_EVENT_IDX negotiated */
	uint16_t max_inflight; /* requests popped and not completed; 0: the ring's size */
	struct vg_vq_log *log; /* borrowed, may be NULL: the queue cannot be resumed */
	bool resume;           /* go on where the log and the ring say */
};

/* One element of the queue: a descriptor chain, popped and not yet completed. It stays the queue's.
 */
struct vg_element {
	struct vg_request req; /* its memory; req.error says whether it can be used */
	/*
	 * What the last device-writable byte is to hold when the element's memory could not be
	 * reached, or not all that was written arrived: a status of failure. -1, as set by
	 * vg_vq_pop(): nothing.
	 */
	int16_t on_error;
	void *device_data; /* for the device */
	unsigned int slot; /* 0 to the in-flight limit - 1: index for the device's own per-request
			      state */
	/* the queue's own */
	uint32_t written;
	int chain_error;
	uint16_t head;
	uint16_t table; /* descriptors of its indirect table */
};

/*
 * Maps the rings. *out is the caller's, to be destroyed. -EINVAL size or alignment; -EFAULT,
 * -EACCES, -EDQUOT the rings cannot be reached (see vg_view_pin()); -EPROTO log and ring do not fit
 * each other; -ENOMEM. Blocks for the hypercall.
 */
int vg_vq_create(const struct vg_vq_config *config, struct vg_virtqueue **out);
/* No element may be in flight. NULL is allowed. */
void vg_vq_destroy(struct vg_virtqueue *vq);

/*
 * Takes up to @max chains off the available ring and opens their memory. Returns how many are in
 * elems[] (0: none, or the in-flight limit is reached), or -EPROTO: the ring is corrupt, no more is
 * taken.
 */
int vg_vq_pop(struct vg_virtqueue *vq, struct vg_element **elems, unsigned int max);

/* Notes that @elem is done and that the device wrote @written bytes from its start. Not visible
 * yet. */
void vg_vq_complete(struct vg_virtqueue *vq, struct vg_element *elem, uint32_t written);

/*
 * Writes out all completions noted: guest memory first, then the used ring, then its index, once.
 * Returns true when the driver asked to be notified of them.
 */
bool vg_vq_flush(struct vg_virtqueue *vq);

/*
 * Asks the driver not to notify, or to notify. After vg_vq_enable_notify() returned true, requests
 * are there already: go on polling (the race that virtio 1.3, 2.7.7 describes).
 */
void vg_vq_disable_notify(struct vg_virtqueue *vq);
bool vg_vq_enable_notify(struct vg_virtqueue *vq);
/* One fetch of the available index. False when the queue is broken or at its in-flight limit. */
bool vg_vq_has_work(const struct vg_virtqueue *vq);

/*
 * The driver does not wait for what is in flight any more and may have given its memory another
 * use: from now on no completion reaches the guest, neither data nor used ring.
 */
void vg_vq_abandon(struct vg_virtqueue *vq);

/* Popped and not yet flushed. */
unsigned int vg_vq_inflight(const struct vg_virtqueue *vq);
bool vg_vq_is_broken(const struct vg_virtqueue *vq);
/* In words, for the log; NULL while the queue is not broken. A literal: never freed. */
const char *vg_vq_broken_reason(const struct vg_virtqueue *vq);

#pragma GCC visibility pop

#endif

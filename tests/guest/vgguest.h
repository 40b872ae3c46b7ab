/* SPDX-License-Identifier: MIT */
/*
 * libvgguest: the driver half of virtio-msg over Xen (spec/virtio-xen.md) and of virtio-blk in user
 * space, for tests, the demonstration and the benches. It stands on libxengnttab (the sharing
 * half), libxenevtchn, libxenstore and the message codec only, so the same program runs in a domain
 * of the simulated hypervisor and in a domU that has /dev/xen/gntalloc, evtchn and xenbus.
 *
 * Errors are negative errno, and vgg_error() has the words. -ECONNRESET: the backend closes the
 * device or has gone; -ETIMEDOUT: it did not answer. Every wait is bounded. One thread uses a
 * guest.
 */
#ifndef VGGUEST_H
#define VGGUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgrant/msg.h>
#include <vgrant/xenbus.h>

#include "ring.h"

#define VGG_PAGE       4096u
#define VGG_MAX_QUEUES 16
#define VGG_CHUNK      256u /* pages of a pool's chunk */

/* ---- the node and its connection ---- */

struct vgg;

struct vgg_config {
	const char *kind;    /* NULL: virtio_disk, else virtio */
	int devid;           /* -1: the first that the frontend directory holds */
	uint32_t timeout_ms; /* of each wait on the backend; 0: 10000 */
	/* For the insecure baseline of the benches, a backend that maps all of the guest: addresses
	 * are guest-physical and no region is declared. Only where the hypervisor is simulated. */
	bool foreign;
	/* virtio-mmio instead of messages: only where the hypervisor is simulated. The interrupt is
	 * the line that the backend's directory names, or an event channel offered as on xenbus. */
	bool mmio;
	unsigned int vcpu; /* that touches the registers */
};

struct vgg_stats {
	uint64_t messages;   /* requests sent on the control ring */
	uint64_t kicks;      /* event-channel notifications sent */
	uint64_t interrupts; /* event-channel notifications taken */
	uint64_t waits;      /* times it slept for one */
	uint64_t grants_made, grants_ended;
	uint64_t regions_added, regions_removed;
	uint64_t requests, bytes_read, bytes_written; /* completed */
	uint64_t bytes_bounced;                       /* copied to and from a pool */
	uint64_t bytes_zeroed; /* of the pool, for the device to write there */
};

/* Opens the handles and finds the node. Touches nothing of the backend's. */
int vgg_open(const struct vgg_config *config, struct vgg **out);
/* Frees everything without a word to the backend: what a crash does. NULL is allowed. */
void vgg_close(struct vgg *g);
/* Words for the last error of @g, or of the last vgg_open() when @g is NULL. */
const char *vgg_error(const struct vgg *g);
void vgg_get_stats(const struct vgg *g, struct vgg_stats *stats);
uint16_t vgg_backend_domid(const struct vgg *g);
/* Highest grant reference seen so far: references far above it were never granted. */
uint32_t vgg_highest_ref(const struct vgg *g);

/* The steps of the handshake, for tests that stop in between; vgg_connect() does them all. */
int vgg_await_backend(struct vgg *g); /* backend in InitWait; closes an earlier connection first */
int vgg_prepare(struct vgg *g);       /* control page, event channel, their keys */
int vgg_offer(struct vgg *g);         /* vgg_prepare() and state 3 */
int vgg_await_connected(struct vgg *g);
int vgg_connect(struct vgg *g);
/* Orderly end: state 5, waits for the backend's 6, frees control page and port, state 6. Queues and
 * regions must be gone. vgg_connect() may follow: driver reload. */
int vgg_disconnect(struct vgg *g);
/* Says that the device is in use: frontend state 4. */
int vgg_announce(struct vgg *g);
/* Writes the frontend's state, whatever it was. */
int vgg_set_frontend_state(struct vgg *g, enum vg_xenbus_state state);
/* Writes a key of the frontend's directory, whatever it was. */
int vgg_set_frontend_key(struct vgg *g, const char *key, const char *value);
/* The backend's xenbus state, freshly read: enum vg_xenbus_state. */
int vgg_backend_state(struct vgg *g);

/* ---- messages ---- */

/* One request and its answer. *req's token is set here. -ETIMEDOUT, -ECONNRESET, -EPROTO. */
int vgg_request(struct vgg *g, struct vg_msg *req, struct vg_msg *resp);
/* Raw access, for malformed ones: puts bytes into the next slot and rings, or rings only. */
int vgg_send_raw(struct vgg *g, const void *bytes, size_t len);
struct vg_ctl_page *vgg_control_page(struct vgg *g);
int vgg_kick_control(struct vgg *g);
/* A REGION_ADD or REGION_REMOVE as given; returns its enum vg_msg_bus_status or negative errno. */
int vgg_region_request(struct vgg *g, uint8_t id, uint32_t first, uint32_t count, uint32_t flags);
/* EVENT_CONFIG messages seen so far, and the status byte of the last. */
uint64_t vgg_config_events(const struct vgg *g, uint8_t *status);

/*
 * Sleeps until an interrupt, an event of the control page, or a change of the backend's state, at
 * most @timeout_ms. 1: something happened, 0: time-out, -ECONNRESET.
 */
int vgg_wait(struct vgg *g, int timeout_ms);

/* ---- granted memory ---- */

/* Pages granted together; contiguous for us, their references not always consecutive. In a foreign
 * guest the same holds of frame numbers: there they are what addresses are made of. */
struct vgg_pages {
	uint8_t *base;
	uint32_t count;
	uint32_t *refs;
	uint64_t *frames; /* guest frame numbers when addresses are guest-physical, or NULL */
	uint32_t *run;    /* pages from each on whose references (or frames) follow each other */
	bool writable;    /* by the backend */
	bool declared;    /* as regions */
	bool slice;       /* of other pages, which own all of it */
};

int vgg_share(struct vgg *g, uint32_t count, bool writable, struct vgg_pages *pages);
/* Declares as regions, one for each run of consecutive references. Nothing in a foreign guest. */
int vgg_declare(struct vgg *g, struct vgg_pages *pages);
/* Asks until the backend has let go, at most the time-out: -EBUSY. */
int vgg_undeclare(struct vgg *g, struct vgg_pages *pages);
/* Undeclares when declared, then ends the grants. An all-zero struct is allowed. Pages that the
 * backend does not let go of are used no more: they stay as they are until vgg_close(). */
int vgg_unshare(struct vgg *g, struct vgg_pages *pages);
/* Pages [first, first + count) of @all, which must stay: vgg_unshare() of them only forgets them.
 */
void vgg_slice(const struct vgg_pages *all, uint32_t first, uint32_t count, struct vgg_pages *out);
/* Bus address of byte @offset. */
uint64_t vgg_address(const struct vgg_pages *pages, size_t offset);
/* Bytes [offset, offset + len) as segments; returns how many, or -ENOSPC. */
int vgg_segments(const struct vgg_pages *pages, size_t offset, size_t len, struct vgg_seg *segs,
		 unsigned int max);
/* First page of @count with consecutive references, or -ENOENT. */
int vgg_find_run(const struct vgg_pages *pages, uint32_t count);

/* ---- virtio ---- */

struct vgg_device_info {
	uint32_t device_id, vendor_id, feature_bits, config_size, max_queues;
};

int vgg_get_info(struct vgg *g, struct vgg_device_info *info);
int vgg_get_features(struct vgg *g, uint64_t *features);
int vgg_get_status(struct vgg *g, uint8_t *status);
int vgg_set_status(struct vgg *g, uint8_t status, uint8_t *result);
int vgg_read_config(struct vgg *g, uint32_t offset, void *data, uint32_t len, uint32_t *generation);
/* Reset, ACKNOWLEDGE, DRIVER, features (those of @wanted that are offered), FEATURES_OK. */
int vgg_negotiate(struct vgg *g, uint64_t wanted, uint64_t *features);
int vgg_driver_ok(struct vgg *g);
/* Status 0, asked again until it is answered with 0, at most the time-out. Queues are forgotten. */
int vgg_reset(struct vgg *g);

struct vgg_queue_config {
	uint16_t index, size;
	bool own_port; /* an event channel of its own: VQ_BIND */
	bool event_idx;
	bool declare; /* rings in a region; otherwise the backend maps them for the queue */
	/* vgg_queue_pages() of them, in a region already: for the rings. NULL: they are granted. */
	const struct vgg_pages *pages;
};

struct vgg_queue {
	struct vgg_ring ring;
	struct vgg_pages pages;
	uint64_t desc_addr, avail_addr, used_addr;
	int port; /* 0: the shared one */
	uint16_t index;
};

/* Largest size of queue @index; 0: there is none. */
int vgg_queue_max_size(struct vgg *g, uint16_t index);
/* Pages of a queue's rings. */
uint32_t vgg_queue_pages(uint16_t size);
/* Grants rings and sets the queue up: between vgg_negotiate() and vgg_driver_ok(). The size is
 * made smaller when references are not consecutive enough for it. */
int vgg_queue_create(struct vgg *g, const struct vgg_queue_config *config, struct vgg_queue *q);
/* Frees the rings: after vgg_reset(), or after the connection's end. */
int vgg_queue_destroy(struct vgg *g, struct vgg_queue *q);
/* One doorbell, whatever the device asked for. */
int vgg_kick(struct vgg *g, const struct vgg_queue *q);

#endif

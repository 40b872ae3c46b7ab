/* SPDX-License-Identifier: MIT */
/*
 * The device model: what every virtio device has in common (virtio 1.3, chapter 2), between a bus,
 * which carries the driver's wishes, and a device type (struct vg_device_ops), which does the work.
 * A bus knows no device type by name, a device type knows no bus.
 *
 * One thread uses a device.
 */
#ifndef VGRANT_DEVICE_H
#define VGRANT_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/log.h>
#include <vgrant/view.h>
#include <vgrant/virtqueue.h>

#pragma GCC visibility push(default)

struct vg_device;

/* Device status, virtio 1.3, 2.1. */
#define VG_STATUS_ACKNOWLEDGE        0x01
#define VG_STATUS_DRIVER             0x02
#define VG_STATUS_DRIVER_OK          0x04
#define VG_STATUS_FEATURES_OK        0x08
#define VG_STATUS_DEVICE_NEEDS_RESET 0x40
#define VG_STATUS_FAILED             0x80

/* Features that the device model itself offers to every driver, on top of the device type's. */
#define VG_F_INDIRECT_DESC   (UINT64_C(1) << 28)
#define VG_F_EVENT_IDX       (UINT64_C(1) << 29)
#define VG_F_VERSION_1       (UINT64_C(1) << 32)
#define VG_F_ACCESS_PLATFORM (UINT64_C(1) << 33)
#define VG_DEVICE_FEATURES                                                                         \
	(VG_F_INDIRECT_DESC | VG_F_EVENT_IDX | VG_F_VERSION_1 | VG_F_ACCESS_PLATFORM)

#define VG_DEVICE_MAX_QUEUES 16
#define VG_DEVICE_MAX_CONFIG 256 /* bytes of configuration space */

/* ---- implemented by a device type ---- */

struct vg_device_ops {
	const char *name;   /* for people: "virtio-blk" */
	uint32_t device_id; /* virtio 1.3, chapter 5 */
	/*
	 * Takes what queue @index holds, up to @budget elements, and completes it now or later.
	 * Returns how many it took, or -EPROTO from vg_vq_pop(). The request path.
	 */
	int (*process)(void *priv, unsigned int index, struct vg_virtqueue *vq,
		       unsigned int budget);
	/* The driver has said DRIVER_OK; @features is what was negotiated. May be NULL. */
	int (*start)(void *priv, uint64_t features);
	/* Nothing is in flight and the driver is gone: forget what was negotiated. May be NULL. */
	void (*reset)(void *priv);
	/* The driver writes configuration space; may be NULL (every write is refused). */
	int (*config_write)(void *priv, uint32_t offset, const void *data, uint32_t len);
};

/* ---- implemented by a bus ---- */

struct vg_bus_ops {
	/* Completions of queue @index are to be seen by the driver: one doorbell. The request path.
	 */
	void (*notify)(void *bus, unsigned int index);
	/* Configuration space or status changed of the device's own accord. Coalesced by the bus.
	 */
	void (*config_changed)(void *bus);
	/* A reset that vg_device_set_status() answered with -EINPROGRESS has now happened. */
	void (*reset_done)(void *bus);
};

struct vg_device_config {
	const struct vg_device_ops *ops;
	void *priv;           /* of ops */
	struct vg_view *view; /* borrowed: outlives the device */
	uint64_t features;    /* of the device type; VG_DEVICE_FEATURES are added */
	uint32_t vendor_id;
	uint16_t num_queues;     /* 1 to VG_DEVICE_MAX_QUEUES */
	uint16_t max_queue_size; /* power of two */
	uint32_t config_size;    /* at most VG_DEVICE_MAX_CONFIG */
	const void *config;      /* its first contents, copied */
	const struct vg_log *log;
	const char *label; /* for log lines: "dom3 xvda"; copied */
};

/* *out is the caller's, to be destroyed. -EINVAL, -ENOMEM. */
int vg_device_create(const struct vg_device_config *config, struct vg_device **out);
/*
 * Ends queues and mappings of rings. Nothing may be in flight: see vg_device_stop(). NULL is
 * allowed. The view and the type's private data remain the caller's.
 */
void vg_device_destroy(struct vg_device *dev);

/* ---- called by a bus ---- */

/* Ties the bus to the device. @bus is passed back to @ops. Both NULL: unties. */
void vg_device_set_bus(struct vg_device *dev, const struct vg_bus_ops *ops, void *bus);

struct vg_device_info {
	uint32_t device_id, vendor_id;
	uint32_t feature_bits; /* a multiple of 32 */
	uint32_t config_size;
	uint32_t num_queues;
};
void vg_device_get_info(const struct vg_device *dev, struct vg_device_info *info);

/* Feature bits 32 * @block …; blocks past the end are zero. */
uint32_t vg_device_get_features(const struct vg_device *dev, uint32_t block);
/* Ignored (-EBUSY) once FEATURES_OK is set. Bits that were not offered make FEATURES_OK fail later.
 */
int vg_device_set_features(struct vg_device *dev, uint32_t block, uint32_t bits);

uint8_t vg_device_get_status(const struct vg_device *dev);
/*
 * The driver writes @status (virtio 1.3, 2.1, 3.1.1). The resulting status is
 * vg_device_get_status(): FEATURES_OK is refused by leaving it clear, a bit that the driver tries
 * to clear stays. 0 is reset: it returns 0 when the reset is done, or -EINPROGRESS while a request
 * in flight can still touch a guest page; then the bus's reset_done is called once that has ended.
 * -EINVAL: an illegal transition, nothing changed.
 */
int vg_device_set_status(struct vg_device *dev, uint8_t status);

/* Configuration space. *generation counts every change that the driver can see and survives reset.
 */
int vg_device_read_config(const struct vg_device *dev, uint32_t offset, void *data, uint32_t len,
			  uint32_t *generation);
/* -ESTALE: @generation is not the present one; -EINVAL range; -EACCES the device type refused, or
 * FEATURES_OK is not set (virtio 1.3, 3.1.1). */
int vg_device_write_config(struct vg_device *dev, uint32_t generation, uint32_t offset,
			   const void *data, uint32_t len);

struct vg_queue_setup {
	uint32_t max_size;
	uint32_t size; /* 0: not set up */
	uint64_t desc_addr, driver_addr, device_addr;
	struct vg_vq_log *log; /* see struct vg_vq_config */
	bool resume;
};
int vg_device_get_queue(const struct vg_device *dev, uint32_t index, struct vg_queue_setup *setup);
/*
 * Sets queue @index up. -EINVAL index, size or alignment; -EBUSY FEATURES_OK is not set, or the
 * queue is set up already, or DRIVER_OK is set: a ring never moves while it runs; or the device is
 * broken or stopped; other errors as vg_vq_create().
 */
int vg_device_set_queue(struct vg_device *dev, uint32_t index, const struct vg_queue_setup *setup);

/* Ends queue @index as long as the device has not been started. -EINVAL; -EBUSY it has. */
int vg_device_unset_queue(struct vg_device *dev, uint32_t index);

/*
 * A reset has waited for too long, and the driver is told that it is over: what is in flight no
 * longer reaches the guest, as far as that is ours to decide. The device stays unusable
 * (DEVICE_NEEDS_RESET) until it has come to an end.
 */
void vg_device_abandon(struct vg_device *dev);

/* Queue @index (or all, with VG_ALL_QUEUES) may have work. */
#define VG_ALL_QUEUES UINT32_MAX
void vg_device_kick(struct vg_device *dev, uint32_t index);

/* ---- called by the loop that owns the device ---- */

/* Processes queues that may have work, up to @budget elements each. True if anything was taken. */
bool vg_device_service(struct vg_device *dev, unsigned int budget);
/* Like service, but looks at every running queue whether it was kicked or not: busy polling. */
bool vg_device_poll(struct vg_device *dev, unsigned int budget);
/* Publishes completions of all queues and rings the doorbells; finishes a reset whose time has
 * come. */
void vg_device_flush(struct vg_device *dev);
/* Wants doorbells on all running queues. True: work is there already, do not sleep. */
bool vg_device_enable_notify(struct vg_device *dev);
void vg_device_disable_notify(struct vg_device *dev);
/* Takes no more work until vg_device_set_bus() ties a bus again, and no status but 0 and FAILED.
 * True when nothing is in flight any more. */
bool vg_device_stop(struct vg_device *dev);
/* Requests popped and not yet flushed, over all queues. */
unsigned int vg_device_inflight(const struct vg_device *dev);

/* ---- called by a device type ---- */

/* Changes configuration space and tells the driver. -EINVAL range. */
int vg_device_update_config(struct vg_device *dev, uint32_t offset, const void *data, uint32_t len);
/* The driver broke a rule and only a reset helps: sets DEVICE_NEEDS_RESET, logs @why once. */
void vg_device_needs_reset(struct vg_device *dev, const char *why);

#pragma GCC visibility pop

#endif

/* SPDX-License-Identifier: MIT */
/*
 * virtio-mmio: the registers of one device (virtio 1.3, 4.2.2, version 2) and the IOREQ server that
 * a guest's accesses come through (spec/virtio-xen.md, section 13).
 *
 * The register model knows nothing of Xen: it turns reads and writes into calls of the device model
 * and gives interrupts to its owner. What must outlive the process lies in memory of the owner's, a
 * shared file: a later process goes on where this one stopped, whatever it was doing.
 *
 * One thread uses these.
 */
#ifndef VGRANT_MMIO_H
#define VGRANT_MMIO_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/device.h>
#include <vgrant/log.h>

#pragma GCC visibility push(default)

struct vg_dm;
struct vg_evtchn;

/* ---- registers ---- */

#define VG_MMIO_SIZE   0x200 /* of a device's range: registers, then configuration space */
#define VG_MMIO_CONFIG 0x100 /* where configuration space begins */

#define VG_MMIO_INT_QUEUE  1 /* InterruptStatus: a queue was used */
#define VG_MMIO_INT_CONFIG 2 /* configuration or status changed */

struct vg_mmio_queue {
	uint32_t size, ready;
	uint64_t desc, driver, device;
};

/* What survives the process. All zero is a device after reset. Nobody else writes to it. */
struct vg_mmio_state {
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	uint32_t status, interrupt;
	uint32_t features[2];
	uint32_t features_unknown; /* the driver wrote a bit past these */
	struct vg_mmio_queue queue[VG_DEVICE_MAX_QUEUES];
	struct vg_vq_log log[VG_DEVICE_MAX_QUEUES];
};

struct vg_mmio_ops {
	/* The device wants the driver's attention (true), or no longer (false: all is
	 * acknowledged). The request path. */
	void (*interrupt)(void *opaque, bool wanted);
	/* The reset that vg_mmio_write() answered with -EINPROGRESS has happened, or is given up.
	 */
	void (*reset_done)(void *opaque);
};

struct vg_mmio_config {
	struct vg_device *device;    /* borrowed: outlives the registers */
	struct vg_mmio_state *state; /* borrowed likewise */
	const struct vg_mmio_ops *ops;
	void *opaque;              /* of ops */
	uint32_t reset_timeout_ms; /* after it a reset that waits is given up; 0: 5000 */
	const struct vg_log *log;
	const char *label; /* for log lines; copied */
};

struct vg_mmio;

/*
 * Ties the device to its registers. When the state is not that of a device after reset, the device
 * is brought to where it was: its queues go on, and requests that were in flight are done again. A
 * state that cannot be brought back leaves a device that needs a reset. *out is the caller's.
 * -ENOMEM.
 */
int vg_mmio_create(const struct vg_mmio_config *config, struct vg_mmio **out);
/*
 * Interrupts a driver that runs, because an interrupt may have been lost: when accesses that an
 * earlier process left have been served, and when an interrupt's channel is bound.
 */
void vg_mmio_wake(struct vg_mmio *mmio);
/* Unties the device. The state stays as it is. NULL is allowed. */
void vg_mmio_destroy(struct vg_mmio *mmio);

/*
 * The driver reads @size bytes at @offset. What virtio does not allow (a width other than 4 on a
 * register, an access that is not aligned, past the end, a register that cannot be read) is 0.
 */
uint64_t vg_mmio_read(struct vg_mmio *mmio, uint64_t offset, unsigned int size);
/*
 * The driver writes. What is not allowed is ignored. -EINPROGRESS: a reset, and requests in flight
 * can still touch pages of the guest; the driver must be held until ops.reset_done, because it
 * takes the end of its write for the end of the reset. Otherwise 0.
 */
int vg_mmio_write(struct vg_mmio *mmio, uint64_t offset, unsigned int size, uint64_t value);

/* Gives up a reset that has taken too long: what is in flight no longer reaches the guest. */
void vg_mmio_service(struct vg_mmio *mmio, uint64_t now_ms);
/* Milliseconds until vg_mmio_service() wants to run, or -1: never. */
int vg_mmio_timeout(const struct vg_mmio *mmio, uint64_t now_ms);

struct vg_mmio_stats {
	uint64_t reads, writes, ignored, kicks, interrupts;
};
void vg_mmio_get_stats(const struct vg_mmio *mmio, struct vg_mmio_stats *stats);

/* ---- the IOREQ server of one guest ---- */

struct vg_ioreq;

#define VG_IOREQ_MAX_VCPUS  128 /* as many requests as fit into the page */
#define VG_IOREQ_MAX_RANGES 64
#define VG_IOREQ_NONE       UINT32_MAX

struct vg_ioreq_config {
	struct vg_dm *dm; /* these two are borrowed and outlive the server */
	struct vg_evtchn *evtchn;
	uint16_t domid;
	uint32_t adopt; /* the server of an earlier process, or VG_IOREQ_NONE: a new one */
	/*
	 * A new server is there, and Xen sends it nothing yet: its number is to be kept where a
	 * later process finds it, whenever this one ends. Negative errno: the server is not
	 * wanted. May be NULL.
	 */
	int (*created)(void *opaque, uint16_t id);
	void *opaque; /* of created */
	const struct vg_log *log;
};

/*
 * Makes a server, or takes over the one that an earlier process left; when that is not there any
 * more, makes one. Maps its page by resource. *out is the caller's. -EPERM, -EACCES, -EOPNOTSUPP:
 * as vg_dm_create_server(); others.
 */
int vg_ioreq_open(const struct vg_ioreq_config *config, struct vg_ioreq **out);
/*
 * @destroy: ends the server; an access to its ranges then finds nobody. Without it the server
 * stays, accesses wait, and a later process goes on. NULL is allowed.
 */
void vg_ioreq_close(struct vg_ioreq *ioreq, bool destroy);
uint16_t vg_ioreq_id(const struct vg_ioreq *ioreq);
/* It is an earlier process's server. */
bool vg_ioreq_adopted(const struct vg_ioreq *ioreq);

/* Accesses to [@base, @base + VG_MMIO_SIZE) go to @mmio. -EEXIST overlaps, -ENOSPC, others of Xen.
 */
int vg_ioreq_add(struct vg_ioreq *ioreq, uint64_t base, struct vg_mmio *mmio);
/* @keep: in Xen the range stays, so that accesses wait for a later process. */
void vg_ioreq_remove(struct vg_ioreq *ioreq, struct vg_mmio *mmio, bool keep);
/*
 * Binds the vCPUs' event channels, when that has not been done, and answers what waits: when the
 * first range has been added. -EBUSY: the earlier process still has them. Others of Xen.
 */
int vg_ioreq_start(struct vg_ioreq *ioreq);

/* @port is pending: true when it is a vCPU's, whose request is then served. */
bool vg_ioreq_event(struct vg_ioreq *ioreq, int port);
/* Serves whatever request there is. True: there was one. */
bool vg_ioreq_poll(struct vg_ioreq *ioreq);
/*
 * A server that was taken over: accesses to what no device is there for wait for it, since more
 * devices of the earlier process may come; after half a minute they are answered.
 */
void vg_ioreq_service(struct vg_ioreq *ioreq, uint64_t now_ms);
/* Milliseconds until vg_ioreq_service() wants to run, or -1: never. */
int vg_ioreq_timeout(const struct vg_ioreq *ioreq, uint64_t now_ms);
/* ops.reset_done of @mmio: lets the vCPUs that wait for it go on. */
void vg_ioreq_release(struct vg_ioreq *ioreq, const struct vg_mmio *mmio);

struct vg_ioreq_stats {
	uint64_t requests; /* of vCPUs, answered */
	uint64_t refused;  /* of these, what no device got to see */
};
void vg_ioreq_get_stats(const struct vg_ioreq *ioreq, struct vg_ioreq_stats *stats);

#pragma GCC visibility pop

#endif

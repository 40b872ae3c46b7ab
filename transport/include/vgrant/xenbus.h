/* SPDX-License-Identifier: MIT */
/*
 * virtio-msg over Xen: the layout of the control page, the names in xenstore, and the device end of
 * one connection. spec/virtio-xen.md is the normative text.
 */
#ifndef VGRANT_XENBUS_H
#define VGRANT_XENBUS_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/log.h>
#include <vgrant/msg.h>

#pragma GCC visibility push(default)

struct vg_device;
struct vg_evtchn;
struct vg_gnttab;
struct vg_quota;
struct vg_view;

/* ---- xenstore (spec: "xenstore") ---- */

#define VG_XENBUS_VERSION  1
#define VG_KIND_DISK       "virtio_disk"      /* libxl 4.17 */
#define VG_KIND_VIRTIO     "virtio"           /* libxl 4.18 */
#define VG_KEY_VERSION     "vgrant-version"   /* both directories: the protocol this end speaks */
#define VG_KEY_MAX_PAGES   "vgrant-max-pages" /* backend's: pages it will map for this guest */
#define VG_KEY_CONTROL_REF "control-ref"      /* frontend's: grant reference of the control page */
#define VG_KEY_EVENT_CHANNEL                                                                       \
	"event-channel" /* frontend's: unbound port, offered to the backend                        \
			 */

enum vg_xenbus_state {
	VG_XENBUS_UNKNOWN = 0,
	VG_XENBUS_INITIALISING = 1,
	VG_XENBUS_INIT_WAIT = 2,
	VG_XENBUS_INITIALISED = 3,
	VG_XENBUS_CONNECTED = 4,
	VG_XENBUS_CLOSING = 5,
	VG_XENBUS_CLOSED = 6,
};

/* ---- control page (spec: "Control page") ---- */

#define VG_CTL_MAGIC     UINT32_C(0x54524756) /* "VGRT" */
#define VG_CTL_SLOTS     16
#define VG_CTL_SLOT_SIZE VG_MSG_MAX_SIZE
#define VG_CTL_RING_SIZE (VG_CTL_SLOTS * VG_CTL_SLOT_SIZE)

/*
 * One page of the guest. Indices run freely modulo 2^32; slot = index % VG_CTL_SLOTS. Each side
 * writes only its own block, keeps private copies of its own indices, and trusts none of the
 * peer's.
 */
struct vg_ctl_page {
	uint32_t magic; /* written by the driver before it offers the page */
	uint16_t version, slot_size, slots, reserved0;
	uint8_t pad0[52];

	uint32_t driver_prod; /* driver's: messages put into driver_ring */
	uint32_t driver_cons; /* driver's: messages taken from device_ring */
	uint8_t pad1[56];

	uint32_t device_prod; /* device's: messages put into device_ring */
	uint32_t device_cons; /* device's: messages taken from driver_ring */
	uint8_t pad2[120];

	uint8_t driver_ring[VG_CTL_RING_SIZE]; /* 0x100: driver to device */
	uint8_t device_ring[VG_CTL_RING_SIZE]; /* 0x880: device to driver */
};

_Static_assert(sizeof(struct vg_ctl_page) == 4096, "the control page is one page");
_Static_assert(__builtin_offsetof(struct vg_ctl_page, driver_prod) == 0x40, "spec: drawing");
_Static_assert(__builtin_offsetof(struct vg_ctl_page, device_prod) == 0x80, "spec: drawing");
_Static_assert(__builtin_offsetof(struct vg_ctl_page, driver_ring) == 0x100, "spec: drawing");
_Static_assert(__builtin_offsetof(struct vg_ctl_page, device_ring) == 0x880, "spec: drawing");

/* ---- the device end of one connection ---- */

struct vg_xenbus_conn;

struct vg_xenbus_conn_config {
	uint16_t domid;
	uint32_t control_ref;
	uint32_t remote_port;
	struct vg_gnttab *gnttab; /* these five are borrowed and outlive the connection */
	struct vg_evtchn *evtchn;
	struct vg_quota
		*quota; /* the control page and nothing else is counted here by the connection */
	struct vg_view *view;
	struct vg_device *device;
	uint32_t reset_timeout_ms; /* after it a waiting reset or REGION_REMOVE is answered BUSY; 0:
				      5000 */
	const struct vg_log *log;
	const char *label; /* for log lines; copied */
};

/*
 * Maps the control page, binds the event channel and ties itself to the device as its bus. *out is
 * the caller's, to be closed. -EPROTO: the page does not hold what the specification says;
 * -EFAULT: the page was not granted; -EINVAL, -EPERM: the port; -EDQUOT; -ENOMEM.
 */
int vg_xenbus_conn_open(const struct vg_xenbus_conn_config *config, struct vg_xenbus_conn **out);
/*
 * Unties the device, unbinds all channels, unmaps the control page. Regions are the view's. Call it
 * when vg_device_stop() has said that nothing is in flight. NULL is allowed.
 */
void vg_xenbus_conn_close(struct vg_xenbus_conn *conn);

/* @port is pending (see vg_evtchn_pending()): true when it belongs to this connection, which then
 * kicks its queues. */
bool vg_xenbus_conn_event(struct vg_xenbus_conn *conn, int port);

/*
 * Handles what the control ring holds, at most VG_CTL_SLOTS messages, answers that were waiting
 * (reset, REGION_REMOVE), a coalesced EVENT_CONFIG. @now_ms is a monotonic clock.
 * Returns 1 when there is more to do at once, 0, or -EPROTO: the peer's indices lie; the connection
 * is over.
 */
int vg_xenbus_conn_service(struct vg_xenbus_conn *conn, uint64_t now_ms);
/* Milliseconds until vg_xenbus_conn_service() wants to run without an event, or -1: never. */
int vg_xenbus_conn_timeout(const struct vg_xenbus_conn *conn, uint64_t now_ms);

struct vg_xenbus_conn_stats {
	uint64_t messages, discarded, events_received, notifications_sent;
};
void vg_xenbus_conn_get_stats(const struct vg_xenbus_conn *conn,
			      struct vg_xenbus_conn_stats *stats);

#pragma GCC visibility pop

#endif

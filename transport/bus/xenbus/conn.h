/* SPDX-License-Identifier: MIT */
/* What the parts of a connection share: conn.c (life and loop), dispatch.c (requests), deferred.c
 * (answers that wait). */
#ifndef VGRANT_BUS_XENBUS_CONN_H
#define VGRANT_BUS_XENBUS_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/device.h>
#include <vgrant/msg.h>
#include <vgrant/xenbus.h>

#include "bus/xenbus/control.h"

/* Requests of one guest whose answers wait. One more is answered BUSY at once. */
#define CONN_MAX_DEFERRED 16

enum deferred_kind {
	DEFERRED_RESET,  /* SET_DEVICE_STATUS 0 */
	DEFERRED_REGION, /* REGION_REMOVE */
};

struct deferred {
	enum deferred_kind kind;
	bool done; /* what was asked for has happened; only the answer is missing */
	uint16_t token;
	uint32_t first, count; /* DEFERRED_REGION */
	uint64_t deadline;     /* ms */
};

/* What a guest did wrong is logged once a connection, each kind. */
enum conn_complaint {
	COMPLAIN_QUEUE = 1 << 0,
	COMPLAIN_REGION = 1 << 1,
	COMPLAIN_BIND = 1 << 2,
	COMPLAIN_RESET = 1 << 3,
};

struct vg_xenbus_conn {
	/* The request path: vg_bus_ops.notify. */
	struct vg_evtchn *evtchn;
	int port;                             /* the node's: control doorbell and shared queues */
	int queue_port[VG_DEVICE_MAX_QUEUES]; /* a queue's own, or 0: it uses the shared one */
	struct vg_xenbus_conn_stats stats;

	struct vg_device *device;
	unsigned int num_queues;
	bool attention;      /* service has something to look at */
	bool blocked;        /* device_ring is full: the driver's doorbell comes first */
	bool config_pending; /* an EVENT_CONFIG is owed */
	bool broken;         /* the peer's indices lied */

	struct vg_ctl ctl;
	struct deferred deferred[CONN_MAX_DEFERRED]; /* in order of arrival */
	unsigned int num_deferred;
	uint32_t timeout_ms;

	uint16_t domid;
	struct vg_gnttab *gnttab;
	struct vg_quota *quota;
	struct vg_view *view;
	struct vg_ctl_page VG_GUEST *page;
	const struct vg_log *log;
	unsigned int complained; /* enum conn_complaint */
	char label[64];
};

/*
 * dispatch.c. Does what @request says. True: *response is to be sent, and there is room for it.
 * False: none is due, or not yet, or the message is one that is discarded (counted).
 */
bool conn_dispatch(struct vg_xenbus_conn *conn, const struct vg_msg *request,
		   struct vg_msg *response, uint64_t now_ms);
/* True the first time for each kind. */
bool conn_complain(struct vg_xenbus_conn *conn, enum conn_complaint kind);
/* The device was reset: its queues are back on the shared channel. */
void conn_unbind_queues(struct vg_xenbus_conn *conn);

/* deferred.c */
/* False: no room, the caller answers BUSY. */
bool conn_defer(struct vg_xenbus_conn *conn, enum deferred_kind kind, const struct vg_msg *request,
		uint64_t now_ms);
/* The device's reset is done, whoever asked for it. */
void conn_reset_happened(struct vg_xenbus_conn *conn);
/* The region is gone: everyone who asked for that is answered, before anyone can add it again. */
void conn_region_gone(struct vg_xenbus_conn *conn, uint32_t first, uint32_t count);
/* Sends the answers whose time has come, as far as there is room. 0 or -EPROTO; *sent is set when
 * something was put. */
int conn_answer_deferred(struct vg_xenbus_conn *conn, uint64_t now_ms, bool *sent);
/* Milliseconds until the next of them may be due, or -1. */
int conn_deferred_timeout(const struct vg_xenbus_conn *conn, uint64_t now_ms);

/* conn.c. 1: put; 0: device_ring is full; -EPROTO. */
int conn_send(struct vg_xenbus_conn *conn, const struct vg_msg *msg);

#endif

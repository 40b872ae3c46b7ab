/* SPDX-License-Identifier: MIT */
/* What worker.c (set-up, devices coming and going) and loop.c (the hot loop) share. */
#ifndef VGRANTD_WORKER_INTERNAL_H
#define VGRANTD_WORKER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/device.h>
#include <vgrant/view.h>
#include <vgrant/xen.h>
#include <vgrant/xenbus.h>

#include "devices/blk/blk.h"
#include "devices/io.h"
#include "vgrantd/budget.h"
#include "vgrantd/ipc.h"
#include "vgrantd/worker.h"

/* One device served, from ATTACH to DETACHED or FAILED. */
struct served {
	struct served *next;
	uint32_t id; /* the supervisor's */
	bool ending; /* takes no more work; goes when nothing is in flight */
	bool answer; /* the supervisor waits for VG_IPC_DETACHED */
	bool failed; /* VG_IPC_FAILED is to be sent */
	int image;   /* file descriptor or -1 */
	struct vg_view *view;
	struct vg_blk *blk;
	struct vg_device *dev;
	struct vg_xenbus_conn *conn;
	char label[VG_IPC_LABEL_MAX];
};

/* Adaptive busy polling: how long to look at the rings before sleeping. All in nanoseconds. */
struct poll_window {
	uint64_t max;    /* 0: never poll */
	uint64_t window; /* now: grows while sleeps are short, falls to 0 when they are long */
};

struct worker_stats {
	uint64_t turns, looks, sleeps, events;
};

struct worker {
	const struct vgrantd_worker_options *options;
	const struct vg_log *log;
	struct vg_gnttab *gnttab;
	struct vg_evtchn *evtchn;
	struct vg_io_ring *io; /* NULL: plain system calls */
	struct vg_quota quota;
	struct served *served;
	struct poll_window poll;
	struct vg_budget budget;
	struct worker_stats stats;
	uint64_t trimmed_ms; /* when memory was last given back */
	int epoll;
	bool over; /* shutting down: ends when the last device is gone */
};

/* loop.c: serves until the worker is over and has no device left. */
void worker_loop(struct worker *w);

/* worker.c: cold. */
/* Handles what the supervisor has sent. */
void worker_receive(struct worker *w);
/* The connection of @s broke a rule: it is to end, for the reason @why. */
void worker_fail(struct worker *w, struct served *s, const char *why);
/* Lets go of devices that are ending and have nothing in flight. */
void worker_bury(struct worker *w);

#endif

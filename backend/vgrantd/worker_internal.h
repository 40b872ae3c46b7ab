/* SPDX-License-Identifier: MIT */
/* What worker.c (set-up, devices coming and going) and loop.c (the hot loop) share. */
#ifndef VGRANTD_WORKER_INTERNAL_H
#define VGRANTD_WORKER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/device.h>
#include <vgrant/dm.h>
#include <vgrant/mmio.h>
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
	uint32_t id;  /* the supervisor's */
	uint32_t bus; /* enum vg_ipc_bus */
	bool ending;  /* takes no more work; goes when nothing is in flight */
	bool answer;  /* the supervisor waits for VG_IPC_DETACHED */
	bool failed;  /* VG_IPC_FAILED is to be sent */
	bool leave;   /* virtio-mmio: a later worker is to go on */
	int image;    /* file descriptor or -1 */
	struct vg_view *view;
	struct vg_blk *blk;
	struct vg_device *dev;
	struct vg_xenbus_conn *conn; /* virtio-msg; NULL: virtio-mmio, which has these: */
	struct vg_mmio *mmio;
	struct vg_mmio_state *state; /* mapped */
	struct worker *worker;
	uint32_t irq_kind, irq; /* enum vg_ipc_irq */
	int irq_port;           /* local, or 0: not bound */
	bool driver;            /* what the supervisor was told last: DRIVER_OK is set */
	uint64_t driver_ms;     /* not before this it is told again */
	char label[VG_IPC_LABEL_MAX];
};

/* Adaptive busy polling: how long to look at the rings before sleeping. All in nanoseconds. */
struct poll_window {
	uint64_t max;    /* 0: never poll */
	uint64_t window; /* now: grows while sleeps are short, falls to 0 when they are long */
};

struct worker_stats {
	uint64_t turns, looks, sleeps, events, event_reads;
};

struct worker {
	const struct vgrantd_worker_options *options;
	const struct vg_log *log;
	struct vg_gnttab *gnttab;
	struct vg_evtchn *evtchn;
	struct vg_io_ring *io; /* NULL: plain system calls */
	/* While there is a device on virtio-mmio. */
	struct vg_dm *dm;
	struct vg_ioreq *ioreq;
	bool left;    /* a later worker needs the IOREQ server */
	int state_fd; /* for the device that is attached next, or -1 */
	uint32_t state_device;
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
/* The device that the supervisor calls @id, or NULL. */
struct served *worker_find(struct worker *w, uint32_t id);
/* To the supervisor. One that does not read cannot be served: the worker ends, which it will
 * notice. */
void worker_answer(struct worker *w, const struct vg_ipc_msg *msg);

/* worker_stats.c: answers VG_IPC_GET_STATS. */
void worker_report_stats(struct worker *w, uint32_t id, uint64_t cookie);

/* worker_mmio.c: cold, but for interrupts. */
int worker_mmio_open(struct worker *w, struct served *s, const struct vg_ipc_attach *a);
/* @s is in no list any more. @leave: a later worker goes on. */
void worker_mmio_close(struct worker *w, struct served *s, bool leave);
/* Keeps @fd, the registers of the device that is attached next. */
void worker_mmio_state(struct worker *w, uint32_t device, int fd);
/* Interrupts by the guest's @port from now on; 0: by none. */
int worker_mmio_bind(struct worker *w, struct served *s, uint32_t port);
/* Tells the supervisor when the driver has come or gone. */
void worker_mmio_tell(struct worker *w, struct served *s, uint64_t now_ms);
/* Milliseconds until one of the device's timers wants to run, or -1. */
int worker_mmio_timeout(const struct served *s, uint64_t now_ms);
uint64_t worker_mmio_foreign_pages(const struct worker *w);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: the one process that has xenstore and opens images. It keeps a node (node.h) for
 * each of our xenbus directories and a worker process (workers.h) for each guest that is served.
 * One thread, one epoll loop; it waits for no guest and no worker, every such wait has a deadline.
 */
#ifndef VGRANTD_SUPERVISOR_H
#define VGRANTD_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/log.h>
#include <vgrant/store.h>

#include "vgrantd/budget.h"

struct vgd_node;
struct vgd_worker;

/* Which bus devices are on, unless their directory says. */
enum vgrantd_bus {
	VGRANTD_BUS_AUTO, /* virtio-mmio where the toolstack gave the device an address */
	VGRANTD_BUS_MSG,
	VGRANTD_BUS_MMIO,
};

struct vgrantd_options {
	enum vgrantd_bus bus;
	const char *state_dir; /* of devices on virtio-mmio */
	uint32_t max_pages;    /* that one guest may have mapped here */
	uint32_t total_pages;  /* that all guests together may have */
	uint32_t poll_us;
	uint32_t copy_max;
	bool register_regions;
	bool verbose;
};

struct vgd_supervisor {
	const struct vgrantd_options *options;
	const struct vg_log *log;
	struct vg_store *store;
	int epoll;
	int signals;
	int budget_fd;           /* of all workers; -1: nobody polls */
	struct vg_budget budget; /* likewise */
	int claim;               /* a bound name: there is one supervisor in a domain */
	struct vgd_node *nodes;
	struct vgd_worker *workers;
	uint32_t next_device; /* never 0, never used twice */
	uint64_t next_source; /* of epoll events */
	uint64_t next_cookie; /* of questions for figures; never 0 */
	uint64_t now_ms;      /* monotonic, set once a turn */
	bool rescan;          /* our directories are to be listed again */
	bool stopping;
	uint64_t stop_deadline_ms;
	uint64_t alive_ms; /* when the connection to xenstored is tried next */
};

/* Serves until SIGTERM or SIGINT. Returns the exit status. */
int vgd_supervise(const struct vgrantd_options *options, const struct vg_log *log);

#define VGD_NEVER UINT64_MAX /* a deadline that does not come */

#endif

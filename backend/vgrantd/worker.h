/* SPDX-License-Identifier: MIT */
/* A worker: the process that serves all devices of one guest. It has no xenstore. */
#ifndef VGRANTD_WORKER_H
#define VGRANTD_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/log.h>

struct vgrantd_worker_options {
	uint16_t domid;     /* the guest */
	int socket;         /* to the supervisor, see ipc.h; the worker's, to be closed */
	uint32_t max_pages; /* of the guest, mapped at one time by all its devices */
	uint32_t poll_us;   /* longest busy poll before a sleep, 0: never */
	int budget_fd;      /* the machine's budget of that (budget.h), the worker's; 0: none */
	uint32_t budget_slots;
	uint32_t copy_max;     /* bytes: what lies in no region is copied up to it, mapped above */
	bool register_regions; /* with io_uring, for as long as they are mapped */
	const struct vg_log *log;
};

/* Serves until VG_IPC_SHUTDOWN or end of file on the socket. Returns the exit status. */
int vgrantd_worker(const struct vgrantd_worker_options *options);

#endif

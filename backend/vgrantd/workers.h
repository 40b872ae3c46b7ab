/* SPDX-License-Identifier: MIT */
/* The supervisor's side of the worker processes: one for each guest that has a device attached. */
#ifndef VGRANTD_WORKERS_H
#define VGRANTD_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ipc.h"

struct vgd_supervisor;

struct vgd_worker {
	struct vgd_worker *next;
	uint64_t source; /* of its socket's epoll events */
	uint16_t domid;
	pid_t pid;
	int socket;           /* -1: closed */
	unsigned int devices; /* attached, or about to be */
	bool leaving;         /* was told to shut down: takes no more devices */
	bool killed;
	uint64_t deadline_ms; /* when one that is leaving is killed */
};

/*
 * True while a worker that is to end, or was killed, stands in the way of a new one for @domid: an
 * earlier one of the same guest, or one whose pages would be missing. Until it has ended it may
 * have all mapped that it ever had. When it has, nodes that wait for a frontend are marked.
 */
bool vgd_worker_wait(const struct vgd_supervisor *sup, uint16_t domid);

/*
 * The guest's worker, started if there is none, counted as used by one more device until
 * vgd_worker_put(). NULL with a sentence in @words. Blocks for fork.
 */
struct vgd_worker *vgd_worker_get(struct vgd_supervisor *sup, uint16_t domid, char *words,
				  size_t words_size);
/* One device less. The worker without a device is told to end. */
void vgd_worker_put(struct vgd_supervisor *sup, struct vgd_worker *worker);

/* Sends; a worker that does not take it has gone wrong and is killed. Its death is told later. */
int vgd_worker_send(struct vgd_supervisor *sup, struct vgd_worker *worker,
		    const struct vg_ipc_msg *msg, int fd);
void vgd_worker_kill(struct vgd_supervisor *sup, struct vgd_worker *worker, const char *why);

/* The socket of the worker with @source is readable. */
void vgd_workers_readable(struct vgd_supervisor *sup, uint64_t source);
/* SIGCHLD: reaps our workers and tells their nodes. */
void vgd_workers_reap(struct vgd_supervisor *sup);
/* Kills what has not ended in time. Returns the next deadline. */
uint64_t vgd_workers_timers(struct vgd_supervisor *sup);
/* At the very end: kills and reaps what is left. Blocks for that, at most
 * two seconds each. */
void vgd_workers_destroy(struct vgd_supervisor *sup);

#endif

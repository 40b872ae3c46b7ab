/* SPDX-License-Identifier: MIT */
/* One side of a comparison: a guest, a backend domain, and the way in which it reaches the guest.
 */
#ifndef BENCH_SIDE_H
#define BENCH_SIDE_H

#include <stdint.h>
#include <time.h>

#include "machine.h"

/* How a backend reaches guest memory, and what it takes. */
struct way {
	const char *name;
	const char *daemon; /* in the build tree */
	bool whole_guest;   /* maps all of the guest, which needs privilege over it */
};

extern const struct way way_region, way_foreign;

/* What is done, the same on all sides. */
struct workload {
	uint32_t size; /* bytes of a request */
	uint32_t depth;
	uint32_t poll_us;  /* both ends poll for so long before they sleep; 0: they sleep at once */
	bool batch;        /* scheduling policy of all processes: SCHED_BATCH */
	double seconds;    /* of one run; 0: ->requests counts */
	uint64_t requests; /* of one run */
};

/* One run of the workload. */
struct run {
	uint64_t requests, kicks;
	double seconds;
	double backend_cpu, guest_cpu; /* seconds */
};

/* What the backend counts, since its device was attached. */
struct counters {
	uint64_t requests, errors, grant_ops, notifications, bytes_copied, pages_reached;
};

struct side {
	const struct way *way;
	const struct machine *machine;
	unsigned int backend, guest; /* domains */
	char daemon_log[32], guest_log[32];
	uint64_t guest_pages;
	struct proc daemon, driver;
	clockid_t worker_clock, driver_clock;
};

/* The domains that a side takes, from domain @first on: two. */
void side_domains(const struct way *way, const struct workload *work, unsigned int first,
		  struct domain domains[2]);
/* Brings the backend and the guest up, to where requests can be made; says what went wrong. */
int side_start(struct side *side, const struct way *way, const struct workload *work,
	       const struct machine *machine, const struct domain domains[2]);
/* NULL and all zeroes are allowed. */
void side_stop(struct side *side);
int side_run(struct side *side, const struct workload *work, struct run *run);
int side_counters(const struct side *side, struct counters *counters);

#endif

/* SPDX-License-Identifier: MIT */
/* One backend and its guests, which stand beside other sides on one machine and work in turn. */
#ifndef BENCH_SIDE_H
#define BENCH_SIDE_H

#include <stdint.h>
#include <time.h>

#include "histogram.h"
#include "machine.h"
#include "matrix.h"
#include "place.h"

/* One run: so many requests until all had come back; those of the run's time alone in @in_time. */
struct run {
	uint64_t requests, in_time;
	double seconds;                /* that the run was to take */
	double slowest;                /* rate of the slowest guest over the mean */
	double backend_cpu, guest_cpu; /* seconds */
	uint64_t kicks, bytes_bounced, bytes_zeroed;
};

/* What the backend counts for some guests since their devices were attached, in sum. */
struct counters {
	uint64_t requests, errors, grant_ops, notifications, bytes_copied, system_calls;
	uint64_t pages_reached; /* of the guest that has most */
};

/* What a side costs while nothing happens. */
struct idle {
	double pss_bytes; /* of a worker, mean */
	double cpu_share; /* of vgrantd and all workers */
};

#define SIDE_VDEV "xvda"

struct guest {
	unsigned int domid;
	struct proc driver;
	int image; /* memory that is its disk, or -1 */
	clockid_t worker_clock, driver_clock;
	pid_t worker;
};

struct side {
	struct point point; /* with the most guests that work here at once */
	const struct machine *machine;
	const struct place *place;
	unsigned int backend;
	uint32_t guest_pages;
	char log[40]; /* names of logs begin with it */
	struct proc daemon;
	struct guest *guest; /* point.guests of them */
};

/* The domains that a side takes, from number @first on: the backend's, then the guests'. */
void side_domains(const struct point *p, unsigned int first, struct domain *domains);
/* Brings backend and guests up, to where requests can be made; says what went wrong. */
int side_start(struct side *side, const struct point *p, const struct machine *machine,
	       const struct place *place, const struct domain *domains);
/* All zeroes are allowed. Its point stays, for the next start. */
void side_stop(struct side *side);
/* The first @guests work for @seconds, or longer when nothing is completed in them, which
 * run->seconds says; latencies are added to @latency. */
int side_run(struct side *side, unsigned int guests, double seconds, struct run *run,
	     struct histogram *latency);
int side_counters(const struct side *side, unsigned int guests, struct counters *counters);
/* Watches a side whose guests make no requests. */
int side_idle(const struct side *side, double seconds, struct idle *idle);

#endif

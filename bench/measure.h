/* SPDX-License-Identifier: MIT */
/* Runs of all points of a group, in turn, and what they add up to. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "sample.h"
#include "side.h"

struct settings {
	double seconds;      /* of a run of few guests */
	unsigned int rounds; /* each with new processes */
	unsigned int each;   /* runs of a point in a round */
	double idle;         /* seconds to watch each side before it works; 0: not */
	bool batch;          /* scheduling policy of all processes: SCHED_BATCH */
	struct place place;
	bool progress; /* on standard error */
};

/* Per request, from a run of each round between two looks at the backend's counters. */
struct costs {
	double grant_ops, notifications, system_calls;
	double bytes_copied, bytes_bounced, bytes_zeroed;
};

struct result {
	struct point point;
	double seconds; /* of a run */
	double *rate;   /* requests a second of each run, round by round */
	struct spread rates;
	double slowest;    /* median */
	uint64_t requests; /* of all runs */
	struct histogram *latency;
	double backend_cpu, guest_cpu;     /* seconds a request */
	double backend_share, guest_share; /* seconds a second */
	struct costs costs;
	uint64_t pages_reached, guest_pages; /* of one guest */
	bool watched;
	struct idle idle;
};

/* The median of pairs of neighbouring runs of @one and of @other, the first point of its group. */
struct comparison {
	const struct result *one, *other;
	struct verdict verdict;
};

struct report {
	struct settings settings;
	struct result *result; /* n of them */
	struct comparison *comparison;
	unsigned int n, num_comparisons;
	const struct matrix *matrix;
};

/* Measures all points of @matrix, which must stay, and compares those of a group. Says what went
 * wrong; negative errno. *out is the caller's. */
int measure(const struct matrix *matrix, const struct settings *settings, struct report *out);
/* How many results, from the one at @at on, are of its group. */
unsigned int report_group(const struct report *r, unsigned int at);
void report_free(struct report *r);

#endif

/* SPDX-License-Identifier: MIT */
/* The points of one group while they stand beside each other. */
#ifndef BENCH_GROUP_H
#define BENCH_GROUP_H

#include "measure.h"

struct yardstick;

struct group {
	const struct settings *settings;
	struct result *result; /* of its points */
	unsigned int n;
	unsigned int *side_of; /* of each point: points that differ in guests alone share a side */
	struct side *side;
	unsigned int sides;
	struct yardstick **yardstick; /* of each point that is one */
	struct machine machine;
	struct histogram *scratch; /* of what does not count */
	/* of each point: sums over the rounds, and the run that was last */
	struct counters *sum;
	struct run *counted, *spent;
	double *slowest; /* [point * runs + run] */
};

/* Whether the simulated hypervisor can hold a group of these points: 0, or negative errno when it
 * has been said why not. */
int group_check(struct result *result, unsigned int n);
/* Of @n results whose ->point is set. -ENOMEM. group_free() in any case. */
int group_open(struct group *g, const struct settings *settings, struct result *result,
	       unsigned int n);
void group_free(struct group *g);
/* New processes of everything, all runs of a round, and their end. */
int group_round(struct group *g, unsigned int round);
/* After the last round: what the runs add up to. */
int group_finish(struct group *g);

/* Seconds of a run of @p: many guests need longer to have each its share of the CPUs. */
double group_run_seconds(const struct settings *settings, const struct point *p);

#endif

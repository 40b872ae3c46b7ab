/* SPDX-License-Identifier: MIT */
/* Pairs of processes that do nothing but wake each other: the yardstick "eventfd". */
#ifndef BENCH_PAIRS_H
#define BENCH_PAIRS_H

#include "side.h"

struct pairs;

/* Each of @n pairs has the CPUs that a guest and its worker would have. *out is the caller's, to be
 * stopped. Negative errno. */
int pairs_start(unsigned int n, const struct place *place, struct pairs **out);
/* NULL is allowed. */
void pairs_stop(struct pairs *pairs);
/* All pairs at the same time, as side_run() does with guests: a request is a word to the other
 * process and back. */
int pairs_run(struct pairs *pairs, double seconds, struct run *run, struct histogram *latency);

#endif

/* SPDX-License-Identifier: MIT */
/* What the machine itself does, measured beside devices: points without one. */
#ifndef BENCH_YARDSTICK_H
#define BENCH_YARDSTICK_H

#include "side.h"

struct yardstick;

/*
 * memcpy: copies of a request's size among as many buffers as are in flight, or all that are
 * spanned. eventfd: a word to another process and back, each sleeping until the other's comes; as
 * many pairs of them as guests.
 */
int yardstick_start(const struct point *p, const struct place *place, struct yardstick **out);
void yardstick_stop(struct yardstick *y);
/* As side_run(); of the run, requests and time are set. memcpy has no latency. */
int yardstick_run(struct yardstick *y, double seconds, struct run *run, struct histogram *latency);

#endif

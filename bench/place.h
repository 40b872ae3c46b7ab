/* SPDX-License-Identifier: MIT */
/* On which CPUs guests, backends and yardsticks run. */
#ifndef BENCH_PLACE_H
#define BENCH_PLACE_H

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

/* Left to themselves, a guest and its worker share a CPU in one run and not in the next, which on a
 * machine of two changes the rate by three. */
enum placement {
	PLACE_SAME, /* they share one, unless they poll: nothing but the CPU time of both decides */
	PLACE_APART, /* each has a CPU of its own, if there are two */
	PLACE_FREE,  /* wherever the scheduler puts them */
	PLACEMENTS
};

extern const char *const placement_names[PLACEMENTS + 1];

struct place {
	enum placement placement;
	cpu_set_t all; /* that this process may use */
};

/* Errors of the scheduler as negative errno, of all of these. */
int place_init(struct place *place, enum placement placement);
/* The guest with this index, and the worker that serves it. @polls: they poll for each other. */
int place_guest(const struct place *place, bool polls, unsigned int index, pid_t guest);
int place_worker(const struct place *place, bool polls, unsigned int index, pid_t worker);
/* This process itself, as the first guest, and wherever it may. */
int place_self(const struct place *place);
int unplace_self(const struct place *place);

#endif

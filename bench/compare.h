/* SPDX-License-Identifier: MIT */
/* Two ways of reaching guest memory under the same work, in runs that alternate. */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include "sample.h"
#include "side.h"

/* One way's figures over all runs. */
struct figures {
	const struct way *way;
	struct spread rate;                            /* requests a second */
	double grant_ops, notifications, bytes_copied; /* per request */
	double backend_cpu, guest_cpu;                 /* seconds per request */
	uint64_t pages_reached, guest_pages;
};

struct comparison {
	struct workload work;
	unsigned int pairs, rounds;
	struct figures side[2];
	struct spread ratio; /* of side[0]'s rate to side[1]'s, pair by pair */
};

/* Takes about twice @pairs runs. Says what went wrong; negative errno. */
int compare(const struct way *a, const struct way *b, const struct workload *work,
	    unsigned int pairs, struct comparison *out);

#endif

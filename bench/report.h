/* SPDX-License-Identifier: MIT */
/* What was measured, for people and for programs. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "measure.h"

void report_table(const struct report *r);
/* To @file, which is named @path in what is said when it cannot be written. bench/README.md has the
 * names. */
int report_json(const struct report *r, FILE *file, const char *path);
int report_csv(const struct report *r, FILE *file, const char *path);

static inline double gb_per_second(const struct result *r, double requests)
{
	return requests * r->point.work.size / 1e9;
}

/* memcpy has no latency, and eventfd moves no bytes. */
static inline bool has_latency(const struct result *r)
{
	return r->latency->total > 0;
}

static inline bool has_bytes(const struct result *r)
{
	return r->point.way != &ways[WAY_EVENTFD];
}

#endif

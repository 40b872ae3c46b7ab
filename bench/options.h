/* SPDX-License-Identifier: MIT */
/* The command line of vgrant-bench. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "measure.h"

#define EXIT_USAGE 2

#define PLAN_MAX 8

struct options {
	struct axes plan[PLAN_MAX]; /* one after the other */
	unsigned int num_plans;
	struct settings settings;
	enum placement placement;
	const char *json, *csv;
	bool help;
};

extern const char options_usage[];

/* 0, or EXIT_USAGE after it has said what is wrong. */
int options_parse(int argc, char **argv, struct options *o);

#endif

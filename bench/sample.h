/* SPDX-License-Identifier: MIT */
/* Figures that were taken several times. */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include <stdbool.h>

/* The middle, and the quartiles as spread: half of the values lie between low and high. */
struct spread {
	double median, low, high;
};

/* Of @n values, at least one; @value is left as it is. -ENOMEM. */
int sample_spread(const double *value, unsigned int n, struct spread *out);

/* A ratio can be told from 1 when it is farther from it than the spread is wide. */
bool sample_differs(const struct spread *ratio);

#endif

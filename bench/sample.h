/* SPDX-License-Identifier: MIT */
/* Figures that were taken several times, and what may be said of them. */
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

/* What a ratio that was measured in pairs says. */
struct verdict {
	struct spread ratio;
	bool distinguishable; /* sample_differs(): one is faster */
	/* Measured again it would be the same within 5 %, nineteen times of twenty, as far as its
	 * own scatter tells. */
	bool repeatable;
};

/*
 * Of @rounds times @each ratios, round by round: within a round the same processes stood beside
 * each other, and what they have in common repeats with them. -ENOMEM.
 */
int sample_judge(const double *ratio, unsigned int rounds, unsigned int each, struct verdict *out);

#endif

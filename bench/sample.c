// SPDX-License-Identifier: MIT
#include "sample.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AGREE 0.05 /* two measurements of the same ratio are to differ by no more */

static int ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Between the two nearest values, in proportion. */
static double quantile(const double *sorted, unsigned int n, double q)
{
	double at = q * (n - 1);
	unsigned int below = (unsigned int)at;

	if (below + 1 >= n)
		return sorted[n - 1];
	return sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]);
}

int sample_spread(const double *value, unsigned int n, struct spread *out)
{
	double *sorted = malloc(n * sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, value, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), ascending);
	*out = (struct spread){
		.median = quantile(sorted, n, 0.5),
		.low = quantile(sorted, n, 0.25),
		.high = quantile(sorted, n, 0.75),
	};
	free(sorted);
	return 0;
}

bool sample_differs(const struct spread *ratio)
{
	return fabs(ratio->median - 1) >= ratio->high - ratio->low;
}

/*
 * Standard error of the median of @n values that scatter like these, relative to it. For values
 * that are distributed normally the quartiles are 1.35 standard deviations apart, and the standard
 * error of a median is 1.25 of them over the root of n.
 */
static double error_of_median(const struct spread *s, unsigned int n)
{
	return 1.25 * (s->high - s->low) / 1.35 / sqrt(n) / s->median;
}

/*
 * Nineteen of twenty lie within twice the standard error, which is larger by root 2 for the
 * difference of two. Few rounds know their own scatter badly: more is asked of them.
 */
static bool repeats(double error, unsigned int rounds)
{
	return rounds > 1 && 2 * (1 + 2.0 / (rounds - 1)) * sqrt(2) * error <= AGREE;
}

int sample_judge(const double *ratio, unsigned int rounds, unsigned int each, struct verdict *out)
{
	double *middle = calloc(rounds, sizeof(*middle)), error;
	struct spread round = {0};
	int err = middle ? 0 : -ENOMEM;

	for (unsigned int r = 0; !err && r < rounds; r++) {
		err = sample_spread(ratio + (size_t)r * each, each, &round);
		middle[r] = round.median;
	}
	if (!err)
		err = sample_spread(ratio, rounds * each, &out->ratio);
	if (!err)
		err = sample_spread(middle, rounds, &round);
	free(middle);
	if (err)
		return err;
	error = fmax(error_of_median(&out->ratio, rounds * each), error_of_median(&round, rounds));
	out->distinguishable = sample_differs(&out->ratio);
	out->repeatable = repeats(error, rounds);
	return 0;
}

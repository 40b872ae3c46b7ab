// SPDX-License-Identifier: MIT
#include "sample.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

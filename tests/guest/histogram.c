// SPDX-License-Identifier: MIT
#include "histogram.h"

void histogram_merge(struct histogram *h, const struct histogram *from)
{
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->count[i] += from->count[i];
	h->total += from->total;
	if (from->max > h->max)
		h->max = from->max;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
	double wanted = q * (double)h->total;
	uint64_t seen = 0, middle = 0;

	if (q >= 1)
		return h->max;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS && seen < h->total; i++) {
		uint64_t least = histogram_least(i);

		seen += h->count[i];
		if (!h->count[i] || (double)seen < wanted)
			continue;
		middle = least + (histogram_least(i + 1) - least) / 2;
		break;
	}
	return middle < h->max ? middle : h->max;
}

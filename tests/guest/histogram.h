/* SPDX-License-Identifier: MIT */
/*
 * A log-linear histogram of durations: exact below 32, then 32 buckets for each power of two, so
 * that no bucket is wider than 1/32 of its least value. Values past the last bucket are in it.
 */
#ifndef VGGUEST_HISTOGRAM_H
#define VGGUEST_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 5
#define HISTOGRAM_MAX_BITS  40 /* nanoseconds: 18 minutes */
#define HISTOGRAM_BUCKETS   ((HISTOGRAM_MAX_BITS - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS)

struct histogram {
	uint64_t count[HISTOGRAM_BUCKETS];
	uint64_t total; /* values */
	uint64_t max;   /* exact */
};

/* The bucket of @value, and the least value of a bucket. */
static inline unsigned int histogram_bucket(uint64_t value)
{
	unsigned int top, shift;

	if (value >> HISTOGRAM_MAX_BITS)
		return HISTOGRAM_BUCKETS - 1;
	if (value < UINT64_C(1) << HISTOGRAM_STEP_BITS)
		return (unsigned int)value;
	top = 63 - (unsigned int)__builtin_clzll(value);
	shift = top - HISTOGRAM_STEP_BITS;
	return (shift << HISTOGRAM_STEP_BITS) + (unsigned int)(value >> shift);
}

static inline uint64_t histogram_least(unsigned int bucket)
{
	unsigned int shift = bucket >> HISTOGRAM_STEP_BITS;

	if (shift < 2)
		return bucket;
	shift--;
	return (uint64_t)(bucket - (shift << HISTOGRAM_STEP_BITS)) << shift;
}

static inline void histogram_add(struct histogram *h, uint64_t value, uint64_t times)
{
	h->count[histogram_bucket(value)] += times;
	h->total += times;
	if (value > h->max)
		h->max = value;
}

/* Adds all of @from to @h. */
void histogram_merge(struct histogram *h, const struct histogram *from);
/*
 * The value below which a part @q, 0 to 1, of all values lies: the middle of its bucket, but never
 * more than the greatest value, which is that of 1. 0 when there are none.
 */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif

// SPDX-License-Identifier: MIT
#include "measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "group.h"

static void progress(const struct report *r, const struct result *first, unsigned int n,
		     unsigned int round)
{
	const struct work *w = &first->point.work;

	if (!r->settings.progress)
		return;
	fprintf(stderr, "\r\033[Kgroup %u of %u (%u bytes, depth %u: %u points), round %u of %u ",
		first->point.group + 1, r->matrix->groups, w->size, w->depth, n, round + 1,
		r->settings.rounds);
}

static void progress_end(const struct report *r)
{
	if (r->settings.progress)
		fputs("\r\033[K", stderr);
}

static int measure_group(struct report *r, struct result *first, unsigned int n)
{
	struct group group;
	int err = group_open(&group, &r->settings, first, n);

	for (unsigned int round = 0; !err && round < r->settings.rounds; round++) {
		progress(r, first, n, round);
		err = group_round(&group, round);
	}
	if (!err)
		err = group_finish(&group);
	group_free(&group);
	return err;
}

/* Pair by pair of neighbouring runs. */
static int compare(struct report *r, const struct result *one, const struct result *other)
{
	unsigned int runs = r->settings.rounds * r->settings.each;
	struct comparison *c = &r->comparison[r->num_comparisons++];
	double *ratio = runs ? calloc(runs, sizeof(*ratio)) : NULL;
	int err;

	if (!ratio)
		return complain(-ENOMEM, "out of memory");
	*c = (struct comparison){.one = one, .other = other};
	for (unsigned int i = 0; i < runs; i++)
		ratio[i] = one->rate[i] / other->rate[i];
	err = sample_judge(ratio, r->settings.rounds, r->settings.each, &c->verdict);
	free(ratio);
	return err;
}

unsigned int report_group(const struct report *r, unsigned int at)
{
	unsigned int n = 1;

	while (at + n < r->n && r->result[at + n].point.group == r->result[at].point.group)
		n++;
	return n;
}

static int measure_all(struct report *r)
{
	int err = 0;

	/* All before the first: what has been measured by then would be lost. */
	for (unsigned int at = 0; !err && at < r->n; at += report_group(r, at))
		err = group_check(&r->result[at], report_group(r, at));
	for (unsigned int at = 0, n; !err && at < r->n; at += n) {
		struct result *first = &r->result[at];

		n = report_group(r, at);
		err = measure_group(r, first, n);
		for (unsigned int i = 1; !err && i < n; i++)
			err = compare(r, &first[i], first);
	}
	progress_end(r);
	return err;
}

int measure(const struct matrix *matrix, const struct settings *settings, struct report *out)
{
	*out = (struct report){.settings = *settings, .matrix = matrix, .n = matrix->n};
	out->result = calloc(matrix->n, sizeof(*out->result));
	out->comparison = calloc(matrix->n, sizeof(*out->comparison));
	if (!out->result || !out->comparison)
		return complain(-ENOMEM, "out of memory");
	for (unsigned int i = 0; i < matrix->n; i++)
		out->result[i].point = matrix->point[i];
	return measure_all(out);
}

void report_free(struct report *r)
{
	for (unsigned int i = 0; r->result && i < r->n; i++) {
		free(r->result[i].rate);
		free(r->result[i].latency);
	}
	free(r->result);
	free(r->comparison);
	*r = (struct report){0};
}

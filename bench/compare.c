// SPDX-License-Identifier: MIT
/*
 * Two guests and two backends stand beside each other and work in turn, in short runs, so that both
 * see the same machine. Where processes come to lie in memory makes some per cent of difference for
 * as long as they live; so all of them are started anew several times: in rounds. Every other round
 * begins with the other side.
 */
#include "compare.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIDES      2
#define WARM_UPS   2 /* runs of each side, at the beginning of a round */
#define MAX_ROUNDS 10
#define MIN_PAIRS  5 /* of a round */

struct bench {
	struct machine machine;
	struct side side[SIDES];
	struct run *run[SIDES]; /* of all rounds */
	struct counters sum[SIDES];
};

static int start(struct bench *b, const struct way *const way[SIDES], const struct workload *work)
{
	struct domain domain[2 * SIDES];
	int err;

	for (unsigned int i = 0; i < SIDES; i++)
		side_domains(way[i], work, 2 * i + 1, domain + 2 * (size_t)i);
	err = machine_start(&b->machine, domain, 2 * SIDES);
	for (unsigned int i = 0; !err && i < SIDES; i++)
		err = side_start(&b->side[i], way[i], work, &b->machine, domain + 2 * (size_t)i);
	return err;
}

static void stop(struct bench *b)
{
	for (unsigned int i = 0; i < SIDES; i++)
		side_stop(&b->side[i]);
	machine_stop(&b->machine);
}

static void progress(unsigned int pair, unsigned int pairs)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (pair < pairs)
		fprintf(stderr, "\rpair %u of %u ", pair + 1, pairs);
	else
		fprintf(stderr, "\r%30s\r", "");
}

/* A comparison of work that was not done, or was done by other means, is worth nothing. */
static int account(struct bench *b, unsigned int i, const struct counters *before,
		   uint64_t requests)
{
	const struct side *side = &b->side[i];
	struct counters *sum = &b->sum[i], after;
	int err = side_counters(side, &after);

	if (err)
		return err;
	if (after.errors != before->errors)
		return complain(-EIO, "the backend of the side %s reports errors", side->way->name);
	if (after.requests - before->requests != requests)
		return complain(-EIO,
				"the guest of the side %s made %" PRIu64
				" requests, its backend counted %" PRIu64,
				side->way->name, requests, after.requests - before->requests);
	sum->requests += requests;
	sum->grant_ops += after.grant_ops - before->grant_ops;
	sum->notifications += after.notifications - before->notifications;
	sum->bytes_copied += after.bytes_copied - before->bytes_copied;
	if (after.pages_reached > sum->pages_reached)
		sum->pages_reached = after.pages_reached;
	return 0;
}

/* Pairs @from up to @to, @lead first. */
static int measure(struct bench *b, const struct workload *work, unsigned int from, unsigned int to,
		   unsigned int lead, unsigned int pairs)
{
	struct counters before[SIDES];
	uint64_t requests[SIDES] = {0};
	struct run warm_up;
	int err = 0;

	for (unsigned int i = 0; !err && i < WARM_UPS * SIDES; i++)
		err = side_run(&b->side[(lead + i) % SIDES], work, &warm_up);
	for (unsigned int i = 0; !err && i < SIDES; i++)
		err = side_counters(&b->side[i], &before[i]);
	for (unsigned int p = from; !err && p < to; p++) {
		progress(p, pairs);
		for (unsigned int i = 0; !err && i < SIDES; i++) {
			unsigned int at = (lead + i) % SIDES;

			err = side_run(&b->side[at], work, &b->run[at][p]);
			requests[at] += b->run[at][p].requests;
		}
	}
	for (unsigned int i = 0; !err && i < SIDES; i++)
		err = account(b, i, &before[i], requests[i]);
	return err;
}

static int summarise(const struct bench *b, const struct way *way, unsigned int i,
		     unsigned int pairs, struct figures *f)
{
	const struct counters *sum = &b->sum[i];
	double *rate = calloc(pairs, sizeof(*rate));
	double n = (double)sum->requests;
	uint64_t kicks = 0;
	int err;

	if (!rate)
		return complain(-ENOMEM, "out of memory");
	*f = (struct figures){.way = way, .guest_pages = b->side[i].guest_pages};
	for (unsigned int p = 0; p < pairs; p++) {
		const struct run *run = &b->run[i][p];

		rate[p] = (double)run->requests / run->seconds;
		kicks += run->kicks;
		f->backend_cpu += run->backend_cpu / n;
		f->guest_cpu += run->guest_cpu / n;
	}
	f->grant_ops = (double)sum->grant_ops / n;
	f->notifications = (double)(sum->notifications + kicks) / n;
	f->bytes_copied = (double)sum->bytes_copied / n;
	/* The control page is granted to either, but lies in no view of the guest's memory. */
	f->pages_reached = sum->pages_reached + !way->whole_guest;
	err = sample_spread(rate, pairs, &f->rate);
	free(rate);
	return err;
}

static int pairwise(const struct bench *b, unsigned int pairs, struct spread *ratio)
{
	double *each = calloc(pairs, sizeof(*each));
	int err;

	if (!each)
		return complain(-ENOMEM, "out of memory");
	for (unsigned int p = 0; p < pairs; p++) {
		const struct run *one = &b->run[0][p], *other = &b->run[1][p];

		each[p] = ((double)one->requests / one->seconds) /
			  ((double)other->requests / other->seconds);
	}
	err = sample_spread(each, pairs, ratio);
	free(each);
	return err;
}

int compare(const struct way *one, const struct way *other, const struct workload *work,
	    unsigned int pairs, struct comparison *out)
{
	const struct way *const way[SIDES] = {one, other};
	unsigned int rounds = pairs / MIN_PAIRS;
	struct bench b = {0};
	int err = 0;

	if (rounds > MAX_ROUNDS)
		rounds = MAX_ROUNDS;
	*out = (struct comparison){.work = *work, .pairs = pairs, .rounds = rounds};
	for (unsigned int i = 0; i < SIDES; i++) {
		b.run[i] = calloc(pairs, sizeof(*b.run[i]));
		if (!b.run[i])
			err = complain(-ENOMEM, "out of memory");
	}
	for (unsigned int r = 0; !err && r < rounds; r++) {
		err = start(&b, way, work);
		if (!err)
			err = measure(&b, work, r * pairs / rounds, (r + 1) * pairs / rounds,
				      r % SIDES, pairs);
		stop(&b);
	}
	progress(pairs, pairs);
	for (unsigned int i = 0; !err && i < SIDES; i++)
		err = summarise(&b, way[i], i, pairs, &out->side[i]);
	if (!err)
		err = pairwise(&b, pairs, &out->ratio);
	for (unsigned int i = 0; i < SIDES; i++)
		free(b.run[i]);
	return err;
}

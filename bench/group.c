// SPDX-License-Identifier: MIT
/*
 * All sides of a group stand beside each other and work in turn, in short runs, so that all see the
 * same machine. Where processes come to lie in memory makes some per cent of difference for as long
 * as they live; so all of them are started anew several times: in rounds.
 */
#include "group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "yardstick.h"

#define FEW_GUESTS  8   /* share the CPUs within a run as it is */
#define DOMAINS_MAX 500 /* of the 512 that the simulated hypervisor has */

double group_run_seconds(const struct settings *settings, const struct point *p)
{
	return settings->seconds * (p->guests > FEW_GUESTS ? (double)p->guests / FEW_GUESTS : 1);
}

/* Fewer guests are some of many, unless each then has more buffers. */
static bool same_side(const struct point *a, const struct point *b)
{
	return a->way == b->way && a->policy == b->policy && a->poll_us == b->poll_us &&
	       (a->guests == b->guests || !a->work.span);
}

/* Each point finds its side, which has as many guests as the point with most. */
static int assign_sides(struct group *g)
{
	g->side_of = calloc(g->n, sizeof(*g->side_of));
	g->side = calloc(g->n, sizeof(*g->side));
	if (!g->side_of || !g->side)
		return complain(-ENOMEM, "out of memory");
	for (unsigned int i = 0; i < g->n; i++) {
		const struct point *p = &g->result[i].point;
		unsigned int s = 0;

		if (!point_has_device(p))
			continue;
		while (s < g->sides && !same_side(&g->side[s].point, p))
			s++;
		if (s == g->sides)
			g->side[g->sides++].point = *p;
		else if (p->guests > g->side[s].point.guests)
			g->side[s].point.guests = p->guests;
		g->side_of[i] = s;
	}
	return 0;
}

static unsigned int count_domains(const struct group *g)
{
	unsigned int n = 0;

	for (unsigned int s = 0; s < g->sides; s++)
		n += g->side[s].point.guests + 1;
	return n;
}

int group_check(struct result *result, unsigned int n)
{
	struct group g = {.result = result, .n = n};
	int err = assign_sides(&g);
	unsigned int domains = count_domains(&g);

	group_free(&g);
	if (err || domains <= DOMAINS_MAX)
		return err;
	return complain(-E2BIG,
			"%u domains beside each other: the simulated hypervisor has %u. Name fewer "
			"--way, --policy or --poll-us with so many --guests%s",
			domains, DOMAINS_MAX,
			result->point.work.span ? ", or fewer --guests: with --span each of these "
						  "numbers has guests of its own"
						: "");
}

int group_open(struct group *g, const struct settings *settings, struct result *result,
	       unsigned int n)
{
	size_t runs = (size_t)settings->rounds * settings->each;

	*g = (struct group){.settings = settings, .result = result, .n = n};
	g->yardstick = calloc(n, sizeof(struct yardstick *));
	g->scratch = calloc(1, sizeof(*g->scratch));
	g->sum = calloc(n, sizeof(*g->sum));
	g->counted = calloc(n, sizeof(*g->counted));
	g->spent = calloc(n, sizeof(*g->spent));
	g->slowest = calloc(n * runs, sizeof(*g->slowest));
	if (!g->yardstick || !g->scratch || !g->sum || !g->counted || !g->spent || !g->slowest)
		return complain(-ENOMEM, "out of memory");
	for (unsigned int i = 0; i < n; i++) {
		result[i].seconds = group_run_seconds(settings, &result[i].point);
		result[i].rate = calloc(runs, sizeof(*result[i].rate));
		result[i].latency = calloc(1, sizeof(*result[i].latency));
		if (!result[i].rate || !result[i].latency)
			return complain(-ENOMEM, "out of memory");
	}
	return assign_sides(g);
}

void group_free(struct group *g)
{
	free(g->side_of);
	free(g->side);
	free(g->yardstick);
	free(g->scratch);
	free(g->sum);
	free(g->counted);
	free(g->spent);
	free(g->slowest);
}

/* ---- a round ---- */

static int start_sides(struct group *g)
{
	struct domain *domain = NULL;
	unsigned int n = count_domains(g), at = 0;
	int err;

	if (!n)
		return 0;
	domain = calloc(n, sizeof(*domain));
	if (!domain)
		return complain(-ENOMEM, "out of memory");
	for (unsigned int s = 0; s < g->sides; s++) {
		side_domains(&g->side[s].point, at + 1, domain + at);
		at += g->side[s].point.guests + 1;
	}
	err = machine_start(&g->machine, domain, n);
	for (unsigned int s = 0, d = 0; !err && s < g->sides; s++) {
		const struct point point = g->side[s].point;

		err = side_start(&g->side[s], &point, &g->machine, &g->settings->place, domain + d);
		d += point.guests + 1;
	}
	free(domain);
	return err;
}

static void stop(struct group *g)
{
	for (unsigned int i = 0; i < g->n; i++) {
		yardstick_stop(g->yardstick[i]);
		g->yardstick[i] = NULL;
	}
	for (unsigned int s = 0; s < g->sides; s++)
		side_stop(&g->side[s]);
	machine_stop(&g->machine);
}

static int start(struct group *g)
{
	int err = start_sides(g);

	for (unsigned int i = 0; !err && i < g->n; i++)
		if (!point_has_device(&g->result[i].point))
			err = yardstick_start(&g->result[i].point, &g->settings->place,
					      &g->yardstick[i]);
	return err;
}

static int run(struct group *g, unsigned int i, struct run *out, struct histogram *latency)
{
	const struct result *r = &g->result[i];

	if (proc_interrupted())
		return -EINTR;
	if (g->yardstick[i])
		return yardstick_run(g->yardstick[i], r->seconds, out, latency);
	return side_run(&g->side[g->side_of[i]], r->point.guests, r->seconds, out, latency);
}

/* A comparison of work that was not done, or was done by other means, is worth nothing. */
static int check(const struct point *p, const struct counters *before, const struct counters *after,
		 const struct run *run)
{
	char name[POINT_NAME_MAX];

	point_name(p, NULL, name);
	if (after->errors != before->errors)
		return complain(-EIO, "the backend of %s reports errors", name);
	if (after->requests - before->requests != run->requests)
		return complain(-EIO,
				"the guests of %s made %" PRIu64
				" requests, their backend counted %" PRIu64,
				name, run->requests, after->requests - before->requests);
	return 0;
}

/* A run between two looks at the backend's counters; it warms up, too. */
static int count(struct group *g, unsigned int i)
{
	const struct point *p = &g->result[i].point;
	struct counters before, after, *sum = &g->sum[i];
	struct run *counted = &g->counted[i], r;
	const struct side *side;
	int err;

	if (g->yardstick[i])
		return run(g, i, &r, g->scratch);
	side = &g->side[g->side_of[i]];
	err = run(g, i, &r, g->scratch);
	if (!err)
		err = side_counters(side, p->guests, &before);
	if (!err)
		err = run(g, i, &r, g->scratch);
	if (!err)
		err = side_counters(side, p->guests, &after);
	if (!err)
		err = check(p, &before, &after, &r);
	if (err)
		return err;
	sum->requests += r.requests;
	sum->grant_ops += after.grant_ops - before.grant_ops;
	sum->notifications += after.notifications - before.notifications + r.kicks;
	sum->bytes_copied += after.bytes_copied - before.bytes_copied;
	sum->system_calls += after.system_calls - before.system_calls;
	if (after.pages_reached > sum->pages_reached)
		sum->pages_reached = after.pages_reached;
	counted->bytes_bounced += r.bytes_bounced;
	counted->bytes_zeroed += r.bytes_zeroed;
	g->result[i].guest_pages = side->guest_pages;
	return 0;
}

static int watch(struct group *g, unsigned int i)
{
	struct result *r = &g->result[i];
	const struct side *side = &g->side[g->side_of[i]];

	if (g->settings->idle <= 0 || g->yardstick[i] || r->watched ||
	    r->point.guests < side->point.guests)
		return 0;
	r->watched = true;
	return side_idle(side, g->settings->idle, &r->idle);
}

/* Every point once; @lead says which is the first. */
static int sweep(struct group *g, unsigned int lead, unsigned int at)
{
	unsigned int runs = g->settings->rounds * g->settings->each;
	int err = 0;

	for (unsigned int k = 0; !err && k < g->n; k++) {
		unsigned int i = (lead + k) % g->n;
		struct result *r = &g->result[i];
		struct run this;

		err = run(g, i, &this, r->latency);
		if (err)
			break;
		r->rate[at] = (double)this.in_time / this.seconds;
		r->requests += this.requests;
		g->slowest[i * runs + at] = this.slowest;
		g->spent[i].seconds += this.seconds;
		g->spent[i].backend_cpu += this.backend_cpu;
		g->spent[i].guest_cpu += this.guest_cpu;
	}
	return err;
}

int group_round(struct group *g, unsigned int round)
{
	unsigned int each = g->settings->each;
	int err = start(g);

	for (unsigned int i = 0; !err && i < g->n; i++)
		err = watch(g, i);
	for (unsigned int i = 0; !err && i < g->n; i++)
		err = count(g, i);
	/* No point always runs first, or always after the same. */
	for (unsigned int k = 0; !err && k < each; k++)
		err = sweep(g, round + k, round * each + k);
	stop(g);
	return err;
}

/* ---- the end ---- */

static void finish_costs(const struct group *g, unsigned int i)
{
	const struct counters *sum = &g->sum[i];
	const struct run *spent = &g->spent[i], *counted = &g->counted[i];
	struct result *r = &g->result[i];
	double n = (double)sum->requests, all = (double)r->requests;

	if (!point_has_device(&r->point))
		return;
	r->costs = (struct costs){
		.grant_ops = (double)sum->grant_ops / n,
		.notifications = (double)sum->notifications / n,
		.system_calls = (double)sum->system_calls / n,
		.bytes_copied = (double)sum->bytes_copied / n,
		.bytes_bounced = (double)counted->bytes_bounced / n,
		.bytes_zeroed = (double)counted->bytes_zeroed / n,
	};
	r->backend_cpu = spent->backend_cpu / all;
	r->guest_cpu = spent->guest_cpu / all;
	r->backend_share = spent->backend_cpu / spent->seconds;
	r->guest_share = spent->guest_cpu / spent->seconds;
	/* The control page is granted to either, but lies in no view of the guest's memory. */
	r->pages_reached = sum->pages_reached + !r->point.way->whole_guest;
}

int group_finish(struct group *g)
{
	unsigned int runs = g->settings->rounds * g->settings->each;
	int err = 0;

	for (unsigned int i = 0; !err && i < g->n; i++) {
		struct result *r = &g->result[i];
		struct spread slowest = {0};

		err = sample_spread(r->rate, runs, &r->rates);
		if (!err)
			err = sample_spread(g->slowest + (size_t)i * runs, runs, &slowest);
		r->slowest = slowest.median;
		finish_costs(g, i);
	}
	return err;
}

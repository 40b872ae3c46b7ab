// SPDX-License-Identifier: MIT
/* Tables for a terminal. */
#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NAME "%-28s"

/* The name of a point beside the others of its group: with what they do not have in common. */
static void label(const struct result *first, unsigned int n, unsigned int i,
		  char name[POINT_NAME_MAX])
{
	struct point differs = first[i].point;

	for (unsigned int k = 0; k < n; k++) {
		if (first[k].point.poll_us != first[i].point.poll_us)
			differs.poll_us = first[k].point.poll_us;
		if (first[k].point.guests != first[i].point.guests)
			differs.guests = first[k].point.guests;
	}
	point_name(&first[i].point, &differs, name);
}

/* What all of a group have in common. */
static void heading(const struct result *first, unsigned int n)
{
	const struct point *p = &first->point;
	const struct work *w = &p->work;
	bool poll = true, guests = true;

	for (unsigned int i = 1; i < n; i++) {
		poll = poll && first[i].point.poll_us == p->poll_us;
		guests = guests && first[i].point.guests == p->guests;
	}
	printf("%s of %u bytes, depth %u, %u queue%s, engine %s", operation_names[w->op], w->size,
	       w->depth, w->queues, w->queues == 1 ? "" : "s", engine_names[w->engine]);
	if (poll)
		printf(", %u us of polling", p->poll_us);
	if (guests)
		printf(", %u guest%s", p->guests, p->guests == 1 ? "" : "s");
	if (w->span > (uint64_t)w->size * w->depth * w->queues * p->guests)
		printf(", data in %.6g MiB", w->span / 1048576.0);
	putchar('\n');
}

static void cell(const char *format, double value, int width, bool there)
{
	char text[32] = "-";

	if (there)
		snprintf(text, sizeof(text), format, value);
	printf("%*s", width, text);
}

static double quantile_us(const struct result *r, double q)
{
	return (double)histogram_quantile(r->latency, q) / 1e3;
}

static void speed(const struct result *first, unsigned int n)
{
	printf("  " NAME "%12s%9s%9s%10s%10s%10s%9s\n", "", "requests/s", "spread", "GB/s",
	       "p50 us", "p99 us", "p99.9 us", "slowest");
	for (unsigned int i = 0; i < n; i++) {
		const struct result *r = &first[i];
		char name[POINT_NAME_MAX];
		bool latency = has_latency(r);

		label(first, n, i, name);
		printf("  " NAME, name);
		cell("%.0f", r->rates.median, 12, true);
		cell("%.1f %%", 100 * (r->rates.high - r->rates.low) / r->rates.median, 9, true);
		cell("%.3f", gb_per_second(r, r->rates.median), 9, has_bytes(r));
		cell("%.1f", quantile_us(r, 0.5), 10, latency);
		cell("%.1f", quantile_us(r, 0.99), 10, latency);
		cell("%.1f", quantile_us(r, 0.999), 10, latency);
		cell("%.2f", r->slowest, 9, r->point.guests > 1);
		putchar('\n');
	}
}

static void costs(const struct result *first, unsigned int n)
{
	printf("\n  " NAME "%10s%10s%8s%10s%10s%10s%8s%8s%16s\n", "each request", "backend ns",
	       "guest ns", "grants", "Xen copy", "copied", "zeroed", "calls", "sends",
	       "pages reachable");
	for (unsigned int i = 0; i < n; i++) {
		const struct result *r = &first[i];
		char name[POINT_NAME_MAX], pages[48];

		if (!point_has_device(&r->point))
			continue;
		label(first, n, i, name);
		snprintf(pages, sizeof(pages), "%" PRIu64 "/%" PRIu64, r->pages_reached,
			 r->guest_pages);
		printf("  " NAME "%10.0f%10.0f%8.3f%10.0f%10.0f%10.0f%8.3f%8.3f%16s\n", name,
		       1e9 * r->backend_cpu, 1e9 * r->guest_cpu, r->costs.grant_ops,
		       r->costs.bytes_copied, r->costs.bytes_bounced, r->costs.bytes_zeroed,
		       r->costs.system_calls, r->costs.notifications, pages);
	}
}

static void idle(const struct result *first, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		char name[POINT_NAME_MAX];

		if (!first[i].watched)
			continue;
		label(first, n, i, name);
		printf("  " NAME
		       "idle: %.0f KiB of memory a guest (PSS of its worker), %.2f %% of a CPU "
		       "for all of them\n",
		       name, first[i].idle.pss_bytes / 1024, 100 * first[i].idle.cpu_share);
	}
}

static void conclusion(const struct comparison *c)
{
	const struct spread *s = &c->verdict.ratio;
	char one[POINT_NAME_MAX], other[POINT_NAME_MAX];

	printf("  %s/%s = %.3f", point_name(&c->one->point, &c->other->point, one),
	       point_name(&c->other->point, &c->one->point, other), s->median);
	printf(", half of the pairs from %.3f to %.3f: ", s->low, s->high);
	if (!c->verdict.distinguishable)
		printf("the spread (%.1f %%) is larger than the difference (%.1f %%), this run "
		       "cannot tell which is faster\n",
		       100 * (s->high - s->low), 100 * fabs(s->median - 1));
	else if (!c->verdict.repeatable)
		printf("%s, but this run cannot tell by how much within 5 %%: more --rounds\n",
		       s->median < 1 ? "slower" : "faster");
	else
		printf("%s by %.1f %%\n", s->median < 1 ? "slower" : "faster",
		       100 * fabs(s->median - 1));
}

void report_table(const struct report *r)
{
	const struct settings *s = &r->settings;
	unsigned int runs = s->rounds * s->each;

	printf("Simulated hypervisor; %u run%s of %.3g s for each line, in turn, in %u round%s; "
	       "scheduler %s, placement %s.\n",
	       runs, runs == 1 ? "" : "s", s->seconds, s->rounds, s->rounds == 1 ? "" : "s",
	       s->batch ? "batch" : "other", placement_names[s->place.placement]);
	for (unsigned int at = 0, n, c = 0; at < r->n; at += n) {
		const struct result *first = &r->result[at];

		n = report_group(r, at);
		putchar('\n');
		heading(first, n);
		speed(first, n);
		costs(first, n);
		idle(first, n);
		if (n > 1)
			putchar('\n');
		for (unsigned int i = 1; i < n; i++)
			conclusion(&r->comparison[c++]);
	}
	if (r->matrix->num_left_out)
		puts("\nLeft out:");
	for (unsigned int i = 0; i < r->matrix->num_left_out; i++)
		printf("  %s\n", r->matrix->left_out[i]);
}

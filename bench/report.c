// SPDX-License-Identifier: MIT
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#define LABEL "%-44s"

static void row(const char *label, const char *format, double a, double b)
{
	char text[2][32];

	snprintf(text[0], sizeof(text[0]), format, a);
	snprintf(text[1], sizeof(text[1]), format, b);
	printf(LABEL "%16s%16s\n", label, text[0], text[1]);
}

static void pages_row(const struct figures *f)
{
	char text[2][48];

	for (int i = 0; i < 2; i++)
		snprintf(text[i], sizeof(text[i]), "%" PRIu64 "/%" PRIu64, f[i].pages_reached,
			 f[i].guest_pages);
	printf(LABEL "%16s%16s\n", "pages reachable by the backend, of all", text[0], text[1]);
}

static void conclusion(const struct comparison *c)
{
	const struct spread *r = &c->ratio;
	const char *a = c->side[0].way->name, *b = c->side[1].way->name;
	double difference = r->median > 1 ? r->median - 1 : 1 - r->median;

	printf("\n%s/%s = %.3f: median of %u pairs; half of them lie from %.3f to %.3f\n", a, b,
	       r->median, c->pairs, r->low, r->high);
	if (sample_differs(r))
		printf("%s is %s by %.1f %%; the spread is %.1f %%.\n", a,
		       r->median < 1 ? "slower" : "faster", 100 * difference,
		       100 * (r->high - r->low));
	else
		printf("The spread (%.1f %%) is larger than the difference (%.1f %%): this run "
		       "cannot tell which is faster.\n",
		       100 * (r->high - r->low), 100 * difference);
}

static const char *scheduler(const struct workload *work)
{
	return work->batch ? "batch" : "other";
}

void report_table(const struct comparison *c)
{
	const struct figures *f = c->side;
	const struct workload *w = &c->work;

	printf("virtio-blk reads of %u bytes, depth %u, 1 queue, engine null, simulated "
	       "hypervisor\n",
	       w->size, w->depth);
	if (w->seconds > 0)
		printf("%u pairs of runs of %.2f s", c->pairs, w->seconds);
	else
		printf("%u pairs of runs of %" PRIu64 " requests", c->pairs, w->requests);
	printf(" in %u round%s, %s and %s in turn; ", c->rounds, c->rounds == 1 ? "" : "s",
	       f[0].way->name, f[1].way->name);
	if (w->poll_us)
		printf("backends poll for %u us, guests all the time; ", w->poll_us);
	else
		printf("no busy polling; ");
	printf("scheduler %s\n\n", scheduler(w));

	printf(LABEL "%16s%16s\n", "", f[0].way->name, f[1].way->name);
	row("requests per second, median", "%.0f", f[0].rate.median, f[1].rate.median);
	row("  a quarter of the runs is below", "%.0f", f[0].rate.low, f[1].rate.low);
	row("  a quarter of the runs is above", "%.0f", f[0].rate.high, f[1].rate.high);
	row("grant operations per request", "%.4f", f[0].grant_ops, f[1].grant_ops);
	row("event-channel notifications per request", "%.4f", f[0].notifications,
	    f[1].notifications);
	row("bytes copied per request", "%.1f", f[0].bytes_copied, f[1].bytes_copied);
	pages_row(f);
	row("CPU time of the backend per request, ns", "%.0f", 1e9 * f[0].backend_cpu,
	    1e9 * f[1].backend_cpu);
	row("CPU time of the guest per request, ns", "%.0f", 1e9 * f[0].guest_cpu,
	    1e9 * f[1].guest_cpu);
	conclusion(c);
}

static json_t *json_figures(const struct figures *f)
{
	return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:f, s:f}", "name",
			 f->way->name, "requests_per_second", f->rate.median,
			 "requests_per_second_low", f->rate.low, "requests_per_second_high",
			 f->rate.high, "grant_operations_per_request", f->grant_ops,
			 "notifications_per_request", f->notifications, "bytes_copied_per_request",
			 f->bytes_copied, "pages_reachable", (json_int_t)f->pages_reached,
			 "guest_pages", (json_int_t)f->guest_pages,
			 "backend_cpu_seconds_per_request", f->backend_cpu,
			 "guest_cpu_seconds_per_request", f->guest_cpu);
}

static json_t *json_comparison(const struct comparison *c)
{
	char name[64];

	snprintf(name, sizeof(name), "%s/%s", c->side[0].way->name, c->side[1].way->name);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:f, s:f, s:b, s:[o, o]}",
			 "name", name, "size", (json_int_t)c->work.size, "depth",
			 (json_int_t)c->work.depth, "pairs", (json_int_t)c->pairs, "rounds",
			 (json_int_t)c->rounds, "poll_us", (json_int_t)c->work.poll_us, "scheduler",
			 scheduler(&c->work), "ratio", c->ratio.median, "low", c->ratio.low, "high",
			 c->ratio.high, "distinguishable", sample_differs(&c->ratio), "ways",
			 json_figures(&c->side[0]), json_figures(&c->side[1]));
}

int report_json(const struct comparison *c, FILE *file, const char *path)
{
	json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:[o]}", "hypervisor", "simulated", "engine",
				 "null", "operation", "read", "spread", "quartiles", "comparisons",
				 json_comparison(c));
	int err = 0;

	if (!root)
		return complain(-ENOMEM, "out of memory");
	if (json_dumpf(root, file, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6)) ||
	    fputc('\n', file) == EOF || fflush(file))
		err = complain(-EIO, "cannot write %s: %s", path, strerror(errno));
	json_decref(root);
	return err;
}

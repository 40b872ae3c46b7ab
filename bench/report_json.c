// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <jansson.h>

#include "report.h"

#define FORMAT 2

static json_t *spread(const struct spread *s)
{
	return json_pack("{s:f, s:f, s:f}", "median", s->median, "low", s->low, "high", s->high);
}

static json_t *bandwidth(const struct result *r)
{
	const struct spread gb = {
		.median = gb_per_second(r, r->rates.median),
		.low = gb_per_second(r, r->rates.low),
		.high = gb_per_second(r, r->rates.high),
	};

	return spread(&gb);
}

static json_t *latency(const struct histogram *h)
{
	json_t *buckets = json_array();

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (h->count[i])
			json_array_append_new(buckets,
					      json_pack("[I, I]", (json_int_t)histogram_least(i),
							(json_int_t)h->count[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:o}", "p50", (json_int_t)histogram_quantile(h, 0.5),
			 "p99", (json_int_t)histogram_quantile(h, 0.99), "p999",
			 (json_int_t)histogram_quantile(h, 0.999), "max", (json_int_t)h->max,
			 "histogram", buckets);
}

static json_t *costs(const struct result *r)
{
	const struct costs *c = &r->costs;

	return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "backend_cpu_ns",
			 1e9 * r->backend_cpu, "guest_cpu_ns", 1e9 * r->guest_cpu,
			 "grant_operations", c->grant_ops, "bytes_copied_by_hypervisor",
			 c->bytes_copied, "bytes_copied_by_guest", c->bytes_bounced,
			 "bytes_zeroed_by_guest", c->bytes_zeroed, "system_calls", c->system_calls,
			 "notifications", c->notifications);
}

static json_t *point(const struct result *r)
{
	const struct point *p = &r->point;
	const struct work *w = &p->work;
	json_t *o = json_pack(
		"{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:o}", "group",
		(json_int_t)p->group, "way", p->way->name, "policy", p->policy->name, "engine",
		engine_names[w->engine], "op", operation_names[w->op], "size", (json_int_t)w->size,
		"depth", (json_int_t)w->depth, "queues", (json_int_t)w->queues, "span",
		(json_int_t)w->span, "poll_us", (json_int_t)p->poll_us, "guests",
		(json_int_t)p->guests, "run_seconds", r->seconds, "requests",
		(json_int_t)r->requests, "requests_per_second", spread(&r->rates));

	if (has_bytes(r))
		json_object_set_new(o, "gb_per_second", bandwidth(r));
	if (has_latency(r))
		json_object_set_new(o, "latency_ns", latency(r->latency));
	if (!point_has_device(p))
		return o;
	json_object_set_new(
		o, "cpu_share",
		json_pack("{s:f, s:f}", "backend", r->backend_share, "guest", r->guest_share));
	json_object_set_new(o, "per_request", costs(r));
	json_object_set_new(o, "pages_reachable", json_integer((json_int_t)r->pages_reached));
	json_object_set_new(o, "guest_pages", json_integer((json_int_t)r->guest_pages));
	json_object_set_new(o, "slowest_guest", json_real(r->slowest));
	if (r->watched)
		json_object_set_new(o, "idle",
				    json_pack("{s:f, s:f}", "pss_bytes", r->idle.pss_bytes,
					      "cpu_share", r->idle.cpu_share));
	return o;
}

static json_t *comparison(const struct report *r, const struct comparison *c)
{
	const struct verdict *v = &c->verdict;
	char one[POINT_NAME_MAX], other[POINT_NAME_MAX], name[2 * POINT_NAME_MAX];

	snprintf(name, sizeof(name), "%s/%s", point_name(&c->one->point, &c->other->point, one),
		 point_name(&c->other->point, &c->one->point, other));
	return json_pack(
		"{s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:b, s:b}", "name", name, "a",
		(json_int_t)(c->one - r->result), "b", (json_int_t)(c->other - r->result), "size",
		(json_int_t)c->one->point.work.size, "depth", (json_int_t)c->one->point.work.depth,
		"pairs", (json_int_t)r->settings.rounds * r->settings.each, "ratio",
		v->ratio.median, "low", v->ratio.low, "high", v->ratio.high, "distinguishable",
		v->distinguishable, "repeatable", v->repeatable);
}

static json_t *machine(void)
{
	char line[256], model[128] = "";
	FILE *file = fopen("/proc/cpuinfo", "re");
	struct utsname names;

	while (file && !model[0] && fgets(line, sizeof(line), file))
		if (sscanf(line, "model name : %127[^\n]", model) != 1)
			model[0] = '\0';
	if (file)
		fclose(file);
	uname(&names);
	return json_pack("{s:I, s:s, s:s}", "cpus", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
			 "cpu", model[0] ? model : names.machine, "kernel", names.release);
}

int report_json(const struct report *r, FILE *file, const char *path)
{
	const struct settings *s = &r->settings;
	json_t *points = json_array(), *comparisons = json_array(), *left_out = json_array(), *root;
	int err = 0;

	for (unsigned int i = 0; i < r->n; i++)
		json_array_append_new(points, point(&r->result[i]));
	for (unsigned int i = 0; i < r->num_comparisons; i++)
		json_array_append_new(comparisons, comparison(r, &r->comparison[i]));
	for (unsigned int i = 0; i < r->matrix->num_left_out; i++)
		json_array_append_new(left_out, json_string(r->matrix->left_out[i]));
	root = json_pack("{s:I, s:s, s:o, s:s, s:s, s:f, s:I, s:I, s:s, s:o, s:o, s:o}", "format",
			 (json_int_t)FORMAT, "hypervisor", "simulated", "machine", machine(),
			 "scheduler", s->batch ? "batch" : "other", "placement",
			 placement_names[s->place.placement], "run_seconds", s->seconds, "rounds",
			 (json_int_t)s->rounds, "runs", (json_int_t)s->rounds * s->each, "spread",
			 "quartiles", "points", points, "comparisons", comparisons, "left_out",
			 left_out);
	if (!root || json_array_size(points) != r->n ||
	    json_array_size(comparisons) != r->num_comparisons)
		err = complain(-ENOMEM, "out of memory");
	else if (json_dumpf(root, file,
			    JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6)) ||
		 fputc('\n', file) == EOF || fflush(file))
		err = complain(-EIO, "cannot write %s: %s", path, strerror(errno));
	json_decref(root);
	return err;
}

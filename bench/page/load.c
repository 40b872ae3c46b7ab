// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "page.h"

#define FORMAT 2 /* of vgrant-bench's JSON */

int page_failed(const char *fmt, ...)
{
	va_list ap;

	fputs("vgrant-report: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* A figure that not every machine can tell: negative when it is not there. */
static double perhaps(const json_t *object, const char *key)
{
	return json_object_get(object, key) ? number(object, key) : -1;
}

static unsigned int count(const json_t *object, const char *key)
{
	double n = number(object, key);

	return n > 0 && n < 4e9 ? (unsigned int)n : 0;
}

static const char *text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static struct spread_of spread(const json_t *object)
{
	return (struct spread_of){number(object, "median"), number(object, "low"),
				  number(object, "high")};
}

static int load_buckets(const json_t *list, struct point *p)
{
	p->buckets = (unsigned int)json_array_size(list);
	if (!p->buckets)
		return 0;
	p->bucket = calloc(p->buckets, sizeof(*p->bucket));
	if (!p->bucket)
		return page_failed("out of memory");
	for (unsigned int i = 0; i < p->buckets; i++) {
		const json_t *pair = json_array_get(list, i);

		p->bucket[i].ns = json_number_value(json_array_get(pair, 0));
		p->bucket[i].count = json_number_value(json_array_get(pair, 1));
	}
	return 0;
}

static int load_point(const json_t *j, unsigned int file, struct point *p)
{
	const json_t *latency = json_object_get(j, "latency_ns");
	const json_t *each = json_object_get(j, "per_request");

	*p = (struct point){
		.way = text(j, "way"),
		.policy = text(j, "policy"),
		.engine = text(j, "engine"),
		.op = text(j, "op"),
		.file = file,
		.group = count(j, "group"),
		.size = count(j, "size"),
		.depth = count(j, "depth"),
		.queues = count(j, "queues"),
		.span = count(j, "span"),
		.poll_us = count(j, "poll_us"),
		.guests = count(j, "guests"),
		.rps = spread(json_object_get(j, "requests_per_second")),
		.gbs = spread(json_object_get(j, "gb_per_second")),
		.p50 = number(latency, "p50"),
		.p99 = number(latency, "p99"),
		.p999 = number(latency, "p999"),
		.backend_ns = number(each, "backend_cpu_ns"),
		.guest_ns = number(each, "guest_cpu_ns"),
		.grants = number(each, "grant_operations"),
		.xen_copied = perhaps(each, "bytes_copied_by_hypervisor"),
		.guest_copied = perhaps(each, "bytes_copied_by_guest"),
		.zeroed = number(each, "bytes_zeroed_by_guest"),
		.calls = perhaps(each, "system_calls"),
		.guest_calls = number(each, "guest_system_calls"),
		.sends = number(each, "notifications"),
		.reachable = number(j, "pages_reachable"),
		.pages = number(j, "guest_pages"),
		.slowest = number(j, "slowest_guest"),
	};
	p->yardstick = !strcmp(p->policy, "none");
	snprintf(p->name, sizeof(p->name), p->yardstick ? "%s" : "%s+%s", p->way, p->policy);
	if (!*p->way || !p->size || p->rps.median <= 0)
		return page_failed("a point has no way, no size or no rate");
	return load_buckets(json_object_get(latency, "histogram"), p);
}

static int load_points(struct figures *f, const json_t *list, unsigned int file)
{
	size_t n = json_array_size(list);
	struct point *all = realloc(f->point, (f->points + n + 1) * sizeof(*all));

	if (!all)
		return page_failed("out of memory");
	f->point = all;
	for (size_t i = 0; i < n; i++) {
		if (load_point(json_array_get(list, i), file, &all[f->points]))
			return -1;
		f->points++;
	}
	return n ? 0 : page_failed("there is no point");
}

static int load_comparisons(struct figures *f, const json_t *list, unsigned int first)
{
	size_t n = json_array_size(list);
	struct comparison *all = realloc(f->comparison, (f->comparisons + n + 1) * sizeof(*all));

	if (!all)
		return page_failed("out of memory");
	f->comparison = all;
	for (size_t i = 0; i < n; i++) {
		const json_t *j = json_array_get(list, i);
		unsigned int a = first + count(j, "a"), b = first + count(j, "b");

		if (a >= f->points || b >= f->points)
			return page_failed("a comparison is of points that are not there");
		all[f->comparisons++] = (struct comparison){
			.a = a,
			.b = b,
			.ratio = {number(j, "ratio"), number(j, "low"), number(j, "high")},
			.distinguishable = json_is_true(json_object_get(j, "distinguishable")),
		};
	}
	return 0;
}

static int load_bench(struct figures *f, json_t *json)
{
	const json_t *machine = json_object_get(json, "machine");
	unsigned int first = f->points;

	if (count(json, "format") != FORMAT)
		return page_failed("format %u of vgrant-bench is not known, it is %d",
				   count(json, "format"), FORMAT);
	if (f->hypervisor && strcmp(f->hypervisor, text(json, "hypervisor")) != 0)
		return page_failed("one file is of another hypervisor than the others");
	f->hypervisor = text(json, "hypervisor");
	f->cpu = text(machine, "cpu");
	f->kernel = text(machine, "kernel");
	f->scheduler = text(json, "scheduler");
	if (load_points(f, json_object_get(json, "points"), f->files))
		return -1;
	return load_comparisons(f, json_object_get(json, "comparisons"), first);
}

int figures_load(struct figures *f, const char *path)
{
	json_error_t error;
	json_t *json;

	if (f->files == MAX_FILES)
		return page_failed("more than %u files", f->files);
	json = json_load_file(path, 0, &error);
	if (!json)
		return page_failed("cannot read %s: %s", path, error.text);
	f->json[f->files++] = json;
	if (json_object_get(json, "points"))
		return load_bench(f, json) ? page_failed("%s cannot be used", path) : 0;
	if (json_object_get(json, "operations"))
		f->micro = json_object_get(json, "operations");
	else if (json_object_get(json, "engines"))
		f->peers = json_object_get(json, "engines");
	else
		return page_failed(
			"%s was written by none of vgrant-bench, vgrant-micro and vgrant-peers",
			path);
	return 0;
}

void figures_free(struct figures *f)
{
	for (unsigned int i = 0; i < f->points; i++)
		free(f->point[i].bucket);
	for (unsigned int i = 0; i < f->files; i++)
		json_decref(f->json[i]);
	free(f->point);
	free(f->comparison);
}

// SPDX-License-Identifier: MIT
#include "matrix.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
/* What the regions of one device hold: 256 of at most 1 MiB, a request's data in one of them, and
 * three of each queue are taken by rings, headers and indirect tables. */
#define REGION_PAGES  256u
#define REGIONS       256u
#define QUEUE_REGIONS 3u
#define QUOTA_PAGES   49152u     /* of data, of one guest: 192 MiB */
#define SPARE_PAGES   48u        /* of a queue: rings, headers, indirect tables */
#define MEMORY_PAGES  (1u << 19) /* of all guests of a point: 2 GiB */
#define MEBIBYTE      (1u << 20)

const char *const engine_names[ENGINES + 1] = {"null", "memory", "file", NULL};
const char *const operation_names[OPERATIONS + 1] = {"read", "write", NULL};

static uint32_t slot_pages(const struct work *work)
{
	return (work->size + PAGE - 1) / PAGE;
}

uint32_t work_ring(const struct work *work)
{
	uint32_t entries = 128;

	while (entries < work->depth)
		entries *= 2;
	return entries;
}

uint32_t point_buffers(const struct point *p)
{
	const struct work *work = &p->work;
	uint32_t n = work->span / (slot_pages(work) * PAGE) / work->queues / p->guests;

	return n > work->depth ? n : work->depth;
}

/* Buffers of a queue that are granted: who bounces has a pool for those in flight. */
static uint32_t granted(const struct point *p)
{
	return p->policy->bounces ? p->work.depth : point_buffers(p);
}

uint64_t point_pages(const struct point *p)
{
	const struct work *work = &p->work;
	uint64_t tables = (uint64_t)work->depth * (slot_pages(work) + 3) * 32 / PAGE;

	return work->queues * ((uint64_t)granted(p) * slot_pages(work) + tables + SPARE_PAGES);
}

static __attribute__((format(printf, 2, 3))) int leave_out(struct matrix *m, const char *fmt, ...)
{
	char **list, *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	/* The same reason for many sizes and depths is said once. */
	for (unsigned int i = 0; i < m->num_left_out; i++) {
		if (!strcmp(m->left_out[i], text)) {
			free(text);
			return 0;
		}
	}
	list = realloc(m->left_out, (m->num_left_out + 1) * sizeof(*list));
	if (!list) {
		free(text);
		return -ENOMEM;
	}
	m->left_out = list;
	m->left_out[m->num_left_out++] = text;
	return 0;
}

/* NULL, or why the point is more than a device or the machine takes. */
static const char *too_much(const struct point *p)
{
	const struct work *w = &p->work;
	uint64_t data = (uint64_t)w->queues * granted(p) * slot_pages(w);
	uint64_t own = (uint64_t)w->queues * point_buffers(p) * slot_pages(w);
	uint32_t in_region = REGION_PAGES / slot_pages(w);
	uint64_t regions = w->queues * ((granted(p) + in_region - 1) / in_region + QUEUE_REGIONS);

	if (data > QUOTA_PAGES)
		return "more than 192 MiB of granted buffers in one guest";
	if (p->policy->regions && p->way->regions && p->policy != &policies[POLICY_FAT] &&
	    regions > REGIONS)
		return "more regions than the 256 of a device";
	if (p->way->copy_max && strtoul(p->way->copy_max, NULL, 10) == MEBIBYTE &&
	    w->size == MEBIBYTE && p->policy == &policies[POLICY_GRANT])
		return "with its header such a request is more than vgrantd copies: it would be "
		       "mapped";
	if (p->way->regions && point_pages(p) * p->guests > MAPTRACK_PAGES)
		return "more pages than the simulated hypervisor lets one domain map";
	if ((point_pages(p) + (p->policy->bounces ? own : 0)) * p->guests > MEMORY_PAGES)
		return "more than 2 GiB of buffers";
	return NULL;
}

static int add_point(struct matrix *m, const struct point *p)
{
	struct point *list = realloc(m->point, (m->n + 1) * sizeof(*list));

	if (!list)
		return -ENOMEM;
	m->point = list;
	m->point[m->n++] = *p;
	return 0;
}

static int leave_out_point(struct matrix *m, const struct point *p, const char *why)
{
	const struct work *w = &p->work;
	char span[40] = "";

	if (w->span)
		snprintf(span, sizeof(span), ", data in %.6g MiB", w->span / 1048576.0);
	return leave_out(m, "%s, %s, %u bytes, depth %u, %u queue%s, %u guest%s%s: %s",
			 p->way->name, p->policy->name, w->size, w->depth, w->queues,
			 w->queues == 1 ? "" : "s", p->guests, p->guests == 1 ? "" : "s", span,
			 why);
}

/* One way and policy at every number of guests and time of polling. */
static int add_pair(struct matrix *m, const struct axes *a, struct point p)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < a->poll_us.n; i++) {
		for (unsigned int k = 0; !err && k < a->guests.n; k++) {
			const char *why;

			p.poll_us = (uint32_t)a->poll_us.value[i];
			p.guests = (uint32_t)a->guests.value[k];
			why = too_much(&p);
			if (!why)
				err = add_point(m, &p);
			else
				err = leave_out_point(m, &p, why);
		}
	}
	return err;
}

/* One sentence for all policies that @way refuses: its reason is the same for all. */
static int say_refused(struct matrix *m, const struct axes *a, const struct way *way)
{
	char refused[128] = "";
	const char *why = NULL;
	size_t len = 0;

	for (unsigned int i = 0; i < a->policy.n; i++) {
		const struct policy *policy = &policies[a->policy.value[i]];
		const char *this = way_refuses(way, policy);

		if (!this)
			continue;
		why = this;
		len += (size_t)snprintf(refused + len, sizeof(refused) - len, "%s%s",
					len ? ", " : "", policy->name);
	}
	return why ? leave_out(m, "%s with %s: %s", way->name, refused, why) : 0;
}

static int add_way(struct matrix *m, const struct axes *a, struct point p)
{
	int err = 0;

	if (!point_has_device(&p)) {
		p.policy = &no_policy;
		p.guests = 1;
		if (p.way == &ways[WAY_MEMCPY])
			return add_point(m, &p);
		for (unsigned int k = 0; !err && k < a->guests.n; k++) {
			p.guests = (uint32_t)a->guests.value[k];
			err = add_point(m, &p);
		}
		return err;
	}
	/* The baseline has one policy whatever is asked of the others. */
	if (p.way->whole_guest) {
		p.policy = &policies[POLICY_DIRECT];
		return add_pair(m, a, p);
	}
	for (unsigned int i = 0; !err && i < a->policy.n; i++) {
		p.policy = &policies[a->policy.value[i]];
		if (!way_refuses(p.way, p.policy))
			err = add_pair(m, a, p);
	}
	return err || a->any_policy ? err : say_refused(m, a, p.way);
}

static int add_group(struct matrix *m, const struct axes *a, const struct work *work)
{
	unsigned int before = m->n;
	int err = 0;

	for (unsigned int i = 0; !err && i < a->way.n; i++)
		err = add_way(m, a,
			      (struct point){.group = m->groups,
					     .way = &ways[a->way.value[i]],
					     .work = *work});
	m->groups += m->n > before;
	return err;
}

int matrix_add(struct matrix *m, const struct axes *a)
{
	const struct list *axis[] = {&a->engine, &a->op, &a->size, &a->depth, &a->queues, &a->span};
	const unsigned int axes = sizeof(axis) / sizeof(axis[0]);
	unsigned int at[sizeof(axis) / sizeof(axis[0])] = {0}, i;
	int err = 0;

	do {
		const struct work work = {
			.engine = (enum engine)a->engine.value[at[0]],
			.op = (enum operation)a->op.value[at[1]],
			.size = (uint32_t)a->size.value[at[2]],
			.depth = (uint32_t)a->depth.value[at[3]],
			.queues = (uint32_t)a->queues.value[at[4]],
			.span = (uint32_t)a->span.value[at[5]],
		};

		err = add_group(m, a, &work);
		/* To the next combination; the last axis turns fastest. */
		for (i = axes; i && ++at[i - 1] == axis[i - 1]->n; i--)
			at[i - 1] = 0;
	} while (!err && i);
	return err;
}

void matrix_free(struct matrix *m)
{
	for (unsigned int i = 0; i < m->num_left_out; i++)
		free(m->left_out[i]);
	free(m->left_out);
	free(m->point);
	*m = (struct matrix){0};
}

char *point_name(const struct point *p, const struct point *other, char name[POINT_NAME_MAX])
{
	static const struct point usual = {.guests = 1};
	int n = snprintf(name, POINT_NAME_MAX, "%s%s%s", p->way->name,
			 point_has_device(p) ? "+" : "",
			 point_has_device(p) ? p->policy->name : "");

	if (!other || p->way == &ways[WAY_MEMCPY])
		return name;
	/* A yardstick does not poll, nor do guests of memcpy: beside it what is usual is not said.
	 */
	if (other->way == &ways[WAY_MEMCPY])
		other = &usual;
	if (point_has_device(p) && p->poll_us != other->poll_us)
		n += snprintf(name + n, POINT_NAME_MAX - (size_t)n, " poll %u", p->poll_us);
	if (p->guests != other->guests)
		snprintf(name + n, POINT_NAME_MAX - (size_t)n, " %u guest%s", p->guests,
			 p->guests == 1 ? "" : "s");
	return name;
}

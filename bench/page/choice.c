// SPDX-License-Identifier: MIT
/* Which of all points a plot shows: those that differ in nothing but what it varies. */
#include <string.h>

#include "page.h"

bool choice_has(const struct choice *c, const struct point *p)
{
	return !strcmp(c->engine, p->engine) && !strcmp(c->op, p->op) &&
	       (!c->size || c->size == p->size) && (!c->depth || c->depth == p->depth) &&
	       (!c->guests || c->guests == p->guests) && c->queues == p->queues &&
	       c->span == p->span && (c->any_poll || c->poll_us == p->poll_us);
}

unsigned int choice_value(const struct point *p, enum vary vary)
{
	return vary == SIZE ? p->size : vary == GUESTS ? p->guests : 0;
}

/* How many points @c has, or 0 when less than two of them differ in what varies. */
static unsigned int weigh(const struct figures *f, const struct choice *c, enum vary vary)
{
	unsigned int n = 0, first = 0;
	bool differ = vary == NOTHING;

	for (unsigned int i = 0; i < f->points; i++) {
		const struct point *p = &f->point[i];

		if (!choice_has(c, p))
			continue;
		if (!n++)
			first = choice_value(p, vary);
		differ |= choice_value(p, vary) != first;
	}
	return differ ? n : 0;
}

/* The choice that begins with any of the points, is allowed, and has the most. */
static struct choice choose(const struct figures *f, enum vary vary,
			    bool (*allowed)(const struct point *), bool any_poll)
{
	struct choice best = {.n = 0};

	for (unsigned int i = 0; i < f->points; i++) {
		const struct point *p = &f->point[i];
		struct choice c = {
			.engine = p->engine,
			.op = p->op,
			.size = vary == SIZE ? 0 : p->size,
			.depth = p->depth,
			.queues = p->queues,
			.span = p->span,
			.poll_us = p->poll_us,
			.guests = vary == GUESTS ? 0 : p->guests,
			.any_poll = any_poll,
		};

		if (p->yardstick || !allowed(p))
			continue;
		c.n = weigh(f, &c, vary);
		if (c.n > best.n)
			best = c;
	}
	return best;
}

static bool any_point(const struct point *p)
{
	return p->policy != NULL;
}

static bool one_guest(const struct point *p)
{
	return p->guests == 1 && !p->poll_us;
}

static bool one_at_a_time(const struct point *p)
{
	return p->depth == 1 && p->guests == 1 && p->buckets;
}

struct choice choice_of_sizes(const struct figures *f)
{
	return choose(f, SIZE, one_guest, false);
}

struct choice choice_of_guests(const struct figures *f)
{
	return choose(f, GUESTS, any_point, false);
}

struct choice choice_of_latency(const struct figures *f)
{
	return choose(f, NOTHING, one_at_a_time, true);
}

struct choice choice_of_costs(const struct figures *f)
{
	struct choice sizes = choose(f, SIZE, one_guest, false), best = {.n = 0};

	/* Of the sizes that the first plot has, the one that stands most often, the smallest first.
	 */
	for (unsigned int i = 0; i < f->points; i++) {
		struct choice c = sizes;

		if (!sizes.n || !choice_has(&sizes, &f->point[i]) || f->point[i].size < 4096)
			continue;
		c.size = f->point[i].size;
		c.n = weigh(f, &c, NOTHING);
		if (c.n > best.n || (c.n == best.n && c.size < best.size))
			best = c;
	}
	return best.n ? best : choose(f, NOTHING, one_guest, false);
}

void choice_words(const struct choice *c, char text[256])
{
	int n = snprintf(text, 256, "%s, engine %s", c->op, c->engine);

	if (c->size)
		n += snprintf(text + n, 256 - (size_t)n,
			      c->size >= 1024 ? ", %g KiB a request" : ", %g bytes a request",
			      c->size >= 1024 ? c->size / 1024.0 : c->size);
	n += snprintf(text + n, 256 - (size_t)n, ", depth %u", c->depth);
	if (c->guests)
		n += snprintf(text + n, 256 - (size_t)n, ", %u guest%s", c->guests,
			      c->guests == 1 ? "" : "s");
	if (c->queues > 1)
		n += snprintf(text + n, 256 - (size_t)n, ", %u queues", c->queues);
	if (c->span)
		snprintf(text + n, 256 - (size_t)n, ", data in %.6g MiB", c->span / 1048576.0);
}

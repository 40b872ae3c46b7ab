/* SPDX-License-Identifier: MIT */
/* vgrant-report: figures as vgrant-bench, vgrant-micro and vgrant-peers write them, made a page. */
#ifndef BENCH_PAGE_H
#define BENCH_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

/* ---- load.c ---- */

struct spread_of {
	double median, low, high;
};

struct bucket {
	double ns, count;
};

/* One point of vgrant-bench's: see bench/README.md, "The JSON". Missing figures are 0; bytes copied
 * and calls -1. */
struct point {
	char name[64]; /* way+policy, or the yardstick's */
	const char *way, *policy, *engine, *op;
	unsigned int file, group, size, depth, queues, span, poll_us, guests;
	struct spread_of rps, gbs;
	double p50, p99, p999;
	struct bucket *bucket;
	unsigned int buckets;
	double backend_ns, guest_ns, grants, xen_copied, guest_copied, zeroed, calls, guest_calls,
		sends;
	double reachable, pages, slowest;
	bool yardstick;
};

struct comparison {
	unsigned int a, b; /* indices of points */
	struct spread_of ratio;
	bool distinguishable;
};

#define MAX_FILES 16

struct figures {
	json_t *json[MAX_FILES]; /* the files: what points refer to lies in them */
	unsigned int files;
	const char *hypervisor, *cpu, *kernel, *scheduler;
	struct point *point;
	unsigned int points;
	struct comparison *comparison;
	unsigned int comparisons;
	json_t *micro, *peers; /* or NULL */
};

/* Adds what the file holds, whichever of the three tools wrote it. Returns 0, or -1: it was said
 * why not.
 */
int figures_load(struct figures *f, const char *path);
void figures_free(struct figures *f);

/* ---- choice.c: which of all points a plot shows ---- */

enum vary {
	NOTHING,
	SIZE,
	GUESTS,
};

/* Points that differ in nothing but what a plot varies, chosen so that there are most. */
struct choice {
	const char *engine, *op;
	unsigned int size, depth, queues, span, poll_us,
		guests; /* 0: varied, but queues and span */
	bool any_poll;
	unsigned int n; /* points; 0: there are none */
};

bool choice_has(const struct choice *c, const struct point *p);
unsigned int choice_value(const struct point *p, enum vary vary);
struct choice choice_of_sizes(const struct figures *f);
struct choice choice_of_guests(const struct figures *f);
struct choice choice_of_latency(const struct figures *f);
/* For a table and bars: most ways at one size, one guest. */
struct choice choice_of_costs(const struct figures *f);
/* "read, engine null, depth 32": what @c holds fast. */
void choice_words(const struct choice *c, char text[256]);

/* ---- plots.c ---- */

struct plot {
	const char *id, *title, *text; /* what the reader sees, in words */
	char about[256];               /* which figures these are */
};

#define MAX_PLOTS 8

/* Writes ID.svg for each plot that there are figures for, into the directory that is the current
 * one. Returns how many, or -1. */
int plots_draw(const struct figures *f, struct plot plot[MAX_PLOTS]);

/* ---- html.c ---- */

/* index.html in the current directory, with the plots in it, and the text file @prediction if not
 * NULL. */
int page_write(const struct figures *f, const char *prediction, const struct plot *plot,
	       unsigned int plots);

__attribute__((format(printf, 1, 2))) int page_failed(const char *fmt, ...);

#endif

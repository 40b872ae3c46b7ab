/* SPDX-License-Identifier: MIT */
/* Which points are measured, and which stand beside each other. */
#ifndef BENCH_MATRIX_H
#define BENCH_MATRIX_H

#include <stddef.h>
#include <stdint.h>

#include "list.h"
#include "way.h"

enum engine { ENGINE_NULL, ENGINE_MEMORY, ENGINE_FILE, ENGINES };
enum operation { OPERATION_READ, OPERATION_WRITE, OPERATIONS };

extern const char *const engine_names[ENGINES + 1], *const operation_names[OPERATIONS + 1];

#define SIZE_LEAST     512u /* a sector: the smallest request that virtio-blk has */
#define SIZE_MOST      (1u << 20)
#define DEPTH_MAX      256u
#define MAPTRACK_PAGES 65536u /* that the simulated hypervisor lets a domain map */
#define GUESTS_MAX     256u
#define QUEUES_MAX     4u
#define SPAN_MAX       (512u << 20)
#define POLL_MAX       1000000u

/* Every combination of these, but for those that mean nothing. */
struct axes {
	struct list way, policy, engine, op; /* places in the tables of names */
	struct list size, depth, queues, span, poll_us, guests;
	bool any_policy; /* nobody named policies: what a way does not take need not be said */
};

/* Points of one group have the same work, and each other's runs for neighbours. */
struct work {
	enum engine engine;
	enum operation op;
	uint32_t size, depth, queues;
	uint32_t span; /* bytes that the data buffers of all guests lie in, at least */
};

struct point {
	unsigned int group;
	const struct way *way;
	const struct policy *policy;
	struct work work;
	uint32_t poll_us; /* both ends poll for so long before they sleep; 0: they sleep at once */
	uint32_t guests;
};

struct matrix {
	struct point *point; /* by groups */
	unsigned int n, groups;
	char **left_out; /* sentences */
	unsigned int num_left_out;
};

/* Adds the points of @axes to @m, whose groups and sentences go on. -ENOMEM. */
int matrix_add(struct matrix *m, const struct axes *axes);
void matrix_free(struct matrix *m);

/* Is there a device, or is it a yardstick? */
static inline bool point_has_device(const struct point *p)
{
	return p->way->daemon != NULL;
}

/* "region+bounce", with what else tells it from @other. Returns @name. */
#define POINT_NAME_MAX 80
char *point_name(const struct point *p, const struct point *other, char name[POINT_NAME_MAX]);

/* Entries of a queue's ring. */
uint32_t work_ring(const struct work *work);
/* Data buffers of each queue of each guest: the depth, or more to span what is asked for. */
uint32_t point_buffers(const struct point *p);
/* Pages of 4 KiB that one guest grants, at most. */
uint64_t point_pages(const struct point *p);

#endif

// SPDX-License-Identifier: MIT
#include "yardstick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pairs.h"

#define BLOCK_BYTES (1u << 20) /* copied between looks at the clock */

struct yardstick {
	const struct way *way;
	const struct place *place;
	size_t size, all; /* memcpy: of a request, of all buffers */
	uint8_t *from, *to;
	struct pairs *pairs; /* eventfd */
};

/* Not a child's, too: this process starts others between runs, and would then get each page that
 * it writes to by a fault, in the run that comes next. */
static uint8_t *get_memory(size_t size, int byte)
{
	uint8_t *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (madvise(memory, size, MADV_DONTFORK)) {
		munmap(memory, size);
		return NULL;
	}
	memset(memory, byte, size);
	return memory;
}

static int start_memcpy(struct yardstick *y, const struct work *work)
{
	y->size = work->size;
	y->all = (size_t)work->size * work->depth * work->queues;
	if (work->span > y->all)
		y->all = work->span / y->size * y->size;
	y->from = get_memory(y->all, 1);
	y->to = get_memory(y->all, 2);
	return y->from && y->to ? 0 : -ENOMEM;
}

static void run_memcpy(struct yardstick *y, uint64_t end, struct run *run)
{
	uint64_t block = BLOCK_BYTES / y->size;
	size_t at = 0;

	do {
		for (uint64_t i = 0; i < block; i++) {
			memcpy(y->to + at, y->from + at, y->size);
			/* Nobody reads it: the compiler must not know. */
			__asm__ volatile("" : : "r"(y->to + at) : "memory");
			at = at + y->size < y->all ? at + y->size : 0;
		}
		run->requests += block;
	} while (proc_now_ns() < end && !proc_interrupted());
}

int yardstick_start(const struct point *p, const struct place *place, struct yardstick **out)
{
	struct yardstick *y = calloc(1, sizeof(*y));
	int err;

	*out = y;
	if (!y)
		return complain(-ENOMEM, "out of memory");
	y->way = p->way;
	y->place = place;
	err = p->way == &ways[WAY_MEMCPY] ? start_memcpy(y, &p->work)
					  : pairs_start(p->guests, place, &y->pairs);
	if (!err)
		return 0;
	complain(err, "cannot measure %s: %s", p->way->name, strerror(-err));
	yardstick_stop(y);
	*out = NULL;
	return err;
}

void yardstick_stop(struct yardstick *y)
{
	if (!y)
		return;
	pairs_stop(y->pairs);
	if (y->from)
		munmap(y->from, y->all);
	if (y->to)
		munmap(y->to, y->all);
	free(y);
}

int yardstick_run(struct yardstick *y, double seconds, struct run *run, struct histogram *latency)
{
	uint64_t begin, end;
	int err;

	*run = (struct run){.slowest = 1};
	if (y->way != &ways[WAY_MEMCPY]) {
		err = pairs_run(y->pairs, seconds, run, latency);
		return err ? complain(err, "%s: %s", y->way->name, strerror(-err)) : 0;
	}
	err = place_self(y->place);
	if (err)
		return complain(err, "cannot choose a CPU: %s", strerror(-err));
	begin = proc_now_ns();
	end = begin + (uint64_t)(seconds * 1e9);
	run_memcpy(y, end, run);
	run->in_time = run->requests;
	/* What was begun before the end counts, and its time too. */
	run->seconds = (double)(proc_now_ns() - begin) / 1e9;
	err = unplace_self(y->place);
	return err ? complain(err, "%s: %s", y->way->name, strerror(-err)) : 0;
}

// SPDX-License-Identifier: MIT
#include "yardstick.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK_BYTES (1u << 20) /* copied between looks at the clock */

struct yardstick {
	const struct way *way;
	const struct place *place;
	size_t size, all; /* memcpy: of a request, of all buffers */
	uint8_t *from, *to;
	int there, back; /* eventfd */
	pid_t echo;
};

/* ---- memcpy ---- */

static int start_memcpy(struct yardstick *y, const struct work *work)
{
	y->size = work->size;
	y->all = (size_t)work->size * work->depth * work->queues;
	if (work->span > y->all)
		y->all = work->span / y->size * y->size;
	y->from = malloc(y->all);
	y->to = malloc(y->all);
	if (!y->from || !y->to)
		return -ENOMEM;
	memset(y->from, 1, y->all);
	memset(y->to, 2, y->all);
	return 0;
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
	} while (proc_now_ns() < end);
}

/* ---- eventfd ---- */

/* In the child. Ends with the other end of its words. */
static _Noreturn void echo(int in, int out)
{
	uint64_t word;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(in, &word, sizeof(word)) == sizeof(word) &&
	       write(out, &word, sizeof(word)) == sizeof(word)) {
	}
	_exit(0);
}

static int start_eventfd(struct yardstick *y)
{
	y->there = eventfd(0, EFD_CLOEXEC);
	y->back = eventfd(0, EFD_CLOEXEC);
	if (y->there < 0 || y->back < 0)
		return -errno;
	y->echo = fork();
	if (!y->echo)
		echo(y->there, y->back);
	return y->echo < 0 ? -errno : place_worker(y->place, false, 0, y->echo);
}

static int run_eventfd(struct yardstick *y, uint64_t end, struct run *run,
		       struct histogram *latency)
{
	uint64_t word = 1, before = proc_now_ns();

	while (before < end) {
		uint64_t now;

		if (write(y->there, &word, sizeof(word)) != sizeof(word) ||
		    read(y->back, &word, sizeof(word)) != sizeof(word))
			return -errno;
		now = proc_now_ns();
		histogram_add(latency, now - before, 1);
		before = now;
		run->requests++;
	}
	return 0;
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
	y->there = y->back = -1;
	err = p->way == &ways[WAY_MEMCPY] ? start_memcpy(y, &p->work) : start_eventfd(y);
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
	if (y->echo > 0) {
		kill(y->echo, SIGKILL);
		waitpid(y->echo, NULL, 0);
	}
	if (y->there >= 0)
		close(y->there);
	if (y->back >= 0)
		close(y->back);
	free(y->from);
	free(y->to);
	free(y);
}

int yardstick_run(struct yardstick *y, double seconds, struct run *run, struct histogram *latency)
{
	int err = place_self(y->place);
	uint64_t begin = proc_now_ns(), end = begin + (uint64_t)(seconds * 1e9);

	*run = (struct run){.slowest = 1};
	if (err)
		return complain(err, "cannot choose a CPU: %s", strerror(-err));
	if (y->way == &ways[WAY_MEMCPY])
		run_memcpy(y, end, run);
	else
		err = run_eventfd(y, end, run, latency);
	run->in_time = run->requests;
	/* What was begun before the end counts, and its time too. */
	run->seconds = (double)(proc_now_ns() - begin) / 1e9;
	if (!err)
		err = unplace_self(y->place);
	return err ? complain(err, "%s: %s", y->way->name, strerror(-err)) : 0;
}

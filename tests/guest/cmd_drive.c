// SPDX-License-Identifier: MIT
/*
 * vgguest drive: runs on command. A bench or a check brings the device up once, then asks for short
 * runs and looks at the backend in between, with nothing of set-up in what it sees.
 *
 * Each line of standard input is "ms N" or "requests N", and is answered by one JSON object on a
 * line; so is coming up, before the first. "copies N" makes no requests: it copies as much memory
 * as N of them would move, among as many buffers as may be in flight, and says how long that takes.
 * The end of standard input takes the device down.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "job.h"

static void say_up(const struct vgg_blk_info *info)
{
	printf("{\"capacity\": %" PRIu64 ", \"depth\": %u, \"queues\": %u, \"queue_size\": %u}\n",
	       info->capacity * VGG_SECTOR, info->depth, info->queues, info->queue_size);
	fflush(stdout);
}

static void say_done(const struct job *job, const struct vgg_stats *before,
		     const struct vgg_stats *after)
{
	printf("{\"requests\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"seconds\": %.9f, "
	       "\"kicks\": %" PRIu64 ", \"interrupts\": %" PRIu64 ", \"waits\": %" PRIu64 "}\n",
	       job->requests, job->bytes, job->seconds, after->kicks - before->kicks,
	       after->interrupts - before->interrupts, after->waits - before->waits);
	fflush(stdout);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int copies(const struct vgg_blk_info *info, uint32_t size, uint64_t n)
{
	size_t all = (size_t)info->depth * size;
	uint8_t *from = calloc(1, all), *to = calloc(1, all);
	double begin;

	if (!from || !to) {
		free(from);
		free(to);
		return -ENOMEM;
	}
	memset(from, 1, all);
	memset(to, 2, all);
	begin = now();
	for (uint64_t i = 0; i < n; i++) {
		size_t at = i % info->depth * size;

		memcpy(to + at, from + at, size);
		/* Nobody reads it: the compiler must not know. */
		__asm__ volatile("" : : "r"(to + at) : "memory");
	}
	printf("{\"copies\": %" PRIu64 ", \"seconds\": %.9f}\n", n, now() - begin);
	fflush(stdout);
	free(from);
	free(to);
	return 0;
}

static bool parse(const char *line, struct job *job, uint64_t *copied)
{
	char *end;
	uint64_t *limit;

	*copied = 0;
	if (!strncmp(line, "copies ", 7))
		limit = copied;
	else if (!strncmp(line, "ms ", 3))
		limit = &job->max_ms;
	else if (!strncmp(line, "requests ", 9))
		limit = &job->max_requests;
	else
		return false;
	line = strchr(line, ' ') + 1;
	errno = 0;
	*limit = strtoull(line, &end, 10);
	return *line >= '0' && *line <= '9' && !errno && *limit && *end == '\n';
}

int cmd_drive(const struct cli *cli)
{
	struct cli sized = *cli;
	struct vgg_blk_info info;
	struct vgg_blk *blk;
	struct vgg *g;
	uint64_t copied;
	char line[64];
	int err;

	if (!sized.size)
		sized.size = 4096;
	err = cli_up(&sized, &g, &blk);
	if (err)
		return err;
	vgg_blk_get_info(blk, &info);
	say_up(&info);
	while (!err && !cli_stop && fgets(line, sizeof(line), stdin)) {
		struct vgg_stats before, after;
		struct job job = {
			.sectors = info.capacity,
			.size = sized.size,
			.write = cli->write,
			.mixed = cli->mixed,
			.random = !cli->sequential,
			.poll = cli->poll,
			.batch = cli->batch,
		};

		if (!parse(line, &job, &copied)) {
			fputs("vgguest: drive takes lines 'ms N', 'requests N' and 'copies N', "
			      "N not 0\n",
			      stderr);
			cli_down(cli, g, blk, 0);
			return EXIT_USAGE;
		}
		if (copied) {
			err = copies(&info, sized.size, copied);
			continue;
		}
		vgg_get_stats(g, &before);
		err = job_run(blk, &job);
		vgg_get_stats(g, &after);
		if (!err)
			say_done(&job, &before, &after);
	}
	return cli_down(cli, g, blk, err);
}

// SPDX-License-Identifier: MIT
/*
 * vgguest drive: runs on command. A bench or a check brings the device up once, then asks for short
 * runs and looks at the backend in between, with nothing of set-up in what it sees.
 *
 * Each line of standard input is "ms N", "requests N" or "window BEGIN END" (nanoseconds of
 * CLOCK_MONOTONIC), and is answered by one JSON object on a line; so is coming up, before the
 * first. "copies N" makes no requests: it copies as much memory as N of them would move, among as
 * many buffers as may be in flight, and says how long that takes. "latency" gives the histogram of
 * all requests since the last time: [least nanoseconds of a bucket, how many] for those with any.
 * The end of standard input takes the device down.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "job.h"

/* Of what a line asks for. */
struct order {
	uint64_t copies;
	bool latency;
};

static struct histogram latency;

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
	       "\"in_window\": %" PRIu64 ", \"kicks\": %" PRIu64 ", \"interrupts\": %" PRIu64
	       ", \"waits\": %" PRIu64 ", \"bytes_bounced\": %" PRIu64
	       ", \"bytes_zeroed\": %" PRIu64 "}\n",
	       job->requests, job->bytes, job->seconds, job->in_window,
	       after->kicks - before->kicks, after->interrupts - before->interrupts,
	       after->waits - before->waits, after->bytes_bounced - before->bytes_bounced,
	       after->bytes_zeroed - before->bytes_zeroed);
	fflush(stdout);
}

static void say_latency(void)
{
	const char *comma = "";

	printf("{\"max\": %" PRIu64 ", \"histogram\": [", latency.max);
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (!latency.count[i])
			continue;
		printf("%s[%" PRIu64 ",%" PRIu64 "]", comma, histogram_least(i), latency.count[i]);
		comma = ",";
	}
	printf("]}\n");
	fflush(stdout);
	latency = (struct histogram){0};
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

static bool parse_window(const char *line, struct job *job)
{
	char extra;

	return sscanf(line, "window %" SCNu64 " %" SCNu64 " %c", &job->begin_ns, &job->end_ns,
		      &extra) == 2 &&
	       job->begin_ns && job->begin_ns < job->end_ns;
}

static bool parse(const char *line, struct job *job, struct order *order)
{
	char *end;
	uint64_t *limit;

	*order = (struct order){.latency = !strcmp(line, "latency\n")};
	if (order->latency)
		return true;
	if (!strncmp(line, "window ", 7))
		return parse_window(line, job);
	if (!strncmp(line, "copies ", 7))
		limit = &order->copies;
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
	struct order order;
	char line[80];
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
			.latency = &latency,
		};

		if (!parse(line, &job, &order)) {
			fputs("vgguest: drive takes lines 'ms N', 'requests N', 'copies N' (N not "
			      "0), 'window BEGIN END' and 'latency'\n",
			      stderr);
			cli_down(cli, g, blk, 0);
			return EXIT_USAGE;
		}
		if (order.latency) {
			say_latency();
			continue;
		}
		if (order.copies) {
			err = copies(&info, sized.size, order.copies);
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

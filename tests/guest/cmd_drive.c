// SPDX-License-Identifier: MIT
/*
 * vgguest drive: runs on command. A bench or a check brings the device up once, then asks for short
 * runs and looks at the backend in between, with nothing of set-up in what it sees.
 *
 * Each line of standard input is "ms N" or "requests N", and is answered by one JSON object on a
 * line; so is coming up, before the first. The end of standard input takes the device down.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

static bool parse(const char *line, struct job *job)
{
	char *end;
	uint64_t *limit;

	if (!strncmp(line, "ms ", 3))
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

		if (!parse(line, &job)) {
			fputs("vgguest: drive takes lines 'ms N' and 'requests N', N not 0\n",
			      stderr);
			cli_down(cli, g, blk, 0);
			return EXIT_USAGE;
		}
		vgg_get_stats(g, &before);
		err = job_run(blk, &job);
		vgg_get_stats(g, &after);
		if (!err)
			say_done(&job, &before, &after);
	}
	return cli_down(cli, g, blk, err);
}

// SPDX-License-Identifier: MIT
/* session: one connection, and what to do with it from standard input, answered line by line. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

static int session_read(struct vgg_blk *blk, const char *path, struct job *job)
{
	int fd = file_create(path), err;

	if (fd < 0)
		return fd;
	err = file_read_disk(blk, fd, job);
	close(fd);
	return err;
}

static int session_write(struct vgg_blk *blk, const char *path, uint64_t offset, struct job *job)
{
	int fd = file_open(path), err;

	if (fd < 0)
		return fd;
	err = file_write_disk(blk, fd, offset, job);
	close(fd);
	return err;
}

/* Reads of 4 KiB from all over the device, for @ms. */
static int session_bench(struct vgg_blk *blk, uint64_t ms, struct job *job)
{
	struct vgg_blk_info info;

	vgg_blk_get_info(blk, &info);
	job->sectors = info.capacity;
	job->size = 4096;
	job->random = true;
	job->max_ms = ms;
	return job_run(blk, job);
}

/* One line. Returns negative errno; -EINVAL when it is no command. */
static int run(struct vgg_blk *blk, const char *line, struct job *job)
{
	unsigned long long number;
	char path[512];

	if (!strcmp(line, "flush\n"))
		return vgg_blk_flush(blk);
	if (sscanf(line, "read %511s", path) == 1)
		return session_read(blk, path, job);
	if (sscanf(line, "write %511s %llu", path, &number) == 2)
		return session_write(blk, path, number, job);
	if (sscanf(line, "bench %llu", &number) == 1 && number)
		return session_bench(blk, number, job);
	return -EINVAL;
}

int cmd_session(const struct cli *cli)
{
	struct vgg_blk_info info;
	struct vgg_blk *blk;
	char line[640];
	struct vgg *g;
	int err = cli_up(cli, &g, &blk);

	if (err)
		return err;
	vgg_blk_get_info(blk, &info);
	printf("ready capacity=%llu queues=%u depth=%u\n",
	       (unsigned long long)info.capacity * VGG_SECTOR, info.queues, info.depth);
	fflush(stdout);
	while (!err && !cli_stop && fgets(line, sizeof(line), stdin)) {
		struct job job = {0};

		err = run(blk, line, &job);
		if (err)
			printf("failed %s\n", vgg_error(g)[0] ? vgg_error(g) : strerror(-err));
		else
			printf("done requests=%llu bytes=%llu us=%.0f\n",
			       (unsigned long long)job.requests, (unsigned long long)job.bytes,
			       job.seconds * 1e6);
		fflush(stdout);
	}
	return cli_down(cli, g, blk, err);
}

// SPDX-License-Identifier: MIT
/* Commands that move data once: info, read-all, write, flush, verify, bench, reload. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vgrant/guest.h>

#include "file.h"

int cli_failed(const struct vgg *g, int err)
{
	fprintf(stderr, "vgguest: %s\n", vgg_error(g)[0] ? vgg_error(g) : strerror(-err));
	switch (err) {
	case -ECONNRESET:
		return EXIT_CLOSED;
	case -ETIMEDOUT:
		return EXIT_TIMEOUT;
	default:
		return EXIT_ERROR;
	}
}

int cli_up(const struct cli *cli, struct vgg **g, struct vgg_blk **blk)
{
	struct vgg_blk_config config = cli->blk;
	int err = vgg_open(&cli->node, g);

	*blk = NULL;
	if (err)
		return cli_failed(NULL, err);
	if (cli->size)
		config.max_bytes = cli->size;
	err = vgg_connect(*g);
	if (!err)
		err = vgg_blk_open(*g, &config, blk);
	if (err) {
		int status = cli_failed(*g, err);

		vgg_disconnect(*g);
		vgg_close(*g);
		*g = NULL;
		return status;
	}
	return 0;
}

int cli_down(const struct cli *cli, struct vgg *g, struct vgg_blk *blk, int err)
{
	int status = err ? cli_failed(g, err) : EXIT_OK;

	if (!err && cli->hold) {
		puts("holding");
		fflush(stdout);
		while (!cli_stop && getchar() >= 0) {
		}
	}

	err = vgg_blk_close(blk);
	if (!err)
		err = vgg_disconnect(g);
	if (err && status == EXIT_OK)
		status = cli_failed(g, err);
	vgg_close(g);
	return status;
}

int cmd_info(const struct cli *cli)
{
	struct vgg_blk_info info;
	struct vgg_blk *blk;
	struct vgg *g;
	char id[21];
	int err = cli_up(cli, &g, &blk);

	if (err)
		return err;
	vgg_blk_get_info(blk, &info);
	err = vgg_blk_get_id(blk, id);
	if (!err)
		printf("{\"capacity\": %llu, \"block_size\": %u, \"read_only\": %s, "
		       "\"queues\": %u, \"queue_size\": %u, \"seg_max\": %u, "
		       "\"features\": \"0x%llx\", \"id\": \"%s\"}\n",
		       (unsigned long long)info.capacity * VGG_SECTOR, info.block_size,
		       info.read_only ? "true" : "false", info.queues, info.queue_size,
		       info.seg_max, (unsigned long long)info.features, id);
	return cli_down(cli, g, blk, err);
}

int cmd_read_all(const struct cli *cli)
{
	struct cli one = *cli;
	struct job job = {.size = cli->size};
	struct vgg_blk *blk;
	struct vgg *g;
	int fd, err;

	if (!cli->out) {
		fputs("vgguest: read-all needs --out FILE\n", stderr);
		return EXIT_USAGE;
	}
	fd = file_create(cli->out);
	if (fd < 0)
		return EXIT_ERROR;
	if (!file_seekable(fd)) { /* one request at a time comes back in order */
		one.blk.depth = 1;
		one.blk.queues = 1;
	}
	err = cli_up(&one, &g, &blk);
	if (!err)
		err = cli_down(cli, g, blk, file_read_disk(blk, fd, &job));
	close(fd);
	return err;
}

int cmd_write(const struct cli *cli)
{
	struct job job = {.size = cli->size};
	struct vgg_blk *blk;
	struct vgg *g;
	int fd = file_open(cli->arg), err;

	if (fd < 0)
		return EXIT_ERROR;
	err = cli_up(cli, &g, &blk);
	if (err) {
		close(fd);
		return err;
	}
	err = file_write_disk(blk, fd, cli->offset, &job);
	if (job.errors)
		fprintf(stderr, "vgguest: the device refused %llu writes\n",
			(unsigned long long)job.errors);
	if (!err && cli->flush)
		err = vgg_blk_flush(blk);
	close(fd);
	return cli_down(cli, g, blk, err);
}

int cmd_flush(const struct cli *cli)
{
	struct vgg_blk *blk;
	struct vgg *g;
	int err = cli_up(cli, &g, &blk);

	return err ? err : cli_down(cli, g, blk, vgg_blk_flush(blk));
}

/* Each 8 bytes say where they belong, so that data in the wrong place is seen. */
static uint64_t stamp(uint64_t seed, uint64_t sector, uint32_t word)
{
	return (seed + 1) * 0x9e3779b97f4a7c15u ^ (sector << 8 | word);
}

static int stamp_fill(void *opaque, uint64_t sector, uint8_t *data, uint32_t len)
{
	const uint64_t *seed = opaque;
	uint64_t v;

	for (uint32_t at = 0; at < len; at += sizeof(v)) {
		v = htole64(stamp(*seed, sector + at / VGG_SECTOR, at % VGG_SECTOR / sizeof(v)));
		memcpy(data + at, &v, sizeof(v));
	}
	return 0;
}

static int stamp_take(void *opaque, uint64_t sector, const uint8_t *data, uint32_t len)
{
	const uint64_t *seed = opaque;
	uint64_t v;

	for (uint32_t at = 0; at < len; at += sizeof(v)) {
		memcpy(&v, data + at, sizeof(v));
		if (le64toh(v) !=
		    stamp(*seed, sector + at / VGG_SECTOR, at % VGG_SECTOR / sizeof(v))) {
			fprintf(stderr,
				"vgguest: byte %llu of the device is not what was written\n",
				(unsigned long long)sector * VGG_SECTOR + at);
			return -EILSEQ;
		}
	}
	return 0;
}

int cmd_verify(const struct cli *cli)
{
	uint64_t seed = cli->seed;
	struct job job = {.fill = stamp_fill, .take = stamp_take, .opaque = &seed, .write = true};
	struct vgg_blk_info info;
	struct vgg_blk *blk;
	struct vgg *g;
	int err = cli_up(cli, &g, &blk);

	if (err)
		return err;
	vgg_blk_get_info(blk, &info);
	job.sectors = info.capacity;
	job.size = cli->size ? cli->size : 65536;
	err = job_run(blk, &job);
	if (!err)
		err = vgg_blk_flush(blk);
	job.write = false;
	if (!err)
		err = job_run(blk, &job);
	if (!err && job.bytes != 2 * info.capacity * VGG_SECTOR)
		err = -EINTR;
	return cli_down(cli, g, blk, err);
}

static void report(const struct cli *cli, const struct job *job, const struct vgg_stats *s)
{
	double seconds = job->seconds > 0 ? job->seconds : 1e-9;

	if (cli->json)
		printf("{\"requests\": %llu, \"bytes\": %llu, \"errors\": %llu, "
		       "\"seconds\": %.6f, \"kicks\": %llu, \"interrupts\": %llu, "
		       "\"waits\": %llu, \"grants_made\": %llu, \"grants_ended\": %llu, "
		       "\"regions\": %llu, \"messages\": %llu}\n",
		       (unsigned long long)job->requests, (unsigned long long)job->bytes,
		       (unsigned long long)job->errors, job->seconds, (unsigned long long)s->kicks,
		       (unsigned long long)s->interrupts, (unsigned long long)s->waits,
		       (unsigned long long)s->grants_made, (unsigned long long)s->grants_ended,
		       (unsigned long long)s->regions_added, (unsigned long long)s->messages);
	else
		printf("%llu requests in %.2f s: %.0f a second, %.1f MiB/s; %llu kicks, "
		       "%llu interrupts, %llu grants\n",
		       (unsigned long long)job->requests, job->seconds,
		       (double)job->requests / seconds,
		       (double)job->bytes / seconds / (1024 * 1024), (unsigned long long)s->kicks,
		       (unsigned long long)s->interrupts, (unsigned long long)s->grants_made);
	fflush(stdout);
}

int cmd_bench(const struct cli *cli)
{
	struct cli sized = *cli;
	struct job job = {
		.write = cli->write,
		.mixed = cli->mixed,
		.random = !cli->sequential,
		.poll = cli->poll,
		.batch = cli->batch,
		.max_requests = cli->requests,
		.max_ms = cli->seconds * 1000,
	};
	struct vgg_blk_info info;
	struct vgg_stats stats;
	struct vgg_blk *blk;
	struct vgg *g;
	int err;

	if (!sized.size)
		sized.size = 4096;
	if (!job.max_requests && !job.max_ms)
		job.max_ms = 1000;
	err = cli_up(&sized, &g, &blk);
	if (err)
		return err;
	vgg_blk_get_info(blk, &info);
	job.sectors = info.capacity;
	job.size = sized.size;
	err = job_run(blk, &job);
	vgg_get_stats(g, &stats);
	report(cli, &job, &stats);
	return cli_down(cli, g, blk, err);
}

int cmd_reload(const struct cli *cli)
{
	uint8_t sector[VGG_SECTOR];
	struct vgg_blk *blk;
	struct vgg *g;
	int err = vgg_open(&cli->node, &g), status;

	if (err)
		return cli_failed(NULL, err);
	for (uint64_t i = 0; i < cli->count && !err; i++) {
		blk = NULL;
		err = vgg_connect(g);
		if (!err)
			err = vgg_blk_open(g, &cli->blk, &blk);
		if (!err)
			err = vgg_blk_read(blk, 0, sector, sizeof(sector));
		if (!err)
			err = vgg_blk_close(blk);
		else
			vgg_blk_close(blk);
		if (!err)
			err = vgg_disconnect(g);
		else
			break;
	}
	status = err ? cli_failed(g, err) : EXIT_OK;
	if (err)
		vgg_disconnect(g);
	vgg_close(g);
	return status;
}

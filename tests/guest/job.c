// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "job.h"

#define REAP 64

struct run {
	struct vgg_blk *blk;
	struct job *job;
	struct vgg_blk_info info;
	uint64_t next;     /* sector, when sequential */
	uint64_t rng;      /* state, never 0 */
	uint64_t started;  /* requests */
	uint64_t deadline; /* ns; 0: none */
	uint64_t now;      /* ns; of this turn */
	unsigned int inflight;
	bool timed; /* somebody wants to know when requests were completed */
	bool ended;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Where the next request goes. False: there is none. */
static bool pick(struct run *run, uint64_t *sector, uint32_t *len)
{
	struct job *job = run->job;
	uint64_t step = job->size / VGG_SECTOR, end = job->first + job->sectors;

	if (run->ended || (job->max_requests && run->started >= job->max_requests))
		return false;
	*len = job->size;
	if (job->random) {
		if (job->sectors < step)
			return false;
		*sector = job->first + next_random(&run->rng) % (job->sectors / step) * step;
		return true;
	}
	if (run->next >= end) {
		if (!job->max_ms && !job->max_requests)
			return false;
		run->next = job->first;
	}
	*sector = run->next;
	if (end - run->next < step)
		*len = (uint32_t)(end - run->next) * VGG_SECTOR;
	run->next += step;
	return true;
}

static int start(struct run *run, struct vgg_blk_slot *slot)
{
	struct job *job = run->job;
	bool write = job->write || (job->mixed && run->started & 1);
	uint64_t sector, before = run->next;
	uint32_t len;
	int err;

	if (!pick(run, &sector, &len))
		return 0;
	err = vgg_blk_prepare(run->blk, slot);
	if (!err && write && job->fill)
		err = job->fill(job->opaque, sector, slot->data, len);
	if (!err)
		err = vgg_blk_submit(run->blk, slot, write ? VGG_BLK_WRITE : VGG_BLK_READ, sector,
				     len);
	if (err) {
		run->next = before; /* another slot will take it */
		return err;
	}
	slot->user = (void *)(uintptr_t)sector;
	slot->stamp = run->now;
	run->started++;
	run->inflight++;
	return 0;
}

static int finish(struct run *run, const struct vgg_blk_slot *slot)
{
	struct job *job = run->job;

	run->inflight--;
	if (slot->status != VGG_BLK_OK) {
		job->errors++;
		return -EIO;
	}
	job->requests++;
	job->bytes += slot->len;
	job->in_window += run->now <= job->end_ns;
	if (job->latency)
		histogram_add(job->latency, run->now - slot->stamp, 1);
	if (slot->op == VGG_BLK_READ && job->take)
		return job->take(job->opaque, (uintptr_t)slot->user, slot->data, slot->len);
	return 0;
}

/* Takes what is done on @queue and puts new requests in its place. */
static int turn(struct run *run, uint16_t queue, unsigned int *done)
{
	struct vgg_blk_slot *slots[REAP];
	int n = vgg_blk_reap(run->blk, queue, slots, REAP), err = 0;

	if (n < 0)
		return n;
	/* Once for all that came together: a look at the clock costs as much as a request does. */
	if (n && run->timed)
		run->now = now_ns();
	for (int i = 0; i < n; i++) {
		int e = finish(run, slots[i]);

		err = err ? err : e;
	}
	for (int i = 0; i < n && !err; i++)
		err = start(run, slots[i]);
	*done += (unsigned int)n;
	if (!err && n)
		err = vgg_blk_kick(run->blk, queue);
	return err;
}

static int prime(struct run *run)
{
	run->now = now_ns();
	for (uint16_t q = 0; q < run->info.queues; q++) {
		int err = 0;

		for (uint16_t i = 0; i < run->info.depth && !err; i++)
			err = start(run, vgg_blk_slot(run->blk, q, i));
		/* A ring smaller than the depth asked for is filled as far as it goes. */
		if (err && err != -ENOSPC)
			return err;
		err = vgg_blk_kick(run->blk, q);
		if (err)
			return err;
	}
	return 0;
}

/* Sleeps until the time has come. */
static uint64_t await(uint64_t ns)
{
	const struct timespec until = {.tv_sec = (time_t)(ns / 1000000000u),
				       .tv_nsec = (long)(ns % 1000000000u)};

	while (ns && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR &&
	       !cli_stop) {
	}
	return now_ns();
}

int job_run(struct vgg_blk *blk, struct job *job)
{
	struct run run = {
		.blk = blk,
		.job = job,
		.next = job->first,
		.rng = 0x9e3779b97f4a7c15u,
		.timed = job->latency || job->end_ns,
	};
	uint64_t begin = await(job->begin_ns), idle = 0;
	uint16_t batch;
	int err;

	vgg_blk_get_info(blk, &run.info);
	batch = job->batch ? job->batch : run.info.depth / 2;
	if (job->max_ms)
		run.deadline = begin + job->max_ms * 1000000u;
	if (job->end_ns)
		run.deadline = job->end_ns;
	err = prime(&run);
	while (!err && run.inflight) {
		unsigned int done = 0;

		if (cli_stop || (run.deadline && now_ns() >= run.deadline))
			run.ended = true;
		for (uint16_t q = 0; q < run.info.queues && !err; q++)
			err = turn(&run, q, &done);
		if (err || done) {
			idle = 0;
			continue;
		}
		/* Polling stops to sleep only when the device does nothing for long. */
		if (!job->poll || ++idle > UINT64_C(1) << 24)
			err = vgg_blk_wait(blk, batch ? batch : 1);
	}
	job->seconds = (double)(now_ns() - begin) / 1e9;
	return err;
}

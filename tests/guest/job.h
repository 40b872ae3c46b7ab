/* SPDX-License-Identifier: MIT */
/* Many virtio-blk requests of one kind, as many in flight as the slots allow. */
#ifndef VGGUEST_JOB_H
#define VGGUEST_JOB_H

#include "cli.h"
#include "histogram.h"

struct job {
	uint64_t first, sectors; /* the range */
	uint32_t size;           /* bytes of a request; the last of a range may be shorter */
	bool write, mixed;       /* mixed: every other request writes */
	bool random;             /* over the range, until a limit; otherwise once through it */
	bool poll;               /* never sleep */
	uint16_t batch;          /* completions to wait for at a time; 0: half of the depth */
	uint64_t max_requests;   /* 0: no limit */
	uint64_t max_ms;         /* 0: no limit */
	/* Nanoseconds of CLOCK_MONOTONIC between which requests are made, so that many guests do
	 * so together; 0: now, and the limits above. */
	uint64_t begin_ns, end_ns;
	/* NULL, or gets nanoseconds from when a request was put into the ring to when its
	 * completion was seen there. */
	struct histogram *latency;
	/* Before a request that writes; after one that read. Either may be NULL. Negative errno
	 * ends the job. */
	int (*fill)(void *opaque, uint64_t sector, uint8_t *data, uint32_t len);
	int (*take)(void *opaque, uint64_t sector, const uint8_t *data, uint32_t len);
	void *opaque;

	uint64_t requests, bytes; /* out: completed */
	uint64_t in_window;       /* out: of these, by end_ns */
	uint64_t errors;          /* out: completed with a status other than OK */
	double seconds;           /* out */
};

/* 0 or negative errno; I/O errors that the device reports are counted and end the job with -EIO. */
int job_run(struct vgg_blk *blk, struct job *job);

#endif

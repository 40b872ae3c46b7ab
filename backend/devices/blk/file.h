/* SPDX-License-Identifier: MIT */
/* What the two halves of the file engine share: engine_file.c does the I/O, file_probe.c finds out
 * what lies behind a descriptor. */
#ifndef BACKEND_DEVICES_BLK_FILE_H
#define BACKEND_DEVICES_BLK_FILE_H

#include "devices/blk/engine.h"

/* What I/O past the page cache asks for. */
struct file_direct {
	int fd;            /* opened with O_DIRECT, to be closed; -1: there is no direct way */
	uint32_t mem_mask; /* bits that must be clear in every piece's address */
	uint32_t
		offset_mask; /* bits that must be clear in the offset and in every piece's length */
};

/*
 * Finds out what options->fd is, and takes off it the open flags that would spoil I/O at an offset.
 * Logs what is wrong. Errors as vg_blk_engine_file_open().
 */
int file_probe_limits(const struct vg_blk_engine_options *options, struct vg_blk_limits *limits);

/* Opens the same file once more with O_DIRECT and tries it out. No error: *direct says. Blocks for
 * a read. */
void file_probe_direct(const struct vg_blk_engine_options *options,
		       const struct vg_blk_limits *limits, struct file_direct *direct);

#endif

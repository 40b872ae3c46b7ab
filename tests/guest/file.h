/* SPDX-License-Identifier: MIT */
/* Between a device and files of the guest's own. */
#ifndef VGGUEST_FILE_H
#define VGGUEST_FILE_H

#include "job.h"

#define FILE_REQUEST 65536u /* bytes of a request, unless job->size says otherwise */

/* Descriptors, or negative errno with the reason said. "-": standard output. */
int file_create(const char *path);
int file_open(const char *path);
bool file_seekable(int fd);

/* The whole device into @fd. job->size may be given; its results are the caller's. */
int file_read_disk(struct vgg_blk *blk, int fd, struct job *job);
/* All of @fd's file to the device, from byte @offset on; up to a whole sector, zeroes follow. */
int file_write_disk(struct vgg_blk *blk, int fd, uint64_t offset, struct job *job);

#endif

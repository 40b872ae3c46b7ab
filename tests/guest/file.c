// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

static int opened(int fd, const char *verb, const char *path)
{
	if (fd >= 0)
		return fd;
	fd = -errno;
	fprintf(stderr, "vgguest: cannot %s %s: %s\n", verb, path, strerror(errno));
	return fd;
}

int file_create(const char *path)
{
	if (!strcmp(path, "-"))
		return opened(dup(STDOUT_FILENO), "write", "standard output");
	return opened(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), "write", path);
}

int file_open(const char *path)
{
	return opened(open(path, O_RDONLY | O_CLOEXEC), "read", path);
}

bool file_seekable(int fd)
{
	return lseek(fd, 0, SEEK_CUR) >= 0;
}

struct file {
	int fd;
	bool seekable;
	uint64_t offset; /* of the device, where the file's first byte goes */
	uint64_t size;
};

static int take(void *opaque, uint64_t sector, const uint8_t *data, uint32_t len)
{
	const struct file *file = opaque;
	off_t at = (off_t)(sector * VGG_SECTOR);

	while (len) {
		ssize_t n = file->seekable ? pwrite(file->fd, data, len, at)
					   : write(file->fd, data, len);

		if (n < 0)
			return -errno;
		data += n;
		len -= (uint32_t)n;
		at += n;
	}
	return 0;
}

int file_read_disk(struct vgg_blk *blk, int fd, struct job *job)
{
	struct file file = {.fd = fd, .seekable = file_seekable(fd)};
	struct vgg_blk_info info;
	int err;

	vgg_blk_get_info(blk, &info);
	job->take = take;
	job->opaque = &file;
	job->sectors = info.capacity;
	if (!job->size)
		job->size = FILE_REQUEST;
	err = job_run(blk, job);
	return !err && job->bytes != info.capacity * VGG_SECTOR ? -EINTR : err;
}

static int fill(void *opaque, uint64_t sector, uint8_t *data, uint32_t len)
{
	const struct file *file = opaque;
	uint64_t at = sector * VGG_SECTOR - file->offset;

	memset(data, 0, len);
	while (len && at < file->size) {
		ssize_t n = pread(file->fd, data, len, (off_t)at);

		if (n <= 0)
			return n ? -errno : -EIO;
		data += n;
		len -= (uint32_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

int file_write_disk(struct vgg_blk *blk, int fd, uint64_t offset, struct job *job)
{
	struct file file = {.fd = fd, .offset = offset};
	struct vgg_blk_info info;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	vgg_blk_get_info(blk, &info);
	file.size = (uint64_t)st.st_size;
	job->fill = fill;
	job->opaque = &file;
	job->write = true;
	job->first = offset / VGG_SECTOR;
	job->sectors = (file.size + VGG_SECTOR - 1) / VGG_SECTOR;
	if (!job->size)
		job->size = FILE_REQUEST;
	if (offset % VGG_SECTOR || job->first + job->sectors > info.capacity) {
		fprintf(stderr,
			"vgguest: %llu bytes cannot go to byte %llu: an offset is a multiple of "
			"%u, and the device ends at byte %llu\n",
			(unsigned long long)file.size, (unsigned long long)offset, VGG_SECTOR,
			(unsigned long long)info.capacity * VGG_SECTOR);
		return -ENOSPC;
	}
	return job_run(blk, job);
}

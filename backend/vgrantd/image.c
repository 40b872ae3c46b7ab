// SPDX-License-Identifier: MIT
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512

bool vgd_image_same(const struct vgd_image_id *a, const struct vgd_image_id *b)
{
	return a->block == b->block && a->dev == b->dev && a->ino == b->ino;
}

static void identify(const struct stat *st, struct vgd_image_id *id)
{
	id->block = S_ISBLK(st->st_mode);
	id->dev = id->block ? st->st_rdev : st->st_dev;
	id->ino = id->block ? 0 : st->st_ino;
}

int vgd_image_identify(const char *path, struct vgd_image_id *id)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	identify(&st, id);
	return 0;
}

static int open_failed(int error, const char *path, bool read_only, char *words, size_t size)
{
	const char *what = strerror(error);

	switch (error) {
	case ENOENT:
	case ENOTDIR:
		what = "there is no such file in the driver domain: correct the path, or create it";
		break;
	case EACCES:
	case EPERM:
	case EROFS:
		what = read_only ? "vgrantd may not read it: check its owner and mode"
				 : "vgrantd may not write it: check its owner and mode, or attach "
				   "it read-only";
		break;
	case EBUSY:
		what = "it is mounted or otherwise in use in the driver domain";
		error = EAGAIN; /* as for a lock: a former user's last request may be under way */
		break;
	case EISDIR:
		what = "it is a directory: an image is a regular file or a block device";
		break;
	case ENXIO:
	case ENODEV:
	case ENOMEDIUM:
		what = "there is no device behind it";
		break;
	default:
		break;
	}
	snprintf(words, size, "image %.120s: %s", path, what);
	return -error;
}

/* OFD locks: an error other than a conflict says that the file system has none. */
static int lock(int fd, bool read_only)
{
	struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EAGAIN : 0;
}

int vgd_image_open(const char *path, bool read_only, struct vgd_image_id *id, char *words,
		   size_t words_size)
{
	/* O_NONBLOCK: opening a pipe must not wait for its other end. */
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (read_only ? O_RDONLY : O_RDWR);
	struct stat st;
	int fd = -1, rc;
	off_t size;

	if (path[0] != '/') {
		snprintf(words, words_size, "image %.120s: the path must be absolute", path);
		return -EINVAL;
	}
	/* Exclusive use of a block device is refused by the kernel while it is mounted. */
	if (!read_only && !stat(path, &st) && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	fd = open(path, flags);
	if (fd < 0)
		return open_failed(errno, path, read_only, words, words_size);
	if (fstat(fd, &st)) {
		rc = open_failed(errno, path, read_only, words, words_size);
		goto fail;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		rc = -EINVAL;
		snprintf(words, words_size,
			 "image %.120s is neither a regular file nor a block device", path);
		goto fail;
	}
	size = lseek(fd, 0, SEEK_END);
	if (size < SECTOR) {
		rc = -EINVAL;
		snprintf(words, words_size, "image %.120s has %lld bytes: a disk has at least %d",
			 path, (long long)size, SECTOR);
		goto fail;
	}
	/* The worker's requests are to wait for the disk like anybody's. */
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK)) {
		rc = open_failed(errno, path, read_only, words, words_size);
		goto fail;
	}
	rc = lock(fd, read_only);
	if (rc) {
		snprintf(words, words_size,
			 "image %.120s is locked by another process: is it in use?", path);
		goto fail;
	}
	identify(&st, id);
	return fd;

fail:
	close(fd);
	return rc;
}

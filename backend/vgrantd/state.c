// SPDX-License-Identifier: MIT
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vgrant/mmio.h>

/* Of the number of the IOREQ server, and 1. */
#define SERVER_OFFSET 2048

#define SIZE (VGD_STATE_OFFSET + (off_t)sizeof(struct vg_mmio_state))

/* What stands at the beginning of a file that was made with @token, by a vgrantd of this kind. */
static int header(char *text, size_t size, const char *token)
{
	return snprintf(text, size, "vgrantd virtio-mmio state 1, %zu bytes, token %s\n",
			sizeof(struct vg_mmio_state), token);
}

static int path_of(char path[PATH_MAX], const char *dir, const char *name, const char *suffix)
{
	int n = snprintf(path, PATH_MAX, "%s/%s%s", dir, name, suffix);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static bool is_ours(int fd, const char *token)
{
	char want[128], have[128] = "";
	int len = header(want, sizeof(want), token);
	struct stat st;

	return token[0] && !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size == SIZE &&
	       pread(fd, have, (size_t)len, 0) == len && !memcmp(want, have, (size_t)len);
}

static int new_token(char token[VGD_TOKEN_MAX])
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	snprintf(token, VGD_TOKEN_MAX, "%016" PRIx64, random);
	return 0;
}

/* Made beside and renamed, so that a file of the right name is whole. */
static int make(const char *dir, const char *name, char token[VGD_TOKEN_MAX])
{
	char path[PATH_MAX], temporary[PATH_MAX], text[128];
	int ret = path_of(path, dir, name, "");
	int fd = -1, len;

	if (!ret)
		ret = path_of(temporary, dir, name, ".new");
	if (!ret)
		ret = new_token(token);
	if (ret)
		return ret;
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	if (unlink(temporary) && errno != ENOENT)
		return -errno;
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	len = header(text, sizeof(text), token);
	/* Its memory is there from now on: a worker that stores into it finds no full disk. */
	ret = -posix_fallocate(fd, 0, SIZE);
	if (!ret && pwrite(fd, text, (size_t)len, 0) != len)
		ret = -EIO;
	if (!ret && rename(temporary, path))
		ret = -errno;
	if (!ret)
		return fd;
	unlink(temporary);
	close(fd);
	return ret;
}

int vgd_state_open(const char *dir, const char *name, char token[VGD_TOKEN_MAX], bool *kept)
{
	char path[PATH_MAX];
	int ret = path_of(path, dir, name, "");
	int fd;

	*kept = false;
	if (ret)
		return ret;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && is_ours(fd, token)) {
		*kept = true;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return make(dir, name, token);
}

int vgd_state_keep_server(int fd, uint16_t id)
{
	uint32_t value = (uint32_t)id + 1;

	return pwrite(fd, &value, sizeof(value), SERVER_OFFSET) == sizeof(value) ? 0 : -EIO;
}

uint32_t vgd_state_server(const char *dir, const char *name, const char *token)
{
	char path[PATH_MAX];
	uint32_t value = 0;
	int fd;

	if (path_of(path, dir, name, ""))
		return VG_IOREQ_NONE;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return VG_IOREQ_NONE;
	if (!is_ours(fd, token) || pread(fd, &value, sizeof(value), SERVER_OFFSET) != sizeof(value))
		value = 0;
	close(fd);
	return value && value - 1 <= UINT16_MAX ? value - 1 : VG_IOREQ_NONE;
}

void vgd_state_remove(const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (!path_of(path, dir, name, ""))
		unlink(path);
}

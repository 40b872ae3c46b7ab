// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/blk/file.h"

#define MAX_BLOCK     65536u
#define DEFAULT_BLOCK 4096u

static bool is_block_size(uint64_t n)
{
	return n >= VG_BLK_SECTOR && n <= MAX_BLOCK && !(n & (n - 1));
}

static int probe_regular(const struct vg_blk_engine_options *o, const struct stat *st,
			 struct vg_blk_limits *limits)
{
	unsigned int rest = (unsigned int)(st->st_size % VG_BLK_SECTOR);

	if (st->st_size < VG_BLK_SECTOR) {
		vg_err(o->log,
		       "%s: the file has %lld bytes, less than one sector: make it the "
		       "size that the disk shall have (truncate -s)",
		       o->label, (long long)st->st_size);
		return -EINVAL;
	}
	if (rest)
		vg_warn(o->log,
			"%s: the file's last %u bytes are not a whole sector: they are not "
			"part of the disk",
			o->label, rest);
	limits->capacity = (uint64_t)st->st_size - rest;
	/* An image was partitioned for the sectors that every disk has, wherever it lies now. */
	limits->logical_block = VG_BLK_SECTOR;
	limits->physical_block =
		is_block_size((uint64_t)st->st_blksize) ? (uint32_t)st->st_blksize : DEFAULT_BLOCK;
	return 0;
}

static int probe_block(const struct vg_blk_engine_options *o, struct vg_blk_limits *limits)
{
	unsigned int physical, optimal;
	int logical, read_only;
	uint64_t size;

	if (ioctl(o->fd, BLKGETSIZE64, &size) || ioctl(o->fd, BLKSSZGET, &logical)) {
		int err = errno;

		vg_err(o->log, "%s: the block device does not tell its size: %s", o->label,
		       strerror(err));
		return -err;
	}
	if (logical < 0 || !is_block_size((uint64_t)logical) || size < (uint64_t)logical) {
		vg_err(o->log,
		       "%s: a block device of %llu bytes with blocks of %d bytes cannot be "
		       "served",
		       o->label, (unsigned long long)size, logical);
		return -EINVAL;
	}
	limits->capacity = size - size % (uint64_t)logical;
	limits->logical_block = (uint32_t)logical;
	limits->physical_block = limits->logical_block;
	if (!ioctl(o->fd, BLKPBSZGET, &physical) && is_block_size(physical) &&
	    physical > limits->logical_block)
		limits->physical_block = physical;
	if (!ioctl(o->fd, BLKIOOPT, &optimal) && optimal % limits->logical_block == 0)
		limits->optimal_io = optimal;
	if (!ioctl(o->fd, BLKROGET, &read_only) && read_only)
		limits->read_only = true;
	return 0;
}

int file_probe_limits(const struct vg_blk_engine_options *o, struct vg_blk_limits *limits)
{
	/* With O_APPEND the kernel ignores a write's offset; with O_NONBLOCK a ring answers EAGAIN
	 * for what is not in the cache; O_DIRECT has a descriptor of its own. */
	const int spoilers = O_APPEND | O_NONBLOCK | O_DIRECT;
	int flags = fcntl(o->fd, F_GETFL);
	struct stat st;
	int ret;

	*limits = (struct vg_blk_limits){.read_only = o->read_only};
	if (flags < 0 || fstat(o->fd, &st) ||
	    ((flags & spoilers) && fcntl(o->fd, F_SETFL, flags & ~spoilers))) {
		int err = errno;

		vg_err(o->log, "%s: the disk's file cannot be used: %s", o->label, strerror(err));
		return -err;
	}
	if ((flags & O_ACCMODE) == O_WRONLY) {
		vg_err(o->log,
		       "%s: the disk's file is open for writing only: open it for reading "
		       "and writing",
		       o->label);
		return -EACCES;
	}
	if (S_ISREG(st.st_mode)) {
		ret = probe_regular(o, &st, limits);
	} else if (S_ISBLK(st.st_mode)) {
		ret = probe_block(o, limits);
	} else {
		vg_err(o->log, "%s: neither a regular file nor a block device", o->label);
		ret = -EINVAL;
	}
	if (ret)
		return ret;
	if ((flags & O_ACCMODE) == O_RDONLY)
		limits->read_only = true;
	if (limits->read_only && !o->read_only)
		vg_warn(o->log, "%s: the disk can only be read, so the guest gets it read-only",
			o->label);
	return 0;
}

/*
 * The alignment that the kernel states (6.1), or 0 for each when it states none. False: it states
 * that there is no direct way.
 */
static bool stated_alignment(int fd, uint32_t *mem, uint32_t *offset)
{
	*mem = *offset = 0;
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (!statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    (stx.stx_mask & STATX_DIOALIGN)) {
		*mem = stx.stx_dio_mem_align;
		*offset = stx.stx_dio_offset_align;
		return *mem && *offset;
	}
#else
	(void)fd;
#endif
	return true;
}

/* Reads the first @offset bytes to memory that is aligned to @mem and to no more. */
static bool try_direct(int fd, uint32_t mem, uint32_t offset)
{
	size_t align = mem > sizeof(void *) ? mem : sizeof(void *);
	bool works = false;
	uint8_t *buf;

	if ((mem & (mem - 1)) || (offset & (offset - 1)) || mem > MAX_BLOCK || offset > MAX_BLOCK)
		return false;
	buf = aligned_alloc(2 * align, 2 * (align + offset));
	if (buf) {
		works = pread(fd, buf + align, offset, 0) > 0;
		free(buf);
	}
	return works;
}

void file_probe_direct(const struct vg_blk_engine_options *o, const struct vg_blk_limits *limits,
		       struct file_direct *direct)
{
	static const uint32_t guesses[] = {VG_BLK_SECTOR, DEFAULT_BLOCK};
	uint32_t mem, offset;
	char path[32];
	int fd = -1;

	*direct = (struct file_direct){.fd = -1};
	if (o->buffered)
		return;
	if (stated_alignment(o->fd, &mem, &offset)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
		fd = open(path, (limits->read_only ? O_RDONLY : O_RDWR) | O_DIRECT | O_CLOEXEC);
	}
	if (fd >= 0 && mem && try_direct(fd, mem, offset)) {
		*direct = (struct file_direct){fd, mem - 1, offset - 1};
	} else if (fd >= 0 && !mem) {
		for (unsigned int i = 0; i < 2 && direct->fd < 0; i++)
			if (try_direct(fd, guesses[i], guesses[i]))
				*direct = (struct file_direct){fd, guesses[i] - 1, guesses[i] - 1};
	}
	if (direct->fd >= 0) {
		vg_dbg(o->log, "%s: O_DIRECT, memory aligned to %u and offsets to %u bytes",
		       o->label, direct->mem_mask + 1, direct->offset_mask + 1);
		return;
	}
	if (fd >= 0)
		close(fd);
	vg_info(o->log,
		"%s: O_DIRECT does not work on this file: its I/O goes through the page "
		"cache",
		o->label);
}

/* SPDX-License-Identifier: MIT */
/* Disk images: opening, and the locks that keep two writers apart. */
#ifndef VGRANTD_IMAGE_H
#define VGRANTD_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What makes two paths the same disk: the device behind a block device node, else the inode. */
struct vgd_image_id {
	bool block;
	dev_t dev;
	ino_t ino; /* 0 for a block device */
};

bool vgd_image_same(const struct vgd_image_id *a, const struct vgd_image_id *b);

/* Negative errno when there is nothing at @path that could be told from another thing. */
int vgd_image_identify(const char *path, struct vgd_image_id *id);

/*
 * Opens the raw image at @path, a regular file or a block device, and locks it: shared when
 * @read_only, else exclusive. The lock belongs to the open file, wherever its descriptors go, and
 * ends when the last of them and the last request in flight have gone; so a lock that was got also
 * says that nothing of a former user can land any more.
 * Returns the descriptor, the caller's, or negative errno with a sentence in @words.
 * -EAGAIN: somebody else holds the lock, or has exclusive use of the block device. Blocks for the
 * file system.
 */
int vgd_image_open(const char *path, bool read_only, struct vgd_image_id *id, char *words,
		   size_t words_size);

#endif

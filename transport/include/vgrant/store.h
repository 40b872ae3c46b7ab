/* SPDX-License-Identifier: MIT */
/*
 * Owner of a xenstore connection. What is read comes from guests and administrators: sizes are
 * bounded, numbers are parsed strictly, nothing is trusted. Calls block for xenstored's answer.
 */
#ifndef VGRANT_STORE_H
#define VGRANT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgrant/log.h>

#pragma GCC visibility push(default)

struct vg_store;

#define VG_STORE_PATH_MAX  512 /* bytes with the final NUL; longer paths are -ENAMETOOLONG */
#define VG_STORE_VALUE_MAX 1024

int vg_store_open(const struct vg_log *log, struct vg_store **out);
void vg_store_close(struct vg_store *store);
/* Readable when vg_store_next_event() has something. The handle's: never to be closed. */
int vg_store_fd(struct vg_store *store);

/*
 * The node @path, made printf-like by the caller. A value with a NUL inside or longer than @size -
 * 1 is -EINVAL. -ENOENT, -EACCES (which also means: its domain is gone), -EIO xenstored is gone.
 */
int vg_store_read(struct vg_store *store, const char *path, char *buf, size_t size);
/* A decimal number without sign or blanks, at most @max. -EINVAL when it is anything else. */
int vg_store_read_u32(struct vg_store *store, const char *path, uint32_t max, uint32_t *value);
int vg_store_write(struct vg_store *store, const char *path, const char *value);
int vg_store_remove(struct vg_store *store, const char *path);
/* Children of @path: *names is the caller's, one free() frees all. Returns the count or negative
 * errno. */
int vg_store_list(struct vg_store *store, const char *path, char ***names);

/*
 * @path, which must exist, belongs to domain @owner and can be read by domain @reader, and by no
 * other but the privileged. Nodes made below it later inherit that. For who owns the node, or is
 * privileged: -EACCES.
 */
int vg_store_set_owner(struct vg_store *store, const char *path, uint16_t owner, uint16_t reader);

/* A transaction for several calls; end with commit or not. -EAGAIN from end: do it all again. */
int vg_store_begin(struct vg_store *store);
int vg_store_end(struct vg_store *store, bool commit);

int vg_store_watch(struct vg_store *store, const char *path, const char *token);
int vg_store_unwatch(struct vg_store *store, const char *path, const char *token);
/* Next watch event without blocking: 0 with both strings filled, or -EAGAIN, or -EIO: the
 * connection is gone (which vg_store_fd() does not show). Longer strings are cut off:
 * -ENAMETOOLONG. An event may still come after vg_store_unwatch(). */
int vg_store_next_event(struct vg_store *store, char *path, size_t path_size, char *token,
			size_t token_size);

/* Joins @fmt into buf[VG_STORE_PATH_MAX]; -ENAMETOOLONG. */
__attribute__((format(printf, 2, 3))) int vg_store_path(char *buf, const char *fmt, ...);

#pragma GCC visibility pop

#endif

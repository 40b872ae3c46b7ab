// SPDX-License-Identifier: MIT
/*
 * Owner of a xenstore connection, over libxenstore.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/store.h>

#include "store_internal.h"

static const char *open_remedy(int err)
{
	switch (err) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "is this a Xen domain, and is xenstored running (or /dev/xen/xenbus there)?";
	case -EACCES:
	case -EPERM:
		return "run this as root, or give the user access to xenstore";
	default:
		return "check xenstored's socket and /dev/xen/xenbus";
	}
}

int vg_store_open(const struct vg_log *log, struct vg_store **out)
{
	struct vg_store *store;
	int ret = 0;

	store = calloc(1, sizeof(*store));
	if (!store)
		return -ENOMEM;
	store->transaction = XBT_NULL;
	errno = 0;
	store->xs = xs_open(0);
	if (!store->xs) {
		ret = vg_store_error();
		vg_err(log, "cannot connect to xenstore: %s; %s", strerror(-ret), open_remedy(ret));
		goto out;
	}
	/* Makes the pipe that tells of watches, so that vg_store_fd() cannot fail later. */
	if (xs_fileno(store->xs) < 0) {
		ret = vg_store_error();
		vg_err(log, "cannot make a pipe for xenstore watches: %s", strerror(-ret));
	}
out:
	if (ret) {
		vg_store_close(store);
		return ret;
	}
	*out = store;
	return 0;
}

void vg_store_close(struct vg_store *store)
{
	if (!store)
		return;
	xs_close(store->xs);
	free(store);
}

int vg_store_fd(struct vg_store *store)
{
	return xs_fileno(store->xs);
}

int vg_store_read(struct vg_store *store, const char *path, char *buf, size_t size)
{
	unsigned int len = 0;
	char *value;
	int ret = 0;

	errno = 0;
	value = xs_read(store->xs, store->transaction, path, &len);
	if (!value)
		return vg_store_error();
	if (len >= size || memchr(value, '\0', len)) {
		ret = -EINVAL;
		goto out;
	}
	memcpy(buf, value, len);
	buf[len] = '\0';
out:
	free(value);
	return ret;
}

/* Digits only, so that no blank, sign, prefix or locale gets a say. */
static int parse_u32(const char *text, uint32_t max, uint32_t *value)
{
	uint64_t sum = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		sum = sum * 10 + (uint64_t)(*text - '0');
		if (sum > max)
			return -EINVAL;
	}
	*value = (uint32_t)sum;
	return 0;
}

int vg_store_read_u32(struct vg_store *store, const char *path, uint32_t max, uint32_t *value)
{
	char text[16] = "";
	int ret;

	ret = vg_store_read(store, path, text, sizeof(text));
	if (ret)
		return ret;
	return parse_u32(text, max, value);
}

int vg_store_write(struct vg_store *store, const char *path, const char *value)
{
	errno = 0;
	if (!xs_write(store->xs, store->transaction, path, value, (unsigned int)strlen(value)))
		return vg_store_error();
	return 0;
}

int vg_store_remove(struct vg_store *store, const char *path)
{
	errno = 0;
	return xs_rm(store->xs, store->transaction, path) ? 0 : vg_store_error();
}

int vg_store_list(struct vg_store *store, const char *path, char ***names)
{
	unsigned int count = 0;

	errno = 0;
	*names = xs_directory(store->xs, store->transaction, path, &count);
	return *names ? (int)count : vg_store_error();
}

int vg_store_begin(struct vg_store *store)
{
	if (store->transaction != XBT_NULL)
		return -EBUSY;
	errno = 0;
	store->transaction = xs_transaction_start(store->xs);
	return store->transaction != XBT_NULL ? 0 : vg_store_error();
}

int vg_store_end(struct vg_store *store, bool commit)
{
	xs_transaction_t transaction = store->transaction;

	if (transaction == XBT_NULL)
		return -EINVAL;
	store->transaction = XBT_NULL;
	errno = 0;
	return xs_transaction_end(store->xs, transaction, !commit) ? 0 : vg_store_error();
}

int vg_store_watch(struct vg_store *store, const char *path, const char *token)
{
	errno = 0;
	return xs_watch(store->xs, path, token) ? 0 : vg_store_error();
}

int vg_store_unwatch(struct vg_store *store, const char *path, const char *token)
{
	errno = 0;
	return xs_unwatch(store->xs, path, token) ? 0 : vg_store_error();
}

/* True when all of @text fitted. */
static bool copy_string(char *buf, size_t size, const char *text)
{
	return (size_t)snprintf(buf, size, "%s", text) < size;
}

int vg_store_next_event(struct vg_store *store, char *path, size_t path_size, char *token,
			size_t token_size)
{
	char **event;
	bool fits;

	errno = 0;
	event = xs_check_watch(store->xs);
	if (!event) /* EINVAL: nothing is left and the connection is gone */
		return errno == EINVAL ? -EIO : vg_store_error();
	fits = copy_string(path, path_size, event[XS_WATCH_PATH]);
	fits = copy_string(token, token_size, event[XS_WATCH_TOKEN]) && fits;
	free(event);
	return fits ? 0 : -ENAMETOOLONG;
}

int vg_store_path(char *buf, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(buf, VG_STORE_PATH_MAX, fmt, ap);
	va_end(ap);
	if (len < 0)
		return -EINVAL;
	return len < VG_STORE_PATH_MAX ? 0 : -ENAMETOOLONG;
}

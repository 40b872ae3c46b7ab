/* SPDX-License-Identifier: MIT */
/* What the files of the xenstore owner share. */
#ifndef VGRANT_STORE_INTERNAL_H
#define VGRANT_STORE_INTERNAL_H

#include <errno.h>

#include <xenstore.h>

struct vg_store {
	struct xs_handle *xs;
	xs_transaction_t transaction; /* XBT_NULL: none */
};

/* What a call of libxenstore left in errno. A connection that broke has several names there. */
static inline int vg_store_error(void)
{
	switch (errno) {
	case 0:
	case EBADF:
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return -EIO;
	default:
		return -errno;
	}
}

#endif

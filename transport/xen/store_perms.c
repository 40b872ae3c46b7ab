// SPDX-License-Identifier: MIT
#include <vgrant/store.h>

#include "store_internal.h"

int vg_store_set_owner(struct vg_store *store, const char *path, uint16_t owner, uint16_t reader)
{
	struct xs_permissions perms[2] = {
		{.id = owner, .perms = XS_PERM_NONE},
		{.id = reader, .perms = XS_PERM_READ},
	};

	errno = 0;
	return xs_set_permissions(store->xs, store->transaction, path, perms, 2) ? 0
										 : vg_store_error();
}

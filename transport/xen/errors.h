/* SPDX-License-Identifier: MIT */
/* What the owners of the Xen handles say when a call of Xen's libraries fails. */
#ifndef VGRANT_XEN_ERRORS_H
#define VGRANT_XEN_ERRORS_H

#include <errno.h>
#include <string.h>

#include <vgrant/log.h>

/* A failed call's errno, negative; -EIO when the call set none. Clear errno before the call. */
static inline int vg_xen_error(void)
{
	return errno ? -errno : -EIO;
}

static inline void vg_xen_open_failed(const struct vg_log *log, const char *node,
				      const char *module, int err)
{
	switch (err) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		vg_err(log,
		       "cannot open %s: %s; this must run in a Xen domain with the kernel module "
		       "%s loaded",
		       node, strerror(-err), module);
		break;
	case -EACCES:
	case -EPERM:
		vg_err(log, "cannot open %s: %s; run this as root, or give its user access to it",
		       node, strerror(-err));
		break;
	default:
		vg_err(log, "cannot open %s: %s", node, strerror(-err));
	}
}

#endif

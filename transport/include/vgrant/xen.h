/* SPDX-License-Identifier: MIT */
/*
 * Owners of the Xen handles that a backend needs: grants and event channels. (xenstore has an owner
 * of its own, <vgrant/store.h>, because a worker must not have it.)
 *
 * What these do not protect against: a gntdev handle reaches every grant that any guest made to
 * this domain. Which guest a call is about is its domid argument and nothing else.
 *
 * None of these objects is safe for use from several threads at once.
 */
#ifndef VGRANT_XEN_H
#define VGRANT_XEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgrant/guest.h>
#include <vgrant/log.h>

#pragma GCC visibility push(default)

/* ---- grants ---- */

struct vg_gnttab;

/* Opens the grant device. *out is the caller's, to be closed. -ENOENT, -EACCES, -ENOMEM … with a
 * logged reason. */
int vg_gnttab_open(const struct vg_log *log, struct vg_gnttab **out);
/* Closing unmaps nothing: every mapping must have been unmapped. NULL is allowed. */
void vg_gnttab_close(struct vg_gnttab *gnttab);

/*
 * Maps @count references @refs of @domid as one contiguous range and gives its start in *out: the
 * caller's, to be given to vg_gnttab_unmap() with the same @count. All or nothing.
 * -EINVAL: Xen refused at least one (libxengnttab does not say which, nor why). Blocks for the
 * hypercall.
 */
int vg_gnttab_map(struct vg_gnttab *gnttab, uint16_t domid, const uint32_t *refs, uint32_t count,
		  bool writable, void VG_GUEST **out);
/* The same for @count consecutive references from @first; allocates when count > 512. */
int vg_gnttab_map_range(struct vg_gnttab *gnttab, uint16_t domid, uint32_t first, uint32_t count,
			bool writable, void VG_GUEST **out);
/*
 * Returning 0 says that this process no longer reaches the pages, not that the grant is unused:
 * I/O that has pinned them may hold it for longer.
 */
int vg_gnttab_unmap(struct vg_gnttab *gnttab, void VG_GUEST *base, uint32_t count);

/* One piece of a copy: at most a page, not crossing a page of the guest. */
struct vg_copy {
	uint32_t ref;
	uint16_t offset; /* within the guest's page */
	uint16_t len;    /* offset + len <= VG_PAGE_SIZE */
	void *local;     /* may cross pages */
	bool to_guest;
	int status; /* out: 0 or negative errno, for each piece */
};

#define VG_COPY_BATCH 64 /* pieces in one call to the kernel */

/*
 * Copies @n pieces, VG_COPY_BATCH to a system call. GNTST_eagain is retried a bounded number of
 * times. Returns 0 when every piece succeeded, otherwise the first failure; each piece has its
 * status: -EFAULT bad reference or range, -EACCES the entry does not grant this access (not to us,
 * not at all, read-only: Xen does not say which), -ENXIO no such domain, -EAGAIN, -EIO. When the
 * call itself fails, all of its pieces have its error, and some may have been copied.
 */
int vg_gnttab_copy(struct vg_gnttab *gnttab, uint16_t domid, struct vg_copy *pieces,
		   unsigned int n);

/* ---- event channels ---- */

struct vg_evtchn;

/* Opens the event-channel device. *out is the caller's, to be closed, which unbinds all its ports.
 */
int vg_evtchn_open(const struct vg_log *log, struct vg_evtchn **out);
void vg_evtchn_close(struct vg_evtchn *evtchn);
/* For good: from now on only channels with @domid can be bound. -EOPNOTSUPP where the kernel
 * cannot. */
int vg_evtchn_restrict(struct vg_evtchn *evtchn, uint16_t domid);
/* Readable when a port is pending; level-triggered. The handle's: never to be closed. */
int vg_evtchn_fd(const struct vg_evtchn *evtchn);
/* Returns the local port (positive), or negative errno: -EINVAL no such port, or not offered to
 * this domain; -ESRCH no such domain; -EACCES, -EPERM restricted to another domain. */
int vg_evtchn_bind(struct vg_evtchn *evtchn, uint16_t domid, uint32_t remote_port);
void vg_evtchn_unbind(struct vg_evtchn *evtchn, int port);
/* One system call each. A peer that has gone is not an error that matters to the caller: it is
 * returned all the same. */
int vg_evtchn_notify(struct vg_evtchn *evtchn, int port);
/* Returns a pending port, which stays masked until vg_evtchn_unmask(), or -EAGAIN. Never blocks. */
int vg_evtchn_pending(struct vg_evtchn *evtchn);
int vg_evtchn_unmask(struct vg_evtchn *evtchn, int port);

#pragma GCC visibility pop

#endif

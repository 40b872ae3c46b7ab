// SPDX-License-Identifier: MIT
/*
 * Memory of requests that are done, which is not kept mapped: references that were copied from or
 * to (stale-copy), and places in regions (stale-pool). Both are written to later. The hooks here
 * are also where every page is seen that is only ever copied.
 */
#include <pthread.h>
#include <string.h>

#include <vgrant/guest.h>
#include <vgrant/view.h>
#include <xengnttab.h>

#include "hostile.h"

#define PLACES 256
/* Less is a status byte: to write over that breaks the request in which it is used next. */
#define LEAST 512

HOSTILE_WRAP(int, xengnttab_grant_copy, xengnttab_handle *xgt, uint32_t count,
	     xengnttab_grant_copy_segment_t *segs);
HOSTILE_WRAP(void, vg_view_close, struct vg_view *view, struct vg_request *const *requests,
	     const uint32_t *written, unsigned int n);

struct copied {
	uint32_t ref;
	uint16_t domid, offset, len;
};

struct place {
	void *ptr;
	size_t len;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct copied copied[PLACES]; /* the last of them, in a circle */
static struct place place[PLACES];
static unsigned int num_copied, num_place;

static const union xengnttab_copy_ptr *guest_side(const xengnttab_grant_copy_segment_t *seg)
{
	return seg->flags & GNTCOPY_dest_gref ? &seg->dest : &seg->source;
}

static void remember_copy(const xengnttab_grant_copy_segment_t *seg)
{
	const union xengnttab_copy_ptr *guest = guest_side(seg);

	copied[num_copied++ % PLACES] = (struct copied){guest->foreign.ref, guest->foreign.domid,
							guest->foreign.offset, seg->len};
}

/* vgrantd copies the bytes of the request; all of their pages are within reach. */
int __wrap_xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
				xengnttab_grant_copy_segment_t *segs)
{
	for (uint32_t i = 0; i < count && hostile.dump; i++) {
		const union xengnttab_copy_ptr *guest = guest_side(&segs[i]);
		uint32_t ref = guest->foreign.ref;

		hostile_scan_refs(xgt, guest->foreign.domid, &ref, 1, "copied");
	}
	if (hostile.stale_copy) {
		pthread_mutex_lock(&lock);
		for (uint32_t i = 0; i < count; i++)
			if (segs[i].len >= LEAST)
				remember_copy(&segs[i]);
		pthread_mutex_unlock(&lock);
	}
	return __real_xengnttab_grant_copy(xgt, count, segs);
}

static void remember_places(const struct vg_request *req)
{
	for (unsigned int i = req->out_iovs; i < req->out_iovs + req->in_iovs; i++) {
		void *ptr = VG_GUEST_RAW(void, req->iov[i].base);

		if (req->iov[i].len >= LEAST && hostile_writable(ptr, req->iov[i].len))
			place[num_place++ % PLACES] = (struct place){ptr, req->iov[i].len};
	}
}

void __wrap_vg_view_close(struct vg_view *view, struct vg_request *const *requests,
			  const uint32_t *written, unsigned int n)
{
	if (hostile.stale_pool) {
		pthread_mutex_lock(&lock);
		for (unsigned int i = 0; i < n; i++)
			if (!requests[i]->transient)
				remember_places(requests[i]);
		pthread_mutex_unlock(&lock);
	}
	__real_vg_view_close(view, requests, written, n);
}

static void write_copy(xengnttab_handle *gnttab, const struct copied *c)
{
	char junk[VG_PAGE_SIZE] = "";
	xengnttab_grant_copy_segment_t seg = {
		.source.virt = junk,
		.dest.foreign = {.ref = c->ref, .offset = c->offset, .domid = c->domid},
		.len = c->len,
		.flags = GNTCOPY_dest_gref,
		.status = GNTST_general_error,
	};

	memcpy(junk, hostile_mark, sizeof(hostile_mark));
	if (__real_xengnttab_grant_copy(gnttab, 1, &seg) || seg.status != GNTST_okay)
		hostile_count(&hostile_counters.refused, 1);
	else
		hostile_count(&hostile_counters.stale, 1);
}

void hostile_late_write(void *gnttab)
{
	for (unsigned int i = 0; i < PLACES; i++) {
		struct copied c;
		struct place p;

		pthread_mutex_lock(&lock);
		c = copied[i];
		p = place[i];
		copied[i].len = 0;
		place[i].len = 0;
		pthread_mutex_unlock(&lock);
		if (c.len)
			write_copy(gnttab, &c);
		if (p.len)
			hostile_overwrite(p.ptr, p.len);
	}
}

// SPDX-License-Identifier: MIT
/*
 * The hot path: from private copies of descriptors to pieces of guest memory, and back.
 * When all of a request lies in regions this is a table lookup and a bounds check a segment.
 */
#include <errno.h>

#include "memory/view_internal.h"

/*
 * Resolves one segment in regions, appending to iov[]; returns the new number of pieces. -ENOENT:
 * not all of it lies in regions. -EACCES: device-writable in a read-only region. -E2BIG: too many
 * pieces.
 */
static int resolve_region(struct vg_view *view, struct vg_request *req, unsigned int i, int n,
			  const struct vg_span *span, bool write)
{
	/* Room for one piece of each segment is kept: resolve_part() counts on it. */
	int most = (int)i + VG_REQUEST_IOVS - VG_REQUEST_SEGMENTS;
	uint32_t ref = span->ref, offset = span->offset, left = req->segment[i].len;

	for (;;) {
		const struct region *r = region_of(view, ref);
		size_t start, room;

		if (!r)
			return -ENOENT;
		if (write && !r->writable)
			return -EACCES;
		if (n > most)
			return -E2BIG;
		start = ((size_t)(ref - r->first) << VG_PAGE_SHIFT) + offset;
		room = ((size_t)r->count << VG_PAGE_SHIFT) - start;
		req->iov[n].base = vg_guest_offset(r->base, start);
		if (left <= room) {
			req->iov[n].len = left;
			remember(recent_of(view, i, req->segment[i].addr), r);
			return n + 1;
		}
		req->iov[n++].len = room;
		left -= (uint32_t)room;
		ref = r->first + r->count;
		offset = 0;
	}
}

/* A segment that is not where the last request's was. Adds what lies in no region to *transient. */
static __attribute__((noinline)) int resolve_segment(struct vg_view *view, struct vg_request *req,
						     unsigned int i, int n, bool write,
						     uint32_t *transient)
{
	const struct vg_segment *seg = &req->segment[i];
	struct vg_span span;
	int ret;

	if (!seg->len)
		return -EINVAL;
	ret = vg_addr_span(seg->addr, seg->len, view->max_refs, &span);
	if (ret)
		return ret;
	ret = resolve_region(view, req, i, n, &span, write);
	if (ret != -ENOENT)
		return ret;
	/* One piece with a NULL base, which the copy or the mapping will fill in. */
	req->iov[n] = (struct vg_iov){.base = NULL, .len = seg->len};
	*transient += seg->len <= VG_REQUEST_BYTES ? seg->len : VG_REQUEST_BYTES + 1;
	return n + 1;
}

/* Resolves the segments [i, end) of one direction; returns the number of pieces after them. */
static inline __attribute__((always_inline)) int
resolve_part(struct vg_view *view, struct vg_request *req, unsigned int i, unsigned int end, int n,
	     bool write, uint64_t *len, uint32_t *transient)
{
	for (; i < end; i++) {
		const struct vg_segment *seg = &req->segment[i];
		void VG_GUEST *at =
			recall(recent_of(view, i, seg->addr), seg->addr, seg->len, write);

		*len += seg->len;
		/* Where the last request's was. */
		if (__builtin_expect(at != NULL, 1)) {
			req->iov[n].base = at;
			req->iov[n++].len = seg->len;
			continue;
		}
		n = resolve_segment(view, req, i, n, write, transient);
		if (n < 0)
			return n;
	}
	return n;
}

static inline int resolve(struct vg_view *view, struct vg_request *req, uint32_t *transient)
{
	unsigned int out = req->out_segments, all = out + req->in_segments;
	uint64_t out_len = 0, in_len = 0;
	int out_iovs, iovs;

	out_iovs = resolve_part(view, req, 0, out, 0, false, &out_len, transient);
	if (out_iovs < 0)
		return out_iovs;
	iovs = resolve_part(view, req, out, all, out_iovs, true, &in_len, transient);
	if (iovs < 0)
		return iovs;
	if (out_len + in_len > VG_REQUEST_BYTES)
		return -E2BIG;
	req->out_len = (uint32_t)out_len;
	req->in_len = (uint32_t)in_len;
	req->out_iovs = (uint16_t)out_iovs;
	req->in_iovs = (uint16_t)(iovs - out_iovs);
	return 0;
}

/* Part of the request, or all of it, lies in no region. */
static __attribute__((cold)) void open_transient(struct vg_view *view, struct vg_request *req,
						 uint32_t bytes)
{
	req->transient = true;
	view->open_transient++;
	req->copy_slot = 0;
	req->map_pages[0] = req->map_pages[1] = 0;
	if (bytes <= view->policy.copy_max)
		transient_copy_open(view, req);
	else if (bytes <= view->policy.map_max)
		transient_map_open(view, req);
	else
		req->error = -E2BIG;
}

/* Submits the copies of a batch, and takes every byte away from the requests that have an error. */
static __attribute__((cold)) void finish_open(struct vg_view *view,
					      struct vg_request *const *requests, unsigned int n)
{
	if (view->num_pieces)
		transient_copy_submit(view);
	for (unsigned int i = 0; i < n; i++) {
		struct vg_request *req = requests[i];

		if (!req->error)
			continue;
		req->out_len = req->in_len = 0;
		req->out_iovs = req->in_iovs = 0;
		view->stats.faults += req->error != -EAGAIN;
	}
}

void vg_view_open(struct vg_view *view, struct vg_request *const *requests, unsigned int n)
{
	bool plain = true;

	for (unsigned int i = 0; i < n; i++) {
		struct vg_request *req = requests[i];
		uint32_t transient = 0;

		req->epoch = view->epoch;
		req->transient = false;
		req->error = resolve(view, req, &transient);
		if (__builtin_expect(!req->error && transient, 0))
			open_transient(view, req, transient);
		plain &= !req->error && !transient;
	}
	view->open[view->epoch] += n;
	view->stats.requests += n;
	if (__builtin_expect(!plain, 0))
		finish_open(view, requests, n);
}

/* Copies of all first, in batches; then what they and the mappings held is let go. */
static __attribute__((cold)) void close_transient(struct vg_view *view,
						  struct vg_request *const *requests,
						  const uint32_t *written, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (requests[i]->transient && requests[i]->copy_slot)
			transient_copy_close(view, requests[i], written[i]);
	if (view->num_pieces)
		transient_copy_submit(view);
	for (unsigned int i = 0; i < n; i++) {
		struct vg_request *req = requests[i];

		if (!req->transient)
			continue;
		if (req->copy_slot)
			view->free_slot[view->num_free++] = (uint16_t)(req->copy_slot - 1);
		transient_map_close(view, req);
		req->transient = false;
		view->open_transient--;
	}
}

/* Requests of two epochs: what waits for the old one to drain may go on. */
static __attribute__((cold)) void close_epochs(struct vg_view *view,
					       struct vg_request *const *requests, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		view->open[requests[i]->epoch]--;
	if (!view->open[view->epoch ^ 1])
		view_epoch_drained(view);
}

void vg_view_close(struct vg_view *view, struct vg_request *const *requests,
		   const uint32_t *written, unsigned int n)
{
	if (__builtin_expect(view->open_transient, 0))
		close_transient(view, requests, written, n);
	if (__builtin_expect(view->removing, 0))
		close_epochs(view, requests, n);
	else
		view->open[view->epoch] -= n;
}

/* Where @len bytes at @addr lie when one region holds them all; NULL when none does. */
static inline void VG_GUEST *find(struct vg_view *view, uint64_t addr, uint32_t len, bool write,
				  int *error)
{
	void VG_GUEST *at = recall(&view->recent_table, addr, len, write);
	const struct region *r;
	struct vg_span span;

	*error = 0;
	if (__builtin_expect(at != NULL, 1))
		return at;
	*error = vg_addr_span(addr, len, view->max_refs, &span);
	if (*error || !len)
		return NULL;
	r = region_of(view, span.ref);
	if (!r || span.ref + span.pages > r->first + r->count)
		return NULL;
	if (write && !r->writable)
		*error = -EACCES;
	remember(&view->recent_table, r);
	return vg_guest_offset(r->base,
			       ((size_t)(span.ref - r->first) << VG_PAGE_SHIFT) + span.offset);
}

int vg_view_read(struct vg_view *view, uint64_t addr, void *dst, uint32_t len)
{
	int error;
	const void VG_GUEST *at = find(view, addr, len, false, &error);

	if (error || !len)
		return error;
	if (!at)
		return transient_read(view, addr, dst, len);
	vg_guest_copy_from(dst, at, len);
	return 0;
}

int vg_view_read_queue(struct vg_view *view, struct vg_request *req, uint64_t addr, void *dst,
		       uint32_t len)
{
	int error;
	const void VG_GUEST *at = find(view, addr, len, false, &error);

	if (error || !len)
		return error;
	if (!at)
		return transient_read_queue(view, req, addr, dst, len);
	vg_guest_copy_from(dst, at, len);
	return 0;
}

void vg_view_read_flush(struct vg_view *view)
{
	if (view->num_pieces)
		transient_copy_submit(view);
}

int vg_view_write(struct vg_view *view, uint64_t addr, const void *src, uint32_t len)
{
	int error;
	void VG_GUEST *at = find(view, addr, len, true, &error);

	if (error || !len)
		return error;
	if (!at)
		return transient_write(view, addr, src, len);
	vg_guest_copy_to(at, src, len);
	return 0;
}

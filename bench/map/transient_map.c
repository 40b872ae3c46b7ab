// SPDX-License-Identifier: MIT
/*
 * Mapping without batching, as a device model does that maps each buffer of a request where it
 * comes to use it: a call for each descriptor, and one to unmap each. It takes the place of
 * transport/memory/transient_map.c when vgrantd-map is linked; vgrantd maps a request's buffers of
 * one direction in one call.
 */
#include <errno.h>

#include "memory/view_internal.h"

static uint32_t pages_of(const struct vg_segment *seg)
{
	return (uint32_t)(((seg->addr & VG_PAGE_MASK) + seg->len + VG_PAGE_MASK) >> VG_PAGE_SHIFT);
}

static int map_segment(struct vg_view *view, struct vg_request *req, const struct walk *w,
		       bool write)
{
	const struct vg_segment *seg = &req->segment[w->segment];
	void VG_GUEST *base;
	struct vg_span span;
	int ret = vg_addr_span(seg->addr, seg->len, view->max_refs, &span);

	if (ret)
		return ret;
	if (view_quota_take(view, span.pages))
		return view->transient_pages > req->map_pages[0] + req->map_pages[1] ? -EAGAIN
										     : -EDQUOT;
	ret = vg_gnttab_map_range(view->gnttab, view->domid, span.ref, span.pages, write, &base);
	if (ret) {
		view_quota_give(view, span.pages);
		return ret == -ENOMEM ? ret : -EFAULT;
	}
	req->map_pages[write] += span.pages;
	view->transient_pages += span.pages;
	view->stats.map_ops++;
	view_mark_reached(view, span.ref, span.pages);
	req->iov[w->iov].base = vg_guest_offset(base, seg->addr & VG_PAGE_MASK);
	return 0;
}

void transient_map_open(struct vg_view *view, struct vg_request *req)
{
	unsigned int segments = req->out_segments + req->in_segments;

	req->error = 0;
	for (struct walk w = {0, 0}; !req->error && w.segment < segments; walk_next(&w, req))
		if (!req->iov[w.iov].base)
			req->error = map_segment(view, req, &w, w.segment >= req->out_segments);
	if (req->error)
		transient_map_close(view, req);
}

/* What lies in a region is not ours to unmap; the bench's guests keep their regions. */
void transient_map_close(struct vg_view *view, struct vg_request *req)
{
	unsigned int segments = req->out_segments + req->in_segments;

	if (!req->map_pages[0] && !req->map_pages[1])
		return;
	for (struct walk w = {0, 0}; w.segment < segments; walk_next(&w, req)) {
		const struct vg_segment *seg = &req->segment[w.segment];
		uint64_t offset = seg->addr & VG_PAGE_MASK;
		uint32_t ref = (uint32_t)((seg->addr & ~VG_ADDR_GRANT) >> VG_PAGE_SHIFT);
		uint32_t pages = pages_of(seg);

		if (!req->iov[w.iov].base || region_of(view, ref))
			continue;
		view->transient_pages -= pages;
		view_unmap(view, vg_guest_offset(req->iov[w.iov].base, -offset), pages);
		req->iov[w.iov].base = NULL;
	}
	req->map_pages[0] = req->map_pages[1] = 0;
}

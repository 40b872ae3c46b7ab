// SPDX-License-Identifier: MIT
/* What lies in no region, mapped for one request: all pieces of a direction in one call. */
#include <errno.h>

#include "memory/view_internal.h"

/* Maps the transient segments of one direction in one call and gives their pieces a base. */
static int map_direction(struct vg_view *view, struct vg_request *req, bool write)
{
	unsigned int segments = req->out_segments + req->in_segments;
	uint32_t pages = 0, page = 0;
	struct vg_span span;
	int ret;

	for (struct walk w = {0, 0}; w.segment < segments; walk_next(&w, req)) {
		const struct vg_segment *seg = &req->segment[w.segment];

		if (req->iov[w.iov].base || (w.segment >= req->out_segments) != write)
			continue;
		ret = vg_addr_span(seg->addr, seg->len, view->max_refs, &span);
		if (ret)
			return ret;
		for (uint32_t i = 0; i < span.pages; i++)
			view->map_ref[pages++] = span.ref + i;
	}
	if (!pages)
		return 0;
	/* Its own readable part, mapped already, is nothing that could be waited for. */
	if (view_quota_take(view, pages))
		return view->transient_pages > req->map_pages[0] ? -EAGAIN : -EDQUOT;
	ret = vg_gnttab_map(view->gnttab, view->domid, view->map_ref, pages, write,
			    &req->map_base[write]);
	if (ret) {
		view_quota_give(view, pages);
		return ret == -ENOMEM ? ret : -EFAULT;
	}
	req->map_pages[write] = pages;
	view->transient_pages += pages;
	view->stats.map_ops++;
	for (uint32_t i = 0; i < pages; i++)
		view_mark_reached(view, view->map_ref[i], 1);

	for (struct walk w = {0, 0}; w.segment < segments; walk_next(&w, req)) {
		const struct vg_segment *seg = &req->segment[w.segment];
		uint32_t offset = seg->addr & VG_PAGE_MASK;

		if (req->iov[w.iov].base || (w.segment >= req->out_segments) != write)
			continue;
		req->iov[w.iov].base = vg_guest_offset(req->map_base[write],
						       ((size_t)page << VG_PAGE_SHIFT) + offset);
		page += (offset + seg->len + VG_PAGE_MASK) >> VG_PAGE_SHIFT;
	}
	return 0;
}

void transient_map_open(struct vg_view *view, struct vg_request *req)
{
	req->error = map_direction(view, req, false);
	if (!req->error)
		req->error = map_direction(view, req, true);
	if (req->error)
		transient_map_close(view, req);
}

void transient_map_close(struct vg_view *view, struct vg_request *req)
{
	for (unsigned int i = 0; i < 2; i++) {
		if (!req->map_pages[i])
			continue;
		view->transient_pages -= req->map_pages[i];
		view_unmap(view, req->map_base[i], req->map_pages[i]);
		req->map_pages[i] = 0;
	}
}

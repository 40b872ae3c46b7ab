// SPDX-License-Identifier: MIT
/* Mappings that outlive a request: regions, and the rings pinned in or beside them. All of it cold.
 */
#include <errno.h>
#include <stdlib.h>

#include "memory/view_internal.h"

static bool overlaps(const struct region *r, uint32_t first, uint32_t count)
{
	return r->state != REGION_FREE && first < r->first + r->count && r->first < first + count;
}

static void set_leaves(struct vg_view *view, const struct region *r, uint16_t id)
{
	for (uint32_t ref = r->first; ref < r->first + r->count; ref++)
		view->leaf[ref >> LEAF_SHIFT][ref & (LEAF_REFS - 1)] = id;
}

static int make_leaves(struct vg_view *view, uint32_t first, uint32_t count)
{
	for (uint32_t i = first >> LEAF_SHIFT; i <= (first + count - 1) >> LEAF_SHIFT; i++) {
		if (!view->leaf[i])
			view->leaf[i] = calloc(LEAF_REFS, sizeof(**view->leaf));
		if (!view->leaf[i])
			return -ENOMEM;
	}
	return 0;
}

/* An unused record; *id is 1 + its index. */
static struct region *free_record(struct vg_view *view, uint16_t *id)
{
	uint32_t i;

	for (i = 0; i < view->num_records; i++)
		if (view->region[i].state == REGION_FREE)
			break;
	if (i == VG_MAX_REGIONS)
		return NULL;
	if (i == view->num_records)
		view->num_records++;
	*id = (uint16_t)(i + 1);
	return &view->region[i];
}

static int map_range(struct vg_view *view, uint32_t first, uint32_t count, bool writable,
		     void VG_GUEST **base)
{
	int ret = view_quota_take(view, count);

	if (ret)
		return ret;
	ret = vg_gnttab_map_range(view->gnttab, view->domid, first, count, writable, base);
	if (ret) {
		view_quota_give(view, count);
		return ret == -ENOMEM ? ret : -EFAULT;
	}
	view->stats.map_ops++;
	view_mark_reached(view, first, count);
	return 0;
}

/* Pages that regions may still get. */
static uint32_t region_room(const struct vg_view *view)
{
	const struct vg_quota *q = view->quota;
	uint32_t most = q->max_pages > q->reserved ? q->max_pages - q->reserved : 0;
	uint32_t room = most > q->region_pages ? most - q->region_pages : 0;

	return room < q->max_pages - q->pages ? room : q->max_pages - q->pages;
}

int vg_view_region_add(struct vg_view *view, uint32_t first, uint32_t count, bool writable)
{
	struct region *r;
	uint16_t id;
	int ret;

	if (!count || first >= view->max_refs || count > view->max_refs - first)
		return -EINVAL;
	for (uint32_t i = 0; i < view->num_records; i++)
		if (overlaps(&view->region[i], first, count))
			return -EEXIST;
	/* Before the leaves are made, so that a refused region costs no memory. */
	if (count > region_room(view))
		return -EDQUOT;
	r = free_record(view, &id);
	if (!r)
		return -ENOSPC;
	ret = make_leaves(view, first, count);
	if (ret)
		return ret;
	ret = map_range(view, first, count, writable, &r->base);
	if (ret)
		return ret;
	r->addr = vg_addr_make(first, 0);
	r->size = (uint64_t)count << VG_PAGE_SHIFT;
	r->first = first;
	r->count = count;
	r->writable = writable;
	r->pins = 0;
	r->held = -1;
	if (writable && view->holder.hold)
		r->held = view->holder.hold(view->holder.opaque, r->base, r->size);
	r->state = REGION_LIVE;
	set_leaves(view, r, id);
	view->quota->region_pages += count;
	view->stats.regions++;
	return 0;
}

void view_region_unmap(struct vg_view *view, struct region *r)
{
	if (view_unmap(view, r->base, r->count))
		view->quota->region_pages -= r->count;
	r->state = REGION_GONE;
	view->stats.regions--;
}

bool view_region_released(struct vg_view *view, struct region *r)
{
	if (r->held >= 0 && !view->holder.release(view->holder.opaque, r->held))
		return false;
	r->held = -1;
	return true;
}

/* No request can have a pointer into it. */
static void region_drained(struct vg_view *view, struct region *r)
{
	if (view_region_released(view, r))
		view_region_unmap(view, r);
	else
		r->state = REGION_HELD;
}

/*
 * Called when no request of the epoch before this one is open: what was draining is free of
 * pointers. Regions whose removal was asked for meanwhile begin an epoch of their own.
 */
void view_epoch_drained(struct vg_view *view)
{
	bool queued;

	do {
		queued = false;
		for (uint32_t i = 0; i < view->num_records; i++) {
			struct region *r = &view->region[i];

			if (r->state == REGION_DRAINING) {
				region_drained(view, r);
			} else if (r->state == REGION_QUEUED) {
				r->state = REGION_DRAINING;
				queued = true;
			}
		}
		if (queued)
			view->epoch ^= 1;
	} while (queued && !view->open[view->epoch ^ 1]);
	view->removing = queued;
}

int vg_view_region_remove(struct vg_view *view, uint32_t first, uint32_t count)
{
	struct region *r = NULL;

	for (uint32_t i = 0; i < view->num_records && !r; i++)
		if (view->region[i].state != REGION_FREE && view->region[i].first == first &&
		    view->region[i].count == count)
			r = &view->region[i];
	if (!r)
		return -ENOENT;
	if (r->state == REGION_LIVE) {
		if (r->pins)
			return -EBUSY;
		set_leaves(view, r, 0);
		view_forget_recent(view);
		r->state = REGION_QUEUED;
		view->removing = true;
		if (!view->open[view->epoch ^ 1])
			view_epoch_drained(view);
	} else if (r->state == REGION_HELD) {
		region_drained(view, r);
	}
	if (r->state != REGION_GONE)
		return -EINPROGRESS;
	r->state = REGION_FREE;
	return 0;
}

int vg_view_pin(struct vg_view *view, uint64_t addr, uint32_t len, bool writable,
		struct vg_pin *pin)
{
	const struct region *r;
	struct vg_span span;
	int ret;

	*pin = (struct vg_pin){0};
	ret = vg_addr_span(addr, len, view->max_refs, &span);
	if (ret || !span.pages)
		return -EFAULT;
	r = region_of(view, span.ref);
	if (r && span.ref + span.pages <= r->first + r->count) {
		uint32_t page = span.ref - r->first;

		if (writable && !r->writable)
			return -EACCES;
		pin->region = (uint32_t)(r - view->region) + 1;
		view->region[pin->region - 1].pins++;
		pin->ptr = vg_guest_offset(r->base, ((size_t)page << VG_PAGE_SHIFT) + span.offset);
		return 0;
	}
	ret = map_range(view, span.ref, span.pages, writable, &pin->base);
	if (ret)
		return ret;
	pin->pages = span.pages;
	pin->ptr = vg_guest_offset(pin->base, span.offset);
	return 0;
}

void vg_view_unpin(struct vg_view *view, struct vg_pin *pin)
{
	if (pin->region)
		view->region[pin->region - 1].pins--;
	else if (pin->pages)
		view_unmap(view, pin->base, pin->pages);
	*pin = (struct vg_pin){0};
}

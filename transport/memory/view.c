// SPDX-License-Identifier: MIT
/* The view as an object: making, ending, quota, statistics. All of it cold. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "memory/view_internal.h"

static int arena_create(struct vg_view *view, uint16_t slots)
{
	size_t slot = (2 * (size_t)view->policy.copy_max + VG_PAGE_MASK) & ~(size_t)VG_PAGE_MASK;
	void *arena;

	if (!slot)
		return 0;
	view->free_slot = calloc(slots, sizeof(*view->free_slot));
	view->piece = calloc(COPY_PIECES, sizeof(*view->piece));
	view->piece_owner = calloc(COPY_PIECES, sizeof(struct vg_request *));
	view->touched = calloc(slots, sizeof(*view->touched));
	if (!view->free_slot || !view->piece || !view->piece_owner || !view->touched)
		return -ENOMEM;
	/* Only slots that are used cost memory. */
	arena = mmap(NULL, slot * slots, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		return -ENOMEM;
	view->arena = arena;
	view->slot_size = slot;
	view->num_slots = slots;
	for (uint16_t i = 0; i < slots; i++)
		view->free_slot[view->num_free++] = (uint16_t)(slots - 1 - i);
	view->low_free = view->num_free;
	return 0;
}

int vg_view_create(const struct vg_view_config *config, struct vg_view **out)
{
	uint32_t max_refs = config->max_refs ? config->max_refs : VG_MAX_REFS;
	struct vg_view *view;
	int ret;

	if (!config->gnttab || !config->quota || !config->max_requests ||
	    config->max_requests > 4096 || config->policy.copy_max > VG_REQUEST_BYTES ||
	    max_refs > VG_MAX_REFS)
		return -EINVAL;
	view = calloc(1, sizeof(*view));
	if (!view)
		return -ENOMEM;
	view->gnttab = config->gnttab;
	view->quota = config->quota;
	view->log = config->log;
	view->policy = config->policy;
	view->holder = config->holder;
	view->max_refs = max_refs;
	view->domid = config->domid;
	view->leaf = calloc((max_refs + LEAF_REFS - 1) >> LEAF_SHIFT, sizeof(*view->leaf));
	view->reached = calloc((max_refs + 63) / 64, sizeof(*view->reached));
	view->map_ref = calloc(MAP_PAGES, sizeof(*view->map_ref));
	view->scratch = calloc(1, sizeof(*view->scratch));
	ret = -ENOMEM;
	if (!view->leaf || !view->reached || !view->map_ref || !view->scratch)
		goto out;
	ret = arena_create(view, config->max_requests);
	if (ret)
		goto out;
	*out = view;
	return 0;
out:
	vg_view_destroy(view);
	return ret;
}

bool vg_view_let_go(struct vg_view *view)
{
	bool all = true;

	for (uint32_t i = 0; i < view->num_records; i++) {
		struct region *r = &view->region[i];

		if (r->state != REGION_FREE && r->state != REGION_GONE)
			all &= view_region_released(view, r);
	}
	return all;
}

void vg_view_destroy(struct vg_view *view)
{
	if (!view)
		return;
	for (uint32_t i = 0; i < view->num_records; i++) {
		struct region *r = &view->region[i];

		if (r->state != REGION_FREE && r->state != REGION_GONE)
			view_region_unmap(view, r);
	}
	if (view->leaf)
		for (uint32_t i = 0; i < (view->max_refs + LEAF_REFS - 1) >> LEAF_SHIFT; i++)
			free(view->leaf[i]);
	if (view->arena)
		munmap(view->arena, view->slot_size * view->num_slots);
	free(view->leaf);
	free(view->reached);
	free(view->map_ref);
	free(view->scratch);
	free(view->free_slot);
	free(view->touched);
	free(view->piece);
	free(view->piece_owner);
	free(view);
}

void view_forget_recent(struct vg_view *view)
{
	memset(view->recent, 0, sizeof(view->recent));
	view->recent_table = (struct recent){0};
}

int view_quota_take(struct vg_view *view, uint32_t pages)
{
	if (pages > view->quota->max_pages - view->quota->pages)
		return -EDQUOT;
	view->quota->pages += pages;
	view->stats.pages_mapped += pages;
	if (view->stats.pages_mapped > view->stats.pages_mapped_peak)
		view->stats.pages_mapped_peak = view->stats.pages_mapped;
	return 0;
}

void view_quota_give(struct vg_view *view, uint32_t pages)
{
	view->quota->pages -= pages;
	view->stats.pages_mapped -= pages;
}

bool view_unmap(struct vg_view *view, void VG_GUEST *base, uint32_t pages)
{
	view->stats.unmap_ops++;
	if (vg_gnttab_unmap(view->gnttab, base, pages)) {
		view->stats.unmap_failures++;
		return false;
	}
	view_quota_give(view, pages);
	return true;
}

void view_mark_reached(struct vg_view *view, uint32_t ref, uint32_t count)
{
	for (; count; ref++, count--) {
		uint64_t bit = UINT64_C(1) << (ref % 64);

		if (!(view->reached[ref / 64] & bit)) {
			view->reached[ref / 64] |= bit;
			view->stats.pages_reached++;
		}
	}
}

void vg_view_trim(struct vg_view *view)
{
	for (uint16_t i = 0; i < view->low_free; i++) {
		uint16_t slot = view->free_slot[i];

		if (!view->touched[slot])
			continue;
		/* It cannot fail for private memory of ours; if it did, the slot would stay. */
		if (madvise(view->arena + view->slot_size * slot, view->slot_size, MADV_DONTNEED))
			continue;
		view->touched[slot] = false;
		view->num_touched--;
	}
	view->low_free = view->num_free;
}

unsigned int vg_view_copy_slots(const struct vg_view *view)
{
	return view->num_touched;
}

void vg_view_get_stats(const struct vg_view *view, struct vg_view_stats *stats)
{
	*stats = view->stats;
}

unsigned int vg_view_open_requests(const struct vg_view *view)
{
	return view->open[0] + view->open[1];
}

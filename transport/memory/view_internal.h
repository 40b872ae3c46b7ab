/* SPDX-License-Identifier: MIT */
/* What the parts of the view share: region.c (long-lived mappings), request.c (the hot path),
 * transient.c. */
#ifndef VGRANT_VIEW_INTERNAL_H
#define VGRANT_VIEW_INTERNAL_H

#include <vgrant/view.h>
#include <vgrant/xen.h>

#define LEAF_SHIFT 9
#define LEAF_REFS  (1u << LEAF_SHIFT)

enum region_state {
	REGION_FREE,
	REGION_LIVE,
	REGION_QUEUED,   /* removal asked for, waits for the epoch before it to drain */
	REGION_DRAINING, /* requests of the old epoch may still use it */
	REGION_HELD,     /* no request uses it, but its holder has not let go */
	REGION_GONE,     /* unmapped; the record waits for the driver to ask again */
};

struct region {
	void VG_GUEST *base;
	uint64_t addr; /* of its first byte, on the bus */
	uint64_t size; /* bytes */
	uint32_t first, count;
	uint32_t pins;
	int held; /* the holder's handle, or negative */
	uint8_t state;
	bool writable;
};

/* What it takes to find bytes in a region. All zeroes: finds none. */
struct recent {
	uint64_t addr;    /* of its first byte, on the bus */
	uint64_t size[2]; /* bytes that may be read, and written: all or none */
	void VG_GUEST *base;
};

/* Powers of two. A chunk of a driver's pool is a region of 1 MiB. */
#define RECENT_PLACES 4
#define RECENT_CHUNKS 256
#define RECENT_SHIFT  20

/* Pieces at least this long keep their alignment modulo this in a copy slot. */
#define COPY_ALIGN 512

/* Pieces of one batch of copies; a request whose pieces may not fit begins a new batch. */
#define COPY_PIECES 1024
#define MAP_PAGES   ((VG_REQUEST_BYTES >> VG_PAGE_SHIFT) + 2 * VG_REQUEST_SEGMENTS)

struct vg_view {
	struct vg_gnttab *gnttab;
	struct vg_quota *quota;
	const struct vg_log *log;
	struct vg_policy policy;
	struct vg_region_holder holder;
	uint32_t max_refs;
	uint16_t domid;

	/*
	 * Requests open in the epoch that is now and in the one before. The removal of a region
	 * begins a new epoch; when the old one has drained, no request can hold a pointer into the
	 * region. While nothing is removed the old one is empty.
	 */
	uint8_t epoch;
	bool removing; /* some region is REGION_QUEUED or REGION_DRAINING */
	uint32_t open[2];
	uint32_t open_transient; /* of these, requests with bytes in no region */

	/*
	 * Live regions that were found last, by a segment's place in its request, because
	 * neighbours differ (header, data, status) more than requests do, and by its address,
	 * because the data of requests lies all over a pool.
	 */
	struct recent recent[RECENT_PLACES][RECENT_CHUNKS];
	struct recent recent_table; /* likewise, of vg_view_read() and _write() */
	/* ref -> 1 + index of its live region, or 0; leaves are made with their first region. */
	uint16_t **leaf;
	struct region region[VG_MAX_REGIONS];
	uint32_t num_records; /* region[] entries that were ever used */

	/* copy: one slot a request, of twice copy_max bytes: the pieces, and the gaps that align
	 * them */
	uint8_t *arena;
	size_t slot_size;
	uint16_t *free_slot;
	uint16_t num_free, num_slots;
	/* Slots that hold memory; and the least that num_free was since vg_view_trim(): what lies
	 * below that in the stack was not used since. */
	bool *touched;
	uint16_t num_touched, low_free;
	struct vg_copy *piece;
	struct vg_request **piece_owner;
	unsigned int num_pieces;

	struct vg_request *scratch; /* for vg_view_read() and _write() */
	uint32_t *map_ref;          /* scratch for one map call */
	uint32_t transient_pages;   /* mapped for requests now */

	uint64_t *reached; /* bitmap of references that were ever reachable */
	struct vg_view_stats stats;
};

/* The region that @ref is in, or NULL. */
static inline const struct region *region_of(const struct vg_view *view, uint32_t ref)
{
	const uint16_t *leaf = view->leaf[ref >> LEAF_SHIFT];
	unsigned int id = leaf ? leaf[ref & (LEAF_REFS - 1)] : 0;

	return id ? &view->region[id - 1] : NULL;
}

/* Where the region of segment @i, at @addr, is remembered. */
static inline struct recent *recent_of(struct vg_view *view, unsigned int i, uint64_t addr)
{
	return &view->recent[i % RECENT_PLACES][(addr >> RECENT_SHIFT) % RECENT_CHUNKS];
}

static inline void remember(struct recent *recent, const struct region *r)
{
	*recent = (struct recent){
		.addr = r->addr, .size = {r->size, r->writable ? r->size : 0}, .base = r->base};
}

/* Where @len bytes at @addr are; NULL: none, or not in this region, or not to be written. */
static inline void VG_GUEST *recall(const struct recent *recent, uint64_t addr, uint64_t len,
				    bool write)
{
	uint64_t offset = addr - recent->addr, size = recent->size[write];

	/* No bytes are more than there can be. */
	if (__builtin_expect(offset < size && len - 1 < size - offset, 1))
		return vg_guest_offset(recent->base, offset);
	return NULL;
}

/* Forgets what was found last: a region ends. */
void view_forget_recent(struct vg_view *view);
/* Cold: nobody uses @r, and it is unmapped. */
void view_region_unmap(struct vg_view *view, struct region *r);
/* Cold: has the holder let go of @r? It is asked to. */
bool view_region_released(struct vg_view *view, struct region *r);
/* Cold: the old epoch has drained. */
void view_epoch_drained(struct vg_view *view);
/* Counts references that become reachable for the first time. */
void view_mark_reached(struct vg_view *view, uint32_t ref, uint32_t count);
int view_quota_take(struct vg_view *view, uint32_t pages);
void view_quota_give(struct vg_view *view, uint32_t pages);
/* Unmaps and gives the quota back; pages that the kernel would not unmap (false) stay counted. */
bool view_unmap(struct vg_view *view, void VG_GUEST *base, uint32_t pages);

/*
 * Goes over the segments of a request. One that lies in no region has exactly one piece in iov[],
 * in the order of the segments.
 */
struct walk {
	unsigned int segment, iov;
};

/* Steps over the pieces of segment w->segment, which may be several when it lies in regions. */
static inline void walk_next(struct walk *w, const struct vg_request *req)
{
	size_t left = req->segment[w->segment].len;

	while (left)
		left -= req->iov[w->iov++].len;
	w->segment++;
}

/*
 * transient.c and transient_map.c. A segment that lies in no region has one iov with a NULL base
 * when these are called; they give it one. They set the request's ->error.
 */
void transient_copy_open(struct vg_view *view, struct vg_request *req);
void transient_copy_close(struct vg_view *view, struct vg_request *req, uint32_t written);
int transient_read(struct vg_view *view, uint64_t addr, void *dst, uint32_t len);
/* As vg_view_read_queue(). */
int transient_read_queue(struct vg_view *view, struct vg_request *req, uint64_t addr, void *dst,
			 uint32_t len);
int transient_write(struct vg_view *view, uint64_t addr, const void *src, uint32_t len);
void transient_copy_submit(struct vg_view *view);
void transient_map_open(struct vg_view *view, struct vg_request *req);
void transient_map_close(struct vg_view *view, struct vg_request *req);

#endif

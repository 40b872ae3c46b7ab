/* SPDX-License-Identifier: MIT */
/*
 * The mediated view of one device's guest memory. All guest bytes of payload and rings come from
 * here; a device never sees a guest address or keeps a pointer.
 *
 * How a byte is reached (spec/virtio-xen.md, "Memory"):
 *   region  the guest declared a range of grants persistent, and it is mapped once: a lookup
 *   copy    the hypervisor copies it into a buffer of ours, batched over requests
 *   map     mapped for one request and unmapped after it
 * Anything else is an error of the request, counted as a fault.
 *
 * Work goes in requests (struct vg_request): opened in a batch, closed in a batch. Between the two
 * the request's vg_iov arrays are valid. Regions stay mapped until the last request that was open
 * when their removal was asked for has closed.
 *
 * One thread uses a view, and the quota that it shares with the guest's other views.
 */
#ifndef VGRANT_VIEW_H
#define VGRANT_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/address.h>
#include <vgrant/guest.h>
#include <vgrant/log.h>

#pragma GCC visibility push(default)

struct vg_gnttab;
struct vg_view;

/* ---- limits of one guest, shared by the views of its devices ---- */

struct vg_quota {
	uint32_t max_pages;    /* mapped at one time: regions, rings, transient */
	uint32_t reserved;     /* of these, what regions do not get */
	uint32_t pages;        /* mapped now */
	uint32_t region_pages; /* of these, in regions */
};

/*
 * What is reserved of a quota of so many pages: as many as the largest request can take (1536, when
 * its descriptors begin and end within pages) and some for rings and control pages, or else half.
 */
#define VG_QUOTA_RESERVED(max_pages) ((max_pages) < 4096 ? (max_pages) / 2 : 2048u)

/* ---- when to copy and when to map what lies in no region ---- */

struct vg_policy {
	uint32_t copy_max; /* bytes: a request whose transient part is at most this is copied; 0
			      never copies */
	uint32_t map_max;  /* bytes: a larger transient part is refused (-E2BIG); 0 never maps */
};

/* ---- who holds regions for longer than a request: the kernel, where it pins them for I/O ---- */

struct vg_region_holder {
	/* A writable region was mapped. A handle (not negative), or negative: it is not held. */
	int (*hold)(void *opaque, void VG_GUEST *base, size_t len);
	/*
	 * No request uses the region any more. True: nor does the holder, and it is unmapped.
	 * False: not yet; it stays mapped, and the holder is asked again. After true never again.
	 */
	bool (*release)(void *opaque, int handle);
	void *opaque;
};

struct vg_view_config {
	uint16_t domid;           /* the guest */
	struct vg_gnttab *gnttab; /* borrowed: outlives the view */
	struct vg_quota *quota;   /* borrowed: outlives the view */
	struct vg_policy policy;
	uint32_t max_refs;              /* references at or past this are errors; 0: VG_MAX_REFS */
	uint16_t max_requests;          /* open at one time, at most 4096: sizes the copy arena */
	const struct vg_log *log;       /* borrowed, may be NULL */
	struct vg_region_holder holder; /* without functions: nobody */
};

/* Grant references that an address may name: sixteen times Xen's default table of 32768. */
#define VG_MAX_REFS (UINT32_C(1) << 19)
/* Regions of one device. */
#define VG_MAX_REGIONS 256

struct vg_view_stats {
	uint64_t pages_mapped;      /* now */
	uint64_t pages_mapped_peak; /* high-water mark */
	uint64_t pages_reached; /* distinct mappings ever made plus pages ever copied from or to:
				   exposure */
	uint64_t regions;       /* now */
	uint64_t map_ops;       /* calls that map (each maps one or more pages) */
	uint64_t unmap_ops;
	uint64_t copy_ops;   /* GNTTABOP_copy segments */
	uint64_t copy_calls; /* batches of them */
	uint64_t bytes_copied;
	uint64_t requests;
	uint64_t unmap_failures; /* their pages stay counted as mapped */
	uint64_t faults; /* requests refused: bad address, no permission, refused grant, quota */
};

/* *out is the caller's, to be destroyed. -EINVAL, -ENOMEM. Does not block. */
int vg_view_create(const struct vg_view_config *config, struct vg_view **out);
/*
 * Has the holder let go of all regions. False: not yet, ask again. Until it is true the view must
 * not be destroyed. No request may be open, no region may be added any more.
 */
bool vg_view_let_go(struct vg_view *view);
/* Unmaps everything. No request may be open. NULL is allowed. */
void vg_view_destroy(struct vg_view *view);
void vg_view_get_stats(const struct vg_view *view, struct vg_view_stats *stats);

/*
 * Gives the memory of copy slots that were not used since the last call back to the system: to be
 * called now and then, also while requests are open. A system call for each such slot.
 */
void vg_view_trim(struct vg_view *view);
/* Copy slots that hold memory: while there are any, vg_view_trim() is of use. */
unsigned int vg_view_copy_slots(const struct vg_view *view);

/* ---- regions (spec: REGION_ADD, REGION_REMOVE) ---- */

/*
 * Maps @count references from @first for as long as the region stands.
 * -EINVAL empty or past the limit; -EEXIST overlaps a region; -EDQUOT quota of pages; -ENOSPC
 * number of regions; -EFAULT the hypervisor refused; -ENOMEM. Blocks for the hypercall.
 */
int vg_view_region_add(struct vg_view *view, uint32_t first, uint32_t count, bool writable);
/*
 * Ends the region that was added with exactly this range. 0: unmapped and forgotten.
 * -EINPROGRESS: no new request can use it, and it will be unmapped when those open now have closed
 * and its holder has let go; ask again (vg_view_region_remove() is idempotent until it returns 0).
 * -EBUSY: a ring lies in it, nothing was changed. -ENOENT: no such region.
 */
int vg_view_region_remove(struct vg_view *view, uint32_t first, uint32_t count);

/* ---- long-lived pieces: rings ---- */

struct vg_pin {
	void VG_GUEST *ptr;
	uint32_t region; /* 1 + index of the region pinned, or 0: a mapping of its own */
	uint32_t pages;  /* of the mapping of its own */
	void VG_GUEST *base;
};

/*
 * Makes @len bytes at @addr reachable as one contiguous piece until vg_view_unpin(): inside a
 * region when one region covers it, otherwise by a mapping of its own that counts against the
 * quota. -EFAULT, -EACCES (read-only region), -EDQUOT, -ENOMEM. Blocks for the hypercall.
 */
int vg_view_pin(struct vg_view *view, uint64_t addr, uint32_t len, bool writable,
		struct vg_pin *pin);
void vg_view_unpin(struct vg_view *view, struct vg_pin *pin);

/*
 * Copies @len bytes at @addr into private memory, at once: for what is read before a request can be
 * opened. A lookup when it lies in regions, otherwise one hypervisor copy (or map, when the
 * policy never copies). -EFAULT, -E2BIG above VG_REQUEST_BYTES, -EDQUOT, -EAGAIN.
 */
int vg_view_read(struct vg_view *view, uint64_t addr, void *dst, uint32_t len);
/* The other direction, likewise. -EACCES: read-only. */
int vg_view_write(struct vg_view *view, uint64_t addr, const void *src, uint32_t len);

/* ---- requests: the hot path ---- */

/* A private copy of one descriptor. */
struct vg_segment {
	uint64_t addr;
	uint32_t len;
};

#define VG_REQUEST_SEGMENTS 256 /* descriptors of one request */
#define VG_REQUEST_IOVS                                                                            \
	288 /* pieces: one a segment, and one more for each region border crossed                  \
	     */
#define VG_REQUEST_BYTES (UINT32_C(4) << 20)

/*
 * One request's memory. The owner (the virtqueue) fills the first block and segment[] before
 * vg_view_open(); the view fills the second block and iov[]; the third is private to the view.
 */
struct vg_request {
	uint16_t out_segments; /* device-readable, first in segment[] */
	uint16_t in_segments;  /* device-writable, after them */

	int error;        /* 0, or why no byte of this request is reachable: negative errno */
	uint32_t out_len; /* bytes in all, at most VG_REQUEST_BYTES together */
	uint32_t in_len;
	uint16_t out_iovs; /* iov[0 … out_iovs) is device-readable */
	uint16_t in_iovs;  /* iov[out_iovs … out_iovs + in_iovs) is device-writable */

	uint8_t epoch;
	bool transient;        /* the rest of this block holds something */
	uint16_t copy_slot;    /* 1 + index, or 0 */
	uint32_t map_pages[2]; /* of the readable and of the writable part */
	void VG_GUEST *map_base[2];

	struct vg_segment segment[VG_REQUEST_SEGMENTS];
	struct vg_iov iov[VG_REQUEST_IOVS];
};

/*
 * vg_view_read() for many pieces that come together, such as indirect tables, each for a request
 * that is to be opened. 0: @dst holds the bytes. 1: they come with vg_view_read_flush(), by one
 * system call for VG_COPY_BATCH of them; it sets @req->error, which is 0 so long, and @req and @dst
 * must stay.
 */
int vg_view_read_queue(struct vg_view *view, struct vg_request *req, uint64_t addr, void *dst,
		       uint32_t len);
void vg_view_read_flush(struct vg_view *view);

/*
 * Opens @n requests. Each gets its own ->error; a request with an error is open too, has no iov and
 * must be closed. Device-writable bytes that are copied begin as zero. A transient request beyond
 * the arena or the quota has -EAGAIN if closing others can help. Never allocates; at most one
 * system call for all that is copied and one for each request that is mapped; none when all lies in
 * regions.
 */
void vg_view_open(struct vg_view *view, struct vg_request *const *requests, unsigned int n);

/*
 * Closes @n requests: the first written[i] bytes of what device i wrote reach the guest, then
 * everything transient is let go. A write that the hypervisor refused sets ->error of that request.
 * @written is clamped to in_len.
 */
void vg_view_close(struct vg_view *view, struct vg_request *const *requests,
		   const uint32_t *written, unsigned int n);

/* Requests open now. */
unsigned int vg_view_open_requests(const struct vg_view *view);

/* ---- access to an open request's bytes ---- */

/* Copies @len bytes from device-readable offset @offset; returns how many were there. */
size_t vg_request_read(const struct vg_request *request, size_t offset, void *dst, size_t len);
/* Copies @len bytes to device-writable offset @offset; returns how many fitted. */
size_t vg_request_write(struct vg_request *request, size_t offset, const void *src, size_t len);

#pragma GCC visibility pop

#endif

// SPDX-License-Identifier: MIT
/*
 * What lies in no region: copied by the hypervisor in batches, or mapped for one request
 * (transient_map.c).
 */
#include <errno.h>

#include "memory/view_internal.h"

static bool is_arena(const struct vg_view *view, const void VG_GUEST *base)
{
	return (uintptr_t)base - (uintptr_t)view->arena < view->slot_size * view->num_slots;
}

/* ---- copy ---- */

void transient_copy_submit(struct vg_view *view)
{
	unsigned int n = view->num_pieces;

	vg_gnttab_copy(view->gnttab, view->domid, view->piece, n);
	view->stats.copy_calls += (n + VG_COPY_BATCH - 1) / VG_COPY_BATCH;
	view->stats.copy_ops += n;
	for (unsigned int i = 0; i < n; i++) {
		if (view->piece[i].status) {
			view->piece_owner[i]->error =
				view->piece[i].status == -EAGAIN ? -EIO : view->piece[i].status;
			continue;
		}
		view->stats.bytes_copied += view->piece[i].len;
		view_mark_reached(view, view->piece[i].ref, 1);
	}
	view->num_pieces = 0;
}

static void add_pieces(struct vg_view *view, struct vg_request *req, uint64_t addr, uint8_t *local,
		       uint32_t len, bool to_guest)
{
	while (len) {
		uint32_t offset = addr & VG_PAGE_MASK;
		uint32_t part = VG_PAGE_SIZE - offset < len ? VG_PAGE_SIZE - offset : len;

		if (view->num_pieces == COPY_PIECES)
			transient_copy_submit(view);
		view->piece_owner[view->num_pieces] = req;
		view->piece[view->num_pieces++] = (struct vg_copy){
			.ref = (uint32_t)((addr & ~VG_ADDR_GRANT) >> VG_PAGE_SHIFT),
			.offset = (uint16_t)offset,
			.len = (uint16_t)part,
			.local = local,
			.to_guest = to_guest,
		};
		addr += part;
		local += part;
		len -= part;
	}
}

/*
 * A disk that reads straight into the buffer wants it aligned, and the kernel makes one operation
 * of a piece for each page of ours that it touches. So a large piece lies in the slot as it lies in
 * the guest's page. The gap before it is shorter than the piece: the slot has room for that
 * (view.c).
 */
static uint8_t *aligned_like(uint8_t *local, const struct vg_segment *seg)
{
	uint32_t align = seg->len < VG_PAGE_SIZE ? COPY_ALIGN : VG_PAGE_SIZE;

	return local + (uint32_t)(seg->addr - (uintptr_t)local) % align;
}

void transient_copy_open(struct vg_view *view, struct vg_request *req)
{
	unsigned int segments = req->out_segments + req->in_segments;
	uint8_t *local, *large,
		*small; /* large pieces from the slot's start, small ones from its end */
	uint16_t slot;

	if (!view->num_free) {
		req->error = -EAGAIN;
		return;
	}
	slot = view->free_slot[--view->num_free];
	if (view->num_free < view->low_free)
		view->low_free = view->num_free;
	view->num_touched += !view->touched[slot];
	view->touched[slot] = true;
	req->copy_slot = slot + 1;
	large = view->arena + view->slot_size * slot;
	small = large + view->slot_size;
	for (struct walk w = {0, 0}; w.segment < segments; walk_next(&w, req)) {
		const struct vg_segment *seg = &req->segment[w.segment];

		if (req->iov[w.iov].base)
			continue;
		if (seg->len < COPY_ALIGN) {
			local = small -= seg->len;
		} else {
			local = aligned_like(large, seg);
			large = local + seg->len;
		}
		req->iov[w.iov].base = (void VG_GUEST *)(uintptr_t)local;
		/* What the device does not write must not show what lay in the slot before. */
		if (w.segment < req->out_segments)
			add_pieces(view, req, seg->addr, local, seg->len, false);
		else
			memset(local, 0, seg->len);
	}
}

void transient_copy_close(struct vg_view *view, struct vg_request *req, uint32_t written)
{
	unsigned int segments = req->out_segments + req->in_segments;

	if (req->error)
		return;
	for (struct walk w = {0, 0}; w.segment < segments && written; walk_next(&w, req)) {
		const struct vg_segment *seg = &req->segment[w.segment];
		uint32_t part = seg->len < written ? seg->len : written;

		if (w.segment < req->out_segments)
			continue;
		if (is_arena(view, req->iov[w.iov].base))
			add_pieces(view, req, seg->addr,
				   VG_GUEST_RAW(uint8_t, req->iov[w.iov].base), part, true);
		written -= part;
	}
}

/* ---- bytes of no request ---- */

/* Straight from or into the caller's buffer, so that it never waits for a slot of the arena. */
static int copy_now(struct vg_view *view, uint64_t addr, void *local, uint32_t len, bool to_guest)
{
	struct vg_request *owner = view->scratch;

	owner->error = 0;
	add_pieces(view, owner, addr, local, len, to_guest);
	transient_copy_submit(view);
	return owner->error;
}

/* Maps the bytes as the one piece of the scratch request. transient_map_close() ends it. */
static int map_now(struct vg_view *view, uint64_t addr, uint32_t len, bool write)
{
	struct vg_request *req = view->scratch;

	req->out_segments = req->out_iovs = !write;
	req->in_segments = req->in_iovs = write;
	req->segment[0] = (struct vg_segment){.addr = addr, .len = len};
	req->iov[0] = (struct vg_iov){.base = NULL, .len = len};
	transient_map_open(view, req);
	return req->error;
}

int transient_read(struct vg_view *view, uint64_t addr, void *dst, uint32_t len)
{
	int ret;

	if (len > VG_REQUEST_BYTES)
		return -E2BIG;
	if (view->arena)
		return copy_now(view, addr, dst, len, false);
	ret = map_now(view, addr, len, false);
	if (ret)
		return ret;
	vg_request_read(view->scratch, 0, dst, len);
	transient_map_close(view, view->scratch);
	return 0;
}

int transient_read_queue(struct vg_view *view, struct vg_request *req, uint64_t addr, void *dst,
			 uint32_t len)
{
	if (!view->arena || len > VG_REQUEST_BYTES)
		return transient_read(view, addr, dst, len);
	req->error = 0;
	add_pieces(view, req, addr, dst, len, false);
	return 1;
}

int transient_write(struct vg_view *view, uint64_t addr, const void *src, uint32_t len)
{
	int ret;

	if (len > VG_REQUEST_BYTES)
		return -E2BIG;
	if (view->arena)
		return copy_now(view, addr, (void *)(uintptr_t)src, len, true);
	ret = map_now(view, addr, len, true);
	if (ret)
		return ret;
	vg_request_write(view->scratch, 0, src, len);
	transient_map_close(view, view->scratch);
	return 0;
}

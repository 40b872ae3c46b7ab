// SPDX-License-Identifier: MIT
/* xengnttab_grant_copy: page by page, each with its own status. */
#include "copy.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

#include <xen/grant_table.h>
#include <xen/sys/gntdev.h>
#include <xengnttab.h>

#include "../common/grant.h"
#include "gnttab.h"

#define COPY_TRIES 1000
/* Operations that gntdev hands to one hypercall. */
#define GNTDEV_BATCH 16

/* One side of a copy: local memory, or a foreign page pinned for as long as it takes. */
struct side {
	uint8_t *p;
	uint32_t slot;
	bool pinned;
};

static int side_open(xengnttab_handle *xgt, const union xengnttab_copy_ptr *ptr, bool foreign,
		     bool write, struct side *s)
{
	struct sim_ram *ram;
	struct sim_pin pin;
	int owner, status, tries = 0;

	*s = (struct side){.p = foreign ? NULL : ptr->virt};
	if (!foreign)
		return GNTST_okay;
	owner = sim_owner_index(xgt, ptr->foreign.domid);
	if (owner < 0)
		return GNTST_bad_domain;
	do {
		uint32_t hint = atomic_load_explicit(&xgt->copy_hint, memory_order_relaxed);

		status = sim_grant_pin(xgt->c.arena, xgt->c.dom, xgt->c.handle, (unsigned int)owner,
				       ptr->foreign.ref, !write, SIM_PIN_COPY, &hint, &pin);
		atomic_store_explicit(&xgt->copy_hint, hint, memory_order_relaxed);
		/* More copies at once than slots: Xen has no such limit, so wait for one. */
	} while (status == GNTST_no_space && tries++ < COPY_TRIES && !sched_yield());
	if (status != GNTST_okay)
		return status;
	ram = sim_client_ram(&xgt->c, (unsigned int)owner);
	if (!ram) {
		sim_grant_unpin(xgt->c.arena, xgt->c.dom, pin.slot);
		return GNTST_bad_domain;
	}
	s->slot = pin.slot;
	s->pinned = true;
	s->p = ram->base + ((size_t)pin.frame << SIM_PAGE_SHIFT) + ptr->foreign.offset;
	return GNTST_okay;
}

static void side_close(xengnttab_handle *xgt, const struct side *s)
{
	if (s->pinned)
		sim_grant_unpin(xgt->c.arena, xgt->c.dom, s->slot);
}

static int copy_segment(xengnttab_handle *xgt, const xengnttab_grant_copy_segment_t *seg, bool half)
{
	struct side src, dst;
	int status = side_open(xgt, &seg->source, seg->flags & GNTCOPY_source_gref, false, &src);

	if (status != GNTST_okay)
		return status;
	status = side_open(xgt, &seg->dest, seg->flags & GNTCOPY_dest_gref, true, &dst);
	if (status == GNTST_okay) {
		/* memmove: both may be the same page */
		memmove(dst.p, src.p, half ? seg->len / 2u : seg->len);
		side_close(xgt, &dst);
	}
	side_close(xgt, &src);
	return status == GNTST_okay && half ? GNTST_general_error : status;
}

static bool segment_valid(const xengnttab_grant_copy_segment_t *seg)
{
	bool from = seg->flags & GNTCOPY_source_gref, to = seg->flags & GNTCOPY_dest_gref;

	if (!from && !to)
		return false;
	if (from && (uint32_t)seg->source.foreign.offset + seg->len > SIM_PAGE_SIZE)
		return false;
	return !to || (uint32_t)seg->dest.foreign.offset + seg->len <= SIM_PAGE_SIZE;
}

/* What gntdev makes of a segment: an operation for each page of local memory that it touches. */
static uint32_t segment_ops(const xengnttab_grant_copy_segment_t *seg)
{
	const union xengnttab_copy_ptr *local =
		seg->flags & GNTCOPY_source_gref ? &seg->dest : &seg->source;

	if ((seg->flags & GNTCOPY_source_gref) && (seg->flags & GNTCOPY_dest_gref))
		return 1;
	return (uint32_t)(((uintptr_t)local->virt % SIM_PAGE_SIZE + seg->len + SIM_PAGE_SIZE - 1) /
			  SIM_PAGE_SIZE);
}

SIM_EXPORT int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
				    xengnttab_grant_copy_segment_t *segs)
{
	struct sim_fault_rule fault = {0};
	int err = sim_fault_call(&xgt->c, "grant_copy", &fault);
	uint32_t ops = 0;

	if (err)
		return sim_fail(err);
	sim_trap(xgt->c.fd, IOCTL_GNTDEV_GRANT_COPY);
	for (uint32_t i = 0; i < count; i++) {
		int status;

		/* Like gntdev: the call fails here, and what came before has been done. */
		if (!segment_valid(&segs[i]))
			return sim_fail(EINVAL);
		status = sim_fault_segment(&xgt->c, "grant_copy");
		if (!status)
			status = copy_segment(xgt, &segs[i], fault.flags & SIM_FAULT_SHORT);
		segs[i].status = (int16_t)status;
		ops += segment_ops(&segs[i]);
	}
	sim_stat_add(sim_self(&xgt->c), SIM_STAT_COPY, 1);
	sim_stat_add(sim_self(&xgt->c), SIM_STAT_COPY_SEGS, count);
	sim_stat_add(sim_self(&xgt->c), SIM_STAT_COPY_OPS, ops);
	sim_stat_add(sim_self(&xgt->c), SIM_STAT_COPY_HYPERCALLS,
		     (ops + GNTDEV_BATCH - 1) / GNTDEV_BATCH);
	return 0;
}

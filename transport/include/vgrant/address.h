/* SPDX-License-Identifier: MIT */
/*
 * Addresses on a grant bus (spec/virtio-xen.md, "Addresses"):
 *
 *     63  62                                   12  11            0
 *    +---+--------------------------------------+----------------+
 *    | 1 |           grant reference            |     offset     |
 *    +---+--------------------------------------+----------------+
 *
 * An object that spans n pages uses n consecutive references.
 */
#ifndef VGRANT_ADDRESS_H
#define VGRANT_ADDRESS_H

#include <errno.h>
#include <stdint.h>

#include <vgrant/guest.h>

#define VG_ADDR_GRANT (UINT64_C(1) << 63)

/* What an address and a length stand for. */
struct vg_span {
	uint32_t ref;    /* first grant reference */
	uint32_t offset; /* of the first byte, within the first page */
	uint32_t pages;  /* references touched; 0 only for an empty object */
};

static inline uint64_t vg_addr_make(uint32_t ref, uint32_t offset)
{
	return VG_ADDR_GRANT | (uint64_t)ref << VG_PAGE_SHIFT | offset;
}

/*
 * Takes @addr and @len apart. References must be below @max_refs.
 * -EFAULT: bit 63 is clear, a reference is at or past the limit, or the span wraps.
 */
static inline int vg_addr_span(uint64_t addr, uint64_t len, uint32_t max_refs, struct vg_span *span)
{
	uint64_t ref = (addr & ~VG_ADDR_GRANT) >> VG_PAGE_SHIFT;
	uint32_t offset = addr & VG_PAGE_MASK;
	uint64_t pages;

	if (!(addr & VG_ADDR_GRANT) || ref >= max_refs || len > UINT32_MAX)
		return -EFAULT;
	pages = (offset + len + VG_PAGE_MASK) >> VG_PAGE_SHIFT;
	if (pages > max_refs - ref)
		return -EFAULT;
	*span = (struct vg_span){.ref = (uint32_t)ref, .offset = offset, .pages = (uint32_t)pages};
	return 0;
}

#endif

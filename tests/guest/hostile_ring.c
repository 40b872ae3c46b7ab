// SPDX-License-Identifier: MIT
/* Malformed rings and requests. */
#include <string.h>

#include <vgrant/address.h>

#include "hostile.h"

/* An ordinary read must work, or the refusals of the other cases prove nothing. */
static enum outcome control(struct rig *rig)
{
	rig_read_chain(rig);
	return rig_offer(rig, 0) == WRONG ? HARMLESS : rig_wrong(rig, "an ordinary read failed");
}

static enum outcome avail_jump(struct rig *rig)
{
	rig_read_chain(rig);
	return rig_publish(rig, RIG_QUEUE + 1);
}

static enum outcome avail_backwards(struct rig *rig)
{
	rig_read_chain(rig);
	return rig_publish(rig, UINT16_MAX);
}

static enum outcome head_past_ring(struct rig *rig)
{
	return rig_offer(rig, RIG_QUEUE);
}

static enum outcome next_past_ring(struct rig *rig)
{
	rig_read_chain(rig);
	rig_desc(rig, 1, vgg_address(&rig->rw, RIG_DATA), VGG_SECTOR,
		 VGG_DESC_F_NEXT | VGG_DESC_F_WRITE, RIG_QUEUE);
	return rig_offer(rig, 0);
}

static enum outcome loop(struct rig *rig)
{
	rig_read_chain(rig);
	rig_desc(rig, 1, vgg_address(&rig->rw, RIG_DATA), VGG_SECTOR,
		 VGG_DESC_F_NEXT | VGG_DESC_F_WRITE, 1);
	return rig_offer(rig, 0);
}

static enum outcome readable_after_writable(struct rig *rig)
{
	rig_read_chain(rig);
	rig_desc(rig, 2, vgg_address(&rig->rw, RIG_STATUS), 1, 0, 0);
	return rig_offer(rig, 0);
}

static enum outcome zero_length(struct rig *rig)
{
	rig_read_chain(rig);
	rig_desc(rig, 1, vgg_address(&rig->rw, RIG_DATA), 0, VGG_DESC_F_NEXT | VGG_DESC_F_WRITE, 2);
	return rig_offer(rig, 0);
}

static enum outcome huge_length(struct rig *rig)
{
	rig_read_chain(rig);
	rig_desc(rig, 1, vgg_address(&rig->rw, RIG_DATA), UINT32_MAX,
		 VGG_DESC_F_NEXT | VGG_DESC_F_WRITE, 2);
	return rig_offer(rig, 0);
}

/* Runs the table at RIG_TABLE through descriptor 0. */
static enum outcome indirect(struct rig *rig, uint32_t len, uint16_t flags)
{
	struct vgg_desc *table = (void *)(rig->rw.base + RIG_TABLE);

	memcpy(table, rig->q.ring.desc, 3 * sizeof(*table));
	rig_desc(rig, 0, vgg_address(&rig->rw, RIG_TABLE), len, flags, 1);
	return rig_offer(rig, 0);
}

static enum outcome indirect_control(struct rig *rig)
{
	rig_read_chain(rig);
	return indirect(rig, 3 * sizeof(struct vgg_desc), VGG_DESC_F_INDIRECT) == WRONG
		       ? HARMLESS
		       : rig_wrong(rig, "an ordinary indirect read failed");
}

static enum outcome indirect_empty(struct rig *rig)
{
	rig_read_chain(rig);
	return indirect(rig, 0, VGG_DESC_F_INDIRECT);
}

static enum outcome indirect_odd(struct rig *rig)
{
	rig_read_chain(rig);
	return indirect(rig, 3 * sizeof(struct vgg_desc) - 1, VGG_DESC_F_INDIRECT);
}

static enum outcome indirect_huge(struct rig *rig)
{
	rig_read_chain(rig);
	return indirect(rig, UINT32_MAX & ~15u, VGG_DESC_F_INDIRECT);
}

static enum outcome indirect_and_next(struct rig *rig)
{
	rig_read_chain(rig);
	return indirect(rig, 3 * sizeof(struct vgg_desc), VGG_DESC_F_INDIRECT | VGG_DESC_F_NEXT);
}

static enum outcome indirect_in_indirect(struct rig *rig)
{
	rig_read_chain(rig);
	rig_desc(rig, 0, vgg_address(&rig->rw, RIG_TABLE), 48, VGG_DESC_F_INDIRECT, 0);
	return indirect(rig, 3 * sizeof(struct vgg_desc), VGG_DESC_F_INDIRECT);
}

static enum outcome indirect_next_past(struct rig *rig)
{
	rig_read_chain(rig);
	rig->q.ring.desc[1].next = htole16(200);
	return indirect(rig, 3 * sizeof(struct vgg_desc), VGG_DESC_F_INDIRECT);
}

/* A read whose data would go to @addr. */
static enum outcome read_to(struct rig *rig, uint64_t addr)
{
	rig_read_chain(rig);
	rig_desc(rig, 1, addr, VGG_SECTOR, VGG_DESC_F_NEXT | VGG_DESC_F_WRITE, 2);
	return rig_offer(rig, 0);
}

static enum outcome plain_address(struct rig *rig)
{
	return read_to(rig, vgg_address(&rig->rw, RIG_DATA) & ~VG_ADDR_GRANT);
}

static enum outcome never_granted(struct rig *rig)
{
	return read_to(rig, vg_addr_make(vgg_highest_ref(rig->g) + 1000, 0));
}

static enum outcome past_limit(struct rig *rig)
{
	return read_to(rig, UINT64_MAX & ~(uint64_t)VG_PAGE_MASK);
}

static enum outcome wraps(struct rig *rig)
{
	return read_to(rig, UINT64_MAX - 15);
}

static enum outcome past_region(struct rig *rig)
{
	/* Begins in the region and would end in pages that were never granted. */
	rig_read_chain(rig);
	rig_desc(rig, 1, vgg_address(&rig->rw, (RIG_PAGES - 1) * VGG_PAGE), 600 * VGG_PAGE,
		 VGG_DESC_F_NEXT | VGG_DESC_F_WRITE, 2);
	return rig_offer(rig, 0);
}

/* All bytes of the page are as granted: zero. */
static bool untouched(const struct vgg_pages *pages)
{
	for (uint32_t i = 0; i < VGG_PAGE; i++)
		if (pages->base[i])
			return false;
	return true;
}

static enum outcome write_to_read_only(struct rig *rig)
{
	enum outcome outcome = read_to(rig, vgg_address(&rig->ro, 0));

	return untouched(&rig->ro) ? outcome : rig_wrong(rig, "the read-only page was written");
}

static enum outcome ended_grant(struct rig *rig)
{
	uint64_t addr = vgg_address(&rig->loose, 0);

	if (vgg_unshare(rig->g, &rig->loose))
		return rig_wrong(rig, vgg_error(rig->g));
	return read_to(rig, addr);
}

static enum outcome removed_region(struct rig *rig)
{
	uint64_t addr = vgg_address(&rig->ro, 0);

	if (vgg_unshare(rig->g, &rig->ro))
		return rig_wrong(rig, vgg_error(rig->g));
	return read_to(rig, addr);
}

static enum outcome no_status(struct rig *rig)
{
	rig_read_chain(rig);
	rig_desc(rig, 0, vgg_address(&rig->rw, RIG_HEADER), 16, 0, 0);
	return rig_offer(rig, 0);
}

static enum outcome short_header(struct rig *rig)
{
	rig_read_chain(rig);
	rig_desc(rig, 0, vgg_address(&rig->rw, RIG_HEADER), 15, VGG_DESC_F_NEXT, 1);
	return rig_offer(rig, 0);
}

static enum outcome unknown_type(struct rig *rig)
{
	rig_read_chain(rig);
	rig->rw.base[RIG_HEADER] = 77;
	return rig_offer(rig, 0);
}

static enum outcome sector_past_end(struct rig *rig)
{
	rig_read_chain(rig);
	memset(rig->rw.base + RIG_HEADER + 8, 0xff, 7);
	return rig_offer(rig, 0);
}

static enum outcome sector_wraps(struct rig *rig)
{
	rig_read_chain(rig);
	memset(rig->rw.base + RIG_HEADER + 8, 0xff, 8);
	return rig_offer(rig, 0);
}

static enum outcome odd_data(struct rig *rig)
{
	rig_read_chain(rig);
	rig_desc(rig, 1, vgg_address(&rig->rw, RIG_DATA), 100, VGG_DESC_F_NEXT | VGG_DESC_F_WRITE,
		 2);
	return rig_offer(rig, 0);
}

const struct hostile_case hostile_ring_cases[] = {
	{"control", control, HARMLESS, "an ordinary read, which must work"},
	{"indirect-control", indirect_control, HARMLESS, "an ordinary indirect read"},
	{"avail-jump", avail_jump, NEEDS_RESET, "available index ahead by more than the ring"},
	{"avail-backwards", avail_backwards, NEEDS_RESET, "available index goes backwards"},
	{"head-past-ring", head_past_ring, NEEDS_RESET, "head past the ring's end"},
	{"next-past-ring", next_past_ring, NEEDS_RESET, "next past the ring's end"},
	{"loop", loop, NEEDS_RESET, "a chain that comes back to itself"},
	{"readable-after-writable", readable_after_writable, NEEDS_RESET | REFUSED,
	 "a device-readable descriptor after a device-writable one"},
	{"zero-length", zero_length, NEEDS_RESET | REFUSED, "a descriptor of length 0"},
	{"huge-length", huge_length, NEEDS_RESET | REFUSED, "a descriptor of 4 GiB - 1"},
	{"indirect-empty", indirect_empty, NEEDS_RESET | REFUSED, "an indirect table of 0 bytes"},
	{"indirect-odd", indirect_odd, NEEDS_RESET | REFUSED,
	 "an indirect table of no whole number of descriptors"},
	{"indirect-huge", indirect_huge, NEEDS_RESET | REFUSED, "an indirect table of 4 GiB"},
	{"indirect-and-next", indirect_and_next, NEEDS_RESET, "INDIRECT together with NEXT"},
	{"indirect-in-indirect", indirect_in_indirect, NEEDS_RESET, "a table in a table"},
	{"indirect-next-past", indirect_next_past, NEEDS_RESET, "next past the table's end"},
	{"plain-address", plain_address, NEEDS_RESET | REFUSED, "an address without bit 63"},
	{"never-granted", never_granted, NEEDS_RESET | REFUSED, "a reference never granted"},
	{"past-limit", past_limit, NEEDS_RESET | REFUSED, "a reference past every table"},
	{"wraps", wraps, NEEDS_RESET | REFUSED, "an address that wraps"},
	{"past-region", past_region, NEEDS_RESET | REFUSED, "data that leaves its region"},
	{"write-to-read-only", write_to_read_only, NEEDS_RESET | REFUSED,
	 "a device-writable descriptor on a read-only region"},
	{"ended-grant", ended_grant, NEEDS_RESET | REFUSED, "a page whose grant has ended"},
	{"removed-region", removed_region, NEEDS_RESET | REFUSED, "a region that was removed"},
	{"no-status", no_status, NEEDS_RESET | REFUSED, "a request without a status byte"},
	{"short-header", short_header, NEEDS_RESET | REFUSED, "a header of 15 bytes"},
	{"unknown-type", unknown_type, REFUSED, "a request of an unknown type"},
	{"sector-past-end", sector_past_end, REFUSED, "a sector past the end of the disk"},
	{"sector-wraps", sector_wraps, REFUSED, "a sector whose byte offset wraps"},
	{"odd-data", odd_data, REFUSED, "data of no whole number of sectors"},
	{0},
};

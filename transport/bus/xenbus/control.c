// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "bus/xenbus/control.h"

/* The address of a member; nothing is read. */
#define MEMBER(type, page, name)                                                                   \
	((type VG_GUEST *)((uintptr_t)(page) + offsetof(struct vg_ctl_page, name)))

void vg_ctl_format(struct vg_ctl_page VG_GUEST *page)
{
	static const struct vg_ctl_page zero;

	vg_guest_copy_to(page, &zero, sizeof(zero));
	vg_guest_store16(MEMBER(uint16_t, page, version), VG_XENBUS_VERSION);
	vg_guest_store16(MEMBER(uint16_t, page, slot_size), VG_CTL_SLOT_SIZE);
	vg_guest_store16(MEMBER(uint16_t, page, slots), VG_CTL_SLOTS);
	vg_guest_store32_release(MEMBER(uint32_t, page, magic), VG_CTL_MAGIC);
}

int vg_ctl_check(const struct vg_ctl_page VG_GUEST *page)
{
	if (vg_guest_load32_acquire(MEMBER(uint32_t, page, magic)) != VG_CTL_MAGIC ||
	    vg_guest_load16(MEMBER(uint16_t, page, version)) != VG_XENBUS_VERSION ||
	    vg_guest_load16(MEMBER(uint16_t, page, slot_size)) != VG_CTL_SLOT_SIZE ||
	    vg_guest_load16(MEMBER(uint16_t, page, slots)) != VG_CTL_SLOTS)
		return -EPROTO;
	return 0;
}

void vg_ctl_attach(struct vg_ctl *ctl, struct vg_ctl_page VG_GUEST *page, enum vg_ctl_side side)
{
	memset(ctl, 0, sizeof(*ctl));
	if (side == VG_CTL_DEVICE) {
		ctl->own_prod = MEMBER(uint32_t, page, device_prod);
		ctl->own_cons = MEMBER(uint32_t, page, device_cons);
		ctl->peer_prod = MEMBER(uint32_t, page, driver_prod);
		ctl->peer_cons = MEMBER(uint32_t, page, driver_cons);
		ctl->out = MEMBER(uint8_t, page, device_ring);
		ctl->in = MEMBER(uint8_t, page, driver_ring);
	} else {
		ctl->own_prod = MEMBER(uint32_t, page, driver_prod);
		ctl->own_cons = MEMBER(uint32_t, page, driver_cons);
		ctl->peer_prod = MEMBER(uint32_t, page, device_prod);
		ctl->peer_cons = MEMBER(uint32_t, page, device_cons);
		ctl->out = MEMBER(uint8_t, page, driver_ring);
		ctl->in = MEMBER(uint8_t, page, device_ring);
	}
}

/*
 * Looks at the peer's consumer index once. An honest one lies between what was seen last and what
 * was put; the distance to prod can only have shrunk.
 */
static int fetch_space(struct vg_ctl *ctl)
{
	uint32_t cons = vg_guest_load32_acquire(ctl->peer_cons);
	uint32_t used = ctl->prod - cons;

	if (used > ctl->prod - ctl->seen_cons)
		return -EPROTO;
	ctl->seen_cons = cons;
	return (int)(VG_CTL_SLOTS - used);
}

int vg_ctl_space(struct vg_ctl *ctl)
{
	int space = fetch_space(ctl);

	if (space)
		return space;
	/*
	 * Full. Before the caller goes to sleep over it, our last prod must be visible to a peer
	 * whose cons we have not seen yet: it looks at prod after its own barrier, in
	 * vg_ctl_get(), finds the ring full and notifies. One of the two looks sees the other's
	 * store.
	 */
	vg_full_barrier();
	return fetch_space(ctl);
}

int vg_ctl_pending(struct vg_ctl *ctl)
{
	uint32_t prod = vg_guest_load32_acquire(ctl->peer_prod);
	uint32_t filled = prod - ctl->cons;

	if (filled > VG_CTL_SLOTS || filled < ctl->seen_prod - ctl->cons)
		return -EPROTO;
	ctl->seen_prod = prod;
	return (int)filled;
}

int vg_ctl_put(struct vg_ctl *ctl, const void *message, size_t len)
{
	uint8_t slot[VG_CTL_SLOT_SIZE] = {0};
	int space;

	if (len > sizeof(slot))
		return -EMSGSIZE;
	space = vg_ctl_space(ctl);
	if (space <= 0)
		return space ? space : -EAGAIN;
	memcpy(slot, message, len);
	vg_guest_copy_to(vg_guest_offset(ctl->out, ctl->prod % VG_CTL_SLOTS * VG_CTL_SLOT_SIZE),
			 slot, sizeof(slot));
	ctl->prod++;
	vg_guest_store32_release(ctl->own_prod, ctl->prod);
	return 0;
}

int vg_ctl_get(struct vg_ctl *ctl, void *slot, bool *notify)
{
	int filled = vg_ctl_pending(ctl);
	uint32_t before = ctl->cons;

	if (filled <= 0)
		return filled;
	vg_guest_copy_from(slot, vg_guest_offset(ctl->in, before % VG_CTL_SLOTS * VG_CTL_SLOT_SIZE),
			   VG_CTL_SLOT_SIZE);
	ctl->cons++;
	vg_guest_store32_release(ctl->own_cons, ctl->cons);
	/* The other half of the pair in vg_ctl_space(). A lie here is caught by the next look. */
	vg_full_barrier();
	if (vg_guest_load32(ctl->peer_prod) - before >= VG_CTL_SLOTS)
		*notify = true;
	return 1;
}

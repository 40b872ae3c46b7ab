/* SPDX-License-Identifier: MIT */
/*
 * The control page: two rings of message slots, each with one producer and one consumer
 * (spec/virtio-xen.md, "Control page"). One struct vg_ctl is one end of it. Nothing here knows what
 * a message says, allocates, blocks or makes a system call: the caller rings the doorbell.
 *
 * Whatever the peer writes, at whatever time: only the page is touched, every call ends, and an
 * index that breaks the rules is -EPROTO.
 */
#ifndef VGRANT_BUS_XENBUS_CONTROL_H
#define VGRANT_BUS_XENBUS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vgrant/guest.h>
#include <vgrant/xenbus.h>

enum vg_ctl_side {
	VG_CTL_DRIVER,
	VG_CTL_DEVICE,
};

/* One end. Indices here are private: the shared copies are only ever written, never read back. */
struct vg_ctl {
	uint32_t VG_GUEST *own_prod;
	uint32_t VG_GUEST *own_cons;
	const uint32_t VG_GUEST *peer_prod;
	const uint32_t VG_GUEST *peer_cons;
	uint8_t VG_GUEST *out;
	const uint8_t VG_GUEST *in;
	uint32_t prod;      /* messages put into out */
	uint32_t cons;      /* messages taken from in */
	uint32_t seen_prod; /* peer's prod when last looked at: it never goes back */
	uint32_t seen_cons; /* peer's cons, likewise */
};

/* Zeroes the page and writes its header: what a driver does before it grants the page. */
void vg_ctl_format(struct vg_ctl_page VG_GUEST *page);
/* -EPROTO: the header, fetched once, is not what this version of the protocol says. */
int vg_ctl_check(const struct vg_ctl_page VG_GUEST *page);
/* Takes one end of a freshly formatted @page, which outlives @ctl. Touches nothing of the page. */
void vg_ctl_attach(struct vg_ctl *ctl, struct vg_ctl_page VG_GUEST *page, enum vg_ctl_side side);

/* Free slots of the outgoing ring, or -EPROTO. After 0 the peer notifies when it has freed one. */
int vg_ctl_space(struct vg_ctl *ctl);
/* Messages waiting in the incoming ring, or -EPROTO. */
int vg_ctl_pending(struct vg_ctl *ctl);
/*
 * Puts @len bytes (at most a slot; the rest of the slot is zeroed) and publishes them. -EAGAIN no
 * free slot, -EMSGSIZE, -EPROTO. The caller notifies the peer after one or several of these.
 */
int vg_ctl_put(struct vg_ctl *ctl, const void *message, size_t len);
/*
 * Copies the next slot to @slot[VG_CTL_SLOT_SIZE] and gives it back to the peer. 1, 0 when there is
 * none, -EPROTO. Sets *notify when the ring had been full, so that the peer may be waiting for the
 * slot; leaves it alone otherwise.
 */
int vg_ctl_get(struct vg_ctl *ctl, void *slot, bool *notify);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Owner of the device-model handles, for virtio-mmio over IOREQ (spec/virtio-xen.md, section 13).
 *
 * Who may have these could map all of the guest's memory. Nothing here does: of
 * libxenforeignmemory it uses the mapping of one resource, the page of I/O requests, which belongs
 * to Xen.
 */
#ifndef VGRANT_DM_H
#define VGRANT_DM_H

#include <stdbool.h>
#include <stdint.h>

#include <vgrant/guest.h>
#include <vgrant/log.h>

#pragma GCC visibility push(default)

struct vg_dm;

struct vg_dm_config {
	uint16_t domid; /* the guest: where the kernel can, the handles are of no use for others */
	const struct vg_log *log;
};

/*
 * Opens both handles. *out is the caller's, to be closed. -ENOENT, -EACCES, -ENOMEM … with a logged
 * reason.
 */
int vg_dm_open(const struct vg_dm_config *config, struct vg_dm **out);
/* The guest is HVM. Without it there is no ISA interrupt: Xen panics when a PVH guest is given one.
 */
void vg_dm_is_hvm(struct vg_dm *dm);
/* A server that was created stays, with its requests. NULL is allowed. */
void vg_dm_close(struct vg_dm *dm);

/*
 * A new IOREQ server without buffered requests, not yet enabled. -EPERM, -EACCES: this domain has
 * no device-model privilege over the guest; -EOPNOTSUPP: this Xen has no IOREQ servers; others.
 */
int vg_dm_create_server(struct vg_dm *dm, uint16_t *id);
int vg_dm_destroy_server(struct vg_dm *dm, uint16_t id);
/* Xen sends requests from now on, and the vCPUs' event channels are in the page. */
int vg_dm_enable_server(struct vg_dm *dm, uint16_t id);
/* Accesses to [@start, @start + @size) come to server @id. -EEXIST: they do already. */
int vg_dm_map_range(struct vg_dm *dm, uint16_t id, uint64_t start, uint64_t size);
int vg_dm_unmap_range(struct vg_dm *dm, uint16_t id, uint64_t start, uint64_t size);
/* Maps the page of requests of server @id: Xen's, and shared with Xen. One at a time. */
int vg_dm_map_page(struct vg_dm *dm, uint16_t id, void VG_GUEST **page);
void vg_dm_unmap_page(struct vg_dm *dm);
int vg_dm_vcpus(struct vg_dm *dm, unsigned int *vcpus);

/* One system call each. Arm: an SPI. */
int vg_dm_set_irq(struct vg_dm *dm, uint32_t irq, bool level);
/* x86 HVM. -EPERM without vg_dm_is_hvm(), and Xen is not asked. */
int vg_dm_set_isa_irq(struct vg_dm *dm, uint8_t irq, bool level);

#pragma GCC visibility pop

#endif

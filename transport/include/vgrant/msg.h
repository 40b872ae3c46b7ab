/* SPDX-License-Identifier: MIT */
/*
 * virtio-msg, revision 1: the message codec. Pure functions over private memory.
 *
 * Source of every constant: the draft chapter "Virtio Over Messages" (transport-msg.tex) as of
 * 2025-11-02. It is a draft: no other file of the project names a number of it. Bus messages 0x80
 * to 0x82 are this project's (spec/virtio-xen.md). All fields are little-endian on the wire.
 */
#ifndef VGRANT_MSG_H
#define VGRANT_MSG_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

#define VG_MSG_REVISION    1
#define VG_MSG_HEADER_SIZE 8
#define VG_MSG_MIN_MAX     44  /* the smallest maximum message size that a bus may advertise */
#define VG_MSG_MAX_SIZE    120 /* of the Xen bus: one slot of the control page */
#define VG_MSG_MAX_DATA                                                                            \
	(VG_MSG_MAX_SIZE - VG_MSG_HEADER_SIZE - 12) /* configuration bytes in one message */
#define VG_MSG_MAX_BLOCKS 16                        /* 32-bit feature blocks in one message */

#define VG_MSG_RESPONSE 0x01 /* type, bit 0 */
#define VG_MSG_BUS      0x02 /* type, bit 1 */

enum vg_msg_id {
	VG_MSG_GET_DEVICE_INFO = 0x02,
	VG_MSG_GET_DEVICE_FEATURES = 0x03,
	VG_MSG_SET_DRIVER_FEATURES = 0x04,
	VG_MSG_GET_CONFIG = 0x05,
	VG_MSG_SET_CONFIG = 0x06,
	VG_MSG_GET_DEVICE_STATUS = 0x07,
	VG_MSG_SET_DEVICE_STATUS = 0x08,
	VG_MSG_GET_VQUEUE = 0x09,
	VG_MSG_SET_VQUEUE = 0x0a,
	VG_MSG_RESET_VQUEUE = 0x0b,
	VG_MSG_GET_SHM = 0x0c,
	VG_MSG_EVENT_CONFIG = 0x40,
	VG_MSG_EVENT_AVAIL = 0x41,
	VG_MSG_EVENT_USED = 0x42,
};

enum vg_msg_bus_id {
	VG_MSG_BUS_GET_DEVICES = 0x02,
	VG_MSG_BUS_PING = 0x03,
	VG_MSG_BUS_EVENT_DEVICE = 0x40,
	VG_MSG_BUS_REGION_ADD = 0x80,
	VG_MSG_BUS_REGION_REMOVE = 0x81,
	VG_MSG_BUS_VQ_BIND = 0x82,
};

/* Answers of the Xen bus's own requests (spec/virtio-xen.md, "Bus messages"). */
enum vg_msg_bus_status {
	VG_BUS_OK = 0,
	VG_BUS_BUSY = 1,     /* not yet: requests in flight, or a ring lies in the region */
	VG_BUS_INVALID = 2,  /* malformed: empty, past the limit, no such region or queue */
	VG_BUS_EXISTS = 3,   /* overlaps a region */
	VG_BUS_NO_SPACE = 4, /* quota */
	VG_BUS_REFUSED = 5,  /* the hypervisor refused the grant or the port */
};

#define VG_BUS_REGION_READ_ONLY 0x01 /* flags of REGION_ADD; other bits must be zero */

struct vg_msg {
	uint8_t type; /* VG_MSG_RESPONSE, VG_MSG_BUS */
	uint8_t id;
	uint16_t dev_num;
	uint16_t token;
	union {
		struct {
			uint32_t device_id, vendor_id, feature_bits, config_size, max_vqueues;
			uint16_t admin_vq_start, admin_vq_count;
		} info; /* GET_DEVICE_INFO response */
		struct {
			uint32_t index, count;
			uint32_t block[VG_MSG_MAX_BLOCKS];
		} features; /* GET_DEVICE_FEATURES, SET_DRIVER_FEATURES */
		struct {
			uint32_t generation, offset, length;
			uint8_t status; /* EVENT_CONFIG only (4 bytes on the wire) */
			uint8_t data[VG_MSG_MAX_DATA];
		} config; /* GET_CONFIG, SET_CONFIG, EVENT_CONFIG */
		struct {
			uint32_t status;
		} status; /* GET_DEVICE_STATUS, SET_DEVICE_STATUS, and responses of bus messages */
		struct {
			uint32_t index, max_size, size;
			uint64_t desc_addr, driver_addr, device_addr;
		} vqueue; /* GET_VQUEUE, SET_VQUEUE, RESET_VQUEUE, EVENT_USED */
		struct {
			uint32_t index, next; /* EVENT_AVAIL; GET_SHM uses index */
		} avail;
		struct {
			uint32_t index, length;
			uint64_t addr;
		} shm; /* GET_SHM response */
		struct {
			uint32_t first, count, flags;
		} region; /* REGION_ADD, REGION_REMOVE requests */
		struct {
			uint32_t index, port;
		} bind; /* VQ_BIND request; port 0: the shared channel */
		struct {
			uint32_t data;
		} ping;
		struct {
			uint16_t number, state;
		} device; /* EVENT_DEVICE */
	};
};

/*
 * Parses @len bytes of private memory. 0, or -EBADMSG: header malformed, size wrong for the id, a
 * length inside that points outside, unknown id, reserved bits. The caller discards such a message
 * silently.
 */
int vg_msg_decode(const void *buf, size_t len, struct vg_msg *msg);
/* Writes @msg; bytes of @buf past it are left alone. Returns its size, or -EINVAL, -EMSGSIZE. */
int vg_msg_encode(const struct vg_msg *msg, void *buf, size_t size);
/* The head of a response to @request: type, id, dev_num and token. The payload is zeroed. */
void vg_msg_respond(const struct vg_msg *request, struct vg_msg *response);

#pragma GCC visibility pop

#endif

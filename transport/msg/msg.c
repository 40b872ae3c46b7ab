// SPDX-License-Identifier: MIT
/*
 * virtio-msg codec. The layout of each payload is described once (payload()) and walked in either
 * direction, so that what is encoded and what is decoded cannot come apart. Decoding is strict:
 * every byte that msg_size counts is named by the layout and every reserved byte is zero, hence
 * encoding what was decoded gives the same bytes again.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <vgrant/msg.h>

#define ID_EVENTS         0x40 /* transport and standard bus ids from here on are events */
#define ID_BUS_OWN        0x80 /* bus ids from here on are the bus's own … */
#define ID_BUS_OWN_EVENTS 0xc0 /* … and from here on events */

/* Walks a message: out is written when in is NULL, otherwise in is read. */
struct walk {
	const uint8_t *in;
	uint8_t *out;
	size_t size, at;
	int error; /* the first one; nothing is read or written after it */
};

static void fail(struct walk *w, int error)
{
	if (!w->error)
		w->error = error;
}

static bool has_room(struct walk *w, size_t bytes)
{
	if (w->error)
		return false;
	if (bytes > w->size - w->at) {
		fail(w, -EMSGSIZE);
		return false;
	}
	return true;
}

/* A little-endian number of 1 to 8 bytes. */
static uint64_t number(struct walk *w, uint64_t value, size_t bytes)
{
	size_t i;

	if (!has_room(w, bytes))
		return 0;
	if (w->in) {
		value = 0;
		for (i = 0; i < bytes; i++)
			value |= (uint64_t)w->in[w->at + i] << (8 * i);
	} else {
		for (i = 0; i < bytes; i++)
			w->out[w->at + i] = (uint8_t)(value >> (8 * i));
	}
	w->at += bytes;
	return value;
}

static void u8(struct walk *w, uint8_t *field)
{
	*field = (uint8_t)number(w, *field, sizeof(*field));
}

static void u16(struct walk *w, uint16_t *field)
{
	*field = (uint16_t)number(w, *field, sizeof(*field));
}

static void u32(struct walk *w, uint32_t *field)
{
	*field = (uint32_t)number(w, *field, sizeof(*field));
}

static void u64(struct walk *w, uint64_t *field)
{
	*field = number(w, *field, sizeof(*field));
}

/* Four bytes on the wire that hold a value of at most @max. */
static uint32_t u32_max(struct walk *w, uint64_t value, uint32_t max)
{
	uint32_t wire;

	if (value > max)
		fail(w, -EINVAL);
	wire = (uint32_t)number(w, value, sizeof(wire));
	if (wire > max) {
		fail(w, -EINVAL);
		return 0;
	}
	return wire;
}

static void reserved32(struct walk *w)
{
	u32_max(w, 0, 0);
}

static void bytes(struct walk *w, uint8_t *data, size_t len)
{
	if (!has_room(w, len))
		return;
	if (w->in)
		memcpy(data, w->in + w->at, len);
	else
		memcpy(w->out + w->at, data, len);
	w->at += len;
}

static bool is_event(uint8_t type, uint8_t id)
{
	if (type & VG_MSG_BUS && id >= ID_BUS_OWN)
		return id >= ID_BUS_OWN_EVENTS;
	return id >= ID_EVENTS;
}

/* What the header's fields must be to each other; false for a malformed one. */
static bool header_ok(const struct vg_msg *msg)
{
	if (msg->type & ~(VG_MSG_RESPONSE | VG_MSG_BUS))
		return false;
	if (msg->type & VG_MSG_BUS && msg->dev_num)
		return false;
	if (is_event(msg->type, msg->id))
		return !(msg->type & VG_MSG_RESPONSE) && !msg->token;
	return msg->token != 0;
}

static void header(struct walk *w, struct vg_msg *msg, uint16_t *msg_size)
{
	u8(w, &msg->type);
	u8(w, &msg->id);
	u16(w, &msg->dev_num);
	u16(w, &msg->token);
	u16(w, msg_size);
}

static void info(struct walk *w, struct vg_msg *msg)
{
	u32(w, &msg->info.device_id);
	u32(w, &msg->info.vendor_id);
	u32(w, &msg->info.feature_bits);
	if (msg->info.feature_bits % 32)
		fail(w, -EINVAL);
	u32(w, &msg->info.config_size);
	u32(w, &msg->info.max_vqueues);
	u16(w, &msg->info.admin_vq_start);
	u16(w, &msg->info.admin_vq_count);
}

static void features(struct walk *w, struct vg_msg *msg, bool with_blocks)
{
	uint32_t i;

	u32(w, &msg->features.index);
	msg->features.count = u32_max(w, msg->features.count, VG_MSG_MAX_BLOCKS);
	if (!with_blocks || w->error)
		return;
	for (i = 0; i < msg->features.count; i++)
		u32(w, &msg->features.block[i]);
}

static void config_range(struct walk *w, struct vg_msg *msg, uint32_t max)
{
	u32(w, &msg->config.offset);
	msg->config.length = u32_max(w, msg->config.length, max);
}

static void config(struct walk *w, struct vg_msg *msg, uint32_t max)
{
	u32(w, &msg->config.generation);
	config_range(w, msg, max);
	if (!w->error)
		bytes(w, msg->config.data, msg->config.length);
}

static void queue_addresses(struct walk *w, struct vg_msg *msg)
{
	reserved32(w);
	u64(w, &msg->vqueue.desc_addr);
	u64(w, &msg->vqueue.driver_addr);
	u64(w, &msg->vqueue.device_addr);
}

static void transport_payload(struct walk *w, struct vg_msg *msg)
{
	bool response = msg->type & VG_MSG_RESPONSE;

	switch (msg->id) {
	case VG_MSG_GET_DEVICE_INFO:
		if (response)
			info(w, msg);
		break;
	case VG_MSG_GET_DEVICE_FEATURES:
		features(w, msg, response);
		break;
	case VG_MSG_SET_DRIVER_FEATURES:
		if (!response)
			features(w, msg, true);
		break;
	case VG_MSG_GET_CONFIG:
		if (response)
			config(w, msg, VG_MSG_MAX_DATA);
		else
			config_range(w, msg, VG_MSG_MAX_DATA);
		break;
	case VG_MSG_SET_CONFIG:
		config(w, msg, VG_MSG_MAX_DATA);
		break;
	case VG_MSG_GET_DEVICE_STATUS:
		if (response)
			u32(w, &msg->status.status);
		break;
	case VG_MSG_SET_DEVICE_STATUS:
		u32(w, &msg->status.status);
		break;
	case VG_MSG_GET_VQUEUE:
		u32(w, &msg->vqueue.index);
		if (response) {
			u32(w, &msg->vqueue.max_size);
			u32(w, &msg->vqueue.size);
			queue_addresses(w, msg);
		}
		break;
	case VG_MSG_SET_VQUEUE:
		if (!response) {
			u32(w, &msg->vqueue.index);
			reserved32(w);
			u32(w, &msg->vqueue.size);
			queue_addresses(w, msg);
		}
		break;
	case VG_MSG_RESET_VQUEUE:
		if (!response)
			u32(w, &msg->vqueue.index);
		break;
	case VG_MSG_GET_SHM:
		if (response) {
			u32(w, &msg->shm.index);
			u32(w, &msg->shm.length);
			msg->shm.addr = u32_max(w, msg->shm.addr, UINT32_MAX);
		} else {
			u32(w, &msg->avail.index);
		}
		break;
	case VG_MSG_EVENT_CONFIG:
		msg->config.status = (uint8_t)u32_max(w, msg->config.status, UINT8_MAX);
		config(w, msg, VG_MSG_MAX_DATA - 4); /* the status takes four bytes more */
		break;
	case VG_MSG_EVENT_AVAIL:
		u32(w, &msg->avail.index);
		u32(w, &msg->avail.next);
		break;
	case VG_MSG_EVENT_USED:
		u32(w, &msg->vqueue.index);
		break;
	default:
		fail(w, -EINVAL);
	}
}

/* GET_DEVICES is unknown here: xenstore is what enumerates (spec: VX-MSG-7). */
static void bus_payload(struct walk *w, struct vg_msg *msg)
{
	bool response = msg->type & VG_MSG_RESPONSE;

	switch (msg->id) {
	case VG_MSG_BUS_PING:
		u32(w, &msg->ping.data);
		break;
	case VG_MSG_BUS_EVENT_DEVICE:
		u16(w, &msg->device.number);
		u16(w, &msg->device.state);
		break;
	case VG_MSG_BUS_REGION_ADD:
		if (response) {
			u32(w, &msg->status.status);
			break;
		}
		u32(w, &msg->region.first);
		u32(w, &msg->region.count);
		u32(w, &msg->region.flags);
		break;
	case VG_MSG_BUS_REGION_REMOVE:
		if (response) {
			u32(w, &msg->status.status);
			break;
		}
		u32(w, &msg->region.first);
		u32(w, &msg->region.count);
		break;
	case VG_MSG_BUS_VQ_BIND:
		if (response) {
			u32(w, &msg->status.status);
			break;
		}
		u32(w, &msg->bind.index);
		u32(w, &msg->bind.port);
		break;
	default:
		fail(w, -EINVAL);
	}
}

static void payload(struct walk *w, struct vg_msg *msg)
{
	if (msg->type & VG_MSG_BUS)
		bus_payload(w, msg);
	else
		transport_payload(w, msg);
}

int vg_msg_decode(const void *buf, size_t len, struct vg_msg *msg)
{
	struct walk w = {.in = buf, .size = len};
	uint16_t msg_size = 0;

	memset(msg, 0, sizeof(*msg));
	header(&w, msg, &msg_size);
	if (w.error || !header_ok(msg))
		goto malformed;
	if (msg_size < VG_MSG_HEADER_SIZE || msg_size > VG_MSG_MAX_SIZE || msg_size > len)
		goto malformed;
	w.size = msg_size;
	payload(&w, msg);
	if (w.error || w.at != msg_size)
		goto malformed;
	return 0;

malformed:
	memset(msg, 0, sizeof(*msg));
	return -EBADMSG;
}

int vg_msg_encode(const struct vg_msg *msg, void *buf, size_t size)
{
	uint8_t wire[VG_MSG_MAX_SIZE];
	struct walk w = {.out = wire, .size = sizeof(wire)};
	struct vg_msg copy = *msg;
	uint16_t msg_size = 0;
	size_t total;

	if (!header_ok(msg))
		return -EINVAL;
	header(&w, &copy, &msg_size);
	payload(&w, &copy);
	if (w.error)
		return w.error;
	total = w.at;
	if (total > size)
		return -EMSGSIZE;
	msg_size = (uint16_t)total;
	w.at = 0;
	header(&w, &copy, &msg_size);
	memcpy(buf, wire, total);
	return (int)total;
}

void vg_msg_respond(const struct vg_msg *request, struct vg_msg *response)
{
	*response = (struct vg_msg){
		.type = request->type | VG_MSG_RESPONSE,
		.id = request->id,
		.dev_num = request->dev_num,
		.token = request->token,
	};
}

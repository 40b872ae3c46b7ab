// SPDX-License-Identifier: MIT
/* Malformed messages, indices that lie, and bus requests that make no sense. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/address.h>
#include <vgrant/guest.h>

#include "hostile.h"

static enum outcome ping(struct rig *rig)
{
	struct vg_msg req = {.type = VG_MSG_BUS, .id = VG_MSG_BUS_PING}, resp;

	req.ping.data = 0x12345678;
	if (vgg_request(rig->g, &req, &resp) || resp.ping.data != req.ping.data)
		return rig_wrong(rig, "PING is not echoed");
	return HARMLESS;
}

static enum outcome garbage(struct rig *rig)
{
	uint8_t bytes[VG_MSG_MAX_SIZE];
	enum outcome outcome = HARMLESS;
	uint32_t word = 0x2545f491;

	for (int round = 0; round < 64 && outcome == HARMLESS; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			word = word * 1664525 + 1013904223;
			bytes[i] = (uint8_t)(word >> 24);
		}
		bytes[0] = (uint8_t)(0xf0 | bytes[0]); /* reserved bits: no well-formed message */
		outcome = rig_send(rig, bytes, sizeof(bytes));
	}
	return outcome;
}

/* A header as given and nothing after it. */
static enum outcome header(struct rig *rig, uint8_t type, uint8_t id, uint16_t size)
{
	uint8_t bytes[VG_MSG_MAX_SIZE] = {
		type, id, 0, 0, 9, 0, (uint8_t)size, (uint8_t)(size >> 8)};

	return rig_send(rig, bytes, sizeof(bytes));
}

static enum outcome size_zero(struct rig *rig)
{
	return header(rig, 0, VG_MSG_GET_DEVICE_STATUS, 0);
}

static enum outcome size_huge(struct rig *rig)
{
	return header(rig, 0, VG_MSG_GET_CONFIG, UINT16_MAX);
}

static enum outcome size_short(struct rig *rig)
{
	return header(rig, 0, VG_MSG_SET_VQUEUE, 12);
}

static enum outcome unknown_id(struct rig *rig)
{
	return header(rig, 0, 0x3f, 8);
}

static enum outcome unasked_response(struct rig *rig)
{
	return header(rig, VG_MSG_RESPONSE, VG_MSG_GET_DEVICE_STATUS, 12);
}

static enum outcome device_event(struct rig *rig)
{
	return header(rig, 0, VG_MSG_EVENT_USED, 12);
}

static enum outcome blocks_lie(struct rig *rig)
{
	/* SET_DRIVER_FEATURES that claims more blocks than the message holds. */
	uint8_t bytes[VG_MSG_MAX_SIZE] = {
		0,   VG_MSG_SET_DRIVER_FEATURES, 0, 0, 9, 0, 20, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff,
		0x7f};

	return rig_send(rig, bytes, sizeof(bytes));
}

static enum outcome prod_jump(struct rig *rig)
{
	struct vg_ctl_page *ctl = vgg_control_page(rig->g);

	vg_guest_store32_release(&ctl->driver_prod,
				 vg_guest_load32(&ctl->driver_prod) + VG_CTL_SLOTS + 1);
	vgg_kick_control(rig->g);
	return rig_ended(rig);
}

static enum outcome cons_jump(struct rig *rig)
{
	struct vg_ctl_page *ctl = vgg_control_page(rig->g);

	vg_guest_store32_release(&ctl->driver_cons, vg_guest_load32(&ctl->device_prod) + 1);
	vgg_kick_control(rig->g);
	return rig_ended(rig);
}

static enum outcome device_index_written(struct rig *rig)
{
	struct vg_ctl_page *ctl = vgg_control_page(rig->g);
	uint32_t was = vg_guest_load32(&ctl->device_prod);
	enum outcome outcome;

	/* The device's own indices, and the header, are nothing that it reads again. */
	vg_guest_store32_release(&ctl->device_cons, 0xdeadbeef);
	ctl->magic = 0;
	vgg_kick_control(rig->g);
	vg_guest_store32_release(&ctl->device_cons, vg_guest_load32(&ctl->driver_prod));
	outcome = rig_settled(rig);
	if (outcome == HARMLESS && vg_guest_load32(&ctl->device_prod) == was)
		return rig_wrong(rig, "the device took its index from the page");
	return outcome;
}

static enum outcome region_answers(struct rig *rig, uint8_t id, uint32_t first, uint32_t count,
				   uint32_t flags, int expected)
{
	int status = vgg_region_request(rig->g, id, first, count, flags);

	if (status == expected)
		return HARMLESS;
	snprintf(rig->note, sizeof(rig->note), "answered %d instead of %d: %s", status, expected,
		 status < 0 ? vgg_error(rig->g) : "a bus status");
	return WRONG;
}

static enum outcome region_repeats(struct rig *rig)
{
	return region_answers(rig, VG_MSG_BUS_REGION_ADD, rig->rw.refs[0], RIG_PAGES, 0,
			      VG_BUS_EXISTS);
}

static enum outcome region_overlaps(struct rig *rig)
{
	return region_answers(rig, VG_MSG_BUS_REGION_ADD, rig->rw.refs[0] + 1, 1, 0, VG_BUS_EXISTS);
}

static enum outcome region_empty(struct rig *rig)
{
	return region_answers(rig, VG_MSG_BUS_REGION_ADD, rig->loose.refs[0], 0, 0, VG_BUS_INVALID);
}

static enum outcome region_past_limit(struct rig *rig)
{
	return region_answers(rig, VG_MSG_BUS_REGION_ADD, UINT32_MAX - 1, 4, 0, VG_BUS_INVALID);
}

static enum outcome region_bad_flags(struct rig *rig)
{
	return region_answers(rig, VG_MSG_BUS_REGION_ADD, rig->loose.refs[0], 1, 0x80000000u,
			      VG_BUS_INVALID);
}

static enum outcome region_never_granted(struct rig *rig)
{
	return region_answers(rig, VG_MSG_BUS_REGION_ADD, vgg_highest_ref(rig->g) + 1000, 1, 0,
			      VG_BUS_REFUSED);
}

static enum outcome region_write_read_only(struct rig *rig)
{
	struct vgg_pages page;
	enum outcome outcome;

	if (vgg_share(rig->g, 1, false, &page))
		return rig_wrong(rig, vgg_error(rig->g));
	outcome = region_answers(rig, VG_MSG_BUS_REGION_ADD, page.refs[0], 1, 0, VG_BUS_REFUSED);
	vgg_unshare(rig->g, &page);
	return outcome;
}

static enum outcome region_past_quota(struct rig *rig)
{
	/* More references than any quota allows, but not past the limit of an address. */
	return region_answers(rig, VG_MSG_BUS_REGION_ADD, 1, (1u << 19) - 2, 0, VG_BUS_NO_SPACE) ==
			       HARMLESS
		       ? HARMLESS
		       : region_answers(rig, VG_MSG_BUS_REGION_ADD, 1, (1u << 19) - 2, 0,
					VG_BUS_EXISTS);
}

static enum outcome region_remove_unknown(struct rig *rig)
{
	return region_answers(rig, VG_MSG_BUS_REGION_REMOVE, rig->loose.refs[0], 1, 0,
			      VG_BUS_INVALID);
}

static enum outcome region_remove_part(struct rig *rig)
{
	return region_answers(rig, VG_MSG_BUS_REGION_REMOVE, rig->rw.refs[0], 1, 0, VG_BUS_INVALID);
}

static enum outcome region_remove_rings(struct rig *rig)
{
	return region_answers(rig, VG_MSG_BUS_REGION_REMOVE, rig->q.pages.refs[0],
			      rig->q.pages.count, 0, VG_BUS_BUSY);
}

static enum outcome ring_moves(struct rig *rig)
{
	struct vg_msg req = {.id = VG_MSG_SET_VQUEUE}, resp;

	req.vqueue.size = 2;
	req.vqueue.desc_addr = vgg_address(&rig->rw, 0);
	req.vqueue.driver_addr = vgg_address(&rig->rw, 1024);
	req.vqueue.device_addr = vgg_address(&rig->rw, 2048);
	if (vgg_request(rig->g, &req, &resp))
		return rig_settled(rig);
	req = (struct vg_msg){.id = VG_MSG_GET_VQUEUE};
	if (vgg_request(rig->g, &req, &resp))
		return rig_settled(rig);
	if (resp.vqueue.size != RIG_QUEUE || resp.vqueue.desc_addr != rig->q.desc_addr)
		return rig_wrong(rig, "a running ring was moved");
	return rig_settled(rig);
}

static enum outcome late_features(struct rig *rig)
{
	struct vg_msg req = {.id = VG_MSG_SET_DRIVER_FEATURES}, resp;

	req.features.count = 2;
	req.features.block[0] = UINT32_MAX;
	req.features.block[1] = UINT32_MAX;
	if (vgg_request(rig->g, &req, &resp))
		return rig_settled(rig);
	return rig_settled(rig);
}

static enum outcome bind_answers(struct rig *rig, uint32_t index, uint32_t port)
{
	struct vg_msg req = {.type = VG_MSG_BUS, .id = VG_MSG_BUS_VQ_BIND}, resp;

	req.bind.index = index;
	req.bind.port = port;
	if (vgg_request(rig->g, &req, &resp))
		return rig_settled(rig);
	return resp.status.status == VG_BUS_OK ? rig_wrong(rig, "accepted") : HARMLESS;
}

static enum outcome bind_unknown_queue(struct rig *rig)
{
	return bind_answers(rig, 1000, 1);
}

static enum outcome bind_unknown_port(struct rig *rig)
{
	return bind_answers(rig, 0, 4095);
}

static enum outcome status_lies(struct rig *rig)
{
	struct vg_msg req = {.id = VG_MSG_SET_DEVICE_STATUS}, resp;

	req.status.status = UINT32_MAX;
	if (vgg_request(rig->g, &req, &resp))
		return rig_settled(rig);
	return rig_settled(rig);
}

static enum outcome config_write(struct rig *rig)
{
	struct vg_msg req = {.id = VG_MSG_SET_CONFIG}, resp;
	uint64_t before = 0, after = 0;
	uint32_t generation = 0;

	if (vgg_read_config(rig->g, 0, &before, sizeof(before), &generation))
		return rig_settled(rig);
	req.config.generation = generation;
	req.config.length = 8;
	memset(req.config.data, 0xff, 8);
	if (vgg_request(rig->g, &req, &resp) ||
	    vgg_read_config(rig->g, 0, &after, sizeof(after), NULL))
		return rig_settled(rig);
	return before == after ? HARMLESS : rig_wrong(rig, "the capacity was written");
}

static enum outcome config_past_end(struct rig *rig)
{
	uint8_t bytes[8];
	int err = vgg_read_config(rig->g, UINT32_MAX - 3, bytes, sizeof(bytes), NULL);

	if (!err)
		return rig_wrong(rig, "bytes past the configuration were given");
	return err == -ETIMEDOUT ? UNDECIDED : rig_settled(rig);
}

/* Requests in flight, then a reset: after its answer not a byte may change. */
static enum outcome reset_in_flight(struct rig *rig)
{
	uint8_t *before = malloc(RIG_PAGES * VGG_PAGE);
	enum outcome outcome = HARMLESS;
	uint16_t used;

	if (!before)
		return rig_wrong(rig, "out of memory");
	rig_read_chain(rig);
	for (uint16_t i = 0; i < RIG_QUEUE; i++)
		vg_guest_store16(&rig->q.ring.avail->ring[i], 0);
	vg_guest_store16_release(&rig->q.ring.avail->idx, RIG_QUEUE);
	vgg_kick(rig->g, &rig->q);
	if (vgg_reset(rig->g)) {
		outcome = rig_wrong(rig, vgg_error(rig->g));
		goto out;
	}
	memset(rig->rw.base + RIG_DATA, 0x5a, VGG_PAGE);
	memcpy(before, rig->rw.base, RIG_PAGES * VGG_PAGE);
	used = vg_guest_load16_acquire(&rig->q.ring.used->idx);
	vgg_wait(rig->g, 200);
	if (memcmp(before, rig->rw.base, RIG_PAGES * VGG_PAGE) != 0 ||
	    used != vg_guest_load16_acquire(&rig->q.ring.used->idx))
		outcome = rig_wrong(rig, "memory changed after the reset's answer");
out:
	free(before);
	return outcome;
}

/* A queue that cannot be, on a device that is being set up: its size must stay 0. */
static enum outcome bad_queue(struct rig *rig, uint32_t size, uint64_t desc, uint64_t avail,
			      uint64_t used)
{
	struct vg_msg req = {.id = VG_MSG_SET_VQUEUE}, resp;
	uint64_t features;

	if (vgg_negotiate(rig->g, UINT64_C(3) << 32, &features))
		return rig_wrong(rig, vgg_error(rig->g));
	req.vqueue.size = size;
	req.vqueue.desc_addr = desc;
	req.vqueue.driver_addr = avail;
	req.vqueue.device_addr = used;
	if (vgg_request(rig->g, &req, &resp))
		return rig_settled(rig);
	req = (struct vg_msg){.id = VG_MSG_GET_VQUEUE};
	if (vgg_request(rig->g, &req, &resp))
		return rig_settled(rig);
	return resp.vqueue.size ? rig_wrong(rig, "the queue was accepted") : rig_settled(rig);
}

static enum outcome queue_unaligned(struct rig *rig)
{
	return bad_queue(rig, 16, vgg_address(&rig->rw, 8), vgg_address(&rig->rw, 1024),
			 vgg_address(&rig->rw, 2048));
}

static enum outcome queue_odd_size(struct rig *rig)
{
	return bad_queue(rig, 17, vgg_address(&rig->rw, 0), vgg_address(&rig->rw, 1024),
			 vgg_address(&rig->rw, 2048));
}

static enum outcome queue_huge(struct rig *rig)
{
	return bad_queue(rig, 1u << 31, vgg_address(&rig->rw, 0), vgg_address(&rig->rw, 1024),
			 vgg_address(&rig->rw, 2048));
}

static enum outcome queue_never_granted(struct rig *rig)
{
	uint64_t addr = vg_addr_make(vgg_highest_ref(rig->g) + 1000, 0);

	return bad_queue(rig, 16, addr, addr + 1024, addr + 2048);
}

static enum outcome queue_read_only(struct rig *rig)
{
	return bad_queue(rig, 16, vgg_address(&rig->rw, 0), vgg_address(&rig->rw, 1024),
			 vgg_address(&rig->ro, 0));
}

const struct hostile_case hostile_msg_cases[] = {
	{"ping", ping, HARMLESS, "an ordinary PING, which must work"},
	{"msg-garbage", garbage, HARMLESS, "64 messages of random bytes"},
	{"msg-size-zero", size_zero, HARMLESS, "a message of size 0"},
	{"msg-size-huge", size_huge, HARMLESS, "a message larger than its slot"},
	{"msg-size-short", size_short, HARMLESS, "a message shorter than its id needs"},
	{"msg-unknown-id", unknown_id, HARMLESS, "an unknown id"},
	{"msg-response", unasked_response, HARMLESS, "a response that nobody asked for"},
	{"msg-device-event", device_event, HARMLESS, "an event that only a device sends"},
	{"msg-blocks-lie", blocks_lie, HARMLESS, "more feature blocks than the message holds"},
	{"prod-jump", prod_jump, ENDED, "driver_prod ahead by more than the ring"},
	{"cons-jump", cons_jump, ENDED, "driver_cons past what the device produced"},
	{"device-index", device_index_written, HARMLESS, "the device's own indices overwritten"},
	{"region-repeats", region_repeats, HARMLESS, "REGION_ADD of a region that stands"},
	{"region-overlaps", region_overlaps, HARMLESS, "REGION_ADD that overlaps"},
	{"region-empty", region_empty, HARMLESS, "REGION_ADD of nothing"},
	{"region-past-limit", region_past_limit, HARMLESS, "REGION_ADD past the last reference"},
	{"region-bad-flags", region_bad_flags, HARMLESS, "REGION_ADD with unknown flags"},
	{"region-never-granted", region_never_granted, HARMLESS, "REGION_ADD of nothing granted"},
	{"region-write-read-only", region_write_read_only, HARMLESS,
	 "REGION_ADD, writable, of a page granted read-only"},
	{"region-past-quota", region_past_quota, HARMLESS, "REGION_ADD past the quota"},
	{"region-remove-unknown", region_remove_unknown, HARMLESS, "REGION_REMOVE of no region"},
	{"region-remove-part", region_remove_part, HARMLESS, "REGION_REMOVE of half a region"},
	{"region-remove-rings", region_remove_rings, HARMLESS,
	 "REGION_REMOVE of the region with the rings"},
	{"ring-moves", ring_moves, HARMLESS, "SET_VQUEUE of a running queue"},
	{"late-features", late_features, HARMLESS, "features after FEATURES_OK"},
	{"bind-unknown-queue", bind_unknown_queue, HARMLESS, "VQ_BIND of no queue"},
	{"bind-unknown-port", bind_unknown_port, HARMLESS, "VQ_BIND of no port"},
	{"status-lies", status_lies, HARMLESS | NEEDS_RESET, "a status of all ones"},
	{"config-write", config_write, HARMLESS, "a write of the capacity"},
	{"config-past-end", config_past_end, HARMLESS, "a read past the configuration"},
	{"reset-in-flight", reset_in_flight, HARMLESS, "a reset with a full queue in flight"},
	{"queue-unaligned", queue_unaligned, HARMLESS, "a descriptor area that is not aligned"},
	{"queue-odd-size", queue_odd_size, HARMLESS, "a queue of 17 entries"},
	{"queue-huge", queue_huge, HARMLESS, "a queue of 2^31 entries"},
	{"queue-never-granted", queue_never_granted, HARMLESS, "rings that were never granted"},
	{"queue-read-only", queue_read_only, HARMLESS, "a used ring in a read-only region"},
	{0},
};

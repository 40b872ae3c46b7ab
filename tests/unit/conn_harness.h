/* SPDX-License-Identifier: MIT */
/*
 * A guest with one device behind a connection, in one process: the driver's end of the control
 * page, a device type that holds its requests until it is told to complete them, and a clock that
 * only moves when a test moves it. For test_conn*.c.
 */
#ifndef VGRANT_CONN_HARNESS_H
#define VGRANT_CONN_HARNESS_H

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <vgrant/address.h>
#include <vgrant/device.h>
#include <vgrant/msg.h>
#include <vgrant/view.h>
#include <vgrant/xenbus.h>

#include "bus/xenbus/control.h"
#include "fake/fake_xen.h"

#define CONTROL_REF  100
#define RINGS_REF    200 /* queue i has the page of reference RINGS_REF + i */
#define DATA_REF     1000
#define NODE_PORT    5
#define QUEUE_PORT   20 /* of queue i: QUEUE_PORT + i */
#define QUEUES       3
#define QUEUE_SIZE   8
#define CONFIG_SIZE  16
#define QUOTA        64
#define TIMEOUT_MS   700
#define TYPE_FEATURE 0x00000200u

static struct {
	struct vg_quota quota;
	struct vg_view *view;
	struct vg_device *device;
	struct vg_xenbus_conn *conn;
	struct vg_ctl ctl; /* the driver's end */
	uint64_t now;
	uint16_t token;
	unsigned int processed[QUEUES]; /* calls of process() */
	struct {
		struct vg_virtqueue *vq;
		struct vg_element *elem;
	} held[QUEUE_SIZE * QUEUES];
	unsigned int num_held;
	unsigned int resets;
	unsigned int log_lines; /* of the connection */
	char log_last[512];
	void (*on_config_write)(void);
} h;

/* ---- the device type ---- */

static inline int hold(void *priv, unsigned int index, struct vg_virtqueue *vq, unsigned int budget)
{
	struct vg_element *elems[QUEUE_SIZE];
	int n = vg_vq_pop(vq, elems, budget < QUEUE_SIZE ? budget : QUEUE_SIZE);

	(void)priv;
	h.processed[index]++;
	for (int i = 0; i < n; i++) {
		h.held[h.num_held].vq = vq;
		h.held[h.num_held++].elem = elems[i];
	}
	return n;
}

static inline void count_reset(void *priv)
{
	(void)priv;
	h.resets++;
}

static inline int config_write(void *priv, uint32_t offset, const void *data, uint32_t len)
{
	(void)priv;
	(void)data;
	if (h.on_config_write)
		h.on_config_write();
	return offset + len > 8 ? -EACCES : 0; /* the second half is read-only */
}

static const struct vg_device_ops hold_ops = {
	.name = "virtio-hold",
	.device_id = 42,
	.process = hold,
	.reset = count_reset,
	.config_write = config_write,
};

/* All that is held is done. */
static inline void complete_all(void)
{
	for (unsigned int i = 0; i < h.num_held; i++)
		vg_vq_complete(h.held[i].vq, h.held[i].elem, 0);
	h.num_held = 0;
	vg_device_flush(h.device);
}

/* ---- the connection ---- */

static inline void count_line(void *opaque, enum vg_log_level level, const char *fmt, va_list ap)
{
	(void)opaque;
	(void)level;
	ck_assert_int_gt(vsnprintf(h.log_last, sizeof(h.log_last), fmt, ap), 0);
	h.log_lines++;
}

static const struct vg_log counting_log = {.emit = count_line};

static inline struct vg_ctl_page VG_GUEST *driver_page(void)
{
	return (struct vg_ctl_page VG_GUEST *)(uintptr_t)fake_page(CONTROL_REF);
}

static inline uint32_t page_load(size_t offset)
{
	const uint8_t *page = fake_page(CONTROL_REF);

	return vg_guest_load32((const uint32_t VG_GUEST *)(uintptr_t)(page + offset));
}

static inline void page_store(size_t offset, uint32_t value)
{
	uint8_t *page = fake_page(CONTROL_REF);

	vg_guest_store32((uint32_t VG_GUEST *)(uintptr_t)(page + offset), value);
}

static inline int open_conn(void)
{
	struct vg_xenbus_conn_config config = {
		.domid = FAKE_DOMID,
		.control_ref = CONTROL_REF,
		.remote_port = NODE_PORT,
		.gnttab = fake_gnttab(),
		.evtchn = fake_evtchn(),
		.quota = &h.quota,
		.view = h.view,
		.device = h.device,
		.reset_timeout_ms = TIMEOUT_MS,
		.log = &counting_log,
		.label = "dom7 hold",
	};

	return vg_xenbus_conn_open(&config, &h.conn);
}

/* Everything but the connection itself. */
static inline void setup_device(void)
{
	static const uint8_t contents[CONFIG_SIZE] = {1, 2,  3,  4,  5,  6,  7,  8,
						      9, 10, 11, 12, 13, 14, 15, 16};
	struct vg_view_config view = {
		.domid = FAKE_DOMID,
		.quota = &h.quota,
		.policy = {.copy_max = 4096, .map_max = 0},
		.max_refs = FAKE_REFS,
		.max_requests = QUEUE_SIZE * QUEUES,
	};
	struct vg_device_config device = {
		.ops = &hold_ops,
		.features = TYPE_FEATURE,
		.vendor_id = 0x1af4,
		.num_queues = QUEUES,
		.max_queue_size = QUEUE_SIZE,
		.config_size = CONFIG_SIZE,
		.config = contents,
	};

	memset(&h, 0, sizeof(h));
	fake_xen_reset();
	h.quota.max_pages = QUOTA;
	h.now = 1000000;
	view.gnttab = fake_gnttab();
	ck_assert_int_eq(vg_view_create(&view, &h.view), 0);
	device.view = h.view;
	ck_assert_int_eq(vg_device_create(&device, &h.device), 0);
	fake_grant(CONTROL_REF, 1, true);
	fake_offer_port(NODE_PORT);
	vg_ctl_format(driver_page());
	vg_ctl_attach(&h.ctl, driver_page(), VG_CTL_DRIVER);
}

static inline void teardown(void)
{
	complete_all();
	vg_xenbus_conn_close(h.conn);
	vg_device_destroy(h.device);
	vg_view_destroy(h.view);
	ck_assert(fake_xen_clean());
	ck_assert_uint_eq(h.quota.pages, 0);
}

static inline int service(void)
{
	return vg_xenbus_conn_service(h.conn, h.now);
}

static inline int timeout(void)
{
	return vg_xenbus_conn_timeout(h.conn, h.now);
}

static inline void setup(void)
{
	setup_device();
	ck_assert_int_eq(open_conn(), 0);
	ck_assert_int_eq(timeout(), 0);
	ck_assert_int_eq(service(), 0);
	ck_assert_int_eq(timeout(), -1);
}

/* What the loop does with event channels. Returns how many were pending. */
static inline unsigned int take_events(void)
{
	unsigned int n = 0;
	int port;

	while ((port = vg_evtchn_pending(fake_evtchn())) > 0) {
		ck_assert(vg_xenbus_conn_event(h.conn, port));
		vg_evtchn_unmask(fake_evtchn(), port);
		n++;
	}
	return n;
}

/* ---- the driver ---- */

static inline void send_raw(const void *bytes, size_t len)
{
	ck_assert_int_eq(vg_ctl_put(&h.ctl, bytes, len), 0);
}

/* Requests get a token of their own, which is returned. */
static inline uint16_t send(struct vg_msg msg)
{
	uint8_t wire[VG_MSG_MAX_SIZE];
	int len;

	if (!msg.token && !(msg.id >= VG_MSG_EVENT_CONFIG && msg.id <= VG_MSG_EVENT_USED))
		msg.token = ++h.token;
	len = vg_msg_encode(&msg, wire, sizeof(wire));
	ck_assert_int_gt(len, 0);
	send_raw(wire, (size_t)len);
	return msg.token;
}

/* False: the device has sent nothing. */
static inline bool receive(struct vg_msg *msg)
{
	uint8_t slot[VG_CTL_SLOT_SIZE];
	bool notify = false;
	int ret = vg_ctl_get(&h.ctl, slot, &notify);

	ck_assert_int_ge(ret, 0);
	if (!ret)
		return false;
	ck_assert_int_eq(vg_msg_decode(slot, sizeof(slot), msg), 0);
	if (notify)
		fake_raise(NODE_PORT);
	return true;
}

static inline bool nothing_received(void)
{
	struct vg_msg msg;

	return !receive(&msg);
}

/* A request that is answered at once. */
static inline struct vg_msg call(struct vg_msg request)
{
	uint16_t token = send(request);
	struct vg_msg response;

	ck_assert_int_ge(service(), 0);
	ck_assert(receive(&response));
	ck_assert_int_eq(response.token, token);
	ck_assert_int_eq(response.id, request.id);
	ck_assert_int_eq(response.type, request.type | VG_MSG_RESPONSE);
	return response;
}

static inline uint32_t set_status(uint32_t status)
{
	return call((struct vg_msg){.id = VG_MSG_SET_DEVICE_STATUS, .status = {status}})
		.status.status;
}

static inline struct vg_msg region_msg(uint8_t id, uint32_t first, uint32_t count, uint32_t flags)
{
	return (struct vg_msg){.type = VG_MSG_BUS, .id = id, .region = {first, count, flags}};
}

static inline uint32_t region_add(uint32_t first, uint32_t count, uint32_t flags)
{
	return call(region_msg(VG_MSG_BUS_REGION_ADD, first, count, flags)).status.status;
}

static inline uint32_t region_remove(uint32_t first, uint32_t count)
{
	return call(region_msg(VG_MSG_BUS_REGION_REMOVE, first, count, 0)).status.status;
}

static inline uint32_t vq_bind(uint32_t index, uint32_t port)
{
	return call((struct vg_msg){
			    .type = VG_MSG_BUS, .id = VG_MSG_BUS_VQ_BIND, .bind = {index, port}})
		.status.status;
}

static inline void set_queue(uint32_t index)
{
	uint32_t ref = RINGS_REF + index;

	fake_grant(ref, 1, true);
	memset(fake_page(ref), 0, VG_PAGE_SIZE);
	call((struct vg_msg){.id = VG_MSG_SET_VQUEUE,
			     .vqueue = {.index = index,
					.size = QUEUE_SIZE,
					.desc_addr = vg_addr_make(ref, 0),
					.driver_addr = vg_addr_make(ref, 0x400),
					.device_addr = vg_addr_make(ref, 0x800)}});
	ck_assert_uint_eq(call((struct vg_msg){.id = VG_MSG_GET_VQUEUE, .vqueue = {.index = index}})
				  .vqueue.size,
			  QUEUE_SIZE);
}

static inline void negotiate(void)
{
	ck_assert_uint_eq(set_status(0), 0);
	ck_assert_uint_eq(set_status(VG_STATUS_ACKNOWLEDGE | VG_STATUS_DRIVER),
			  VG_STATUS_ACKNOWLEDGE | VG_STATUS_DRIVER);
	call((struct vg_msg){.id = VG_MSG_SET_DRIVER_FEATURES,
			     .features = {0, 2, {TYPE_FEATURE, 3}}});
	ck_assert_uint_eq(set_status(0x0b), 0x0b);
}

/* All queues run; those in @own, a bit mask, have a channel of their own. */
static inline void start_driver(unsigned int own)
{
	negotiate();
	for (uint32_t i = 0; i < QUEUES; i++) {
		if (own & 1u << i) {
			fake_offer_port(QUEUE_PORT + i);
			ck_assert_uint_eq(vq_bind(i, QUEUE_PORT + i), VG_BUS_OK);
		}
		set_queue(i);
	}
	ck_assert_uint_eq(set_status(0x0f), 0x0f);
	take_events();
	service();
	vg_device_service(h.device, QUEUE_SIZE);
	memset(h.processed, 0, sizeof(h.processed));
}

/* Makes one request of @len bytes at @addr available in queue @index, without a doorbell. */
static inline void make_available(uint32_t index, uint64_t addr, uint32_t len)
{
	uint8_t *page = fake_page(RINGS_REF + index);
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc = {htole64(addr), htole32(len), 0, 0};
	uint16_t *avail = (uint16_t *)(void *)(page + 0x400);
	uint16_t slot = le16toh(avail[1]) % QUEUE_SIZE;

	memcpy(page + sizeof(desc) * slot, &desc, sizeof(desc));
	avail[2 + slot] = htole16(slot);
	avail[1] = htole16((uint16_t)(le16toh(avail[1]) + 1));
}

#endif

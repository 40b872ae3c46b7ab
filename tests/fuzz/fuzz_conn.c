// SPDX-License-Identifier: MIT
/*
 * A whole connection with a hostile driver made of fuzzer input: messages in any order, indices,
 * doorbells, requests that stay in flight, time that passes.
 *
 * What must hold, whatever the driver does: every call ends, the quota is kept and regions leave
 * their part of it, a region stays mapped while it is held, an answer goes only into room that the
 * driver has left, and when the connection is closed nothing stays mapped or bound.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/address.h>
#include <vgrant/device.h>
#include <vgrant/msg.h>
#include <vgrant/view.h>
#include <vgrant/xenbus.h>

#include "bus/xenbus/control.h"
#include "fake/fake_xen.h"

#define CONTROL    100
#define RINGS      200 /* queue i has the page RINGS + i */
#define DATA       1000
#define NODE_PORT  5
#define PORTS      20 /* the driver offers PORTS … PORTS + 3, again and again */
#define QUEUES     2
#define QUEUE_SIZE 4
#define QUOTA      40
#define RESERVED   34 /* of that, not for regions */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
	const uint8_t *data;
	size_t left;
};

static struct {
	struct vg_virtqueue *vq;
	struct vg_element *elem;
} held[QUEUES * QUEUE_SIZE];
static unsigned int num_held;

static void require(bool holds)
{
	if (!holds)
		abort();
}

static uint32_t take(struct script *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->data++;
}

/* ---- who holds regions: some for longer than others ---- */

static struct {
	const volatile uint8_t *base;
	unsigned int asked;
} kept[VG_MAX_REGIONS];

static int hold_region(void *opaque, void VG_GUEST *base, size_t len)
{
	int i = 0;

	(void)opaque;
	(void)len;
	while (kept[i].base)
		i++;
	if (i == 3)
		return -EOPNOTSUPP;
	kept[i].base = VG_GUEST_RAW(const volatile uint8_t, base);
	kept[i].asked = 0;
	return i;
}

static bool release_region(void *opaque, int i)
{
	(void)opaque;
	require(kept[i].base);
	(void)*kept[i].base; /* mapped */
	if (kept[i].asked++ < (unsigned int)i % 3)
		return false;
	kept[i].base = NULL;
	return true;
}

/* ---- the device type ---- */

static int hold(void *priv, unsigned int index, struct vg_virtqueue *vq, unsigned int budget)
{
	struct vg_element *elems[QUEUE_SIZE];
	int n = vg_vq_pop(vq, elems, budget < QUEUE_SIZE ? budget : QUEUE_SIZE);

	(void)priv;
	(void)index;
	for (int i = 0; i < n; i++) {
		held[num_held].vq = vq;
		held[num_held++].elem = elems[i];
	}
	return n;
}

static int config_write(void *priv, uint32_t offset, const void *data, uint32_t len)
{
	(void)priv;
	(void)data;
	return offset + len > 4 ? -EACCES : 0;
}

static void complete_all(struct vg_device *dev)
{
	while (num_held) {
		num_held--;
		vg_vq_complete(held[num_held].vq, held[num_held].elem, 0);
	}
	vg_device_flush(dev);
}

/* ---- the driver ---- */

/* Mostly numbers that mean something, because random ones never do. */
static uint32_t some_value(struct script *s)
{
	static const uint32_t values[] = {0,          1,     2,        3,        0x0b,  0x0f,
					  4,          8,     16,       DATA,     RINGS, 0x80,
					  UINT32_MAX, PORTS, DATA + 4, NODE_PORT};
	uint32_t how = take(s);

	return how < 0xf0 ? values[how % 16] : how << 28 | take(s) << 8 | take(s);
}

static void send(struct script *s, struct vg_ctl *ctl)
{
	struct vg_msg msg = {.type = (uint8_t)(take(s) & 3), .id = (uint8_t)take(s)};
	uint8_t slot[VG_CTL_SLOT_SIZE];
	int len;

	msg.token = (uint16_t)take(s);
	msg.region.first = some_value(s);
	msg.region.count = some_value(s);
	msg.region.flags = some_value(s);
	if (!(msg.type & VG_MSG_BUS) && msg.id == VG_MSG_SET_VQUEUE) {
		uint32_t ref = RINGS + msg.vqueue.index % 4;

		msg.vqueue.size = msg.region.flags;
		msg.vqueue.desc_addr = vg_addr_make(ref, 0);
		msg.vqueue.driver_addr = vg_addr_make(ref, 0x400);
		msg.vqueue.device_addr = vg_addr_make(ref, 0x800);
	}
	if (!(msg.type & VG_MSG_BUS) && msg.id == VG_MSG_SET_DRIVER_FEATURES &&
	    msg.features.count == 2)
		msg.features.block[1] = 3;
	len = vg_msg_encode(&msg, slot, sizeof(slot));
	if (len > 0)
		vg_ctl_put(ctl, slot, (size_t)len);
}

static void receive(struct vg_ctl *ctl)
{
	uint8_t slot[VG_CTL_SLOT_SIZE];
	bool notify = false;
	struct vg_msg msg;

	/* The device's end of the page is honest. */
	while (vg_ctl_get(ctl, slot, &notify) == 1)
		require(!vg_msg_decode(slot, sizeof(slot), &msg));
	if (notify)
		fake_raise(NODE_PORT);
}

static void make_available(struct script *s)
{
	uint8_t *page = fake_page(RINGS + take(s) % QUEUES);
	uint16_t *avail = (uint16_t *)(void *)(page + 0x400);
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc = {htole64(vg_addr_make(DATA + take(s) % 8, 0)), htole32(512), 2, 0};

	memcpy(page, &desc, sizeof(desc));
	avail[1] = htole16((uint16_t)(le16toh(avail[1]) + 1));
}

static void take_events(struct vg_xenbus_conn *conn)
{
	int port;

	while ((port = vg_evtchn_pending(fake_evtchn())) > 0) {
		require(vg_xenbus_conn_event(conn, port));
		vg_evtchn_unmask(fake_evtchn(), port);
	}
}

static void play(struct script *s, struct vg_ctl *ctl, struct vg_xenbus_conn *conn,
		 struct vg_device *dev, const struct vg_quota *quota)
{
	uint8_t *page = fake_page(CONTROL);
	uint64_t now = 1000;
	bool over = false;

	while (s->left) {
		uint32_t op = take(s);
		size_t at;
		int ret;

		switch (op % 12) {
		case 0:
		case 1:
		case 2:
			send(s, ctl);
			break;
		case 3:
			/* Anything but what the device writes, which receive() checks. */
			at = (take(s) << 8 | take(s)) % 0x880;
			if (at / 64 != 2)
				page[at] = (uint8_t)take(s);
			break;
		case 4:
			receive(ctl);
			break;
		case 5:
			make_available(s);
			break;
		case 6:
			fake_offer_port(PORTS + take(s) % 4);
			fake_raise(take(s) % 2 ? NODE_PORT : PORTS + take(s) % 4);
			take_events(conn);
			break;
		case 7:
			now += UINT64_C(10) * take(s);
			break;
		case 8:
			complete_all(dev);
			break;
		case 9:
			vg_device_poll(dev, QUEUE_SIZE);
			vg_device_flush(dev);
			break;
		case 10:
			if (op > 200)
				vg_device_needs_reset(dev, "a test");
			vg_device_update_config(dev, 0, &op, 1);
			break;
		default:
			ret = vg_xenbus_conn_service(conn, now);
			require(ret == 0 || ret == 1 || ret == -EPROTO);
			require(!over || ret == -EPROTO);
			over = ret < 0;
			/* Nothing is left that could be done now, or it is said so. */
			require(vg_xenbus_conn_timeout(conn, now) != 0 || ret == 1);
		}
		require(quota->pages <= quota->max_pages);
		require(quota->region_pages <= QUOTA - RESERVED);
		require(fake_bound_ports() <= 1 + QUEUES);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct vg_device_ops ops = {
		.name = "hold",
		.device_id = 42,
		.process = hold,
		.config_write = config_write,
	};
	struct vg_quota quota = {.max_pages = QUOTA, .reserved = RESERVED};
	struct vg_ctl_page VG_GUEST *page;
	struct script script = {data, size};
	struct vg_view_config view_config = {
		.domid = FAKE_DOMID,
		.quota = &quota,
		.policy = {.copy_max = 4096},
		.max_refs = FAKE_REFS,
		.max_requests = QUEUES * QUEUE_SIZE,
		.holder = {.hold = hold_region, .release = release_region},
	};
	struct vg_device_config dev_config = {
		.ops = &ops,
		.num_queues = QUEUES,
		.max_queue_size = QUEUE_SIZE,
		.config_size = 8,
		.config = "12345678",
	};
	struct vg_xenbus_conn_config conn_config = {
		.domid = FAKE_DOMID,
		.control_ref = CONTROL,
		.remote_port = NODE_PORT,
		.quota = &quota,
		.reset_timeout_ms = 500,
	};
	struct vg_xenbus_conn *conn;
	struct vg_device *dev;
	struct vg_view *view;
	struct vg_ctl ctl;

	fake_xen_reset();
	fake_grant(CONTROL, 1, true);
	fake_grant(RINGS, 3, true);
	fake_grant(DATA, 6, true);
	fake_offer_port(NODE_PORT);
	page = (struct vg_ctl_page VG_GUEST *)(uintptr_t)fake_page(CONTROL);
	vg_ctl_format(page);
	vg_ctl_attach(&ctl, page, VG_CTL_DRIVER);

	view_config.gnttab = conn_config.gnttab = fake_gnttab();
	require(!vg_view_create(&view_config, &view));
	dev_config.view = conn_config.view = view;
	require(!vg_device_create(&dev_config, &dev));
	conn_config.device = dev;
	conn_config.evtchn = fake_evtchn();
	require(!vg_xenbus_conn_open(&conn_config, &conn));

	play(&script, &ctl, conn, dev, &quota);

	vg_device_stop(dev);
	complete_all(dev);
	require(vg_device_stop(dev));
	vg_xenbus_conn_close(conn);
	vg_device_destroy(dev);
	while (!vg_view_let_go(view)) {
	}
	for (unsigned int i = 0; i < VG_MAX_REGIONS; i++)
		require(!kept[i].base);
	vg_view_destroy(view);
	require(fake_xen_clean() && !quota.pages && !quota.region_pages);
	return 0;
}

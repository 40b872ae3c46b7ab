// SPDX-License-Identifier: MIT
/*
 * virtio-mmio over IOREQ with a hostile guest, and a page of requests, made of fuzzer input:
 * accesses of any kind, rings and descriptors, requests that stay in flight, time that passes, a
 * process that is killed and followed by another.
 *
 * What must hold: every request is answered, but for those that wait for a reset, which ends within
 * its time; nothing but granted pages is reached and the quota is kept; what is not a state of the
 * page's is left alone; no head is in the used ring that the driver did not make available.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xen/hvm/ioreq.h>

#include <vgrant/address.h>
#include <vgrant/device.h>
#include <vgrant/mmio.h>
#include <vgrant/view.h>

#include "fake/fake_xen.h"

#define RINGS      200 /* queue i has the page RINGS + i */
#define DATA       1000
#define PORT       10
#define VCPUS      2
#define QUEUES     2
#define QUEUE_SIZE 8
#define QUOTA      40
#define BASE       UINT64_C(0x2000000)
#define TIMEOUT_MS 500
#define SETTLE_MS  30000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
	const uint8_t *data;
	size_t left;
};

static struct {
	struct vg_virtqueue *vq;
	struct vg_element *elem;
} held[2 * QUEUES * QUEUE_SIZE];
static unsigned int num_held;

static struct vg_quota quota;
static struct vg_view *view;
static struct vg_device *dev;
static struct vg_mmio *mmio;
static struct vg_ioreq *server;
static struct vg_mmio_state state;

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

/* ---- the device type ---- */

static int hold(void *priv, unsigned int index, struct vg_virtqueue *vq, unsigned int budget)
{
	struct vg_element *elems[QUEUE_SIZE];
	int n = vg_vq_pop(vq, elems, budget < QUEUE_SIZE ? budget : QUEUE_SIZE);

	(void)priv;
	(void)index;
	for (int i = 0; i < n; i++) {
		require(num_held < sizeof(held) / sizeof(held[0]));
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

static const struct vg_device_ops device_ops = {
	.name = "hold",
	.device_id = 42,
	.process = hold,
	.config_write = config_write,
};

static void complete(unsigned int n)
{
	while (n-- && num_held) {
		num_held--;
		vg_vq_complete(held[num_held].vq, held[num_held].elem, 16);
	}
	vg_device_flush(dev);
}

/* ---- the process ---- */

static void interrupt(void *opaque, bool wanted)
{
	(void)opaque;
	(void)wanted;
}

static void reset_done(void *opaque)
{
	(void)opaque;
	if (server)
		vg_ioreq_release(server, mmio);
}

static const struct vg_mmio_ops mmio_ops = {.interrupt = interrupt, .reset_done = reset_done};

static struct ioreq *slot(unsigned int vcpu)
{
	return (struct ioreq *)fake_dm_page(0) + vcpu;
}

static void begin(uint32_t adopt)
{
	const struct vg_view_config view_config = {
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.policy = {.copy_max = 4096, .map_max = 16384},
		.max_refs = FAKE_REFS,
		.max_requests = 2 * QUEUES * QUEUE_SIZE,
	};
	struct vg_device_config dev_config = {
		.ops = &device_ops,
		.num_queues = QUEUES,
		.max_queue_size = QUEUE_SIZE,
		.config_size = 8,
		.config = "12345678",
	};
	struct vg_mmio_config mmio_config = {
		.state = &state, .ops = &mmio_ops, .reset_timeout_ms = TIMEOUT_MS};
	const struct vg_ioreq_config ioreq_config = {
		.dm = fake_dm(), .evtchn = fake_evtchn(), .domid = FAKE_DOMID, .adopt = adopt};

	num_held = 0;
	require(!vg_view_create(&view_config, &view));
	dev_config.view = view;
	require(!vg_device_create(&dev_config, &dev));
	mmio_config.device = dev;
	require(!vg_mmio_create(&mmio_config, &mmio));
	for (unsigned int i = 0; i < VCPUS; i++) {
		slot(i)->vp_eport = PORT + i;
		fake_offer_port(PORT + i);
	}
	require(!vg_ioreq_open(&ioreq_config, &server));
	require(!vg_ioreq_add(server, BASE, mmio));
	require(!vg_ioreq_start(server));
	vg_mmio_wake(mmio);
}

static void end(bool destroy)
{
	vg_device_stop(dev);
	complete(UINT32_MAX);
	require(vg_device_stop(dev));
	vg_ioreq_remove(server, mmio, !destroy);
	vg_mmio_destroy(mmio);
	vg_ioreq_close(server, destroy);
	server = NULL;
	vg_device_destroy(dev);
	vg_view_destroy(view);
	require(!quota.pages);
}

/* The next process finds what this one left at this instant. */
static void kill_process(void)
{
	static uint8_t rings[QUEUES * VG_PAGE_SIZE], page[VG_PAGE_SIZE];
	struct vg_mmio_state left = state;

	memcpy(rings, fake_page(RINGS), sizeof(rings));
	memcpy(page, fake_dm_page(0), sizeof(page));
	end(false);
	memcpy(fake_page(RINGS), rings, sizeof(rings));
	memcpy(fake_dm_page(0), page, sizeof(page));
	state = left;
	begin(0);
}

/* ---- the guest, and Xen's page ---- */

static uint64_t some_address(struct script *s)
{
	uint32_t how = take(s);

	if (how < 0xc0)
		return BASE + (how & ~3u);
	if (how < 0xe0)
		return BASE + 0x100 + (how - 0xc0);
	return (how & 1 ? BASE : UINT64_MAX) + take(s) - 128;
}

static uint32_t some_value(struct script *s)
{
	static const uint32_t values[] = {0,  1,  2,    3,    4,     7,          8,          11,
					  15, 16, 0x40, 0x80, 0x100, UINT32_MAX, 0x80000000, 5};
	uint32_t how = take(s);

	if (how < 0x80)
		return values[how % 16];
	if (how < 0xc0) /* half of a ring's address */
		return (uint32_t)(vg_addr_make(RINGS + how % 4, how % 3 * 0x400) >>
				  (how & 0x20 ? 32 : 0));
	return take(s) << 8 | take(s);
}

static void request(struct script *s)
{
	unsigned int vcpu = take(s) % VCPUS;
	struct ioreq *at = slot(vcpu);
	uint32_t how = take(s);

	if (at->state != STATE_IOREQ_NONE)
		return;
	at->addr = some_address(s);
	at->data = some_value(s);
	at->size = how < 0xe0 ? 4 : take(s);
	at->count = how < 0xe8 ? 1 : take(s) << 8 | take(s);
	at->type = how < 0xf0 ? IOREQ_TYPE_COPY : (uint8_t)take(s);
	at->dir = how & 1;
	at->df = how >= 0xe0 && how & 2;
	at->data_is_ptr = how >= 0xe0 && how & 4;
	at->state = STATE_IOREQ_READY;
}

/* What an honest driver does of one, so that the rest is reached. */
static void set_up(uint32_t queue)
{
	static const struct {
		uint32_t offset, value;
	} first[] = {{0x70, 0},          {0x70, 1}, {0x70, 3}, {0x24, 0},
		     {0x20, 0x30000000}, {0x24, 1}, {0x20, 3}, {0x70, 0x0b}};
	uint64_t ring = vg_addr_make(RINGS + queue, 0);

	for (unsigned int i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		if (vg_mmio_write(mmio, first[i].offset, 4, first[i].value))
			return;
	vg_mmio_write(mmio, 0x30, 4, queue);
	vg_mmio_write(mmio, 0x38, 4, QUEUE_SIZE);
	for (uint32_t i = 0; i < 3; i++) {
		vg_mmio_write(mmio, 0x80 + 16 * i, 4, (uint32_t)(ring + 0x400 * i));
		vg_mmio_write(mmio, 0x84 + 16 * i, 4, ring >> 32);
	}
	vg_mmio_write(mmio, 0x44, 4, 1);
	vg_mmio_write(mmio, 0x70, 4, 0x0f);
}

static void make_available(struct script *s)
{
	uint8_t *page = fake_page(RINGS + take(s) % QUEUES);
	uint16_t *avail = (uint16_t *)(void *)(page + 0x400);
	uint32_t how = take(s), head = how % QUEUE_SIZE;
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc = {htole64(vg_addr_make(DATA + how % 8, 0)), htole32(take(s) * 64), how % 4,
		  (uint16_t)(take(s) % QUEUE_SIZE)};

	memcpy(page + sizeof(desc) * head, &desc, sizeof(desc));
	avail[2 + le16toh(avail[1]) % QUEUE_SIZE] = htole16((uint16_t)head);
	avail[1] = htole16((uint16_t)(le16toh(avail[1]) + 1));
}

/* The vCPUs whose requests are answered go on. */
static void go_on(bool all)
{
	vg_ioreq_poll(server);
	for (unsigned int i = 0; i < VCPUS; i++) {
		/* To a device that may still come, after the earlier process's end. */
		if (vg_ioreq_timeout(server, 0) >= 0 && slot(i)->state == STATE_IOREQ_READY)
			continue;
		if (slot(i)->state == STATE_IORESP_READY)
			slot(i)->state = STATE_IOREQ_NONE;
		/* Held for the end of a reset, and for nothing else. */
		require(slot(i)->state == STATE_IOREQ_NONE ||
			(!all && num_held && slot(i)->state == STATE_IOREQ_INPROCESS));
	}
}

static void play(struct script *s)
{
	uint64_t now = 1000;
	size_t at;

	while (s->left) {
		switch (take(s) % 12) {
		case 0:
		case 1:
		case 2:
		case 3:
			request(s);
			go_on(false);
			break;
		case 4:
			set_up(take(s) % QUEUES);
			break;
		case 5:
			make_available(s);
			break;
		case 6: /* rings that lie */
			at = (take(s) << 8 | take(s)) % (QUEUES * VG_PAGE_SIZE);
			((uint8_t *)fake_page(RINGS))[at] = (uint8_t)take(s);
			break;
		case 7:
			now += UINT64_C(10) * take(s);
			vg_mmio_service(mmio, now);
			vg_ioreq_service(server, now);
			break;
		case 8:
			complete(take(s));
			break;
		case 9:
			vg_device_poll(dev, QUEUE_SIZE);
			vg_device_flush(dev);
			break;
		case 10:
			kill_process();
			break;
		default: /* a page of requests as no Xen writes it */
			at = take(s) % (VCPUS * sizeof(struct ioreq));
			if (at % sizeof(struct ioreq) < 24)
				((uint8_t *)fake_dm_page(0))[at] = (uint8_t)take(s);
		}
		require(quota.pages <= quota.max_pages);
		require(fake_bound_ports() == VCPUS);
		for (unsigned int i = 0; i < VCPUS; i++)
			require(slot(i)->vp_eport == PORT + i);
	}
	vg_mmio_service(mmio, now);
	vg_mmio_service(mmio, now + TIMEOUT_MS);
	vg_ioreq_service(server, now);
	vg_ioreq_service(server, now + SETTLE_MS);
	vg_mmio_service(mmio, now + TIMEOUT_MS);
	vg_mmio_service(mmio, now + 2 * TIMEOUT_MS);
	go_on(true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {data, size};

	fake_xen_reset();
	memset(&state, 0, sizeof(state));
	quota = (struct vg_quota){.max_pages = QUOTA};
	fake_grant(RINGS, QUEUES, true);
	fake_grant(DATA, 6, true);
	begin(VG_IOREQ_NONE);
	play(&script);
	end(true);
	require(fake_xen_clean() && !fake_dm_server(0) && !fake_dm_mapped());
	return 0;
}

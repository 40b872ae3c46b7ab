/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the device model share: a device type whose requests can be held back, a bus
 * that counts what it is told, a driver that writes plain rings, and a log that counts its lines.
 */
#ifndef VGRANT_DEVICE_FIXTURE_H
#define VGRANT_DEVICE_FIXTURE_H

#include <check.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <vgrant/device.h>

#include "fake/fake_xen.h"

#define QUEUES          4
#define MAX_SIZE        64
#define TOY_FEATURE     (UINT64_C(1) << 5)
#define REQUIRED        (VG_F_VERSION_1 | VG_F_ACCESS_PLATFORM)
#define CONFIG_SIZE     24
#define NEGOTIATING     (VG_STATUS_ACKNOWLEDGE | VG_STATUS_DRIVER)
#define NEGOTIATED      (NEGOTIATING | VG_STATUS_FEATURES_OK)
#define RUNNING         (NEGOTIATED | VG_STATUS_DRIVER_OK)
#define NEEDS_RESET     VG_STATUS_DEVICE_NEEDS_RESET
#define RING_REF(i)     (16 + 4 * (i)) /* descriptors, available ring, used ring, data */
#define DESC_F_WRITE    2
#define DESC_F_INDIRECT 4

/* ---- the device type ---- */

struct toy {
	bool hold; /* complete nothing by itself */
	struct {
		struct vg_virtqueue *vq;
		struct vg_element *elem;
	} held[256];
	unsigned int num_held;
	unsigned int calls[VG_DEVICE_MAX_QUEUES]; /* of process */
	unsigned int taken[VG_DEVICE_MAX_QUEUES];
	unsigned int order[64]; /* queues in the order of the calls */
	unsigned int num_order;
	unsigned int starts, resets, writes;
	uint64_t features;
	int start_result, write_result, process_result;
	struct vg_device *complains_to; /* asks for a reset while it processes */
};

static inline int toy_process(void *priv, unsigned int index, struct vg_virtqueue *vq,
			      unsigned int budget)
{
	struct toy *toy = priv;
	unsigned int taken = 0;
	int n = 0;

	toy->calls[index]++;
	if (toy->num_order < 64)
		toy->order[toy->num_order++] = index;
	if (toy->process_result)
		return toy->process_result;
	while (taken < budget) {
		struct vg_element *elem;

		n = vg_vq_pop(vq, &elem, 1);
		if (n <= 0)
			break;
		taken++;
		if (toy->hold) {
			toy->held[toy->num_held].vq = vq;
			toy->held[toy->num_held++].elem = elem;
		} else {
			vg_vq_complete(vq, elem, 0);
		}
	}
	toy->taken[index] += taken;
	if (toy->complains_to)
		vg_device_needs_reset(toy->complains_to, "it did not like a request");
	return taken ? (int)taken : n;
}

/* Completes the first @n requests that are held. */
static inline void toy_release(struct toy *toy, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		vg_vq_complete(toy->held[i].vq, toy->held[i].elem, 0);
	toy->num_held -= n;
	memmove(toy->held, toy->held + n, toy->num_held * sizeof(toy->held[0]));
}

static inline int toy_start(void *priv, uint64_t features)
{
	struct toy *toy = priv;

	toy->starts++;
	toy->features = features;
	return toy->start_result;
}

static inline void toy_reset(void *priv)
{
	((struct toy *)priv)->resets++;
}

static inline int toy_config_write(void *priv, uint32_t offset, const void *data, uint32_t len)
{
	struct toy *toy = priv;

	(void)offset;
	(void)data;
	(void)len;
	toy->writes++;
	return toy->write_result;
}

static const struct vg_device_ops toy_ops = {
	.name = "toy",
	.device_id = 42,
	.process = toy_process,
	.start = toy_start,
	.reset = toy_reset,
	.config_write = toy_config_write,
};

/* ---- the bus ---- */

struct recorder {
	unsigned int notified[VG_DEVICE_MAX_QUEUES];
	unsigned int config_changes, resets_done;
	struct vg_device *dev;
	uint8_t status_at_reset;
};

static inline void recorder_notify(void *bus, unsigned int index)
{
	((struct recorder *)bus)->notified[index]++;
}

static inline void recorder_config_changed(void *bus)
{
	((struct recorder *)bus)->config_changes++;
}

static inline void recorder_reset_done(void *bus)
{
	struct recorder *recorder = bus;

	recorder->resets_done++;
	recorder->status_at_reset = vg_device_get_status(recorder->dev);
}

static const struct vg_bus_ops recorder_ops = {
	.notify = recorder_notify,
	.config_changed = recorder_config_changed,
	.reset_done = recorder_reset_done,
};

/* ---- the log ---- */

static struct {
	unsigned int lines;
	char last[256];
} logged;

__attribute__((format(printf, 3, 0))) static inline void
log_emit(void *opaque, enum vg_log_level level, const char *fmt, va_list ap)
{
	(void)opaque;
	(void)level;
	logged.lines++;
	vsnprintf(logged.last, sizeof(logged.last), fmt, ap);
}

static const struct vg_log counting_log = {.emit = log_emit};

/* ---- the driver ---- */

struct descriptor {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct driver_ring {
	struct descriptor *desc;
	uint16_t *avail; /* flags, index, ring */
	uint16_t *used;  /* flags, index, ring */
	uint16_t size, avail_idx;
};

static inline void ring_publish(struct driver_ring *ring)
{
	__atomic_store_n(&ring->avail[1], htole16(ring->avail_idx), __ATOMIC_RELEASE);
}

/* Makes @n requests of one device-writable buffer each available. */
static inline void ring_add(struct driver_ring *ring, unsigned int index, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		uint16_t head = ring->avail_idx % ring->size;

		ring->desc[head] = (struct descriptor){
			.addr = htole64(vg_addr_make(RING_REF(index) + 3, 0)),
			.len = htole32(16),
			.flags = htole16(DESC_F_WRITE),
		};
		ring->avail[2 + head] = htole16(head);
		ring->avail_idx++;
	}
	ring_publish(ring);
}

static inline uint16_t ring_used(const struct driver_ring *ring)
{
	return le16toh(__atomic_load_n(&ring->used[1], __ATOMIC_ACQUIRE));
}

/* ---- all of it together ---- */

static struct toy toy;
static struct recorder recorder;
static struct driver_ring ring[QUEUES];
static struct vg_quota quota;
static struct vg_view *view;
static struct vg_device *dev;
static uint8_t first_config[CONFIG_SIZE];

static inline struct vg_device_config device_config(void)
{
	return (struct vg_device_config){
		.ops = &toy_ops,
		.priv = &toy,
		.view = view,
		.features = TOY_FEATURE,
		.vendor_id = 0x1af4,
		.num_queues = QUEUES,
		.max_queue_size = MAX_SIZE,
		.config_size = CONFIG_SIZE,
		.config = first_config,
		.log = &counting_log,
		.label = "dom7 xvda",
	};
}

static inline void set_up(void)
{
	struct vg_view_config view_config;
	struct vg_device_config config;

	fake_xen_reset();
	memset(&toy, 0, sizeof(toy));
	memset(&recorder, 0, sizeof(recorder));
	memset(&logged, 0, sizeof(logged));
	quota = (struct vg_quota){.max_pages = 256};
	view_config = (struct vg_view_config){
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.policy = {.copy_max = 65536},
		.max_requests = 256,
	};
	for (unsigned int i = 0; i < CONFIG_SIZE; i++)
		first_config[i] = (uint8_t)(i + 1);
	ck_assert_int_eq(vg_view_create(&view_config, &view), 0);
	config = device_config();
	ck_assert_int_eq(vg_device_create(&config, &dev), 0);
	recorder.dev = dev;
	vg_device_set_bus(dev, &recorder_ops, &recorder);
}

static inline void tear_down(void)
{
	vg_device_destroy(dev);
	vg_view_destroy(view);
	dev = NULL;
	view = NULL;
	ck_assert(fake_xen_clean());
	ck_assert_uint_eq(quota.pages, 0);
}

static inline void choose_features(uint64_t features)
{
	ck_assert_int_eq(vg_device_set_features(dev, 0, (uint32_t)features), 0);
	ck_assert_int_eq(vg_device_set_features(dev, 1, (uint32_t)(features >> 32)), 0);
}

/* From status 0 to FEATURES_OK. */
static inline void negotiate(uint64_t features)
{
	ck_assert_int_eq(vg_device_set_status(dev, VG_STATUS_ACKNOWLEDGE), 0);
	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATING), 0);
	choose_features(features);
	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATED), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), NEGOTIATED);
}

/* Empty rings of queue @index, granted to the device. */
static inline struct vg_queue_setup new_ring(unsigned int index, uint16_t size)
{
	uint32_t ref = RING_REF(index);

	fake_grant(ref, 4, true);
	memset(fake_page(ref), 0, 4 * (size_t)VG_PAGE_SIZE);
	ring[index] = (struct driver_ring){
		.desc = fake_page(ref),
		.avail = fake_page(ref + 1),
		.used = fake_page(ref + 2),
		.size = size,
	};
	return (struct vg_queue_setup){
		.size = size,
		.desc_addr = vg_addr_make(ref, 0),
		.driver_addr = vg_addr_make(ref + 1, 0),
		.device_addr = vg_addr_make(ref + 2, 0),
	};
}

/* From status 0 to DRIVER_OK with the first @queues queues set up. */
static inline void run_device(unsigned int queues, uint16_t size)
{
	negotiate(REQUIRED);
	for (unsigned int i = 0; i < queues; i++) {
		struct vg_queue_setup setup = new_ring(i, size);

		ck_assert_int_eq(vg_device_set_queue(dev, i, &setup), 0);
	}
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), RUNNING);
	ck_assert_uint_eq(toy.starts, 1);
}

/* Completes what is held and lets the driver see it, so that a test can end. */
static inline void drain(void)
{
	toy_release(&toy, toy.num_held);
	vg_device_flush(dev);
	ck_assert_uint_eq(vg_device_inflight(dev), 0);
}

static inline int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A driver's half of virtio-blk over fake guest memory, and the loop of a worker around the device.
 * Buffers are named by their offset in the guest's data pages.
 */
#ifndef VGRANT_UNIT_BLK_SUPPORT_H
#define VGRANT_UNIT_BLK_SUPPORT_H

#include <errno.h>
#include <linux/virtio_blk.h>

#include "disk_support.h"
#include "ring.h"

#include "devices/blk/blk.h"

#define DISK_SIZE (512 << 10)
#define SECTORS   (DISK_SIZE / 512)

/* How the device reaches the data, and does its I/O: the index of a loop test. */
enum memory_way { IN_REGION, COPIED, MAPPED };
#define WAYS          6
#define WAY_RING(i)   ((i)&1)
#define WAY_MEMORY(i) ((enum memory_way)((i) >> 1))

#define HEADER 0     /* where a test's requests have their header … */
#define STATUS 4096  /* … status … */
#define DATA   32768 /* … and data, from its ninth page on */
#define UNSET  0x77  /* what the status byte holds before */

static struct ring guest;
static struct vg_quota quota;
static struct vg_view *view;
static struct vg_io_ring *io_ring;
static struct vg_blk *blk;
static struct vg_device *dev;
static int disk = -1;
static unsigned int notified, resets;
static bool registers; /* regions are registered with the ring, if there is one */

static inline void bus_notify(void *bus, unsigned int index)
{
	(void)bus;
	(void)index;
	notified++;
}

static inline void bus_config_changed(void *bus)
{
	(void)bus;
}

static inline void bus_reset_done(void *bus)
{
	(void)bus;
	resets++;
}

static const struct vg_bus_ops bus_ops = {
	.notify = bus_notify,
	.config_changed = bus_config_changed,
	.reset_done = bus_reset_done,
};

static inline int hold_region(void *ring, void VG_GUEST *base, size_t len)
{
	return vg_io_buffer_hold(ring, base, len);
}

static inline bool release_region(void *ring, int handle)
{
	return vg_io_buffer_release(ring, handle);
}

/* The guest, its memory and its disk; the device comes after. */
static inline void world_begin(int way)
{
	struct vg_view_config config = {
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.policy = {.copy_max = WAY_MEMORY(way) == COPIED ? 1 << 17 : 0,
			   .map_max = WAY_MEMORY(way) == MAPPED ? 1 << 20 : 0},
		.max_refs = FAKE_REFS,
		.max_requests = 64,
		.log = &test_log,
	};

	fake_xen_reset();
	quota = (struct vg_quota){.max_pages = 1024};
	if (WAY_RING(way))
		io_ring = ring_open(32);
	if (io_ring && registers)
		config.holder = (struct vg_region_holder){hold_region, release_region, io_ring};
	ck_assert_int_eq(vg_view_create(&config, &view), 0);
	ring_init(&guest);
	if (WAY_MEMORY(way) == IN_REGION)
		ck_assert_int_eq(vg_view_region_add(view, DATA_REF, DATA_PAGES, true), 0);
	disk = disk_file(DISK_SIZE);
	disk_fill(disk, DISK_SIZE, 0);
}

static inline struct vg_blk_config blk_config(void)
{
	return (struct vg_blk_config){
		.view = view,
		.io = io_ring,
		.fd = disk,
		.queues = 1,
		.serial = "serial-number",
		.log = &test_log,
		.label = "test disk",
	};
}

static inline void set_status(uint8_t bits)
{
	uint8_t status = vg_device_get_status(dev) | bits;

	ck_assert_int_eq(vg_device_set_status(dev, status), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), status);
}

/* Brings the device up as a driver does that wants all features but those in @without. */
static inline void driver_begin(uint64_t without)
{
	const struct vg_queue_setup queue = {
		.size = RING_SIZE,
		.desc_addr = vg_addr_make(RING_REF, 0),
		.driver_addr = vg_addr_make(RING_REF + 1, 0),
		.device_addr = vg_addr_make(RING_REF + 2, 0),
	};

	set_status(VG_STATUS_ACKNOWLEDGE);
	set_status(VG_STATUS_DRIVER);
	for (uint32_t block = 0; block < 2; block++)
		vg_device_set_features(
			dev, block,
			vg_device_get_features(dev, block) &
				~(uint32_t)((without | VG_F_EVENT_IDX) >> 32 * block));
	set_status(VG_STATUS_FEATURES_OK);
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &queue), 0);
	set_status(VG_STATUS_DRIVER_OK);
}

static inline void device_begin(const struct vg_blk_config *config)
{
	ck_assert_int_eq(vg_blk_create(config, &blk), 0);
	dev = vg_blk_device(blk);
	vg_device_set_bus(dev, &bus_ops, &guest);
}

/* All of it, with an ordinary disk. */
static inline void begin(int way)
{
	const struct vg_blk_config config = (world_begin(way), blk_config());

	device_begin(&config);
	driver_begin(0);
}

static inline void end(void)
{
	ck_assert(vg_device_stop(dev));
	vg_blk_destroy(blk);
	ck_assert_uint_eq(vg_view_open_requests(view), 0);
	while (!vg_view_let_go(view))
		ring_wait(io_ring);
	vg_view_destroy(view);
	ck_assert_uint_eq(quota.pages, 0);
	ck_assert(fake_xen_clean());
	if (io_ring)
		ck_assert_uint_eq(vg_io_inflight(io_ring), 0);
	vg_io_ring_close(io_ring);
	close(disk);
}

/* ---- the worker's loop ---- */

/* Until nothing is left to do. */
static inline void serve(void)
{
	bool more;

	vg_device_kick(dev, VG_ALL_QUEUES);
	do {
		more = vg_device_service(dev, 64);
		if (io_ring)
			ring_drain(io_ring, 0);
		vg_device_flush(dev);
	} while (more);
	ck_assert_uint_eq(vg_device_inflight(dev), 0);
}

/* ---- requests ---- */

static unsigned int descriptors; /* of the chain that is being made, and those before it */
static unsigned int first;       /* of this chain */

static inline void add(uint64_t addr, uint32_t len, uint16_t flags)
{
	ck_assert_uint_lt(descriptors, RING_SIZE);
	if (descriptors != first)
		guest.desc[descriptors - 1].flags |= D_NEXT;
	ring_desc(&guest, descriptors, addr, len, flags, (uint16_t)(descriptors + 1));
	descriptors++;
}

static inline uint64_t data_addr(uint32_t offset)
{
	return vg_addr_make(DATA_REF + offset / VG_PAGE_SIZE, offset % VG_PAGE_SIZE);
}

static inline void out(uint32_t offset, uint32_t len)
{
	add(data_addr(offset), len, 0);
}

static inline void in(uint32_t offset, uint32_t len)
{
	add(data_addr(offset), len, D_WRITE);
}

static inline void offer(void)
{
	ring_offer(&guest, (uint16_t)first);
	first = descriptors;
}

static inline void put_header(uint32_t offset, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr header = {.type = type, .sector = sector};

	memcpy(guest.data + offset, &header, sizeof(header));
}

/* Serves what was offered. Returns the used length of the last one. */
static inline uint32_t finish(void)
{
	uint16_t used = guest.used->idx;

	serve();
	ck_assert_uint_eq((uint16_t)(guest.used->idx - used), descriptors ? 1 : 0);
	descriptors = first = 0;
	return guest.used->ring[used % RING_SIZE].len;
}

/* One request with the usual framing. Returns its status; its used length must be that of all that
 * is device-writable. */
static inline uint8_t request(uint32_t type, uint64_t sector, uint32_t data, uint32_t len)
{
	bool reads = type != VIRTIO_BLK_T_OUT;

	put_header(HEADER, type, sector);
	guest.data[STATUS] = UNSET;
	out(HEADER, 16);
	if (len && !reads)
		out(data, len);
	if (len && reads)
		in(data, len);
	in(STATUS, 1);
	offer();
	ck_assert_uint_eq(finish(), (reads ? len : 0) + 1);
	return (uint8_t)guest.data[STATUS];
}

static inline bool is_filled(uint32_t offset, uint32_t len, int byte)
{
	for (uint32_t i = 0; i < len; i++)
		if (guest.data[offset + i] != (char)byte)
			return false;
	return true;
}

/* The guest's @len bytes at @offset are those that the disk was filled with at @sector. */
static inline bool holds_sector(uint32_t offset, uint32_t len, uint64_t sector)
{
	return disk_same((const uint8_t *)guest.data + offset, len, sector * 512, 0) == len;
}

/* The disk's sectors are as they were filled. */
static inline bool disk_untouched(uint64_t sector, unsigned int sectors)
{
	bool same = true;

	for (; sectors; sector++, sectors--) {
		uint8_t back[512];

		ck_assert_int_eq(pread(disk, back, 512, (off_t)(sector * 512)), 512);
		same = same && disk_same(back, 512, sector * 512, 0) == 512;
	}
	return same;
}

#endif

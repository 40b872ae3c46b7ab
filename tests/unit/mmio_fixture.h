/* SPDX-License-Identifier: MIT */
/* What the tests of virtio-mmio's registers share: a device with its registers, and a driver's
 * reads and writes. */
#ifndef VGRANT_MMIO_FIXTURE_H
#define VGRANT_MMIO_FIXTURE_H

#include <vgrant/mmio.h>

#include "bus/mmio/regs.h"
#include "device_fixture.h"

struct line {
	unsigned int raised, resets_done;
	/* What a pin that takes edges sees of it; the level outlives whoever has set it. */
	bool high;
	unsigned int edges;
};

static struct line line;
static struct vg_mmio_state state;
static struct vg_mmio *mmio;

static inline void line_interrupt(void *opaque, bool wanted)
{
	struct line *l = opaque;

	l->raised += wanted;
	l->edges += wanted && !l->high;
	l->high = wanted;
}

static inline void line_reset_done(void *opaque)
{
	((struct line *)opaque)->resets_done++;
}

static const struct vg_mmio_ops line_ops = {
	.interrupt = line_interrupt,
	.reset_done = line_reset_done,
};

/* Registers over @dev and @state as they are now. */
static inline void open_registers(void)
{
	const struct vg_mmio_config config = {
		.device = dev,
		.state = &state,
		.ops = &line_ops,
		.opaque = &line,
		.reset_timeout_ms = 1000,
		.log = &counting_log,
		.label = "dom7 xvda",
	};

	line = (struct line){.high = line.high};
	ck_assert_int_eq(vg_mmio_create(&config, &mmio), 0);
}

static inline void set_up_mmio(void)
{
	set_up();
	memset(&state, 0, sizeof(state));
	line.high = false;
	open_registers();
}

static inline void tear_down_mmio(void)
{
	vg_mmio_destroy(mmio);
	mmio = NULL;
	tear_down();
}

static inline uint32_t rd(uint32_t offset)
{
	uint64_t value = vg_mmio_read(mmio, offset, 4);

	ck_assert_uint_le(value, UINT32_MAX);
	return (uint32_t)value;
}

static inline void wr(uint32_t offset, uint32_t value)
{
	ck_assert_int_eq(vg_mmio_write(mmio, offset, 4, value), 0);
}

static inline void driver_features(uint64_t features)
{
	wr(REG_DRIVER_FEATURES_SEL, 0);
	wr(REG_DRIVER_FEATURES, (uint32_t)features);
	wr(REG_DRIVER_FEATURES_SEL, 1);
	wr(REG_DRIVER_FEATURES, (uint32_t)(features >> 32));
}

static inline void mmio_negotiate(uint64_t features)
{
	wr(REG_STATUS, VG_STATUS_ACKNOWLEDGE);
	wr(REG_STATUS, NEGOTIATING);
	driver_features(features);
	wr(REG_STATUS, NEGOTIATED);
	ck_assert_uint_eq(rd(REG_STATUS), NEGOTIATED);
}

static inline void write_address(uint32_t low, uint64_t address)
{
	wr(low, (uint32_t)address);
	wr(low + 4, (uint32_t)(address >> 32));
}

/* Everything of a queue but QueueReady. */
static inline void write_queue(unsigned int index, const struct vg_queue_setup *setup)
{
	wr(REG_QUEUE_SEL, index);
	wr(REG_QUEUE_SIZE, setup->size);
	write_address(REG_QUEUE_DESC_LOW, setup->desc_addr);
	write_address(REG_QUEUE_DRIVER_LOW, setup->driver_addr);
	write_address(REG_QUEUE_DEVICE_LOW, setup->device_addr);
}

/* QueueReady, as it is when 1 was written. */
static inline uint32_t make_ready(unsigned int index, const struct vg_queue_setup *setup)
{
	write_queue(index, setup);
	wr(REG_QUEUE_READY, 1);
	return rd(REG_QUEUE_READY);
}

/* To DRIVER_OK, with the first @queues queues. */
static inline void mmio_run(unsigned int queues, uint16_t size)
{
	mmio_negotiate(REQUIRED);
	for (unsigned int i = 0; i < queues; i++) {
		struct vg_queue_setup setup = new_ring(i, size);

		ck_assert_uint_eq(make_ready(i, &setup), 1);
	}
	wr(REG_STATUS, RUNNING);
	ck_assert_uint_eq(rd(REG_STATUS), RUNNING);
}

/* What each register is after reset. Others read as zero. */
static const struct {
	uint32_t offset, value;
} at_reset[] = {
	{REG_MAGIC, 0x74726976},
	{REG_VERSION, 2},
	{REG_DEVICE_ID, 42},
	{REG_VENDOR_ID, 0x1af4},
	{REG_DEVICE_FEATURES, TOY_FEATURE | VG_F_INDIRECT_DESC | VG_F_EVENT_IDX},
	{REG_QUEUE_SIZE_MAX, MAX_SIZE},
	{REG_SHM_LEN_LOW, UINT32_MAX},
	{REG_SHM_LEN_HIGH, UINT32_MAX},
	{REG_SHM_BASE_LOW, UINT32_MAX},
	{REG_SHM_BASE_HIGH, UINT32_MAX},
};

static inline uint32_t expected_at_reset(uint32_t offset)
{
	for (unsigned int i = 0; i < sizeof(at_reset) / sizeof(at_reset[0]); i++)
		if (at_reset[i].offset == offset)
			return at_reset[i].value;
	return 0;
}

static inline void check_at_reset(void)
{
	for (uint32_t offset = 0; offset < VG_MMIO_CONFIG; offset += 4)
		ck_assert_msg(rd(offset) == expected_at_reset(offset), "register 0x%03x is 0x%08x",
			      offset, rd(offset));
}

/* What a worker's loop does once. */
static inline void turn(void)
{
	vg_device_service(dev, 64);
	vg_device_flush(dev);
}

#endif

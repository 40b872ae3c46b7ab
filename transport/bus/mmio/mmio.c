// SPDX-License-Identifier: MIT
/*
 * The register model. What the registers hold is in struct vg_mmio_state and nowhere else, written
 * after the device model has done what it stands for: a process that ends in between leaves an
 * access unanswered, and the next one does it again.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/mmio.h>

#include "bus/mmio/regs.h"

#define DEFAULT_TIMEOUT_MS 5000

struct vg_mmio {
	/* The request path: vg_bus_ops.notify and kicks. */
	struct vg_device *device;
	struct vg_mmio_state *state;
	const struct vg_mmio_ops *ops;
	void *opaque;
	struct vg_mmio_stats stats;

	bool waiting;         /* the driver is held for the end of a reset */
	uint64_t deadline_ms; /* of that; 0: not set yet */
	uint32_t timeout_ms;
	struct vg_device_info info;
	const struct vg_log *log;
	char label[64];
};

/* ---- the bus of the device model ---- */

static void raise_interrupt(struct vg_mmio *mmio, uint32_t bits)
{
	mmio->state->interrupt |= bits;
	mmio->stats.interrupts++;
	mmio->ops->interrupt(mmio->opaque, true);
}

static void bus_notify(void *bus, unsigned int index)
{
	(void)index;
	raise_interrupt(bus, VG_MMIO_INT_QUEUE);
}

static void bus_config_changed(void *bus)
{
	raise_interrupt(bus, VG_MMIO_INT_CONFIG);
}

/* What a reset leaves of the registers: the selectors, as they were. */
static void clear_state(struct vg_mmio *mmio)
{
	struct vg_mmio_state *state = mmio->state;
	bool asserted = state->interrupt;

	/* First: with this the rest means nothing to a later process. */
	__atomic_store_n(&state->status, 0, __ATOMIC_RELEASE);
	state->interrupt = 0;
	memset(state->features, 0, sizeof(state->features));
	state->features_unknown = 0;
	memset(state->queue, 0, sizeof(state->queue));
	if (asserted)
		mmio->ops->interrupt(mmio->opaque, false);
}

static void release_driver(struct vg_mmio *mmio)
{
	if (!mmio->waiting)
		return;
	mmio->waiting = false;
	mmio->ops->reset_done(mmio->opaque);
}

static void bus_reset_done(void *bus)
{
	struct vg_mmio *mmio = bus;

	clear_state(mmio);
	release_driver(mmio);
}

static const struct vg_bus_ops bus_ops = {
	.notify = bus_notify,
	.config_changed = bus_config_changed,
	.reset_done = bus_reset_done,
};

/* ---- going on where an earlier process stopped ---- */

static int set_up_queue(struct vg_mmio *mmio, uint32_t index, bool resume)
{
	const struct vg_mmio_queue *queue = &mmio->state->queue[index];
	const struct vg_queue_setup setup = {
		.size = queue->size,
		.desc_addr = queue->desc,
		.driver_addr = queue->driver,
		.device_addr = queue->device,
		.log = &mmio->state->log[index],
		.resume = resume,
	};

	return vg_device_set_queue(mmio->device, index, &setup);
}

/* Sets the bits of @status up to and with @upto that were set; true when the device took them. */
static bool replay_status(struct vg_mmio *mmio, uint32_t status, uint32_t upto)
{
	uint8_t want = (uint8_t)(status & upto);

	return !want || (!vg_device_set_status(mmio->device, want) &&
			 (vg_device_get_status(mmio->device) & want) == want);
}

static bool replay(struct vg_mmio *mmio)
{
	const struct vg_mmio_state *state = mmio->state;
	uint32_t before = VG_STATUS_ACKNOWLEDGE | VG_STATUS_DRIVER;
	uint32_t status = state->status & ~(uint32_t)VG_STATUS_DEVICE_NEEDS_RESET;
	bool ok = replay_status(mmio, status, before);

	for (uint32_t block = 0; block < 2; block++)
		vg_device_set_features(mmio->device, block, state->features[block]);
	if (state->features_unknown)
		vg_device_set_features(mmio->device, 2, 1);
	before |= VG_STATUS_FEATURES_OK;
	ok = ok && replay_status(mmio, status, before);
	for (uint32_t i = 0; i < mmio->info.num_queues && ok; i++)
		ok = !state->queue[i].ready || !set_up_queue(mmio, i, true);
	before |= VG_STATUS_DRIVER_OK;
	ok = ok && replay_status(mmio, status, before);
	return ok && replay_status(mmio, status, before | VG_STATUS_FAILED);
}

static void restore(struct vg_mmio *mmio)
{
	struct vg_mmio_state *state = mmio->state;
	bool needs_reset = state->status & VG_STATUS_DEVICE_NEEDS_RESET;

	vg_device_set_status(mmio->device, 0);
	if (!state->status) {
		/* Of a reset that was not finished, something may be left. */
		clear_state(mmio);
		return;
	}
	if (!replay(mmio))
		vg_device_needs_reset(mmio->device,
				      "it could not go on where an earlier vgrantd stopped");
	else if (needs_reset)
		vg_device_needs_reset(mmio->device, "it was so when an earlier vgrantd stopped");
	state->status = vg_device_get_status(mmio->device);
}

void vg_mmio_wake(struct vg_mmio *mmio)
{
	if (mmio->state->status & VG_STATUS_DRIVER_OK)
		raise_interrupt(mmio, VG_MMIO_INT_QUEUE | VG_MMIO_INT_CONFIG);
}

int vg_mmio_create(const struct vg_mmio_config *config, struct vg_mmio **out)
{
	struct vg_mmio *mmio = calloc(1, sizeof(*mmio));

	if (!mmio)
		return -ENOMEM;
	mmio->device = config->device;
	mmio->state = config->state;
	mmio->ops = config->ops;
	mmio->opaque = config->opaque;
	mmio->timeout_ms = config->reset_timeout_ms ? config->reset_timeout_ms : DEFAULT_TIMEOUT_MS;
	mmio->log = config->log;
	snprintf(mmio->label, sizeof(mmio->label), "%s", config->label ? config->label : "mmio");
	vg_device_get_info(mmio->device, &mmio->info);
	vg_device_set_bus(mmio->device, &bus_ops, mmio);
	/* An earlier process may have left the line high, and a pin that takes edges would see no
	 * rise any more. */
	mmio->ops->interrupt(mmio->opaque, false);
	restore(mmio);
	*out = mmio;
	return 0;
}

void vg_mmio_destroy(struct vg_mmio *mmio)
{
	if (!mmio)
		return;
	vg_device_set_bus(mmio->device, NULL, NULL);
	free(mmio);
}

/* ---- reads ---- */

static struct vg_mmio_queue *selected(struct vg_mmio *mmio)
{
	uint32_t index = mmio->state->queue_sel;

	return index < mmio->info.num_queues ? &mmio->state->queue[index] : NULL;
}

static uint32_t queue_size_max(const struct vg_mmio *mmio)
{
	struct vg_queue_setup setup;

	return vg_device_get_queue(mmio->device, mmio->state->queue_sel, &setup) ? 0
										 : setup.max_size;
}

static uint32_t generation(const struct vg_mmio *mmio)
{
	uint32_t value;

	vg_device_read_config(mmio->device, 0, NULL, 0, &value);
	return value;
}

static uint32_t read_register(struct vg_mmio *mmio, uint64_t offset)
{
	const struct vg_mmio_queue *queue;

	switch (offset) {
	case REG_MAGIC:
		return MAGIC_VALUE;
	case REG_VERSION:
		return VERSION;
	case REG_DEVICE_ID:
		return mmio->info.device_id;
	case REG_VENDOR_ID:
		return mmio->info.vendor_id;
	case REG_DEVICE_FEATURES:
		return vg_device_get_features(mmio->device, mmio->state->device_features_sel);
	case REG_QUEUE_SIZE_MAX:
		return queue_size_max(mmio);
	case REG_QUEUE_READY:
		queue = selected(mmio);
		return queue ? queue->ready : 0;
	case REG_INTERRUPT_STATUS:
		return mmio->state->interrupt;
	case REG_STATUS:
		return vg_device_get_status(mmio->device);
	case REG_SHM_LEN_LOW:
	case REG_SHM_LEN_HIGH:
	case REG_SHM_BASE_LOW:
	case REG_SHM_BASE_HIGH:
		return UINT32_MAX; /* there is no shared memory */
	case REG_CONFIG_GENERATION:
		return generation(mmio);
	default:
		mmio->stats.ignored++;
		return 0;
	}
}

/* Registers are 32 bits wide (virtio 1.3, 4.2.2.2), fields of the configuration as wide as they
 * are. */
static bool allowed(const struct vg_mmio *mmio, uint64_t offset, unsigned int size)
{
	if (offset % size)
		return false;
	return offset < VG_MMIO_CONFIG ? size == 4
				       : offset - VG_MMIO_CONFIG < mmio->info.config_size;
}

static uint64_t read_config(struct vg_mmio *mmio, uint64_t offset, unsigned int size)
{
	uint32_t at = (uint32_t)(offset - VG_MMIO_CONFIG), unused;
	uint64_t value = 0;

	/* The last bytes of a configuration may be fewer than the access has. */
	if (size > mmio->info.config_size - at)
		size = mmio->info.config_size - at;
	vg_device_read_config(mmio->device, at, &value, size, &unused);
	return le64toh(value);
}

static bool is_width(unsigned int size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

uint64_t vg_mmio_read(struct vg_mmio *mmio, uint64_t offset, unsigned int size)
{
	mmio->stats.reads++;
	if (!is_width(size) || !allowed(mmio, offset, size)) {
		mmio->stats.ignored++;
		return 0;
	}
	return offset < VG_MMIO_CONFIG ? read_register(mmio, offset)
				       : read_config(mmio, offset, size);
}

/* ---- writes ---- */

static void write_driver_features(struct vg_mmio *mmio, uint32_t bits)
{
	struct vg_mmio_state *state = mmio->state;
	uint32_t block = state->driver_features_sel;

	if (vg_device_set_features(mmio->device, block, bits))
		return;
	if (block < 2)
		state->features[block] = bits;
	else if (bits)
		state->features_unknown = 1;
}

static void write_ready(struct vg_mmio *mmio, uint32_t value)
{
	struct vg_mmio_queue *queue = selected(mmio);
	uint32_t index = mmio->state->queue_sel;

	if (!queue || value > 1 || value == queue->ready) {
		mmio->stats.ignored++;
		return;
	}
	if (value)
		queue->ready = !set_up_queue(mmio, index, false);
	else if (!vg_device_unset_queue(mmio->device, index))
		queue->ready = 0;
}

static int write_status(struct vg_mmio *mmio, uint32_t value)
{
	int ret;

	if (value > UINT8_MAX) { /* 0x100 is no reset */
		mmio->stats.ignored++;
		return 0;
	}
	ret = vg_device_set_status(mmio->device, (uint8_t)value);
	if (!value && !ret) {
		clear_state(mmio);
		return 0;
	}
	if (ret == -EINPROGRESS) {
		if (!mmio->waiting)
			mmio->deadline_ms = 0;
		mmio->waiting = true;
		return ret;
	}
	if (ret)
		mmio->stats.ignored++;
	mmio->state->status = vg_device_get_status(mmio->device);
	return 0;
}

/* The half of a queue's address that @offset names; NULL: it is not such a register. */
static uint64_t *address(struct vg_mmio_queue *queue, uint64_t offset)
{
	switch (offset & ~UINT64_C(4)) {
	case REG_QUEUE_DESC_LOW:
		return &queue->desc;
	case REG_QUEUE_DRIVER_LOW:
		return &queue->driver;
	case REG_QUEUE_DEVICE_LOW:
		return &queue->device;
	default:
		return NULL;
	}
}

/* Size and addresses: of a queue that is there, and never while it is ready. */
static void write_queue(struct vg_mmio *mmio, uint64_t offset, uint32_t value)
{
	struct vg_mmio_queue *queue = selected(mmio);
	unsigned int shift = offset & 4 ? 32 : 0;
	uint64_t *addr;

	if (!queue || queue->ready) {
		mmio->stats.ignored++;
		return;
	}
	if (offset == REG_QUEUE_SIZE) {
		queue->size = value;
		return;
	}
	addr = address(queue, offset);
	*addr = (*addr & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)value << shift;
}

static void acknowledge(struct vg_mmio *mmio, uint32_t bits)
{
	struct vg_mmio_state *state = mmio->state;
	uint32_t before = state->interrupt;

	state->interrupt = before & ~bits;
	if (!(before & bits))
		return;
	mmio->ops->interrupt(mmio->opaque, false);
	/* What came after the driver had read the status: a pin that takes edges saw no rise. */
	if (state->interrupt)
		mmio->ops->interrupt(mmio->opaque, true);
}

static int write_register(struct vg_mmio *mmio, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case REG_DEVICE_FEATURES_SEL:
		mmio->state->device_features_sel = value;
		break;
	case REG_DRIVER_FEATURES:
		write_driver_features(mmio, value);
		break;
	case REG_DRIVER_FEATURES_SEL:
		mmio->state->driver_features_sel = value;
		break;
	case REG_QUEUE_SEL:
		mmio->state->queue_sel = value;
		break;
	case REG_QUEUE_SIZE:
	case REG_QUEUE_DESC_LOW:
	case REG_QUEUE_DESC_HIGH:
	case REG_QUEUE_DRIVER_LOW:
	case REG_QUEUE_DRIVER_HIGH:
	case REG_QUEUE_DEVICE_LOW:
	case REG_QUEUE_DEVICE_HIGH:
		write_queue(mmio, offset, value);
		break;
	case REG_QUEUE_READY:
		write_ready(mmio, value);
		break;
	case REG_QUEUE_NOTIFY:
		mmio->stats.kicks++;
		if (value < mmio->info.num_queues)
			vg_device_kick(mmio->device, value);
		break;
	case REG_INTERRUPT_ACK:
		acknowledge(mmio, value);
		break;
	case REG_STATUS:
		return write_status(mmio, value);
	case REG_SHM_SEL:
		break; /* whichever it is, there is none */
	default:
		mmio->stats.ignored++;
	}
	return 0;
}

static void write_config(struct vg_mmio *mmio, uint64_t offset, unsigned int size, uint64_t value)
{
	uint64_t data = htole64(value);

	if (vg_device_write_config(mmio->device, generation(mmio),
				   (uint32_t)(offset - VG_MMIO_CONFIG), &data, size))
		mmio->stats.ignored++;
}

int vg_mmio_write(struct vg_mmio *mmio, uint64_t offset, unsigned int size, uint64_t value)
{
	mmio->stats.writes++;
	if (!is_width(size) || !allowed(mmio, offset, size)) {
		mmio->stats.ignored++;
		return 0;
	}
	if (offset < VG_MMIO_CONFIG)
		return write_register(mmio, offset, (uint32_t)value);
	write_config(mmio, offset, size, value);
	return 0;
}

/* ---- a reset that waits ---- */

void vg_mmio_service(struct vg_mmio *mmio, uint64_t now_ms)
{
	if (!mmio->waiting)
		return;
	if (!mmio->deadline_ms)
		mmio->deadline_ms = now_ms + mmio->timeout_ms;
	if (now_ms < mmio->deadline_ms)
		return;
	vg_warn(mmio->log,
		"%s: requests in flight do not end, and the driver cannot wait longer for its "
		"reset: they are given up",
		mmio->label);
	vg_device_abandon(mmio->device);
	clear_state(mmio);
	release_driver(mmio);
}

int vg_mmio_timeout(const struct vg_mmio *mmio, uint64_t now_ms)
{
	if (!mmio->waiting)
		return -1;
	if (!mmio->deadline_ms || mmio->deadline_ms <= now_ms)
		return 0;
	return (int)(mmio->deadline_ms - now_ms);
}

void vg_mmio_get_stats(const struct vg_mmio *mmio, struct vg_mmio_stats *stats)
{
	*stats = mmio->stats;
}

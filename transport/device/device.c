// SPDX-License-Identifier: MIT
/*
 * The life of a device: feature negotiation, status, configuration space, queue set-up, reset. None
 * of it is on the request path.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/internal.h"

/* Bits that a device type may offer: virtio 1.3, 2.2. The others are ours or mean something to a
 * transport. */
#define TYPE_FEATURES (((UINT64_C(1) << 24) - 1) | ~((UINT64_C(1) << 50) - 1))
/* Without these a driver's addresses would not be what a grant bus takes them for. */
#define REQUIRED_FEATURES (VG_F_VERSION_1 | VG_F_ACCESS_PLATFORM)
#define FEATURE_BLOCKS    2

#define STATUS_OF_DRIVER                                                                           \
	(VG_STATUS_ACKNOWLEDGE | VG_STATUS_DRIVER | VG_STATUS_FEATURES_OK | VG_STATUS_DRIVER_OK |  \
	 VG_STATUS_FAILED)
#define STATUS_BROKEN (VG_STATUS_DEVICE_NEEDS_RESET | VG_STATUS_FAILED)

/* A driver can break its device as often as it likes, but not fill the log with it. */
#define MAX_COMPLAINTS 8

static bool is_power_of_two(uint32_t v)
{
	return v && !(v & (v - 1));
}

static bool config_is_sane(const struct vg_device_config *config)
{
	return config->ops && config->ops->process && config->ops->name && config->view &&
	       !(config->features & ~(TYPE_FEATURES | VG_DEVICE_FEATURES)) && config->num_queues &&
	       config->num_queues <= VG_DEVICE_MAX_QUEUES &&
	       is_power_of_two(config->max_queue_size) && config->max_queue_size >= 2 &&
	       config->max_queue_size <= VG_VQ_MAX_SIZE &&
	       config->config_size <= VG_DEVICE_MAX_CONFIG &&
	       (config->config || !config->config_size);
}

int vg_device_create(const struct vg_device_config *config, struct vg_device **out)
{
	struct vg_device *dev;

	if (!config_is_sane(config))
		return -EINVAL;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	dev->label = strdup(config->label ? config->label : config->ops->name);
	if (!dev->label) {
		free(dev);
		return -ENOMEM;
	}
	dev->ops = config->ops;
	dev->priv = config->priv;
	dev->view = config->view;
	dev->offered = config->features | VG_DEVICE_FEATURES;
	dev->vendor_id = config->vendor_id;
	dev->num_queues = config->num_queues;
	dev->max_queue_size = config->max_queue_size;
	dev->config_size = config->config_size;
	if (config->config_size)
		memcpy(dev->config, config->config, config->config_size);
	dev->log = config->log;
	*out = dev;
	return 0;
}

static void destroy_queues(struct vg_device *dev)
{
	for (uint32_t work = dev->live; work; work &= work - 1)
		vg_vq_destroy(dev->vq[__builtin_ctz(work)]);
	memset(dev->vq, 0, sizeof(dev->vq));
	memset(dev->setup, 0, sizeof(dev->setup));
	dev->live = 0;
	dev->ready = 0;
	dev->kicked = 0;
}

void vg_device_destroy(struct vg_device *dev)
{
	if (!dev)
		return;
	destroy_queues(dev);
	free(dev->label);
	free(dev);
}

void vg_device_set_bus(struct vg_device *dev, const struct vg_bus_ops *ops, void *bus)
{
	dev->bus_ops = ops;
	dev->bus = bus;
	if (ops)
		dev->stopped = false;
}

void vg_device_get_info(const struct vg_device *dev, struct vg_device_info *info)
{
	*info = (struct vg_device_info){
		.device_id = dev->ops->device_id,
		.vendor_id = dev->vendor_id,
		.feature_bits = FEATURE_BLOCKS * 32,
		.config_size = dev->config_size,
		.num_queues = dev->num_queues,
	};
}

/* ---- features: virtio 1.3, 2.2 ---- */

uint32_t vg_device_get_features(const struct vg_device *dev, uint32_t block)
{
	return block < FEATURE_BLOCKS ? (uint32_t)(dev->offered >> 32 * block) : 0;
}

int vg_device_set_features(struct vg_device *dev, uint32_t block, uint32_t bits)
{
	if (dev->status & VG_STATUS_FEATURES_OK)
		return -EBUSY;
	if (block < FEATURE_BLOCKS) {
		dev->features &= ~((uint64_t)UINT32_MAX << 32 * block);
		dev->features |= (uint64_t)bits << 32 * block;
	} else if (bits) {
		dev->features_unknown = true;
	}
	return 0;
}

static bool features_acceptable(const struct vg_device *dev)
{
	return !dev->features_unknown && !(dev->features & ~dev->offered) &&
	       (dev->features & REQUIRED_FEATURES) == REQUIRED_FEATURES;
}

/* ---- status: virtio 1.3, 2.1 and 3.1.1 ---- */

static void update_ready(struct vg_device *dev)
{
	bool runs = dev->status & VG_STATUS_DRIVER_OK && !(dev->status & STATUS_BROKEN) &&
		    !dev->stopped && !dev->resetting;

	dev->ready = runs ? dev->live : 0;
	dev->kicked &= dev->ready;
}

uint8_t vg_device_get_status(const struct vg_device *dev)
{
	/* While a reset is pending nothing but its end helps the driver. */
	return dev->resetting ? dev->status | VG_STATUS_DEVICE_NEEDS_RESET : dev->status;
}

void vg_device_needs_reset(struct vg_device *dev, const char *why)
{
	if (dev->resetting || dev->status & VG_STATUS_DEVICE_NEEDS_RESET)
		return;
	dev->status |= VG_STATUS_DEVICE_NEEDS_RESET;
	update_ready(dev);
	if (dev->complaints < MAX_COMPLAINTS) {
		dev->complaints++;
		vg_warn(dev->log, "%s: %s stopped until its driver resets it: %s%s", dev->label,
			dev->ops->name, why,
			dev->complaints < MAX_COMPLAINTS
				? ""
				: " (this keeps happening, and is not logged from now on)");
	}
	if (dev->status & VG_STATUS_DRIVER_OK && dev->bus_ops)
		dev->bus_ops->config_changed(dev->bus);
}

void vg_device_finish_reset(struct vg_device *dev)
{
	destroy_queues(dev);
	if (dev->ops->reset)
		dev->ops->reset(dev->priv);
	dev->status = 0;
	dev->features = 0;
	dev->features_unknown = false;
	dev->resetting = false;
}

static int reset(struct vg_device *dev)
{
	if (!vg_device_inflight(dev)) {
		vg_device_finish_reset(dev);
		return 0;
	}
	dev->resetting = true;
	update_ready(dev);
	return -EINPROGRESS;
}

static bool transition_is_legal(const struct vg_device *dev, uint8_t status, uint8_t added)
{
	uint8_t result = dev->status | status;

	if (status & ~(STATUS_OF_DRIVER | (dev->status & VG_STATUS_DEVICE_NEEDS_RESET)))
		return false;
	/* Giving up is always allowed, and nothing else is once a side has given up. */
	if (!(added & ~VG_STATUS_FAILED))
		return true;
	if (dev->stopped || dev->status & STATUS_BROKEN || added & VG_STATUS_FAILED)
		return false;
	if (added & VG_STATUS_DRIVER && !(result & VG_STATUS_ACKNOWLEDGE))
		return false;
	if (added & VG_STATUS_FEATURES_OK && !(result & VG_STATUS_DRIVER))
		return false;
	/* The driver must have read FEATURES_OK back. */
	return !(added & VG_STATUS_DRIVER_OK) || dev->status & VG_STATUS_FEATURES_OK;
}

static void start(struct vg_device *dev)
{
	if (dev->ops->start && dev->ops->start(dev->priv, dev->features)) {
		vg_device_needs_reset(dev, "it could not start with what was negotiated");
		return;
	}
	update_ready(dev);
	/* What the driver made available before this was not looked at. */
	vg_device_kick(dev, VG_ALL_QUEUES);
}

int vg_device_set_status(struct vg_device *dev, uint8_t status)
{
	uint8_t added = status & ~dev->status;

	if (!status)
		return reset(dev);
	if (dev->resetting || !transition_is_legal(dev, status, added))
		return -EINVAL;
	if (added & VG_STATUS_FEATURES_OK && !features_acceptable(dev))
		added &= ~VG_STATUS_FEATURES_OK;
	dev->status |= added;
	if (added & VG_STATUS_FAILED)
		update_ready(dev);
	if (added & VG_STATUS_DRIVER_OK)
		start(dev);
	return 0;
}

bool vg_device_stop(struct vg_device *dev)
{
	dev->stopped = true;
	update_ready(dev);
	return !vg_device_inflight(dev);
}

/* ---- configuration space: virtio 1.3, 2.5 ---- */

static bool in_config(const struct vg_device *dev, uint32_t offset, uint32_t len)
{
	return offset <= dev->config_size && len <= dev->config_size - offset;
}

/* False when nothing changed. */
static bool store_config(struct vg_device *dev, uint32_t offset, const void *data, uint32_t len)
{
	if (!len || !memcmp(dev->config + offset, data, len))
		return false;
	memcpy(dev->config + offset, data, len);
	dev->generation++;
	return true;
}

int vg_device_read_config(const struct vg_device *dev, uint32_t offset, void *data, uint32_t len,
			  uint32_t *generation)
{
	if (!in_config(dev, offset, len))
		return -EINVAL;
	if (len)
		memcpy(data, dev->config + offset, len);
	*generation = dev->generation;
	return 0;
}

int vg_device_write_config(struct vg_device *dev, uint32_t generation, uint32_t offset,
			   const void *data, uint32_t len)
{
	if (generation != dev->generation)
		return -ESTALE;
	if (!in_config(dev, offset, len))
		return -EINVAL;
	/* Until then a driver may only read (virtio 1.3, 3.1.1). */
	if (dev->resetting || !(dev->status & VG_STATUS_FEATURES_OK) || !dev->ops->config_write ||
	    dev->ops->config_write(dev->priv, offset, data, len))
		return -EACCES;
	store_config(dev, offset, data, len);
	return 0;
}

int vg_device_update_config(struct vg_device *dev, uint32_t offset, const void *data, uint32_t len)
{
	if (!in_config(dev, offset, len))
		return -EINVAL;
	if (store_config(dev, offset, data, len) && dev->status & VG_STATUS_DRIVER && dev->bus_ops)
		dev->bus_ops->config_changed(dev->bus);
	return 0;
}

/* ---- queues ---- */

int vg_device_get_queue(const struct vg_device *dev, uint32_t index, struct vg_queue_setup *setup)
{
	if (index >= dev->num_queues)
		return -EINVAL;
	*setup = dev->setup[index];
	setup->max_size = dev->max_queue_size;
	return 0;
}

int vg_device_set_queue(struct vg_device *dev, uint32_t index, const struct vg_queue_setup *setup)
{
	struct vg_vq_config config = {
		.view = dev->view,
		.size = (uint16_t)setup->size,
		.desc_addr = setup->desc_addr,
		.driver_addr = setup->driver_addr,
		.device_addr = setup->device_addr,
		.indirect = dev->features & VG_F_INDIRECT_DESC,
		.event_idx = dev->features & VG_F_EVENT_IDX,
		.log = setup->log,
		.resume = setup->resume,
	};
	int ret;

	if (index >= dev->num_queues || !is_power_of_two(setup->size) ||
	    setup->size > dev->max_queue_size)
		return -EINVAL;
	if (dev->stopped || !(dev->status & VG_STATUS_FEATURES_OK) ||
	    dev->status & (VG_STATUS_DRIVER_OK | STATUS_BROKEN) || dev->vq[index])
		return -EBUSY;
	ret = vg_vq_create(&config, &dev->vq[index]);
	if (ret) {
		dev->vq[index] = NULL;
		return ret;
	}
	dev->setup[index] = *setup;
	dev->live |= UINT32_C(1) << index;
	return 0;
}

int vg_device_unset_queue(struct vg_device *dev, uint32_t index)
{
	uint32_t bit;

	if (index >= dev->num_queues)
		return -EINVAL;
	if (dev->status & VG_STATUS_DRIVER_OK)
		return -EBUSY;
	bit = UINT32_C(1) << index;
	if (dev->live & bit) {
		vg_vq_destroy(dev->vq[index]);
		dev->vq[index] = NULL;
		dev->setup[index] = (struct vg_queue_setup){0};
		dev->live &= ~bit;
	}
	return 0;
}

void vg_device_abandon(struct vg_device *dev)
{
	for (uint32_t work = dev->live; work; work &= work - 1)
		vg_vq_abandon(dev->vq[__builtin_ctz(work)]);
}

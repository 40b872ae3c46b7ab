// SPDX-License-Identifier: MIT
/*
 * The request path of a device: no allocation, no log, no system call but those of the queues and
 * of the bus's doorbell.
 */
#include "device/internal.h"

/* The first queue of @mask (not empty) at or after @from, going around. */
static unsigned int next_queue(uint32_t mask, unsigned int from)
{
	uint32_t after = mask & (UINT32_MAX << from);

	return (unsigned int)__builtin_ctz(after ? after : mask);
}

void vg_device_kick(struct vg_device *dev, uint32_t index)
{
	if (index == VG_ALL_QUEUES)
		dev->kicked |= dev->ready;
	else if (index < dev->num_queues)
		dev->kicked |= dev->ready & UINT32_C(1) << index;
}

/*
 * One round over the queues in @work, each with the same budget. The next round begins after the
 * queue that this one began with, so that no queue is always the last.
 */
static bool run(struct vg_device *dev, uint32_t work, unsigned int budget)
{
	unsigned int from = dev->first;
	bool taken = false;

	work &= dev->ready;
	if (!work)
		return false;
	dev->first = (next_queue(work, from) + 1) % VG_DEVICE_MAX_QUEUES;
	/* A queue that breaks, or the device type, may clear dev->ready on the way. */
	while ((work &= dev->ready)) {
		unsigned int index = next_queue(work, from);
		uint32_t bit = UINT32_C(1) << index;
		const char *why;
		int n;

		n = dev->ops->process(dev->priv, index, dev->vq[index], budget);
		taken |= n > 0;
		/* Requests from before the corruption may have come along with it. */
		why = vg_vq_broken_reason(dev->vq[index]);
		if (n < 0 || why) {
			vg_device_needs_reset(dev, why ? why : "its virtqueue cannot be used");
			break;
		}
		/* A full round says nothing about what is left. */
		if ((unsigned int)n < budget)
			dev->kicked &= ~bit;
		work &= ~bit;
		from = index;
	}
	return taken;
}

bool vg_device_service(struct vg_device *dev, unsigned int budget)
{
	return run(dev, dev->kicked, budget);
}

bool vg_device_poll(struct vg_device *dev, unsigned int budget)
{
	return run(dev, dev->ready, budget);
}

void vg_device_flush(struct vg_device *dev)
{
	unsigned int left = 0;

	for (uint32_t work = dev->live; work; work &= work - 1) {
		unsigned int index = (unsigned int)__builtin_ctz(work);
		struct vg_virtqueue *vq = dev->vq[index];
		unsigned int before = vg_vq_inflight(vq);
		unsigned int after;

		if (!before)
			continue;
		if (vg_vq_flush(vq) && dev->bus_ops && !dev->resetting)
			dev->bus_ops->notify(dev->bus, index);
		after = vg_vq_inflight(vq);
		/* There is room again for what the in-flight limit may have kept out. */
		if (after < before)
			dev->kicked |= dev->ready & UINT32_C(1) << index;
		left += after;
	}
	if (dev->resetting && !left) {
		vg_device_finish_reset(dev);
		if (dev->bus_ops)
			dev->bus_ops->reset_done(dev->bus);
	}
}

bool vg_device_enable_notify(struct vg_device *dev)
{
	bool work_left = false;

	for (uint32_t work = dev->ready; work; work &= work - 1) {
		unsigned int index = (unsigned int)__builtin_ctz(work);

		if (vg_vq_enable_notify(dev->vq[index])) {
			dev->kicked |= UINT32_C(1) << index;
			work_left = true;
		}
	}
	return work_left;
}

void vg_device_disable_notify(struct vg_device *dev)
{
	for (uint32_t work = dev->ready; work; work &= work - 1)
		vg_vq_disable_notify(dev->vq[__builtin_ctz(work)]);
}

unsigned int vg_device_inflight(const struct vg_device *dev)
{
	unsigned int sum = 0;

	for (uint32_t work = dev->live; work; work &= work - 1)
		sum += vg_vq_inflight(dev->vq[__builtin_ctz(work)]);
	return sum;
}

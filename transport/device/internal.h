/* SPDX-License-Identifier: MIT */
/*
 * A device: device.c is what happens at set-up and on the driver's requests to the bus, service.c
 * is what happens for each request of a queue.
 */
#ifndef VGRANT_DEVICE_INTERNAL_H
#define VGRANT_DEVICE_INTERNAL_H

#include <vgrant/device.h>

struct vg_device {
	/* The request path. One bit for a queue in each mask. */
	uint32_t live;   /* set up */
	uint32_t ready;  /* live, and the device may take requests from it */
	uint32_t kicked; /* may have requests */
	uint32_t first;  /* the queue that the next round begins with */
	bool resetting;  /* reset asked for, requests still in flight */
	struct vg_virtqueue *vq[VG_DEVICE_MAX_QUEUES];
	const struct vg_device_ops *ops;
	void *priv;
	const struct vg_bus_ops *bus_ops;
	void *bus;

	/* Negotiation. */
	uint64_t offered;
	uint64_t features;     /* what the driver has written so far */
	bool features_unknown; /* the driver wrote a bit past the 64 that exist */
	bool stopped;
	uint8_t status;

	struct vg_queue_setup setup[VG_DEVICE_MAX_QUEUES];
	struct vg_view *view;
	uint32_t vendor_id;
	uint16_t num_queues;
	uint16_t max_queue_size;

	uint32_t generation;
	uint32_t config_size;
	uint8_t config[VG_DEVICE_MAX_CONFIG];

	const struct vg_log *log;
	char *label;
	unsigned int complaints; /* logged so far about the driver */
};

/* Nothing is in flight: ends the queues and goes back to status 0. */
void vg_device_finish_reset(struct vg_device *dev);

#endif

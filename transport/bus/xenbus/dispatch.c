// SPDX-License-Identifier: MIT
/* What each request of the driver does (spec/virtio-xen.md, "Messages" and "Bus messages"). */
#include <errno.h>
#include <string.h>

#include <vgrant/view.h>
#include <vgrant/xen.h>

#include "bus/xenbus/conn.h"

static uint32_t config_generation(const struct vg_device *dev)
{
	uint32_t generation = 0;

	vg_device_read_config(dev, 0, NULL, 0, &generation);
	return generation;
}

/* ---- transport messages ---- */

static void get_info(struct vg_xenbus_conn *conn, struct vg_msg *response)
{
	struct vg_device_info info;

	vg_device_get_info(conn->device, &info);
	response->info.device_id = info.device_id;
	response->info.vendor_id = info.vendor_id;
	response->info.feature_bits = info.feature_bits;
	response->info.config_size = info.config_size;
	response->info.max_vqueues = info.num_queues;
}

/* Block @index + @i, whose number may be past 2^32: then there are no such features. */
static bool block_number(const struct vg_msg *request, uint32_t i, uint32_t *block)
{
	*block = request->features.index + i;
	return *block >= i;
}

static void get_features(struct vg_xenbus_conn *conn, const struct vg_msg *request,
			 struct vg_msg *response)
{
	uint32_t i, block;

	response->features.index = request->features.index;
	response->features.count = request->features.count;
	for (i = 0; i < request->features.count; i++)
		if (block_number(request, i, &block))
			response->features.block[i] = vg_device_get_features(conn->device, block);
}

/* Nothing is refused here: bits that were not offered make FEATURES_OK fail. */
static void set_features(struct vg_xenbus_conn *conn, const struct vg_msg *request)
{
	uint32_t i, block;

	for (i = 0; i < request->features.count; i++)
		if (block_number(request, i, &block))
			vg_device_set_features(conn->device, block, request->features.block[i]);
}

static void get_config(struct vg_xenbus_conn *conn, const struct vg_msg *request,
		       struct vg_msg *response)
{
	response->config.offset = request->config.offset;
	if (vg_device_read_config(conn->device, request->config.offset, response->config.data,
				  request->config.length, &response->config.generation))
		response->config.generation = config_generation(conn->device);
	else
		response->config.length = request->config.length;
}

static void set_config(struct vg_xenbus_conn *conn, const struct vg_msg *request,
		       struct vg_msg *response)
{
	if (!vg_device_write_config(conn->device, request->config.generation,
				    request->config.offset, request->config.data,
				    request->config.length)) {
		get_config(conn, request, response); /* as it is now */
		return;
	}
	response->config.offset = request->config.offset;
	response->config.generation = config_generation(conn->device);
}

static bool set_status(struct vg_xenbus_conn *conn, const struct vg_msg *request,
		       struct vg_msg *response, uint64_t now_ms)
{
	int ret;

	/* The field is wider than the status: 0x100 is not a reset. */
	if (request->status.status > UINT8_MAX) {
		response->status.status = vg_device_get_status(conn->device);
		return true;
	}
	ret = vg_device_set_status(conn->device, (uint8_t)request->status.status);
	if (!request->status.status) {
		if (ret == -EINPROGRESS) {
			if (conn_defer(conn, DEFERRED_RESET, request, now_ms))
				return false;
			response->status.status =
				vg_device_get_status(conn->device) | VG_STATUS_DEVICE_NEEDS_RESET;
			return true;
		}
		conn_reset_happened(conn);
	}
	response->status.status = vg_device_get_status(conn->device);
	return true;
}

static void get_queue(struct vg_xenbus_conn *conn, const struct vg_msg *request,
		      struct vg_msg *response)
{
	struct vg_queue_setup setup;

	response->vqueue.index = request->vqueue.index;
	if (vg_device_get_queue(conn->device, request->vqueue.index, &setup))
		return; /* a maximum size of 0 says that there is no such queue */
	response->vqueue.max_size = setup.max_size;
	response->vqueue.size = setup.size;
	response->vqueue.desc_addr = setup.desc_addr;
	response->vqueue.driver_addr = setup.driver_addr;
	response->vqueue.device_addr = setup.device_addr;
}

/* The response has no room for an error: the driver sees the outcome with GET_VQUEUE. */
static void set_queue(struct vg_xenbus_conn *conn, const struct vg_msg *request)
{
	struct vg_queue_setup setup = {
		.size = request->vqueue.size,
		.desc_addr = request->vqueue.desc_addr,
		.driver_addr = request->vqueue.driver_addr,
		.device_addr = request->vqueue.device_addr,
	};
	int ret = vg_device_set_queue(conn->device, request->vqueue.index, &setup);

	if (ret && conn_complain(conn, COMPLAIN_QUEUE))
		vg_warn(conn->log, "%s: the driver's queue %u cannot be set up: %s", conn->label,
			request->vqueue.index, strerrordesc_np(-ret));
}

static bool transport_request(struct vg_xenbus_conn *conn, const struct vg_msg *request,
			      struct vg_msg *response, uint64_t now_ms)
{
	switch (request->id) {
	case VG_MSG_GET_DEVICE_INFO:
		get_info(conn, response);
		return true;
	case VG_MSG_GET_DEVICE_FEATURES:
		get_features(conn, request, response);
		return true;
	case VG_MSG_SET_DRIVER_FEATURES:
		set_features(conn, request);
		return true;
	case VG_MSG_GET_CONFIG:
		get_config(conn, request, response);
		return true;
	case VG_MSG_SET_CONFIG:
		set_config(conn, request, response);
		return true;
	case VG_MSG_GET_DEVICE_STATUS:
		response->status.status = vg_device_get_status(conn->device);
		return true;
	case VG_MSG_SET_DEVICE_STATUS:
		return set_status(conn, request, response, now_ms);
	case VG_MSG_GET_VQUEUE:
		get_queue(conn, request, response);
		return true;
	case VG_MSG_SET_VQUEUE:
		set_queue(conn, request);
		return true;
	case VG_MSG_GET_SHM:
		response->shm.index = request->avail.index; /* length 0: there is none */
		return true;
	case VG_MSG_EVENT_AVAIL:
		if (request->avail.index < conn->num_queues) {
			vg_device_kick(conn->device, request->avail.index);
			return false;
		}
		break;
	default: /* RESET_VQUEUE was not negotiated; other events are not a driver's */
		break;
	}
	conn->stats.discarded++;
	return false;
}

/* ---- bus messages ---- */

static void complain_region(struct vg_xenbus_conn *conn, uint32_t count, int error)
{
	const struct vg_quota *quota = conn->quota;

	if (!conn_complain(conn, COMPLAIN_REGION))
		return;
	if (error == -EDQUOT)
		vg_warn(conn->log,
			"%s: no region of %u pages more: of the guest's quota of %u pages %u are "
			"mapped, %u of them in regions, and %u are kept for requests that are "
			"mapped. What is in no region is served, slower; vgrantd's --max-pages "
			"raises the quota",
			conn->label, count, quota->max_pages, quota->pages, quota->region_pages,
			quota->reserved);
	else
		vg_warn(conn->log, "%s: the driver's region of %u pages cannot be mapped: %s",
			conn->label, count, strerrordesc_np(-error));
}

static uint32_t region_add(struct vg_xenbus_conn *conn, const struct vg_msg *request)
{
	int ret;

	if (request->region.flags & ~VG_BUS_REGION_READ_ONLY)
		return VG_BUS_INVALID;
	ret = vg_view_region_add(conn->view, request->region.first, request->region.count,
				 !(request->region.flags & VG_BUS_REGION_READ_ONLY));
	if (!ret)
		return VG_BUS_OK;
	complain_region(conn, request->region.count, ret);
	switch (ret) {
	case -EINVAL:
		return VG_BUS_INVALID;
	case -EEXIST:
		return VG_BUS_EXISTS;
	case -EDQUOT:
	case -ENOSPC:
	case -ENOMEM:
		return VG_BUS_NO_SPACE;
	default:
		return VG_BUS_REFUSED;
	}
}

static bool region_remove(struct vg_xenbus_conn *conn, const struct vg_msg *request,
			  struct vg_msg *response, uint64_t now_ms)
{
	uint32_t first = request->region.first, count = request->region.count;

	switch (vg_view_region_remove(conn->view, first, count)) {
	case 0:
		conn_region_gone(conn, first, count);
		response->status.status = VG_BUS_OK;
		return true;
	case -EINPROGRESS:
		if (conn_defer(conn, DEFERRED_REGION, request, now_ms))
			return false;
		response->status.status = VG_BUS_BUSY;
		return true;
	case -EBUSY:
		response->status.status = VG_BUS_BUSY;
		return true;
	default:
		response->status.status = VG_BUS_INVALID;
		return true;
	}
}

static uint32_t bind_queue(struct vg_xenbus_conn *conn, const struct vg_msg *request)
{
	uint32_t index = request->bind.index;
	int port = 0;

	if (index >= conn->num_queues)
		return VG_BUS_INVALID;
	if (vg_device_get_status(conn->device) & VG_STATUS_DRIVER_OK)
		return VG_BUS_BUSY;
	if (request->bind.port) {
		port = vg_evtchn_bind(conn->evtchn, conn->domid, request->bind.port);
		if (port < 0) {
			if (conn_complain(conn, COMPLAIN_BIND))
				vg_warn(conn->log,
					"%s: event channel %u for queue %u cannot be bound: %s",
					conn->label, request->bind.port, index,
					strerrordesc_np(-port));
			return port == -ENOSPC || port == -ENOMEM ? VG_BUS_NO_SPACE
								  : VG_BUS_REFUSED;
		}
	}
	if (conn->queue_port[index])
		vg_evtchn_unbind(conn->evtchn, conn->queue_port[index]);
	conn->queue_port[index] = port;
	return VG_BUS_OK;
}

static bool bus_request(struct vg_xenbus_conn *conn, const struct vg_msg *request,
			struct vg_msg *response, uint64_t now_ms)
{
	switch (request->id) {
	case VG_MSG_BUS_PING:
		response->ping.data = request->ping.data;
		return true;
	case VG_MSG_BUS_REGION_ADD:
		response->status.status = region_add(conn, request);
		return true;
	case VG_MSG_BUS_REGION_REMOVE:
		return region_remove(conn, request, response, now_ms);
	case VG_MSG_BUS_VQ_BIND:
		response->status.status = bind_queue(conn, request);
		return true;
	default: /* EVENT_DEVICE is not a driver's */
		conn->stats.discarded++;
		return false;
	}
}

bool conn_dispatch(struct vg_xenbus_conn *conn, const struct vg_msg *request,
		   struct vg_msg *response, uint64_t now_ms)
{
	vg_msg_respond(request, response);
	/* We ask nothing, so no response is expected; and there is one device, number 0. */
	if (request->type & VG_MSG_RESPONSE || request->dev_num) {
		conn->stats.discarded++;
		return false;
	}
	if (request->type & VG_MSG_BUS)
		return bus_request(conn, request, response, now_ms);
	return transport_request(conn, request, response, now_ms);
}

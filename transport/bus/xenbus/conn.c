// SPDX-License-Identifier: MIT
/* The device end of one connection: its life, its doorbells, and the loop over the control ring. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include <vgrant/view.h>
#include <vgrant/xen.h>

#include "bus/xenbus/conn.h"

#define DEFAULT_TIMEOUT_MS 5000

static void ring_doorbell(struct vg_xenbus_conn *conn, int port)
{
	conn->stats.notifications_sent++;
	/* A peer that has gone is the supervisor's to notice, from xenstore. */
	vg_evtchn_notify(conn->evtchn, port);
}

/* ---- the bus of the device model ---- */

static void bus_notify(void *bus, unsigned int index)
{
	struct vg_xenbus_conn *conn = bus;
	int own = conn->queue_port[index];

	ring_doorbell(conn, own ? own : conn->port);
}

static void bus_config_changed(void *bus)
{
	struct vg_xenbus_conn *conn = bus;

	conn->config_pending = true;
}

static void bus_reset_done(void *bus)
{
	conn_reset_happened(bus);
}

static const struct vg_bus_ops bus_ops = {
	.notify = bus_notify,
	.config_changed = bus_config_changed,
	.reset_done = bus_reset_done,
};

/* ---- life ---- */

static int map_page(struct vg_xenbus_conn *conn, uint32_t ref)
{
	void VG_GUEST *base;
	int ret;

	if (conn->quota->pages >= conn->quota->max_pages) {
		vg_warn(conn->log, "%s: no page is left of the guest's quota for a control page",
			conn->label);
		return -EDQUOT;
	}
	ret = vg_gnttab_map(conn->gnttab, conn->domid, &ref, 1, true, &base);
	if (ret) {
		vg_warn(conn->log,
			"%s: cannot map control page, grant reference %u of domain %u: the driver "
			"must grant it read-write to this domain before it writes state 3",
			conn->label, ref, conn->domid);
		return ret == -ENOMEM ? ret : -EFAULT;
	}
	conn->quota->pages++;
	conn->page = (struct vg_ctl_page VG_GUEST *)base;
	ret = vg_ctl_check(conn->page);
	if (ret)
		vg_warn(conn->log,
			"%s: the control page has a header that version %d of the protocol does "
			"not know: driver and backend do not fit each other",
			conn->label, VG_XENBUS_VERSION);
	return ret;
}

int vg_xenbus_conn_open(const struct vg_xenbus_conn_config *config, struct vg_xenbus_conn **out)
{
	struct vg_xenbus_conn *conn = calloc(1, sizeof(*conn));
	struct vg_device_info info;
	int ret;

	if (!conn)
		return -ENOMEM;
	vg_device_get_info(config->device, &info);
	conn->evtchn = config->evtchn;
	conn->num_queues = info.num_queues;
	conn->timeout_ms = config->reset_timeout_ms ? config->reset_timeout_ms : DEFAULT_TIMEOUT_MS;
	conn->domid = config->domid;
	conn->gnttab = config->gnttab;
	conn->quota = config->quota;
	conn->view = config->view;
	conn->log = config->log;
	snprintf(conn->label, sizeof(conn->label), "%s", config->label ? config->label : "xenbus");

	ret = map_page(conn, config->control_ref);
	if (ret)
		goto out;
	vg_ctl_attach(&conn->ctl, conn->page, VG_CTL_DEVICE);
	ret = vg_evtchn_bind(conn->evtchn, conn->domid, config->remote_port);
	if (ret < 0) {
		vg_warn(conn->log,
			"%s: cannot bind event channel %u of domain %u: the driver must allocate "
			"it unbound for this domain",
			conn->label, config->remote_port, conn->domid);
		goto out;
	}
	conn->port = ret;
	conn->device = config->device;
	vg_device_set_bus(conn->device, &bus_ops, conn);
	conn->attention = true; /* a message may have come before the channel was bound */
	ret = 0;
out:
	if (ret) {
		vg_xenbus_conn_close(conn);
		return ret;
	}
	*out = conn;
	return 0;
}

void conn_unbind_queues(struct vg_xenbus_conn *conn)
{
	for (unsigned int i = 0; i < VG_DEVICE_MAX_QUEUES; i++) {
		if (conn->queue_port[i])
			vg_evtchn_unbind(conn->evtchn, conn->queue_port[i]);
		conn->queue_port[i] = 0;
	}
}

void vg_xenbus_conn_close(struct vg_xenbus_conn *conn)
{
	if (!conn)
		return;
	if (conn->device)
		vg_device_set_bus(conn->device, NULL, NULL);
	conn_unbind_queues(conn);
	if (conn->port)
		vg_evtchn_unbind(conn->evtchn, conn->port);
	if (conn->page) {
		/* A page that would not unmap stays mapped, and so it stays counted. */
		if (!vg_gnttab_unmap(conn->gnttab, conn->page, 1))
			conn->quota->pages--;
	}
	free(conn);
}

bool conn_complain(struct vg_xenbus_conn *conn, enum conn_complaint kind)
{
	bool first = !(conn->complained & kind);

	conn->complained |= kind;
	return first;
}

/* ---- events ---- */

bool vg_xenbus_conn_event(struct vg_xenbus_conn *conn, int port)
{
	bool own = false;
	unsigned int i;

	if (port <= 0)
		return false;
	if (port != conn->port) {
		for (i = 0; i < conn->num_queues; i++)
			if (conn->queue_port[i] == port)
				break;
		if (i == conn->num_queues)
			return false;
		conn->stats.events_received++;
		vg_device_kick(conn->device, i);
		return true;
	}
	conn->stats.events_received++;
	conn->attention = true;
	for (i = 0; i < conn->num_queues; i++)
		own |= conn->queue_port[i] != 0;
	if (!own)
		vg_device_kick(conn->device, VG_ALL_QUEUES);
	for (i = 0; own && i < conn->num_queues; i++)
		if (!conn->queue_port[i])
			vg_device_kick(conn->device, i);
	return true;
}

/* ---- the control ring ---- */

/* Is there a free slot? Notes it when there is none: then the driver owes us a doorbell. */
static int have_room(struct vg_xenbus_conn *conn)
{
	int space = vg_ctl_space(&conn->ctl);

	conn->blocked = space == 0;
	return space > 0 ? 1 : space;
}

int conn_send(struct vg_xenbus_conn *conn, const struct vg_msg *msg)
{
	uint8_t wire[VG_MSG_MAX_SIZE];
	int len = vg_msg_encode(msg, wire, sizeof(wire));
	int ret = have_room(conn);

	if (ret <= 0)
		return ret;
	if (len < 0)
		return len;
	ret = vg_ctl_put(&conn->ctl, wire, (size_t)len);
	return ret ? ret : 1;
}

static int send_config_event(struct vg_xenbus_conn *conn, bool *sent)
{
	struct vg_msg event = {.id = VG_MSG_EVENT_CONFIG};
	int ret;

	if (!conn->config_pending)
		return 0;
	event.config.status = vg_device_get_status(conn->device);
	vg_device_read_config(conn->device, 0, NULL, 0, &event.config.generation);
	ret = conn_send(conn, &event);
	if (ret <= 0)
		return ret;
	conn->config_pending = false;
	*sent = true;
	return 0;
}

/* Takes one message. 1: taken, 0: none, or no room for its answer, -EPROTO. */
static int take_message(struct vg_xenbus_conn *conn, uint64_t now_ms, bool *notify)
{
	uint8_t slot[VG_CTL_SLOT_SIZE];
	struct vg_msg request, response;
	int ret = have_room(conn);

	if (ret <= 0)
		return ret;
	ret = vg_ctl_get(&conn->ctl, slot, notify);
	if (ret <= 0)
		return ret;
	conn->stats.messages++;
	if (vg_msg_decode(slot, sizeof(slot), &request)) {
		conn->stats.discarded++;
		return 1;
	}
	if (conn_dispatch(conn, &request, &response, now_ms)) {
		ret = conn_send(conn, &response);
		*notify = true;
	}
	return ret;
}

static int service(struct vg_xenbus_conn *conn, uint64_t now_ms, bool *notify)
{
	int taken, ret;

	conn->blocked = false;
	ret = conn_answer_deferred(conn, now_ms, notify);
	if (!ret)
		ret = send_config_event(conn, notify);
	/* What could not be sent has the next free slot, or answers could take each for ever. */
	if (ret || conn->blocked)
		return ret;
	for (taken = 0; taken < VG_CTL_SLOTS; taken++) {
		ret = take_message(conn, now_ms, notify);
		if (ret < 0)
			return ret;
		if (!ret)
			break;
	}
	/* What was handled may have made a region go or the device ask for a reset. */
	ret = conn_answer_deferred(conn, now_ms, notify);
	if (!ret)
		ret = send_config_event(conn, notify);
	if (ret)
		return ret;
	/*
	 * The driver rings when it makes room in a full ring, and then only once: when there was no
	 * room for a message, and then there was for what came after, none may come.
	 */
	if (conn->blocked)
		return 0;
	ret = vg_ctl_pending(&conn->ctl);
	return ret > 0 ? 1 : ret;
}

int vg_xenbus_conn_service(struct vg_xenbus_conn *conn, uint64_t now_ms)
{
	bool notify = false;
	int ret;

	if (conn->broken)
		return -EPROTO;
	conn->attention = false;
	ret = service(conn, now_ms, &notify);
	if (notify)
		ring_doorbell(conn, conn->port);
	if (ret < 0) {
		conn->broken = true;
		vg_warn(conn->log,
			"%s: the driver's indices in the control page are impossible; the "
			"connection is over",
			conn->label);
		return -EPROTO;
	}
	conn->attention = ret > 0;
	return ret;
}

int vg_xenbus_conn_timeout(const struct vg_xenbus_conn *conn, uint64_t now_ms)
{
	if (conn->broken)
		return -1;
	if (conn->attention)
		return 0;
	if (conn->blocked)
		return -1; /* nothing can be said before the driver makes room and rings */
	if (conn->config_pending)
		return 0;
	return conn_deferred_timeout(conn, now_ms);
}

void vg_xenbus_conn_get_stats(const struct vg_xenbus_conn *conn, struct vg_xenbus_conn_stats *stats)
{
	*stats = conn->stats;
}

// SPDX-License-Identifier: MIT
/* The control page, driver's side (spec/virtio-xen.md, "Control page"). */
#include <stdio.h>

#include "internal.h"
#include "mmio.h"

int vgg_prepare(struct vgg *g)
{
	int err = vgg_share(g, 1, true, &g->ctl_pages);

	if (err)
		return err;
	g->ctl = (void *)g->ctl_pages.base;
	g->ctl->magic = htole32(VG_CTL_MAGIC);
	g->ctl->version = htole16(VG_XENBUS_VERSION);
	g->ctl->slot_size = htole16(VG_CTL_SLOT_SIZE);
	g->ctl->slots = htole16(VG_CTL_SLOTS);
	g->prod = 0;
	g->cons = 0;
	g->seen_cons = 0;
	err = vgg_port_alloc(g);
	if (err < 0)
		return err;
	g->port = err;

	err = vgg_store_write(g, VG_KEY_VERSION, "%d", VG_XENBUS_VERSION);
	if (!err)
		err = vgg_store_write(g, VG_KEY_CONTROL_REF, "%u", g->ctl_pages.refs[0]);
	if (!err)
		err = vgg_store_write(g, VG_KEY_EVENT_CHANNEL, "%d", g->port);
	return err;
}

int vgg_offer(struct vgg *g)
{
	int err = vgg_prepare(g);

	return err ? err : vgg_set_frontend_state(g, VG_XENBUS_INITIALISED);
}

struct vg_ctl_page *vgg_control_page(struct vgg *g)
{
	return g->ctl;
}

int vgg_kick_control(struct vgg *g)
{
	return g->ctl ? vgg_port_notify(g, g->port) : -ENOTCONN;
}

/* Free slots of the driver's ring, or -EPROTO: the device has taken what it was not given. */
static int ring_space(struct vgg *g)
{
	uint32_t cons = vg_guest_load32_acquire(&g->ctl->device_cons);

	if (g->prod - cons > g->prod - g->seen_cons)
		return vgg_fail(g, -EPROTO, "the device's index lies: it took %u messages of %u",
				cons, g->prod);
	g->seen_cons = cons;
	return (int)(VG_CTL_SLOTS - (g->prod - cons));
}

int vgg_send_raw(struct vgg *g, const void *bytes, size_t len)
{
	uint8_t *slot;
	int space;

	if (!g->ctl)
		return vgg_fail(g, -ENOTCONN, "there is no control page");
	if (len > VG_CTL_SLOT_SIZE)
		return -EMSGSIZE;
	space = ring_space(g);
	if (space <= 0)
		return space ? space : vgg_fail(g, -EAGAIN, "the driver ring is full");
	slot = g->ctl->driver_ring + g->prod % VG_CTL_SLOTS * VG_CTL_SLOT_SIZE;
	memcpy(slot, bytes, len);
	vg_guest_store32_release(&g->ctl->driver_prod, ++g->prod);
	return vgg_port_notify(g, g->port);
}

static void take_event(struct vgg *g, const struct vg_msg *msg)
{
	if (!(msg->type & VG_MSG_BUS) && msg->id == VG_MSG_EVENT_CONFIG) {
		g->config_events++;
		g->config_status = msg->config.status;
	}
}

int vgg_ctl_receive(struct vgg *g, const struct vg_msg *want, struct vg_msg *resp)
{
	uint32_t before = g->cons, prod;
	bool found = false;
	uint8_t copy[VG_CTL_SLOT_SIZE];
	struct vg_msg msg;
	int space;

	if (g->mmio)
		return 0;
	prod = vg_guest_load32_acquire(&g->ctl->device_prod);
	space = ring_space(g);
	if (space < 0)
		return space;
	if (prod - g->cons > VG_CTL_SLOTS)
		return vgg_fail(g, -EPROTO, "the device's index lies: it names %u messages",
				prod - g->cons);
	while (g->cons != prod) {
		memcpy(copy, g->ctl->device_ring + g->cons % VG_CTL_SLOTS * VG_CTL_SLOT_SIZE,
		       sizeof(copy));
		g->cons++;
		if (vg_msg_decode(copy, sizeof(copy), &msg))
			continue;
		if (!(msg.type & VG_MSG_RESPONSE))
			take_event(g, &msg);
		else if (want && !found && msg.token == want->token && msg.id == want->id &&
			 msg.type == (want->type | VG_MSG_RESPONSE)) {
			*resp = msg;
			found = true;
		}
	}
	vg_guest_store32_release(&g->ctl->driver_cons, g->cons);
	/* Spec, VX-CTL: a device that found the ring full before this store waits for a doorbell.
	 */
	vg_full_barrier();
	if (vg_guest_load32(&g->ctl->device_prod) - before >= VG_CTL_SLOTS)
		vgg_port_notify(g, g->port);
	return found;
}

int vgg_request(struct vgg *g, struct vg_msg *req, struct vg_msg *resp)
{
	uint64_t deadline = vgg_now_ms() + g->timeout_ms;
	uint8_t bytes[VG_MSG_MAX_SIZE];
	int len, err;

	if (g->mmio)
		return vgg_mmio_request(g, req, resp);
	if (!++g->token)
		g->token = 1;
	req->token = g->token;
	len = vg_msg_encode(req, bytes, sizeof(bytes));
	if (len < 0)
		return vgg_fail(g, len, "message 0x%02x cannot be encoded", req->id);
	while ((err = vgg_send_raw(g, bytes, (size_t)len)) == -EAGAIN && vgg_left_ms(deadline)) {
		err = vgg_wait(g, vgg_left_ms(deadline));
		if (err < 0)
			return err;
	}
	if (err)
		return err;
	g->stats.messages++;

	while (!(err = vgg_ctl_receive(g, req, resp))) {
		int left = vgg_left_ms(deadline);

		if (!left)
			return vgg_fail(g, -ETIMEDOUT,
					"the backend did not answer message 0x%02x within %u ms",
					req->id, g->timeout_ms);
		err = vgg_wait(g, left);
		if (err < 0)
			return err;
	}
	return err < 0 ? err : 0;
}

int vgg_region_request(struct vgg *g, uint8_t id, uint32_t first, uint32_t count, uint32_t flags)
{
	struct vg_msg req = {.type = VG_MSG_BUS, .id = id}, resp = {0};
	int err;

	req.region.first = first;
	req.region.count = count;
	req.region.flags = flags;
	err = vgg_request(g, &req, &resp);
	return err ? err : (int)resp.status.status;
}

// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "fake/fake_internal.h"

#define PORTS 64

struct vg_evtchn {
	struct {
		uint32_t remote;
		bool bound, pending, masked;
	} port[PORTS]; /* index 0 is not used */
	bool offered[PORTS];
	unsigned int notified[PORTS];
};

static struct vg_evtchn fake;

void fake_evtchn_reset(void)
{
	memset(&fake, 0, sizeof(fake));
}

struct vg_evtchn *fake_evtchn(void)
{
	return &fake;
}

void fake_offer_port(uint32_t remote_port)
{
	fake.offered[remote_port] = true;
}

unsigned int fake_notified(uint32_t remote_port)
{
	return fake.notified[remote_port];
}

unsigned int fake_bound_ports(void)
{
	unsigned int n = 0;

	for (int i = 1; i < PORTS; i++)
		n += fake.port[i].bound;
	return n;
}

void fake_raise(uint32_t remote_port)
{
	for (int i = 1; i < PORTS; i++)
		if (fake.port[i].bound && fake.port[i].remote == remote_port)
			fake.port[i].pending = true;
}

int vg_evtchn_bind(struct vg_evtchn *evtchn, uint16_t domid, uint32_t remote_port)
{
	int ret = fake_fault(FAKE_BIND);

	if (ret)
		return ret;
	if (domid != FAKE_DOMID || remote_port >= PORTS || !evtchn->offered[remote_port])
		return -EINVAL;
	for (int i = 1; i < PORTS; i++) {
		if (evtchn->port[i].bound)
			continue;
		evtchn->port[i].bound = true;
		evtchn->port[i].remote = remote_port;
		evtchn->port[i].masked = false;
		/* One initial event arrives on binding, as on Xen. */
		evtchn->port[i].pending = true;
		evtchn->offered[remote_port] = false;
		return i;
	}
	return -ENOSPC;
}

void vg_evtchn_unbind(struct vg_evtchn *evtchn, int port)
{
	evtchn->port[port].bound = false;
	evtchn->port[port].pending = false;
}

int vg_evtchn_notify(struct vg_evtchn *evtchn, int port)
{
	int ret = fake_fault(FAKE_NOTIFY);

	if (ret)
		return ret;
	if (!evtchn->port[port].bound)
		return -ENOTCONN;
	evtchn->notified[evtchn->port[port].remote]++;
	return 0;
}

int vg_evtchn_pending(struct vg_evtchn *evtchn)
{
	for (int i = 1; i < PORTS; i++) {
		if (!evtchn->port[i].pending || evtchn->port[i].masked)
			continue;
		evtchn->port[i].pending = false;
		evtchn->port[i].masked = true;
		return i;
	}
	return -EAGAIN;
}

int vg_evtchn_unmask(struct vg_evtchn *evtchn, int port)
{
	evtchn->port[port].masked = false;
	return 0;
}

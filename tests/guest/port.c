// SPDX-License-Identifier: MIT
/* Event channels, and the one place where a guest sleeps. */
#include <poll.h>

#include "internal.h"
#include "mmio.h"

int vgg_port_alloc(struct vgg *g)
{
	int port = xenevtchn_bind_unbound_port(g->evtchn, g->backend_domid);

	return port > 0 ? port : vgg_fail(g, -errno, "no event channel: %s", strerror(errno));
}

void vgg_port_free(struct vgg *g, int port)
{
	if (port > 0)
		xenevtchn_unbind(g->evtchn, (evtchn_port_t)port);
}

int vgg_port_notify(struct vgg *g, int port)
{
	g->stats.kicks++;
	if (xenevtchn_notify(g->evtchn, (evtchn_port_t)port))
		return vgg_fail(g, -errno, "cannot notify the backend: %s", strerror(errno));
	return 0;
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* Ports are unmasked before the rings are looked at, so none of the device's events is lost. */
static void take_ports(struct vgg *g)
{
	for (int i = 0; i < 2 * VGG_MAX_QUEUES; i++) {
		int port = xenevtchn_pending(g->evtchn);

		if (port < 0)
			return;
		g->stats.interrupts++;
		xenevtchn_unmask(g->evtchn, (evtchn_port_t)port);
		/* xenevtchn.h: without this, the next call may block. */
		if (!readable(xenevtchn_fd(g->evtchn)))
			return;
	}
}

int vgg_wait(struct vgg *g, int timeout_ms)
{
	struct pollfd p[3] = {
		{.fd = xenevtchn_fd(g->evtchn), .events = POLLIN},
		{.fd = g->watching ? xs_fileno(g->xs) : -1, .events = POLLIN},
		{.fd = vgg_mmio_irq_fd(g), .events = POLLIN},
	};
	int n;

	if (g->over)
		return vgg_fail(g, -ECONNRESET, "the backend has closed the device");
	g->stats.waits++;
	n = poll(p, 3, timeout_ms);
	if (n < 0)
		return errno == EINTR ? 1 : vgg_fail(g, -errno, "poll: %s", strerror(errno));
	if (p[0].revents & (POLLERR | POLLNVAL | POLLHUP))
		return vgg_fail(g, -EIO, "the event-channel handle has failed");
	if (p[0].revents)
		take_ports(g);
	if (p[1].revents)
		vgg_store_events(g);
	if (g->mmio && (p[0].revents || p[2].revents)) {
		int err = vgg_mmio_interrupt(g);

		if (err)
			return err;
	}
	if (g->over)
		return vgg_fail(g, -ECONNRESET, "the backend has closed the device");
	return n > 0;
}

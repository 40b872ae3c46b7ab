// SPDX-License-Identifier: MIT
/*
 * Owner of the event-channel device handle, over libxenevtchn.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <xenevtchn.h>

#include <vgrant/xen.h>

#include "xen/errors.h"

struct vg_evtchn {
	xenevtchn_handle *handle;
};

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int vg_evtchn_open(const struct vg_log *log, struct vg_evtchn **out)
{
	struct vg_evtchn *evtchn;
	int ret;

	evtchn = calloc(1, sizeof(*evtchn));
	if (!evtchn)
		return -ENOMEM;
	errno = 0;
	evtchn->handle = xenevtchn_open(NULL, 0);
	if (!evtchn->handle) {
		ret = vg_xen_error();
		vg_xen_open_failed(log, "/dev/xen/evtchn", "xen-evtchn", ret);
		goto out;
	}
	ret = set_nonblocking(xenevtchn_fd(evtchn->handle));
	if (ret)
		vg_err(log, "cannot make the event-channel device non-blocking: %s",
		       strerror(-ret));
out:
	if (ret) {
		vg_evtchn_close(evtchn);
		return ret;
	}
	*out = evtchn;
	return 0;
}

void vg_evtchn_close(struct vg_evtchn *evtchn)
{
	if (!evtchn)
		return;
	xenevtchn_close(evtchn->handle);
	free(evtchn);
}

int vg_evtchn_restrict(struct vg_evtchn *evtchn, uint16_t domid)
{
	errno = 0;
	if (!xenevtchn_restrict(evtchn->handle, domid))
		return 0;
	return errno == ENOTTY || errno == ENOSYS ? -EOPNOTSUPP : vg_xen_error();
}

int vg_evtchn_fd(const struct vg_evtchn *evtchn)
{
	return xenevtchn_fd(evtchn->handle);
}

int vg_evtchn_bind(struct vg_evtchn *evtchn, uint16_t domid, uint32_t remote_port)
{
	int port;

	errno = 0;
	port = xenevtchn_bind_interdomain(evtchn->handle, domid, remote_port);
	return port > 0 ? port : vg_xen_error();
}

void vg_evtchn_unbind(struct vg_evtchn *evtchn, int port)
{
	xenevtchn_unbind(evtchn->handle, (evtchn_port_t)port);
}

/* ---- the request path ---- */

int vg_evtchn_notify(struct vg_evtchn *evtchn, int port)
{
	errno = 0;
	return xenevtchn_notify(evtchn->handle, (evtchn_port_t)port) < 0 ? vg_xen_error() : 0;
}

int vg_evtchn_pending(struct vg_evtchn *evtchn)
{
	int port;

	/* A short read sets no errno. */
	errno = 0;
	port = xenevtchn_pending(evtchn->handle);
	return port > 0 ? port : vg_xen_error();
}

int vg_evtchn_unmask(struct vg_evtchn *evtchn, int port)
{
	errno = 0;
	return xenevtchn_unmask(evtchn->handle, (evtchn_port_t)port) ? vg_xen_error() : 0;
}

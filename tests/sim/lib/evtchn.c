// SPDX-License-Identifier: MIT
/* libxenevtchn, with the semantics of Linux's /dev/xen/evtchn. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xenevtchn.h>

#include <xen/sys/evtchn.h>

#include "../common/port.h"
#include "client.h"

struct peer {
	uint32_t uid; /* of the handle whose pipe this is; 0: none */
	int fd;
};

struct xenevtchn_handle {
	struct sim_client c;
	int rd, wr; /* this handle's pipe */
	pthread_mutex_t lock;
	struct peer peer[SIM_MAX_HANDLES];
};

static xenevtchn_handle *handle_make(int inherited, int flags)
{
	xenevtchn_handle *xce = calloc(1, sizeof(*xce));
	struct stat st;
	int fds[2] = {-1, -1}, err;

	if (!xce)
		return NULL;
	if (inherited < 0)
		err = -sim_client_open(&xce->c, SIM_HANDLE_EVTCHN, fds);
	else if (fstat(inherited, &st))
		err = errno;
	else
		err = -sim_client_adopt(&xce->c, st.st_ino, fds);
	if (err) {
		free(xce);
		errno = err;
		return NULL;
	}
	xce->wr = fds[0];
	xce->rd = inherited < 0 ? fds[1] : inherited;
	pthread_mutex_init(&xce->lock, NULL);
	if (flags & XENEVTCHN_NO_CLOEXEC) {
		/* The connection stays open over exec too: it keeps the handle alive. */
		fcntl(xce->rd, F_SETFD, 0);
		fcntl(xce->c.fd, F_SETFD, 0);
	}
	return xce;
}

SIM_EXPORT xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	xenevtchn_handle *xce;
	int err;

	(void)logger;
	if (flags & ~XENEVTCHN_NO_CLOEXEC) {
		errno = EINVAL;
		return NULL;
	}
	xce = handle_make(-1, (int)flags);
	err = xce ? sim_fault_call(&xce->c, "open", NULL) : 0;
	if (err) {
		xenevtchn_close(xce);
		errno = err;
		return NULL;
	}
	return xce;
}

SIM_EXPORT xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
					      unsigned open_flags)
{
	(void)logger;
	if (open_flags || fd < 0) {
		errno = EINVAL;
		return NULL;
	}
	return handle_make(fd, 0);
}

SIM_EXPORT int xenevtchn_close(xenevtchn_handle *xce)
{
	if (!xce)
		return 0;
	for (unsigned int i = 0; i < SIM_MAX_HANDLES; i++) {
		if (xce->peer[i].uid)
			close(xce->peer[i].fd);
	}
	sim_client_close(&xce->c);
	close(xce->rd);
	close(xce->wr);
	pthread_mutex_destroy(&xce->lock);
	free(xce);
	return 0;
}

SIM_EXPORT int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->rd;
}

static int request(xenevtchn_handle *xce, const char *site, enum sim_op op, uint32_t a, uint32_t b,
		   uint32_t *result)
{
	struct sim_msg m = {.op = (int32_t)op, .arg = {a, b}};
	int err = sim_fault_call(&xce->c, site, NULL);

	if (!err)
		err = -sim_rpc(&xce->c, &m, NULL, NULL, 0, NULL, 0);
	if (err)
		return sim_fail(err);
	if (result)
		*result = m.arg[0];
	return 0;
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce,
								 uint32_t domid)
{
	uint32_t port = 0;

	return request(xce, "bind", SIM_OP_EV_UNBOUND, domid, 0, &port) ? -1 : (int)port;
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce,
								uint32_t domid,
								evtchn_port_t remote_port)
{
	uint32_t port = 0;

	if (request(xce, "bind", SIM_OP_EV_INTERDOMAIN, domid, remote_port, &port))
		return -1;
	return (int)port;
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
	(void)xce;
	(void)virq;
	return sim_fail(ENOSYS);
}

SIM_EXPORT int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	return request(xce, "unbind", SIM_OP_EV_UNBIND, port, 0, NULL);
}

SIM_EXPORT int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
	return request(xce, "restrict", SIM_OP_EV_RESTRICT, domid, 0, NULL);
}

/* The write end of another handle's pipe: asked for once, then kept. -1: it is gone. */
static int peer_fd(xenevtchn_handle *xce, uint32_t handle)
{
	struct sim_msg m = {.op = SIM_OP_EV_PEER, .arg = {handle}};
	struct peer *p;
	int fd = -1;

	if (handle >= SIM_MAX_HANDLES)
		return -1;
	p = &xce->peer[handle];
	pthread_mutex_lock(&xce->lock);
	if (p->uid && p->uid != atomic_load(&xce->c.arena->handle_uid[handle])) {
		close(p->fd);
		p->uid = 0;
	}
	if (!p->uid && !sim_rpc(&xce->c, &m, NULL, NULL, 0, &fd, 1) && fd >= 0) {
		p->uid = m.arg[0];
		p->fd = fd;
	}
	fd = p->uid ? p->fd : -1;
	pthread_mutex_unlock(&xce->lock);
	return fd;
}

/* A full pipe would lose the event, but cannot be: see common/port.h. It never blocks. */
static void pipe_put(int fd, evtchn_port_t port)
{
	ssize_t n;

	do {
		n = write(fd, &port, sizeof(port));
	} while (n < 0 && errno == EINTR);
}

static bool port_ours(xenevtchn_handle *xce, evtchn_port_t port)
{
	uint64_t w;

	if (port >= SIM_MAX_PORTS)
		return false;
	w = atomic_load(&sim_self(&xce->c)->port[port].state);
	return SIM_PORT_KIND(w) != SIM_PORT_FREE && SIM_PORT_HANDLE(w) == xce->c.handle;
}

/* Raise the peer of a port; false when nothing had to be written. */
static bool send_event(xenevtchn_handle *xce, evtchn_port_t port)
{
	uint64_t link = atomic_load(&sim_self(&xce->c)->port[port].link);
	struct sim_port *p;
	uint32_t handle;
	int fd;

	if (!SIM_LINK_VALID(link))
		return false;
	p = &xce->c.arena->dom[SIM_LINK_DOM(link)].port[SIM_LINK_PORT(link)];
	if (!sim_port_raise(p, SIM_LINK_GEN(link), &handle))
		return false;
	fd = peer_fd(xce, handle);
	if (fd >= 0)
		pipe_put(fd, SIM_LINK_PORT(link));
	sim_port_raised(p, SIM_LINK_GEN(link));
	return fd >= 0;
}

SIM_EXPORT int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	struct sim_fault_rule fault = {0};
	int err = sim_fault_call(&xce->c, "notify", &fault);

	if (err)
		return sim_fail(err);
	if (!port_ours(xce, port))
		return sim_fail(ENOTCONN);
	/* With no peer, or one that has an event already, Xen too says that all is well. */
	if (fault.flags & SIM_FAULT_DROP || !send_event(xce, port))
		sim_trap(xce->c.fd, IOCTL_EVTCHN_NOTIFY);
	sim_stat_add(sim_self(&xce->c), SIM_STAT_NOTIFY, 1);
	return 0;
}

SIM_EXPORT xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	int err = sim_fault_call(&xce->c, "pending", NULL);
	evtchn_port_t port;

	if (err)
		return sim_fail(err);
	if (read(xce->rd, &port, sizeof(port)) != sizeof(port))
		return -1;
	sim_stat_add(sim_self(&xce->c), SIM_STAT_PENDING, 1);
	return (int)port;
}

SIM_EXPORT int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	int err = sim_fault_call(&xce->c, "unmask", NULL);
	int again = -1;

	if (err)
		return sim_fail(err);
	if (port < SIM_MAX_PORTS)
		again = sim_port_unmask(&sim_self(&xce->c)->port[port], xce->c.handle);
	if (again == 1)
		pipe_put(xce->wr, port);
	else
		sim_trap(xce->c.fd, IOCTL_EVTCHN_NOTIFY);
	/* Linux skips ports that are not this handle's, and does not say so. */
	sim_stat_add(sim_self(&xce->c), SIM_STAT_UNMASK, 1);
	return 0;
}

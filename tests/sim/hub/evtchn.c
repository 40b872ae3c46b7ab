// SPDX-License-Identifier: MIT
/* Event channels: binding and closing. Sending is in common/port.h and lib/evtchn.c. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub.h"

#define SAME_HANDLE 0xfffffu
#define NO_HANDLE   0xffffu /* of a port that is only kept for a notification */

int evtchn_open_pipe(struct handle *hd)
{
	char path[64];
	struct stat st;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	/*
	 * Senders get a descriptor that also counts as a reader: they never see SIGPIPE, and that
	 * they do not block is not seen by the reader, whose own flags are as on /dev/xen/evtchn.
	 */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	hd->pipe_wr = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	close(fds[1]);
	if (hd->pipe_wr < 0 || fstat(fds[0], &st)) {
		close(fds[0]);
		return -EMFILE;
	}
	hd->pipe_rd = fds[0];
	hd->pipe_ino = st.st_ino;
	return 0;
}

static void pipe_put(struct hub *h, uint32_t handle, uint32_t port)
{
	if (handle < SIM_MAX_HANDLES && h->handle[handle] &&
	    write(h->handle[handle]->pipe_wr, &port, sizeof(port)) != sizeof(port))
		fprintf(stderr, "xensim: an event was lost: %s\n", strerror(errno));
}

static void raise_port(struct hub *h, unsigned int dom, uint32_t port, uint32_t gen)
{
	struct sim_port *p = &h->arena->dom[dom].port[port];
	uint32_t handle;

	if (!sim_port_raise(p, gen, &handle))
		return;
	pipe_put(h, handle, port);
	sim_port_raised(p, gen);
}

void evtchn_send(struct hub *h, struct domain *d, uint32_t port)
{
	uint64_t link = atomic_load(&d->shared->port[port].link);

	if (SIM_LINK_VALID(link))
		raise_port(h, SIM_LINK_DOM(link), SIM_LINK_PORT(link), SIM_LINK_GEN(link));
}

/* Change kind and handle: the owner may be unmasking meanwhile. Returns what was before. */
static uint64_t port_set(struct sim_port *p, enum sim_port_kind kind, uint32_t handle)
{
	uint64_t w = atomic_load(&p->state);
	uint64_t n;

	do {
		n = sim_port_word(kind, handle == SAME_HANDLE ? SIM_PORT_HANDLE(w) : handle,
				  SIM_PORT_GEN(w)) |
		    (w & (SIM_PORT_PENDING | SIM_PORT_MASKED));
	} while (!atomic_compare_exchange_weak(&p->state, &w, n));
	return w;
}

static uint32_t port_gen(struct sim_port *p)
{
	return SIM_PORT_GEN(atomic_load(&p->state));
}

static int port_take(struct handle *hd, enum sim_port_kind kind)
{
	struct domain *d = hd->dom;

	for (uint32_t i = 1; i <= d->cfg.nr_ports; i++) {
		struct sim_port *p = &d->shared->port[i];

		if (SIM_PORT_KIND(atomic_load(&p->state)) != SIM_PORT_FREE)
			continue;
		atomic_store(&p->link, 0);
		atomic_store(&p->state, sim_port_word(kind, hd->id, port_gen(p) + 1));
		return (int)i;
	}
	return -ENOSPC;
}

static bool restricted(struct handle *hd, uint32_t domid)
{
	return hd->restrict_domid >= 0 && (uint32_t)hd->restrict_domid != domid;
}

int evtchn_bind_unbound(struct hub *h, struct handle *hd, uint32_t domid)
{
	int port;

	(void)h;
	if (restricted(hd, domid))
		return -EACCES;
	if (domid > UINT16_MAX)
		return -EINVAL;
	port = port_take(hd, SIM_PORT_UNBOUND);
	if (port > 0)
		hd->dom->port[port] = (struct port_info){.remote_domid = (uint16_t)domid};
	return port;
}

int evtchn_bind_interdomain(struct hub *h, struct handle *hd, uint32_t domid, uint32_t port)
{
	struct domain *l = hd->dom;
	struct domain *r;
	struct sim_port *lp, *rp;
	int local;

	if (restricted(hd, domid))
		return -EACCES;
	r = domain_find(h, domid);
	if (!r || r->dying)
		return -ESRCH;
	if (!port || port > r->cfg.nr_ports)
		return -EINVAL;
	rp = &r->shared->port[port];
	if (SIM_PORT_KIND(atomic_load(&rp->state)) != SIM_PORT_UNBOUND ||
	    r->port[port].remote_domid != l->cfg.domid)
		return -EINVAL;
	local = port_take(hd, SIM_PORT_INTERDOMAIN);
	if (local < 0)
		return local;
	lp = &l->shared->port[local];
	l->port[local] = (struct port_info){.remote_domid = (uint16_t)domid,
					    .peer_dom = (uint16_t)r->index,
					    .peer_port = (uint16_t)port};
	r->port[port].peer_dom = (uint16_t)l->index;
	r->port[port].peer_port = (uint16_t)local;
	port_set(rp, SIM_PORT_INTERDOMAIN, SAME_HANDLE);
	atomic_store(&lp->link, sim_link_word(r->index, port, port_gen(rp)));
	atomic_store(&rp->link, sim_link_word(l->index, (uint32_t)local, port_gen(lp)));
	/* What was sent before there was a peer may have been lost: Xen raises the new port once.
	 */
	raise_port(h, l->index, (uint32_t)local, port_gen(lp));
	return local;
}

static void port_close(struct hub *h, struct domain *d, uint32_t port)
{
	struct sim_port *p = &d->shared->port[port];
	struct port_info *info = &d->port[port];

	if (SIM_PORT_KIND(atomic_load(&p->state)) == SIM_PORT_INTERDOMAIN) {
		struct domain *r = h->dom[info->peer_dom];
		struct sim_port *rp = &r->shared->port[info->peer_port];
		uint64_t w;

		/* The peer becomes unbound, for this domain to bind again; it is not told. */
		atomic_store(&rp->link, 0);
		r->port[info->peer_port].remote_domid = (uint16_t)d->cfg.domid;
		w = port_set(rp, SIM_PORT_UNBOUND, SAME_HANDLE);
		if (SIM_PORT_RAISERS(w)) /* killed before it could write */
			pipe_put(h, SIM_PORT_HANDLE(w), info->peer_port);
	}
	info->closing = false;
	atomic_store(&p->link, 0);
	atomic_store(&p->state, sim_port_word(SIM_PORT_FREE, 0, port_gen(p) + 1));
}

int evtchn_alloc_xen(struct domain *d, uint32_t remote_domid)
{
	for (uint32_t i = 1; i <= d->cfg.nr_ports; i++) {
		struct sim_port *p = &d->shared->port[i];

		if (SIM_PORT_KIND(atomic_load(&p->state)) != SIM_PORT_FREE)
			continue;
		atomic_store(&p->link, 0);
		atomic_store(&p->state,
			     sim_port_word(SIM_PORT_UNBOUND, NO_HANDLE, port_gen(p) + 1));
		d->port[i] = (struct port_info){.remote_domid = (uint16_t)remote_domid};
		return (int)i;
	}
	return -ENOSPC;
}

void evtchn_free_xen(struct hub *h, struct domain *d, uint32_t port)
{
	port_close(h, d, port);
}

static bool notification_needs(struct hub *h, struct domain *d, uint32_t port)
{
	for (uint32_t i = 0; i < SIM_MAX_HANDLES; i++) {
		struct handle *hd = h->handle[i];

		for (struct notify *n = hd && hd->dom == d ? hd->notify : NULL; n; n = n->next) {
			if (n->port == port)
				return true;
		}
	}
	return false;
}

/* The handle lets go. As on Linux, gntdev and gntalloc may still hold a reference. */
static void port_release(struct hub *h, struct domain *d, uint32_t port)
{
	if (!notification_needs(h, d, port)) {
		port_close(h, d, port);
		return;
	}
	d->port[port].closing = true;
	port_set(&d->shared->port[port], SIM_PORT_KIND(atomic_load(&d->shared->port[port].state)),
		 NO_HANDLE);
}

void evtchn_put(struct hub *h, struct domain *d, uint32_t port)
{
	if (d->port[port].closing && !notification_needs(h, d, port))
		port_close(h, d, port);
}

int evtchn_unbind(struct hub *h, struct handle *hd, uint32_t port)
{
	uint64_t w;

	if (port >= SIM_MAX_PORTS)
		return -EINVAL;
	w = atomic_load(&hd->dom->shared->port[port].state);
	if (SIM_PORT_KIND(w) == SIM_PORT_FREE || SIM_PORT_HANDLE(w) != hd->id)
		return -ENOTCONN;
	port_release(h, hd->dom, port);
	return 0;
}

int evtchn_restrict(struct handle *hd, uint32_t domid)
{
	if (hd->restrict_domid >= 0)
		return -EACCES;
	if (!domid || domid >= 0x7ff0)
		return -EINVAL;
	hd->restrict_domid = (int)domid;
	return 0;
}

void evtchn_close(struct hub *h, struct handle *hd)
{
	for (uint32_t i = 1; i <= hd->dom->cfg.nr_ports; i++) {
		uint64_t w = atomic_load(&hd->dom->shared->port[i].state);

		if (SIM_PORT_KIND(w) != SIM_PORT_FREE && SIM_PORT_HANDLE(w) == hd->id)
			port_release(h, hd->dom, i);
	}
	if (hd->pipe_rd >= 0)
		close(hd->pipe_rd);
	if (hd->pipe_wr >= 0)
		close(hd->pipe_wr);
	hd->pipe_rd = hd->pipe_wr = -1;
}

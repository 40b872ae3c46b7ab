// SPDX-License-Identifier: MIT
/* The connections of the fake libraries: one for each open handle. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hub.h"

struct message {
	struct sim_msg m;
	uint32_t words[SIM_MSG_WORDS];
};

static struct message in, out; /* one thread, one message at a time */

static void handle_free(struct hub *h, struct handle *hd)
{
	h->handle[hd->id] = NULL;
	free(hd);
}

void handle_close(struct hub *h, struct handle *hd)
{
	if (hd->dead)
		return;
	hd->dead = true;
	hub_unwatch(&hd->src);
	if (hd->type == SIM_HANDLE_GNTSHR)
		share_close(h, hd);
	/* Unmap notifications come before the ports that they use may go with another handle. */
	if (unwind_handle(h, hd)) {
		evtchn_close(h, hd);
		handle_free(h, hd);
	} else {
		evtchn_close(h, hd);
		h->work = true; /* a process that is stopped just now is in the way: try again */
	}
}

void handle_close_domain(struct hub *h, struct domain *d)
{
	/* Event channels last: closing the others may still send on them. */
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < SIM_MAX_HANDLES; i++) {
			struct handle *hd = h->handle[i];

			if (hd && hd->dom == d && (hd->type == SIM_HANDLE_EVTCHN) == (pass == 1))
				handle_close(h, hd);
		}
	}
}

bool handle_tick(struct hub *h)
{
	bool more = false;

	for (uint32_t i = 0; i < SIM_MAX_HANDLES; i++) {
		if (!h->handle[i] || !h->handle[i]->dead)
			continue;
		if (unwind_handle(h, h->handle[i]))
			handle_free(h, h->handle[i]);
		else
			more = true;
	}
	return more;
}

static int op_hello(struct hub *h, struct handle *hd, int *fds, unsigned int *nfds)
{
	int ret;

	if (hd->hello || in.m.arg[0] > SIM_HANDLE_PRIV)
		return -EINVAL;
	hd->type = (enum sim_handle_type)in.m.arg[0];
	fds[(*nfds)++] = h->arena_fd;
	if (hd->type == SIM_HANDLE_EVTCHN) {
		ret = evtchn_open_pipe(hd);
		if (ret)
			return ret;
		fds[(*nfds)++] = hd->pipe_wr;
		fds[(*nfds)++] = hd->pipe_rd;
	}
	hd->hello = true;
	out.m.arg[0] = hd->id;
	out.m.arg[1] = hd->dom->index;
	out.m.arg[2] = hd->dom->cfg.domid;
	out.m.arg[3] = hd->dom->cfg.priv;
	return 0;
}

/* A process that was exec'ed over another takes over its handle, known by its pipe. */
static struct handle *op_adopt(struct hub *h, struct handle *hd, int *fds, unsigned int *nfds)
{
	uint64_t ino = (uint64_t)in.m.arg[1] << 32 | in.m.arg[0];

	for (uint32_t i = 0; i < SIM_MAX_HANDLES; i++) {
		struct handle *old = h->handle[i];

		if (!old || old->dead || old == hd || old->type != SIM_HANDLE_EVTCHN ||
		    !old->hello || old->dom != hd->dom || old->pipe_ino != ino)
			continue;
		hub_unwatch(&old->src);
		old->src.fd = hd->src.fd;
		hub_watch(h, &old->src, EPOLLIN);
		handle_free(h, hd);
		fds[(*nfds)++] = h->arena_fd;
		fds[(*nfds)++] = old->pipe_wr;
		out.m.arg[0] = old->id;
		out.m.arg[1] = old->dom->index;
		out.m.arg[2] = old->dom->cfg.domid;
		out.m.arg[3] = old->dom->cfg.priv;
		return old;
	}
	out.m.op = -EBADF;
	return hd;
}

static int op_ram(struct hub *h, int *fds, unsigned int *nfds)
{
	struct domain *d = domain_find(h, in.m.arg[0]);

	if (!d)
		return -ESRCH;
	out.m.arg[0] = d->index;
	out.m.arg[1] = atomic_load(&d->shared->uid);
	fds[(*nfds)++] = d->ram_fd;
	return 0;
}

static int op_peer(struct hub *h, int *fds, unsigned int *nfds)
{
	struct handle *p = in.m.arg[0] < SIM_MAX_HANDLES ? h->handle[in.m.arg[0]] : NULL;

	if (!p || p->pipe_wr < 0)
		return -ESRCH;
	out.m.arg[0] = atomic_load(&h->arena->handle_uid[p->id]);
	fds[(*nfds)++] = p->pipe_wr;
	return 0;
}

static int port_reply(int port)
{
	out.m.arg[0] = port > 0 ? (uint32_t)port : 0;
	return port > 0 ? 0 : port;
}

static int dispatch_ioreq(struct hub *h, struct handle *hd, int *fds, unsigned int *nfds)
{
	int fd = -1;
	int ret;

	if (in.m.op == SIM_OP_ACCESS)
		ret = ioreq_access(h, hd, in.words, in.m.n, out.m.arg, &fd);
	else if (in.m.op == SIM_OP_IRQ)
		ret = ioreq_irq(hd, in.m.arg[0], &fd);
	else
		ret = ioreq_op(h, hd, &in.m, out.m.arg, &fd);
	if (!ret && fd >= 0)
		fds[(*nfds)++] = fd;
	return ret;
}

static int dispatch(struct hub *h, struct handle *hd, int *fds, unsigned int *nfds)
{
	const uint32_t *arg = in.m.arg;
	bool ev = hd->type == SIM_HANDLE_EVTCHN;
	int ret;

	if (!hd->hello && in.m.op != SIM_OP_HELLO)
		return -EINVAL;
	switch (in.m.op) {
	case SIM_OP_HELLO:
		return op_hello(h, hd, fds, nfds);
	case SIM_OP_RAM:
		return op_ram(h, fds, nfds);
	case SIM_OP_SHARE:
		ret = hd->type == SIM_HANDLE_GNTSHR
			      ? share_pages(h, hd, arg[0], arg[1], arg[2], out.words)
			      : -EINVAL;
		out.m.n = ret ? 0 : arg[1];
		return ret;
	case SIM_OP_UNSHARE:
		return share_end(h, hd, in.words, in.m.n);
	case SIM_OP_NOTIFY_SET:
		return notify_set(h, hd, arg);
	case SIM_OP_NOTIFY_FIRE:
		notify_fire(h, hd, arg[0], arg[1]);
		return 0;
	case SIM_OP_DEFER:
		return unwind_defer(h, hd, arg[0], in.words, in.m.n);
	case SIM_OP_EV_UNBOUND:
		return ev ? port_reply(evtchn_bind_unbound(h, hd, arg[0])) : -EINVAL;
	case SIM_OP_EV_INTERDOMAIN:
		return ev ? port_reply(evtchn_bind_interdomain(h, hd, arg[0], arg[1])) : -EINVAL;
	case SIM_OP_EV_UNBIND:
		return ev ? evtchn_unbind(h, hd, arg[0]) : -EINVAL;
	case SIM_OP_EV_RESTRICT:
		return ev ? evtchn_restrict(hd, arg[0]) : -EINVAL;
	case SIM_OP_EV_PEER:
		return op_peer(h, fds, nfds);
	case SIM_OP_DM_CREATE:
	case SIM_OP_DM_DESTROY:
	case SIM_OP_DM_ENABLE:
	case SIM_OP_DM_RANGE_ADD:
	case SIM_OP_DM_RANGE_REMOVE:
	case SIM_OP_DM_PAGE:
	case SIM_OP_DM_VCPUS:
	case SIM_OP_DM_IRQ:
	case SIM_OP_ACCESS:
	case SIM_OP_IRQ:
		return dispatch_ioreq(h, hd, fds, nfds);
	default:
		return -EINVAL;
	}
}

static bool reply(struct handle *hd, const int *fds, unsigned int nfds)
{
	union {
		char buf[CMSG_SPACE(SIM_MSG_FDS * sizeof(int))];
		struct cmsghdr align;
	} c;
	struct iovec iov = {.iov_base = &out,
			    .iov_len = sizeof(out.m) + out.m.n * sizeof(out.words[0])};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds && !out.m.op) {
		struct cmsghdr *cm;

		memset(&c, 0, sizeof(c));
		msg.msg_control = c.buf;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cm), fds, nfds * sizeof(int));
	}
	return sendmsg(hd->src.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)iov.iov_len;
}

static void handle_ready(struct hub *h, struct source *s, uint32_t events)
{
	struct handle *hd = (struct handle *)s;
	unsigned int nfds = 0;
	int fds[SIM_MSG_FDS];
	ssize_t n = recv(s->fd, &in, sizeof(in), MSG_DONTWAIT);
	bool ok;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < (ssize_t)sizeof(in.m) || in.m.n > SIM_MSG_WORDS ||
	    (size_t)n != sizeof(in.m) + in.m.n * sizeof(in.words[0])) {
		handle_close(h, hd);
		return;
	}
	memset(&out.m, 0, sizeof(out.m));
	if (in.m.op == SIM_OP_CLOSE) {
		/* Unwound before the answer, so that whoever asks afterwards sees it gone. */
		int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);

		handle_close(h, hd);
		if (fd >= 0) {
			send(fd, &out.m, sizeof(out.m), MSG_NOSIGNAL | MSG_DONTWAIT);
			close(fd);
		}
		return;
	}
	if (in.m.op == SIM_OP_ADOPT && !hd->hello)
		hd = op_adopt(h, hd, fds, &nfds);
	else
		out.m.op = dispatch(h, hd, fds, &nfds);
	ok = reply(hd, fds, nfds);
	if (hd->pipe_rd >= 0) {
		close(hd->pipe_rd); /* the process has it now */
		hd->pipe_rd = -1;
	}
	if (!ok)
		handle_close(h, hd);
}

void handle_accept(struct hub *h, struct source *s, uint32_t events)
{
	struct domain *d = NULL;
	struct handle *hd;
	uint32_t id;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		if (h->dom[i] && &h->dom[i]->hub_listen == s)
			d = h->dom[i];
	}
	for (id = 0; id < SIM_MAX_HANDLES && h->handle[id]; id++)
		;
	if (!d || id == SIM_MAX_HANDLES) {
		close(fd);
		return;
	}
	hd = hub_alloc(sizeof(*hd));
	hd->src.ready = handle_ready;
	hd->src.fd = fd;
	hd->id = id;
	hd->dom = d;
	hd->pipe_rd = hd->pipe_wr = -1;
	hd->restrict_domid = -1;
	h->handle[id] = hd;
	atomic_fetch_add(&h->arena->handle_uid[id], 1);
	if (hub_watch(h, &hd->src, EPOLLIN))
		handle_close(h, hd);
}

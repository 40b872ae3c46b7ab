// SPDX-License-Identifier: MIT
/* Connections of xenstore clients: framing, and buffers that no client can blow up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store.h"

#define MESSAGES_PER_WAKE 16

static size_t backlog(const struct sconn *c)
{
	return c->out.len - c->out.done;
}

static void sconn_close(struct sconn *c)
{
	struct store *st = c->store;

	for (struct sconn **p = &st->conn; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	watch_remove_all(c);
	tx_free_all(c);
	hub_unwatch(&c->src);
	free(c->out.p);
	free(c);
}

/* The caller may be in the middle of anything: the connection goes when epoll reports it. */
static void sconn_doom(struct sconn *c)
{
	c->closing = true;
	shutdown(c->src.fd, SHUT_RDWR);
}

static void flush(struct sconn *c)
{
	uint32_t interest;

	while (backlog(c)) {
		ssize_t n = send(c->src.fd, c->out.p + c->out.done, backlog(c),
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				sconn_doom(c);
			break;
		}
		c->out.done += (size_t)n;
	}
	if (!backlog(c))
		c->out.len = c->out.done = 0;
	interest = (backlog(c) < STORE_OUT_PAUSE ? EPOLLIN : 0) | (backlog(c) ? EPOLLOUT : 0);
	if (interest != c->interest)
		hub_watch(c->store->hub, &c->src, interest);
	c->interest = interest;
}

void store_send(struct sconn *c, uint32_t type, uint32_t req, uint32_t tx, const void *data,
		size_t len)
{
	struct xsd_sockmsg m = {.type = type, .req_id = req, .tx_id = tx, .len = (uint32_t)len};
	struct buffer *b = &c->out;
	size_t need;

	if (c->closing)
		return;
	if (backlog(c) + sizeof(m) + len > STORE_OUT_MAX) {
		sconn_doom(c);
		return;
	}
	if (b->done) {
		memmove(b->p, b->p + b->done, backlog(c));
		b->len -= b->done;
		b->done = 0;
	}
	need = b->len + sizeof(m) + len;
	if (need > b->cap) {
		uint8_t *more = hub_alloc(need * 2);

		if (b->len)
			memcpy(more, b->p, b->len);
		free(b->p);
		b->p = more;
		b->cap = need * 2;
	}
	memcpy(b->p + b->len, &m, sizeof(m));
	if (len)
		memcpy(b->p + b->len + sizeof(m), data, len);
	b->len = need;
	flush(c);
}

/* Read up to `want` bytes of the message at hand. 1: there; 0: not yet; -1: the client is gone. */
static int fill(struct sconn *c, size_t want)
{
	while (c->in_len < want) {
		ssize_t n = recv(c->src.fd, c->in + c->in_len, want - c->in_len, MSG_DONTWAIT);

		if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -1;
		if (n < 0)
			return 0;
		c->in_len += (size_t)n;
	}
	return 1;
}

static int one_message(struct sconn *c)
{
	struct xsd_sockmsg m;
	int ret = fill(c, sizeof(m));

	if (ret <= 0)
		return ret;
	memcpy(&m, c->in, sizeof(m));
	if (m.len > XENSTORE_PAYLOAD_MAX)
		return -1;
	ret = fill(c, sizeof(m) + m.len);
	if (ret <= 0)
		return ret;
	c->in[sizeof(m) + m.len] = '\0';
	c->in_len = 0;
	store_request(c, &m, (char *)c->in + sizeof(m));
	return 1;
}

static void sconn_ready(struct hub *h, struct source *s, uint32_t events)
{
	struct sconn *c = (struct sconn *)s;
	int ret = 1;

	(void)h;
	if (c->closing || (events & (EPOLLHUP | EPOLLERR))) {
		sconn_close(c);
		return;
	}
	if (events & EPOLLOUT)
		flush(c);
	for (int i = 0; i < MESSAGES_PER_WAKE && ret > 0 && !c->closing; i++) {
		if (backlog(c) >= STORE_OUT_PAUSE)
			break;
		ret = one_message(c);
	}
	if (ret < 0)
		sconn_close(c);
}

void store_accept(struct hub *h, struct source *s, uint32_t events)
{
	struct domain *d = NULL;
	struct sconn *c;
	unsigned int conns = 0;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		if (h->dom[i] && &h->dom[i]->store_listen == s)
			d = h->dom[i];
	}
	for (c = h->store->conn; d && c; c = c->next)
		conns += c->dom == d;
	if (!d || conns >= STORE_MAX_CONNS) {
		close(fd);
		return;
	}
	c = hub_alloc(sizeof(*c));
	c->src.ready = sconn_ready;
	c->src.fd = fd;
	c->store = h->store;
	c->dom = d;
	c->domid = (uint16_t)d->cfg.domid;
	c->priv = d->cfg.priv;
	c->next = h->store->conn;
	h->store->conn = c;
	c->interest = EPOLLIN;
	if (hub_watch(h, &c->src, EPOLLIN))
		sconn_close(c);
}

void store_close_domain(struct store *st, uint32_t domid)
{
	for (struct sconn *c = st->conn, *next; c; c = next) {
		next = c->next;
		if (c->domid == domid)
			sconn_close(c);
	}
}

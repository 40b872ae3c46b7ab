// SPDX-License-Identifier: MIT
/*
 * Device models: IOREQ servers with their ranges, page and event channels, and interrupt lines.
 * What a vCPU does when it touches a register (lib/mmio.c) is split between it and the hub: the hub
 * finds the server, fills in the slot and raises the channel; the vCPU waits for the answer there.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xen/hvm/ioreq.h>

#include "hub.h"

#define MAX_SERVERS 8 /* of a domain, as on Xen */
#define MAX_RANGES  256
#define MAX_IRQS    1024
#define ISA_LINES   16

struct io_range {
	uint64_t start, end;
	bool used;
};

struct ioreq_server {
	uint32_t emulator; /* domid */
	int fd;
	struct ioreq *slot;
	bool enabled;
	uint32_t port[SIM_MAX_VCPUS];
	struct io_range range[MAX_RANGES];
};

struct ioreq_state {
	struct ioreq_server *server[MAX_SERVERS];
	int irq[MAX_IRQS]; /* eventfd + 1, or 0 */
	uint32_t isa_high; /* by line */
};

static struct ioreq_state *state_of(struct domain *d)
{
	if (!d->ioreq)
		d->ioreq = hub_alloc(sizeof(*d->ioreq));
	return d->ioreq;
}

static void server_free(struct hub *h, struct domain *d, unsigned int id)
{
	struct ioreq_server *s = d->ioreq->server[id];

	d->ioreq->server[id] = NULL;
	for (unsigned int i = 0; i < d->cfg.nr_vcpus; i++)
		if (s->port[i])
			evtchn_free_xen(h, d, s->port[i]);
	munmap(s->slot, SIM_PAGE_SIZE);
	close(s->fd);
	free(s);
}

void ioreq_close_domain(struct hub *h, struct domain *d)
{
	for (unsigned int i = 0; d->ioreq && i < MAX_SERVERS; i++)
		if (d->ioreq->server[i])
			server_free(h, d, i);
	for (unsigned int i = 0; d->ioreq && i < MAX_IRQS; i++)
		if (d->ioreq->irq[i])
			close(d->ioreq->irq[i] - 1);
	free(d->ioreq);
	d->ioreq = NULL;
	/* And what it was the emulator of. */
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		struct domain *other = h->dom[i];

		for (unsigned int k = 0; other && other->ioreq && k < MAX_SERVERS; k++)
			if (other->ioreq->server[k] &&
			    other->ioreq->server[k]->emulator == d->cfg.domid)
				server_free(h, other, k);
	}
}

unsigned int ioreq_servers(const struct domain *d)
{
	unsigned int n = 0;

	for (unsigned int i = 0; d->ioreq && i < MAX_SERVERS; i++)
		n += !!d->ioreq->server[i];
	return n;
}

static int create(struct hub *h, struct handle *hd, struct domain *d, uint32_t *reply)
{
	struct ioreq_state *st = state_of(d);
	struct ioreq_server *s;
	unsigned int id;

	for (id = 0; id < MAX_SERVERS && st->server[id]; id++)
		;
	if (id == MAX_SERVERS)
		return -ENOSPC;
	s = hub_alloc(sizeof(*s));
	s->emulator = hd->dom->cfg.domid;
	s->fd = memfd_create("xensim-ioreq-privcmd", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, SIM_PAGE_SIZE)) {
		free(s);
		return -ENOMEM;
	}
	s->slot = mmap(NULL, SIM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->slot == MAP_FAILED) {
		close(s->fd);
		free(s);
		return -ENOMEM;
	}
	st->server[id] = s;
	for (unsigned int i = 0; i < d->cfg.nr_vcpus; i++) {
		int port = evtchn_alloc_xen(d, s->emulator);

		if (port < 0) {
			server_free(h, d, id);
			return port;
		}
		s->port[i] = (uint32_t)port;
	}
	reply[0] = id;
	return 0;
}

/* The server that @hd may use, or NULL. */
static struct ioreq_server *server_of(struct handle *hd, struct domain *d, uint32_t id)
{
	struct ioreq_server *s = d->ioreq && id < MAX_SERVERS ? d->ioreq->server[id] : NULL;

	return s && s->emulator == hd->dom->cfg.domid ? s : NULL;
}

static int enable(struct domain *d, struct ioreq_server *s)
{
	s->enabled = true;
	for (unsigned int i = 0; i < d->cfg.nr_vcpus; i++)
		s->slot[i].vp_eport = s->port[i];
	return 0;
}

static int range_add(struct ioreq_server *s, uint64_t start, uint64_t end)
{
	struct io_range *free_range = NULL;

	if (start > end)
		return -EINVAL;
	for (unsigned int i = 0; i < MAX_RANGES; i++) {
		struct io_range *r = &s->range[i];

		if (r->used && start <= r->end && r->start <= end)
			return -EEXIST;
		if (!r->used && !free_range)
			free_range = r;
	}
	if (!free_range)
		return -ENOSPC;
	*free_range = (struct io_range){start, end, true};
	return 0;
}

static int range_remove(struct ioreq_server *s, uint64_t start, uint64_t end)
{
	for (unsigned int i = 0; i < MAX_RANGES; i++) {
		if (s->range[i].used && s->range[i].start == start && s->range[i].end == end) {
			s->range[i].used = false;
			return 0;
		}
	}
	return -ENOENT;
}

/* An edge of an interrupt line, remembered until the guest takes it. */
static int irq_fd(struct domain *d, uint32_t irq)
{
	struct ioreq_state *st = state_of(d);
	int fd;

	if (irq >= MAX_IRQS)
		return -EINVAL;
	if (!st->irq[irq]) {
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fd < 0)
			return -errno;
		st->irq[irq] = fd + 1;
	}
	return st->irq[irq] - 1;
}

static int set_irq(struct domain *d, uint32_t irq, bool level)
{
	uint64_t one = 1;
	int fd = irq_fd(d, irq);

	if (fd < 0)
		return fd;
	if (level && write(fd, &one, sizeof(one)) != sizeof(one))
		return -EIO;
	return 0;
}

/* Xen keeps the level of an ISA line; a pin of the I/O APIC that takes edges sees the rise only. */
static int set_isa_irq(struct domain *d, uint32_t irq, bool level)
{
	struct ioreq_state *st = state_of(d);
	uint32_t line = UINT32_C(1) << irq % 32, before = st->isa_high;

	if (irq >= ISA_LINES)
		return -EINVAL;
	st->isa_high = level ? before | line : before & ~line;
	return set_irq(d, irq, level && !(before & line));
}

int ioreq_op(struct hub *h, struct handle *hd, const struct sim_msg *m, uint32_t *reply, int *fd)
{
	struct domain *d = domain_find(h, m->arg[0]);
	uint64_t start = (uint64_t)m->arg[3] << 32 | m->arg[2];
	struct ioreq_server *s;

	if (!hd->dom->cfg.priv)
		return -EPERM;
	if (!d || d->dying)
		return -ESRCH;
	switch (m->op) {
	case SIM_OP_DM_CREATE:
		return create(h, hd, d, reply);
	case SIM_OP_DM_VCPUS:
		reply[0] = d->cfg.nr_vcpus;
		return 0;
	case SIM_OP_DM_IRQ:
		return m->arg[3] ? set_isa_irq(d, m->arg[1], m->arg[2])
				 : set_irq(d, m->arg[1], m->arg[2]);
	default:
		break;
	}
	s = server_of(hd, d, m->arg[1]);
	if (!s)
		return -ENOENT;
	switch (m->op) {
	case SIM_OP_DM_DESTROY:
		server_free(h, d, m->arg[1]);
		return 0;
	case SIM_OP_DM_ENABLE:
		return enable(d, s);
	case SIM_OP_DM_RANGE_ADD:
		return range_add(s, start, start + m->arg[4] - 1);
	case SIM_OP_DM_RANGE_REMOVE:
		return range_remove(s, start, start + m->arg[4] - 1);
	default: /* SIM_OP_DM_PAGE */
		*fd = s->fd;
		return 0;
	}
}

static struct ioreq_server *server_at(struct domain *d, uint64_t addr, uint32_t *id)
{
	/* Xen too begins with the highest. */
	for (unsigned int i = MAX_SERVERS; d->ioreq && i-- > 0;) {
		struct ioreq_server *s = d->ioreq->server[i];

		for (unsigned int k = 0; s && s->enabled && k < MAX_RANGES; k++) {
			if (s->range[k].used && addr >= s->range[k].start &&
			    addr <= s->range[k].end) {
				*id = i;
				return s;
			}
		}
	}
	return NULL;
}

/* A vCPU of @hd's own domain asks: words are addr (2), data (2), size, write, vcpu, type, count and
 * flags. */
int ioreq_access(struct hub *h, struct handle *hd, const uint32_t *w, uint32_t n, uint32_t *reply,
		 int *fd)
{
	struct domain *d = hd->dom;
	struct ioreq_server *s;
	struct ioreq *slot;
	uint8_t *state;

	if (n != SIM_ACCESS_WORDS || w[6] >= d->cfg.nr_vcpus)
		return -EINVAL;
	s = server_at(d, (uint64_t)w[1] << 32 | w[0], &reply[0]);
	if (!s)
		return -EFAULT;
	slot = &s->slot[w[6]];
	state = (uint8_t *)slot + SIM_IOREQ_STATE;
	if ((__atomic_load_n(state, __ATOMIC_ACQUIRE) & 15) != STATE_IOREQ_NONE)
		return -EBUSY; /* one vCPU makes one access at a time */
	slot->addr = (uint64_t)w[1] << 32 | w[0];
	slot->data = (uint64_t)w[3] << 32 | w[2];
	slot->size = w[4];
	slot->count = w[8];
	slot->type = (uint8_t)w[7];
	/* state 0-3, data_is_ptr 4, dir 5, df 6 */
	__atomic_store_n(state,
			 (uint8_t)(STATE_IOREQ_READY | (w[5] ? 0 : 32) |
				   (w[9] & SIM_ACCESS_PTR ? 16 : 0) |
				   (w[9] & SIM_ACCESS_DF ? 64 : 0)),
			 __ATOMIC_RELEASE);
	evtchn_send(h, d, s->port[w[6]]);
	*fd = s->fd;
	return 0;
}

uint32_t ioreq_isa_high(const struct domain *d)
{
	return d->ioreq ? d->ioreq->isa_high : 0;
}

int ioreq_irq(struct handle *hd, uint32_t irq, int *fd)
{
	int ret = irq_fd(hd->dom, irq);

	if (ret < 0)
		return ret;
	*fd = ret;
	return 0;
}

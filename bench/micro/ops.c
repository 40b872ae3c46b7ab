// SPDX-License-Identifier: MIT
/* Single operations on grants and events, and the list of all. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "micro.h"

#define ANSWER_MS 10000

int micro_failed(int err, const char *fmt, ...)
{
	va_list ap;

	fputs("vgrant-micro: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(-err));
	return err ? err : -EIO;
}

double micro_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* ---- grants ---- */

enum { MAP, UNMAP };

/* Maps and unmaps @pages at a time, each touched in between as whoever maps it would; times one. */
static int map_unmap(struct micro *m, unsigned int pages, unsigned int count, int what, double *ns)
{
	double spent[2] = {0, 0};

	for (unsigned int i = 0; i < count; i++) {
		double from = micro_now(), mapped;
		void VG_GUEST *base;
		int err =
			vg_gnttab_map(m->gnttab, m->guest.domid, m->guest.refs, pages, true, &base);

		if (err)
			return micro_failed(err, "%u pages of domain %u cannot be mapped", pages,
					    m->guest.domid);
		for (unsigned int p = 0; p < pages; p++)
			vg_guest_store8(
				(uint8_t VG_GUEST *)vg_guest_offset(base, (size_t)p * VG_PAGE_SIZE),
				1);
		mapped = micro_now();
		err = vg_gnttab_unmap(m->gnttab, base, pages);
		if (err)
			return micro_failed(err, "%u pages cannot be unmapped", pages);
		spent[MAP] += mapped - from;
		spent[UNMAP] += micro_now() - mapped;
	}
	*ns = spent[what];
	return 0;
}

static int run_map(struct micro *m, unsigned int pages, unsigned int count, double *ns)
{
	return map_unmap(m, pages, count, MAP, ns);
}

static int run_unmap(struct micro *m, unsigned int pages, unsigned int count, double *ns)
{
	return map_unmap(m, pages, count, UNMAP, ns);
}

/* Pieces of @len bytes, each of another page. */
static int copy(struct micro *m, unsigned int pieces, uint16_t len, unsigned int count, double *ns)
{
	static struct vg_copy piece[MICRO_PAGES];
	double from;

	for (unsigned int i = 0; i < pieces; i++)
		piece[i] = (struct vg_copy){
			.ref = m->guest.refs[i],
			.len = len,
			.local = (char *)m->local + (size_t)i * VG_PAGE_SIZE,
		};
	from = micro_now();
	for (unsigned int i = 0; i < count; i++) {
		int err = vg_gnttab_copy(m->gnttab, m->guest.domid, piece, pieces);

		if (err)
			return micro_failed(err, "a page of domain %u cannot be copied",
					    m->guest.domid);
	}
	*ns = micro_now() - from;
	return 0;
}

static int run_copy(struct micro *m, unsigned int pieces, unsigned int count, double *ns)
{
	return copy(m, pieces, VG_PAGE_SIZE, count, ns);
}

static int run_copy_small(struct micro *m, unsigned int pieces, unsigned int count, double *ns)
{
	return copy(m, pieces, 16, count, ns);
}

/* ---- events ---- */

/* Takes what is pending; false when nothing comes within @ms. */
static bool take(struct micro *m, int ms)
{
	struct pollfd p = {.fd = vg_evtchn_fd(m->evtchn), .events = POLLIN};
	int port;

	if (poll(&p, 1, ms) != 1)
		return false;
	port = vg_evtchn_pending(m->evtchn);
	return port > 0 && !vg_evtchn_unmask(m->evtchn, port);
}

static int run_event(struct micro *m, unsigned int arg, unsigned int count, double *ns)
{
	double from = micro_now();

	(void)arg;
	for (unsigned int i = 0; i < count; i++) {
		int err = vg_evtchn_notify(m->evtchn, m->port);

		if (err)
			return micro_failed(err, "the guest cannot be notified");
		if (!take(m, ANSWER_MS))
			return micro_failed(-ETIMEDOUT, "the guest answers no event");
	}
	*ns = micro_now() - from;
	return 0;
}

/* ---- the list ---- */

int micro_open(struct micro *m)
{
	static const struct vg_log log = {0};
	int err = micro_local_open(m);

	if (err || !m->has_guest)
		return err;
	err = vg_gnttab_open(&log, &m->gnttab);
	if (err)
		return micro_failed(err, "grants cannot be used here: no /dev/xen/gntdev");
	err = vg_evtchn_open(&log, &m->evtchn);
	if (err)
		return micro_failed(err, "event channels cannot be used here");
	m->port = vg_evtchn_bind(m->evtchn, m->guest.domid, m->guest.port);
	if (m->port < 0)
		return micro_failed(m->port, "port %u of domain %u cannot be bound", m->guest.port,
				    m->guest.domid);
	/* Either end has an event when a channel is bound, and the guest answers its own. */
	while (take(m, 200))
		;
	return micro_view_open(m);
}

void micro_close(struct micro *m)
{
	micro_view_close(m);
	if (m->port > 0)
		vg_evtchn_unbind(m->evtchn, m->port);
	vg_evtchn_close(m->evtchn);
	vg_gnttab_close(m->gnttab);
	micro_local_close(m);
}

static void add(struct micro_op *op, unsigned int *n, const char *name, const char *unit,
		unsigned int each, unsigned int arg, micro_run *run)
{
	op[(*n)++] =
		(struct micro_op){.name = name, .unit = unit, .each = each, .arg = arg, .run = run};
}

unsigned int micro_ops(const struct micro *m, struct micro_op op[MICRO_MAX_OPS])
{
	static const unsigned int batch[] = {1, 4, 16, 64, 256};
	const unsigned int batches = sizeof(batch) / sizeof(*batch);
	unsigned int n = 0;

	add(op, &n, "system call", "call", 1, 0, micro_run_syscall);
	add(op, &n, "eventfd round trip", "round trip", 1, 0, micro_run_eventfd);
	add(op, &n, "memcpy, cached", "byte", 4096, 4096, micro_run_memcpy);
	add(op, &n, "memcpy, cached", "byte", 65536, 65536, micro_run_memcpy);
	add(op, &n, "memcpy, memory", "byte", 65536, 65536, micro_run_memcpy_big);
	if (!m->has_guest)
		return n;
	for (unsigned int i = 0; i < batches; i++)
		add(op, &n, "grant map", "page", batch[i], batch[i], run_map);
	for (unsigned int i = 0; i < batches; i++)
		add(op, &n, "grant unmap", "page", batch[i], batch[i], run_unmap);
	for (unsigned int i = 0; i < batches; i++)
		add(op, &n, "grant copy, 4 KiB", "copy", batch[i], batch[i], run_copy);
	for (unsigned int i = 0; i < batches; i++)
		add(op, &n, "grant copy, 16 B", "copy", batch[i], batch[i], run_copy_small);
	add(op, &n, "event round trip", "round trip", 1, 0, run_event);
	add(op, &n, "pop and push, 1 descriptor", "chain", MICRO_BATCH, 0, micro_run_chains);
	add(op, &n, "pop and push, 3 descriptors", "chain", MICRO_BATCH, 1, micro_run_chains);
	add(op, &n, "resolve, region of last time", "address", 64, 0, micro_run_resolve);
	add(op, &n, "resolve, another region", "address", 64, 1, micro_run_resolve);
	return n;
}

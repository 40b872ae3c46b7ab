// SPDX-License-Identifier: MIT
/* libxengnttab: mapping and unmapping what others have granted, by gntdev's rules. */
#include "gnttab.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <xen/grant_table.h>
#include <xen/sys/gntdev.h>
#include <xengnttab.h>

#include "../common/grant.h"
#include "copy.h"

#define MAP_MAX      65536u /* gntdev's own limit on one handle */
#define EAGAIN_MS    1
#define EAGAIN_TRIES 1000

struct sim_map {
	void *addr;
	uint32_t count;
	bool notify;
	uint32_t slot[];
};

static int by_addr(const void *a, const void *b)
{
	const struct sim_map *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

void *sim_map_pages(struct sim_client *c, const struct sim_run *run, uint32_t n, int prot)
{
	uint8_t *base = NULL;
	int err;

	for (uint32_t i = 0, k; i < n; i += k) {
		struct sim_ram *ram = sim_client_ram(c, run[i].dom);
		off_t off = (off_t)run[i].frame << SIM_PAGE_SHIFT;
		void *p;

		for (k = 1; i + k < n && run[i + k].dom == run[i].dom &&
			    run[i + k].frame == run[i].frame + k;)
			k++;
		if (!base && k < n) {
			base = mmap(NULL, (size_t)n << SIM_PAGE_SHIFT, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			if (base == MAP_FAILED)
				return NULL;
		}
		if (ram)
			p = mmap(base ? base + ((size_t)i << SIM_PAGE_SHIFT) : NULL,
				 (size_t)k << SIM_PAGE_SHIFT, prot,
				 MAP_SHARED | (base ? MAP_FIXED : 0), ram->fd, off);
		else
			p = MAP_FAILED;
		if (p == MAP_FAILED) {
			err = ram ? errno : EINVAL;
			if (base)
				munmap(base, (size_t)n << SIM_PAGE_SHIFT);
			errno = err;
			return NULL;
		}
		if (!base)
			return p;
	}
	return base;
}

SIM_EXPORT xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	xengnttab_handle *xgt = calloc(1, sizeof(*xgt));
	int fds[2], err;

	(void)logger;
	(void)open_flags;
	if (!xgt)
		return NULL;
	err = -sim_client_open(&xgt->c, SIM_HANDLE_GNTTAB, fds);
	if (!err) {
		pthread_mutex_init(&xgt->lock, NULL);
		err = sim_fault_call(&xgt->c, "open", NULL);
		if (!err)
			return xgt;
		sim_client_close(&xgt->c);
		pthread_mutex_destroy(&xgt->lock);
	}
	free(xgt);
	errno = err;
	return NULL;
}

static void map_release(xengnttab_handle *xgt, struct sim_map *m, unsigned int defer_ms)
{
	struct sim_msg msg = {.op = SIM_OP_DEFER, .n = m->count, .arg = {defer_ms}};

	if (!defer_ms || m->count > SIM_MSG_WORDS ||
	    sim_rpc(&xgt->c, &msg, m->slot, NULL, 0, NULL, 0)) {
		for (uint32_t i = 0; i < m->count; i++)
			sim_grant_unpin(xgt->c.arena, xgt->c.dom, m->slot[i]);
	}
}

SIM_EXPORT int xengnttab_close(xengnttab_handle *xgt)
{
	bool ours;

	if (!xgt)
		return 0;
	ours = sim_client_ours(&xgt->c);
	while (xgt->maps) {
		struct sim_map *m = *(struct sim_map **)xgt->maps;

		tdelete(m, &xgt->maps, by_addr);
		munmap(m->addr, (size_t)m->count << SIM_PAGE_SHIFT);
		if (ours && !m->notify)
			map_release(xgt, m, 0);
		free(m);
	}
	sim_client_close(&xgt->c); /* the hub does the notifications that are still set */
	pthread_mutex_destroy(&xgt->lock);
	free(xgt);
	return 0;
}

SIM_EXPORT int xengnttab_fd(xengnttab_handle *xgt)
{
	return xgt->c.fd;
}

SIM_EXPORT int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	(void)xgt;
	(void)nr_grants; /* Linux has no limit to set any more, and says so */
	return 0;
}

int sim_owner_index(struct xengntdev_handle *xgt, uint32_t domid)
{
	uint32_t hint = atomic_load_explicit(&xgt->last_dom, memory_order_relaxed);
	uint32_t w = atomic_load(&xgt->c.arena->dom[hint].domid_state);
	int i;

	if ((w & 0xff) != SIM_DOM_FREE && w >> 8 == domid)
		return (int)hint;
	i = sim_dom_find(xgt->c.arena, domid);
	if (i >= 0)
		atomic_store_explicit(&xgt->last_dom, (uint32_t)i, memory_order_relaxed);
	return i;
}

static bool pin_all(xengnttab_handle *xgt, struct sim_map *m, struct sim_run *run,
		    const uint32_t *domids, unsigned int stride, const uint32_t *refs, bool ro,
		    uint32_t limit)
{
	uint32_t hint = atomic_load(&xgt->track_hint);
	uint32_t i;

	for (i = 0; i < m->count && i < limit; i++) {
		int owner = sim_owner_index(xgt, domids[(size_t)i * stride]);
		struct sim_pin pin;

		if (owner < 0 ||
		    sim_grant_pin(xgt->c.arena, xgt->c.dom, xgt->c.handle, (unsigned int)owner,
				  refs[i], ro, SIM_PIN_MAP, &hint, &pin) != GNTST_okay)
			break;
		m->slot[i] = pin.slot;
		run[i] = (struct sim_run){(uint32_t)owner, pin.frame};
	}
	atomic_store(&xgt->track_hint, hint);
	if (i == m->count)
		return true;
	while (i)
		sim_grant_unpin(xgt->c.arena, xgt->c.dom, m->slot[--i]);
	return false;
}

static int notify_request(xengnttab_handle *xgt, struct sim_map *m, uint32_t offset,
			  evtchn_port_t port)
{
	struct sim_msg msg = {
		.op = SIM_OP_NOTIFY_SET,
		.arg = {0, m->slot[0], offset < SIM_PAGE_SIZE ? offset : SIM_NO_OFFSET, port}};
	int err;

	if (msg.arg[2] == SIM_NO_OFFSET && port == SIM_NO_PORT)
		return 0;
	err = -sim_rpc(&xgt->c, &msg, NULL, NULL, 0, NULL, 0);
	m->notify = !err;
	return err;
}

static void *map_refs(xengnttab_handle *xgt, uint32_t count, const uint32_t *domids,
		      unsigned int stride, const uint32_t *refs, int prot, uint32_t offset,
		      evtchn_port_t port)
{
	struct sim_fault_rule fault = {0};
	struct sim_map *m = NULL;
	struct sim_run *run = NULL;
	bool ro = !(prot & PROT_WRITE);
	int err = EINVAL; /* gntdev tells no more, whatever the grant's status */

	if (!count || count > MAP_MAX)
		goto out;
	err = sim_fault_call(&xgt->c, "map", &fault);
	/* Xen's GNTST_eagain: neither the kernel nor the library lets the caller see it. */
	for (int i = 0; !err && (fault.flags & SIM_FAULT_EAGAIN); i++) {
		if (i == EAGAIN_TRIES)
			err = EINVAL;
		sim_sleep_ms(EAGAIN_MS);
		if (!err)
			err = sim_fault_call(&xgt->c, "map", &fault);
	}
	if (err)
		goto out;
	sim_trap(xgt->c.fd, IOCTL_GNTDEV_MAP_GRANT_REF);
	err = ENOMEM;
	m = calloc(1, sizeof(*m) + count * sizeof(m->slot[0]));
	run = calloc(count, sizeof(*run));
	if (!m || !run)
		goto out;
	m->count = count;
	err = EINVAL;
	if (!pin_all(xgt, m, run, domids, stride, refs, ro,
		     fault.flags & SIM_FAULT_SHORT ? count / 2 : count))
		goto out;
	m->addr = sim_map_pages(&xgt->c, run, count, prot);
	err = m->addr ? notify_request(xgt, m, offset, port) : errno;
	if (err) {
		if (m->addr)
			munmap(m->addr, (size_t)count << SIM_PAGE_SHIFT);
		map_release(xgt, m, 0);
		goto out;
	}
	pthread_mutex_lock(&xgt->lock);
	if (!tsearch(m, &xgt->maps, by_addr))
		err = ENOMEM;
	pthread_mutex_unlock(&xgt->lock);
	if (err) {
		munmap(m->addr, (size_t)count << SIM_PAGE_SHIFT);
		map_release(xgt, m, 0);
		goto out;
	}
	sim_stat_add(sim_self(&xgt->c), SIM_STAT_MAP, 1);
	sim_stat_add(sim_self(&xgt->c), SIM_STAT_MAP_PAGES, count);
out:
	free(run);
	if (err) {
		free(m);
		errno = err;
		return NULL;
	}
	return m->addr;
}

SIM_EXPORT void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref,
					 int prot)
{
	return map_refs(xgt, 1, &domid, 0, &ref, prot, SIM_NO_OFFSET, SIM_NO_PORT);
}

SIM_EXPORT void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t *domids,
					  uint32_t *refs, int prot)
{
	return map_refs(xgt, count, domids, 1, refs, prot, SIM_NO_OFFSET, SIM_NO_PORT);
}

SIM_EXPORT void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count,
						 uint32_t domid, uint32_t *refs, int prot)
{
	return map_refs(xgt, count, &domid, 0, refs, prot, SIM_NO_OFFSET, SIM_NO_PORT);
}

SIM_EXPORT void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid, uint32_t ref,
						int prot, uint32_t notify_offset,
						evtchn_port_t notify_port)
{
	return map_refs(xgt, 1, &domid, 0, &ref, prot, notify_offset, notify_port);
}

SIM_EXPORT int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
	struct sim_map key = {.addr = start_address};
	struct sim_fault_rule fault = {0};
	struct sim_map *m = NULL;
	struct sim_map **found;
	int err = sim_fault_call(&xgt->c, "unmap", &fault);

	if (err)
		return sim_fail(err);
	sim_trap(xgt->c.fd, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR);
	pthread_mutex_lock(&xgt->lock);
	found = start_address ? tfind(&key, &xgt->maps, by_addr) : NULL;
	if (found && (*found)->count == count) {
		m = *found;
		tdelete(m, &xgt->maps, by_addr);
	}
	pthread_mutex_unlock(&xgt->lock);
	if (!m)
		return sim_fail(EINVAL);
	if (m->notify) {
		/* The hub clears the byte, through its own view of the page. */
		struct sim_msg msg = {.op = SIM_OP_NOTIFY_FIRE, .arg = {0, m->slot[0]}};

		sim_rpc(&xgt->c, &msg, NULL, NULL, 0, NULL, 0);
	}
	munmap(m->addr, (size_t)count << SIM_PAGE_SHIFT);
	map_release(xgt, m, fault.defer_ms);
	sim_trap(xgt->c.fd, IOCTL_GNTDEV_UNMAP_GRANT_REF);
	sim_stat_add(sim_self(&xgt->c), SIM_STAT_UNMAP, 1);
	free(m);
	return 0;
}

SIM_EXPORT int xengnttab_dmabuf_exp_from_refs(xengnttab_handle *xgt, uint32_t domid, uint32_t flags,
					      uint32_t count, const uint32_t *refs, uint32_t *fd)
{
	(void)xgt, (void)domid, (void)flags, (void)count, (void)refs, (void)fd;
	return sim_fail(ENOSYS);
}

SIM_EXPORT int xengnttab_dmabuf_exp_wait_released(xengnttab_handle *xgt, uint32_t fd,
						  uint32_t wait_to_ms)
{
	(void)xgt, (void)fd, (void)wait_to_ms;
	return sim_fail(ENOSYS);
}

SIM_EXPORT int xengnttab_dmabuf_imp_to_refs(xengnttab_handle *xgt, uint32_t domid, uint32_t fd,
					    uint32_t count, uint32_t *refs)
{
	(void)xgt, (void)domid, (void)fd, (void)count, (void)refs;
	return sim_fail(ENOSYS);
}

SIM_EXPORT int xengnttab_dmabuf_imp_release(xengnttab_handle *xgt, uint32_t fd)
{
	(void)xgt, (void)fd;
	return sim_fail(ENOSYS);
}

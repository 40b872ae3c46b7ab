// SPDX-License-Identifier: MIT
/* libxengnttab's other half: pages of this domain for others, by gntalloc's rules. */
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xengnttab.h>

#include "../common/grant.h"
#include "../include/xensim.h"
#include "gnttab.h"

struct sim_share {
	uint8_t *addr;
	uint32_t count, left; /* pages shared; pages not yet unmapped here */
	uint32_t *frame;      /* a reference may be granted anew with another one: keep these */
	uint32_t ref[];
};

static int by_addr(const void *a, const void *b)
{
	const struct sim_share *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

/* Finds the share that an address lies in: key->count is 0. */
static int by_range(const void *k, const void *b)
{
	const struct sim_share *key = k, *s = b;

	if (key->addr < s->addr)
		return -1;
	return key->addr >= s->addr + ((size_t)s->count << SIM_PAGE_SHIFT);
}

SIM_EXPORT xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	xengntshr_handle *xgs = calloc(1, sizeof(*xgs));
	int fds[2], err;

	(void)logger;
	(void)open_flags;
	if (!xgs)
		return NULL;
	err = -sim_client_open(&xgs->c, SIM_HANDLE_GNTSHR, fds);
	if (!err) {
		pthread_mutex_init(&xgs->lock, NULL);
		err = sim_fault_call(&xgs->c, "open", NULL);
		if (!err)
			return xgs;
		sim_client_close(&xgs->c);
		pthread_mutex_destroy(&xgs->lock);
	}
	free(xgs);
	errno = err;
	return NULL;
}

SIM_EXPORT int xengntshr_close(xengntshr_handle *xgs)
{
	if (!xgs)
		return 0;
	while (xgs->maps) {
		struct sim_share *s = *(struct sim_share **)xgs->maps;

		tdelete(s, &xgs->maps, by_addr);
		munmap(s->addr, (size_t)s->count << SIM_PAGE_SHIFT);
		free(s);
	}
	sim_client_close(&xgs->c);
	pthread_mutex_destroy(&xgs->lock);
	free(xgs);
	return 0;
}

SIM_EXPORT int xengntshr_fd(xengntshr_handle *xgs)
{
	return xgs->c.fd;
}

static uint32_t share_flags(unsigned int flags)
{
	const char *order = getenv(SIM_ENV_REFS);
	uint32_t f = 0;

	if (flags & XENSIM_READONLY)
		f |= SIM_SHARE_READONLY;
	if (flags & XENSIM_NO_ACCESS)
		f |= SIM_SHARE_NO_ACCESS;
	if (flags & XENSIM_SCATTER ||
	    (!(flags & XENSIM_CONSECUTIVE) && order && !strcmp(order, "scatter")))
		f |= SIM_SHARE_SCATTER;
	return f;
}

static int refs_request(xengntshr_handle *xgs, uint32_t domid, uint32_t count, uint32_t *refs,
			uint32_t flags)
{
	struct sim_msg m = {.op = SIM_OP_SHARE, .arg = {domid, count, flags}};

	return -sim_rpc(&xgs->c, &m, NULL, refs, count, NULL, 0);
}

static int refs_release(xengntshr_handle *xgs, const uint32_t *refs, uint32_t count)
{
	struct sim_msg m = {.op = SIM_OP_UNSHARE, .n = count};

	if (count > SIM_MSG_WORDS)
		return EINVAL;
	return -sim_rpc(&xgs->c, &m, refs, NULL, 0, NULL, 0);
}

static void *share(xengntshr_handle *xgs, uint32_t domid, uint32_t count, uint32_t *refs,
		   unsigned int flags, uint32_t offset, evtchn_port_t port)
{
	struct sim_share *s;
	struct sim_run *run;
	struct sim_msg m = {.op = SIM_OP_NOTIFY_SET};
	bool granted = false;
	int err = sim_fault_call(&xgs->c, "share", NULL);

	if (!err && (!count || count > SIM_MSG_WORDS))
		err = EINVAL;
	if (err) {
		errno = err;
		return NULL;
	}
	s = calloc(1, sizeof(*s) + (size_t)count * 2 * sizeof(s->ref[0]));
	run = calloc(count, sizeof(*run));
	err = s && run ? refs_request(xgs, domid, count, refs, share_flags(flags)) : ENOMEM;
	if (err)
		goto out;
	granted = true;
	s->frame = s->ref + count;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t w = atomic_load(&sim_self(&xgs->c)->grant[refs[i]]);

		s->frame[i] = SIM_GRANT_FRAME(w);
		run[i] = (struct sim_run){xgs->c.dom, s->frame[i]};
	}
	s->addr = sim_map_pages(&xgs->c, run, count, PROT_READ | PROT_WRITE);
	if (!s->addr) {
		err = errno;
		goto out;
	}
	s->count = s->left = count;
	memcpy(s->ref, refs, count * sizeof(*refs));
	if (offset < SIM_PAGE_SIZE || port != SIM_NO_PORT) {
		m.arg[0] = 1;
		m.arg[1] = refs[0];
		m.arg[2] = offset < SIM_PAGE_SIZE ? offset : SIM_NO_OFFSET;
		m.arg[3] = port;
		err = -sim_rpc(&xgs->c, &m, NULL, NULL, 0, NULL, 0);
		if (err)
			goto out;
	}
	pthread_mutex_lock(&xgs->lock);
	err = tsearch(s, &xgs->maps, by_addr) ? 0 : ENOMEM;
	pthread_mutex_unlock(&xgs->lock);
out:
	free(run);
	if (!err)
		return s->addr;
	if (s && s->addr)
		munmap(s->addr, (size_t)count << SIM_PAGE_SHIFT);
	if (granted)
		refs_release(xgs, refs, count);
	free(s);
	errno = err;
	return NULL;
}

SIM_EXPORT void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count,
				       uint32_t *refs, int writable)
{
	return share(xgs, domid, count > 0 ? (uint32_t)count : 0, refs,
		     writable ? 0 : XENSIM_READONLY, SIM_NO_OFFSET, SIM_NO_PORT);
}

SIM_EXPORT void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid, uint32_t *ref,
					     int writable, uint32_t notify_offset,
					     evtchn_port_t notify_port)
{
	return share(xgs, domid, 1, ref, writable ? 0 : XENSIM_READONLY, notify_offset,
		     notify_port);
}

static struct sim_share *share_at(xengntshr_handle *xgs, const void *addr)
{
	struct sim_share key = {0};
	struct sim_share **found;

	memcpy(&key.addr, &addr, sizeof(addr));
	found = tfind(&key, &xgs->maps, by_range);
	return found ? *found : NULL;
}

SIM_EXPORT int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	struct sim_share *s;
	int err = sim_fault_call(&xgs->c, "unshare", NULL);

	if (err)
		return sim_fail(err);
	pthread_mutex_lock(&xgs->lock);
	s = count ? share_at(xgs, start_address) : NULL;
	if (!s || count > s->left) {
		pthread_mutex_unlock(&xgs->lock);
		return sim_fail(EINVAL);
	}
	/* The real call is a munmap: the grants of one allocation end with its last page. */
	s->left -= count;
	if (!s->left)
		tdelete(s, &xgs->maps, by_addr);
	pthread_mutex_unlock(&xgs->lock);
	munmap(start_address, (size_t)count << SIM_PAGE_SHIFT);
	if (!s->left) {
		refs_release(xgs, s->ref, s->count);
		free(s);
	}
	return 0;
}

SIM_EXPORT void *xensim_share_pages(xengntshr_handle *xgs, uint32_t domid, uint32_t count,
				    uint32_t *refs, unsigned int flags)
{
	return share(xgs, domid, count, refs, flags, SIM_NO_OFFSET, SIM_NO_PORT);
}

SIM_EXPORT int xensim_alloc_refs(xengntshr_handle *xgs, uint32_t count, uint32_t *refs,
				 unsigned int flags)
{
	int err = !count || count > SIM_MSG_WORDS
			  ? EINVAL
			  : refs_request(xgs, 0, count, refs,
					 share_flags(flags) | SIM_SHARE_REFS_ONLY);

	return err ? sim_fail(err) : 0;
}

SIM_EXPORT int xensim_free_refs(xengntshr_handle *xgs, uint32_t count, const uint32_t *refs)
{
	int err = refs_release(xgs, refs, count);

	return err ? sim_fail(err) : 0;
}

static bool ref_valid(xengntshr_handle *xgs, uint32_t ref)
{
	return ref >= SIM_FIRST_REF && ref < atomic_load(&sim_self(&xgs->c)->nr_refs);
}

SIM_EXPORT int xensim_grant_access(xengntshr_handle *xgs, uint32_t ref, uint32_t domid,
				   uint64_t gfn, int readonly)
{
	struct sim_domain *d = sim_self(&xgs->c);

	if (!ref_valid(xgs, ref) || domid > UINT16_MAX || gfn >= atomic_load(&d->nr_frames))
		return -EINVAL;
	return sim_grant_offer(&d->grant[ref], (uint16_t)domid, (uint32_t)gfn, readonly);
}

SIM_EXPORT int xensim_end_access(xengntshr_handle *xgs, uint32_t ref)
{
	int err;

	if (!ref_valid(xgs, ref))
		return -EINVAL;
	err = sim_fault_call(&xgs->c, "end_access", NULL);
	return err ? -err : sim_grant_end(&sim_self(&xgs->c)->grant[ref]);
}

SIM_EXPORT int xensim_in_use(xengntshr_handle *xgs, uint32_t ref)
{
	uint64_t w;

	if (!ref_valid(xgs, ref))
		return -EINVAL;
	w = atomic_load(&sim_self(&xgs->c)->grant[ref]);
	return SIM_GRANT_READERS(w) || SIM_GRANT_WRITERS(w);
}

SIM_EXPORT int64_t xensim_gfn(xengntshr_handle *xgs, const void *page)
{
	struct sim_share *s;
	int64_t gfn = -1;

	pthread_mutex_lock(&xgs->lock);
	s = share_at(xgs, page);
	if (s) {
		size_t i = (size_t)((const uint8_t *)page - s->addr) >> SIM_PAGE_SHIFT;

		gfn = s->frame[i];
	}
	pthread_mutex_unlock(&xgs->lock);
	return gfn;
}

SIM_EXPORT uint32_t xensim_domid(xengntshr_handle *xgs)
{
	return xgs->c.domid;
}

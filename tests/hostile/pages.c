// SPDX-License-Identifier: MIT
/* What is mapped, why, and what stays mapped that should not (stale, keep-region, linger). */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <vgrant/address.h>
#include <vgrant/guest.h>
#include <vgrant/view.h>
#include <vgrant/xen.h>
#include <vgrant/xenbus.h>
#include <xengnttab.h>

#include "hostile.h"

#define MAPPINGS 8192

HOSTILE_WRAP(void *, xengnttab_map_domain_grant_refs, xengnttab_handle *xgt, uint32_t count,
	     uint32_t domid, uint32_t *refs, int prot);
HOSTILE_WRAP(int, xengnttab_unmap, xengnttab_handle *xgt, void *start, uint32_t count);
HOSTILE_WRAP(int, vg_view_region_add, struct vg_view *view, uint32_t first, uint32_t count,
	     bool writable);
HOSTILE_WRAP(void, vg_view_open, struct vg_view *view, struct vg_request *const *requests,
	     unsigned int n);
HOSTILE_WRAP(int, vg_view_pin, struct vg_view *view, uint64_t addr, uint32_t len, bool writable,
	     struct vg_pin *pin);
HOSTILE_WRAP(int, vg_view_read, struct vg_view *view, uint64_t addr, void *dst, uint32_t len);
HOSTILE_WRAP(int, vg_view_write, struct vg_view *view, uint64_t addr, const void *src,
	     uint32_t len);
HOSTILE_WRAP(int, vg_xenbus_conn_open, const struct vg_xenbus_conn_config *config,
	     struct vg_xenbus_conn **out);

struct mapping {
	uint8_t *base; /* NULL: free */
	uint32_t *refs;
	uint32_t count;
	enum hostile_kind kind;
	bool writable;
	bool kept; /* vgrantd believes that it is unmapped */
	uint64_t since_ms;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mapping mapping[MAPPINGS];
static uint32_t used; /* entries below it may be in use */
static uint32_t transient_kept;
/*
 * How often a reference was mapped for requests: once, twice or more. What is mapped again and
 * again is what the guest leaves granted, such as a page of headers. To write there breaks requests
 * in flight and shows nothing: the guest has not taken it back.
 */
static uint8_t times[VG_MAX_REFS];
/* The worker's: what the call under way maps for. */
static enum hostile_kind kind_now = KIND_CONTROL;

static const char *const kind_names[] = {
	[KIND_CONTROL] = "of the control page",
	[KIND_RING] = "of a ring",
	[KIND_REGION] = "of a region",
	[KIND_TRANSIENT] = "mapped for a request",
};

void hostile_map_as(enum hostile_kind kind)
{
	kind_now = kind;
}

static struct mapping *find(const void *ptr, size_t len)
{
	for (uint32_t i = 0; i < used; i++) {
		struct mapping *m = &mapping[i];
		size_t at = (size_t)((uintptr_t)ptr - (uintptr_t)m->base);
		size_t size = (size_t)m->count << VG_PAGE_SHIFT;

		if (m->base && at < size && len <= size - at)
			return m;
	}
	return NULL;
}

bool hostile_writable(const void *ptr, size_t len)
{
	const struct mapping *m;
	bool writable;

	pthread_mutex_lock(&lock);
	m = find(ptr, len);
	writable = m && m->writable;
	pthread_mutex_unlock(&lock);
	return writable;
}

void *hostile_reach(uint64_t addr, size_t len)
{
	uint32_t ref = (uint32_t)((addr & ~VG_ADDR_GRANT) >> VG_PAGE_SHIFT);
	uint32_t pages = (uint32_t)(((addr & VG_PAGE_MASK) + len + VG_PAGE_MASK) >> VG_PAGE_SHIFT);
	void *ptr = NULL;

	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < used && !ptr; i++) {
		struct mapping *m = &mapping[i];
		uint32_t at = m->base && m->writable ? ref - m->refs[0] : UINT32_MAX;

		/* Regions and rings are mapped by consecutive references. */
		if (m->kind != KIND_TRANSIENT && at < m->count && pages <= m->count - at)
			ptr = m->base + ((size_t)at << VG_PAGE_SHIFT) + (addr & VG_PAGE_MASK);
	}
	pthread_mutex_unlock(&lock);
	return ptr;
}

static void remember(void *base, const uint32_t *refs, uint32_t count, bool writable)
{
	uint32_t *copy = calloc(count, sizeof(*copy));
	uint32_t i;

	if (!copy)
		return;
	memcpy(copy, refs, count * sizeof(*copy));
	pthread_mutex_lock(&lock);
	for (i = 0; i < used && mapping[i].base; i++) {
	}
	if (i < MAPPINGS) {
		mapping[i] = (struct mapping){.base = base,
					      .refs = copy,
					      .count = count,
					      .kind = kind_now,
					      .writable = writable};
		used = i == used ? i + 1 : used;
		copy = NULL;
		for (i = 0; i < count && kind_now == KIND_TRANSIENT; i++)
			times[refs[i]] += times[refs[i]] < 2;
	}
	pthread_mutex_unlock(&lock);
	free(copy);
}

/* Under the lock. */
static void forget(struct mapping *m)
{
	transient_kept -= m->kept && m->kind == KIND_TRANSIENT ? m->count : 0;
	for (uint32_t i = 0; i < m->count && m->kind == KIND_TRANSIENT; i++)
		times[m->refs[i]] -= times[m->refs[i]] == 1;
	free(m->refs);
	*m = (struct mapping){0};
}

void *__wrap_xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid,
					     uint32_t *refs, int prot)
{
	void *base = __real_xengnttab_map_domain_grant_refs(xgt, count, domid, refs, prot);

	if (!base)
		return NULL;
	hostile_begin(domid);
	remember(base, refs, count, prot & PROT_WRITE);
	if (hostile.dump)
		hostile_scan(base, refs, count, kind_names[kind_now]);
	return base;
}

/* The oldest mapping of a request that is done, or NULL. */
static struct mapping *oldest(void)
{
	struct mapping *best = NULL;

	for (uint32_t i = 0; i < used; i++) {
		struct mapping *m = &mapping[i];

		if (m->base && m->kept && m->kind == KIND_TRANSIENT &&
		    (!best || m->since_ms < best->since_ms))
			best = m;
	}
	return best;
}

/* Makes room for @count pages more: a backend that keeps all soon cannot map any. */
static void let_go(xengnttab_handle *xgt, uint32_t count)
{
	while (transient_kept && transient_kept + count > hostile.stale_pages) {
		struct mapping *m = oldest();
		void *base = m->base;
		uint32_t pages = m->count;

		forget(m);
		__real_xengnttab_unmap(xgt, base, pages);
	}
}

/* Under the lock: is @m to stay, whatever vgrantd is told? */
static bool keep(xengnttab_handle *xgt, struct mapping *m)
{
	bool stays = hostile.linger_ms || (m->kind == KIND_REGION && hostile.keep_region);

	if (m->kind == KIND_TRANSIENT && hostile.stale && m->count <= hostile.stale_pages) {
		let_go(xgt, m->count);
		transient_kept += m->count;
		stays = true;
	}
	if (stays) {
		m->kept = true;
		m->since_ms = hostile_now_ms();
		hostile_count(&hostile_counters.kept, m->count);
	}
	return stays;
}

int __wrap_xengnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
	struct mapping *m;
	bool stays = false;

	pthread_mutex_lock(&lock);
	m = find(start, 1);
	if (m) {
		if (hostile.dump)
			hostile_scan(m->base, m->refs, m->count, kind_names[m->kind]);
		stays = keep(xgt, m);
		if (!stays)
			forget(m);
	}
	pthread_mutex_unlock(&lock);
	return stays ? 0 : __real_xengnttab_unmap(xgt, start, count);
}

/* ---- turns of the second thread ---- */

void hostile_scan_all(void)
{
	/* One at a time, so that the worker is not held up for long. */
	for (uint32_t i = 0; i < MAPPINGS; i++) {
		pthread_mutex_lock(&lock);
		if (i < used && mapping[i].base)
			hostile_scan(mapping[i].base, mapping[i].refs, mapping[i].count,
				     kind_names[mapping[i].kind]);
		pthread_mutex_unlock(&lock);
	}
}

/* It races with the guest and with the worker: that is its purpose. */
__attribute__((no_sanitize("thread"), noinline)) static void scribble(void *ptr, size_t len)
{
	size_t words = strlen(hostile_mark);
	volatile char *to = ptr;

	for (size_t i = 0; i < len; i++)
		to[i] = hostile_mark[i % words];
}

void hostile_overwrite(void *ptr, size_t len)
{
	const struct mapping *m;

	pthread_mutex_lock(&lock);
	m = find(ptr, len);
	if (m && m->writable) {
		scribble(ptr, len);
		hostile_count(&hostile_counters.stale, (len + VG_PAGE_MASK) >> VG_PAGE_SHIFT);
	}
	pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static void write_kept(const struct mapping *m)
{
	for (uint32_t i = 0; i < m->count; i++) {
		if (m->kind == KIND_TRANSIENT && times[m->refs[i]] > 1)
			continue;
		scribble(m->base + ((size_t)i << VG_PAGE_SHIFT), VG_PAGE_SIZE);
		hostile_count(&hostile_counters.stale, 1);
	}
}

void hostile_write_stale(void)
{
	uint64_t now = hostile_now_ms();

	for (uint32_t i = 0; i < MAPPINGS; i++) {
		struct mapping *m = &mapping[i];

		pthread_mutex_lock(&lock);
		/* Until then the guest may not have seen that the request is done. */
		if (i < used && m->base && m->kept && m->writable &&
		    now >= m->since_ms + hostile.late_ms)
			write_kept(m);
		pthread_mutex_unlock(&lock);
	}
}

/* ---- who maps ---- */

int __wrap_vg_view_region_add(struct vg_view *view, uint32_t first, uint32_t count, bool writable)
{
	hostile_map_as(KIND_REGION);
	return __real_vg_view_region_add(view, first, count, writable);
}

void __wrap_vg_view_open(struct vg_view *view, struct vg_request *const *requests, unsigned int n)
{
	hostile_map_as(KIND_TRANSIENT);
	__real_vg_view_open(view, requests, n);
}

int __wrap_vg_view_read(struct vg_view *view, uint64_t addr, void *dst, uint32_t len)
{
	hostile_map_as(KIND_TRANSIENT);
	return __real_vg_view_read(view, addr, dst, len);
}

int __wrap_vg_view_write(struct vg_view *view, uint64_t addr, const void *src, uint32_t len)
{
	hostile_map_as(KIND_TRANSIENT);
	return __real_vg_view_write(view, addr, src, len);
}

/* A ring is mapped for writing when the guest lets it be: its descriptors are to be written too. */
int __wrap_vg_view_pin(struct vg_view *view, uint64_t addr, uint32_t len, bool writable,
		       struct vg_pin *pin)
{
	hostile_map_as(KIND_RING);
	if (!writable && hostile.next && !__real_vg_view_pin(view, addr, len, true, pin))
		return 0;
	return __real_vg_view_pin(view, addr, len, writable, pin);
}

int __wrap_vg_xenbus_conn_open(const struct vg_xenbus_conn_config *config,
			       struct vg_xenbus_conn **out)
{
	hostile_map_as(KIND_CONTROL);
	return __real_vg_xenbus_conn_open(config, out);
}

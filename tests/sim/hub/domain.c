// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub.h"
#include "store.h"

#define DOMID_MAX 32751u

static void domain_path(struct hub *h, uint32_t domid, const char *leaf, char *path, size_t len)
{
	snprintf(path, len, "%s/dom%u%s%s", h->dir, domid, leaf[0] ? "/" : "", leaf);
}

void domain_config_init(struct domain_config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->mem_mib = 64;
	cfg->nr_refs = 32768;
	cfg->nr_track = SIM_MAX_TRACK;
	cfg->nr_ports = SIM_MAX_PORTS - 1;
	cfg->nr_vcpus = 1;
}

static bool parse_u32(const char *s, uint32_t min, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (errno || end == s || *end || s[0] == '-' || v < min || v > max)
		return false;
	*out = (uint32_t)v;
	return true;
}

static bool parse_field(struct domain_config *cfg, const char *f, const char *v)
{
	if (!v) {
		cfg->priv |= !strcmp(f, "priv");
		return !strcmp(f, "priv") || parse_u32(f, 1, DOMID_MAX, &cfg->domid);
	}
	if (!strcmp(f, "name"))
		return (size_t)snprintf(cfg->name, sizeof(cfg->name), "%s", v) < sizeof(cfg->name);
	if (!strcmp(f, "id"))
		return parse_u32(v, 1, DOMID_MAX, &cfg->domid);
	if (!strcmp(f, "mem"))
		return parse_u32(v, 1, SIM_MAX_FRAMES >> 8, &cfg->mem_mib);
	if (!strcmp(f, "grants"))
		return parse_u32(v, SIM_FIRST_REF + 1, SIM_MAX_REFS, &cfg->nr_refs);
	if (!strcmp(f, "maptrack"))
		return parse_u32(v, 1, SIM_MAX_TRACK, &cfg->nr_track);
	if (!strcmp(f, "ports"))
		return parse_u32(v, 1, SIM_MAX_PORTS - 1, &cfg->nr_ports);
	if (!strcmp(f, "vcpus"))
		return parse_u32(v, 1, SIM_MAX_VCPUS, &cfg->nr_vcpus);
	return false;
}

int domain_config_parse(struct domain_config *cfg, const char *text, char *why, size_t why_len)
{
	char *copy = hub_alloc(strlen(text) + 1);
	char *save = NULL;
	int ret = 0;

	memcpy(copy, text, strlen(text) + 1);
	for (char *f = strtok_r(copy, ", \n", &save); f && !ret;
	     f = strtok_r(NULL, ", \n", &save)) {
		char *v = strchr(f, '=');

		if (v)
			*v++ = '\0';
		if (parse_field(cfg, f, v))
			continue;
		snprintf(why, why_len, "cannot use \"%.40s%s%.40s\" for a domain", f, v ? "=" : "",
			 v ? v : "");
		ret = -EINVAL;
	}
	free(copy);
	return ret;
}

struct domain *domain_find(struct hub *h, uint32_t domid)
{
	int i = sim_dom_find(h->arena, domid);

	return i < 0 ? NULL : h->dom[i];
}

/* The slot of the arena that has been unused longest, so that a stale index meets nobody. */
static int free_index(struct hub *h)
{
	for (unsigned int k = 0; k < SIM_MAX_DOMS; k++) {
		unsigned int i = (h->next_uid + k) % SIM_MAX_DOMS;

		if (!h->dom[i])
			return (int)i;
	}
	return -1;
}

static int ram_create(struct domain *d)
{
	d->nr_frames = d->cfg.mem_mib << (20 - SIM_PAGE_SHIFT);
	d->frame_used = hub_alloc(d->nr_frames);
	d->ram_fd = memfd_create("xensim-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (d->ram_fd < 0 || ftruncate(d->ram_fd, (off_t)d->nr_frames << SIM_PAGE_SHIFT) ||
	    fcntl(d->ram_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
		return -errno;
	return 0;
}

static int sockets_create(struct hub *h, struct domain *d)
{
	char path[4096];
	int ret;

	domain_path(h, d->cfg.domid, "", path, sizeof(path));
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	domain_path(h, d->cfg.domid, "hub", path, sizeof(path));
	d->hub_listen.ready = handle_accept;
	ret = hub_listen(h, &d->hub_listen, path, SOCK_SEQPACKET);
	if (ret)
		return ret;
	domain_path(h, d->cfg.domid, "xenstored", path, sizeof(path));
	d->store_listen.ready = store_accept;
	return hub_listen(h, &d->store_listen, path, SOCK_STREAM);
}

static void sockets_remove(struct hub *h, struct domain *d)
{
	char path[4096];

	hub_unwatch(&d->hub_listen);
	hub_unwatch(&d->store_listen);
	domain_path(h, d->cfg.domid, "hub", path, sizeof(path));
	unlink(path);
	domain_path(h, d->cfg.domid, "xenstored", path, sizeof(path));
	unlink(path);
	domain_path(h, d->cfg.domid, "", path, sizeof(path));
	rmdir(path);
}

static void domain_free(struct hub *h, struct domain *d)
{
	sockets_remove(h, d);
	atomic_store(&d->shared->domid_state, sim_dom_word(0, SIM_DOM_FREE));
	h->dom[d->index] = NULL;
	if (d->ram_fd >= 0)
		close(d->ram_fd);
	free(d->frame_used);
	free(d->ref);
	free(d);
}

static void shared_init(struct hub *h, struct domain *d)
{
	struct sim_domain *s = d->shared;

	for (uint32_t i = 0; i < SIM_MAX_REFS; i++)
		atomic_store_explicit(&s->grant[i], 0, memory_order_relaxed);
	for (uint32_t i = 0; i < SIM_STAT_COUNT; i++)
		atomic_store(&s->stat[i], 0);
	s->fault_text[0] = '\0';
	atomic_fetch_add(&s->fault_seq, 2);
	atomic_store(&s->nr_refs, d->cfg.nr_refs);
	atomic_store(&s->nr_track, d->cfg.nr_track);
	atomic_store(&s->nr_frames, d->nr_frames);
	atomic_store(&s->uid, ++h->next_uid);
	atomic_store(&s->domid_state, sim_dom_word(d->cfg.domid, SIM_DOM_ALIVE));
}

int domain_create(struct hub *h, const struct domain_config *cfg, char *why, size_t why_len)
{
	struct domain *d;
	int index, ret;

	if (cfg->domid > DOMID_MAX || domain_find(h, cfg->domid)) {
		snprintf(why, why_len, "domain %u exists already; choose another id", cfg->domid);
		return -EEXIST;
	}
	index = free_index(h);
	if (index < 0) {
		snprintf(why, why_len, "no more than %u domains, zombies included", SIM_MAX_DOMS);
		return -ENOSPC;
	}
	d = hub_alloc(sizeof(*d));
	d->cfg = *cfg;
	if (!d->cfg.name[0])
		snprintf(d->cfg.name, sizeof(d->cfg.name), "dom%u", cfg->domid);
	d->index = (unsigned int)index;
	d->shared = &h->arena->dom[index];
	d->ram_fd = d->hub_listen.fd = d->store_listen.fd = -1;
	d->ref = hub_alloc(cfg->nr_refs * sizeof(*d->ref));
	d->ref_cursor = SIM_FIRST_REF;
	h->dom[index] = d;
	ret = ram_create(d);
	if (!ret)
		ret = sockets_create(h, d);
	if (ret) {
		snprintf(why, why_len, "cannot make domain %u: %s%s", cfg->domid, strerror(-ret),
			 ret == -ENAMETOOLONG ? "; use a shorter --dir" : "");
		domain_free(h, d);
		return ret;
	}
	shared_init(h, d);
	if (cfg->domid >= h->next_domid)
		h->next_domid = cfg->domid + 1;
	store_domain_created(h->store, cfg->domid, d->cfg.name, d->cfg.mem_mib);
	return 0;
}

int domain_destroy(struct hub *h, uint32_t domid)
{
	struct domain *d = domain_find(h, domid);

	if (!d || d->dying)
		return -ESRCH;
	if (!domid)
		return -EPERM;
	/*
	 * As on Xen, what it had granted stays mappable while it is a zombie: only copies fail.
	 * What it had mapped itself goes at once.
	 */
	d->dying = true;
	atomic_store(&d->shared->domid_state, sim_dom_word(domid, SIM_DOM_DYING));
	handle_close_domain(h, d);
	ioreq_close_domain(h, d);
	store_close_domain(h->store, domid);
	sockets_remove(h, d);
	store_domain_destroyed(h->store, domid);
	h->work |= domain_tick(h);
	return 0;
}

static bool still_mapped(struct domain *d)
{
	for (uint32_t i = 0; i < d->cfg.nr_refs; i++) {
		uint64_t w = atomic_load(&d->shared->grant[i]);

		if (SIM_GRANT_READERS(w) || SIM_GRANT_WRITERS(w))
			return true;
	}
	return false;
}

static bool has_handles(struct hub *h, struct domain *d)
{
	for (uint32_t i = 0; i < SIM_MAX_HANDLES; i++) {
		if (h->handle[i] && h->handle[i]->dom == d)
			return true;
	}
	return false;
}

bool domain_tick(struct hub *h)
{
	bool more = false;

	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		struct domain *d = h->dom[i];

		if (!d || !d->dying)
			continue;
		if (still_mapped(d) || has_handles(h, d))
			more = true;
		else
			domain_free(h, d);
	}
	return more;
}

void domain_free_all(struct hub *h)
{
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		if (!h->dom[i])
			continue;
		handle_close_domain(h, h->dom[i]);
		ioreq_close_domain(h, h->dom[i]);
		store_close_domain(h->store, h->dom[i]->cfg.domid);
	}
	for (uint32_t i = 0; i < SIM_MAX_HANDLES; i++) {
		free(h->handle[i]);
		h->handle[i] = NULL;
	}
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		if (h->dom[i])
			domain_free(h, h->dom[i]);
	}
	while (h->deferred) {
		struct deferred *df = h->deferred;

		h->deferred = df->next;
		free(df);
	}
}

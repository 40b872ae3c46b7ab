// SPDX-License-Identifier: MIT
/* gntalloc's part: references and pages that a domain gives out, and unmap notifications. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xen/grant_table.h>

#include "hub.h"

#define SCATTER_STEP 37u

static bool frames_take(struct domain *d, uint32_t count, uint32_t *frames)
{
	uint32_t f, run = 0, n = 0;

	/* One run if there is one, as the page allocator often gives; else whatever is free. */
	for (f = 0; f < d->nr_frames && run < count; f++)
		run = d->frame_used[f] ? 0 : run + 1;
	for (f = run == count ? f - count : 0; f < d->nr_frames && n < count; f++) {
		if (!d->frame_used[f])
			frames[n++] = f;
	}
	if (n < count)
		return false;
	for (uint32_t i = 0, k; i < count; i += k) {
		for (k = 1; i + k < count && frames[i + k] == frames[i] + k;)
			k++;
		memset(&d->frame_used[frames[i]], 1, k);
		/* Zeroed before anyone else can see them. */
		if (fallocate(d->ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)frames[i] << SIM_PAGE_SHIFT, (off_t)k << SIM_PAGE_SHIFT))
			fprintf(stderr, "xensim: cannot zero a page: %s\n", strerror(errno));
	}
	return true;
}

static bool refs_take(struct domain *d, uint32_t count, bool scatter, uint32_t *refs)
{
	uint32_t span = d->cfg.nr_refs - SIM_FIRST_REF;
	uint32_t r, run = 0, n = 0;

	if (d->cfg.nr_refs <= SIM_FIRST_REF || count > span)
		return false;
	if (!scatter) {
		for (r = SIM_FIRST_REF; r < d->cfg.nr_refs && run < count; r++)
			run = d->ref[r].state == REF_FREE ? run + 1 : 0;
		for (uint32_t i = 0; run == count && i < count; i++)
			refs[i] = r - count + i;
		return run == count;
	}
	/* Twice through the table: once by strides, then through what these left out. */
	for (uint32_t tried = 0; tried < 2 * span && n < count; tried++) {
		r = d->ref_cursor;
		d->ref_cursor += tried < span ? SCATTER_STEP : 1;
		if (d->ref_cursor >= d->cfg.nr_refs)
			d->ref_cursor = SIM_FIRST_REF + (d->ref_cursor - SIM_FIRST_REF) % span;
		if (d->ref[r].state != REF_FREE)
			continue;
		d->ref[r].state = REF_OWNED; /* not to be met again */
		refs[n++] = r;
	}
	for (uint32_t i = 0; i < n; i++)
		d->ref[refs[i]].state = REF_FREE;
	return n == count;
}

int share_pages(struct hub *h, struct handle *hd, uint32_t domid, uint32_t count, uint32_t flags,
		uint32_t *refs)
{
	struct domain *d = hd->dom;
	uint32_t *frames;

	(void)h;
	if (!count || count > SIM_MSG_WORDS || domid > UINT16_MAX)
		return -EINVAL;
	if (!refs_take(d, count, flags & SIM_SHARE_SCATTER, refs))
		return -ENOSPC;
	frames = hub_alloc(count * sizeof(*frames));
	if (flags & SIM_SHARE_REFS_ONLY) {
		memset(frames, 0xff, count * sizeof(*frames));
	} else if (!frames_take(d, count, frames)) {
		free(frames);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < count; i++) {
		d->ref[refs[i]] = (struct ref){
			.state = REF_OWNED, .owner = (uint16_t)hd->id, .frame = frames[i]};
		if (flags & (SIM_SHARE_REFS_ONLY | SIM_SHARE_NO_ACCESS))
			atomic_store(&d->shared->grant[refs[i]],
				     sim_grant_word(0, 0, frames[i] == NO_FRAME ? 0 : frames[i]));
		else
			sim_grant_offer(&d->shared->grant[refs[i]], (uint16_t)domid, frames[i],
					flags & SIM_SHARE_READONLY);
	}
	free(frames);
	return 0;
}

/* Give back a reference whose use has ended, or keep it until its mappings go. */
static void ref_release(struct hub *h, struct domain *d, uint32_t ref)
{
	struct ref *r = &d->ref[ref];

	if (sim_grant_end(&d->shared->grant[ref])) {
		r->state = REF_DEFERRED;
		h->work = true;
		return;
	}
	atomic_store(&d->shared->grant[ref], 0);
	if (r->frame != NO_FRAME)
		d->frame_used[r->frame] = 0;
	r->state = REF_FREE;
}

int share_end(struct hub *h, struct handle *hd, const uint32_t *refs, uint32_t n)
{
	struct domain *d = hd->dom;

	for (uint32_t i = 0; i < n; i++) {
		if (refs[i] >= d->cfg.nr_refs || d->ref[refs[i]].state != REF_OWNED ||
		    d->ref[refs[i]].owner != hd->id)
			return -EINVAL;
	}
	for (uint32_t i = 0; i < n; i++) {
		notify_fire(h, hd, true, refs[i]);
		ref_release(h, d, refs[i]);
	}
	return 0;
}

void share_close(struct hub *h, struct handle *hd)
{
	struct domain *d = hd->dom;

	for (uint32_t r = SIM_FIRST_REF; r < d->cfg.nr_refs; r++) {
		if (d->ref[r].state != REF_OWNED || d->ref[r].owner != hd->id)
			continue;
		notify_fire(h, hd, true, r);
		if (!d->dying)
			ref_release(h, d, r);
	}
}

bool share_tick(struct hub *h)
{
	h->work = false;
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		struct domain *d = h->dom[i];

		for (uint32_t r = SIM_FIRST_REF; d && r < d->cfg.nr_refs; r++) {
			if (d->ref[r].state != REF_DEFERRED)
				continue;
			ref_release(h, d, r); /* sets work again if it is still in use */
		}
	}
	return h->work;
}

static bool notify_key_valid(struct handle *hd, bool on_ref, uint32_t key)
{
	struct domain *d = hd->dom;
	uint64_t w;

	if (on_ref)
		return key < d->cfg.nr_refs && d->ref[key].state == REF_OWNED &&
		       d->ref[key].owner == hd->id;
	if (key >= d->cfg.nr_track)
		return false;
	w = atomic_load(&d->shared->slot[key]);
	return SIM_SLOT_STATE(w) == SIM_SLOT_HELD && SIM_SLOT_HANDLE(w) == hd->id;
}

int notify_set(struct hub *h, struct handle *hd, const uint32_t *arg)
{
	struct domain *d = hd->dom;
	struct notify *n;
	uint64_t p;

	if (arg[3] != SIM_NO_PORT) {
		if (!arg[3] || arg[3] > d->cfg.nr_ports)
			return -EINVAL;
		p = atomic_load(&d->shared->port[arg[3]].state);
		if (SIM_PORT_KIND(p) == SIM_PORT_FREE)
			return -EINVAL;
	}
	if (!notify_key_valid(hd, arg[0], arg[1]))
		return -EINVAL;
	if (arg[2] != SIM_NO_OFFSET && arg[2] >= SIM_PAGE_SIZE)
		return -EINVAL;
	for (n = hd->notify; n; n = n->next) {
		uint32_t before = n->port;

		if (n->on_ref != !!arg[0] || n->key != arg[1])
			continue;
		n->offset = arg[2]; /* one for each page: the last one counts */
		n->port = arg[3];
		if (before != SIM_NO_PORT)
			evtchn_put(h, d, before);
		return 0;
	}
	n = hub_alloc(sizeof(*n));
	*n = (struct notify){.next = hd->notify,
			     .on_ref = arg[0],
			     .key = arg[1],
			     .offset = arg[2],
			     .port = arg[3]};
	hd->notify = n;
	return 0;
}

static void clear_byte(struct hub *h, struct handle *hd, const struct notify *n)
{
	struct domain *owner = hd->dom;
	uint32_t frame;

	if (n->on_ref) {
		frame = owner->ref[n->key].frame;
	} else {
		uint64_t w = atomic_load(&hd->dom->shared->slot[n->key]);

		owner = h->dom[SIM_SLOT_DOM(w)];
		frame = owner ? SIM_GRANT_FRAME(atomic_load(&owner->shared->grant[SIM_SLOT_REF(w)]))
			      : NO_FRAME;
	}
	if (frame != NO_FRAME &&
	    pwrite(owner->ram_fd, "", 1, ((off_t)frame << SIM_PAGE_SHIFT) + n->offset) != 1)
		fprintf(stderr, "xensim: cannot clear a byte: %s\n", strerror(errno));
}

void notify_fire(struct hub *h, struct handle *hd, bool on_ref, uint32_t key)
{
	for (struct notify **p = &hd->notify; *p;) {
		struct notify *n = *p;

		if (n->on_ref != on_ref || n->key != key) {
			p = &n->next;
			continue;
		}
		*p = n->next;
		if (n->offset != SIM_NO_OFFSET)
			clear_byte(h, hd, n);
		if (n->port != SIM_NO_PORT) {
			evtchn_send(h, hd->dom, n->port);
			evtchn_put(h, hd->dom, n->port);
		}
		free(n);
	}
}

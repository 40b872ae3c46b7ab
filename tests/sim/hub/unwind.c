// SPDX-License-Identifier: MIT
/* Give back the pins of a handle whose process is gone, wherever it was stopped. */
#include <errno.h>
#include <stdlib.h>

#include "hub.h"

#define RESOLVE_TRIES 4

struct pins {
	unsigned int rd, wr;
	uint64_t sum; /* changes whenever one of the slots seen has changed */
};

static uint32_t track_end(struct hub *h, unsigned int dom, uint32_t slot)
{
	/* Past the domain's own maptrack, go on with the slots that copies use. */
	return slot == atomic_load(&h->arena->dom[dom].nr_track) ? SIM_MAX_TRACK : slot;
}

/* Count the pins that slots say are held on (owner, ref). False: a live process is at it. */
static bool count_pins(struct hub *h, unsigned int owner, uint32_t ref, struct pins *pins)
{
	*pins = (struct pins){0};
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		if (!h->dom[i])
			continue;
		for (uint32_t s = track_end(h, i, 0); s < SIM_SLOTS; s = track_end(h, i, s + 1)) {
			uint64_t w = atomic_load(&h->arena->dom[i].slot[s]);
			struct handle *hd;

			if (SIM_SLOT_STATE(w) == SIM_SLOT_FREE || SIM_SLOT_DOM(w) != owner ||
			    SIM_SLOT_REF(w) != ref)
				continue;
			pins->sum = pins->sum * 31 + w;
			if (SIM_SLOT_STATE(w) == SIM_SLOT_INTENT) {
				hd = h->handle[SIM_SLOT_HANDLE(w)];
				if (hd && !hd->dead)
					return false;
				continue;
			}
			if (SIM_SLOT_RO(w))
				pins->rd++;
			else
				pins->wr++;
		}
	}
	return true;
}

/*
 * A process died between counting a pin and noting it. If two looks at all slots agree, these
 * were as seen when the entry was read in between, so any pin the entry has beyond them is the
 * dead process's; pins that come and go afterwards do not change that difference.
 */
static bool resolve(struct hub *h, unsigned int owner, uint32_t ref)
{
	_Atomic uint64_t *entry = &h->arena->dom[owner].grant[ref];

	for (int i = 0; i < RESOLVE_TRIES; i++) {
		struct pins before, after;
		uint64_t w;

		if (!count_pins(h, owner, ref, &before))
			continue;
		w = atomic_load(entry);
		if (!count_pins(h, owner, ref, &after) || before.sum != after.sum)
			continue;
		if (SIM_GRANT_READERS(w) < after.rd || SIM_GRANT_WRITERS(w) < after.wr)
			continue;
		sim_grant_drop(entry, SIM_GRANT_READERS(w) - after.rd,
			       SIM_GRANT_WRITERS(w) - after.wr);
		return true;
	}
	return false;
}

bool unwind_handle(struct hub *h, struct handle *hd)
{
	unsigned int dom = hd->dom->index;
	struct sim_domain *d = hd->dom->shared;
	bool done = true;

	while (hd->notify) {
		struct notify *n = hd->notify;

		notify_fire(h, hd, n->on_ref, n->key);
	}
	for (uint32_t s = track_end(h, dom, 0); s < SIM_SLOTS; s = track_end(h, dom, s + 1)) {
		uint64_t w = atomic_load(&d->slot[s]);

		if (SIM_SLOT_STATE(w) == SIM_SLOT_FREE || SIM_SLOT_HANDLE(w) != hd->id)
			continue;
		if (SIM_SLOT_STATE(w) == SIM_SLOT_DEFERRED)
			continue; /* I/O that still pins the page outlives the process */
		if (SIM_SLOT_STATE(w) == SIM_SLOT_HELD)
			sim_grant_unpin(h->arena, dom, s);
		else if (resolve(h, SIM_SLOT_DOM(w), SIM_SLOT_REF(w)))
			atomic_store(&d->slot[s], w & ~3ull);
		else
			done = false;
	}
	return done;
}

int unwind_defer(struct hub *h, struct handle *hd, uint32_t ms, const uint32_t *slots, uint32_t n)
{
	struct sim_domain *d = hd->dom->shared;

	for (uint32_t i = 0; i < n; i++) {
		struct deferred *df;
		uint64_t w;

		if (slots[i] >= hd->dom->cfg.nr_track)
			return -EINVAL;
		w = atomic_load(&d->slot[slots[i]]);
		if (SIM_SLOT_STATE(w) != SIM_SLOT_HELD || SIM_SLOT_HANDLE(w) != hd->id)
			return -EINVAL;
		atomic_store(&d->slot[slots[i]], (w & ~3ull) | SIM_SLOT_DEFERRED);
		df = hub_alloc(sizeof(*df));
		*df = (struct deferred){.next = h->deferred,
					.dom = hd->dom->index,
					.slot = slots[i],
					.due_ms = hub_now_ms() + ms};
		h->deferred = df;
		h->work = true;
	}
	return 0;
}

bool unwind_tick(struct hub *h)
{
	uint64_t now = h->deferred ? hub_now_ms() : 0;

	for (struct deferred **p = &h->deferred; *p;) {
		struct deferred *df = *p;

		if (df->due_ms > now) {
			p = &df->next;
			continue;
		}
		sim_grant_unpin(h->arena, df->dom, df->slot);
		*p = df->next;
		free(df);
	}
	return h->deferred != NULL;
}

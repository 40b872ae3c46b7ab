// SPDX-License-Identifier: MIT
#include "grant.h"

#include <errno.h>

#include <xen/grant_table.h>

static uint64_t slot_word(enum sim_slot_state state, bool ro, uint32_t ref, unsigned int dom,
			  uint32_t handle, uint64_t seq)
{
	return (uint64_t)state | (uint64_t)ro << 2 | (uint64_t)ref << 3 | (uint64_t)dom << 19 |
	       (uint64_t)handle << 28 | seq << 39;
}

static uint64_t slot_with_state(uint64_t w, enum sim_slot_state state)
{
	return (w & ~3ull) | (uint64_t)state;
}

/* A free slot, moved to the intent state; -1 when there is none. */
static int64_t slot_claim(struct sim_domain *d, uint32_t handle, unsigned int owner, uint32_t ref,
			  bool ro, enum sim_pin_kind kind, uint32_t *hint)
{
	uint32_t base = kind == SIM_PIN_MAP ? 0 : SIM_MAX_TRACK;
	uint32_t n = kind == SIM_PIN_MAP ? atomic_load(&d->nr_track) : SIM_COPY_PINS;
	uint32_t start = n ? *hint % n : 0;

	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = base + (start + k) % n;
		uint64_t w = atomic_load(&d->slot[i]);

		if (SIM_SLOT_STATE(w) != SIM_SLOT_FREE)
			continue;
		if (atomic_compare_exchange_strong(&d->slot[i], &w,
						   slot_word(SIM_SLOT_INTENT, ro, ref, owner,
							     handle, SIM_SLOT_SEQ(w) + 1))) {
			*hint = (start + k + 1) % n;
			return i;
		}
	}
	return -1;
}

static int entry_pin(_Atomic uint64_t *entry, uint16_t domid, bool ro, uint32_t *frame)
{
	uint64_t w = atomic_load(entry);
	uint64_t n;

	do {
		uint16_t flags = SIM_GRANT_FLAGS(w);

		if ((flags & GTF_type_mask) != GTF_permit_access || SIM_GRANT_DOMID(w) != domid)
			return GNTST_general_error;
		if (!ro && (flags & GTF_readonly))
			return GNTST_general_error;
		if ((ro ? SIM_GRANT_READERS(w) : SIM_GRANT_WRITERS(w)) == SIM_GRANT_PINS_MAX)
			return GNTST_no_space;
		n = (w | GTF_reading | (ro ? 0 : GTF_writing)) +
		    (ro ? SIM_GRANT_READER : SIM_GRANT_WRITER);
	} while (!atomic_compare_exchange_weak(entry, &w, n));
	*frame = SIM_GRANT_FRAME(w);
	return GNTST_okay;
}

void sim_grant_drop(_Atomic uint64_t *entry, unsigned int rd, unsigned int wr)
{
	uint64_t w = atomic_load(entry);
	uint64_t n;

	do {
		n = w - rd * SIM_GRANT_READER - wr * SIM_GRANT_WRITER;
		if (!SIM_GRANT_WRITERS(n))
			n &= ~(uint64_t)GTF_writing;
		if (!SIM_GRANT_WRITERS(n) && !SIM_GRANT_READERS(n))
			n &= ~(uint64_t)GTF_reading;
	} while (!atomic_compare_exchange_weak(entry, &w, n));
}

int sim_grant_pin(struct sim_arena *a, unsigned int user, uint32_t handle, unsigned int owner,
		  uint32_t ref, bool ro, enum sim_pin_kind kind, uint32_t *hint,
		  struct sim_pin *pin)
{
	struct sim_domain *d = &a->dom[user];
	struct sim_domain *o = &a->dom[owner];
	uint16_t domid = (uint16_t)(atomic_load(&d->domid_state) >> 8);
	uint64_t w;
	int64_t slot;
	int status;

	if (kind == SIM_PIN_COPY && !sim_dom_alive(a, (int)owner))
		return GNTST_bad_domain;
	if (ref >= atomic_load(&o->nr_refs))
		return GNTST_bad_gntref;
	slot = slot_claim(d, handle, owner, ref, ro, kind, hint);
	if (slot < 0)
		return GNTST_no_space;
	status = entry_pin(&o->grant[ref], domid, ro, &pin->frame);
	w = atomic_load(&d->slot[slot]);
	atomic_store(&d->slot[slot],
		     slot_with_state(w, status == GNTST_okay ? SIM_SLOT_HELD : SIM_SLOT_FREE));
	pin->slot = (uint32_t)slot;
	return status;
}

void sim_grant_unpin(struct sim_arena *a, unsigned int user, uint32_t slot)
{
	_Atomic uint64_t *s = &a->dom[user].slot[slot];
	uint64_t w = atomic_load(s);
	bool ro = SIM_SLOT_RO(w);

	atomic_store(s, slot_with_state(w, SIM_SLOT_INTENT));
	sim_grant_drop(&a->dom[SIM_SLOT_DOM(w)].grant[SIM_SLOT_REF(w)], ro, !ro);
	atomic_store(s, slot_with_state(w, SIM_SLOT_FREE));
}

int sim_grant_offer(_Atomic uint64_t *entry, uint16_t domid, uint32_t frame, bool ro)
{
	uint64_t w = atomic_load(entry);
	uint64_t n = sim_grant_word(GTF_permit_access | (ro ? GTF_readonly : 0), domid, frame);

	do {
		if (SIM_GRANT_FLAGS(w) || SIM_GRANT_READERS(w) || SIM_GRANT_WRITERS(w))
			return -EBUSY;
	} while (!atomic_compare_exchange_weak(entry, &w, n));
	return 0;
}

int sim_grant_end(_Atomic uint64_t *entry)
{
	uint64_t w = atomic_load(entry);

	do {
		if (SIM_GRANT_READERS(w) || SIM_GRANT_WRITERS(w))
			return -EBUSY;
	} while (!atomic_compare_exchange_weak(entry, &w, w & ~0xffffull));
	return 0;
}

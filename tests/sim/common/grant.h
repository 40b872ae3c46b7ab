/* SPDX-License-Identifier: MIT */
/*
 * Grant entries and maptrack slots.
 *
 * A grant entry has the three fields of Xen's v1 entry (flags, domid, frame) and,
 * in what is left of its 64 bits, the pin counts that Xen keeps to itself: so a check
 * and a pin, or "is it in use" and "end it", are one atomic step.
 */
#ifndef SIM_GRANT_H
#define SIM_GRANT_H

#include "arena.h"

/* flags 0-15 (GTF_* of xen/grant_table.h), domid 16-31, frame 32-49, readers 50-56, writers 57-63
 */
#define SIM_GRANT_FLAGS(w)   ((uint16_t)(w))
#define SIM_GRANT_DOMID(w)   ((uint16_t)((w) >> 16))
#define SIM_GRANT_FRAME(w)   ((uint32_t)((w) >> 32) & (SIM_MAX_FRAMES - 1))
#define SIM_GRANT_READERS(w) ((unsigned int)((w) >> 50) & 0x7f)
#define SIM_GRANT_WRITERS(w) ((unsigned int)((w) >> 57) & 0x7f)
#define SIM_GRANT_PINS_MAX   0x7fu
#define SIM_GRANT_READER     (1ull << 50)
#define SIM_GRANT_WRITER     (1ull << 57)

static inline uint64_t sim_grant_word(uint16_t flags, uint16_t domid, uint32_t frame)
{
	return flags | (uint64_t)domid << 16 | (uint64_t)frame << 32;
}

enum sim_slot_state {
	SIM_SLOT_FREE,
	SIM_SLOT_INTENT, /* being taken or given back: the pin may or may not be counted */
	SIM_SLOT_HELD,
	SIM_SLOT_DEFERRED /* unmapped, but the hub gives the pin back later */
};

/* state 0-1, read-only 2, ref 3-18, domain index 19-27, handle 28-38, sequence 39-63 */
#define SIM_SLOT_STATE(w)  ((enum sim_slot_state)((w)&3))
#define SIM_SLOT_RO(w)     (((w) >> 2 & 1) != 0)
#define SIM_SLOT_REF(w)    ((uint32_t)((w) >> 3) & 0xffff)
#define SIM_SLOT_DOM(w)    ((unsigned int)((w) >> 19) & 0x1ff)
#define SIM_SLOT_HANDLE(w) ((unsigned int)((w) >> 28) & 0x7ff)
#define SIM_SLOT_SEQ(w)    ((w) >> 39)

enum sim_pin_kind { SIM_PIN_MAP, SIM_PIN_COPY };

struct sim_pin {
	uint32_t slot;  /* of the mapping domain */
	uint32_t frame; /* of the granting domain */
};

/*
 * Pin reference `ref` of domain index `owner` for domain index `user`, as Xen does on a map or
 * for the time of a copy. Returns a GNTST_* status; on GNTST_okay *pin says what was pinned.
 */
int sim_grant_pin(struct sim_arena *a, unsigned int user, uint32_t handle, unsigned int owner,
		  uint32_t ref, bool ro, enum sim_pin_kind kind, uint32_t *hint,
		  struct sim_pin *pin);

/* Give back what slot `slot` of domain index `user` holds. */
void sim_grant_unpin(struct sim_arena *a, unsigned int user, uint32_t slot);

/* Take `rd` readers and `wr` writers off an entry (a repair, or part of an unpin). */
void sim_grant_drop(_Atomic uint64_t *entry, unsigned int rd, unsigned int wr);

/* Offer `frame`; 0, or -EBUSY while the entry is active or in use. */
int sim_grant_offer(_Atomic uint64_t *entry, uint16_t domid, uint32_t frame, bool ro);

/* End access unless in use; 0 or -EBUSY, as one atomic step. */
int sim_grant_end(_Atomic uint64_t *entry);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The memory that the hub and every process inside a simulated domain share:
 * grant tables, maptrack and event-channel ports of all domains.
 *
 * Nothing here is ever locked. A process may be killed or stopped between any
 * two instructions and must neither hold up the others nor lose a count, so
 * every operation is one compare-and-exchange on one 64-bit word, and what is
 * spread over two words (a grant's pin count and the maptrack slot that stands
 * for it) passes through an "intent" state that the hub can resolve afterwards.
 */
#ifndef SIM_ARENA_H
#define SIM_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SIM_PAGE_SHIFT  12
#define SIM_PAGE_SIZE   4096u
#define SIM_MAX_DOMS    512u   /* alive and zombie at one time */
#define SIM_MAX_REFS    65536u /* per domain */
#define SIM_MAX_TRACK   65536u /* maptrack slots per domain */
#define SIM_COPY_PINS   256u   /* further slots: pages pinned for the time of a copy */
#define SIM_MAX_PORTS   1024u  /* port 0 is never used */
#define SIM_MAX_HANDLES 2048u  /* open library handles, all domains together */
#define SIM_MAX_VCPUS   128u   /* slots in the page of an IOREQ server */
#define SIM_MAX_FRAMES  (1u << 18)
#define SIM_FIRST_REF   8u /* 0 to 7 are reserved on Xen (console, xenstore) */
#define SIM_FAULT_TEXT  1000u
#define SIM_SLOTS       (SIM_MAX_TRACK + SIM_COPY_PINS)

enum sim_domain_state { SIM_DOM_FREE, SIM_DOM_ALIVE, SIM_DOM_DYING };

/* Operations that succeeded, counted for benches that gate on counts. */
enum sim_stat {
	SIM_STAT_MAP,
	SIM_STAT_MAP_PAGES,
	SIM_STAT_UNMAP,
	SIM_STAT_COPY,
	SIM_STAT_COPY_SEGS,
	SIM_STAT_COPY_OPS,
	SIM_STAT_COPY_HYPERCALLS,
	SIM_STAT_NOTIFY,
	SIM_STAT_PENDING,
	SIM_STAT_UNMASK,
	SIM_STAT_COUNT
};

struct sim_port {
	_Atomic uint64_t state; /* sim_port_word() */
	_Atomic uint64_t link;  /* sim_link_word(), 0 while there is no peer */
};

struct sim_domain {
	_Atomic uint32_t domid_state; /* domid << 8 | enum sim_domain_state */
	_Atomic uint32_t uid;         /* differs for each use of this slot of the arena */
	_Atomic uint32_t nr_refs;
	_Atomic uint32_t nr_track;
	_Atomic uint32_t nr_frames;
	_Atomic uint32_t fault_seq; /* odd while the hub writes fault_text */
	char fault_text[SIM_FAULT_TEXT];
	_Atomic uint64_t stat[SIM_STAT_COUNT];
	_Atomic uint64_t grant[SIM_MAX_REFS];
	_Atomic uint64_t slot[SIM_SLOTS];
	struct sim_port port[SIM_MAX_PORTS];
};

struct sim_arena {
	_Atomic uint32_t handle_uid[SIM_MAX_HANDLES];
	struct sim_domain dom[SIM_MAX_DOMS];
};

static inline uint32_t sim_dom_word(unsigned int domid, enum sim_domain_state state)
{
	return (uint32_t)domid << 8 | (uint32_t)state;
}

/* Index of the domain, or -1. A zombie is found too: its pages can still be mapped. */
static inline int sim_dom_find(struct sim_arena *a, uint32_t domid)
{
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		uint32_t w = atomic_load(&a->dom[i].domid_state);

		if ((w & 0xff) != SIM_DOM_FREE && w >> 8 == domid)
			return (int)i;
	}
	return -1;
}

static inline bool sim_dom_alive(struct sim_arena *a, int dom)
{
	return (atomic_load(&a->dom[dom].domid_state) & 0xff) == SIM_DOM_ALIVE;
}

static inline void sim_stat_add(struct sim_domain *d, enum sim_stat which, uint64_t n)
{
	atomic_fetch_add_explicit(&d->stat[which], n, memory_order_relaxed);
}

#endif

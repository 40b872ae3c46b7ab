/* SPDX-License-Identifier: MIT */
/*
 * Event-channel ports. The hub binds and closes them; sending and unmasking are
 * done by the processes themselves, one compare-and-exchange each. A port number
 * is in its handle's pipe at most once: it is masked from the moment it is put
 * there until it is unmasked, so no event is lost and the pipe cannot fill.
 */
#ifndef SIM_PORT_H
#define SIM_PORT_H

#include "arena.h"

enum sim_port_kind { SIM_PORT_FREE, SIM_PORT_UNBOUND, SIM_PORT_INTERDOMAIN };

/* pending 0, masked 1, kind 2-3, raisers 4-7, handle 8-23, generation 32-63 */
#define SIM_PORT_PENDING    1ull
#define SIM_PORT_MASKED     2ull
#define SIM_PORT_RAISER     16ull
#define SIM_PORT_RAISERS(w) ((unsigned int)(w) >> 4 & 15)
#define SIM_PORT_KIND(w)    ((enum sim_port_kind)((w) >> 2 & 3))
#define SIM_PORT_HANDLE(w)  ((uint32_t)((w) >> 8) & 0xffff)
#define SIM_PORT_GEN(w)     ((uint32_t)((w) >> 32))

static inline uint64_t sim_port_word(enum sim_port_kind kind, uint32_t handle, uint32_t gen)
{
	return (uint64_t)kind << 2 | (uint64_t)handle << 8 | (uint64_t)gen << 32;
}

/* valid 0, domain index 1-9, port 16-31, generation 32-63 */
#define SIM_LINK_VALID(w) ((w)&1)
#define SIM_LINK_DOM(w)   ((unsigned int)((w) >> 1) & 0x1ff)
#define SIM_LINK_PORT(w)  ((uint32_t)((w) >> 16) & 0xffff)
#define SIM_LINK_GEN(w)   ((uint32_t)((w) >> 32))

static inline uint64_t sim_link_word(unsigned int dom, uint32_t port, uint32_t gen)
{
	return 1ull | (uint64_t)dom << 1 | (uint64_t)port << 16 | (uint64_t)gen << 32;
}

/*
 * Raise the port if it still is of generation `gen`. Returns true when the caller must now write
 * the port number into the pipe of handle *handle and then call sim_port_raised. Should it die in
 * between, the hub sees so by the count of raisers, and puts the event there itself.
 */
static inline bool sim_port_raise(struct sim_port *p, uint32_t gen, uint32_t *handle)
{
	uint64_t w = atomic_load(&p->state);
	uint64_t n;

	do {
		if (SIM_PORT_GEN(w) != gen || SIM_PORT_KIND(w) == SIM_PORT_FREE)
			return false;
		if (w & SIM_PORT_MASKED)
			n = w | SIM_PORT_PENDING;
		else
			n = (w | SIM_PORT_MASKED) +
			    (SIM_PORT_RAISERS(w) < 15 ? SIM_PORT_RAISER : 0);
	} while (!atomic_compare_exchange_weak(&p->state, &w, n));
	*handle = SIM_PORT_HANDLE(w);
	return !(w & SIM_PORT_MASKED);
}

static inline void sim_port_raised(struct sim_port *p, uint32_t gen)
{
	uint64_t w = atomic_load(&p->state);

	while (SIM_PORT_GEN(w) == gen && SIM_PORT_RAISERS(w) &&
	       !atomic_compare_exchange_weak(&p->state, &w, w - SIM_PORT_RAISER))
		;
}

/*
 * Unmask a port of `handle`. 1: an event was held back, the caller must write the port number
 * into the pipe (the port stays masked); 0: nothing waits; -1: the port is not this handle's.
 */
static inline int sim_port_unmask(struct sim_port *p, uint32_t handle)
{
	uint64_t w = atomic_load(&p->state);
	uint64_t n;

	do {
		if (SIM_PORT_KIND(w) == SIM_PORT_FREE || SIM_PORT_HANDLE(w) != handle)
			return -1;
		n = w & ~(w & SIM_PORT_PENDING ? SIM_PORT_PENDING : SIM_PORT_MASKED);
	} while (!atomic_compare_exchange_weak(&p->state, &w, n));
	return (w & SIM_PORT_PENDING) != 0;
}

#endif

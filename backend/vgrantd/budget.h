/* SPDX-License-Identifier: MIT */
/*
 * The machine's budget for busy polling, shared by all workers: as many may poll at one time as
 * there are CPUs but one, and none for a while after one was seen to wait for its CPU.
 *
 * It is a page of memory that every worker writes. One that was taken over can keep the others from
 * polling, or make them poll when CPUs are short; nothing else depends on what stands there.
 */
#ifndef VGRANTD_BUDGET_H
#define VGRANTD_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define VG_BUDGET_MAX 64 /* pollers at one time */

struct vg_budget_page;

struct vg_budget {
	struct vg_budget_page *page; /* NULL: there is no budget, and nobody polls */
	uint32_t slots;
	uint32_t self;    /* process */
	int held;         /* slot, or -1 */
	uint64_t seen_ns; /* while it is held: the last look at the clock */
};

/* Makes the page. A file descriptor, or negative errno. */
int vg_budget_create(void);
/* Pollers that the CPUs of this process allow at one time. */
uint32_t vg_budget_slots(void);
/* Maps the page of @fd, which stays the caller's. */
int vg_budget_open(struct vg_budget *b, int fd, uint32_t slots);
void vg_budget_close(struct vg_budget *b);
/* The process @pid has gone, with whatever it held. */
void vg_budget_forget(const struct vg_budget *b, pid_t pid);

/*
 * May this process poll now? Asked at each look at the rings; what it takes it holds until
 * vg_budget_give(). A long time between two looks shows that CPUs are short: false, for everybody.
 */
bool vg_budget_take(struct vg_budget *b, uint64_t now_ns);
void vg_budget_give_held(struct vg_budget *b);
static inline void vg_budget_give(struct vg_budget *b)
{
	if (b->held >= 0)
		vg_budget_give_held(b);
}

#endif

/* SPDX-License-Identifier: MIT */
/* Fault rules: which call fails, how, and when. The syntax is in README.md. */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#define SIM_FAULT_RULES 32

enum sim_fault_flag {
	SIM_FAULT_DROP = 1,   /* say yes, do nothing */
	SIM_FAULT_SHORT = 2,  /* do half of it, then fail */
	SIM_FAULT_EAGAIN = 4, /* the page is away: the caller has to wait for it */
	SIM_FAULT_STATUS = 8, /* a rule about one segment's status */
};

struct sim_fault_rule {
	char site[24];
	int err; /* a positive errno, or 0 */
	int status;
	unsigned int flags;
	unsigned int late_ms, defer_ms;
	unsigned int after, count, percent;
	bool counted; /* count was given */
};

struct sim_fault_set {
	struct sim_fault_rule rule[SIM_FAULT_RULES];
	unsigned int n;
	unsigned int seed; /* the sequence of `prob` is the same in every run */
};

/* Replace the rules. 0, or -EINVAL with a message in `why`: then the set is empty. */
int sim_fault_parse(struct sim_fault_set *set, const char *text, char *why, size_t why_len);

/*
 * The rule that applies to this call at `site`, or NULL. `segment` asks for the rules that set a
 * status, !segment for all others. Counts the call. Not for two threads at once.
 */
const struct sim_fault_rule *sim_fault_hit(struct sim_fault_set *set, const char *site,
					   bool segment);

#endif

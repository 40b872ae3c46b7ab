/* SPDX-License-Identifier: MIT */
/* What the fake libraries share: a handle's connection to the hub, and fault rules. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

#include "../common/arena.h"
#include "../common/fault.h"
#include "../common/proto.h"

#define SIM_EXPORT __attribute__((visibility("default")))

/* A domain's memory as this process sees it: for copies, and for its mappings. */
struct sim_ram {
	uint32_t uid; /* 0: not there */
	int fd;
	uint8_t *base;
	size_t size;
};

struct sim_client {
	int fd;
	pid_t pid; /* who opened it: a forked child may only close */
	uint32_t handle, dom, domid;
	bool priv;
	struct sim_arena *arena;
	pthread_mutex_t lock; /* one request at a time; also ram[] and the faults */
	struct sim_ram ram[SIM_MAX_DOMS];
	struct sim_fault_set env_faults, hub_faults;
	uint32_t fault_seq;
};

/* 0 or a negative errno. `fds` gets up to two further descriptors of the reply, or -1. */
int sim_client_open(struct sim_client *c, enum sim_handle_type type, int *fds);
int sim_client_adopt(struct sim_client *c, uint64_t pipe_ino, int *fds);
void sim_client_close(struct sim_client *c);
bool sim_client_ours(const struct sim_client *c);

/*
 * Ask the hub. `m` holds the request and gets the reply's header; `out` are m->n words that go
 * with the request, `in` takes up to in_max words of the reply. Returns 0 or a negative errno.
 */
int sim_rpc(struct sim_client *c, struct sim_msg *m, const uint32_t *out, uint32_t *in,
	    uint32_t in_max, int *fds, unsigned int nfds);

/* The memory of domain index `dom`, mapped whole; NULL when it is gone. */
struct sim_ram *sim_client_ram(struct sim_client *c, unsigned int dom);

/*
 * Apply the fault rules to a call at `site`: waits where a rule says so. Returns a positive errno
 * to fail with, or 0; *rule (if not NULL) is a copy of what applied, zero if nothing did.
 */
int sim_fault_call(struct sim_client *c, const char *site, struct sim_fault_rule *rule);
int sim_fault_segment(struct sim_client *c, const char *site);

/*
 * One system call that does nothing, in the place of one that the real library makes, so
 * that counting system calls in a simulated run tells the truth.
 */
void sim_trap(int fd, unsigned long cmd);
void sim_sleep_ms(unsigned int ms);
int sim_fail(int err); /* sets errno, returns -1 */

static inline struct sim_domain *sim_self(struct sim_client *c)
{
	return &c->arena->dom[c->dom];
}

#endif

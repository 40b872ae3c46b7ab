/* SPDX-License-Identifier: MIT */
/* What the parts of vgrant-micro share. Errors are negative errno and have been said. */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <vgrant/view.h>
#include <vgrant/virtqueue.h>
#include <vgrant/xen.h>

#define MICRO_PAGES   256 /* the largest batch */
#define MICRO_ROUNDS  201 /* the most */
#define MICRO_MAX_OPS 64

/* ---- guest.c: the domain whose pages are reached ---- */

/* What it prints, and the other end reads: "domain N", "port N", "refs N…", "ready". */
struct micro_guest {
	uint16_t domid;
	uint32_t port;
	uint32_t refs[MICRO_PAGES];
};

/* Grants pages to @domid and answers every event with one, until standard input ends. */
int micro_serve(uint16_t domid);
int micro_read_guest(const char *path, struct micro_guest *guest);

/* ---- ops.c ---- */

struct micro;

/*
 * One operation, done @count times; returns the nanoseconds that all took, of what is measured of
 * them. @arg is the operation's.
 */
typedef int micro_run(struct micro *m, unsigned int arg, unsigned int count, double *ns);

struct micro_op {
	const char *name;
	const char *unit;  /* of what one operation does @each of */
	unsigned int each; /* pages, copies, chains, bytes… of one operation */
	unsigned int arg;
	micro_run *run;
	/* Filled while measuring. */
	unsigned int count; /* in a round */
	double ns[MICRO_ROUNDS];
};

struct micro {
	struct micro_guest guest;
	bool has_guest;
	struct vg_gnttab *gnttab;
	struct vg_evtchn *evtchn;
	int port;
	void *local; /* MICRO_PAGES pages */
	void *big;   /* memory that no cache holds */
	struct micro_echo *echo;
	struct vg_quota quota;
	struct vg_view *view;
	struct vg_virtqueue *vq[2]; /* of chains of one and of three descriptors */
	struct micro_ring *ring[2];
	struct vg_request *request;
};

int micro_open(struct micro *m);
void micro_close(struct micro *m);
/* All operations that can be measured here: without a guest those that need none. */
unsigned int micro_ops(const struct micro *m, struct micro_op op[MICRO_MAX_OPS]);
double micro_now(void);
__attribute__((format(printf, 2, 3))) int micro_failed(int err, const char *fmt, ...);

/* ---- ops of the view: view.c ---- */

#define MICRO_BATCH 32 /* chains popped, then pushed */

int micro_view_open(struct micro *m);
void micro_view_close(struct micro *m);
micro_run micro_run_chains, micro_run_resolve;

/* ---- local.c: what needs no hypervisor ---- */

#define MICRO_BIG (64u << 20)

int micro_local_open(struct micro *m);
void micro_local_close(struct micro *m);
micro_run micro_run_syscall, micro_run_eventfd, micro_run_memcpy, micro_run_memcpy_big;

/* ---- report.c ---- */

/* The table to standard output, and @json when it is not NULL. */
int micro_report(const struct micro_op *op, unsigned int n, unsigned int rounds, FILE *json);

#endif

/* SPDX-License-Identifier: MIT */
/* What the parts of vgrant-peers share. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include <stdbool.h>
#include <stdio.h>

#include "peer.h"

struct command {
	unsigned int runs, starts, turns;
	bool child;
	const char *only, *json;
	char **objects;
};

/*
 * measure.c: the runs of one start, as lines for table_add() on standard output: the number of
 * descriptors, the work, nanoseconds a chain, the engine's name and what it checks.
 */
int measure(const struct command *cmd);

/* table.c */
struct row {
	unsigned int chain, work;
	char name[64], checks[64];
	double *ns;
	unsigned int n, room;
};

#define MAX_ROWS 64

struct table {
	struct row row[MAX_ROWS];
	unsigned int rows;
};

int table_add(struct table *table, const char *line);
/* The table, to standard output, and @json when it is not NULL. */
int table_print(const struct table *table, FILE *json);
void table_free(struct table *table);

#endif

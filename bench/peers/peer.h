/* SPDX-License-Identifier: MIT */
/*
 * An implementation of the device side of a split virtqueue, as bench/peers measures it. Each is a
 * shared object that exports peer_engines.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

#define PEER_BATCH   32 /* chains that are popped, then pushed, together */
#define PEER_RING    256
#define PEER_PAYLOAD 64 /* bytes of data of a chain whose payload is copied */
#define PEER_HEADER  12 /* and of the network header before them */

/* One ring in plain memory, laid out by the driver half. */
struct peer_ring {
	void *memory;  /* all of it: rings and buffers */
	size_t bytes;  /* of memory */
	int fd;        /* a file that is this memory */
	uint64_t base; /* what a descriptor's address of memory's first byte is */
	/* Offsets in memory. */
	size_t desc, avail, used;
	size_t spare;  /* a page of zeroes */
	uint16_t size; /* descriptors */
};

enum peer_work {
	PEER_POP_PUSH, /* takes chains and gives them back */
	PEER_COPY_OUT, /* copies their payload to private memory in between */
	PEER_COPY_IN,  /* and from it */
};

struct peer_engine {
	const char *name;
	const char *checks; /* of an address, before it is believed, in words */
	enum peer_work work;
	unsigned int max_chain; /* descriptors of the longest chain that it takes */
	int used_len_off;       /* what it adds to the length that it reports */
	/* Brings memory of its own when it needs a certain kind, and says what addresses are. */
	int (*memory)(struct peer_ring *ring);
	/* Returns its state, or NULL: it has said why. */
	void *(*open)(const struct peer_ring *ring);
	/*
	 * Pops up to PEER_BATCH chains, then pushes them all, each with as many bytes written as
	 * its writable part has. Adds to *sum, for PEER_POP_PUSH, each buffer's offset in memory
	 * and its length; for the others the bytes copied. Returns how many there were, negative on
	 * error.
	 */
	int (*serve)(void *state, uint64_t *sum);
	void (*close)(void *state);
};

/* Ends with an entry whose name is NULL. */
extern const struct peer_engine peer_engines[] __attribute__((visibility("default")));

#endif

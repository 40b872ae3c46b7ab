// SPDX-License-Identifier: MIT
/* Engines that do less than they are asked: vgrant-peers must notice each. */
#include <stdlib.h>
#include <string.h>

#include "peer.h"

struct entry {
	uint32_t id, len;
};

struct state {
	struct peer_ring ring;
	uint16_t done;
};

static int memory(struct peer_ring *ring)
{
	ring->base = 0;
	return 0;
}

static void *open_liar(const struct peer_ring *ring)
{
	struct state *s = calloc(1, sizeof(*s));

	if (s)
		s->ring = *ring;
	return s;
}

/* Chains of one descriptor, given back in order: all that is asked, if told so. */
static int serve(struct state *s, uint64_t *sum, uint32_t id_off, uint32_t len_off,
		 uint64_t sum_off, unsigned int n)
{
	char *m = s->ring.memory;
	uint16_t *avail = (uint16_t *)(m + s->ring.avail) + 2;
	struct entry *used = (struct entry *)(m + s->ring.used + 4);

	for (unsigned int i = 0; i < n; i++, s->done++) {
		unsigned int at = s->done % s->ring.size;
		uint64_t addr;
		uint32_t len;

		memcpy(&addr, m + s->ring.desc + avail[at] * 16ul, 8);
		memcpy(&len, m + s->ring.desc + avail[at] * 16ul + 8, 4);
		*sum += addr + len + sum_off;
		used[at] = (struct entry){avail[at] + id_off, len + len_off};
	}
	memcpy(m + s->ring.used + 2, &s->done, 2);
	return (int)n;
}

static int honest(void *s, uint64_t *sum)
{
	return serve(s, sum, 0, 0, 0, PEER_BATCH);
}

static int other_chain(void *s, uint64_t *sum)
{
	return serve(s, sum, 1, 0, 0, PEER_BATCH);
}

static int other_length(void *s, uint64_t *sum)
{
	return serve(s, sum, 0, 1, 0, PEER_BATCH);
}

static int other_address(void *s, uint64_t *sum)
{
	return serve(s, sum, 0, 0, 4096, PEER_BATCH);
}

static int too_few(void *s, uint64_t *sum)
{
	return serve(s, sum, 0, 0, 0, PEER_BATCH - 1);
}

const struct peer_engine peer_engines[] = {
	{
		.name = "honest",
		.checks = "nothing",
		.max_chain = 1,
		.memory = memory,
		.open = open_liar,
		.serve = honest,
		.close = free,
	},
	{
		.name = "other-chain",
		.checks = "nothing",
		.max_chain = 1,
		.memory = memory,
		.open = open_liar,
		.serve = other_chain,
		.close = free,
	},
	{
		.name = "other-length",
		.checks = "nothing",
		.max_chain = 1,
		.memory = memory,
		.open = open_liar,
		.serve = other_length,
		.close = free,
	},
	{
		.name = "other-address",
		.checks = "nothing",
		.max_chain = 1,
		.memory = memory,
		.open = open_liar,
		.serve = other_address,
		.close = free,
	},
	{
		.name = "too-few",
		.checks = "nothing",
		.max_chain = 1,
		.memory = memory,
		.open = open_liar,
		.serve = too_few,
		.close = free,
	},
	{.name = NULL},
};

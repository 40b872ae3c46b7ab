// SPDX-License-Identifier: MIT
/*
 * The host half of Linux's tools/virtio/ringtest/virtio_ring_0_9.c, which the build includes before
 * this. It looks at one descriptor, believes all of it, and publishes each on its own.
 */
#include "peer.h"

unsigned int ring_size = PEER_RING;
int param;
bool do_exit, do_sleep, do_relax;

/* Nobody is to be woken. */
void kick(void)
{
}

void call(void)
{
}

static int kernel_memory(struct peer_ring *r)
{
	r->base = (uintptr_t)r->memory;
	return 0;
}

static void *open_ringtest(const struct peer_ring *r)
{
	char *m = r->memory;

	ring = (struct vring){
		.num = r->size,
		.desc = (struct vring_desc *)(m + r->desc),
		.avail = (struct vring_avail *)(m + r->avail),
		.used = (struct vring_used *)(m + r->used),
	};
	host.used_idx = 0;
	host.called_used_idx = (unsigned short)-1;
	return m;
}

static int serve(void *memory, uint64_t *sum)
{
	unsigned int len;
	void *at;
	int n;

	for (n = 0; n < PEER_BATCH && use_buf(&len, &at); n++)
		*sum += (uintptr_t)at - (uintptr_t)memory + len;
	if (n)
		call_used();
	return n;
}

static void close_ringtest(void *memory)
{
	(void)memory;
}

const struct peer_engine peer_engines[] = {
	{
		.name = "ringtest, virtio_ring_0_9",
		.checks = "nothing at all",
		.max_chain = 1,
		.used_len_off = -1,
		.memory = kernel_memory,
		.open = open_ringtest,
		.serve = serve,
		.close = close_ringtest,
	},
	{.name = NULL},
};

// SPDX-License-Identifier: MIT
/*
 * Linux's vringh, in user space by Linux's own tools/virtio. Twice: for user memory, which looks up
 * and checks every address, and for kernel memory, which believes them.
 */
#include <linux/virtio_config.h>
#include <linux/vringh.h>

#include "peer.h"

/* tools/virtio's allocator, which nothing here uses. */
void *__kmalloc_fake, *__kfree_ignore_start, *__kfree_ignore_end;
void *__user_addr_min, *__user_addr_max;

#define PIECES 8 /* of a chain, in either direction */

struct state {
	struct vringh vrh; /* first */
	uintptr_t memory;
	uint64_t bytes;
	struct vringh_iov in[PEER_BATCH], out[PEER_BATCH];
	struct iovec in_iov[PEER_BATCH][PIECES], out_iov[PEER_BATCH][PIECES];
};

static bool range_of(struct vringh *vrh, u64 addr, struct vringh_range *r)
{
	const struct state *s = (const struct state *)vrh;

	if (addr >= s->bytes)
		return false;
	*r = (struct vringh_range){.start = 0, .end_incl = s->bytes - 1, .offset = s->memory};
	return true;
}

static int user_memory(struct peer_ring *ring)
{
	ring->base = 0;
	return 0;
}

static int kernel_memory(struct peer_ring *ring)
{
	ring->base = (uintptr_t)ring->memory;
	return 0;
}

static struct state *make(const struct peer_ring *ring)
{
	struct state *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->memory = (uintptr_t)ring->memory;
	s->bytes = ring->bytes;
	for (unsigned int i = 0; i < PEER_BATCH; i++) {
		vringh_iov_init(&s->out[i], s->out_iov[i], PIECES);
		vringh_iov_init(&s->in[i], s->in_iov[i], PIECES);
	}
	return s;
}

static void *open_user(const struct peer_ring *ring)
{
	struct state *s = make(ring);
	char *m = ring->memory;

	if (s &&
	    !vringh_init_user(&s->vrh, 1ULL << VIRTIO_F_VERSION_1, ring->size, true,
			      (vring_desc_t *)(m + ring->desc), (vring_avail_t *)(m + ring->avail),
			      (vring_used_t *)(m + ring->used)))
		return s;
	fprintf(stderr, "vringh: cannot be set up\n");
	free(s);
	return NULL;
}

static void *open_kernel(const struct peer_ring *ring)
{
	struct state *s = make(ring);
	char *m = ring->memory;

	if (s && !vringh_init_kern(&s->vrh, 1ULL << VIRTIO_F_VERSION_1, ring->size, true,
				   (struct vring_desc *)(m + ring->desc),
				   (struct vring_avail *)(m + ring->avail),
				   (struct vring_used *)(m + ring->used)))
		return s;
	fprintf(stderr, "vringh: cannot be set up\n");
	free(s);
	return NULL;
}

/* Sums one direction up; returns its bytes. */
static inline u32 take(const struct state *s, const struct vringh_iov *iov, uint64_t *sum)
{
	size_t len = 0;

	for (unsigned int i = 0; i < iov->used; i++) {
		*sum += (uintptr_t)iov->iov[i].iov_base - s->memory + iov->iov[i].iov_len;
		len += iov->iov[i].iov_len;
	}
	return (u32)len;
}

static int serve_user(void *opaque, uint64_t *sum)
{
	struct vring_used_elem used[PEER_BATCH];
	struct state *s = opaque;
	int n, got;
	u16 head;

	for (n = 0; n < PEER_BATCH; n++) {
		got = vringh_getdesc_user(&s->vrh, &s->out[n], &s->in[n], range_of, &head);
		if (got < 0)
			return got;
		if (!got)
			break;
		used[n].id = head;
	}
	for (int i = 0; i < n; i++) {
		take(s, &s->out[i], sum);
		used[i].len = take(s, &s->in[i], sum);
	}
	if (n) {
		vringh_complete_multi_user(&s->vrh, used, (unsigned int)n);
		vringh_need_notify_user(&s->vrh);
	}
	return n;
}

/* For kernel memory there is no call that completes several. */
static int serve_kernel(void *opaque, uint64_t *sum)
{
	struct state *s = opaque;
	u16 head[PEER_BATCH];
	int n, got;

	for (n = 0; n < PEER_BATCH; n++) {
		got = vringh_getdesc_kern(&s->vrh, (struct vringh_kiov *)&s->out[n],
					  (struct vringh_kiov *)&s->in[n], &head[n], GFP_KERNEL);
		if (got < 0)
			return got;
		if (!got)
			break;
	}
	for (int i = 0; i < n; i++) {
		take(s, &s->out[i], sum);
		vringh_complete_kern(&s->vrh, head[i], take(s, &s->in[i], sum));
	}
	if (n)
		vringh_need_notify_kern(&s->vrh);
	return n;
}

const struct peer_engine peer_engines[] = {
	{
		.name = "vringh, user memory",
		.checks = "range of the address, cached within a chain",
		.max_chain = PIECES,
		.memory = user_memory,
		.open = open_user,
		.serve = serve_user,
		.close = free,
	},
	{
		.name = "vringh, kernel memory",
		.checks = "nothing: addresses are pointers",
		.max_chain = PIECES,
		.memory = kernel_memory,
		.open = open_kernel,
		.serve = serve_kernel,
		.close = free,
	},
	{.name = NULL},
};

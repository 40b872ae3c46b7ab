// SPDX-License-Identifier: MIT
/*
 * Our engine, through <vgrant/virtqueue.h>. Linked twice: over the memory view that vgrantd has,
 * with a fake of grants below it, and over the plain one of the insecure baseline.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/virtqueue.h>

#include "peer.h"

#ifdef PEER_PLAIN
#define NAME   "vgrant, plain memory"
#define CHECKS "bounds of the guest's memory"
#else
#include "fake/fake_xen.h"
#define NAME   "vgrant, granted regions"
#define CHECKS "bounds and permission of the region"
#endif

struct state {
	struct vg_view *view;
	struct vg_virtqueue *vq;
	uintptr_t memory;
	char packet[PEER_BATCH][PEER_PAYLOAD];
};

#ifdef PEER_PLAIN
int peer_plain_memory(void *memory, size_t bytes);

static int memory_of(struct peer_ring *ring)
{
	ring->base = 0;
	return 0;
}
#else
/* Each ring has a part of the fake guest of its own. */
static int memory_of(struct peer_ring *ring)
{
	static uint32_t next;
	uint32_t pages = (uint32_t)(ring->bytes >> VG_PAGE_SHIFT);

	if (!next)
		fake_xen_reset();
	if (pages > FAKE_REFS - next)
		return -1;
	ring->memory = fake_grant(next, pages, true);
	ring->base = vg_addr_make(next, 0);
	next += pages;
	return 0;
}
#endif

static void close_engine(void *opaque)
{
	struct state *s = opaque;

	vg_vq_destroy(s->vq);
	vg_view_destroy(s->view);
	free(s);
}

#ifdef PEER_PLAIN
static int add_memory(struct state *s, const struct peer_ring *ring)
{
	int err = peer_plain_memory(ring->memory, ring->bytes);

	s->memory = (uintptr_t)ring->memory;
	return err ? err : vg_view_create(&(struct vg_view_config){0}, &s->view);
}
#else
static struct vg_quota quota = {.max_pages = FAKE_REFS};

/* The device's mapping lies elsewhere than the driver's. */
static int add_memory(struct state *s, const struct peer_ring *ring)
{
	const struct vg_view_config config = {
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.max_refs = FAKE_REFS,
		.max_requests = PEER_RING,
	};
	uint32_t first = (uint32_t)(ring->base >> VG_PAGE_SHIFT) & (FAKE_REFS - 1);
	struct vg_pin pin;
	int err = vg_view_create(&config, &s->view);

	if (!err)
		err = vg_view_region_add(s->view, first, (uint32_t)(ring->bytes >> VG_PAGE_SHIFT),
					 true);
	if (!err)
		err = vg_view_pin(s->view, ring->base, 1, true, &pin);
	if (err)
		return err;
	s->memory = (uintptr_t)pin.ptr;
	vg_view_unpin(s->view, &pin);
	return 0;
}
#endif

static void *open_engine(const struct peer_ring *ring)
{
	struct state *s = calloc(1, sizeof(*s));
	struct vg_vq_config vq = {
		.size = ring->size,
		.desc_addr = ring->base + ring->desc,
		.driver_addr = ring->base + ring->avail,
		.device_addr = ring->base + ring->used,
	};
	int err = -1;

	if (s)
		err = add_memory(s, ring);
	if (!err) {
		vq.view = s->view;
		err = vg_vq_create(&vq, &s->vq);
	}
	if (!err)
		return s;
	fprintf(stderr, "%s: cannot be set up: %s\n", NAME, strerror(-err));
	if (s)
		close_engine(s);
	return NULL;
}

static int serve(void *opaque, uint64_t *sum)
{
	struct vg_element *elem[PEER_BATCH];
	struct state *s = opaque;
	int n = vg_vq_pop(s->vq, elem, PEER_BATCH);

	for (int i = 0; i < n; i++) {
		const struct vg_request *req = &elem[i]->req;
		unsigned int iovs = req->out_iovs + req->in_iovs;

		for (unsigned int k = 0; k < iovs; k++)
			*sum += (uintptr_t)req->iov[k].base - s->memory + req->iov[k].len;
		vg_vq_complete(s->vq, elem[i], req->in_len);
	}
	if (n > 0)
		vg_vq_flush(s->vq);
	return n;
}

static int copy_out(void *opaque, uint64_t *sum)
{
	struct vg_element *elem[PEER_BATCH];
	struct state *s = opaque;
	int n = vg_vq_pop(s->vq, elem, PEER_BATCH);

	for (int i = 0; i < n; i++) {
		*sum += vg_request_read(&elem[i]->req, PEER_HEADER, s->packet[i], PEER_PAYLOAD);
		vg_vq_complete(s->vq, elem[i], 0);
	}
	if (n > 0)
		vg_vq_flush(s->vq);
	return n;
}

static int copy_in(void *opaque, uint64_t *sum)
{
	static const char header[PEER_HEADER];
	struct vg_element *elem[PEER_BATCH];
	struct state *s = opaque;
	int n = vg_vq_pop(s->vq, elem, PEER_BATCH);

	for (int i = 0; i < n; i++) {
		struct vg_request *req = &elem[i]->req;

		vg_request_write(req, 0, header, PEER_HEADER);
		*sum += vg_request_write(req, PEER_HEADER, s->packet[i], PEER_PAYLOAD);
		vg_vq_complete(s->vq, elem[i], PEER_HEADER + PEER_PAYLOAD);
	}
	if (n > 0)
		vg_vq_flush(s->vq);
	return n;
}

const struct peer_engine peer_engines[] = {
	{
		.name = NAME,
		.checks = CHECKS,
		.work = PEER_POP_PUSH,
		.max_chain = PEER_RING,
		.memory = memory_of,
		.open = open_engine,
		.serve = serve,
		.close = close_engine,
	},
	{
		.name = NAME ", copying out",
		.checks = CHECKS,
		.work = PEER_COPY_OUT,
		.max_chain = PEER_RING,
		.memory = memory_of,
		.open = open_engine,
		.serve = copy_out,
		.close = close_engine,
	},
	{
		.name = NAME ", copying in",
		.checks = CHECKS,
		.work = PEER_COPY_IN,
		.max_chain = PEER_RING,
		.memory = memory_of,
		.open = open_engine,
		.serve = copy_in,
		.close = close_engine,
	},
	{.name = NULL},
};

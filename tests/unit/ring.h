/* SPDX-License-Identifier: MIT */
/*
 * A split ring as a driver lays it out, over fake guest memory, for tests of the device side. It
 * writes what it is told to, right or wrong.
 */
#ifndef VGRANT_TEST_RING_H
#define VGRANT_TEST_RING_H

#include <stdint.h>

#include "fake/fake_xen.h"
#include <vgrant/virtqueue.h>

#define RING_SIZE  16
#define RING_REF   100 /* the pages of the rings: one each */
#define DATA_REF   200 /* and of buffers */
#define DATA_PAGES 64

#define D_NEXT     1
#define D_WRITE    2
#define D_INDIRECT 4

struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct ring {
	struct ring_desc *desc;
	struct {
		uint16_t flags, idx, ring[RING_SIZE], used_event;
	} * avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[RING_SIZE];
		uint16_t avail_event;
	} * used;
	char *data;
};

static inline void ring_init(struct ring *r)
{
	r->desc = fake_grant(RING_REF, 1, false);
	r->avail = fake_grant(RING_REF + 1, 1, false);
	r->used = fake_grant(RING_REF + 2, 1, true);
	r->data = fake_grant(DATA_REF, DATA_PAGES, true);
}

static inline struct vg_vq_config ring_config(struct vg_view *view)
{
	return (struct vg_vq_config){
		.view = view,
		.size = RING_SIZE,
		.desc_addr = vg_addr_make(RING_REF, 0),
		.driver_addr = vg_addr_make(RING_REF + 1, 0),
		.device_addr = vg_addr_make(RING_REF + 2, 0),
		.indirect = true,
	};
}

static inline void ring_desc(struct ring *r, unsigned int i, uint64_t addr, uint32_t len,
			     uint16_t flags, uint16_t next)
{
	r->desc[i] = (struct ring_desc){.addr = addr, .len = len, .flags = flags, .next = next};
}

/* Buffer @page of the data pages. */
static inline uint64_t ring_buf(unsigned int page)
{
	return vg_addr_make(DATA_REF + page, 0);
}

static inline void ring_offer(struct ring *r, uint16_t head)
{
	r->avail->ring[r->avail->idx % RING_SIZE] = head;
	__atomic_store_n(&r->avail->idx, (uint16_t)(r->avail->idx + 1), __ATOMIC_RELEASE);
}

#endif

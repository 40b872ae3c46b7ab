// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/guest.h>

#include "ring.h"

#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY     1

/* virtio 1.3, 2.7.10: has the index passed @event on its way from @old to @new? */
static bool need_event(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

static uint16_t *used_event(struct vgg_ring *ring)
{
	return &ring->avail->ring[ring->size];
}

static uint16_t *avail_event(struct vgg_ring *ring)
{
	return (uint16_t *)(void *)&ring->used->ring[ring->size];
}

int vgg_ring_init(struct vgg_ring *ring, uint16_t size, void *desc, void *avail, void *used,
		  bool event_idx)
{
	if (size < 2 || size > VGG_RING_MAX || (size & (size - 1)))
		return -EINVAL;
	*ring = (struct vgg_ring){
		.size = size,
		.event_idx = event_idx,
		.desc = desc,
		.avail = avail,
		.used = used,
		.num_free = size,
	};
	ring->state = calloc(size, sizeof(*ring->state));
	if (!ring->state)
		return -ENOMEM;
	for (uint16_t i = 0; i < size; i++)
		ring->state[i].next = i + 1;
	memset(desc, 0, VGG_DESC_BYTES(size));
	memset(avail, 0, VGG_AVAIL_BYTES(size));
	memset(used, 0, VGG_USED_BYTES(size));
	return 0;
}

void vgg_ring_fini(struct vgg_ring *ring)
{
	free(ring->state);
	*ring = (struct vgg_ring){0};
}

static void fill(struct vgg_desc *desc, const struct vgg_seg *seg, uint16_t flags, uint16_t next)
{
	desc->addr = htole64(seg->addr);
	desc->len = htole32(seg->len);
	desc->flags = htole16(flags);
	desc->next = htole16(next);
}

int vgg_ring_add(struct vgg_ring *ring, const struct vgg_seg *segs, unsigned int out,
		 unsigned int in, const struct vgg_indirect *indirect, void *cookie)
{
	unsigned int total = out + in;
	uint16_t head = ring->free_head, at = head;

	if (!total || !cookie)
		return -EINVAL;
	if ((indirect ? 1 : total) > ring->num_free)
		return -ENOSPC;

	if (indirect) {
		struct vgg_seg table = {indirect->addr, total * (uint32_t)sizeof(struct vgg_desc)};

		for (unsigned int i = 0; i < total; i++)
			fill(&indirect->table[i], &segs[i],
			     (i < out ? 0 : VGG_DESC_F_WRITE) |
				     (i + 1 < total ? VGG_DESC_F_NEXT : 0),
			     i + 1 < total ? i + 1 : 0);
		fill(&ring->desc[head], &table, VGG_DESC_F_INDIRECT, 0);
		ring->free_head = ring->state[head].next;
		ring->num_free--;
		ring->state[head].count = 1;
	} else {
		for (unsigned int i = 0; i < total; i++) {
			bool last = i + 1 == total;
			uint16_t next = ring->state[at].next;

			fill(&ring->desc[at], &segs[i],
			     (i < out ? 0 : VGG_DESC_F_WRITE) | (last ? 0 : VGG_DESC_F_NEXT),
			     last ? 0 : next);
			if (last)
				ring->free_head = next;
			else
				at = next;
		}
		ring->num_free -= total;
		ring->state[head].count = total;
	}
	ring->state[head].cookie = cookie;
	vg_guest_store16(&ring->avail->ring[ring->avail_idx & (ring->size - 1)], head);
	ring->avail_idx++;
	return head;
}

bool vgg_ring_publish(struct vgg_ring *ring)
{
	uint16_t old = ring->published;

	if (old == ring->avail_idx)
		return false;
	vg_guest_store16_release(&ring->avail->idx, ring->avail_idx);
	ring->published = ring->avail_idx;
	/* Between our index and the device's wish: see vg_full_barrier(). */
	vg_full_barrier();
	if (ring->event_idx)
		return need_event(vg_guest_load16(avail_event(ring)), ring->avail_idx, old);
	return !(vg_guest_load16(&ring->used->flags) & USED_F_NO_NOTIFY);
}

int vgg_ring_get(struct vgg_ring *ring, void **cookie, uint32_t *len)
{
	const struct vgg_used_elem *elem;
	uint32_t id;
	uint16_t last;

	if (ring->last_used == vg_guest_load16_acquire(&ring->used->idx))
		return 0;
	elem = &ring->used->ring[ring->last_used & (ring->size - 1)];
	id = vg_guest_load32(&elem->id);
	if (id >= ring->size || !ring->state[id].cookie)
		return -EPROTO;
	*len = vg_guest_load32(&elem->len);
	*cookie = ring->state[id].cookie;

	ring->state[id].cookie = NULL;
	last = (uint16_t)id;
	for (uint16_t i = 1; i < ring->state[id].count; i++)
		last = ring->state[last].next;
	ring->state[last].next = ring->free_head;
	ring->free_head = (uint16_t)id;
	ring->num_free += ring->state[id].count;
	ring->last_used++;
	return 1;
}

bool vgg_ring_enable_interrupts(struct vgg_ring *ring, uint16_t after)
{
	uint16_t idx;

	if (!ring->event_idx || !after)
		after = 1;
	if (ring->event_idx)
		vg_guest_store16(used_event(ring), (uint16_t)(ring->last_used + after - 1));
	else
		vg_guest_store16(&ring->avail->flags, 0);
	/* Between our wish and the device's index. */
	vg_full_barrier();
	idx = vg_guest_load16_acquire(&ring->used->idx);
	return (uint16_t)(idx - ring->last_used) >= after;
}

void vgg_ring_disable_interrupts(struct vgg_ring *ring)
{
	if (ring->event_idx)
		/* As far away as an index can be: not reached before interrupts are asked for. */
		vg_guest_store16(used_event(ring), (uint16_t)(ring->last_used - 1));
	else
		vg_guest_store16(&ring->avail->flags, AVAIL_F_NO_INTERRUPT);
}

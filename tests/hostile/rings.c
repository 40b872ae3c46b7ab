// SPDX-License-Identifier: MIT
/* What a driver finds in its rings: NEXT where it never was, elements that it never made available.
 */
#include <endian.h>
#include <stdlib.h>

#include "virtqueue/split.h"

#include "hostile.h"

HOSTILE_WRAP(bool, vg_vq_flush, struct vg_virtqueue *vq);
HOSTILE_WRAP(void, vg_vq_complete, struct vg_virtqueue *vq, struct vg_element *elem,
	     uint32_t written);

/* ---- next ---- */

static void set_next(struct split_desc *d)
{
	uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_RELAXED);

	__atomic_store_n(&d->flags, flags | htole16(DESC_F_NEXT), __ATOMIC_RELAXED);
	hostile_count(&hostile_counters.next, 1);
}

static void set_next_in_table(const struct split_desc *ind)
{
	uint32_t len = le32toh(ind->len);
	struct split_desc *table = hostile_reach(le64toh(ind->addr), len);

	for (uint32_t i = 0; table && i < len / sizeof(*table); i++)
		set_next(&table[i]);
}

/* The chain is the device's until its head is in the used ring: it is as the driver made it. */
static void set_next_in_chain(struct vg_virtqueue *vq, uint16_t head)
{
	struct split_desc *desc = VG_GUEST_RAW(struct split_desc, vq->desc);
	uint16_t i = head;

	if (!hostile_writable(desc, vq->size * sizeof(*desc)))
		return;
	for (unsigned int steps = 0; i < vq->size && steps < vq->size; steps++) {
		uint16_t flags = le16toh(desc[i].flags);
		uint16_t next = le16toh(desc[i].next);

		if (flags & DESC_F_INDIRECT)
			set_next_in_table(&desc[i]);
		set_next(&desc[i]);
		if (!(flags & DESC_F_NEXT))
			break;
		i = next;
	}
}

/* ---- wild-used ---- */

static uint32_t wild_id(const struct vg_virtqueue *vq, uint32_t id, uint64_t n)
{
	switch (n % 4) {
	case 0:
		return id | 0x10000; /* right in its lower half */
	case 1:
		return vq->size;
	case 2:
		return (id + 1) % vq->size; /* perhaps in flight, perhaps not */
	default:
		return UINT32_MAX;
	}
}

static uint32_t wild_len(uint32_t len, uint64_t n)
{
	switch (n % 4) {
	case 0:
		return UINT32_MAX;
	case 1:
		return len + 1;
	case 2:
		return 0;
	default:
		return 0x80000000;
	}
}

/* vgrantd publishes in a ring of ours, and the driver gets what is made of that. */
static bool flush_wild(struct vg_virtqueue *vq)
{
	static uint64_t completed, wild;
	struct split_used VG_GUEST *real = vq->used;
	struct split_used *ours =
		calloc(1, sizeof(*ours) + vq->size * sizeof(struct split_used_elem) + 2);
	uint16_t from = vq->used_idx;

	if (!ours)
		return __real_vg_vq_flush(vq);
	vq->used = (struct split_used VG_GUEST *)(uintptr_t)ours;
	__real_vg_vq_flush(vq);
	vq->used = real;
	for (uint16_t i = from; i != vq->used_idx; i++) {
		unsigned int slot = i & (vq->size - 1);
		struct split_used_elem elem = ours->ring[slot];
		uint32_t id = le32toh(elem.id), len = le32toh(elem.len);
		bool now = completed++ >= hostile.after;

		if (now) {
			id = hostile.wild_id ? wild_id(vq, id, wild) : id;
			len = hostile.wild_len ? wild_len(len, wild) : len;
			wild++;
			hostile_count(&hostile_counters.wild, 1);
		}
		vg_guest_store32(&real->ring[slot].id, id);
		vg_guest_store32(&real->ring[slot].len, len);
	}
	free(ours);
	vg_guest_store16_release(&real->idx, vq->used_idx);
	/* Whether the driver wants it was asked too early. */
	return from != vq->used_idx;
}

bool __wrap_vg_vq_flush(struct vg_virtqueue *vq)
{
	for (unsigned int i = 0; i < vq->num_done && hostile.next; i++)
		set_next_in_chain(vq, vq->done[i]->head);
	if (hostile.wild_id || hostile.wild_len)
		return flush_wild(vq);
	return __real_vg_vq_flush(vq);
}

void __wrap_vg_vq_complete(struct vg_virtqueue *vq, struct vg_element *elem, uint32_t written)
{
	if (hostile.mute == MUTE_IO)
		hostile_count(&hostile_counters.unanswered, 1);
	else
		__real_vg_vq_complete(vq, elem, written);
}

// SPDX-License-Identifier: MIT
/*
 * Split virtqueue, device side: the hot path (virtio 1.3, section 2.7). Set-up is in setup.c.
 *
 * Every value read here may be a lie and may change a moment later. Each is loaded once into a
 * local, checked, and only the local is used.
 */
#include <errno.h>

#include "virtqueue/split.h"

/* Only the driver's lie leads here: the queue stops for good, and the device asks for a reset. */
static __attribute__((cold)) int broken(struct vg_virtqueue *vq, const char *reason)
{
	vq->broken = reason;
	return -EPROTO;
}

/* One descriptor in private memory, in the host's byte order. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static inline struct desc to_host(const struct split_desc *d)
{
	return (struct desc){
		.addr = le64toh(d->addr),
		.len = le32toh(d->len),
		.flags = le16toh(d->flags),
		.next = le16toh(d->next),
	};
}

static inline struct desc fetch_desc(const struct vg_virtqueue *vq, uint32_t index)
{
	struct split_desc d;

	vg_guest_copy_from(&d, vq->desc + index, sizeof(d));
	return to_host(&d);
}

/* Of parse_chain(), as vg_view_read_queue() says it: the chain's table is still to be fetched. */
#define TABLE_WAITS 1

/* Appends one buffer; readable ones must all come before writable ones (2.7.4.2). */
static inline int add_segment(struct vg_virtqueue *vq, struct vg_request *req, const struct desc *d)
{
	unsigned int n = req->out_segments + req->in_segments;

	if (n == VG_REQUEST_SEGMENTS)
		return broken(vq, "a chain is longer than this device takes");
	if (d->flags & DESC_F_WRITE)
		req->in_segments++;
	else if (!req->in_segments)
		req->out_segments++;
	else
		return broken(vq, "a device-readable descriptor follows a device-writable one");
	req->segment[n] = (struct vg_segment){.addr = d->addr, .len = d->len};
	return 0;
}

/* Walks the private copy of an indirect table. */
static int parse_table(struct vg_virtqueue *vq, struct vg_element *elem,
		       const struct split_desc *table)
{
	uint32_t i = 0, steps = 0;
	int ret;

	for (;;) {
		struct desc d = to_host(&table[i]);

		if (d.flags & DESC_F_INDIRECT)
			return broken(vq, "an indirect table inside an indirect table");
		ret = add_segment(vq, &elem->req, &d);
		if (ret || !(d.flags & DESC_F_NEXT))
			return ret;
		if (d.next >= elem->table)
			return broken(vq, "a descriptor's next is past its indirect table");
		if (++steps == elem->table)
			return broken(vq, "a loop in an indirect table");
		i = d.next;
	}
}

/*
 * An indirect table (2.7.5.3) is ordinary guest memory: it is copied out through the view, then
 * walked in the copy. TABLE_WAITS: the copy is still to be made, see parse_tables(). Other errors
 * than -EPROTO: the table cannot be reached.
 */
static int parse_indirect(struct vg_virtqueue *vq, struct vg_element *elem, const struct desc *ind)
{
	struct split_desc *table = vq->table[vq->waiting];
	uint32_t count = ind->len / sizeof(struct split_desc);
	int ret;

	if (!vq->indirect)
		return broken(vq, "an indirect table, which was not negotiated");
	if (ind->flags & (DESC_F_NEXT | DESC_F_WRITE))
		return broken(vq, "an indirect descriptor with NEXT or WRITE set");
	if (!count || ind->len % sizeof(struct split_desc) || count > VG_REQUEST_SEGMENTS)
		return broken(vq, "an indirect table of a wrong length");
	elem->table = (uint16_t)count;
	ret = vg_view_read_queue(vq->view, &elem->req, ind->addr, table, ind->len);
	if (ret == TABLE_WAITS)
		vq->waiting++;
	return ret ? ret : parse_table(vq, elem, table);
}

/* Walks the chain that begins at @head. -EPROTO: the ring is corrupt; others: see parse_indirect().
 * In line: it is the better part of a pop, and has a second, cold caller.
 */
static inline __attribute__((always_inline)) int parse_chain(struct vg_virtqueue *vq,
							     struct vg_element *elem, uint16_t head)
{
	struct vg_request *req = &elem->req;
	uint32_t i = head, steps = 0;

	req->out_segments = req->in_segments = 0;
	for (;;) {
		struct desc d = fetch_desc(vq, i);
		int ret;

		if (d.flags & DESC_F_INDIRECT) {
			if (steps)
				return broken(vq, "an indirect descriptor inside a chain");
			return parse_indirect(vq, elem, &d);
		}
		ret = add_segment(vq, req, &d);
		if (ret || !(d.flags & DESC_F_NEXT))
			return ret;
		if (d.next >= vq->size)
			return broken(vq, "a descriptor's next is past the ring");
		if (++steps == vq->size)
			return broken(vq, "a loop in a descriptor chain");
		i = d.next;
	}
}

/* Fetches the tables that lie in no region, all at once. Returns how many elements are not behind a
 * corrupt one. */
static __attribute__((noinline)) unsigned int
parse_tables(struct vg_virtqueue *vq, struct vg_element **elems, unsigned int n)
{
	const struct split_desc(*table)[VG_REQUEST_SEGMENTS] = vq->table;
	unsigned int i;

	vq->waiting = 0;
	vg_view_read_flush(vq->view);
	for (i = 0; i < n; i++) {
		struct vg_element *elem = elems[i];

		if (elem->chain_error != TABLE_WAITS)
			continue;
		elem->chain_error = elem->req.error;
		if (!elem->chain_error)
			elem->chain_error = parse_table(vq, elem, *table);
		table++;
		if (elem->chain_error == -EPROTO)
			break;
	}
	return i;
}

/* Entries of the available ring that may be taken now, or -EPROTO. One fetch of the index. */
static inline int available(struct vg_virtqueue *vq)
{
	uint16_t n = (uint16_t)(vg_guest_load16_acquire(&vq->avail->idx) - vq->last_avail);

	if (n > vq->size)
		return broken(vq, "the available index jumps by more than the ring's size");
	return n;
}

/* Opens the memory of @n elements, at least one. Returns how many can be served now. */
static unsigned int open_elements(struct vg_virtqueue *vq, struct vg_element **elems,
				  unsigned int n)
{
	static const uint32_t nothing[VQ_BATCH];
	struct vg_request *req[VQ_BATCH];
	unsigned int good = 0;

	do
		req[good] = &elems[good]->req;
	while (++good < n);
	vg_view_open(vq->view, req, n);
	for (good = 0; good < n; good++) {
		if (__builtin_expect(elems[good]->chain_error, 0))
			req[good]->error = elems[good]->chain_error;
		if (__builtin_expect(req[good]->error == -EAGAIN, 0)) {
			/* It and those behind it stay in the ring until something has closed. */
			vg_view_close(vq->view, req + good, nothing, n - good);
			vq->throttled = true;
			break;
		}
	}
	return good;
}

/* From here on the elements are in flight, also for a later process. */
static __attribute__((noinline)) void log_taken(struct vg_virtqueue *vq,
						struct vg_element *const *elems, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		vq_log_inflight(vq->log, elems[i]->head, 1);
}

/* What was in flight when an earlier process ended, by the same rules as what is available now. */
static __attribute__((cold)) int pop_redo(struct vg_virtqueue *vq, struct vg_element **elems)
{
	struct vg_element *elem = vq->free_elem[vq->num_free - 1];
	uint16_t head = vq->redo[vq->num_redo - 1];
	int ret = parse_chain(vq, elem, head);

	if (ret == -EPROTO)
		return ret;
	if (ret == -EAGAIN) {
		vq->throttled = true;
		return 0;
	}
	elem->chain_error = ret;
	elem->on_error = -1;
	elem->head = head;
	elems[0] = elem;
	if (vq->waiting && !parse_tables(vq, elems, 1))
		return -EPROTO;
	if (!open_elements(vq, elems, 1))
		return 0;
	vq->num_redo--;
	vq->num_free--;
	return 1;
}

int vg_vq_pop(struct vg_virtqueue *vq, struct vg_element **elems, unsigned int max)
{
	unsigned int n = 0;
	int avail, ret;

	if (__builtin_expect(vq->broken != NULL, 0))
		return -EPROTO;
	if (max > vq->num_free)
		max = vq->num_free;
	if (max > VQ_BATCH)
		max = VQ_BATCH;
	if (!max)
		return 0;
	if (__builtin_expect(vq->num_redo, 0))
		return pop_redo(vq, elems);
	avail = available(vq);
	if (avail <= 0)
		return avail;
	if (max > (unsigned int)avail)
		max = (unsigned int)avail;

	while (n < max) {
		struct vg_element *elem = vq->free_elem[vq->num_free - 1 - n];
		uint16_t at = (uint16_t)(vq->last_avail + n) & (vq->size - 1);
		uint16_t head = vg_guest_load16(&vq->avail->ring[at]);

		if (head >= vq->size) {
			broken(vq, "the available ring names a descriptor past the ring");
			break;
		}
		ret = parse_chain(vq, elem, head);
		if (ret == -EPROTO)
			break;
		if (ret == -EAGAIN) {
			vq->throttled = true;
			break;
		}
		elem->chain_error = ret;
		elem->on_error = -1;
		elem->head = head;
		elems[n++] = elem;
	}
	if (__builtin_expect(vq->waiting, 0))
		n = parse_tables(vq, elems, n);
	/* What came before the corruption is honest work, and is done. */
	if (!n)
		return vq->broken ? -EPROTO : 0;
	n = open_elements(vq, elems, n);
	if (vq->log)
		log_taken(vq, elems, n);
	vq->last_avail = (uint16_t)(vq->last_avail + n);
	vq->num_free = (uint16_t)(vq->num_free - n);
	return (int)n;
}

void vg_vq_complete(struct vg_virtqueue *vq, struct vg_element *elem, uint32_t written)
{
	elem->written = written < elem->req.in_len ? written : elem->req.in_len;
	vq->done[vq->num_done++] = elem;
}

/* 2.7.10: with EVENT_IDX the driver names the index at which it wants to be told. */
static inline bool wants_notify(struct vg_virtqueue *vq, uint16_t from, uint16_t to)
{
	/* Our index must be visible before the driver's wish is read, or both may sleep. */
	vg_full_barrier();
	if (vq->event_idx) {
		uint16_t event = vg_guest_load16(&vq->avail->ring[vq->size]);

		return (uint16_t)(to - event - 1) < (uint16_t)(to - from);
	}
	return !(vg_guest_load16(&vq->avail->flags) & AVAIL_F_NO_INTERRUPT);
}

/* The last device-writable byte says that the rest is not to be trusted, if it can be written at
 * all. */
static __attribute__((cold)) void write_on_error(struct vg_virtqueue *vq,
						 const struct vg_element *elem)
{
	const struct vg_request *req = &elem->req;
	unsigned int segments = req->out_segments + req->in_segments;
	uint8_t byte = (uint8_t)elem->on_error;
	const struct vg_segment *last;

	if (elem->on_error < 0 || !req->in_segments)
		return;
	last = &req->segment[segments - 1];
	if (last->len)
		vg_view_write(vq->view, last->addr + last->len - 1, &byte, 1);
}

/* What the driver can see of these completions it can see now. */
static __attribute__((noinline)) void log_used(struct vg_virtqueue *vq, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		vq_log_inflight(vq->log, vq->done[i]->head, 0);
	__atomic_store_n(&vq->log->used, vq->used_idx, __ATOMIC_RELEASE);
}

void vg_vq_abandon(struct vg_virtqueue *vq)
{
	vq->abandoned = true;
}

/* Lets go of completions that nobody waits for. */
static __attribute__((cold)) void drop_done(struct vg_virtqueue *vq)
{
	static const uint32_t nothing;

	for (unsigned int i = 0; i < vq->num_done; i++) {
		struct vg_request *req = &vq->done[i]->req;

		vg_view_close(vq->view, &req, &nothing, 1);
		vq->free_elem[vq->num_free++] = vq->done[i];
	}
	vq->num_done = 0;
	vq->throttled = false;
}

bool vg_vq_flush(struct vg_virtqueue *vq)
{
	struct vg_request *req[VQ_BATCH];
	uint32_t written[VQ_BATCH];
	uint16_t from = vq->used_idx;
	unsigned int n = vq->num_done;

	if (!n)
		return false;
	if (__builtin_expect(vq->abandoned, 0)) {
		drop_done(vq);
		return false;
	}
	for (unsigned int first = 0; first < n; first += VQ_BATCH) {
		unsigned int part = n - first < VQ_BATCH ? n - first : VQ_BATCH;

		for (unsigned int i = 0; i < part; i++) {
			req[i] = &vq->done[first + i]->req;
			written[i] = vq->done[first + i]->written;
		}
		vg_view_close(vq->view, req, written, part);
	}
	for (unsigned int i = 0; i < n; i++) {
		struct vg_element *elem = vq->done[i];
		struct split_used_elem VG_GUEST *used =
			&vq->used->ring[vq->used_idx & (vq->size - 1)];

		if (__builtin_expect(elem->req.error, 0))
			write_on_error(vq, elem);
		vg_guest_store32(&used->id, elem->head);
		/* What did not arrive whole was not written. */
		vg_guest_store32(&used->len, elem->req.error ? 0 : elem->written);
		vq->used_idx++;
		vq->free_elem[vq->num_free++] = elem;
	}
	vg_guest_store16_release(&vq->used->idx, vq->used_idx);
	if (vq->log)
		log_used(vq, n);
	vq->num_done = 0;
	vq->throttled = false;
	return wants_notify(vq, from, vq->used_idx);
}

void vg_vq_disable_notify(struct vg_virtqueue *vq)
{
	/* With EVENT_IDX the driver is silent until avail_event, which stays behind by itself. */
	if (!vq->event_idx)
		vg_guest_store16(&vq->used->flags, USED_F_NO_NOTIFY);
}

bool vg_vq_enable_notify(struct vg_virtqueue *vq)
{
	if (vq->broken)
		return false;
	if (vq->event_idx)
		vg_guest_store16(AVAIL_EVENT(vq), vq->last_avail);
	else
		vg_guest_store16(&vq->used->flags, 0);
	/* Our wish must be visible before the index is read for the last time, or both may sleep.
	 */
	vg_full_barrier();
	return vg_vq_has_work(vq);
}

bool vg_vq_has_work(const struct vg_virtqueue *vq)
{
	/* Throttled by other queues' requests alone, it must try again: no flush of its own will
	 * come. */
	bool stuck = vq->throttled && vq->num_free < vq->num_elems;

	return !vq->broken && !stuck && vq->num_free &&
	       (vq->num_redo || vg_guest_load16_acquire(&vq->avail->idx) != vq->last_avail);
}

unsigned int vg_vq_inflight(const struct vg_virtqueue *vq)
{
	return vq->num_elems - vq->num_free;
}

// SPDX-License-Identifier: MIT
/* The device side of a split virtqueue, against honest and lying drivers. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"

static struct ring r;
static struct vg_quota quota;
static struct vg_view *view;
static struct vg_virtqueue *vq;
static struct vg_element *e[64];

static void make(struct vg_vq_config config)
{
	vg_vq_destroy(vq);
	vq = NULL;
	ck_assert_int_eq(vg_vq_create(&config, &vq), 0);
}

static void setup(void)
{
	struct vg_view_config config = {
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.policy = {.copy_max = 8192, .map_max = 1 << 20},
		.max_refs = FAKE_REFS,
		.max_requests = 64,
	};

	fake_xen_reset();
	quota = (struct vg_quota){.max_pages = 1024};
	ck_assert_int_eq(vg_view_create(&config, &view), 0);
	ring_init(&r);
	make(ring_config(view));
}

static void teardown(void)
{
	vg_vq_destroy(vq);
	vq = NULL;
	ck_assert_uint_eq(vg_view_open_requests(view), 0);
	vg_view_destroy(view);
	ck_assert_uint_eq(quota.pages, 0);
	ck_assert(fake_xen_clean());
}

/* Everything popped is completed with @written and flushed. */
static bool finish(int n, uint32_t written)
{
	for (int i = 0; i < n; i++)
		vg_vq_complete(vq, e[i], written);
	return vg_vq_flush(vq);
}

START_TEST(a_chain_there_and_back)
{
	char buf[8] = {0};

	strcpy(r.data, "header");
	ring_desc(&r, 3, ring_buf(0), 7, D_NEXT, 5);
	ring_desc(&r, 5, ring_buf(1), 512, D_NEXT | D_WRITE, 4);
	ring_desc(&r, 4, ring_buf(2), 1, D_WRITE, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 0);
	ring_offer(&r, 3);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	ck_assert_int_eq(e[0]->req.error, 0);
	ck_assert_uint_eq(e[0]->req.out_len, 7);
	ck_assert_uint_eq(e[0]->req.in_len, 513);
	vg_request_read(&e[0]->req, 0, buf, 8);
	ck_assert_str_eq(buf, "header");
	vg_request_write(&e[0]->req, 510, "abc", 3);
	vg_vq_complete(vq, e[0], 513);
	ck_assert_uint_eq(r.used->idx, 0); /* not visible before the flush */
	ck_assert_uint_eq(vg_vq_inflight(vq), 1);
	ck_assert(vg_vq_flush(vq));
	ck_assert_uint_eq(vg_vq_inflight(vq), 0);
	ck_assert_uint_eq(r.used->idx, 1);
	ck_assert_uint_eq(r.used->ring[0].id, 3);
	ck_assert_uint_eq(r.used->ring[0].len, 513);
	ck_assert_mem_eq(r.data + 4096 + 510, "ab", 2);
	ck_assert_int_eq(r.data[8192], 'c');
	ck_assert(!vg_vq_flush(vq));
}
END_TEST

START_TEST(indices_wrap_at_64k)
{
	ring_desc(&r, 0, ring_buf(0), 16, D_WRITE, 0);
	for (unsigned int i = 0; i < 70000; i++) {
		ring_offer(&r, 0);
		ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
		finish(1, 0);
	}
	ck_assert_uint_eq(r.used->idx, 70000 % 65536);
}
END_TEST

START_TEST(written_is_clamped)
{
	ring_desc(&r, 0, ring_buf(0), 16, D_WRITE, 0);
	ring_offer(&r, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	finish(1, 4096);
	ck_assert_uint_eq(r.used->ring[0].len, 16);
}
END_TEST

START_TEST(indirect_tables)
{
	/* The table straddles two pages: entries 0 and 1 before the border, 2 after it. */
	struct ring_desc *t = (struct ring_desc *)(void *)(r.data + 4096 - 32);

	t[0] = (struct ring_desc){ring_buf(4), 16, D_NEXT, 2};
	t[2] = (struct ring_desc){ring_buf(5), 100, D_NEXT | D_WRITE, 1};
	t[1] = (struct ring_desc){ring_buf(6), 1, D_WRITE, 77};
	for (int round = 0; round < 2; round++) {
		if (round)
			ck_assert_int_eq(vg_view_region_add(view, DATA_REF, 16, true), 0);
		ring_desc(&r, 1, vg_addr_make(DATA_REF, 4096 - 32), 48, D_INDIRECT, 0);
		ring_offer(&r, 1);
		ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
		ck_assert_int_eq(e[0]->req.error, 0);
		ck_assert_uint_eq(e[0]->req.out_len, 16);
		ck_assert_uint_eq(e[0]->req.in_len, 101);
		finish(1, 0);
	}
}
END_TEST

START_TEST(indirect_table_out_of_reach_is_one_requests_error)
{
	ring_desc(&r, 0, vg_addr_make(900, 0), 32, D_INDIRECT, 0);
	ring_desc(&r, 1, ring_buf(0), 16, D_WRITE, 0);
	ring_offer(&r, 0);
	ring_offer(&r, 1);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 2);
	ck_assert_int_eq(e[0]->req.error, -EFAULT);
	ck_assert_int_eq(e[1]->req.error, 0);
	finish(2, 16);
	ck_assert_uint_eq(r.used->ring[0].len, 0);
	ck_assert_uint_eq(r.used->ring[1].len, 16);
}
END_TEST

static uint64_t copy_calls(void)
{
	struct vg_view_stats s;

	vg_view_get_stats(view, &s);
	return s.copy_calls;
}

/* Offers @n chains, 0 to @n - 1, each with a table of its own that lies in no region: a header of
 * 16 bytes, data of 32. */
static void offer_tables(uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct ring_desc *t = (struct ring_desc *)(void *)(r.data + i * 4096);

		t[0] = (struct ring_desc){ring_buf(32 + i), 16, D_NEXT, 1};
		t[1] = (struct ring_desc){ring_buf(16 + i), 32u + i, D_WRITE, 0};
		ring_desc(&r, i, ring_buf(i), 32, D_INDIRECT, 0);
		ring_offer(&r, i);
	}
}

START_TEST(tables_of_a_batch_share_a_call)
{
	uint64_t before = copy_calls();

	offer_tables(RING_SIZE);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), RING_SIZE);
	for (unsigned int i = 0; i < RING_SIZE; i++) {
		ck_assert_int_eq(e[i]->req.error, 0);
		ck_assert_uint_eq(e[i]->req.out_len, 16);
		ck_assert_uint_eq(e[i]->req.in_len, 32 + i);
	}
	/* One for the tables, one for the headers that they name. */
	ck_assert_uint_eq(copy_calls() - before, 2);
	finish(RING_SIZE, 32);
}
END_TEST

/* Tables in a region, in none and out of reach, and a chain without one, in one batch. */
START_TEST(tables_of_all_kinds_in_a_batch)
{
	offer_tables(2);
	ck_assert_int_eq(vg_view_region_add(view, DATA_REF + 1, 1, true), 0);
	ring_desc(&r, 2, ring_buf(40), 16, D_WRITE, 0);
	ring_desc(&r, 3, vg_addr_make(900, 0), 32, D_INDIRECT, 0);
	ring_desc(&r, 4, ring_buf(0), 32, D_INDIRECT, 0);
	ring_offer(&r, 2);
	ring_offer(&r, 3);
	ring_offer(&r, 4);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 5);
	ck_assert_uint_eq(e[0]->req.in_len, 32);
	ck_assert_uint_eq(e[1]->req.in_len, 33);
	ck_assert_uint_eq(e[2]->req.in_len, 16);
	ck_assert_int_eq(e[3]->req.error, -EFAULT);
	ck_assert_uint_eq(e[3]->req.in_len, 0);
	ck_assert_uint_eq(e[4]->req.in_len, 32);
	finish(5, 16);
	ck_assert_uint_eq(r.used->ring[3].id, 3);
	ck_assert_uint_eq(r.used->ring[3].len, 0);
	ck_assert_uint_eq(r.used->ring[4].len, 16);
	ck_assert(!vg_vq_is_broken(vq));
}
END_TEST

START_TEST(chains_before_a_corrupt_table_are_done)
{
	struct ring_desc *t = (struct ring_desc *)(void *)(r.data + 2 * 4096);

	offer_tables(4);
	t[1].flags = D_INDIRECT;
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 2);
	ck_assert(vg_vq_is_broken(vq));
	ck_assert_uint_eq(vg_vq_inflight(vq), 2);
	finish(2, 32);
	ck_assert_uint_eq(r.used->idx, 2);
	ck_assert_uint_eq(r.used->ring[1].id, 1);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), -EPROTO);
}
END_TEST

/* A ring that is corrupt further on, too: what was noted before is fetched all the same. */
START_TEST(tables_before_a_corrupt_ring_are_fetched)
{
	offer_tables(2);
	ring_offer(&r, 99);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 2);
	ck_assert(vg_vq_is_broken(vq));
	ck_assert_uint_eq(e[1]->req.in_len, 33);
	finish(2, 32);
}
END_TEST

/* Not this time: an error of that request. */
START_TEST(tables_that_are_not_copied)
{
	offer_tables(3);
	fake_fail(FAKE_COPY, 1, 1, -EAGAIN);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 3);
	ck_assert_int_eq(e[0]->req.error, 0);
	ck_assert_int_eq(e[1]->req.error, -EIO); /* retried already: not to be waited for */
	ck_assert_int_eq(e[2]->req.error, 0);
	finish(3, 32);
	ck_assert_uint_eq(r.used->ring[1].len, 0);
}
END_TEST

/* Each writes one malformed thing; the queue must break with -EPROTO and say why. */
static void bad_head(void)
{
	ring_offer(&r, RING_SIZE);
}

static void bad_jump(void)
{
	r.avail->idx = RING_SIZE + 1;
}

static void bad_backwards(void)
{
	r.avail->idx = UINT16_MAX;
}

static void bad_next(void)
{
	ring_desc(&r, 0, ring_buf(0), 16, D_NEXT, RING_SIZE);
	ring_offer(&r, 0);
}

static void bad_loop(void)
{
	ring_desc(&r, 0, ring_buf(0), 16, D_NEXT, 1);
	ring_desc(&r, 1, ring_buf(0), 16, D_NEXT, 0);
	ring_offer(&r, 0);
}

static void bad_self_loop(void)
{
	ring_desc(&r, 0, ring_buf(0), 16, D_NEXT | D_WRITE, 0);
	ring_offer(&r, 0);
}

static void bad_order(void)
{
	ring_desc(&r, 0, ring_buf(0), 16, D_NEXT | D_WRITE, 1);
	ring_desc(&r, 1, ring_buf(1), 16, 0, 0);
	ring_offer(&r, 0);
}

static void bad_indirect_in_chain(void)
{
	ring_desc(&r, 0, ring_buf(0), 16, D_NEXT, 1);
	ring_desc(&r, 1, ring_buf(1), 16, D_INDIRECT, 0);
	ring_offer(&r, 0);
}

static void bad_indirect_flags(void)
{
	ring_desc(&r, 0, ring_buf(0), 16, D_INDIRECT | D_NEXT, 1);
	ring_offer(&r, 0);
}

static void bad_indirect_write(void)
{
	ring_desc(&r, 0, ring_buf(0), 16, D_INDIRECT | D_WRITE, 1);
	ring_offer(&r, 0);
}

static void bad_indirect_empty(void)
{
	ring_desc(&r, 0, ring_buf(0), 0, D_INDIRECT, 0);
	ring_offer(&r, 0);
}

static void bad_indirect_odd(void)
{
	ring_desc(&r, 0, ring_buf(0), 24, D_INDIRECT, 0);
	ring_offer(&r, 0);
}

static void bad_indirect_huge(void)
{
	ring_desc(&r, 0, ring_buf(0), UINT32_MAX - 15, D_INDIRECT, 0);
	ring_offer(&r, 0);
}

static void bad_indirect_nested(void)
{
	struct ring_desc *t = (struct ring_desc *)(void *)r.data;

	t[0] = (struct ring_desc){ring_buf(1), 16, D_INDIRECT, 0};
	ring_desc(&r, 0, ring_buf(0), 16, D_INDIRECT, 0);
	ring_offer(&r, 0);
}

static void bad_indirect_next(void)
{
	struct ring_desc *t = (struct ring_desc *)(void *)r.data;

	t[0] = (struct ring_desc){ring_buf(1), 16, D_NEXT, 2};
	ring_desc(&r, 0, ring_buf(0), 32, D_INDIRECT, 0);
	ring_offer(&r, 0);
}

static void bad_indirect_loop(void)
{
	struct ring_desc *t = (struct ring_desc *)(void *)r.data;

	t[0] = (struct ring_desc){ring_buf(1), 16, D_NEXT, 1};
	t[1] = (struct ring_desc){ring_buf(1), 16, D_NEXT, 0};
	ring_desc(&r, 0, ring_buf(0), 32, D_INDIRECT, 0);
	ring_offer(&r, 0);
}

static const struct {
	void (*write)(void);
	const char *says;
} malformed[] = {
	{bad_head, "past the ring"},
	{bad_jump, "jumps"},
	{bad_backwards, "jumps"},
	{bad_next, "past the ring"},
	{bad_loop, "loop"},
	{bad_self_loop, "loop"},
	{bad_order, "device-readable"},
	{bad_indirect_in_chain, "inside a chain"},
	{bad_indirect_flags, "NEXT"},
	{bad_indirect_write, "WRITE"},
	{bad_indirect_empty, "length"},
	{bad_indirect_odd, "length"},
	{bad_indirect_huge, "length"},
	{bad_indirect_nested, "inside an indirect"},
	{bad_indirect_next, "past its indirect"},
	{bad_indirect_loop, "loop"},
};

START_TEST(malformed_breaks_the_queue)
{
	malformed[_i].write();
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), -EPROTO);
	ck_assert(vg_vq_is_broken(vq));
	ck_assert_msg(strstr(vg_vq_broken_reason(vq), malformed[_i].says) != NULL, "%s",
		      vg_vq_broken_reason(vq));
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), -EPROTO);
	ck_assert(!vg_vq_has_work(vq));
	ck_assert(!vg_vq_enable_notify(vq));
	ck_assert_uint_eq(vg_vq_inflight(vq), 0);
}
END_TEST

START_TEST(work_before_the_corruption_is_done)
{
	ring_desc(&r, 2, ring_buf(0), 16, D_WRITE, 0);
	ring_offer(&r, 2);
	ring_offer(&r, 99);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	ck_assert(vg_vq_is_broken(vq));
	finish(1, 16);
	ck_assert_uint_eq(r.used->ring[0].id, 2);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), -EPROTO);
}
END_TEST

START_TEST(indirect_must_be_negotiated)
{
	struct vg_vq_config config = ring_config(view);

	config.indirect = false;
	make(config);
	ring_desc(&r, 0, ring_buf(0), 16, D_INDIRECT, 0);
	ring_offer(&r, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), -EPROTO);
}
END_TEST

START_TEST(longest_chain)
{
	for (unsigned int i = 0; i < RING_SIZE; i++)
		ring_desc(&r, i, ring_buf(i), 1, i + 1 < RING_SIZE ? D_NEXT : 0, (uint16_t)(i + 1));
	ring_offer(&r, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	ck_assert_uint_eq(e[0]->req.out_segments, RING_SIZE);
	finish(1, 0);
}
END_TEST

START_TEST(bad_buffers_are_the_requests_error)
{
	ring_desc(&r, 0, vg_addr_make(3000, 0), 16, 0, 0); /* never granted */
	ring_desc(&r, 1, 0x1000, 16, 0, 0);                /* no grant address */
	ring_desc(&r, 2, ring_buf(0), 0, 0, 0);            /* empty */
	ring_desc(&r, 3, ring_buf(0), 16, D_WRITE, 0);
	for (uint16_t i = 0; i < 4; i++)
		ring_offer(&r, i);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 4);
	ck_assert_int_eq(e[0]->req.error, -EFAULT);
	ck_assert_int_eq(e[1]->req.error, -EFAULT);
	ck_assert_int_eq(e[2]->req.error, -EINVAL);
	ck_assert_int_eq(e[3]->req.error, 0);
	finish(4, 16);
	ck_assert_uint_eq(r.used->ring[0].len, 0);
	ck_assert_uint_eq(r.used->ring[3].len, 16);
	ck_assert(!vg_vq_is_broken(vq));
}
END_TEST

START_TEST(writable_descriptor_in_read_only_region)
{
	fake_grant(300, 1, false);
	ck_assert_int_eq(vg_view_region_add(view, 300, 1, false), 0);
	ring_desc(&r, 0, vg_addr_make(300, 0), 16, D_WRITE, 0);
	ring_offer(&r, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	ck_assert_int_eq(e[0]->req.error, -EACCES);
	finish(1, 16);
	ck_assert_uint_eq(r.used->ring[0].len, 0);
}
END_TEST

START_TEST(refused_copy_out_is_not_written)
{
	fake_grant(300, 1, false);
	ring_desc(&r, 0, vg_addr_make(300, 0), 16, D_WRITE, 0);
	ring_offer(&r, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	finish(1, 16);
	ck_assert_uint_eq(r.used->ring[0].len, 0);
}
END_TEST

/* The data cannot be reached, the status byte behind it can: in a region, copied, mapped. */
START_TEST(the_last_byte_tells_of_a_failure)
{
	char *status = fake_grant(310, 1, true);
	static const uint32_t lengths[] = {512, 20000};

	if (_i % 2)
		ck_assert_int_eq(vg_view_region_add(view, 310, 1, true), 0);
	status[5] = 'o';
	ring_desc(&r, 0, ring_buf(0), 16, D_NEXT, 1);
	ring_desc(&r, 1, vg_addr_make(900, 0), lengths[_i / 2], D_NEXT | D_WRITE, 2);
	ring_desc(&r, 2, vg_addr_make(310, 5), 1, D_WRITE, 0);
	ring_offer(&r, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	ck_assert_int_eq(e[0]->on_error, -1);
	e[0]->on_error = 'E';
	/* Copied, the failure is seen only when the bytes are to arrive. */
	ck_assert_int_eq(e[0]->req.error, _i / 2 ? -EFAULT : 0);
	vg_request_write(&e[0]->req, lengths[_i / 2], "o", 1);
	finish(1, lengths[_i / 2] + 1);
	ck_assert_int_eq(status[5], 'E');
	ck_assert_uint_eq(r.used->ring[0].len, 0);
}
END_TEST

START_TEST(inflight_limit)
{
	struct vg_vq_config config = ring_config(view);

	config.max_inflight = 2;
	make(config);
	ring_desc(&r, 0, ring_buf(0), 16, D_WRITE, 0);
	for (int i = 0; i < 5; i++)
		ring_offer(&r, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 2);
	ck_assert_uint_ne(e[0]->slot, e[1]->slot);
	ck_assert_int_eq(vg_vq_pop(vq, e + 2, 64), 0);
	ck_assert(!vg_vq_has_work(vq));
	finish(1, 0);
	ck_assert(vg_vq_has_work(vq));
	e[0] = e[1];
	ck_assert_int_eq(vg_vq_pop(vq, e + 1, 64), 1);
	finish(2, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 2);
	finish(2, 0);
	ck_assert_uint_eq(r.used->idx, 5);
}
END_TEST

START_TEST(what_must_wait_stays_in_the_ring)
{
	/* 8192 bytes are copied, above that mapped; the quota has room for one mapped request. */
	quota.max_pages = quota.pages + 4;
	ring_desc(&r, 0, ring_buf(0), 3 * 4096, D_WRITE, 0);
	ring_offer(&r, 0);
	ring_offer(&r, 0);
	ring_offer(&r, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	ck_assert_int_eq(e[0]->req.error, 0);
	ck_assert(!vg_vq_has_work(vq));
	ck_assert(!vg_vq_enable_notify(vq));
	finish(1, 0);
	ck_assert(vg_vq_has_work(vq));
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	finish(1, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	finish(1, 0);
	ck_assert_uint_eq(r.used->idx, 3);
	quota.max_pages = 1024;
}
END_TEST

START_TEST(notification_flags)
{
	ring_desc(&r, 0, ring_buf(0), 16, D_WRITE, 0);
	vg_vq_disable_notify(vq);
	ck_assert_uint_eq(r.used->flags, 1);
	ck_assert(!vg_vq_enable_notify(vq));
	ck_assert_uint_eq(r.used->flags, 0);
	ring_offer(&r, 0);
	ck_assert(vg_vq_enable_notify(vq)); /* it came while we were not looking */
	r.avail->flags = 1;
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	ck_assert(!finish(1, 0));
	r.avail->flags = 0;
	ring_offer(&r, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 1);
	ck_assert(finish(1, 0));
}
END_TEST

START_TEST(event_idx)
{
	struct vg_vq_config config = ring_config(view);

	config.event_idx = true;
	make(config);
	ring_desc(&r, 0, ring_buf(0), 16, D_WRITE, 0);
	r.avail->used_event = 2; /* tell me when the third is done */
	for (int i = 0; i < 4; i++)
		ring_offer(&r, 0);
	ck_assert_int_eq(vg_vq_pop(vq, e, 2), 2);
	ck_assert(!finish(2, 0));
	ck_assert_int_eq(vg_vq_pop(vq, e, 2), 2);
	ck_assert(finish(2, 0));
	ck_assert(!vg_vq_enable_notify(vq));
	ck_assert_uint_eq(r.used->avail_event, 4);
	ck_assert_uint_eq(r.used->flags, 0);
	/* Across the wrap of the index. */
	r.avail->used_event = 65535;
	for (unsigned int i = 4; i < 65536; i++) {
		ring_offer(&r, 0);
		ck_assert_int_eq(vg_vq_pop(vq, e, 2), 1);
		ck_assert_int_eq(finish(1, 0), i == 65535);
	}
}
END_TEST

START_TEST(rings_straddle_pages)
{
	struct vg_vq_config config = ring_config(view);
	char *page = fake_grant(400, 8, true);
	struct ring_desc *desc = (struct ring_desc *)(void *)(page + 4096 - 16);

	/* Descriptors over pages 400/401, used ring over 403/404: one inside a region, one not. */
	ck_assert_int_eq(vg_view_region_add(view, 400, 3, true), 0);
	config.desc_addr = vg_addr_make(400, 4096 - 16);
	config.device_addr = vg_addr_make(403, 4096 - 12);
	make(config);
	desc[1] = (struct ring_desc){ring_buf(0), 16, D_WRITE, 0};
	ring_offer(&r, 1);
	ring_offer(&r, 1);
	ck_assert_int_eq(vg_vq_pop(vq, e, 64), 2);
	finish(2, 5);
	ck_assert_uint_eq(*(uint32_t *)(void *)(page + 3 * 4096 + 4096 - 8), 1);
	ck_assert_uint_eq(*(uint32_t *)(void *)(page + 4 * 4096), 1);
	ck_assert_uint_eq(*(uint32_t *)(void *)(page + 4 * 4096 + 4), 5);
	ck_assert_int_eq(vg_view_region_remove(view, 400, 3), -EBUSY);
}
END_TEST

START_TEST(create_refuses)
{
	struct vg_virtqueue *q = NULL;

#define REFUSED(change, error)                                                                     \
	do {                                                                                       \
		struct vg_vq_config config = ring_config(view);                                    \
		change;                                                                            \
		ck_assert_int_eq(vg_vq_create(&config, &q), error);                                \
	} while (0)
	REFUSED(config.size = 0, -EINVAL);
	REFUSED(config.size = 1, -EINVAL);
	REFUSED(config.size = 24, -EINVAL);
	REFUSED(config.size = 2048, -EINVAL);
	REFUSED(config.desc_addr += 8, -EINVAL);
	REFUSED(config.driver_addr += 1, -EINVAL);
	REFUSED(config.device_addr += 2, -EINVAL);
	REFUSED(config.desc_addr = vg_addr_make(900, 0), -EFAULT);
	REFUSED(config.device_addr = config.driver_addr, -EFAULT); /* granted read-only */
	REFUSED(config.device_addr = 0, -EFAULT);
	REFUSED(quota.max_pages = quota.pages, -EDQUOT);
	quota.max_pages = 1024;
	fake_fail(FAKE_MAP, 2, 1, -EINVAL);
	REFUSED(, -EFAULT);
	vg_vq_destroy(NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("virtqueue");
	TCase *tc = tcase_create("split");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_chain_there_and_back);
	tcase_add_test(tc, indices_wrap_at_64k);
	tcase_add_test(tc, written_is_clamped);
	tcase_add_test(tc, indirect_tables);
	tcase_add_test(tc, indirect_table_out_of_reach_is_one_requests_error);
	tcase_add_test(tc, tables_of_a_batch_share_a_call);
	tcase_add_test(tc, tables_of_all_kinds_in_a_batch);
	tcase_add_test(tc, chains_before_a_corrupt_table_are_done);
	tcase_add_test(tc, tables_before_a_corrupt_ring_are_fetched);
	tcase_add_test(tc, tables_that_are_not_copied);
	tcase_add_loop_test(tc, malformed_breaks_the_queue, 0,
			    (int)(sizeof(malformed) / sizeof(malformed[0])));
	tcase_add_test(tc, work_before_the_corruption_is_done);
	tcase_add_test(tc, indirect_must_be_negotiated);
	tcase_add_test(tc, longest_chain);
	tcase_add_test(tc, bad_buffers_are_the_requests_error);
	tcase_add_test(tc, writable_descriptor_in_read_only_region);
	tcase_add_test(tc, refused_copy_out_is_not_written);
	tcase_add_loop_test(tc, the_last_byte_tells_of_a_failure, 0, 4);
	tcase_add_test(tc, inflight_limit);
	tcase_add_test(tc, what_must_wait_stays_in_the_ring);
	tcase_add_test(tc, notification_flags);
	tcase_add_test(tc, event_idx);
	tcase_add_test(tc, rings_straddle_pages);
	tcase_add_test(tc, create_refuses);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* The memory view: addresses, copy, map, permissions. */
#include "view_fixture.h"

START_TEST(region_is_a_lookup)
{
	char *guest = fake_grant(10, 4, true);
	char buf[6000];

	ck_assert_int_eq(vg_view_region_add(view, 10, 4, true), 0);
	strcpy(guest + 4090, "across a page");
	segment(&req, false, vg_addr_make(10, 4090), 14);
	segment(&req, true, vg_addr_make(12, 100), 6000);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_uint_eq(req.out_iovs, 1);
	ck_assert_uint_eq(req.in_iovs, 1);
	ck_assert_uint_eq(vg_request_read(&req, 0, buf, sizeof(buf)), 14);
	ck_assert_str_eq(buf, "across a page");
	memset(buf, 'x', sizeof(buf));
	ck_assert_uint_eq(vg_request_write(&req, 0, buf, sizeof(buf)), 6000);
	close_one(6000);
	ck_assert_int_eq(guest[2 * 4096 + 99], 0);
	ck_assert_int_eq(guest[2 * 4096 + 100], 'x');
	ck_assert_int_eq(guest[2 * 4096 + 100 + 5999], 'x');
	ck_assert_int_eq(guest[2 * 4096 + 100 + 6000], 0);
	ck_assert_uint_eq(stats().map_ops, 1);
	ck_assert_uint_eq(stats().copy_ops, 0);
	ck_assert_uint_eq(stats().pages_reached, 4);
}
END_TEST

START_TEST(segment_over_adjacent_regions)
{
	char *guest = fake_grant(20, 3, true);

	for (uint32_t i = 0; i < 3; i++)
		ck_assert_int_eq(vg_view_region_add(view, 20 + i, 1, true), 0);
	memset(guest, 'a', 3 * 4096);
	segment(&req, false, vg_addr_make(20, 1), 3 * 4096 - 2);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_uint_eq(req.out_iovs, 3);
	ck_assert_uint_eq(req.out_len, 3 * 4096 - 2);
	close_one(0);
}
END_TEST

START_TEST(bad_addresses_are_faults)
{
#define AT(ref) (VG_ADDR_GRANT | (uint64_t)(ref) << VG_PAGE_SHIFT)
	static const struct {
		uint64_t addr;
		uint32_t len;
		int error;
	} bad[] = {
		{0x1000, 16, -EFAULT},                   /* bit 63 clear */
		{AT(0) | UINT64_C(1) << 62, 1, -EFAULT}, /* a reference far past the limit */
		{AT(FAKE_REFS), 1, -EFAULT},             /* just past it */
		{AT(FAKE_REFS - 1), 4097, -EFAULT},      /* runs past it */
		{UINT64_MAX, 2, -EFAULT},                /* wraps */
		{AT(30), 0, -EINVAL},                    /* empty */
		{AT(30), UINT32_MAX, -EFAULT},
		{AT(30), VG_REQUEST_BYTES + 1, -E2BIG},
		{AT(31), 16, -EFAULT}, /* not granted */
	};

	fake_grant(30, 1, true);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		req.out_segments = req.in_segments = 0;
		segment(&req, false, bad[i].addr, bad[i].len);
		ck_assert_msg(open_one() == bad[i].error, "case %zu: %d", i, req.error);
		ck_assert_uint_eq(req.out_iovs, 0);
		close_one(0);
		ck_assert_uint_eq(stats().faults, i + 1);
	}
}
END_TEST

START_TEST(total_length_is_capped)
{
	fake_grant(0, FAKE_REFS, true);
	again(0, VG_REQUEST_BYTES, FAKE_REFS);
	fake_grant(0, FAKE_REFS, true);
	for (int i = 0; i < 5; i++)
		segment(&req, false, vg_addr_make(0, 0), 1 << 20);
	ck_assert_int_eq(open_one(), -E2BIG);
	close_one(0);
	req.out_segments = 4;
	ck_assert_int_eq(open_one(), 0);
	close_one(0);
}
END_TEST

START_TEST(read_only_region_refuses_writes)
{
	fake_grant(40, 2, false);
	ck_assert_int_eq(vg_view_region_add(view, 40, 1, true), -EFAULT);
	ck_assert_int_eq(vg_view_region_add(view, 40, 2, false), 0);
	segment(&req, true, vg_addr_make(40, 0), 16);
	ck_assert_int_eq(open_one(), -EACCES);
	ck_assert_uint_eq(req.in_iovs, 0);
	close_one(16);
	req.in_segments = 0;
	segment(&req, false, vg_addr_make(40, 0), 16);
	ck_assert_int_eq(open_one(), 0);
	close_one(0);
}
END_TEST

START_TEST(copy_carries_only_what_was_written)
{
	char *guest = fake_grant(50, 3, true);
	char buf[64];

	strcpy(guest + 10, "request");
	memset(guest + 4096, 'g', 2 * 4096);
	segment(&req, false, vg_addr_make(50, 10), 8);
	segment(&req, true, vg_addr_make(51, 4000), 200);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_uint_eq(vg_request_read(&req, 0, buf, 64), 8);
	ck_assert_str_eq(buf, "request");
	memset(buf, 'd', sizeof(buf));
	vg_request_write(&req, 90, buf, 20); /* bytes 90 to 109 cross the page at 96 */
	close_one(110);
	ck_assert_int_eq(guest[4096 + 4000 + 90], 'd');
	ck_assert_int_eq(guest[4096 + 4000 + 109], 'd');
	ck_assert_int_eq(guest[4096 + 4000 + 110], 'g'); /* past what was written */
	ck_assert_uint_eq(stats().copy_ops, 3);
	ck_assert_uint_eq(stats().copy_calls, 2);
	ck_assert_uint_eq(stats().bytes_copied, 8 + 110);
	ck_assert_uint_eq(stats().map_ops, 0);
	ck_assert_uint_eq(fake_mapped_pages(), 0);
}
END_TEST

static bool apart(const struct vg_iov *a, const struct vg_iov *b)
{
	uintptr_t x = (uintptr_t)a->base, y = (uintptr_t)b->base;

	return x + a->len <= y || y + b->len <= x;
}

START_TEST(copied_pieces_keep_their_alignment)
{
	fake_grant(50, 6, true);
	segment(&req, false, vg_addr_make(50, 16), 16);
	segment(&req, true, vg_addr_make(51, 0), 4096);
	segment(&req, true, vg_addr_make(52, 3), 600);
	segment(&req, true, vg_addr_make(53, 100), 1);
	segment(&req, true, vg_addr_make(54, 100), 4096);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_uint_eq((uintptr_t)req.iov[1].base % 4096, 0);
	ck_assert_uint_eq((uintptr_t)req.iov[2].base % 512, 3);
	/* From a page on as in the guest's page: one of ours for each of the guest's. */
	ck_assert_uint_eq((uintptr_t)req.iov[4].base % 4096, 100);
	close_one(0);
	/* The worst case for gaps fits into a slot: as many pieces as there can be of the least
	 * length. */
	req.out_segments = req.in_segments = 0;
	for (uint32_t i = 0; i < 16384 / 512; i++)
		segment(&req, true, vg_addr_make(50, i % 2 ? 511 : 0), 512);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_uint_le((uintptr_t)req.iov[31].base + 512 - (uintptr_t)req.iov[0].base,
			  2 * 16384);
	close_one(16384);
	/* And of pages, with small pieces, which lie at the other end: they do not meet. */
	req.out_segments = req.in_segments = 0;
	for (uint32_t i = 0; i < 3; i++)
		segment(&req, true, vg_addr_make(50, i % 2 ? 0 : 4095), 4096);
	for (uint32_t i = 0; i < 7; i++)
		segment(&req, true, vg_addr_make(50, i), 511);
	segment(&req, true, vg_addr_make(50, 511), 4096 - 7 * 511);
	ck_assert_int_eq(open_one(), 0);
	for (uint32_t i = 0; i < req.in_iovs; i++)
		for (uint32_t j = 0; j < i; j++)
			ck_assert(apart(&req.iov[i], &req.iov[j]));
	close_one(16384);
	ck_assert_uint_eq(stats().map_ops, 0);
}
END_TEST

START_TEST(copies_of_a_batch_share_a_call)
{
	fake_grant(60, 2, true);
	segment(&req, false, vg_addr_make(60, 0), 512);
	segment(&other, false, vg_addr_make(61, 0), 512);
	vg_view_open(view, both, 2);
	ck_assert_int_eq(req.error | other.error, 0);
	vg_view_close(view, both, none, 2);
	ck_assert_uint_eq(stats().copy_calls, 1);
	ck_assert_uint_eq(stats().copy_ops, 2);
}
END_TEST

START_TEST(one_bad_copy_fails_only_its_request)
{
	fake_grant(60, 1, true);
	segment(&req, false, vg_addr_make(60, 0), 512);
	segment(&other, false, vg_addr_make(61, 0), 512);
	vg_view_open(view, both, 2);
	ck_assert_int_eq(req.error, 0);
	ck_assert_int_eq(other.error, -EFAULT);
	vg_view_close(view, both, none, 2);
}
END_TEST

START_TEST(copy_out_refused_is_seen)
{
	fake_grant(62, 1, false);
	segment(&req, true, vg_addr_make(62, 0), 512);
	ck_assert_int_eq(open_one(), 0);
	close_one(512);
	ck_assert_int_eq(req.error, -EACCES);
}
END_TEST

START_TEST(arena_exhausted_is_again)
{
	struct vg_request *third = calloc(1, sizeof(*third));

	fake_grant(60, 1, true);
	segment(&req, false, vg_addr_make(60, 0), 1);
	segment(&other, false, vg_addr_make(60, 0), 1);
	segment(third, false, vg_addr_make(60, 0), 1);
	vg_view_open(view, both, 2);
	vg_view_open(view, &third, 1);
	ck_assert_int_eq(third->error, -EAGAIN);
	ck_assert_uint_eq(stats().faults, 0);
	vg_view_close(view, &third, none, 1);
	vg_view_close(view, both, none, 2);
	vg_view_open(view, &third, 1);
	ck_assert_int_eq(third->error, 0);
	vg_view_close(view, &third, none, 1);
	free(third);
}
END_TEST

START_TEST(large_requests_are_mapped)
{
	char *guest = fake_grant(100, 20, true);
	char c = 'w';

	guest[123] = 'r';
	segment(&req, false, vg_addr_make(100, 123), 30000);
	segment(&req, true, vg_addr_make(110, 5), 30000);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_uint_eq(fake_mapped_pages(), 8 + 8);
	ck_assert_uint_eq(vg_request_write(&req, 29999, &c, 1), 1);
	close_one(30000);
	ck_assert_int_eq(guest[10 * 4096 + 5 + 29999], 'w');
	ck_assert_uint_eq(fake_mapped_pages(), 0);
	ck_assert_uint_eq(stats().map_ops, 2);
	ck_assert_uint_eq(stats().unmap_ops, 2);
	ck_assert_uint_eq(stats().pages_mapped_peak, 16);
}
END_TEST

START_TEST(mixed_region_and_transient)
{
	char *ring = fake_grant(200, 1, true), *data = fake_grant(210, 8, true);
	char buf[5];

	ck_assert_int_eq(vg_view_region_add(view, 200, 1, true), 0);
	strcpy(ring, "head");
	segment(&req, false, vg_addr_make(200, 0), 5);
	segment(&req, true, vg_addr_make(210, 0), 20000);
	segment(&req, true, vg_addr_make(200, 5), 1);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_uint_eq(req.in_iovs, 2);
	vg_request_read(&req, 0, buf, 5);
	ck_assert_str_eq(buf, "head");
	vg_request_write(&req, 19999, "zS", 2);
	close_one(20001);
	ck_assert_int_eq(data[19999], 'z');
	ck_assert_int_eq(ring[5], 'S');
}
END_TEST

START_TEST(mixed_region_and_copy_skips_the_region)
{
	char *ring = fake_grant(200, 1, true), *data = fake_grant(210, 2, true);

	ck_assert_int_eq(vg_view_region_add(view, 200, 1, true), 0);
	segment(&req, true, vg_addr_make(200, 0), 10);
	segment(&req, true, vg_addr_make(210, 4090), 10);
	ck_assert_int_eq(open_one(), 0);
	vg_request_write(&req, 0, "0123456789ABCDEFGHIJ", 20);
	close_one(15);
	ck_assert_mem_eq(ring, "0123456789", 10);
	ck_assert_mem_eq(data + 4090, "ABCDE\0", 6);
	ck_assert_uint_eq(stats().bytes_copied, 5);
}
END_TEST

START_TEST(map_failures_are_unwound)
{
	fake_grant(100, 20, true);
	segment(&req, false, vg_addr_make(100, 0), 30000);
	segment(&req, true, vg_addr_make(110, 0), 30000);
	fake_fail(FAKE_MAP, 1, 1, -EINVAL);
	ck_assert_int_eq(open_one(), -EFAULT);
	ck_assert_uint_eq(fake_mapped_pages(), 0);
	close_one(0);
	ck_assert_uint_eq(quota.pages, 0);
}
END_TEST

START_TEST(copied_bytes_begin_as_zero)
{
	char buf[100], *guest = fake_grant(50, 1, true);

	memset(buf, 's', sizeof(buf));
	segment(&req, true, vg_addr_make(50, 0), 100);
	for (int round = 0; round < 2; round++) {
		memset(guest, 'g', 100);
		ck_assert_int_eq(open_one(), 0);
		if (!round)
			vg_request_write(&req, 0, buf, sizeof(buf));
		close_one(100);
	}
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(guest[i], 0);
}
END_TEST

START_TEST(read_at_once)
{
	char *guest = fake_grant(10, 3, true);
	char buf[16];

	for (int round = 0; round < 3; round++) {
		memcpy(guest + 4090, "0123456789", 10);
		if (round == 1)
			ck_assert_int_eq(vg_view_region_add(view, 10, 2, true), 0);
		if (round == 2) {
			again(0, 4096, 16);
			guest = fake_grant(10, 3, true);
			memcpy(guest + 4090, "0123456789", 10);
		}
		memset(buf, 0, sizeof(buf));
		ck_assert_int_eq(vg_view_read(view, vg_addr_make(10, 4090), buf, 10), 0);
		ck_assert_str_eq(buf, "0123456789");
	}
	ck_assert_int_eq(vg_view_read(view, vg_addr_make(99, 0), buf, 10), -EFAULT);
	ck_assert_int_eq(vg_view_read(view, 0, buf, 10), -EFAULT);
}
END_TEST

START_TEST(write_at_once)
{
	char *guest = fake_grant(10, 3, true);

	for (int round = 0; round < 3; round++) {
		if (round == 1)
			ck_assert_int_eq(vg_view_region_add(view, 10, 2, true), 0);
		if (round == 2) {
			again(0, 4096, 16);
			guest = fake_grant(10, 3, true);
		}
		memset(guest + 4090, 0, 12);
		ck_assert_int_eq(vg_view_write(view, vg_addr_make(10, 4090), "0123456789", 10), 0);
		ck_assert_mem_eq(guest + 4090, "0123456789\0", 11);
	}
	fake_grant(12, 1, false);
	ck_assert_int_eq(vg_view_write(view, vg_addr_make(12, 0), "x", 1), -EFAULT);
	ck_assert_int_eq(vg_view_region_add(view, 12, 1, false), 0);
	ck_assert_int_eq(vg_view_write(view, vg_addr_make(12, 0), "x", 1), -EACCES);
	ck_assert_int_eq(vg_view_write(view, 0, "x", 1), -EFAULT);
}
END_TEST

START_TEST(create_refuses)
{
	struct vg_view_config config = {
		.gnttab = fake_gnttab(), .quota = &quota, .max_requests = 1};
	struct vg_view *v = NULL;

	config.max_requests = 0;
	ck_assert_int_eq(vg_view_create(&config, &v), -EINVAL);
	config.max_requests = 5000;
	ck_assert_int_eq(vg_view_create(&config, &v), -EINVAL);
	config.max_requests = 1;
	config.max_refs = VG_MAX_REFS + 1;
	ck_assert_int_eq(vg_view_create(&config, &v), -EINVAL);
	config.max_refs = 0;
	ck_assert_int_eq(vg_view_create(&config, &v), 0);
	vg_view_destroy(v);
	vg_view_destroy(NULL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		region_is_a_lookup,
		segment_over_adjacent_regions,
		bad_addresses_are_faults,
		total_length_is_capped,
		read_only_region_refuses_writes,
		copy_carries_only_what_was_written,
		copied_pieces_keep_their_alignment,
		copies_of_a_batch_share_a_call,
		one_bad_copy_fails_only_its_request,
		copy_out_refused_is_seen,
		arena_exhausted_is_again,
		large_requests_are_mapped,
		mixed_region_and_transient,
		mixed_region_and_copy_skips_the_region,
		map_failures_are_unwound,
		copied_bytes_begin_as_zero,
		read_at_once,
		write_at_once,
		create_refuses,
	};

	return view_run("view", tests, sizeof(tests) / sizeof(tests[0]));
}

// SPDX-License-Identifier: MIT
/* The memory view: how many pages a guest may have mapped. */
#include "view_fixture.h"

START_TEST(quota_bounds_all_mappings)
{
	again(0, 1 << 20, 10);
	fake_grant(0, 64, true);
	ck_assert_int_eq(vg_view_region_add(view, 0, 11, true), -EDQUOT);
	ck_assert_int_eq(vg_view_region_add(view, 0, 4, true), 0);
	segment(&req, false, vg_addr_make(32, 0), 7 * 4096);
	ck_assert_int_eq(open_one(), -EDQUOT); /* nothing in flight could give it back */
	close_one(0);
	req.segment[0].len = 4 * 4096;
	ck_assert_int_eq(open_one(), 0);
	segment(&other, false, vg_addr_make(40, 0), 4 * 4096);
	vg_view_open(view, both + 1, 1);
	ck_assert_int_eq(other.error, -EAGAIN); /* the one in flight will */
	vg_view_close(view, both + 1, none, 1);
	close_one(0);
}
END_TEST

/* Regions do not get all of it: what is mapped for a request, and rings, still find their pages. */
START_TEST(regions_leave_the_reserve)
{
	struct vg_pin pin;

	again(0, 1 << 20, 16);
	quota.reserved = 6;
	fake_grant(0, 64, true);
	ck_assert_int_eq(vg_view_region_add(view, 0, 11, true), -EDQUOT);
	ck_assert_int_eq(vg_view_region_add(view, 0, 8, true), 0);
	ck_assert_int_eq(vg_view_region_add(view, 8, 3, true), -EDQUOT);
	ck_assert_int_eq(vg_view_region_add(view, 8, 2, true), 0);
	ck_assert_int_eq(vg_view_region_add(view, 10, 1, true), -EDQUOT);
	ck_assert_uint_eq(quota.region_pages, 10);
	ck_assert_int_eq(vg_view_pin(view, vg_addr_make(20, 0), 16, true, &pin), 0);
	segment(&req, true, vg_addr_make(32, 0), 5 * 4096);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_uint_eq(quota.pages, 16);
	/* What comes back of a region is regions' again, and no more than that. */
	ck_assert_int_eq(vg_view_region_remove(view, 8, 2), -EINPROGRESS);
	close_one(0);
	ck_assert_int_eq(vg_view_region_remove(view, 8, 2), 0);
	ck_assert_uint_eq(quota.region_pages, 8);
	ck_assert_int_eq(vg_view_region_add(view, 40, 3, true), -EDQUOT);
	ck_assert_int_eq(vg_view_region_add(view, 40, 2, true), 0);
	vg_view_unpin(view, &pin);
	teardown();
	ck_assert_uint_eq(quota.region_pages, 0);
	setup();
}
END_TEST

/* A region that the kernel would not unmap still counts as one. */
START_TEST(unmap_failures_stay_counted_as_regions)
{
	again(0, 1 << 20, 16);
	quota.reserved = 6;
	fake_grant(0, 64, true);
	ck_assert_int_eq(vg_view_region_add(view, 0, 8, true), 0);
	fake_fail(FAKE_UNMAP, 0, 1, -EINVAL);
	ck_assert_int_eq(vg_view_region_remove(view, 0, 8), 0);
	ck_assert_uint_eq(quota.region_pages, 8);
	ck_assert_int_eq(vg_view_region_add(view, 8, 3, true), -EDQUOT);
	ck_assert_int_eq(vg_view_region_add(view, 8, 2, true), 0);
	ck_assert_int_eq(vg_view_region_remove(view, 8, 2), 0);
	fake_xen_reset();
	quota.pages = 0;
}
END_TEST

START_TEST(what_is_reserved)
{
	ck_assert_uint_eq(VG_QUOTA_RESERVED(16384), 2048);
	ck_assert_uint_eq(VG_QUOTA_RESERVED(4096), 2048);
	ck_assert_uint_eq(VG_QUOTA_RESERVED(4095), 2047);
	ck_assert_uint_eq(VG_QUOTA_RESERVED(16), 8);
}
END_TEST

/* One request of both directions over the quota: nothing in flight but itself, so waiting is in
 * vain. */
START_TEST(a_request_does_not_wait_for_itself)
{
	again(0, 1 << 20, 8);
	fake_grant(0, 64, true);
	segment(&req, false, vg_addr_make(0, 0), 16);
	segment(&req, true, vg_addr_make(8, 0), 33 * 4096);
	ck_assert_int_eq(open_one(), -EDQUOT);
	ck_assert_uint_eq(fake_mapped_pages(), 0);
	close_one(0);
}
END_TEST

START_TEST(unmap_failures_stay_counted)
{
	fake_grant(100, 20, true);
	segment(&req, false, vg_addr_make(100, 0), 30000);
	ck_assert_int_eq(open_one(), 0);
	fake_fail(FAKE_UNMAP, 0, 1, -EINVAL);
	close_one(0);
	ck_assert_uint_eq(stats().unmap_failures, 1);
	ck_assert_uint_eq(quota.pages, 8);
	fake_xen_reset();
	quota.pages = 0;
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		quota_bounds_all_mappings,
		regions_leave_the_reserve,
		unmap_failures_stay_counted_as_regions,
		what_is_reserved,
		a_request_does_not_wait_for_itself,
		unmap_failures_stay_counted,
	};

	return view_run("view-quota", tests, sizeof(tests) / sizeof(tests[0]));
}

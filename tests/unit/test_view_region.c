// SPDX-License-Identifier: MIT
/* The memory view: regions, who holds them, how they drain; pins. */
#include "view_fixture.h"

START_TEST(region_add_refuses)
{
	fake_grant(0, 64, true);
	ck_assert_int_eq(vg_view_region_add(view, 10, 10, true), 0);
	ck_assert_int_eq(vg_view_region_add(view, 10, 10, true), -EEXIST);
	ck_assert_int_eq(vg_view_region_add(view, 0, 11, true), -EEXIST);
	ck_assert_int_eq(vg_view_region_add(view, 19, 1, true), -EEXIST);
	ck_assert_int_eq(vg_view_region_add(view, 5, 0, true), -EINVAL);
	ck_assert_int_eq(vg_view_region_add(view, FAKE_REFS, 1, true), -EINVAL);
	ck_assert_int_eq(vg_view_region_add(view, 1, UINT32_MAX, true), -EINVAL);
	ck_assert_int_eq(vg_view_region_add(view, 60, 5, true), -EFAULT); /* 64 is not granted */
	ck_assert_uint_eq(quota.pages, 10);
	ck_assert_int_eq(vg_view_region_add(view, 20, 1, true), 0);
	ck_assert_int_eq(vg_view_region_add(view, 9, 1, true), 0);
}
END_TEST

START_TEST(number_of_regions_is_bounded)
{
	fake_grant(0, 512, true);
	for (uint32_t i = 0; i < VG_MAX_REGIONS; i++)
		ck_assert_int_eq(vg_view_region_add(view, i, 1, true), 0);
	ck_assert_int_eq(vg_view_region_add(view, 400, 1, true), -ENOSPC);
	ck_assert_int_eq(vg_view_region_remove(view, 7, 1), 0);
	ck_assert_int_eq(vg_view_region_add(view, 400, 1, true), 0);
}
END_TEST

START_TEST(remove_waits_for_what_is_open)
{
	char *guest = fake_grant(10, 2, true);

	ck_assert_int_eq(vg_view_region_add(view, 10, 2, true), 0);
	segment(&req, true, vg_addr_make(10, 0), 8);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_int_eq(vg_view_region_remove(view, 10, 2), -EINPROGRESS);
	ck_assert_int_eq(vg_view_region_add(view, 10, 2, true), -EEXIST);
	/* A later request does not keep it alive, and reaches the page another way. */
	segment(&other, true, vg_addr_make(10, 0), 8);
	vg_view_open(view, both + 1, 1);
	ck_assert_int_eq(other.error, 0);
	ck_assert_uint_eq(fake_mapped_pages(), 2);
	vg_request_write(&req, 0, "old", 3);
	close_one(3);
	ck_assert_mem_eq(guest, "old", 3);
	ck_assert_uint_eq(fake_mapped_pages(), 0);
	ck_assert_int_eq(vg_view_region_remove(view, 10, 2), 0);
	ck_assert_int_eq(vg_view_region_remove(view, 10, 2), -ENOENT);
	vg_view_close(view, both + 1, none, 1);
}
END_TEST

/* What was found last must not be found after its region has ended. */
START_TEST(a_removed_region_is_forgotten)
{
	char byte = 'x';

	fake_grant(10, 2, true);
	ck_assert_int_eq(vg_view_region_add(view, 10, 2, true), 0);
	segment(&req, true, vg_addr_make(10, 0), 8);
	ck_assert_int_eq(open_one(), 0);
	close_one(0);
	ck_assert_int_eq(vg_view_write(view, vg_addr_make(11, 0), &byte, 1), 0);
	ck_assert_int_eq(vg_view_region_remove(view, 10, 2), 0);
	ck_assert(fake_end_access(10) && fake_end_access(11));
	req.in_segments = 0;
	segment(&req, false, vg_addr_make(10, 0), 8);
	ck_assert_int_eq(open_one(), -EFAULT);
	close_one(0);
	ck_assert_int_eq(vg_view_write(view, vg_addr_make(11, 0), &byte, 1), -EFAULT);
	ck_assert_int_eq(vg_view_read(view, vg_addr_make(11, 0), &byte, 1), -EFAULT);
}
END_TEST

START_TEST(removals_queue_behind_each_other)
{
	fake_grant(10, 4, true);
	ck_assert_int_eq(vg_view_region_add(view, 10, 1, true), 0);
	ck_assert_int_eq(vg_view_region_add(view, 11, 1, true), 0);
	segment(&req, true, vg_addr_make(10, 0), 8);
	segment(&other, true, vg_addr_make(11, 0), 8);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_int_eq(vg_view_region_remove(view, 10, 1), -EINPROGRESS);
	vg_view_open(view, both + 1, 1);
	ck_assert_int_eq(vg_view_region_remove(view, 11, 1), -EINPROGRESS);
	close_one(0);
	/* The second region is still in use by a request of the second epoch. */
	ck_assert_uint_eq(fake_mapped_pages(), 1);
	ck_assert_int_eq(vg_view_region_remove(view, 10, 1), 0);
	ck_assert_int_eq(vg_view_region_remove(view, 11, 1), -EINPROGRESS);
	vg_view_close(view, both + 1, none, 1);
	ck_assert_uint_eq(fake_mapped_pages(), 0);
	ck_assert_int_eq(vg_view_region_remove(view, 11, 1), 0);
}
END_TEST

/* ---- a holder ---- */

static struct {
	unsigned int holds, releases, left; /* releases to answer with "not yet" */
	void VG_GUEST *base;
	size_t len;
	bool refuse;
} holder;

static int hold(void *opaque, void VG_GUEST *base, size_t len)
{
	ck_assert_ptr_eq(opaque, &holder);
	if (holder.refuse)
		return -EOPNOTSUPP;
	holder.holds++;
	holder.base = base;
	holder.len = len;
	return 3;
}

static bool release(void *opaque, int handle)
{
	ck_assert_ptr_eq(opaque, &holder);
	ck_assert_int_eq(handle, 3);
	/* What is asked for may be done only while the pages are there. */
	ck_assert_uint_gt(fake_mapped_pages(), 0);
	holder.releases++;
	if (holder.left) {
		holder.left--;
		return false;
	}
	return true;
}

static void make_held_view(void)
{
	const struct vg_view_config config = {
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.max_refs = FAKE_REFS,
		.max_requests = 2,
		.holder = {hold, release, &holder},
	};

	vg_view_destroy(view);
	memset(&holder, 0, sizeof(holder));
	ck_assert_int_eq(vg_view_create(&config, &view), 0);
	fake_grant(10, 2, true);
}

START_TEST(a_held_region_stays_mapped)
{
	make_held_view();
	holder.left = 2;
	ck_assert_int_eq(vg_view_region_add(view, 10, 2, true), 0);
	ck_assert_uint_eq(holder.holds, 1);
	ck_assert_uint_eq(holder.len, 2 * 4096);
	segment(&req, true, vg_addr_make(10, 0), 8);
	ck_assert_int_eq(open_one(), 0);
	ck_assert_ptr_eq(VG_GUEST_RAW(void, req.iov[0].base), VG_GUEST_RAW(void, holder.base));
	/* Not before the last request has closed: it may still be in the holder's hands. */
	ck_assert_int_eq(vg_view_region_remove(view, 10, 2), -EINPROGRESS);
	ck_assert_uint_eq(holder.releases, 0);
	close_one(8);
	ck_assert_uint_eq(holder.releases, 1);
	ck_assert_uint_eq(fake_mapped_pages(), 2);
	ck_assert_int_eq(vg_view_region_remove(view, 10, 2), -EINPROGRESS);
	ck_assert_int_eq(vg_view_region_add(view, 10, 2, true), -EEXIST);
	ck_assert(!fake_end_access(10));
	ck_assert_int_eq(vg_view_region_remove(view, 10, 2), 0);
	ck_assert_uint_eq(holder.releases, 3);
	ck_assert_uint_eq(fake_mapped_pages(), 0);
	ck_assert(fake_end_access(10) && fake_end_access(11));
	ck_assert_int_eq(vg_view_region_remove(view, 10, 2), -ENOENT);
	ck_assert(vg_view_let_go(view));
	ck_assert_uint_eq(holder.releases, 3);
}
END_TEST

START_TEST(what_is_not_held_is_unmapped_at_once)
{
	make_held_view();
	/* Nobody can write there. */
	ck_assert_int_eq(vg_view_region_add(view, 10, 1, false), 0);
	ck_assert_uint_eq(holder.holds, 0);
	holder.refuse = true;
	ck_assert_int_eq(vg_view_region_add(view, 11, 1, true), 0);
	ck_assert_int_eq(vg_view_region_remove(view, 10, 1), 0);
	ck_assert_int_eq(vg_view_region_remove(view, 11, 1), 0);
	ck_assert_uint_eq(holder.releases, 0);
}
END_TEST

START_TEST(a_view_lets_go_of_all)
{
	make_held_view();
	holder.left = 3;
	ck_assert_int_eq(vg_view_region_add(view, 10, 1, true), 0);
	ck_assert_int_eq(vg_view_region_add(view, 11, 1, true), 0);
	/* One of them is being removed. */
	ck_assert_int_eq(vg_view_region_remove(view, 11, 1), -EINPROGRESS);
	ck_assert(!vg_view_let_go(view));
	ck_assert(vg_view_let_go(view));
	ck_assert_uint_eq(holder.releases, 5);
	ck_assert(vg_view_let_go(view));
	ck_assert_uint_eq(holder.releases, 5);
	ck_assert_uint_eq(fake_mapped_pages(), 2);
}
END_TEST

START_TEST(pins_hold_their_region)
{
	struct vg_pin a, b;
	char *guest = fake_grant(10, 4, true);

	guest[4095] = 'p';
	ck_assert_int_eq(vg_view_region_add(view, 10, 2, true), 0);
	ck_assert_int_eq(vg_view_pin(view, vg_addr_make(10, 4095), 2, true, &a), 0);
	ck_assert_int_eq(VG_GUEST_RAW(char, a.ptr)[0], 'p');
	ck_assert_int_eq(vg_view_region_remove(view, 10, 2), -EBUSY);
	/* Past the region's end: a mapping of its own, contiguous. */
	ck_assert_int_eq(vg_view_pin(view, vg_addr_make(11, 0), 8192, true, &b), 0);
	ck_assert_uint_eq(fake_mapped_pages(), 4);
	vg_view_unpin(view, &a);
	vg_view_unpin(view, &b);
	vg_view_unpin(view, &b);
	ck_assert_uint_eq(fake_mapped_pages(), 2);
	ck_assert_int_eq(vg_view_region_remove(view, 10, 2), 0);
	ck_assert_int_eq(vg_view_pin(view, vg_addr_make(13, 4095), 2, true, &a), -EFAULT);
	ck_assert_int_eq(vg_view_pin(view, 0x1000, 2, true, &a), -EFAULT);
	ck_assert_int_eq(vg_view_pin(view, vg_addr_make(10, 0), 0, true, &a), -EFAULT);
}
END_TEST

START_TEST(pin_honours_read_only)
{
	struct vg_pin pin;

	fake_grant(10, 1, false);
	ck_assert_int_eq(vg_view_region_add(view, 10, 1, false), 0);
	ck_assert_int_eq(vg_view_pin(view, vg_addr_make(10, 0), 8, true, &pin), -EACCES);
	ck_assert_int_eq(vg_view_pin(view, vg_addr_make(10, 0), 8, false, &pin), 0);
	vg_view_unpin(view, &pin);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		region_add_refuses,
		number_of_regions_is_bounded,
		remove_waits_for_what_is_open,
		a_removed_region_is_forgotten,
		removals_queue_behind_each_other,
		a_held_region_stays_mapped,
		what_is_not_held_is_unmapped_at_once,
		a_view_lets_go_of_all,
		pins_hold_their_region,
		pin_honours_read_only,
	};

	return view_run("view-region", tests, sizeof(tests) / sizeof(tests[0]));
}

// SPDX-License-Identifier: MIT
/* virtio-blk over regions that are registered with io_uring: what is used, and what becomes of a
 * region that is removed. */
#include "blk_support.h"

#define RING_AND_REGION 1 /* WAY_RING, IN_REGION */

static void setup(void)
{
	registers = true;
	begin(RING_AND_REGION);
}

static uint64_t fixed(void)
{
	struct vg_io_stats s;

	vg_io_get_stats(io_ring, &s);
	return s.fixed;
}

static void remove_region(uint32_t ref, uint32_t count)
{
	int ret;

	while ((ret = vg_view_region_remove(view, ref, count)) == -EINPROGRESS)
		ring_wait(io_ring);
	ck_assert_int_eq(ret, 0);
}

START_TEST(data_in_one_piece_is_fixed)
{
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 8, DATA, 4096), VIRTIO_BLK_S_OK);
	ck_assert(holds_sector(DATA, 4096, 8));
	ck_assert_uint_eq(fixed(), 1);
	memset(guest.data + DATA, 'w', 8192);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 16, DATA, 8192), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(fixed(), 2);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 16, DATA + 16384, 8192), VIRTIO_BLK_S_OK);
	ck_assert(is_filled(DATA + 16384, 8192, 'w'));
	ck_assert(is_filled(DATA + 16384 + 8192, 4096, 0));
	ck_assert_uint_eq(fixed(), 3);
	end();
}
END_TEST

START_TEST(data_in_two_pieces_is_not)
{
	put_header(HEADER, VIRTIO_BLK_T_IN, 8);
	out(HEADER, 16);
	in(DATA, 512);
	in(DATA + 4096, 512);
	in(STATUS, 1);
	offer();
	ck_assert_uint_eq(finish(), 1025);
	ck_assert(holds_sector(DATA, 512, 8) && holds_sector(DATA + 4096, 512, 9));
	ck_assert_uint_eq(fixed(), 0);
	end();
}
END_TEST

/* Offers, and has the disk begin, a read of 512 bytes into the data's page @page. */
static void begin_read(uint32_t page)
{
	put_header(HEADER + page * 16, VIRTIO_BLK_T_IN, page);
	out(HEADER + page * 16, 16);
	in(DATA + page * 4096, 512);
	in(STATUS + page, 1);
	offer();
	vg_device_kick(dev, VG_ALL_QUEUES);
	ck_assert(vg_device_service(dev, 64));
	ck_assert_uint_eq(vg_io_inflight(io_ring), 1);
}

START_TEST(a_region_goes_when_the_kernel_has_let_go)
{
	begin_read(0);
	ck_assert_uint_eq(fixed(), 1);
	/* Rings are beside it. */
	ck_assert_int_eq(vg_view_region_remove(view, DATA_REF, DATA_PAGES), -EINPROGRESS);
	ring_drain(io_ring, 0);
	ck_assert(holds_sector(DATA, 512, 0));
	ck_assert(!fake_end_access(DATA_REF + 8));
	vg_device_flush(dev);
	/* No request is left; whether the kernel has let go, it says later. */
	ck_assert(!fake_end_access(DATA_REF + 8));
	remove_region(DATA_REF, DATA_PAGES);
	for (uint32_t i = 0; i < DATA_PAGES; i++)
		ck_assert(fake_end_access(DATA_REF + i));
	end();
}
END_TEST

/* Under load: while a region goes, requests in another one are under way, and after it is gone
 * nothing is written to its pages, which the guest uses for something else. */
START_TEST(nothing_is_written_to_a_region_that_is_gone)
{
	enum { OTHER_REF = 600, PAGES = 4 };
	char *page = fake_grant(OTHER_REF, PAGES, true);

	for (unsigned int round = 0; round < 50; round++) {
		ck_assert_int_eq(vg_view_region_add(view, OTHER_REF, PAGES, true), 0);
		put_header(HEADER, VIRTIO_BLK_T_IN, round);
		out(HEADER, 16);
		add(vg_addr_make(OTHER_REF + round % PAGES, 0), 1024, D_WRITE);
		in(STATUS, 1);
		offer();
		ck_assert_uint_eq(finish(), 1025);
		ck_assert_uint_eq(disk_same((uint8_t *)page + round % PAGES * 4096, 1024,
					    (uint64_t)round * 512, 0),
				  1024);
		begin_read(1);
		if (round % 2)
			ck_assert_int_eq(vg_io_submit(io_ring), 0);
		ck_assert_int_eq(vg_view_region_remove(view, OTHER_REF, PAGES), -EINPROGRESS);
		if (!(round % 4 / 2)) {
			ring_drain(io_ring, 0);
			vg_device_flush(dev);
		}
		if (vg_device_inflight(dev)) {
			/* Requests open when it was asked for keep the region. */
			ck_assert_int_eq(vg_view_region_remove(view, OTHER_REF, PAGES),
					 -EINPROGRESS);
			ring_drain(io_ring, 0);
			vg_device_flush(dev);
		}
		remove_region(OTHER_REF, PAGES);
		for (uint32_t i = 0; i < PAGES; i++)
			ck_assert(fake_end_access(OTHER_REF + i));
		memset(page, 'g', PAGES * 4096);
		descriptors = first = 0;
		ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 8, DATA, 4096), VIRTIO_BLK_S_OK);
		ck_assert_ptr_null(memchr(page, 0, PAGES * 4096));
		for (size_t i = 0; i < PAGES * 4096; i++)
			ck_assert_int_eq(page[i], 'g');
		fake_grant(OTHER_REF, PAGES, true);
	}
	ck_assert_uint_eq(fixed(), 150);
	end();
}
END_TEST

/* A region survives a reset, and stays registered: it is not given back. */
START_TEST(a_reset_keeps_regions_registered)
{
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 8, DATA, 4096), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	guest.avail->idx = guest.used->idx = 0;
	driver_begin(0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 16, DATA, 4096), VIRTIO_BLK_S_OK);
	ck_assert(holds_sector(DATA, 4096, 16));
	ck_assert_uint_eq(fixed(), 2);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk-fixed");
	TCase *tc = tcase_create("registered");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, data_in_one_piece_is_fixed);
	tcase_add_test(tc, data_in_two_pieces_is_not);
	tcase_add_test(tc, a_region_goes_when_the_kernel_has_let_go);
	tcase_add_test(tc, nothing_is_written_to_a_region_that_is_gone);
	tcase_add_test(tc, a_reset_keeps_regions_registered);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

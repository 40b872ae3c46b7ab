// SPDX-License-Identifier: MIT
/* virtio-blk against wrong requests, guests that mean harm, and disks that fail. */
#include <sys/syscall.h>
#include <sys/uio.h>

#include "blk_support.h"

/* Stands in for the C library's, to see how the file engine writes without a ring. */
static unsigned int dsync_writes;

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	dsync_writes += flags == RWF_DSYNC;
	return syscall(SYS_pwritev2, fd, iov, n, offset, 0, flags);
}

static struct vg_blk_stats stats(void)
{
	struct vg_blk_stats s;

	vg_blk_get_stats(blk, &s);
	return s;
}

/* ---- wrong requests ---- */

static const struct {
	uint64_t sector;
	uint32_t len;
	uint8_t status;
} ranges[] = {
	{SECTORS - 1, 512, VIRTIO_BLK_S_OK},
	{SECTORS - 8, 4096, VIRTIO_BLK_S_OK},
	{SECTORS, 0, VIRTIO_BLK_S_OK},
	{SECTORS, 512, VIRTIO_BLK_S_IOERR},
	{SECTORS - 7, 4096, VIRTIO_BLK_S_IOERR},
	{SECTORS + 1, 0, VIRTIO_BLK_S_IOERR},
	{UINT64_MAX, 512, VIRTIO_BLK_S_IOERR},
	{UINT64_MAX - 7, 4096, VIRTIO_BLK_S_IOERR},
	{UINT64_C(1) << 55, 512, VIRTIO_BLK_S_IOERR}, /* times 512 that is 0 */
	{(UINT64_C(1) << 55) + 1, 512, VIRTIO_BLK_S_IOERR},
	{UINT64_C(1) << 32, 512, VIRTIO_BLK_S_IOERR},
	{0, 511, VIRTIO_BLK_S_IOERR},
	{0, 513, VIRTIO_BLK_S_IOERR},
	{0, 1, VIRTIO_BLK_S_IOERR},
};
#define NUM_RANGES ((int)(sizeof(ranges) / sizeof(ranges[0])))

START_TEST(sectors_and_lengths_are_checked)
{
	uint64_t sector = ranges[_i / WAYS].sector;
	uint32_t len = ranges[_i / WAYS].len;
	uint8_t status = ranges[_i / WAYS].status;

	begin(_i % WAYS);
	memset(guest.data + DATA, 0xee, 8192);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, sector, DATA, len), status);
	if (status == VIRTIO_BLK_S_OK)
		ck_assert(holds_sector(DATA, len, sector));
	else
		ck_assert(is_filled(DATA, len, 0));
	ck_assert(is_filled(DATA + len, 100, 0xee));
	ck_assert_uint_eq(stats().errors, status != VIRTIO_BLK_S_OK);

	memset(guest.data + DATA, 0xee, 8192);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, sector, DATA, len), status);
	ck_assert_uint_eq(stats().writes, 1);
	if (status == VIRTIO_BLK_S_OK)
		ck_assert(disk_untouched(0, (unsigned int)sector) &&
			  !(len && disk_untouched(sector, len / 512)));
	else
		ck_assert(disk_untouched(0, SECTORS));
	ck_assert_int_eq(lseek(disk, 0, SEEK_END), DISK_SIZE);
	end();
}
END_TEST

START_TEST(unknown_types_are_unsupported)
{
	static const uint32_t types[] = {2,  3,  5,          7,          9,         10,
					 11, 13, 0x80000000, 0x80000001, UINT32_MAX};

	begin(_i);
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		memset(guest.data + DATA, 0xee, 8192);
		ck_assert_uint_eq(request(types[i], 0, DATA, 4096), VIRTIO_BLK_S_UNSUPP);
		ck_assert(is_filled(DATA, 4096, 0) && is_filled(DATA + 4096, 100, 0xee));
		ck_assert_uint_eq(request(types[i], 0, 0, 0), VIRTIO_BLK_S_UNSUPP);
	}
	ck_assert(disk_untouched(0, SECTORS));
	ck_assert_uint_eq(stats().other, 22);
	ck_assert_uint_eq(stats().errors, 22);
	end();
}
END_TEST

START_TEST(headers_that_are_too_short)
{
	begin(_i);
	put_header(HEADER, VIRTIO_BLK_T_OUT, 0);
	for (uint32_t len = 0; len < 16; len += 5) {
		guest.data[STATUS] = UNSET;
		if (len)
			out(HEADER, len);
		in(STATUS, 1);
		offer();
		ck_assert_uint_eq(finish(), 1);
		ck_assert_uint_eq(guest.data[STATUS], VIRTIO_BLK_S_IOERR);
	}
	/* Nothing to write the status to: then nothing is done. */
	out(HEADER, 16);
	out(DATA, 512);
	offer();
	ck_assert_uint_eq(finish(), 0);
	ck_assert(disk_untouched(0, SECTORS));
	ck_assert_uint_eq(stats().other, 5);
	ck_assert_uint_eq(stats().errors, 5);
	end();
}
END_TEST

/* ---- memory that cannot be reached ---- */

static const struct {
	uint64_t addr;
	uint32_t len;
} unreachable[] = {
	{4096, 512},                                         /* no grant at all */
	{VG_ADDR_GRANT | 3000ull << 12, 512},                /* not granted */
	{VG_ADDR_GRANT | (uint64_t)FAKE_REFS << 12, 512},    /* past the table */
	{VG_ADDR_GRANT | (DATA_REF + 63ull) << 12, 8192},    /* runs out of what is granted */
	{UINT64_MAX, 512},                                   /* wraps */
	{VG_ADDR_GRANT | DATA_REF << 12, UINT32_C(1) << 30}, /* longer than any request */
	{VG_ADDR_GRANT | 300 << 12, 512}, /* for reading only, and to be written */
};
#define NUM_UNREACHABLE ((int)(sizeof(unreachable) / sizeof(unreachable[0])))

/* A copy to the guest is refused when the request is over and no sooner. */
static bool is_found_late(int way, int i)
{
	return WAY_MEMORY(way) == COPIED && (i == 1 || i == 3 || i == 6);
}

/* A driver that looks at the status only must not take such a request for done. */
START_TEST(a_refused_request_still_has_its_status)
{
	int i = _i / WAYS;

	begin(_i % WAYS);
	fake_grant(300, 1, false);
	if (WAY_MEMORY(_i % WAYS) == IN_REGION)
		ck_assert_int_eq(vg_view_region_add(view, 300, 1, false), 0);
	put_header(HEADER, VIRTIO_BLK_T_IN, 0);
	guest.data[STATUS] = 0;
	guest.data[STATUS + 1] = UNSET;
	out(HEADER, 16);
	add(unreachable[i].addr, unreachable[i].len, D_WRITE);
	in(STATUS - 512, 513); /* the status is the last of these */
	offer();
	ck_assert_uint_eq(finish(), 0);
	if (!is_found_late(_i % WAYS, i)) {
		ck_assert_uint_eq(guest.data[STATUS], VIRTIO_BLK_S_IOERR);
		ck_assert(is_filled(STATUS - 512, 512, 0));
		ck_assert_uint_eq(stats().errors, 1);
		ck_assert_uint_eq(stats().reads, 0);
	}
	ck_assert_uint_eq(guest.data[STATUS + 1], UNSET);
	ck_assert(is_filled(DATA, 8192, 0));

	/* The device goes on. */
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 0, DATA, 512), VIRTIO_BLK_S_OK);
	end();
}
END_TEST

START_TEST(a_status_that_cannot_be_reached)
{
	begin(_i);
	fake_grant(300, 1, false);
	for (int i = 0; i < NUM_UNREACHABLE; i++) {
		if (is_found_late(_i, i))
			continue;
		put_header(HEADER, VIRTIO_BLK_T_OUT, 0);
		memset(guest.data + DATA, 0xee, 512);
		out(HEADER, 16);
		out(DATA, 512);
		add(unreachable[i].addr, unreachable[i].len, D_WRITE);
		offer();
		ck_assert_uint_eq(finish(), 0);
		ck_assert(disk_untouched(0, SECTORS));
		ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 0, DATA, 512), VIRTIO_BLK_S_OK);
	}
	end();
}
END_TEST

/* An arena for fewer requests than are there: they take turns, and none is refused. */
START_TEST(requests_that_must_wait_for_memory)
{
	const struct vg_view_config config = {
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.policy = {.copy_max = 1 << 16},
		.max_refs = FAKE_REFS,
		.max_requests = 2,
	};
	struct vg_blk_config disk_config = (world_begin(2 + _i), blk_config());

	vg_view_destroy(view);
	ck_assert_int_eq(vg_view_create(&config, &view), 0);
	disk_config.view = view;
	device_begin(&disk_config);
	driver_begin(0);
	for (uint32_t i = 0; i < 5; i++) {
		put_header(HEADER + i * 16, VIRTIO_BLK_T_IN, i);
		guest.data[STATUS + i] = UNSET;
		out(HEADER + i * 16, 16);
		in(DATA + i * 512, 512);
		in(STATUS + i, 1);
		offer();
	}
	serve();
	ck_assert_uint_eq(guest.used->idx, 5);
	ck_assert(is_filled(STATUS, 5, VIRTIO_BLK_S_OK));
	ck_assert(holds_sector(DATA, 5 * 512, 0));
	ck_assert_uint_eq(stats().errors, 0);
	descriptors = first = 0;
	end();
}
END_TEST

/* ---- disks that fail ---- */

/* What was not read is cleared: neither our memory nor an earlier request shows through. */
START_TEST(a_failed_read_shows_nothing_stale)
{
	begin(_i);
	memset(guest.data + DATA, 0xee, 16384);
	/* So that a copy's buffer holds something. */
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 512, DATA, 16384), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(ftruncate(disk, 8192 + 1000), 0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 8, DATA, 12288), VIRTIO_BLK_S_IOERR);
	ck_assert(holds_sector(DATA, 4096 + 1000, 8));
	ck_assert(is_filled(DATA + 5096, 12288 - 5096, 0));
	ck_assert(is_filled(DATA + 12288, 4096, 0xee));
	ck_assert_uint_eq(stats().errors, 1);
	ck_assert_uint_eq(stats().bytes_read, 5096);
	end();
}
END_TEST

START_TEST(a_lost_disk)
{
	struct vg_blk_config config = (world_begin(_i), blk_config());

	config.buffered = true;
	device_begin(&config);
	driver_begin(0);
	close(disk);
	memset(guest.data + DATA, 0xee, 4096);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 0, DATA, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 0, DATA, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert(is_filled(DATA, 4096, 0));
	ck_assert_uint_eq(stats().errors, 3);
	ck_assert_uint_eq(stats().bytes_written, 0);
	disk = -1;
	end();
}
END_TEST

/* virtio 1.3, 5.2.6.2: a driver that does not flush gets writes that need no flush. */
START_TEST(without_flush_writes_are_stable)
{
	const struct vg_blk_config config = (world_begin(_i << 1), blk_config());

	device_begin(&config);
	driver_begin(UINT64_C(1) << VIRTIO_BLK_F_FLUSH);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 0, DATA, 4096), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(dsync_writes, 1);
	/* The next driver may want it otherwise. */
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	guest.avail->idx = guest.used->idx = 0;
	driver_begin(0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 0, DATA, 4096), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(dsync_writes, 1);
	end();
}
END_TEST

/* ---- reset and a broken queue, with requests under way ---- */

static void offer_read(uint32_t i)
{
	put_header(HEADER + i * 16, VIRTIO_BLK_T_IN, i);
	guest.data[STATUS + i] = UNSET;
	out(HEADER + i * 16, 16);
	in(DATA + i * 512, 512);
	in(STATUS + i, 1);
	offer();
}

START_TEST(a_reset_waits_for_the_disk)
{
	begin((_i << 1) | 1);
	for (uint32_t i = 0; i < 3; i++)
		offer_read(i);
	vg_device_kick(dev, VG_ALL_QUEUES);
	ck_assert(vg_device_service(dev, 64));
	ck_assert_uint_eq(stats().in_flight, 3);
	ck_assert_uint_eq(vg_io_inflight(io_ring), 3);
	ck_assert_int_eq(vg_device_set_status(dev, 0), -EINPROGRESS);
	vg_device_flush(dev);
	ck_assert_uint_eq(resets, 0);
	ring_drain(io_ring, 0);
	ck_assert_uint_eq(stats().in_flight, 0);
	vg_device_flush(dev);
	ck_assert_uint_eq(resets, 1);
	ck_assert_uint_eq(vg_device_get_status(dev), 0);
	ck_assert_uint_eq(vg_view_open_requests(view), 0);

	descriptors = first = 0;
	guest.avail->idx = guest.used->idx = 0;
	driver_begin(0);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 9, DATA, 512), VIRTIO_BLK_S_OK);
	end();
}
END_TEST

START_TEST(a_broken_queue_ends_what_it_began)
{
	begin(_i);
	offer_read(0);
	guest.avail->idx = (uint16_t)(guest.avail->idx + RING_SIZE + 3);
	vg_device_kick(dev, VG_ALL_QUEUES);
	vg_device_service(dev, 64);
	ck_assert(vg_device_get_status(dev) & VG_STATUS_DEVICE_NEEDS_RESET);
	ck_assert_uint_eq(log_count("stopped until its driver resets it"), 1);

	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	guest.avail->idx = guest.used->idx = 0;
	descriptors = first = 0;
	driver_begin(0);
	/* An honest request, then one whose head is past the ring. */
	offer_read(0);
	ring_offer(&guest, RING_SIZE);
	vg_device_kick(dev, VG_ALL_QUEUES);
	ck_assert(vg_device_service(dev, 64));
	ck_assert(vg_device_get_status(dev) & VG_STATUS_DEVICE_NEEDS_RESET);
	if (io_ring)
		ring_drain(io_ring, 0);
	vg_device_flush(dev);
	ck_assert_uint_eq(guest.used->idx, 1);
	ck_assert_uint_eq(guest.data[STATUS], VIRTIO_BLK_S_OK);
	ck_assert(holds_sector(DATA, 512, 0));
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk-errors");
	TCase *errors = tcase_create("errors");
	SRunner *runner;
	int failed;

	tcase_set_timeout(errors, 120);
	tcase_add_loop_test(errors, sectors_and_lengths_are_checked, 0, NUM_RANGES * WAYS);
	tcase_add_loop_test(errors, unknown_types_are_unsupported, 0, WAYS);
	tcase_add_loop_test(errors, headers_that_are_too_short, 0, WAYS);
	tcase_add_loop_test(errors, a_refused_request_still_has_its_status, 0,
			    NUM_UNREACHABLE * WAYS);
	tcase_add_loop_test(errors, a_status_that_cannot_be_reached, 0, WAYS);
	tcase_add_loop_test(errors, requests_that_must_wait_for_memory, 0, 2);
	tcase_add_loop_test(errors, a_failed_read_shows_nothing_stale, 0, WAYS);
	tcase_add_loop_test(errors, a_lost_disk, 0, WAYS);
	tcase_add_loop_test(errors, without_flush_writes_are_stable, 0, WAYS / 2);
	tcase_add_loop_test(errors, a_reset_waits_for_the_disk, 0, WAYS / 2);
	tcase_add_loop_test(errors, a_broken_queue_ends_what_it_began, 0, WAYS);
	suite_add_tcase(suite, errors);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

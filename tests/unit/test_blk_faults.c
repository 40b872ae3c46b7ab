// SPDX-License-Identifier: MIT
/*
 * The file engine when the kernel is short, interrupts, refuses or is busy. This program stands in
 * for the C library's calls and for liburing's submit.
 */
#include <dlfcn.h>
#include <errno.h>
#include <sys/syscall.h>

#include "engine_support.h"

#define SIZE (64 << 10)

/* What the next calls do: the first fail_times fail with fail_errno; the others transfer at most
 * most bytes, when it is not 0. */
static int fail_errno;
static unsigned int fail_times;
static size_t most;
static bool ring_is_busy;

static unsigned int calls, direct_calls, dsync_calls, syncs;

static void note(int file)
{
	calls++;
	direct_calls += file != fd;
}

static bool fails(void)
{
	if (!fail_times)
		return false;
	fail_times--;
	errno = fail_errno;
	return true;
}

/* The pieces up to @most bytes; returns their number. */
static int shorten(const struct iovec *iov, int n, struct iovec *part)
{
	size_t left = most;
	int i;

	memcpy(part, iov, (size_t)n * sizeof(*iov));
	if (!most)
		return n;
	for (i = 0; i < n && left; i++) {
		if (part[i].iov_len > left)
			part[i].iov_len = left;
		left -= part[i].iov_len;
	}
	return i;
}

ssize_t preadv(int file, const struct iovec *iov, int n, off_t offset)
{
	struct iovec part[MAX_PIECES];

	note(file);
	if (fails())
		return -1;
	n = shorten(iov, n, part);
	return syscall(SYS_preadv, file, part, n, offset, 0);
}

ssize_t pwritev2(int file, const struct iovec *iov, int n, off_t offset, int flags)
{
	struct iovec part[MAX_PIECES];

	note(file);
	dsync_calls += flags == RWF_DSYNC;
	if (fails())
		return -1;
	n = shorten(iov, n, part);
	return syscall(SYS_pwritev2, file, part, n, offset, 0, flags);
}

int fdatasync(int file)
{
	note(file);
	syncs++;
	return fails() ? -1 : (int)syscall(SYS_fdatasync, file);
}

int io_uring_submit(struct io_uring *r)
{
	int (*real)(struct io_uring *) = NULL;

	if (ring_is_busy)
		return -EAGAIN;
	*(void **)(void *)&real = dlsym(RTLD_NEXT, "io_uring_submit");
	return real(r);
}

/* Odd pieces, and every call ends in the middle of one. */
START_TEST(short_transfers_are_continued)
{
	uint8_t in[5000], out[5000], back[2560];
	struct operation o;
	size_t at = 0;

	engine_begin(_i & 2, SIZE);
	memset(in, 0xee, sizeof(in));
	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = disk_byte(i, 5);
	most = 301;
	operation(&o, VG_BLK_READ, 1024);
	piece(&o, in, 1);
	piece(&o, in + 10, 299);
	piece(&o, in + 400, 3);
	piece(&o, in + 500, 1233);
	piece(&o, in + 2000, 1024);
	run_well(&o);
	ck_assert_uint_eq(calls, 9); /* 2560 bytes, 301 at a time */
	for (unsigned int i = 0; i < 5; at += o.iov[i++].len)
		ck_assert_uint_eq(disk_same((const uint8_t *)(uintptr_t)o.iov[i].base, o.iov[i].len,
					    1024 + at, 0),
				  o.iov[i].len);
	ck_assert_uint_eq(in[1], 0xee);
	ck_assert_uint_eq(in[309], 0xee);
	ck_assert_uint_eq(in[403], 0xee);
	ck_assert_uint_eq(in[500 + 1233], 0xee);
	ck_assert_uint_eq(in[3024], 0xee);

	operation(&o, VG_BLK_WRITE, 8192);
	piece(&o, out, 5);
	piece(&o, out + 5, 2555);
	most = 5; /* just the first piece, then always short */
	run_well(&o);
	ck_assert_int_eq(pread(fd, back, sizeof(back), 8192), 2560);
	ck_assert_mem_eq(back, out, sizeof(back));
	engine_end();
}
END_TEST

/* What is left after a short direct transfer may not be fit for the direct way. */
START_TEST(a_short_direct_transfer_goes_on_buffered)
{
	uint8_t *in = aligned(8192);
	struct operation o;

	engine_begin(2, SIZE);
	most = 4096;
	operation(&o, VG_BLK_READ, 4096);
	piece(&o, in, 8192);
	run_well(&o);
	ck_assert_uint_eq(calls, 2);
	ck_assert_uint_eq(direct_calls, direct_works(fd) ? 2 : 0);
	/* A direct read of 100 bytes cannot be had from the kernel: EINVAL, as a real one. */
	calls = direct_calls = 0;
	most = 100;
	operation(&o, VG_BLK_READ, 4096);
	piece(&o, in, 512);
	run_well(&o);
	ck_assert_uint_eq(direct_calls, direct_works(fd) ? 1 : 0);
	ck_assert_uint_eq(calls, direct_calls + 6);
	ck_assert_uint_eq(disk_same(in, 512, 4096, 0), 512);
	engine_end();
	free(in);
}
END_TEST

START_TEST(what_the_direct_way_refuses_goes_buffered)
{
	static const int refusals[] = {EINVAL, EFAULT, EOPNOTSUPP};
	uint8_t *bytes = aligned(4096);
	struct operation o;

	engine_begin(2, SIZE);
	ck_assert(!direct_works(fd) || direct_calls == 0);
	fail_errno = refusals[_i];
	fail_times = direct_works(fd) ? 1 : 0;
	operation(&o, VG_BLK_WRITE, 4096);
	piece(&o, bytes, 4096);
	run_well(&o);
	ck_assert_uint_eq(direct_calls, direct_works(fd) ? 1 : 0);
	ck_assert_uint_eq(calls, direct_calls + 1);
	/* Once more buffered is the end. */
	fail_times = 2;
	operation(&o, VG_BLK_WRITE, 4096);
	piece(&o, bytes, 4096);
	run(&o);
	ck_assert_int_eq(o.error, -refusals[_i]);
	/* The next is tried the direct way again. */
	fail_times = 0;
	calls = direct_calls = 0;
	operation(&o, VG_BLK_WRITE, 4096);
	piece(&o, bytes, 4096);
	run_well(&o);
	ck_assert_uint_eq(calls, 1);
	ck_assert_uint_eq(direct_calls, direct_works(fd) ? 1 : 0);
	engine_end();
	free(bytes);
}
END_TEST

START_TEST(interruptions_are_bounded)
{
	static const int interruptions[] = {EINTR, EAGAIN};
	uint8_t bytes[512];
	struct operation o;

	engine_begin(0, SIZE);
	fail_errno = interruptions[_i];
	fail_times = 8;
	operation(&o, VG_BLK_READ, 512);
	piece(&o, bytes, 512);
	run_well(&o);
	fail_times = 9;
	operation(&o, VG_BLK_READ, 512);
	piece(&o, bytes, 512);
	run(&o);
	ck_assert_int_eq(o.error, -fail_errno);
	ck_assert_uint_eq(fail_times, 0);
	/* Each step forward gives new patience. */
	most = 256;
	fail_times = 8;
	operation(&o, VG_BLK_FLUSH, 0);
	run_well(&o);
	ck_assert_uint_eq(syncs, 9);
	engine_end();
}
END_TEST

START_TEST(disk_errors_are_told)
{
	static const int errors[] = {EIO, ENOSPC, EDQUOT, ENODEV};
	uint8_t bytes[1024] = {0};
	struct operation o;

	engine_begin(0, SIZE);
	fail_errno = errors[_i];
	for (unsigned int type = 0; type < 3; type++) {
		operation(&o, (enum vg_blk_op_type)type, 512);
		if (type != VG_BLK_FLUSH)
			piece(&o, bytes, 1024);
		fail_times = 1;
		run(&o);
		ck_assert_int_eq(o.error, -errors[_i]);
		ck_assert_uint_eq(o.bytes, 0);
		run_well(&o);
	}
	engine_end();
}
END_TEST

START_TEST(a_stable_write_says_so_to_the_kernel)
{
	uint8_t bytes[512] = {0};
	struct operation o;

	engine_begin(0, SIZE);
	operation(&o, VG_BLK_WRITE, 0);
	piece(&o, bytes, 512);
	run_well(&o);
	ck_assert_uint_eq(dsync_calls, 0);
	o.op.stable = true;
	run_well(&o);
	ck_assert_uint_eq(dsync_calls, 1);
	ck_assert_uint_eq(syncs, 0);
	operation(&o, VG_BLK_FLUSH, 0);
	run_well(&o);
	ck_assert_uint_eq(syncs, 1);
	engine_end();
}
END_TEST

/* The kernel takes nothing: what finds no room in the ring is done at once, the rest waits. */
START_TEST(a_busy_ring_holds_nothing_up)
{
	static struct operation o[20];
	uint8_t *bytes = aligned(20480);
	unsigned int done = 0;

	engine_begin(1 | (_i & 2), SIZE);
	ring_is_busy = true;
	for (unsigned int i = 0; i < 20; i++) {
		uint8_t *memory = bytes + (size_t)i * 1024 + (i % 2 ? 1 : 0);

		operation(&o[i], VG_BLK_WRITE, i * 512L);
		memset(memory, (int)i, 512);
		piece(&o[i], memory, 512);
		vg_blk_submit(engine, &o[i].op);
		done += o[i].calls;
	}
	ck_assert_uint_le(vg_io_inflight(ring), 8); /* the ring's size */
	ck_assert_int_eq(vg_io_submit(ring), -EAGAIN);
	ck_assert_uint_eq(engine->inflight, 20 - done);
	if (!(_i & 2))
		ck_assert_uint_eq(done, 12);
	ring_is_busy = false;
	ring_drain(ring, 0);
	for (unsigned int i = 0; i < 20; i++) {
		const uint8_t *memory = bytes + (size_t)i * 1024 + (i % 2 ? 1 : 0);
		uint8_t back[512];

		ck_assert_uint_eq(o[i].calls, 1);
		ck_assert_int_eq(o[i].error, 0);
		ck_assert_int_eq(pread(fd, back, 512, i * 512L), 512);
		ck_assert_mem_eq(back, memory, 512);
	}
	engine_end();
	free(bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk-faults");
	TCase *faults = tcase_create("faults");
	SRunner *runner;
	int failed;

	tcase_set_timeout(faults, 120);
	tcase_add_loop_test(faults, short_transfers_are_continued, 0, WAYS);
	tcase_add_test(faults, a_short_direct_transfer_goes_on_buffered);
	tcase_add_loop_test(faults, what_the_direct_way_refuses_goes_buffered, 0, 3);
	tcase_add_loop_test(faults, interruptions_are_bounded, 0, 2);
	tcase_add_loop_test(faults, disk_errors_are_told, 0, 4);
	tcase_add_test(faults, a_stable_write_says_so_to_the_kernel);
	tcase_add_loop_test(faults, a_busy_ring_holds_nothing_up, 1, WAYS);
	suite_add_tcase(suite, faults);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

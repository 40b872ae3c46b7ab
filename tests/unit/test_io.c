// SPDX-License-Identifier: MIT
/* The io_uring that a worker's devices share. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "disk_support.h"

struct request {
	struct vg_io io;
	struct iovec iov;
	uint8_t bytes[512];
	unsigned int calls;
	int res;
};

static struct vg_io_ring *ring;
static int fd;

static void setup(void)
{
	ring = ring_open(4);
	fd = disk_file(64 << 10);
	disk_fill(fd, 64 << 10, 1);
}

static void teardown(void)
{
	ck_assert_uint_eq(vg_io_inflight(ring), 0);
	vg_io_ring_close(ring);
	close(fd);
}

static void request_done(struct vg_io *io, int res)
{
	struct request *r = (struct request *)(void *)((char *)io - offsetof(struct request, io));

	r->calls++;
	r->res = res;
}

static void queue_read(struct request *r, int from, uint64_t sector)
{
	struct io_uring_sqe *sqe = vg_io_sqe(ring);

	ck_assert_ptr_nonnull(sqe);
	r->io.done = request_done;
	r->iov = (struct iovec){r->bytes, sizeof(r->bytes)};
	io_uring_prep_readv(sqe, from, &r->iov, 1, sector * 512);
	io_uring_sqe_set_data(sqe, &r->io);
}

static void check_sector(const struct request *r, uint64_t sector)
{
	ck_assert_uint_eq(r->calls, 1);
	ck_assert_int_eq(r->res, 512);
	ck_assert_uint_eq(disk_same(r->bytes, 512, sector * 512, 1), 512);
}

START_TEST(open_checks_its_arguments)
{
	struct vg_io_ring *other;

	ck_assert_int_eq(vg_io_ring_open(0, true, &test_log, &other), -EINVAL);
	ck_assert_ptr_null(other);
	ck_assert_int_eq(vg_io_ring_open(VG_IO_MAX_ENTRIES + 1, true, &test_log, &other), -EINVAL);
	vg_io_ring_close(NULL);
	/* Any number of entries will do. */
	ck_assert_int_eq(vg_io_ring_open(5, true, NULL, &other), 0);
	vg_io_ring_close(other);
}
END_TEST

START_TEST(nothing_queued_is_nothing_done)
{
	ck_assert_int_eq(vg_io_submit(ring), 0);
	ck_assert_uint_eq(vg_io_reap(ring, 10), 0);
	ck_assert_uint_eq(vg_io_inflight(ring), 0);
}
END_TEST

START_TEST(one_read)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct request r = {0};
	int ep = epoll_create1(EPOLL_CLOEXEC), n;

	ck_assert_int_eq(epoll_ctl(ep, EPOLL_CTL_ADD, vg_io_ring_fd(ring), &event), 0);
	ck_assert_int_eq(epoll_wait(ep, &event, 1, 0), 0);
	queue_read(&r, fd, 3);
	ck_assert_uint_eq(vg_io_inflight(ring), 1);
	ck_assert_uint_eq(r.calls, 0);
	ck_assert_int_eq(vg_io_submit(ring), 0);
	do
		n = epoll_wait(ep, &event, 1, WAIT_MS);
	while (n < 0 && errno == EINTR);
	ck_assert_int_eq(n, 1);
	ck_assert_uint_eq(vg_io_reap(ring, 0), 0);
	ck_assert_uint_eq(r.calls, 0);
	ck_assert_uint_eq(vg_io_reap(ring, 10), 1);
	ck_assert_uint_eq(vg_io_inflight(ring), 0);
	check_sector(&r, 3);
	ck_assert_int_eq(epoll_wait(ep, &event, 1, 0), 0);
	close(ep);
}
END_TEST

START_TEST(write_and_sync)
{
	struct request w = {.io.done = request_done}, s = {.io.done = request_done};
	struct io_uring_sqe *sqe = vg_io_sqe(ring);
	char text[] = "ring", back[4];

	w.iov = (struct iovec){text, 4};
	io_uring_prep_writev(sqe, fd, &w.iov, 1, 1000);
	io_uring_sqe_set_data(sqe, &w.io);
	ring_drain(ring, 0);
	sqe = vg_io_sqe(ring);
	io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, &s.io);
	ring_drain(ring, 0);
	ck_assert_int_eq(w.res, 4);
	ck_assert_int_eq(s.res, 0);
	ck_assert_uint_eq(s.calls, 1);
	ck_assert_int_eq(pread(fd, back, 4, 1000), 4);
	ck_assert_mem_eq(back, "ring", 4);
}
END_TEST

/* 4 entries and room for 8 completions, and nobody reaps. */
START_TEST(an_overflow_loses_nothing)
{
	static struct request r[100];

	for (unsigned int i = 0; i < 100; i++)
		queue_read(&r[i], fd, i);
	ck_assert_uint_eq(vg_io_inflight(ring), 100);
	ck_assert_int_eq(vg_io_submit(ring), 0);
	ck_assert_uint_eq(r[0].calls, 0);
	ring_drain(ring, 0);
	for (unsigned int i = 0; i < 100; i++)
		check_sector(&r[i], i);
}
END_TEST

START_TEST(a_budget_is_kept)
{
	static struct request r[4];
	unsigned int calls = 0;

	for (unsigned int i = 0; i < 4; i++)
		queue_read(&r[i], fd, i);
	ck_assert_int_eq(vg_io_submit(ring), 0);
	while (vg_io_inflight(ring)) {
		struct pollfd p = {.fd = vg_io_ring_fd(ring), .events = POLLIN};
		unsigned int before = vg_io_inflight(ring), n;

		ck_assert_int_ne(poll(&p, 1, WAIT_MS), 0);
		n = vg_io_reap(ring, 1);
		ck_assert_uint_le(n, 1);
		ck_assert_uint_eq(vg_io_inflight(ring), before - n);
		calls += n;
	}
	ck_assert_uint_eq(calls, 4);
}
END_TEST

START_TEST(an_error_is_the_request_s)
{
	struct request bad = {0}, good = {0}, after = {0};

	queue_read(&good, fd, 0);
	queue_read(&bad, -1, 0);
	queue_read(&after, fd, 1);
	ring_drain(ring, 0);
	ck_assert_uint_eq(bad.calls, 1);
	ck_assert_int_eq(bad.res, -EBADF);
	check_sector(&good, 0);
	check_sector(&after, 1);
}
END_TEST

static unsigned int generations, queued;

/* The first one queues more than the ring has entries, each of the others one more. */
static void again(struct vg_io *io, int res)
{
	static struct request more[60];

	(void)io;
	ck_assert_int_eq(res, 512);
	generations++;
	for (int i = 0; i < (generations == 1 ? 6 : 1) && queued < 60; i++) {
		queue_read(&more[queued], fd, queued);
		more[queued++].io.done = again;
	}
}

START_TEST(done_may_queue_more)
{
	struct request r = {0};

	queue_read(&r, fd, 0);
	r.io.done = again;
	ring_drain(ring, 0);
	ck_assert_uint_eq(generations, 61);
}
END_TEST

/* What a device never needs, a worker that was taken over does not get. */
START_TEST(other_operations_are_refused)
{
	struct request r = {.io.done = request_done};
	struct io_uring_sqe *sqe = vg_io_sqe(ring);

	io_uring_prep_openat(sqe, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0);
	io_uring_sqe_set_data(sqe, &r.io);
	ring_drain(ring, 0);
	ck_assert_int_eq(r.res, -EACCES);
	ck_assert_int_lt((int)syscall(__NR_io_uring_register, vg_io_ring_fd(ring),
				      IORING_REGISTER_FILES, &fd, 1),
			 0);
}
END_TEST

/* From now on this process gets @error from io_uring_setup(). */
static void forbid_rings(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = code};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(a_forbidden_ring_says_so)
{
	static const struct {
		int error, expected;
		const char *words;
	} cases[] = {
		{EPERM, -EPERM, "forbidden"},      {EACCES, -EPERM, "forbidden"},
		{ENOSYS, -ENOSYS, "older than"},   {EINVAL, -ENOSYS, "older than"},
		{ENOMEM, -ENOMEM, "LimitMEMLOCK"}, {EMFILE, -EMFILE, "Too many open files"},
	};
	struct vg_io_ring *other;

	forbid_rings(cases[_i].error);
	ck_assert_int_eq(vg_io_ring_open(8, true, &test_log, &other), cases[_i].expected);
	ck_assert_ptr_null(other);
	ck_assert_ptr_nonnull(strstr(logged, cases[_i].words));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io");
	TCase *ring_case = tcase_create("ring"), *forbidden = tcase_create("forbidden");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(ring_case, setup, teardown);
	tcase_set_timeout(ring_case, 120);
	tcase_add_test(ring_case, open_checks_its_arguments);
	tcase_add_test(ring_case, nothing_queued_is_nothing_done);
	tcase_add_test(ring_case, one_read);
	tcase_add_test(ring_case, write_and_sync);
	tcase_add_test(ring_case, an_overflow_loses_nothing);
	tcase_add_test(ring_case, a_budget_is_kept);
	tcase_add_test(ring_case, an_error_is_the_request_s);
	tcase_add_test(ring_case, done_may_queue_more);
	tcase_add_test(ring_case, other_operations_are_refused);
	suite_add_tcase(suite, ring_case);
	tcase_add_loop_test(forbidden, a_forbidden_ring_says_so, 0, 6);
	suite_add_tcase(suite, forbidden);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* Memory that is registered with the ring: found, used, let go of, refused. */
#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "disk_support.h"

#define PAGE 4096

struct request {
	struct vg_io io;
	int res;
};

static struct vg_io_ring *ring;
static int fd;

static void setup(void)
{
	ring = ring_open(8);
	fd = disk_file(64 << 10);
	disk_fill(fd, 64 << 10, 1);
}

static void teardown(void)
{
	ck_assert_uint_eq(vg_io_inflight(ring), 0);
	vg_io_ring_close(ring);
	close(fd);
}

static struct vg_io_stats stats(void)
{
	struct vg_io_stats s;

	vg_io_get_stats(ring, &s);
	return s;
}

static void VG_GUEST *guest(void *p)
{
	return (void VG_GUEST *)(uintptr_t)p;
}

static uint8_t *pages(unsigned int n, int prot)
{
	uint8_t *p = mmap(NULL, n * PAGE, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

static void request_done(struct vg_io *io, int res)
{
	((struct request *)(void *)io)->res = res; /* its first member */
}

/* Reads or writes @len bytes at @base, and tells whether that was done on registered memory. */
static bool transfer(bool write, uint8_t *base, size_t len, uint64_t offset)
{
	struct vg_iov iov = {guest(base), len};
	struct request r = {.io.done = request_done};
	struct io_uring_sqe *sqe = vg_io_sqe(ring);
	uint64_t before = stats().fixed;

	if (write)
		vg_io_prep_write(ring, sqe, fd, &iov, 1, offset, 0);
	else
		vg_io_prep_read(ring, sqe, fd, &iov, 1, offset);
	io_uring_sqe_set_data(sqe, &r.io);
	ring_drain(ring, 0);
	ck_assert_int_eq(r.res, (int)len);
	return stats().fixed != before;
}

static void let_go(int handle)
{
	while (!vg_io_buffer_release(ring, handle))
		ring_wait(ring);
}

START_TEST(registered_memory_is_found)
{
	uint8_t *p = pages(16, PROT_READ | PROT_WRITE);
	/* Not in the order in which they lie. */
	int b = vg_io_buffer_hold(ring, guest(p + 4 * PAGE), 4 * PAGE);
	int a = vg_io_buffer_hold(ring, guest(p + PAGE), PAGE);
	int c = vg_io_buffer_hold(ring, guest(p + 8 * PAGE), PAGE);

	ck_assert(a >= 0 && b >= 0 && c >= 0 && a != b && b != c && a != c);
	ck_assert_uint_eq(stats().buffers, 3);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + PAGE), PAGE), a);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + PAGE + 1), PAGE - 1), a);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + PAGE + 1), PAGE), -1);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + PAGE - 1), 2), -1);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p), 1), -1);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + 3 * PAGE), 1), -1);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + 7 * PAGE), PAGE), b);
	/* Neighbours are two: an operation is on one. */
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + 7 * PAGE), PAGE + 1), -1);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + 8 * PAGE), PAGE), c);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + 9 * PAGE), 1), -1);
	let_go(b);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + 4 * PAGE), 1), -1);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + PAGE), PAGE), a);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + 8 * PAGE), PAGE), c);
	let_go(a);
	let_go(c);
	ck_assert_uint_eq(stats().buffers, 0);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p + PAGE), 1), -1);
	munmap(p, 16 * PAGE);
}
END_TEST

START_TEST(registered_memory_is_used)
{
	uint8_t *p = pages(4, PROT_READ | PROT_WRITE);
	int a = vg_io_buffer_hold(ring, guest(p), 2 * PAGE);
	uint8_t back[PAGE];

	ck_assert(transfer(false, p + 100, 5000, 512));
	ck_assert_uint_eq(disk_same(p + 100, 5000, 512, 1), 5000);
	ck_assert_int_eq(p[99] | p[5100], 0);
	memset(p, 'w', PAGE);
	ck_assert(transfer(true, p, PAGE, 8192));
	ck_assert_int_eq(pread(fd, back, PAGE, 8192), PAGE);
	ck_assert_mem_eq(back, p, PAGE);
	ck_assert(!transfer(false, p + PAGE, PAGE + 1, 0));
	ck_assert(!transfer(false, p + 3 * PAGE, PAGE, 0));
	let_go(a);
	ck_assert(!transfer(false, p, PAGE, 0));
	ck_assert_uint_eq(disk_same(p, PAGE, 0, 1), PAGE);
	munmap(p, 4 * PAGE);
}
END_TEST

START_TEST(entries_say_what_is_asked_for)
{
	uint8_t *p = pages(2, PROT_READ | PROT_WRITE);
	struct vg_iov two[] = {{guest(p), PAGE}, {guest(p + PAGE), PAGE}};
	int a = vg_io_buffer_hold(ring, guest(p), 2 * PAGE);
	struct io_uring_sqe sqe = {0};

	vg_io_prep_write(ring, &sqe, fd, two, 1, 7, RWF_DSYNC);
	ck_assert_int_eq(sqe.opcode, IORING_OP_WRITE_FIXED);
	ck_assert_int_eq(sqe.buf_index, a);
	ck_assert_int_eq(sqe.rw_flags, RWF_DSYNC);
	ck_assert_uint_eq(sqe.off, 7);
	vg_io_prep_write(ring, &sqe, fd, two, 2, 7, RWF_DSYNC);
	ck_assert_int_eq(sqe.opcode, IORING_OP_WRITEV);
	ck_assert_int_eq(sqe.rw_flags, RWF_DSYNC);
	vg_io_prep_read(ring, &sqe, fd, two + 1, 1, 7);
	ck_assert_int_eq(sqe.opcode, IORING_OP_READ_FIXED);
	ck_assert_int_eq(sqe.rw_flags, 0);
	vg_io_prep_read(ring, &sqe, fd, two, 2, 7);
	ck_assert_int_eq(sqe.opcode, IORING_OP_READV);
	ck_assert_uint_eq(stats().fixed, 2);
	let_go(a);
	munmap(p, 2 * PAGE);
}
END_TEST

/*
 * That the kernel has let go is true of the pages. A memfd cannot be sealed against writing while
 * somebody holds pages of it but for its own mappings.
 */
START_TEST(released_memory_is_let_go)
{
	int memory = memfd_create("pinned", MFD_CLOEXEC | MFD_ALLOW_SEALING), handle;
	uint8_t *p;

	ck_assert_int_eq(ftruncate(memory, 4 * PAGE), 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	memset(p, 1, 4 * PAGE);
	handle = vg_io_buffer_hold(ring, guest(p), 4 * PAGE);
	ck_assert_int_ge(handle, 0);
	ck_assert(transfer(false, p, 4 * PAGE, 0));
	munmap(p, 4 * PAGE);
	ck_assert_int_eq(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ck_assert_int_eq(errno, EBUSY);
	let_go(handle);
	ck_assert_int_eq(fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), 0);
	close(memory);
}
END_TEST

START_TEST(handles_are_used_again)
{
	uint8_t *p = pages(1, PROT_READ | PROT_WRITE);
	static int handle[VG_IO_MAX_BUFFERS];

	for (unsigned int i = 0; i < VG_IO_MAX_BUFFERS; i++) {
		handle[i] = vg_io_buffer_hold(ring, guest(p), PAGE);
		ck_assert_int_ge(handle[i], 0);
	}
	ck_assert_int_eq(vg_io_buffer_hold(ring, guest(p), PAGE), -ENOSPC);
	ck_assert_uint_eq(log_count("not registered"), 1);
	ck_assert_uint_eq(stats().buffers, VG_IO_MAX_BUFFERS);
	let_go(handle[500]);
	ck_assert_uint_eq(stats().buffers, VG_IO_MAX_BUFFERS - 1);
	ck_assert_int_eq(vg_io_buffer_hold(ring, guest(p), PAGE), handle[500]);
	ck_assert_int_eq(vg_io_buffer_hold(ring, guest(p), PAGE), -ENOSPC);
	ck_assert_uint_eq(log_count("not registered"), 1);
	for (unsigned int i = 0; i < VG_IO_MAX_BUFFERS; i++)
		let_go(handle[i]);
	ck_assert_uint_eq(stats().buffers, 0);
	munmap(p, PAGE);
}
END_TEST

/* Its pages cannot be written to; those of the next can. */
START_TEST(what_cannot_be_pinned_is_used_without)
{
	uint8_t *p = pages(1, PROT_READ), *q = pages(1, PROT_READ | PROT_WRITE);
	int handle;

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(vg_io_buffer_hold(ring, guest(p), PAGE), -EFAULT);
	ck_assert_uint_eq(log_count("does not pin such memory"), 1);
	ck_assert_int_eq(vg_io_buffer_find(ring, guest(p), 1), -1);
	handle = vg_io_buffer_hold(ring, guest(q), PAGE);
	ck_assert_int_ge(handle, 0);
	ck_assert(transfer(false, q, PAGE, 0));
	let_go(handle);
	munmap(p, PAGE);
	munmap(q, PAGE);
}
END_TEST

/* Whoever has taken a worker over gets no other registration. */
START_TEST(other_registrations_are_refused)
{
	uint8_t *p = pages(1, PROT_READ | PROT_WRITE);
	struct iovec iov = {p, PAGE};

	ck_assert_int_eq((int)syscall(__NR_io_uring_register, vg_io_ring_fd(ring),
				      IORING_UNREGISTER_BUFFERS, NULL, 0),
			 -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq((int)syscall(__NR_io_uring_register, vg_io_ring_fd(ring),
				      IORING_REGISTER_BUFFERS, &iov, 1),
			 -1);
	ck_assert_int_eq(errno, EACCES);
	munmap(p, PAGE);
}
END_TEST

START_TEST(a_ring_registers_only_if_it_is_to)
{
	uint8_t *p = pages(1, PROT_READ | PROT_WRITE);
	struct iovec iov = {p, PAGE};
	struct io_uring_rsrc_update2 update = {.data = (uintptr_t)&iov, .nr = 1};
	struct vg_io_ring *other;

	ck_assert_int_eq(vg_io_ring_open(4, false, &test_log, &other), 0);
	ck_assert_int_eq(vg_io_buffer_hold(other, guest(p), PAGE), -EOPNOTSUPP);
	ck_assert_int_eq((int)syscall(__NR_io_uring_register, vg_io_ring_fd(other),
				      IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update)),
			 -1);
	ck_assert_int_eq(errno, EACCES);
	vg_io_ring_close(other);
	munmap(p, PAGE);
}
END_TEST

/* From now on this process may lock no more memory than a ring takes. */
static void lock_little(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];
	const struct rlimit little = {65536, 65536};

	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &little), 0);
	ck_assert_int_eq((int)syscall(SYS_capget, &head, caps), 0);
	caps[0].effective &= ~(UINT32_C(1) << CAP_IPC_LOCK);
	caps[0].permitted &= ~(UINT32_C(1) << CAP_IPC_LOCK);
	caps[0].inheritable = caps[1].inheritable = 0;
	ck_assert_int_eq((int)syscall(SYS_capset, &head, caps), 0);
}

START_TEST(a_limit_of_locked_memory_is_no_error)
{
	uint8_t *p = pages(64, PROT_READ | PROT_WRITE);

	vg_io_ring_close(ring);
	lock_little();
	ring = ring_open(8);
	ck_assert_int_eq(vg_io_buffer_hold(ring, guest(p), 64 * PAGE), -ENOMEM);
	ck_assert_int_eq(vg_io_buffer_hold(ring, guest(p), 64 * PAGE), -ENOMEM);
	ck_assert_uint_eq(log_count("LimitMEMLOCK"), 1);
	ck_assert(!transfer(false, p, PAGE, 0));
	ck_assert_uint_eq(disk_same(p, PAGE, 0, 1), PAGE);
	ck_assert_uint_eq(stats().buffers, 0);
	munmap(p, 64 * PAGE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io-buffers");
	TCase *tc = tcase_create("buffers");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, registered_memory_is_found);
	tcase_add_test(tc, registered_memory_is_used);
	tcase_add_test(tc, entries_say_what_is_asked_for);
	tcase_add_test(tc, released_memory_is_let_go);
	tcase_add_test(tc, handles_are_used_again);
	tcase_add_test(tc, what_cannot_be_pinned_is_used_without);
	tcase_add_test(tc, other_registrations_are_refused);
	tcase_add_test(tc, a_ring_registers_only_if_it_is_to);
	tcase_add_test(tc, a_limit_of_locked_memory_is_no_error);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/*
 * What the file engine makes of the descriptor it is given. This program stands in for fstat(),
 * ioctl() and statx(), so that a file can pose as any block device.
 */
#include <errno.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "engine_support.h"

static struct {
	bool poses;
	uint64_t size;
	int logical, read_only;
	unsigned int physical, optimal;
	int error;
} device;

/* What statx() says of direct I/O, when it is stand_in; stated says whether it says anything. */
static struct {
	bool stand_in, stated;
	uint32_t mem, offset;
} dio;

int fstat(int file, struct stat *st)
{
	int ret = (int)syscall(SYS_newfstatat, file, "", st, AT_EMPTY_PATH);

	if (!ret && device.poses)
		st->st_mode = S_IFBLK | 0600;
	return ret;
}

int ioctl(int file, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (file != fd || !device.poses || device.error) {
		errno = device.error ? device.error : ENOTTY;
		return -1;
	}
	switch (request) {
	case BLKGETSIZE64:
		memcpy(arg, &device.size, sizeof(device.size));
		return 0;
	case BLKSSZGET:
		memcpy(arg, &device.logical, sizeof(device.logical));
		return 0;
	case BLKPBSZGET:
		memcpy(arg, &device.physical, sizeof(device.physical));
		return 0;
	case BLKIOOPT:
		memcpy(arg, &device.optimal, sizeof(device.optimal));
		return 0;
	case BLKROGET:
		memcpy(arg, &device.read_only, sizeof(device.read_only));
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

int statx(int dir, const char *path, int flags, unsigned int mask, struct statx *stx)
{
	int ret = (int)syscall(SYS_statx, dir, path, flags, mask, stx);

	if (!ret && dio.stand_in) {
		stx->stx_mask &= ~STATX_DIOALIGN;
		stx->stx_mask |= dio.stated ? STATX_DIOALIGN : 0;
		stx->stx_dio_mem_align = dio.mem;
		stx->stx_dio_offset_align = dio.offset;
	}
	return ret;
}

static int open_engine(bool read_only, bool buffered)
{
	struct vg_blk_engine_options options = engine_options(2);

	options.read_only = read_only;
	options.buffered = buffered;
	return vg_blk_engine_file_open(&options, &engine);
}

static void close_engine(void)
{
	vg_blk_engine_close(engine);
	engine = NULL;
}

static void teardown(void)
{
	close_engine();
	close(fd);
}

START_TEST(regular_file)
{
	fd = disk_file((1 << 20) + 511);
	ck_assert_int_eq(open_engine(false, false), 0);
	ck_assert_uint_eq(engine->limits.capacity, 1 << 20);
	ck_assert_uint_eq(engine->limits.logical_block, 512);
	ck_assert_uint_ge(engine->limits.physical_block, 512);
	ck_assert_uint_eq(engine->limits.physical_block & (engine->limits.physical_block - 1), 0);
	ck_assert(!engine->limits.read_only);
	ck_assert_uint_eq(log_count("last 511 bytes are not a whole sector"), 1);
	close_engine();
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	ck_assert_int_eq(open_engine(true, false), 0);
	ck_assert(engine->limits.read_only);
	ck_assert_uint_eq(log_count("last "), 1);
	ck_assert_uint_eq(log_count("read-only"), 0); /* it was asked for */
}
END_TEST

START_TEST(the_smallest_disk)
{
	fd = disk_file(511);
	ck_assert_int_eq(open_engine(false, false), -EINVAL);
	ck_assert_ptr_null(engine);
	ck_assert_uint_eq(log_count("less than one sector"), 1);
	ck_assert_int_eq(ftruncate(fd, 512), 0);
	ck_assert_int_eq(open_engine(false, false), 0);
	ck_assert_uint_eq(engine->limits.capacity, 512);
}
END_TEST

START_TEST(what_is_no_disk)
{
	int pipes[2];

	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(open_engine(false, false), -EINVAL);
	close(fd);
	fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(open_engine(false, false), -EINVAL);
	close(fd);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	fd = pipes[0];
	ck_assert_int_eq(open_engine(false, false), -EINVAL);
	ck_assert_uint_eq(log_count("neither a regular file nor a block device"), 3);
	close(pipes[0]);
	close(pipes[1]);
	ck_assert_int_eq(open_engine(false, false), -EBADF);
	ck_assert_ptr_null(engine);
	ck_assert_uint_eq(log_count("Bad file descriptor"), 1);
}
END_TEST

/* The same file, open in another way. */
static void reopen(int flags)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	ck_assert_int_ge(again, 0);
	close(fd);
	fd = again;
}

START_TEST(ways_of_being_open)
{
	char back[4096];
	struct operation o;

	fd = disk_file(65536);
	disk_fill(fd, 65536, 0);
	reopen(O_RDONLY);
	ck_assert_int_eq(open_engine(false, false), 0);
	ck_assert(engine->limits.read_only);
	ck_assert_uint_eq(log_count("read-only"), 1);
	close_engine();
	reopen(O_WRONLY);
	ck_assert_int_eq(open_engine(false, false), -EACCES);
	ck_assert_uint_eq(log_count("for writing only"), 1);
	/* With O_APPEND the write would go to the end. */
	reopen(O_RDWR | O_APPEND | O_NONBLOCK);
	ck_assert_int_eq(open_engine(false, true), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), 0);
	memset(back, 9, sizeof(back));
	operation(&o, VG_BLK_WRITE, 4096);
	piece(&o, back, 4096);
	run_well(&o);
	memset(back, 0, sizeof(back));
	ck_assert_int_eq(pread(fd, back, 4096, 4096), 4096);
	ck_assert_int_eq(back[0] + back[4095], 18);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 65536);
	close_engine();
	if (direct_works(fd)) {
		reopen(O_RDWR | O_DIRECT);
		ck_assert_int_eq(open_engine(false, false), 0);
		operation(&o, VG_BLK_READ, 4096);
		piece(&o, back + 1, 512);
		run_well(&o);
	}
}
END_TEST

START_TEST(block_device)
{
	fd = disk_file(1 << 20);
	device.poses = true;
	device.size = (UINT64_C(7) << 40) + 1024;
	device.logical = 4096;
	device.physical = 16384;
	device.optimal = 65536;
	ck_assert_int_eq(open_engine(false, false), 0);
	ck_assert_uint_eq(engine->limits.capacity, UINT64_C(7) << 40);
	ck_assert_uint_eq(engine->limits.logical_block, 4096);
	ck_assert_uint_eq(engine->limits.physical_block, 16384);
	ck_assert_uint_eq(engine->limits.optimal_io, 65536);
	ck_assert(!engine->limits.read_only);
	close_engine();

	/* Values that make no sense are not passed on. */
	device.physical = 3000;
	device.optimal = 5000;
	device.read_only = 1;
	ck_assert_int_eq(open_engine(false, false), 0);
	ck_assert_uint_eq(engine->limits.physical_block, 4096);
	ck_assert_uint_eq(engine->limits.optimal_io, 0);
	ck_assert(engine->limits.read_only);
	ck_assert_uint_eq(log_count("read-only"), 1);
	close_engine();
	device.logical = 520;
	ck_assert_int_eq(open_engine(false, false), -EINVAL);
	device.logical = -1;
	ck_assert_int_eq(open_engine(false, false), -EINVAL);
	device.logical = 512;
	device.size = 0; /* an empty drive */
	ck_assert_int_eq(open_engine(false, false), -EINVAL);
	ck_assert_uint_eq(log_count("cannot be served"), 3);
	device.error = EIO;
	ck_assert_int_eq(open_engine(false, false), -EIO);
	ck_assert_uint_eq(log_count("does not tell its size"), 1);
}
END_TEST

/* What is read from @memory bytes past an aligned address at @offset goes the direct way. */
static bool goes_direct(unsigned int memory, uint64_t offset, unsigned int len)
{
	static uint8_t bytes[65536] __attribute__((aligned(65536)));
	struct operation o;

	operation(&o, VG_BLK_READ, offset);
	piece(&o, bytes + memory, len);
	run_well(&o);
	return o.op.direct;
}

START_TEST(alignment_as_the_kernel_states_it)
{
	bool direct;

	fd = disk_file(65536);
	direct = direct_works(fd);
	dio.stand_in = dio.stated = true;
	dio.mem = 4096;
	dio.offset = 8192;
	ck_assert_int_eq(open_engine(false, false), 0);
	ck_assert(goes_direct(4096, 8192, 8192) == direct);
	ck_assert(!goes_direct(4096, 4096, 8192));
	ck_assert(!goes_direct(4096, 8192, 4096));
	ck_assert(!goes_direct(2048, 8192, 8192));
	close_engine();

	/* Not at all, and nonsense. */
	dio.mem = dio.offset = 0;
	ck_assert_int_eq(open_engine(false, false), 0);
	ck_assert(!goes_direct(0, 0, 65536));
	close_engine();
	dio.mem = 4096;
	dio.offset = 3 * 4096;
	ck_assert_int_eq(open_engine(false, false), 0);
	ck_assert(!goes_direct(0, 0, 3 * 4096));
	close_engine();
	ck_assert_uint_eq(log_count("goes through the page cache"), direct ? 2 : 3);

	dio.offset = 4096;
	ck_assert_int_eq(open_engine(false, true), 0);
	ck_assert(!goes_direct(0, 0, 4096));
}
END_TEST

START_TEST(alignment_found_out_by_reading)
{
	bool direct;

	fd = disk_file(65536);
	direct = direct_works(fd);
	dio.stand_in = true;
	ck_assert_int_eq(open_engine(false, false), 0);
	ck_assert(goes_direct(4096, 4096, 4096) == direct);
	ck_assert(!goes_direct(256, 4096, 4096));
	ck_assert(!goes_direct(512, 4096, 256));
	ck_assert_uint_eq(log_count("O_DIRECT, memory aligned to"), direct);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk-probe");
	TCase *probe = tcase_create("probe");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(probe, NULL, teardown);
	tcase_add_test(probe, regular_file);
	tcase_add_test(probe, the_smallest_disk);
	tcase_add_test(probe, what_is_no_disk);
	tcase_add_test(probe, ways_of_being_open);
	tcase_add_test(probe, block_device);
	tcase_add_test(probe, alignment_as_the_kernel_states_it);
	tcase_add_test(probe, alignment_found_out_by_reading);
	suite_add_tcase(suite, probe);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

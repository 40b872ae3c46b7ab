// SPDX-License-Identifier: MIT
/* The engines under virtio-blk, over real files: with a ring and without, direct and buffered. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "engine_support.h"

#define SIZE (256 << 10)

static void check_bytes(const uint8_t *bytes, size_t len, uint64_t offset, unsigned int seed)
{
	ck_assert_uint_eq(disk_same(bytes, len, offset, seed), len);
}

START_TEST(read_and_write_whole_pages)
{
	uint8_t *a = aligned(8192), *b = aligned(4096), *back = aligned(12288);
	struct operation o;

	engine_begin(_i, SIZE);
	operation(&o, VG_BLK_READ, 4096);
	piece(&o, a, 8192);
	piece(&o, b, 4096);
	run_well(&o);
	ck_assert_int_eq(o.op.direct, WAY_DIRECT(_i) && direct_works(fd));
	check_bytes(a, 8192, 4096, 0);
	check_bytes(b, 4096, 4096 + 8192, 0);

	memset(a, 1, 8192);
	memset(b, 2, 4096);
	operation(&o, VG_BLK_WRITE, 40960);
	piece(&o, b, 4096);
	piece(&o, a, 8192);
	run_well(&o);
	operation(&o, VG_BLK_FLUSH, 0);
	run_well(&o);
	ck_assert_int_eq(pread(fd, back, 12288, 40960), 12288);
	ck_assert_mem_eq(back, b, 4096);
	ck_assert_mem_eq(back + 4096, a, 8192);
	engine_end();
	free(a);
	free(b);
	free(back);
}
END_TEST

/* Memory at any address, in pieces of any length, at any sector. */
START_TEST(alignment_is_not_asked_for)
{
	uint8_t *in = aligned(8192), *out = aligned(8192), back[1536];
	struct operation o;

	engine_begin(_i, SIZE);
	operation(&o, VG_BLK_READ, 9 * 512L);
	piece(&o, in + 1, 7);
	piece(&o, in + 100, 1024);
	piece(&o, in + 3001, 1536 - 1024 - 7);
	run_well(&o);
	ck_assert(!o.op.direct);
	check_bytes(in + 1, 7, 9 * 512L, 0);
	check_bytes(in + 100, 1024, 9 * 512L + 7, 0);
	check_bytes(in + 3001, 505, 9 * 512L + 1031, 0);
	ck_assert_uint_eq(in[0], 0xee);
	ck_assert_uint_eq(in[8], 0xee);
	ck_assert_uint_eq(in[3001 + 505], 0xee);

	for (unsigned int i = 0; i < 8192; i++)
		out[i] = disk_byte(i, 77);
	operation(&o, VG_BLK_WRITE, 11 * 512L);
	piece(&o, out + 13, 1535);
	piece(&o, out + 5000, 1);
	run_well(&o);
	ck_assert_int_eq(pread(fd, back, sizeof(back), 11 * 512L), 1536);
	ck_assert_mem_eq(back, out + 13, 1535);
	ck_assert_uint_eq(back[1535], out[5000]);
	/* Its neighbours are as they were. */
	ck_assert_int_eq(pread(fd, back, 512, 10 * 512L), 512);
	check_bytes(back, 512, 10 * 512L, 0);
	ck_assert_int_eq(pread(fd, back, 512, 14 * 512L), 512);
	check_bytes(back, 512, 14 * 512L, 0);
	engine_end();
	free(in);
	free(out);
}
END_TEST

/*
 * Many writes at once, each to one sector, aligned memory and other memory in turns: so direct and
 * buffered writes meet in every page of the file. Every sector must hold its own write in the end.
 */
START_TEST(mixed_ways_lose_nothing)
{
	enum { SECTORS = 64, ROUNDS = 20 };
	static struct operation o[SECTORS];
	uint8_t *memory = aligned((size_t)SECTORS * 1024);

	engine_begin(_i, SIZE);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		for (unsigned int s = 0; s < SECTORS; s++) {
			unsigned int way = (s * 5 + round) % 3;
			uint8_t *bytes = memory + (size_t)s * 1024 + (way == 1 ? 3 : 0);

			memset(bytes, (int)(s + round), 512);
			operation(&o[s], way == 2 && s % 2 ? VG_BLK_READ : VG_BLK_WRITE, s * 512L);
			piece(&o[s], bytes, 512);
			vg_blk_submit(engine, &o[s].op);
		}
		if (ring)
			ring_drain(ring, 0);
		for (unsigned int s = 0; s < SECTORS; s++) {
			const uint8_t *bytes = (const uint8_t *)(uintptr_t)o[s].iov[0].base;
			uint8_t back[512];

			ck_assert_uint_eq(o[s].calls, 1);
			ck_assert_int_eq(o[s].error, 0);
			ck_assert_int_eq(pread(fd, back, 512, s * 512L), 512);
			ck_assert_mem_eq(back, bytes, 512);
		}
	}
	engine_end();
	free(memory);
}
END_TEST

/* A file that shrinks under the disk: what is there is read, the rest is an error. */
START_TEST(a_truncated_file_is_an_error)
{
	uint8_t *in = aligned(16384);
	struct operation o;

	engine_begin(_i, SIZE);
	ck_assert_int_eq(ftruncate(fd, 4096 + 8192 + 100), 0);
	operation(&o, VG_BLK_READ, 4096);
	piece(&o, in, 4096);
	piece(&o, in + 4096, 12288);
	run(&o);
	ck_assert_int_eq(o.error, -EIO);
	ck_assert_uint_eq(o.bytes, 8192 + 100);
	check_bytes(in, 8292, 4096, 0);
	operation(&o, VG_BLK_READ, 65536);
	piece(&o, in, 4096);
	run(&o);
	ck_assert_int_eq(o.error, -EIO);
	ck_assert_uint_eq(o.bytes, 0);
	engine_end();
	free(in);
}
END_TEST

START_TEST(a_write_that_does_not_fit_is_an_error)
{
	const struct rlimit limit = {65536 + 8192, RLIM_INFINITY};
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	uint8_t *out = aligned(16384);
	uint8_t back[4096];
	struct operation o;

	signal(SIGXFSZ, SIG_IGN);
	engine_begin(_i, SIZE);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	operation(&o, VG_BLK_WRITE, 131072);
	piece(&o, out, 4096);
	run(&o);
	ck_assert_int_eq(o.error, -EFBIG);
	ck_assert_uint_eq(o.bytes, 0);
	/* The part below the limit is written, and counted. */
	operation(&o, VG_BLK_WRITE, 65536);
	piece(&o, out, 16384);
	run(&o);
	ck_assert_int_eq(o.error, -EFBIG);
	ck_assert_uint_eq(o.bytes, 8192);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
	ck_assert_int_eq(pread(fd, back, 4096, 65536 + 4096), 4096);
	ck_assert_mem_eq(back, out, 4096);
	ck_assert_int_eq(pread(fd, back, 4096, 65536 + 8192), 4096);
	check_bytes(back, 4096, 65536 + 8192, 0);
	engine_end();
	free(out);
}
END_TEST

START_TEST(a_lost_descriptor_is_an_error)
{
	static const enum vg_blk_op_type types[] = {VG_BLK_READ, VG_BLK_WRITE, VG_BLK_FLUSH};
	uint8_t bytes[513];
	struct operation o;

	engine_begin(_i, SIZE);
	close(fd);
	for (unsigned int i = 0; i < 3; i++) {
		operation(&o, types[i], 0);
		if (types[i] != VG_BLK_FLUSH)
			piece(&o, bytes + 1, 512); /* not for the direct way, which is open still */
		run(&o);
		ck_assert_int_eq(o.error, -EBADF);
		ck_assert_uint_eq(o.bytes, 0);
	}
	fd = -1;
	engine_end();
}
END_TEST

START_TEST(memory_that_is_gone_is_an_error)
{
	struct operation o;

	engine_begin(_i, SIZE);
	operation(&o, VG_BLK_READ, 0);
	piece(&o, (void *)(uintptr_t)4096, 4096);
	run(&o);
	ck_assert_int_eq(o.error, -EFAULT);
	operation(&o, VG_BLK_WRITE, 0);
	piece(&o, (void *)(uintptr_t)4096, 4096);
	run(&o);
	ck_assert_int_eq(o.error, -EFAULT);
	engine_end();
}
END_TEST

/*
 * Direct writes and buffered accesses wait for each other, in order; direct reads wait for nobody.
 * Nothing reaches the kernel before vg_io_submit(), so what the ring holds is what has begun.
 */
START_TEST(direct_writes_and_the_cache_take_turns)
{
	uint8_t *memory = aligned(16384);
	struct operation w1, w2, u1, u2, r;
	bool direct;

	engine_begin(WAY_RING(1) | 2, SIZE);
	direct = direct_works(fd);
	operation(&w1, VG_BLK_WRITE, 0);
	piece(&w1, memory, 512);
	operation(&u1, VG_BLK_WRITE, 512);
	piece(&u1, memory + 1, 512);
	operation(&w2, VG_BLK_WRITE, 1024);
	piece(&w2, memory + 4096, 512);
	operation(&u2, VG_BLK_READ, 2048);
	piece(&u2, memory + 8193, 512);
	operation(&r, VG_BLK_READ, 1536);
	piece(&r, memory + 12288, 512);

	vg_blk_submit(engine, &w1.op);
	ck_assert_uint_eq(vg_io_inflight(ring), 1);
	vg_blk_submit(engine, &u1.op);
	ck_assert_uint_eq(vg_io_inflight(ring), direct ? 1 : 2);
	vg_blk_submit(engine, &w2.op);
	ck_assert_uint_eq(vg_io_inflight(ring), direct ? 1 : 3);
	vg_blk_submit(engine, &u2.op);
	ck_assert_uint_eq(vg_io_inflight(ring), direct ? 1 : 4);
	vg_blk_submit(engine, &r.op);
	ck_assert_uint_eq(vg_io_inflight(ring), direct ? 2 : 5);
	ck_assert_uint_eq(engine->inflight, 5);
	ring_drain(ring, 0);
	ck_assert_uint_eq(engine->inflight, 0);
	ck_assert_uint_eq(w1.calls + u1.calls + w2.calls + u2.calls + r.calls, 5);
	ck_assert_int_eq(w1.error | u1.error | w2.error | u2.error | r.error, 0);
	engine_end();
	free(memory);
}
END_TEST

START_TEST(null_does_nothing_at_once)
{
	struct vg_blk_engine_options options = {.size = (8 << 20) + 700, .log = &test_log};
	uint8_t bytes[512] = {0};
	struct operation o;

	options.label = "test disk";
	ck_assert_int_eq(vg_blk_engine_null_open(&options, &engine), 0);
	ck_assert_uint_eq(engine->limits.capacity, (8 << 20) + 512);
	ck_assert_uint_eq(engine->limits.logical_block, 512);
	ck_assert_uint_eq(engine->limits.physical_block, 4096);
	ck_assert(!engine->limits.read_only);
	operation(&o, VG_BLK_READ, 0);
	piece(&o, bytes, 512);
	run_well(&o);
	ck_assert_uint_eq(bytes[0] | bytes[511], 0);
	operation(&o, VG_BLK_WRITE, 0);
	piece(&o, bytes, 512);
	run_well(&o);
	operation(&o, VG_BLK_FLUSH, 0);
	run_well(&o);
	vg_blk_engine_close(engine);
	vg_blk_engine_close(NULL);

	options.size = 511;
	ck_assert_int_eq(vg_blk_engine_null_open(&options, &engine), -EINVAL);
	ck_assert_ptr_null(engine);
	ck_assert_ptr_nonnull(strstr(logged, "at least one sector"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk-engine");
	TCase *file = tcase_create("file"), *null = tcase_create("null");
	SRunner *runner;
	int failed;

	tcase_set_timeout(file, 120);
	tcase_add_loop_test(file, read_and_write_whole_pages, 0, WAYS);
	tcase_add_loop_test(file, alignment_is_not_asked_for, 0, WAYS);
	tcase_add_loop_test(file, mixed_ways_lose_nothing, 0, WAYS);
	tcase_add_loop_test(file, a_truncated_file_is_an_error, 0, WAYS);
	tcase_add_loop_test(file, a_write_that_does_not_fit_is_an_error, 0, WAYS);
	tcase_add_loop_test(file, a_lost_descriptor_is_an_error, 0, WAYS);
	tcase_add_loop_test(file, memory_that_is_gone_is_an_error, 0, WAYS);
	tcase_add_test(file, direct_writes_and_the_cache_take_turns);
	suite_add_tcase(suite, file);
	tcase_add_test(null, null_does_nothing_at_once);
	suite_add_tcase(suite, null);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* What the view costs: time does not depend on the number of regions; memory of copies goes back.
 */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "fake/fake_xen.h"
#include "memory/view_internal.h"

#define REQUESTS 64  /* open at one time */
#define REGION   8   /* pages */
#define CHUNK    256 /* pages */
#define CHUNKS   16
#define ROUNDS   15
#define TURNS    200
/* A search through 256 regions would take some twenty times as long as one through 2. */
#define SLOWER 3

static struct vg_quota quota;
static struct vg_view *view;
static struct vg_request *req[REQUESTS];
static uint32_t written[REQUESTS];

static void setup(void)
{
	const struct vg_view_config config = {
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.policy = {.copy_max = 65536, .map_max = 1 << 20},
		.max_refs = FAKE_REFS,
		.max_requests = REQUESTS,
	};

	fake_xen_reset();
	quota = (struct vg_quota){.max_pages = FAKE_REFS};
	ck_assert_int_eq(vg_view_create(&config, &view), 0);
	for (unsigned int i = 0; i < REQUESTS; i++) {
		req[i] = calloc(1, sizeof(*req[i]));
		ck_assert_ptr_nonnull(req[i]);
	}
}

static void teardown(void)
{
	vg_view_destroy(view);
	for (unsigned int i = 0; i < REQUESTS; i++)
		free(req[i]);
	ck_assert_uint_eq(quota.pages, 0);
	ck_assert(fake_xen_clean());
}

/* Of this process: what others do with the processor meanwhile is not the view's cost. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Picoseconds of a request whose place is each time in another one of @regions of so many pages.
 * With two small ones at least, what was found last is of no use. */
static uint64_t time_of(uint32_t regions, uint32_t pages)
{
	uint64_t begin = cpu_ns(), took;
	uint32_t next = 0;
	int errors = 0;

	for (unsigned int t = 0; t < TURNS; t++) {
		for (unsigned int i = 0; i < REQUESTS; i++) {
			next = (next + 1) % regions;
			req[i]->in_segments = 1;
			req[i]->segment[0] =
				(struct vg_segment){vg_addr_make(next * pages, i), 512};
		}
		vg_view_open(view, req, REQUESTS);
		for (unsigned int i = 0; i < REQUESTS; i++)
			errors |= req[i]->error;
		vg_view_close(view, req, written, REQUESTS);
	}
	took = cpu_ns() - begin;
	/* Not in between: an assertion takes longer than a request. */
	ck_assert_int_eq(errors, 0);
	return 1000 * took / (TURNS * REQUESTS);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

START_TEST(the_number_of_regions_costs_no_time)
{
	uint64_t few[ROUNDS], many[ROUNDS];

	fake_grant(0, VG_MAX_REGIONS * REGION, true);
	for (uint32_t i = 0; i < VG_MAX_REGIONS; i++)
		ck_assert_int_eq(vg_view_region_add(view, i * REGION, REGION, true), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		few[i] = time_of(2, REGION);
		many[i] = time_of(VG_MAX_REGIONS, REGION);
	}
	qsort(few, ROUNDS, sizeof(few[0]), compare);
	qsort(many, ROUNDS, sizeof(many[0]), compare);
	ck_assert_msg(many[ROUNDS / 2] <= SLOWER * few[ROUNDS / 2],
		      "%u ps a request in one of 2 regions, %u in one of %u",
		      (unsigned int)few[ROUNDS / 2], (unsigned int)many[ROUNDS / 2],
		      VG_MAX_REGIONS);
}
END_TEST

/* A pool of many chunks is as fast as one chunk: each chunk's region is remembered. */
START_TEST(the_size_of_a_pool_costs_no_time)
{
	uint64_t one[ROUNDS], all[ROUNDS];

	fake_grant(0, CHUNKS * CHUNK, true);
	for (uint32_t i = 0; i < CHUNKS; i++)
		ck_assert_int_eq(vg_view_region_add(view, i * CHUNK, CHUNK, true), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		one[i] = time_of(1, CHUNK);
		all[i] = time_of(CHUNKS, CHUNK);
	}
	qsort(one, ROUNDS, sizeof(one[0]), compare);
	qsort(all, ROUNDS, sizeof(all[0]), compare);
	ck_assert_msg(10 * all[ROUNDS / 2] <= 13 * one[ROUNDS / 2],
		      "%u ps a request in one chunk, %u in one of %u",
		      (unsigned int)one[ROUNDS / 2], (unsigned int)all[ROUNDS / 2], CHUNKS);
}
END_TEST

/* ---- memory of copies ---- */

static size_t resident(void)
{
	size_t pages = view->slot_size * view->num_slots >> VG_PAGE_SHIFT, n = 0;
	unsigned char *in = calloc(pages, 1);

	ck_assert_ptr_nonnull(in);
	ck_assert_int_eq(mincore(view->arena, pages << VG_PAGE_SHIFT, in), 0);
	for (size_t i = 0; i < pages; i++)
		n += in[i] & 1;
	free(in);
	return n;
}

/* Opens the first @n requests, of four pages each. */
static void copy_open(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		req[i]->out_segments = 1;
		req[i]->in_segments = 0;
		req[i]->segment[0] = (struct vg_segment){vg_addr_make(4 * i, 0), 4 * VG_PAGE_SIZE};
	}
	vg_view_open(view, req, n);
	for (unsigned int i = 0; i < n; i++)
		ck_assert_int_eq(req[i]->error, 0);
}

START_TEST(copied_memory_is_given_back)
{
	fake_grant(0, 4 * REQUESTS, true);
	ck_assert_uint_eq(vg_view_copy_slots(view), 0);
	copy_open(REQUESTS);
	ck_assert_uint_eq(resident(), 4 * REQUESTS);
	ck_assert_uint_eq(vg_view_copy_slots(view), REQUESTS);
	vg_view_trim(view);
	ck_assert_uint_eq(resident(), 4 * REQUESTS); /* in use */
	vg_view_close(view, req, written, REQUESTS);
	vg_view_trim(view);
	ck_assert_uint_eq(resident(), 4 * REQUESTS); /* used since the last time */
	/* Four in flight go on: they need four slots and no more. */
	copy_open(4);
	vg_view_close(view, req, written, 4);
	copy_open(4);
	vg_view_trim(view);
	ck_assert_uint_eq(vg_view_copy_slots(view), 4);
	ck_assert_uint_eq(resident(), 4 * 4);
	vg_view_close(view, req, written, 4);
	vg_view_trim(view);
	vg_view_trim(view);
	ck_assert_uint_eq(vg_view_copy_slots(view), 0);
	ck_assert_uint_eq(resident(), 0);
}
END_TEST

START_TEST(what_was_given_back_is_used_again)
{
	char *guest = fake_grant(0, 4, true);
	char back[64] = "";

	for (unsigned int i = 0; i < 3; i++) {
		memset(guest, 'a' + (int)i, 64);
		copy_open(1);
		ck_assert_uint_eq(vg_request_read(req[0], 0, back, 64), 64);
		ck_assert_int_eq(back[63], 'a' + (int)i);
		vg_view_close(view, req, written, 1);
		vg_view_trim(view);
		vg_view_trim(view);
		ck_assert_uint_eq(vg_view_copy_slots(view), 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cost of the view");
	TCase *tc = tcase_create("cost");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, the_number_of_regions_costs_no_time);
	tcase_add_test(tc, the_size_of_a_pool_costs_no_time);
	tcase_add_test(tc, copied_memory_is_given_back);
	tcase_add_test(tc, what_was_given_back_is_used_again);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

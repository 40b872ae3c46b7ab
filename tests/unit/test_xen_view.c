// SPDX-License-Identifier: MIT
/*
 * The memory view on the simulated hypervisor, whose own counters say what is mapped: a region is
 * mapped once, and what lies in none exactly for the time of its request.
 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include <xengnttab.h>

#include <vgrant/view.h>
#include <vgrant/xen.h>

#include "sim_fixture.h"

#define PAGES    64
#define COPY_MAX 8192
#define MAP_MAX  131072

static struct vg_gnttab *gnttab;
static struct vg_quota quota;
static struct vg_view *view;
static xengntshr_handle *guest;
static uint32_t ref[PAGES]; /* consecutive */
static uint8_t *page;
static struct vg_request req;
static struct vg_request *one[] = {&req};

/* The hypervisor counts from the domain's beginning, each test from its own. */
static const char *const counters[] = {"map", "map_pages", "unmap", "copy", "copy_segments"};
#define COUNTERS (sizeof(counters) / sizeof(counters[0]))
static uint64_t before[COUNTERS];

static uint64_t since(const char *name)
{
	for (size_t i = 0; i < COUNTERS; i++)
		if (!strcmp(counters[i], name))
			return sim_number(SIM_BACKEND, name) - before[i];
	ck_abort_msg("no counter %s", name);
}

static void make_view(uint32_t copy_max, uint32_t map_max)
{
	const struct vg_view_config config = {
		.domid = SIM_GUEST,
		.gnttab = gnttab,
		.quota = &quota,
		.policy = {.copy_max = copy_max, .map_max = map_max},
		.max_requests = 4,
	};

	quota = (struct vg_quota){.max_pages = 1024};
	ck_assert_int_eq(vg_view_create(&config, &view), 0);
}

static void setup(void)
{
	sim_enter(SIM_GUEST);
	guest = xengntshr_open(NULL, 0);
	ck_assert_ptr_nonnull(guest);
	page = xengntshr_share_pages(guest, SIM_BACKEND, PAGES, ref, 1);
	ck_assert_ptr_nonnull(page);
	sim_enter(SIM_BACKEND);
	ck_assert_int_eq(vg_gnttab_open(&sim_log, &gnttab), 0);
	make_view(COPY_MAX, MAP_MAX);
	memset(&req, 0, sizeof(req));
	for (size_t i = 0; i < COUNTERS; i++)
		before[i] = sim_number(SIM_BACKEND, counters[i]);
}

static void teardown(void)
{
	sim_faults(SIM_BACKEND, "");
	vg_view_destroy(view);
	ck_assert_uint_eq(quota.pages, 0);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "maptrack"), 0);
	ck_assert_uint_eq(sim_number(SIM_GUEST, "in_use"), 0);
	vg_gnttab_close(gnttab);
	ck_assert_int_eq(xengntshr_close(guest), 0);
}

static void again(uint32_t copy_max, uint32_t map_max)
{
	vg_view_destroy(view);
	make_view(copy_max, map_max);
}

/* A request of one readable and one writable piece, at page @at with @offset. */
static int open_request(uint32_t at, uint32_t offset, uint32_t out, uint32_t in)
{
	uint32_t after = (offset + out + VG_PAGE_MASK) >> VG_PAGE_SHIFT;

	req.out_segments = out ? 1 : 0;
	req.in_segments = in ? 1 : 0;
	req.segment[0] = (struct vg_segment){vg_addr_make(ref[at], offset), out};
	req.segment[req.out_segments] =
		(struct vg_segment){vg_addr_make(ref[at + after], offset), in};
	vg_view_open(view, one, 1);
	return req.error;
}

static void close_request(uint32_t written)
{
	vg_view_close(view, one, &written, 1);
}

START_TEST(a_region_is_mapped_once)
{
	ck_assert_int_eq(vg_view_region_add(view, ref[0], PAGES, true), 0);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "maptrack"), PAGES);
	for (uint32_t i = 0; i < 10000; i++) {
		ck_assert_int_eq(open_request(i % 32, i % 512, 4096, 8192), 0);
		close_request(8192);
	}
	ck_assert_uint_eq(since("map"), 1);
	ck_assert_uint_eq(since("map_pages"), PAGES);
	ck_assert_uint_eq(since("unmap"), 0);
	ck_assert_uint_eq(since("copy"), 0);
	ck_assert_int_eq(vg_view_region_remove(view, ref[0], PAGES), 0);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "maptrack"), 0);
	ck_assert_uint_eq(since("unmap"), 1);
}
END_TEST

/* What a request takes: copied or mapped, and how many pages while it is open. */
static const struct {
	uint32_t copy_max, map_max, offset, out, in;
	int error;
	uint32_t mapped, copied;
} edges[] = {
	/* at the threshold and past it, in all or in one direction */
	{COPY_MAX, MAP_MAX, 0, 0, COPY_MAX, 0, 0, 2},
	{COPY_MAX, MAP_MAX, 0, 0, COPY_MAX + 1, 0, 3, 0},
	{COPY_MAX, MAP_MAX, 0, COPY_MAX, 0, 0, 0, 2},
	{COPY_MAX, MAP_MAX, 0, COPY_MAX + 1, 0, 0, 3, 0},
	{COPY_MAX, MAP_MAX, 0, 4096, 4096, 0, 0, 2},
	{COPY_MAX, MAP_MAX, 0, 4096, 4097, 0, 3, 0},
	{COPY_MAX, MAP_MAX, 4095, 2, 2, 0, 0, 4},
	{COPY_MAX, MAP_MAX, 4095, 0, COPY_MAX + 1, 0, 3, 0},
	/* the largest that is mapped, and one more */
	{COPY_MAX, MAP_MAX, 0, 0, MAP_MAX, 0, 32, 0},
	{COPY_MAX, MAP_MAX, 1, 0, MAP_MAX, 0, 33, 0},
	{COPY_MAX, MAP_MAX, 0, 0, MAP_MAX + 1, -E2BIG, 0, 0},
	/* 0 never copies, 1 as good as never */
	{0, MAP_MAX, 0, 0, 1, 0, 1, 0},
	{0, MAP_MAX, 0, 1, 1, 0, 2, 0},
	{1, MAP_MAX, 0, 0, 1, 0, 0, 1},
	{1, MAP_MAX, 0, 1, 1, 0, 2, 0},
	/* never maps */
	{COPY_MAX, 0, 0, 0, COPY_MAX, 0, 0, 2},
	{COPY_MAX, 0, 0, 0, COPY_MAX + 1, -E2BIG, 0, 0},
	{VG_REQUEST_BYTES, VG_REQUEST_BYTES, 0, 0, 63 * 4096, 0, 0, 63},
};

START_TEST(a_request_takes_what_it_needs_and_gives_it_back)
{
	uint64_t segments;

	again(edges[_i].copy_max, edges[_i].map_max);
	ck_assert_int_eq(open_request(0, edges[_i].offset, edges[_i].out, edges[_i].in),
			 edges[_i].error);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "maptrack"), edges[_i].mapped);
	ck_assert_uint_eq(sim_number(SIM_GUEST, "in_use"), edges[_i].mapped);
	ck_assert_uint_eq(quota.pages, edges[_i].mapped);
	close_request(edges[_i].in);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "maptrack"), 0);
	ck_assert_uint_eq(sim_number(SIM_GUEST, "in_use"), 0);
	ck_assert_uint_eq(quota.pages, 0);
	segments = since("copy_segments");
	ck_assert_uint_eq(segments, edges[_i].copied);
	/* A batch: one call a direction, whatever the number of pages. */
	ck_assert_uint_le(since("map"), 2);
	ck_assert_uint_eq(since("map"), since("unmap"));
}
END_TEST

START_TEST(only_the_part_outside_regions_counts)
{
	ck_assert_int_eq(vg_view_region_add(view, ref[0], 32, true), 0);
	req.out_segments = 1;
	req.in_segments = 1;
	req.segment[0] = (struct vg_segment){vg_addr_make(ref[0], 0), 20 * 4096};
	req.segment[1] = (struct vg_segment){vg_addr_make(ref[40], 0), COPY_MAX};
	vg_view_open(view, one, 1);
	ck_assert_int_eq(req.error, 0);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "maptrack"), 32);
	close_request(COPY_MAX);
	ck_assert_uint_eq(since("copy_segments"), 2);
	req.segment[1].len = COPY_MAX + 1;
	vg_view_open(view, one, 1);
	ck_assert_int_eq(req.error, 0);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "maptrack"), 32 + 3);
	close_request(COPY_MAX + 1);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "maptrack"), 32);
}
END_TEST

static int tests(void)
{
	Suite *suite = suite_create("view on the simulated hypervisor");
	TCase *tc = tcase_create("mapped");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_region_is_mapped_once);
	tcase_add_loop_test(tc, a_request_takes_what_it_needs_and_gives_it_back, 0,
			    sizeof(edges) / sizeof(edges[0]));
	tcase_add_test(tc, only_the_part_outside_regions_counts);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

int main(void)
{
	return sim_main(tests);
}

/* SPDX-License-Identifier: MIT */
/* What the tests of the memory view share: one view over the fake Xen, two requests. */
#ifndef VGRANT_VIEW_FIXTURE_H
#define VGRANT_VIEW_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake/fake_xen.h"
#include <vgrant/view.h>

static struct vg_quota quota;
static struct vg_view *view;
static struct vg_request req, other;
static struct vg_request *one[] = {&req}, *both[] = {&req, &other};
static const uint32_t none[2];

static inline void make_view(uint32_t copy_max, uint32_t map_max, uint32_t max_pages)
{
	const struct vg_view_config config = {
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.policy = {.copy_max = copy_max, .map_max = map_max},
		.max_refs = FAKE_REFS,
		.max_requests = 2,
	};

	quota = (struct vg_quota){.max_pages = max_pages};
	ck_assert_int_eq(vg_view_create(&config, &view), 0);
}

static inline void setup(void)
{
	fake_xen_reset();
	make_view(16384, 1 << 20, 1024);
	memset(&req, 0, sizeof(req));
	memset(&other, 0, sizeof(other));
}

static inline void teardown(void)
{
	ck_assert_uint_eq(vg_view_open_requests(view), 0);
	vg_view_destroy(view);
	ck_assert_uint_eq(quota.pages, 0);
	ck_assert(fake_xen_clean());
}

static inline void again(uint32_t copy_max, uint32_t map_max, uint32_t max_pages)
{
	teardown();
	fake_xen_reset();
	make_view(copy_max, map_max, max_pages);
}

static inline void segment(struct vg_request *r, bool in, uint64_t addr, uint32_t len)
{
	unsigned int n = r->out_segments + r->in_segments;

	r->segment[n] = (struct vg_segment){.addr = addr, .len = len};
	if (in)
		r->in_segments++;
	else
		r->out_segments++;
}

static inline struct vg_view_stats stats(void)
{
	struct vg_view_stats s;

	vg_view_get_stats(view, &s);
	return s;
}

static inline int open_one(void)
{
	vg_view_open(view, one, 1);
	return req.error;
}

static inline void close_one(uint32_t written)
{
	vg_view_close(view, one, &written, 1);
}

/* Runs the tests; the exit status. */
static inline int view_run(const char *name, const TTest *const *tests, size_t num)
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	for (size_t i = 0; i < num; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif

// SPDX-License-Identifier: MIT
/* Which points a command line means. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"

static struct axes axes;
static struct matrix matrix;

static void set(struct list *list, const char *text)
{
	ck_assert(list_numbers(text, 0, UINT32_MAX, list));
}

static void setup(void)
{
	axes = (struct axes){.any_policy = false};
	matrix = (struct matrix){0};
	ck_assert(list_names("foreign,region", way_names, &axes.way));
	ck_assert(list_names("direct", policy_names, &axes.policy));
	set(&axes.engine, "0");
	set(&axes.op, "0");
	set(&axes.size, "4k");
	set(&axes.depth, "32");
	set(&axes.queues, "1");
	set(&axes.span, "0");
	set(&axes.poll_us, "0");
	set(&axes.guests, "1");
}

static void teardown(void)
{
	matrix_free(&matrix);
}

static void make(void)
{
	ck_assert_int_eq(matrix_add(&matrix, &axes), 0);
}

START_TEST(two_ways)
{
	char name[POINT_NAME_MAX];

	make();
	ck_assert_uint_eq(matrix.n, 2);
	ck_assert_uint_eq(matrix.groups, 1);
	ck_assert_uint_eq(matrix.num_left_out, 0);
	ck_assert_str_eq(point_name(&matrix.point[0], &matrix.point[1], name), "foreign+direct");
	ck_assert_str_eq(point_name(&matrix.point[1], &matrix.point[0], name), "region+direct");
}
END_TEST

/* Every way takes a policy, and every policy is taken by a way. */
START_TEST(all_ways_and_policies)
{
	ck_assert(list_names("all", way_names, &axes.way));
	ck_assert(list_names("all", policy_names, &axes.policy));
	make();
	ck_assert_uint_eq(matrix.n, 12);
	ck_assert_uint_eq(matrix.num_left_out, 4);
	for (unsigned int i = 0; i < WAYS; i++) {
		bool there = false;

		for (unsigned int k = 0; k < matrix.n; k++)
			there |= matrix.point[k].way == &ways[i];
		ck_assert_msg(there, "no point of %s", ways[i].name);
	}
	for (unsigned int i = 0; i < matrix.n; i++)
		ck_assert(!point_has_device(&matrix.point[i]) || matrix.point[i].way->whole_guest ||
			  !way_refuses(matrix.point[i].way, matrix.point[i].policy));
	ck_assert_ptr_nonnull(strstr(matrix.left_out[0], "region with grant, hybrid: "));
}
END_TEST

START_TEST(what_nobody_named_is_not_missed)
{
	ck_assert(list_names("all", policy_names, &axes.policy));
	axes.any_policy = true;
	make();
	ck_assert_uint_eq(matrix.n, 4);
	ck_assert_uint_eq(matrix.num_left_out, 0);
}
END_TEST

START_TEST(groups_have_the_same_work)
{
	set(&axes.size, "512,4k,64k");
	set(&axes.depth, "1,32");
	set(&axes.poll_us, "0,50");
	set(&axes.guests, "1,2,4");
	make();
	ck_assert_uint_eq(matrix.groups, 6);
	ck_assert_uint_eq(matrix.n, 6 * 2 * 2 * 3);
	for (unsigned int i = 1; i < matrix.n; i++) {
		const struct point *a = &matrix.point[i - 1], *b = &matrix.point[i];
		bool same = !memcmp(&a->work, &b->work, sizeof(a->work));

		ck_assert(same == (a->group == b->group));
		ck_assert(b->group == a->group || b->group == a->group + 1);
	}
}
END_TEST

START_TEST(names_say_what_differs)
{
	char name[POINT_NAME_MAX];
	struct point *p;

	set(&axes.poll_us, "0,50");
	set(&axes.guests, "1,256");
	make();
	p = matrix.point;
	ck_assert_str_eq(point_name(&p[0], &p[1], name), "foreign+direct 1 guest");
	ck_assert_str_eq(point_name(&p[1], &p[0], name), "foreign+direct 256 guests");
	ck_assert_str_eq(point_name(&p[7], &p[0], name), "region+direct poll 50 256 guests");
	ck_assert_str_eq(point_name(&p[7], NULL, name), "region+direct");
	ck_assert_str_eq(point_name(&p[7], &(struct point){.way = &ways[WAY_EVENTFD]}, name),
			 "region+direct poll 50 256 guests");
}
END_TEST

/* What does not fit is left out with a sentence, and the group goes on. */
START_TEST(too_much)
{
	set(&axes.size, "1m");
	set(&axes.depth, "256");
	make();
	ck_assert_uint_eq(matrix.n, 0);
	ck_assert_uint_eq(matrix.groups, 0);
	ck_assert_uint_eq(matrix.num_left_out, 2);
	ck_assert_ptr_nonnull(strstr(matrix.left_out[0], "192 MiB"));
	teardown();

	setup();
	set(&axes.size, "64k");
	set(&axes.depth, "256");
	set(&axes.guests, "1,256");
	make();
	ck_assert_uint_eq(matrix.n, 2);
	ck_assert_uint_eq(matrix.num_left_out, 2);
	teardown();

	/* The same without a span is measured, and the sentence must not seem to say otherwise. */
	setup();
	set(&axes.span, "0,256m");
	make();
	ck_assert_uint_eq(matrix.n, 2);
	ck_assert_uint_eq(matrix.num_left_out, 2);
	ck_assert_ptr_nonnull(strstr(matrix.left_out[0], ", 1 guest, data in 256 MiB: more than"));
}
END_TEST

/* The buffers of all guests of a point take as much memory as those of another. */
START_TEST(buffers_span_memory)
{
	uint64_t pages = 0;

	ck_assert(list_names("direct,bounce", policy_names, &axes.policy));
	ck_assert(list_names("region", way_names, &axes.way));
	set(&axes.guests, "1,4,256");
	set(&axes.span, "0,64m");
	make();
	ck_assert_uint_eq(matrix.groups, 2);
	ck_assert_uint_eq(matrix.n, 12);
	for (unsigned int i = 0; i < matrix.n; i++) {
		const struct point *p = &matrix.point[i];
		uint32_t all = point_buffers(p) * p->guests;

		ck_assert_uint_eq(all, p->work.span ? (64u << 20) / 4096 : 32 * p->guests);
		/* Who bounces grants a pool for what is in flight. */
		if (p->guests != 1)
			continue;
		if (!pages)
			pages = point_pages(p);
		ck_assert_uint_eq(point_pages(p) - pages,
				  p->work.span && !p->policy->bounces ? 16384 - 32 : 0);
	}
}
END_TEST

START_TEST(a_copied_request_is_copied)
{
	ck_assert(list_names("copy", way_names, &axes.way));
	ck_assert(list_names("grant,hybrid", policy_names, &axes.policy));
	set(&axes.size, "1m");
	set(&axes.depth, "4");
	make();
	ck_assert_uint_eq(matrix.n, 1);
	ck_assert_ptr_eq(matrix.point[0].policy, &policies[POLICY_HYBRID]);
	ck_assert_ptr_nonnull(strstr(matrix.left_out[0], "would be mapped"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bench-matrix");
	TCase *t = tcase_create("matrix");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, two_ways);
	tcase_add_test(t, all_ways_and_policies);
	tcase_add_test(t, what_nobody_named_is_not_missed);
	tcase_add_test(t, groups_have_the_same_work);
	tcase_add_test(t, names_say_what_differs);
	tcase_add_test(t, too_much);
	tcase_add_test(t, buffers_span_memory);
	tcase_add_test(t, a_copied_request_is_copied);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

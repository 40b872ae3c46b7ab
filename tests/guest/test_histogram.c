// SPDX-License-Identifier: MIT
/* The histogram of latencies: buckets, quantiles, merging. */
#include <check.h>
#include <stdlib.h>

#include "histogram.h"

static struct histogram a, b;

static void setup(void)
{
	a = b = (struct histogram){0};
}

START_TEST(small_values_are_exact)
{
	for (uint64_t v = 0; v < 64; v++) {
		ck_assert_uint_eq(histogram_bucket(v), v);
		ck_assert_uint_eq(histogram_least((unsigned int)v), v);
	}
}
END_TEST

START_TEST(buckets_follow_each_other)
{
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t least = histogram_least(i), next = histogram_least(i + 1);

		ck_assert_uint_lt(least, next);
		ck_assert_uint_eq(histogram_bucket(least), i);
		ck_assert_uint_eq(histogram_bucket(next - 1), i);
		/* None is wider than 1/32 of its least value. */
		ck_assert(least < 32 || (next - least) * 32 <= least);
	}
	ck_assert_uint_eq(histogram_least(HISTOGRAM_BUCKETS), UINT64_C(1) << HISTOGRAM_MAX_BITS);
}
END_TEST

START_TEST(what_is_too_large_is_in_the_last)
{
	histogram_add(&a, UINT64_MAX, 1);
	histogram_add(&a, UINT64_C(1) << HISTOGRAM_MAX_BITS, 1);
	ck_assert_uint_eq(a.count[HISTOGRAM_BUCKETS - 1], 2);
	ck_assert_uint_eq(a.max, UINT64_MAX);
}
END_TEST

START_TEST(quantiles_of_known_values)
{
	for (uint64_t v = 1; v <= 100000; v++)
		histogram_add(&a, v, 1);
	for (unsigned int i = 1; i < 1000; i++) {
		double q = i / 1000.0, want = 100000 * q;
		double got = (double)histogram_quantile(&a, q);

		ck_assert(got >= want * (1 - 1.0 / 32) && got <= want * (1 + 1.0 / 32));
	}
	ck_assert_uint_eq(histogram_quantile(&a, 1), 100000);
	ck_assert_uint_eq(a.total, 100000);
}
END_TEST

START_TEST(quantiles_of_few)
{
	ck_assert_uint_eq(histogram_quantile(&a, 0.5), 0);
	histogram_add(&a, 7, 1);
	ck_assert_uint_eq(histogram_quantile(&a, 0), 7);
	ck_assert_uint_eq(histogram_quantile(&a, 0.999), 7);
	/* One slow one of a thousand is p99.9's neighbour, not its value. */
	histogram_add(&b, 10, 999);
	histogram_add(&b, 1000000, 1);
	ck_assert_uint_eq(histogram_quantile(&b, 0.5), 10);
	ck_assert_uint_eq(histogram_quantile(&b, 0.999), 10);
	ck_assert_uint_ge(histogram_quantile(&b, 0.9995), 1000000 * 31 / 32);
}
END_TEST

START_TEST(merging_is_adding)
{
	static struct histogram both;

	both = (struct histogram){0};
	srand(1);
	for (int i = 0; i < 10000; i++) {
		uint64_t v = (uint64_t)rand() % (UINT64_C(1) << (rand() % 31));

		histogram_add(i % 3 ? &a : &b, v, 1);
		histogram_add(&both, v, 1);
	}
	histogram_merge(&a, &b);
	ck_assert_mem_eq(&a, &both, sizeof(a));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("guest-histogram");
	TCase *t = tcase_create("histogram");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, small_values_are_exact);
	tcase_add_test(t, buckets_follow_each_other);
	tcase_add_test(t, what_is_too_large_is_in_the_last);
	tcase_add_test(t, quantiles_of_known_values);
	tcase_add_test(t, quantiles_of_few);
	tcase_add_test(t, merging_is_adding);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

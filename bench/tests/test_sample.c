// SPDX-License-Identifier: MIT
/* Medians, quartiles, and what may be said of a ratio. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "sample.h"

#define ROUNDS 10
#define EACH   20

static double ratio[ROUNDS * EACH];
static struct verdict verdict;

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

/* Uniform, from -1 to 1. */
static double noise(void)
{
	return 2.0 * rand() / RAND_MAX - 1;
}

/* Ratios around @middle that scatter by @each within a round, and together by @round. */
static void make(double middle, double each, double round)
{
	for (unsigned int r = 0; r < ROUNDS; r++) {
		double shift = round * noise();

		for (unsigned int i = 0; i < EACH; i++)
			ratio[r * EACH + i] = middle * (1 + shift + each * noise());
	}
	ck_assert_int_eq(sample_judge(ratio, ROUNDS, EACH, &verdict), 0);
}

START_TEST(spread_of_known_values)
{
	const double one[] = {7}, two[] = {4, 2}, five[] = {5, 1, 4, 2, 3};
	struct spread s;

	ck_assert_int_eq(sample_spread(one, 1, &s), 0);
	ck_assert(near(s.median, 7) && near(s.low, 7) && near(s.high, 7));
	ck_assert_int_eq(sample_spread(two, 2, &s), 0);
	ck_assert(near(s.median, 3) && near(s.low, 2.5) && near(s.high, 3.5));
	ck_assert_int_eq(sample_spread(five, 5, &s), 0);
	ck_assert(near(s.median, 3) && near(s.low, 2) && near(s.high, 4));
	ck_assert(near(five[0], 5));
}
END_TEST

START_TEST(quiet_and_different)
{
	make(0.9, 0.02, 0.005);
	ck_assert(verdict.distinguishable);
	ck_assert(verdict.repeatable);
	ck_assert(fabs(verdict.ratio.median - 0.9) < 0.01);
}
END_TEST

START_TEST(spread_larger_than_the_difference)
{
	make(0.98, 0.1, 0);
	ck_assert(!verdict.distinguishable);
	/* But the ratio itself is known: two hundred pairs say more than one. */
	ck_assert(verdict.repeatable);
}
END_TEST

START_TEST(rounds_that_disagree)
{
	make(0.4, 0.01, 0.3);
	ck_assert(verdict.distinguishable);
	ck_assert(!verdict.repeatable);
}
END_TEST

START_TEST(one_round_repeats_nothing)
{
	make(0.5, 0.001, 0);
	ck_assert_int_eq(sample_judge(ratio, 1, EACH, &verdict), 0);
	ck_assert(verdict.distinguishable);
	ck_assert(!verdict.repeatable);
}
END_TEST

/* What the tool promises: where it calls a ratio repeatable, another run is within 5 % of it. */
START_TEST(repeatable_ratios_repeat)
{
	unsigned int promised = 0, kept = 0;

	for (unsigned int i = 0; i < 2000; i++) {
		double each = 0.3 * fabs(noise()), round = 0.15 * fabs(noise()), first;
		bool sure;

		make(0.8, each, round);
		first = verdict.ratio.median;
		sure = verdict.repeatable;
		make(0.8, each, round);
		promised += sure;
		kept += sure && fabs(verdict.ratio.median / first - 1) <= 0.05;
	}
	ck_assert_uint_ge(promised, 400);
	ck_assert_uint_lt(promised, 2000);
	ck_assert_uint_ge(100 * kept, 95 * promised);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bench-sample");
	TCase *t = tcase_create("sample");
	SRunner *runner;
	int failed;

	tcase_add_test(t, spread_of_known_values);
	tcase_add_test(t, quiet_and_different);
	tcase_add_test(t, spread_larger_than_the_difference);
	tcase_add_test(t, rounds_that_disagree);
	tcase_add_test(t, one_round_repeats_nothing);
	tcase_add_test(t, repeatable_ratios_repeat);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

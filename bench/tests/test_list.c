// SPDX-License-Identifier: MIT
/* Lists on the command line. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "list.h"

static const char *const words[] = {"foreign", "region", "map", "map-batch", NULL};
static struct list list;

static void expect(unsigned int n, const uint64_t *value)
{
	ck_assert_uint_eq(list.n, n);
	for (unsigned int i = 0; i < n; i++)
		ck_assert_uint_eq(list.value[i], value[i]);
}

#define EXPECT(...)                                                                                \
	do {                                                                                       \
		const uint64_t value[] = {__VA_ARGS__};                                            \
		expect(sizeof(value) / sizeof(value[0]), value);                                   \
	} while (0)

START_TEST(numbers)
{
	ck_assert(list_numbers("4096", 1, 4096, &list));
	EXPECT(4096);
	ck_assert(list_numbers("0", 0, 9, &list));
	EXPECT(0);
	ck_assert(list_numbers("512,4k,1m,1M", 512, 1 << 20, &list));
	EXPECT(512, 4096, 1 << 20);
	ck_assert(list_numbers("1-8", 1, 8, &list));
	EXPECT(1, 2, 4, 8);
	ck_assert(list_numbers("3-20,4,3", 1, 20, &list));
	EXPECT(3, 6, 12, 20, 4);
	ck_assert(list_numbers("2k-8k", 1, 8192, &list));
	EXPECT(2048, 4096, 8192);
}
END_TEST

START_TEST(bad_numbers)
{
	static const char *const bad[] = {"",      ",",   "1,",    ",1",    "x",
					  "1x",    "1-",  "-1",    "8-1",   "0-4",
					  "1 ,2",  " 1",  "4kk",   "1--2",  "k",
					  "1-2-4", "100", "1,100", "1-100", "99999999999999999999",
					  "0x10",  "+1"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!list_numbers(bad[i], 0, 99, &list), "'%s' is taken", bad[i]);
}
END_TEST

START_TEST(too_many_numbers)
{
	char text[4 * (LIST_MAX + 1)] = "10";
	size_t len = 2;

	for (unsigned int i = 1; i < LIST_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ",%u", 10 + i);
	ck_assert(list_numbers(text, 1, 99, &list));
	ck_assert_uint_eq(list.n, LIST_MAX);
	snprintf(text + len, sizeof(text) - len, ",99");
	ck_assert(!list_numbers(text, 1, 99, &list));
}
END_TEST

START_TEST(names)
{
	ck_assert(list_names("map", words, &list));
	EXPECT(2);
	ck_assert(list_names("map-batch,foreign,map-batch", words, &list));
	EXPECT(3, 0);
	ck_assert(list_names("region,all", words, &list));
	EXPECT(1, 0, 2, 3);
}
END_TEST

START_TEST(bad_names)
{
	static const char *const bad[] = {"",     ",",           "ma",  "mapp",
					  "map,", "map,,region", "Map", "map region"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!list_names(bad[i], words, &list), "'%s' is taken", bad[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bench-list");
	TCase *t = tcase_create("list");
	SRunner *runner;
	int failed;

	tcase_add_test(t, numbers);
	tcase_add_test(t, bad_numbers);
	tcase_add_test(t, too_many_numbers);
	tcase_add_test(t, names);
	tcase_add_test(t, bad_names);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

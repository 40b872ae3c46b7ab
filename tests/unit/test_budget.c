// SPDX-License-Identifier: MIT
/* The machine's budget of busy polling. */
#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "vgrantd/budget.c" // NOLINT(bugprone-suspicious-include)

#define MS UINT64_C(1000000)

static struct vg_budget a, b, c, keeper;
static int fd;

static void open_as(struct vg_budget *who, uint32_t slots, uint32_t self)
{
	ck_assert_int_eq(vg_budget_open(who, fd, slots), 0);
	who->self = self;
}

static void setup(void)
{
	fd = vg_budget_create();
	ck_assert_int_ge(fd, 0);
	open_as(&keeper, 2, 1);
	open_as(&a, 2, 101);
	open_as(&b, 2, 102);
	open_as(&c, 2, 103);
}

static void teardown(void)
{
	vg_budget_close(&a);
	vg_budget_close(&b);
	vg_budget_close(&c);
	vg_budget_close(&keeper);
	close(fd);
}

START_TEST(as_many_as_there_are_slots)
{
	ck_assert(vg_budget_take(&a, MS));
	ck_assert(vg_budget_take(&b, MS));
	ck_assert(!vg_budget_take(&c, MS));
	ck_assert(vg_budget_take(&a, MS + 1000));
	vg_budget_give(&a);
	ck_assert(vg_budget_take(&c, MS + 2000));
	ck_assert(!vg_budget_take(&a, MS + 2000));
	/* Twice does no harm, nor without having taken. */
	vg_budget_give(&a);
	vg_budget_give(&a);
	ck_assert(!vg_budget_take(&a, MS + 2000));
}
END_TEST

START_TEST(one_cpu_never_polls)
{
	struct vg_budget alone;

	open_as(&alone, 0, 104);
	ck_assert(!vg_budget_take(&alone, MS));
	vg_budget_close(&alone);
}
END_TEST

START_TEST(without_a_budget_nobody_polls)
{
	struct vg_budget none = {.held = -1};

	ck_assert(!vg_budget_take(&none, MS));
	vg_budget_give(&none);
	vg_budget_forget(&none, 1);
	vg_budget_close(&none);
}
END_TEST

/* Who polls and does not get its CPU stops all for a while. */
START_TEST(nobody_polls_while_cpus_are_short)
{
	ck_assert(vg_budget_take(&a, MS));
	ck_assert(vg_budget_take(&a, MS + 100000));
	ck_assert(!vg_budget_take(&a, 4 * MS));
	ck_assert_int_lt(a.held, 0);
	ck_assert(!vg_budget_take(&a, 5 * MS));
	ck_assert(!vg_budget_take(&b, 103 * MS));
	ck_assert(vg_budget_take(&b, 105 * MS));
	ck_assert(vg_budget_take(&a, 105 * MS));
}
END_TEST

/* Between two times of polling may lie any time. */
START_TEST(a_sleep_is_no_shortage)
{
	ck_assert(vg_budget_take(&a, MS));
	vg_budget_give(&a);
	ck_assert(vg_budget_take(&a, 900 * MS));
	ck_assert(vg_budget_take(&b, 901 * MS));
}
END_TEST

START_TEST(the_dead_hold_nothing)
{
	ck_assert(vg_budget_take(&a, MS));
	ck_assert(vg_budget_take(&b, MS));
	vg_budget_forget(&keeper, 999);
	ck_assert(!vg_budget_take(&c, MS));
	vg_budget_forget(&keeper, 101);
	ck_assert(vg_budget_take(&c, MS));
	/* The slot is another's by now: what thinks that it holds it must not give it away. */
	vg_budget_give(&a);
	ck_assert(!vg_budget_take(&a, MS));
}
END_TEST

/* Whatever a worker that was taken over writes there, the others stay within their own bounds. */
START_TEST(nonsense_in_the_page)
{
	unsigned char *page = (unsigned char *)a.page;

	for (size_t i = 0; i < sizeof(uint64_t) * 2; i++)
		page[i] = 0xff;
	ck_assert(!vg_budget_take(&a, MS));
	vg_budget_give(&a);
	vg_budget_forget(&keeper, 101);
	for (size_t i = 0; i < sizeof(uint64_t); i++)
		page[i] = 0;
	/* One word of the holders is nonsense, and is two slots of none. */
	ck_assert(!vg_budget_take(&a, MS));
	vg_budget_forget(&keeper, -1);
	ck_assert(vg_budget_take(&a, MS));
}
END_TEST

START_TEST(slots_follow_the_cpus)
{
	cpu_set_t all, one;
	unsigned int cpus;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	cpus = (unsigned int)CPU_COUNT(&all);
	ck_assert_uint_eq(vg_budget_slots(), cpus - 1 < VG_BUDGET_MAX ? cpus - 1 : VG_BUDGET_MAX);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	ck_assert_uint_eq(vg_budget_slots(), 0);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(all), &all), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("budget");
	TCase *t = tcase_create("budget");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, as_many_as_there_are_slots);
	tcase_add_test(t, one_cpu_never_polls);
	tcase_add_test(t, without_a_budget_nobody_polls);
	tcase_add_test(t, nobody_polls_while_cpus_are_short);
	tcase_add_test(t, a_sleep_is_no_shortage);
	tcase_add_test(t, the_dead_hold_nothing);
	tcase_add_test(t, nonsense_in_the_page);
	tcase_add_test(t, slots_follow_the_cpus);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

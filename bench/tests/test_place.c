// SPDX-License-Identifier: MIT
/* Which CPUs processes are put on: tried with a real one. */
#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "place.h"

static pid_t child;

static void setup(void)
{
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child)
		return;
	for (;;)
		pause();
}

static void teardown(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static cpu_set_t cpus_of(pid_t pid)
{
	cpu_set_t cpus;

	ck_assert_int_eq(sched_getaffinity(pid, sizeof(cpus), &cpus), 0);
	return cpus;
}

static cpu_set_t after_guest(const struct place *place, bool polls, unsigned int index)
{
	ck_assert_int_eq(place_guest(place, polls, index, child), 0);
	return cpus_of(child);
}

static cpu_set_t after_worker(const struct place *place, bool polls, unsigned int index)
{
	ck_assert_int_eq(place_worker(place, polls, index, child), 0);
	return cpus_of(child);
}

START_TEST(one_allowed_cpu_each)
{
	for (unsigned int i = 0; i < 4; i++) {
		enum placement placement = i & 1 ? PLACE_APART : PLACE_SAME;
		bool polls = i & 2;
		struct place place;

		ck_assert_int_eq(place_init(&place, placement), 0);
		for (unsigned int index = 0; index < 9; index++) {
			cpu_set_t guest = after_guest(&place, polls, index);
			cpu_set_t worker = after_worker(&place, polls, index), both;
			bool together =
				(placement == PLACE_SAME && !polls) || CPU_COUNT(&place.all) == 1;

			ck_assert_int_eq(CPU_COUNT(&guest), 1);
			ck_assert_int_eq(CPU_COUNT(&worker), 1);
			ck_assert_int_eq(CPU_EQUAL(&guest, &worker), together);
			CPU_OR(&both, &guest, &worker);
			CPU_AND(&both, &both, &place.all);
			ck_assert_int_eq(CPU_COUNT(&both), together ? 1 : 2);
		}
	}
}
END_TEST

START_TEST(neighbours_share_out_the_cpus)
{
	struct place place;
	cpu_set_t first, second;

	ck_assert_int_eq(place_init(&place, PLACE_SAME), 0);
	first = after_guest(&place, false, 0);
	second = after_guest(&place, false, 1);
	ck_assert_int_eq(CPU_EQUAL(&first, &second), CPU_COUNT(&place.all) == 1);
}
END_TEST

START_TEST(free_is_free)
{
	struct place place;
	cpu_set_t guest, worker;

	ck_assert_int_eq(place_init(&place, PLACE_FREE), 0);
	guest = after_guest(&place, false, 0);
	worker = after_worker(&place, false, 0);
	ck_assert(CPU_EQUAL(&guest, &place.all));
	ck_assert(CPU_EQUAL(&worker, &place.all));
}
END_TEST

START_TEST(this_process_goes_and_comes_back)
{
	struct place place;
	cpu_set_t self, guest;

	ck_assert_int_eq(place_init(&place, PLACE_APART), 0);
	guest = after_guest(&place, false, 0);
	ck_assert_int_eq(place_self(&place), 0);
	self = cpus_of(0);
	ck_assert(CPU_EQUAL(&self, &guest));
	ck_assert_int_eq(unplace_self(&place), 0);
	self = cpus_of(0);
	ck_assert(CPU_EQUAL(&self, &place.all));
}
END_TEST

START_TEST(who_is_gone_is_an_error)
{
	struct place place;

	ck_assert_int_eq(place_init(&place, PLACE_SAME), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ck_assert_int_lt(place_guest(&place, false, 0, child), 0);
	setup();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("place");
	TCase *c = tcase_create("place");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, one_allowed_cpu_each);
	tcase_add_test(c, neighbours_share_out_the_cpus);
	tcase_add_test(c, free_is_free);
	tcase_add_test(c, this_process_goes_and_comes_back);
	tcase_add_test(c, who_is_gone_is_an_error);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* The owner of the xenstore connection, against the simulated hypervisor's store. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenstore.h>

#include <vgrant/store.h>

#include "sim_fixture.h"

#define DIR     "/local/domain/1/data" /* this domain's own */
#define WAIT_MS 30000

static struct vg_store *store;
static struct xs_handle *dom0; /* may do everything; makes what tests need */

static void open_store(void)
{
	struct xs_permissions ours = {.id = SIM_BACKEND, .perms = XS_PERM_NONE};

	sim_enter(0);
	dom0 = xs_open(0);
	ck_assert_ptr_nonnull(dom0);
	xs_rm(dom0, XBT_NULL, DIR);
	ck_assert(xs_mkdir(dom0, XBT_NULL, DIR));
	ck_assert(xs_set_permissions(dom0, XBT_NULL, DIR, &ours, 1));
	sim_enter(SIM_BACKEND);
	ck_assert_int_eq(vg_store_open(&sim_log, &store), 0);
}

static void close_store(void)
{
	sim_faults(SIM_BACKEND, "");
	vg_store_close(store);
	ck_assert_uint_eq(sim_log_lines, 0);
	xs_close(dom0);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "transactions"), 0);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "watches"), 0);
}

/* ---- opening ---- */

START_TEST(a_store_that_cannot_be_reached_says_why)
{
	struct vg_store *none = NULL;

	ck_assert_int_eq(setenv("XENSTORED_PATH", "/nonexistent/xenstored", 1), 0);
	ck_assert_int_eq(vg_store_open(&sim_log, &none), -ENOENT);
	ck_assert_ptr_null(none);
	ck_assert_uint_eq(sim_log_lines, 1);
	ck_assert_ptr_nonnull(strstr(sim_last_line, "Xen domain"));
	ck_assert_int_eq(vg_store_open(NULL, &none), -ENOENT);
	vg_store_close(NULL);
}
END_TEST

START_TEST(paths_are_joined_within_their_limit)
{
	char buf[VG_STORE_PATH_MAX];
	char name[VG_STORE_PATH_MAX];

	ck_assert_int_eq(vg_store_path(buf, "/a/%u/%s", 7u, "b"), 0);
	ck_assert_str_eq(buf, "/a/7/b");
	memset(name, 'x', sizeof(name));
	name[VG_STORE_PATH_MAX - 2] = '\0'; /* and a slash before it: just fits */
	ck_assert_int_eq(vg_store_path(buf, "/%s", name), 0);
	ck_assert_uint_eq(strlen(buf), VG_STORE_PATH_MAX - 1);
	ck_assert_int_eq(vg_store_path(buf, "//%s", name), -ENAMETOOLONG);
}
END_TEST

/* ---- values ---- */

START_TEST(what_is_written_is_read_until_removed)
{
	char buf[VG_STORE_VALUE_MAX] = "before";

	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), -ENOENT);
	ck_assert_int_eq(vg_store_write(store, DIR "/a", "some words"), 0);
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "some words");
	ck_assert_int_eq(vg_store_write(store, DIR "/a", ""), 0);
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "");
	ck_assert_int_eq(vg_store_remove(store, DIR "/a"), 0);
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), -ENOENT);
	/* xenstored is content when the parent is there. */
	ck_assert_int_eq(vg_store_remove(store, DIR "/a"), 0);
	ck_assert_int_eq(vg_store_remove(store, DIR "/a/b/c"), -ENOENT);
}
END_TEST

START_TEST(a_value_must_fit_and_hold_no_nul)
{
	char buf[8];

	ck_assert(xs_write(dom0, XBT_NULL, DIR "/a", "1234567", 7));
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "1234567");
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, 7), -EINVAL);
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, 1), -EINVAL);
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, 0), -EINVAL);
	ck_assert(xs_write(dom0, XBT_NULL, DIR "/a",
			   "12\0"
			   "45",
			   5));
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), -EINVAL);
	ck_assert(xs_write(dom0, XBT_NULL, DIR "/a", "12", 3)); /* with its NUL, as some do */
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), -EINVAL);
}
END_TEST

static const struct {
	const char *text;
	unsigned int len;
	uint32_t max;
	bool good;
	uint32_t value;
} numbers[] = {
	{"0", 1, 10, true, 0},
	{"10", 2, 10, true, 10},
	{"11", 2, 10, false, 0},
	{"4294967295", 10, UINT32_MAX, true, UINT32_MAX},
	{"4294967296", 10, UINT32_MAX, false, 0},
	{"18446744073709551617", 20, UINT32_MAX, false, 0}, /* 1 modulo 2^64 */
	{"", 0, 10, false, 0},
	{" 1", 2, UINT32_MAX, false, 0},
	{"9 ", 2, UINT32_MAX, false, 0},
	{"9\n", 2, UINT32_MAX, false, 0},
	{"+1", 2, UINT32_MAX, false, 0},
	{"-1", 2, UINT32_MAX, false, 0},
	{"0x1", 3, UINT32_MAX, false, 0},
	{"1a", 2, UINT32_MAX, false, 0},
	{"9.0", 3, UINT32_MAX, false, 0},
	{"1\0", 2, 10, false, 0},
	{"1\0002", 3, 10, false, 0},
};

START_TEST(numbers_are_digits_and_nothing_else)
{
	uint32_t value = 12345;

	ck_assert(xs_write(dom0, XBT_NULL, DIR "/n", numbers[_i].text, numbers[_i].len));
	ck_assert_int_eq(vg_store_read_u32(store, DIR "/n", numbers[_i].max, &value),
			 numbers[_i].good ? 0 : -EINVAL);
	ck_assert_uint_eq(value, numbers[_i].good ? numbers[_i].value : 12345);
}
END_TEST

START_TEST(an_absent_number_is_not_zero)
{
	uint32_t value = 12345;

	ck_assert_int_eq(vg_store_read_u32(store, DIR "/n", 10, &value), -ENOENT);
	ck_assert_uint_eq(value, 12345);
}
END_TEST

START_TEST(children_are_listed)
{
	char **names = NULL;
	unsigned int seen = 0;

	ck_assert_int_eq(vg_store_list(store, DIR, &names), 0);
	free(names);
	ck_assert_int_eq(vg_store_write(store, DIR "/b/x", "1"), 0);
	ck_assert_int_eq(vg_store_write(store, DIR "/c", "1"), 0);
	ck_assert_int_eq(vg_store_list(store, DIR, &names), 2);
	for (int i = 0; i < 2; i++)
		seen |= !strcmp(names[i], "b") ? 1 : !strcmp(names[i], "c") ? 2 : 4;
	ck_assert_uint_eq(seen, 3);
	free(names);
	ck_assert_int_eq(vg_store_list(store, DIR "/none", &names), -ENOENT);
}
END_TEST

START_TEST(permissions_are_respected)
{
	static const char others[] = "/local/domain/2/data/secret";
	struct xs_permissions perms[2] = {{.id = SIM_GUEST, .perms = XS_PERM_NONE},
					  {.id = SIM_BACKEND, .perms = XS_PERM_READ}};
	char **names;
	char buf[16];

	ck_assert(xs_write(dom0, XBT_NULL, others, "x", 1));
	ck_assert(xs_set_permissions(dom0, XBT_NULL, others, perms, 1));
	ck_assert_int_eq(vg_store_read(store, others, buf, sizeof(buf)), -EACCES);
	ck_assert_int_eq(vg_store_write(store, others, "y"), -EACCES);
	ck_assert_int_eq(vg_store_remove(store, others), -EACCES);
	ck_assert_int_eq(vg_store_list(store, others, &names), -EACCES);

	ck_assert(xs_set_permissions(dom0, XBT_NULL, others, perms, 2));
	ck_assert_int_eq(vg_store_read(store, others, buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "x");
	ck_assert_int_eq(vg_store_write(store, others, "y"), -EACCES);
	ck_assert(xs_rm(dom0, XBT_NULL, others));
}
END_TEST

START_TEST(a_node_is_given_to_another_domain)
{
	struct vg_store *guests;
	char buf[16];

	ck_assert_int_eq(vg_store_write(store, DIR "/given", "x"), 0);
	sim_enter(SIM_GUEST);
	ck_assert_int_eq(vg_store_open(&sim_log, &guests), 0);
	ck_assert_int_eq(vg_store_read(guests, DIR "/given", buf, sizeof(buf)), -EACCES);
	ck_assert_int_eq(vg_store_set_owner(guests, DIR "/given", SIM_GUEST, SIM_BACKEND), -EACCES);
	ck_assert_int_eq(vg_store_set_owner(store, DIR "/given", SIM_BACKEND, SIM_GUEST), 0);
	ck_assert_int_eq(vg_store_read(guests, DIR "/given", buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "x");
	ck_assert_int_eq(vg_store_write(guests, DIR "/given", "y"), -EACCES);
	ck_assert_int_eq(vg_store_set_owner(store, DIR "/none", SIM_BACKEND, SIM_GUEST), -ENOENT);
	vg_store_close(guests);
}
END_TEST

static const struct {
	const char *name;
	int error;
} answers[] = {
	{"EINVAL", -EINVAL}, {"EACCES", -EACCES}, {"ENOENT", -ENOENT}, {"ENOMEM", -ENOMEM},
	{"ENOSPC", -ENOSPC}, {"EIO", -EIO},       {"EBUSY", -EBUSY},   {"EAGAIN", -EAGAIN},
};

START_TEST(what_xenstored_answers_is_returned)
{
	static const char *const sites[] = {
		"read", "write", "rm", "directory", "watch", "unwatch", "transaction_start"};
	int error = answers[_i].error;
	char rules[512];
	int len = 0;
	char **names;
	char buf[16];

	for (unsigned int i = 0; i < sizeof(sites) / sizeof(sites[0]); i++)
		len += snprintf(rules + len, sizeof(rules) - (size_t)len, "store.%s:errno=%s,",
				sites[i], answers[_i].name);
	sim_faults(SIM_BACKEND, rules);
	ck_assert_int_eq(vg_store_read(store, DIR, buf, sizeof(buf)), error);
	ck_assert_int_eq(vg_store_write(store, DIR, "1"), error);
	ck_assert_int_eq(vg_store_remove(store, DIR), error);
	ck_assert_int_eq(vg_store_list(store, DIR, &names), error);
	ck_assert_int_eq(vg_store_watch(store, DIR, "token"), error);
	ck_assert_int_eq(vg_store_unwatch(store, DIR, "token"), error);
	ck_assert_int_eq(vg_store_begin(store), error);
	/* The failed start left no transaction behind. */
	ck_assert_int_eq(vg_store_end(store, true), -EINVAL);
}
END_TEST

/* ---- transactions ---- */

START_TEST(a_transaction_is_seen_as_a_whole_or_not_at_all)
{
	char buf[16];
	char **names;

	ck_assert_int_eq(vg_store_end(store, true), -EINVAL);
	ck_assert_int_eq(vg_store_begin(store), 0);
	ck_assert_int_eq(vg_store_begin(store), -EBUSY);
	ck_assert_int_eq(vg_store_write(store, DIR "/a", "1"), 0);
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), 0);
	ck_assert_int_eq(vg_store_list(store, DIR, &names), 1);
	free(names);
	ck_assert_ptr_null(xs_read(dom0, XBT_NULL, DIR "/a", NULL));
	ck_assert_int_eq(vg_store_end(store, false), 0);
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), -ENOENT);

	ck_assert_int_eq(vg_store_begin(store), 0);
	ck_assert_int_eq(vg_store_write(store, DIR "/a", "2"), 0);
	ck_assert_int_eq(vg_store_remove(store, DIR "/a"), 0);
	ck_assert_int_eq(vg_store_write(store, DIR "/b", "3"), 0);
	ck_assert_int_eq(vg_store_end(store, true), 0);
	ck_assert_int_eq(vg_store_read(store, DIR "/b", buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "3");
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), -ENOENT);
}
END_TEST

START_TEST(a_conflict_asks_for_another_try)
{
	char buf[16];

	ck_assert_int_eq(vg_store_write(store, DIR "/a", "1"), 0);
	ck_assert_int_eq(vg_store_begin(store), 0);
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), 0);
	ck_assert_int_eq(vg_store_write(store, DIR "/a", "2"), 0);
	ck_assert(xs_write(dom0, XBT_NULL, DIR "/a", "9", 1));
	ck_assert_int_eq(vg_store_end(store, true), -EAGAIN);
	/* It is over, and the next one works. */
	ck_assert_int_eq(vg_store_begin(store), 0);
	ck_assert_int_eq(vg_store_write(store, DIR "/a", "2"), 0);
	ck_assert_int_eq(vg_store_end(store, true), 0);
	ck_assert_int_eq(vg_store_read(store, DIR "/a", buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, "2");
}
END_TEST

/* ---- watches ---- */

static void expect_event(const char *path, const char *token)
{
	struct pollfd pfd = {.fd = vg_store_fd(store), .events = POLLIN};
	char got_path[VG_STORE_PATH_MAX], got_token[64];

	ck_assert_int_eq(poll(&pfd, 1, WAIT_MS), 1);
	ck_assert_int_eq(vg_store_next_event(store, got_path, sizeof(got_path), got_token,
					     sizeof(got_token)),
			 0);
	ck_assert_str_eq(got_path, path);
	ck_assert_str_eq(got_token, token);
}

static void expect_no_event(void)
{
	char path[VG_STORE_PATH_MAX], token[64];

	ck_assert_int_eq(vg_store_next_event(store, path, sizeof(path), token, sizeof(token)),
			 -EAGAIN);
}

START_TEST(watches_tell_path_and_token)
{
	ck_assert_int_ge(vg_store_fd(store), 0);
	expect_no_event();
	ck_assert_int_eq(vg_store_watch(store, DIR "/w", "first"), 0);
	expect_event(DIR "/w", "first"); /* xenstored always tells once */
	ck_assert_int_eq(vg_store_watch(store, DIR "/w", "first"), -EEXIST);
	ck_assert(xs_write(dom0, XBT_NULL, DIR "/w/x", "1", 1));
	expect_event(DIR "/w/x", "first");
	ck_assert_int_eq(vg_store_watch(store, DIR "/w/x", "second"), 0);
	expect_event(DIR "/w/x", "second");
	expect_no_event();

	ck_assert_int_eq(vg_store_unwatch(store, DIR "/w", "first"), 0);
	ck_assert_int_eq(vg_store_unwatch(store, DIR "/w", "first"), -ENOENT);
	ck_assert(xs_write(dom0, XBT_NULL, DIR "/w/x", "2", 1));
	expect_event(DIR "/w/x", "second");
	expect_no_event();
}
END_TEST

START_TEST(an_event_that_does_not_fit_is_cut_off)
{
	struct pollfd pfd = {.fd = vg_store_fd(store), .events = POLLIN};
	char path[64], token[16];

	for (int i = 0; i < 3; i++) {
		size_t path_size = i == 1 ? sizeof(path) : 8;
		size_t token_size = i == 0 ? sizeof(token) : 4;

		ck_assert_int_eq(vg_store_watch(store, DIR "/w", "token"), 0);
		ck_assert_int_eq(poll(&pfd, 1, WAIT_MS), 1);
		ck_assert_int_eq(vg_store_next_event(store, path, path_size, token, token_size),
				 -ENAMETOOLONG);
		ck_assert_str_eq(path, i == 1 ? DIR "/w" : "/local/");
		ck_assert_str_eq(token, i == 0 ? "token" : "tok");
		expect_no_event();
		ck_assert_int_eq(vg_store_unwatch(store, DIR "/w", "token"), 0);
	}
	ck_assert_int_eq(vg_store_watch(store, DIR "/w", "token"), 0);
	expect_event(DIR "/w", "token");
	/* What was cut off is gone, and the next one comes. */
	ck_assert(xs_write(dom0, XBT_NULL, DIR "/w", "1", 1));
	expect_event(DIR "/w", "token");
}
END_TEST

START_TEST(a_lost_connection_is_an_error)
{
	unsigned int victim = (unsigned int)strtoul(sim_ctl("create name=victim"), NULL, 10);
	struct vg_store *lost;
	char path[64], token[16];
	char buf[16];
	int ret;

	sim_enter(victim);
	ck_assert_int_eq(vg_store_open(&sim_log, &lost), 0);
	ck_assert_int_eq(vg_store_watch(lost, "@releaseDomain", "t"), 0);
	snprintf(buf, sizeof(buf), "destroy %u", victim);
	sim_ctl(buf);
	for (int i = 0; i < WAIT_MS / 10; i++) {
		ret = vg_store_next_event(lost, path, sizeof(path), token, sizeof(token));
		if (ret == -EIO)
			break;
		poll(NULL, 0, 10);
	}
	ck_assert_int_eq(ret, -EIO);
	ck_assert_int_eq(vg_store_read(lost, DIR, buf, sizeof(buf)), -EIO);
	ck_assert_int_eq(vg_store_write(lost, DIR, "1"), -EIO);
	ck_assert_int_eq(vg_store_begin(lost), -EIO);
	vg_store_close(lost);
}
END_TEST

static int tests(void)
{
	Suite *suite = suite_create("store");
	TCase *opening = tcase_create("open"), *tc = tcase_create("store");
	SRunner *runner;
	int failed;

	tcase_set_timeout(opening, 120);
	tcase_add_test(opening, a_store_that_cannot_be_reached_says_why);
	tcase_add_test(opening, paths_are_joined_within_their_limit);
	suite_add_tcase(suite, opening);

	tcase_add_checked_fixture(tc, open_store, close_store);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, what_is_written_is_read_until_removed);
	tcase_add_test(tc, a_value_must_fit_and_hold_no_nul);
	tcase_add_loop_test(tc, numbers_are_digits_and_nothing_else, 0,
			    sizeof(numbers) / sizeof(numbers[0]));
	tcase_add_test(tc, an_absent_number_is_not_zero);
	tcase_add_test(tc, children_are_listed);
	tcase_add_test(tc, permissions_are_respected);
	tcase_add_test(tc, a_node_is_given_to_another_domain);
	tcase_add_loop_test(tc, what_xenstored_answers_is_returned, 0,
			    sizeof(answers) / sizeof(answers[0]));
	tcase_add_test(tc, a_transaction_is_seen_as_a_whole_or_not_at_all);
	tcase_add_test(tc, a_conflict_asks_for_another_try);
	tcase_add_test(tc, watches_tell_path_and_token);
	tcase_add_test(tc, an_event_that_does_not_fit_is_cut_off);
	tcase_add_test(tc, a_lost_connection_is_an_error);
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

// SPDX-License-Identifier: MIT
/* Opening an image: what may pass when a former user lets go, and what is refused at once. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What open() fails with; 0: it is the real one. */
static int open_error;

static int open_or_fail(const char *path, int flags)
{
	if (open_error) {
		errno = open_error;
		return -1;
	}
	return open(path, flags);
}

#define open open_or_fail
/* Part of a program and of no library. */
#include "vgrantd/image.c" // NOLINT(bugprone-suspicious-include)
#undef open

static char path[64], words[256];
static struct vgd_image_id id;

static void set_up(void)
{
	int fd;

	open_error = 0;
	snprintf(path, sizeof(path), "/tmp/unit-image-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	close(fd);
}

static void tear_down(void)
{
	unlink(path);
}

static int try_open(bool read_only)
{
	words[0] = '\0';
	return vgd_image_open(path, read_only, &id, words, sizeof(words));
}

/* A block device that a killed vgrantd's worker still has open, until its last request ends. */
START_TEST(exclusive_use_may_pass)
{
	open_error = EBUSY;
	ck_assert_int_eq(try_open(false), -EAGAIN);
	ck_assert_ptr_nonnull(strstr(words, "in use"));
	open_error = 0;
	int fd = try_open(false);

	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

START_TEST(a_lock_may_pass)
{
	int fd = try_open(false);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(try_open(false), -EAGAIN);
	ck_assert_ptr_nonnull(strstr(words, "locked"));
	ck_assert_int_eq(try_open(true), -EAGAIN);
	close(fd);
	fd = try_open(false);
	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

START_TEST(readers_share)
{
	int first = try_open(true), second = try_open(true);

	ck_assert_int_ge(first, 0);
	ck_assert_int_ge(second, 0);
	ck_assert_int_eq(try_open(false), -EAGAIN);
	close(first);
	close(second);
}
END_TEST

START_TEST(other_errors_are_refusals)
{
	static const int errors[] = {ENOENT, EACCES, EROFS, EISDIR, ENXIO, EIO, EMFILE};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		open_error = errors[i];
		ck_assert_int_eq(try_open(false), -errors[i]);
		ck_assert_uint_gt(strlen(words), 0);
	}
}
END_TEST

START_TEST(a_disk_has_a_sector)
{
	ck_assert_int_eq(truncate(path, 511), 0);
	ck_assert_int_eq(try_open(false), -EINVAL);
	ck_assert_int_eq(truncate(path, 512), 0);
	int fd = try_open(false);

	ck_assert_int_ge(fd, 0);
	ck_assert(!id.block);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image");
	TCase *tcase = tcase_create("image");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, exclusive_use_may_pass);
	tcase_add_test(tcase, a_lock_may_pass);
	tcase_add_test(tcase, readers_share);
	tcase_add_test(tcase, other_errors_are_refusals);
	tcase_add_test(tcase, a_disk_has_a_sector);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* The owners of the grant and event-channel handles, against the simulated hypervisor. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#include <vgrant/xen.h>

#include "sim_fixture.h"

#define NO_DOMAIN   99
#define UNUSED_REF  30000 /* within the table, not granted */
#define NO_REF      60000 /* past its end */
#define GUEST_PAGES 4

static struct vg_gnttab *gnttab;
static xengntshr_handle *guest;
static uint32_t ref[GUEST_PAGES]; /* granted to us, writable */
static uint8_t *page;             /* the guest's own view of them */

static void open_gnttab(void)
{
	sim_enter(SIM_GUEST);
	guest = xengntshr_open(NULL, 0);
	ck_assert_ptr_nonnull(guest);
	page = xengntshr_share_pages(guest, SIM_BACKEND, GUEST_PAGES, ref, 1);
	ck_assert_ptr_nonnull(page);
	sim_enter(SIM_BACKEND);
	ck_assert_int_eq(vg_gnttab_open(&sim_log, &gnttab), 0);
	sim_log_lines = 0;
}

static void close_gnttab(void)
{
	sim_faults(SIM_BACKEND, "");
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "maptrack"), 0);
	ck_assert_uint_eq(sim_number(SIM_GUEST, "in_use"), 0);
	/* What a guest can cause is returned, not logged. */
	ck_assert_uint_eq(sim_log_lines, 0);
	vg_gnttab_close(gnttab);
	ck_assert_int_eq(xengntshr_close(guest), 0);
}

static uint8_t *plain(void VG_GUEST *base)
{
	return VG_GUEST_RAW(uint8_t, base);
}

/* ---- opening ---- */

static const struct {
	const char *rules;
	int error;
	const char *remedy;
} open_failures[] = {
	{"open:errno=ENOENT", -ENOENT, "Xen domain"},
	{"open:errno=EACCES", -EACCES, "root"},
	{"open:errno=EPERM", -EPERM, "root"},
	{"open:errno=ENOMEM", -ENOMEM, "memory"},
};

START_TEST(a_handle_that_cannot_be_opened_says_why)
{
	struct vg_gnttab *no_gnttab = NULL;
	struct vg_evtchn *no_evtchn = NULL;

	sim_enter(SIM_BACKEND);
	sim_faults(SIM_BACKEND, open_failures[_i].rules);
	ck_assert_int_eq(vg_gnttab_open(&sim_log, &no_gnttab), open_failures[_i].error);
	ck_assert_ptr_null(no_gnttab);
	ck_assert_uint_eq(sim_log_lines, 1);
	ck_assert_ptr_nonnull(strstr(sim_last_line, "/dev/xen/gntdev"));
	ck_assert_ptr_nonnull(strstr(sim_last_line, open_failures[_i].remedy));
	ck_assert_int_eq(vg_evtchn_open(&sim_log, &no_evtchn), open_failures[_i].error);
	ck_assert_ptr_null(no_evtchn);
	ck_assert_uint_eq(sim_log_lines, 2);
	ck_assert_ptr_nonnull(strstr(sim_last_line, "/dev/xen/evtchn"));
	ck_assert_ptr_nonnull(strstr(sim_last_line, open_failures[_i].remedy));
	/* A NULL logger is silent. */
	ck_assert_int_eq(vg_gnttab_open(NULL, &no_gnttab), open_failures[_i].error);
	sim_faults(SIM_BACKEND, "");
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "handles"), 0);
}
END_TEST

START_TEST(closing_nothing_is_allowed)
{
	vg_gnttab_close(NULL);
	vg_evtchn_close(NULL);
}
END_TEST

/* ---- map ---- */

START_TEST(a_mapping_is_the_guests_page)
{
	uint32_t swapped[2] = {ref[2], ref[0]};
	void VG_GUEST *base;

	memset(page, 0x11, VG_PAGE_SIZE);
	memset(page + 2 * (size_t)VG_PAGE_SIZE, 0x33, VG_PAGE_SIZE);
	ck_assert_int_eq(vg_gnttab_map(gnttab, SIM_GUEST, swapped, 2, true, &base), 0);
	ck_assert_uint_eq(plain(base)[0], 0x33);
	ck_assert_uint_eq(plain(base)[VG_PAGE_SIZE], 0x11);
	plain(base)[VG_PAGE_SIZE + 5] = 0x55;
	ck_assert_uint_eq(page[5], 0x55);
	ck_assert_uint_eq(sim_number(SIM_GUEST, "in_use"), 2);
	ck_assert_int_eq(vg_gnttab_unmap(gnttab, base, 2), 0);
}
END_TEST

START_TEST(a_read_only_mapping_cannot_be_written)
{
	uint32_t read_only;
	void VG_GUEST *base;
	uint8_t *secret = xengntshr_share_pages(guest, SIM_BACKEND, 1, &read_only, 0);
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	ck_assert_ptr_nonnull(secret);
	ck_assert_int_ge(zero, 0);
	secret[7] = 77;
	ck_assert_int_eq(vg_gnttab_map(gnttab, SIM_GUEST, &read_only, 1, true, &base), -EINVAL);
	ck_assert_int_eq(vg_gnttab_map(gnttab, SIM_GUEST, &read_only, 1, false, &base), 0);
	ck_assert_uint_eq(plain(base)[7], 77);
	ck_assert_int_eq(read(zero, plain(base), 1), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(vg_gnttab_unmap(gnttab, base, 1), 0);
	close(zero);
	ck_assert_int_eq(xengntshr_unshare(guest, secret, 1), 0);
}
END_TEST

START_TEST(a_range_is_mapped_in_order)
{
	enum { COUNT = 600 }; /* more than fit on the stack */
	uint32_t *refs = calloc(COUNT, sizeof(*refs));
	uint8_t *pages;
	void VG_GUEST *base;

	ck_assert_ptr_nonnull(refs);
	pages = xengntshr_share_pages(guest, SIM_BACKEND, COUNT, refs, 1);
	ck_assert_ptr_nonnull(pages);
	for (uint32_t i = 0; i < COUNT; i++) {
		ck_assert_uint_eq(refs[i], refs[0] + i);
		memcpy(pages + (size_t)i * VG_PAGE_SIZE, &i, sizeof(i));
	}
	for (uint32_t count = 1; count <= COUNT; count = count == 1 ? 512 : count + 88) {
		ck_assert_int_eq(
			vg_gnttab_map_range(gnttab, SIM_GUEST, refs[0], count, false, &base), 0);
		for (uint32_t i = 0; i < count; i++)
			ck_assert_mem_eq(plain(base) + (size_t)i * VG_PAGE_SIZE, &i, sizeof(i));
		ck_assert_int_eq(vg_gnttab_unmap(gnttab, base, count), 0);
	}
	ck_assert_int_eq(xengntshr_unshare(guest, pages, COUNT), 0);
	free(refs);
}
END_TEST

START_TEST(map_is_all_or_nothing)
{
	uint32_t refs[3] = {ref[0], UNUSED_REF, ref[1]};
	uint32_t for_other;
	uint8_t *other = xengntshr_share_pages(guest, SIM_OTHER, 1, &for_other, 1);
	void VG_GUEST *base;

	ck_assert_ptr_nonnull(other);
	ck_assert_int_eq(vg_gnttab_map(gnttab, SIM_GUEST, refs, 3, true, &base), -EINVAL);
	refs[1] = for_other;
	ck_assert_int_eq(vg_gnttab_map(gnttab, SIM_GUEST, refs, 3, true, &base), -EINVAL);
	refs[1] = NO_REF;
	ck_assert_int_eq(vg_gnttab_map(gnttab, SIM_GUEST, refs, 3, true, &base), -EINVAL);
	refs[1] = ref[2];
	ck_assert_int_eq(vg_gnttab_map(gnttab, NO_DOMAIN, refs, 3, true, &base), -EINVAL);
	ck_assert_int_eq(vg_gnttab_map(gnttab, SIM_OTHER, refs, 3, true, &base), -EINVAL);
	sim_faults(SIM_BACKEND, "map:short");
	ck_assert_int_lt(vg_gnttab_map(gnttab, SIM_GUEST, refs, 3, true, &base), 0);
	sim_faults(SIM_BACKEND, "");
	ck_assert_uint_eq(sim_number(SIM_GUEST, "in_use"), 0);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "maptrack"), 0);
	ck_assert_int_eq(xengntshr_unshare(guest, other, 1), 0);
}
END_TEST

START_TEST(map_checks_its_count)
{
	void VG_GUEST *base;

	/* None of these is for the library to judge. */
	sim_faults(SIM_BACKEND, "map:errno=EIO");
	ck_assert_int_eq(vg_gnttab_map(gnttab, SIM_GUEST, ref, 0, true, &base), -EINVAL);
	ck_assert_int_eq(vg_gnttab_map(gnttab, SIM_GUEST, ref, UINT32_MAX, true, &base), -EINVAL);
	ck_assert_int_eq(vg_gnttab_map_range(gnttab, SIM_GUEST, ref[0], 0, true, &base), -EINVAL);
	ck_assert_int_eq(vg_gnttab_map_range(gnttab, SIM_GUEST, 8, (1u << 19) + 1, true, &base),
			 -EINVAL);
	ck_assert_int_eq(vg_gnttab_map_range(gnttab, SIM_GUEST, UINT32_MAX - 1, 3, true, &base),
			 -EINVAL);
}
END_TEST

static const struct {
	const char *rules;
	int error;
} call_failures[] = {
	{"map:errno=ENOMEM,unmap:errno=ENOMEM,grant_copy:errno=ENOMEM", -ENOMEM},
	{"map:errno=EIO,unmap:errno=EIO,grant_copy:errno=EIO", -EIO},
	{"map:errno=EFAULT,unmap:errno=EFAULT,grant_copy:errno=EFAULT", -EFAULT},
};

START_TEST(a_call_that_fails_has_its_errno)
{
	void VG_GUEST *base;
	void VG_GUEST *unused;
	int ret;
	struct vg_copy piece = {.ref = ref[0], .len = 1, .local = &(char){0}};

	ck_assert_int_eq(vg_gnttab_map(gnttab, SIM_GUEST, ref, 1, true, &base), 0);
	sim_faults(SIM_BACKEND, call_failures[_i].rules);
	ret = vg_gnttab_map(gnttab, SIM_GUEST, ref, 1, true, &unused);
	ck_assert_int_eq(ret, call_failures[_i].error);
	ck_assert_int_eq(vg_gnttab_unmap(gnttab, base, 1), call_failures[_i].error);
	ck_assert_int_eq(vg_gnttab_copy(gnttab, SIM_GUEST, &piece, 1), call_failures[_i].error);
	ck_assert_int_eq(piece.status, call_failures[_i].error);
	sim_faults(SIM_BACKEND, "");
	ck_assert_int_eq(vg_gnttab_unmap(gnttab, base, 2), -EINVAL);
	ck_assert_int_eq(vg_gnttab_unmap(gnttab, base, 1), 0);
	ck_assert_int_eq(vg_gnttab_unmap(gnttab, base, 1), -EINVAL);
}
END_TEST

START_TEST(the_domains_maptrack_is_a_limit)
{
	struct vg_gnttab *small;
	uint32_t refs[SIM_OTHER_MAX + 1];
	uint8_t *pages = xengntshr_share_pages(guest, SIM_OTHER, SIM_OTHER_MAX + 1, refs, 1);
	void VG_GUEST *base;

	ck_assert_ptr_nonnull(pages);
	sim_enter(SIM_OTHER);
	ck_assert_int_eq(vg_gnttab_open(&sim_log, &small), 0);
	ck_assert_int_lt(vg_gnttab_map(small, SIM_GUEST, refs, SIM_OTHER_MAX + 1, true, &base), 0);
	ck_assert_uint_eq(sim_number(SIM_OTHER, "maptrack"), 0);
	ck_assert_int_eq(vg_gnttab_map(small, SIM_GUEST, refs, SIM_OTHER_MAX, true, &base), 0);
	ck_assert_int_eq(vg_gnttab_unmap(small, base, SIM_OTHER_MAX), 0);
	vg_gnttab_close(small);
	ck_assert_int_eq(xengntshr_unshare(guest, pages, SIM_OTHER_MAX + 1), 0);
}
END_TEST

/* ---- copy ---- */

START_TEST(copy_moves_bytes_both_ways_and_no_others)
{
	uint8_t local[2 * VG_PAGE_SIZE];
	struct vg_copy pieces[3] = {
		{.ref = ref[1], .offset = 4000, .len = 96, .local = local + 4090},
		{.ref = ref[2], .offset = 0, .len = VG_PAGE_SIZE, .local = local, .to_guest = true},
		{.ref = ref[3], .offset = VG_PAGE_SIZE, .len = 0, .local = local},
	};

	memset(page, 0xee, GUEST_PAGES * (size_t)VG_PAGE_SIZE);
	memset(page + VG_PAGE_SIZE + 4000, 0x22, 96);
	memset(local, 0x44, sizeof(local));
	ck_assert_int_eq(vg_gnttab_copy(gnttab, SIM_GUEST, pieces, 3), 0);
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(pieces[i].status, 0);
	for (unsigned int i = 0; i < sizeof(local); i++)
		ck_assert_uint_eq(local[i], i >= 4090 && i < 4186 ? 0x22 : 0x44);
	for (unsigned int i = 0; i < VG_PAGE_SIZE; i++) {
		ck_assert_uint_eq(page[i], 0xee);
		ck_assert_uint_eq(page[2 * VG_PAGE_SIZE + i], i >= 4090 ? 0x22 : 0x44);
		ck_assert_uint_eq(page[3 * VG_PAGE_SIZE + i], 0xee);
	}
	ck_assert_int_eq(vg_gnttab_copy(gnttab, SIM_GUEST, NULL, 0), 0);
}
END_TEST

START_TEST(copy_batches_its_system_calls)
{
	enum { N = 2 * VG_COPY_BATCH + 2 };
	struct vg_copy pieces[N];
	uint8_t local[N];
	uint64_t calls = sim_number(SIM_BACKEND, "copy");
	uint64_t segments = sim_number(SIM_BACKEND, "copy_segments");

	for (unsigned int i = 0; i < N; i++) {
		page[i] = (uint8_t)(i + 1);
		pieces[i] = (struct vg_copy){
			.ref = ref[0], .offset = (uint16_t)i, .len = 1, .local = &local[i]};
	}
	ck_assert_int_eq(vg_gnttab_copy(gnttab, SIM_GUEST, pieces, N), 0);
	for (unsigned int i = 0; i < N; i++)
		ck_assert_uint_eq(local[i], (uint8_t)(i + 1));
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "copy") - calls, 3);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "copy_segments") - segments, N);
}
END_TEST

/* Every status that Xen has (public/grant_table.h), and what becomes of it. */
static const struct {
	int status, error;
} statuses[] = {
	{GNTST_general_error, -EACCES}, {GNTST_bad_domain, -ENXIO},
	{GNTST_bad_gntref, -EFAULT},    {GNTST_bad_handle, -EIO},
	{GNTST_bad_virt_addr, -EIO},    {GNTST_bad_dev_addr, -EIO},
	{GNTST_no_device_space, -EIO},  {GNTST_permission_denied, -EACCES},
	{GNTST_bad_page, -EFAULT},      {GNTST_bad_copy_arg, -EFAULT},
	{GNTST_address_too_big, -EIO},  {GNTST_eagain, -EAGAIN},
	{GNTST_no_space, -EIO},         {-99, -EIO},
};

START_TEST(each_piece_has_its_own_status)
{
	uint8_t local[3] = {0};
	struct vg_copy pieces[3];
	char rules[64];

	for (unsigned int i = 0; i < 3; i++) {
		page[i] = (uint8_t)(i + 1);
		pieces[i] = (struct vg_copy){.ref = ref[0],
					     .offset = (uint16_t)i,
					     .len = 1,
					     .local = &local[i],
					     .status = -ENOTTY};
	}
	/* The second piece alone; one that is told to try again, for ever. */
	snprintf(rules, sizeof(rules), "grant_copy:status=%d:after=1%s", statuses[_i].status,
		 statuses[_i].status == GNTST_eagain ? ":count=50" : ":count=1");
	sim_faults(SIM_BACKEND, rules);
	if (statuses[_i].status == GNTST_eagain)
		pieces[2] = pieces[0];
	ck_assert_int_eq(vg_gnttab_copy(gnttab, SIM_GUEST, pieces, 3), statuses[_i].error);
	ck_assert_int_eq(pieces[0].status, 0);
	ck_assert_int_eq(pieces[1].status, statuses[_i].error);
	ck_assert_uint_eq(local[0], 1);
	ck_assert_uint_eq(local[1], 0);
	if (statuses[_i].status != GNTST_eagain) {
		ck_assert_int_eq(pieces[2].status, 0);
		ck_assert_uint_eq(local[2], 3);
	}
}
END_TEST

START_TEST(only_what_had_eagain_is_tried_again)
{
	uint8_t local[4] = {0};
	struct vg_copy pieces[4];
	uint64_t calls = sim_number(SIM_BACKEND, "copy");
	uint64_t segments = sim_number(SIM_BACKEND, "copy_segments");

	for (unsigned int i = 0; i < 4; i++) {
		page[i] = (uint8_t)(i + 1);
		pieces[i] = (struct vg_copy){
			.ref = ref[0], .offset = (uint16_t)i, .len = 1, .local = &local[i]};
	}
	pieces[3].ref = UNUSED_REF;
	/* The second and third piece; then, of these two, the second once more. */
	sim_faults(SIM_BACKEND, "grant_copy:status=-12:after=1:count=3");
	ck_assert_int_eq(vg_gnttab_copy(gnttab, SIM_GUEST, pieces, 3), 0);
	ck_assert_mem_eq(local, page, 3);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "copy") - calls, 3);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "copy_segments") - segments, 3 + 2 + 1);

	/* The first failure is returned, whichever piece was last to be tried. */
	sim_faults(SIM_BACKEND, "grant_copy:status=-12:count=1");
	ck_assert_int_eq(vg_gnttab_copy(gnttab, SIM_GUEST, pieces, 4), -EACCES);
	ck_assert_int_eq(pieces[0].status, 0);
	ck_assert_int_eq(pieces[3].status, -EACCES);
}
END_TEST

START_TEST(eagain_is_not_tried_for_ever)
{
	uint8_t local = 0;
	struct vg_copy piece = {.ref = ref[0], .len = 1, .local = &local};
	uint64_t calls = sim_number(SIM_BACKEND, "copy");

	sim_faults(SIM_BACKEND, "grant_copy:status=-12");
	ck_assert_int_eq(vg_gnttab_copy(gnttab, SIM_GUEST, &piece, 1), -EAGAIN);
	ck_assert_int_eq(piece.status, -EAGAIN);
	calls = sim_number(SIM_BACKEND, "copy") - calls;
	ck_assert_uint_gt(calls, 1);
	ck_assert_uint_le(calls, 16);
}
END_TEST

START_TEST(a_failed_call_fails_its_own_pieces_only)
{
	enum { N = VG_COPY_BATCH + 1 };
	struct vg_copy pieces[N];
	uint8_t local[N] = {0};

	memset(page, 9, N);
	for (unsigned int i = 0; i < N; i++)
		pieces[i] = (struct vg_copy){
			.ref = ref[0], .offset = (uint16_t)i, .len = 1, .local = &local[i]};
	sim_faults(SIM_BACKEND, "grant_copy:errno=ENOMEM:count=1");
	ck_assert_int_eq(vg_gnttab_copy(gnttab, SIM_GUEST, pieces, N), -ENOMEM);
	for (unsigned int i = 0; i < VG_COPY_BATCH; i++)
		ck_assert_int_eq(pieces[i].status, -ENOMEM);
	ck_assert_int_eq(pieces[VG_COPY_BATCH].status, 0);
	ck_assert_uint_eq(local[VG_COPY_BATCH], 9);
}
END_TEST

START_TEST(copy_reaches_only_what_was_granted)
{
	uint32_t read_only, for_other;
	uint8_t *secret = xengntshr_share_pages(guest, SIM_BACKEND, 1, &read_only, 0);
	uint8_t *other = xengntshr_share_pages(guest, SIM_OTHER, 1, &for_other, 1);
	uint8_t local[8] = {0};
	struct vg_copy pieces[8] = {
		{.ref = ref[0], .offset = VG_PAGE_SIZE - 1, .len = 2}, /* crosses the page */
		{.ref = ref[0], .offset = UINT16_MAX, .len = 1},
		{.ref = UNUSED_REF, .len = 1},
		{.ref = NO_REF, .len = 1},
		{.ref = UINT32_MAX, .len = 1},
		{.ref = for_other, .len = 1},
		{.ref = read_only, .len = 1, .to_guest = true},
		{.ref = read_only, .len = 1},
	};
	static const int expected[8] = {-EFAULT, -EFAULT, -EACCES, -EFAULT,
					-EFAULT, -EACCES, -EACCES, 0};

	ck_assert_ptr_nonnull(secret);
	ck_assert_ptr_nonnull(other);
	secret[0] = other[0] = 42;
	for (unsigned int i = 0; i < 8; i++)
		pieces[i].local = &local[i];
	ck_assert_int_eq(vg_gnttab_copy(gnttab, SIM_GUEST, pieces, 8), -EFAULT);
	for (unsigned int i = 0; i < 8; i++) {
		ck_assert_msg(pieces[i].status == expected[i], "piece %u: %d", i, pieces[i].status);
		ck_assert_uint_eq(local[i], i == 7 ? 42 : 0);
	}
	ck_assert_uint_eq(secret[0], 42);
	ck_assert_int_eq(vg_gnttab_copy(gnttab, NO_DOMAIN, pieces + 7, 1), -ENXIO);
	ck_assert_int_eq(xengntshr_unshare(guest, secret, 1), 0);
	ck_assert_int_eq(xengntshr_unshare(guest, other, 1), 0);
}
END_TEST

static int tests(void)
{
	Suite *suite = suite_create("grant handle");
	TCase *opening = tcase_create("open"), *tc = tcase_create("grants");
	SRunner *runner;
	int failed;

	tcase_set_timeout(opening, 120);
	tcase_add_loop_test(opening, a_handle_that_cannot_be_opened_says_why, 0,
			    sizeof(open_failures) / sizeof(open_failures[0]));
	tcase_add_test(opening, closing_nothing_is_allowed);
	suite_add_tcase(suite, opening);

	tcase_add_checked_fixture(tc, open_gnttab, close_gnttab);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_mapping_is_the_guests_page);
	tcase_add_test(tc, a_read_only_mapping_cannot_be_written);
	tcase_add_test(tc, a_range_is_mapped_in_order);
	tcase_add_test(tc, map_is_all_or_nothing);
	tcase_add_test(tc, map_checks_its_count);
	tcase_add_loop_test(tc, a_call_that_fails_has_its_errno, 0,
			    sizeof(call_failures) / sizeof(call_failures[0]));
	tcase_add_test(tc, the_domains_maptrack_is_a_limit);
	tcase_add_test(tc, copy_moves_bytes_both_ways_and_no_others);
	tcase_add_test(tc, copy_batches_its_system_calls);
	tcase_add_loop_test(tc, each_piece_has_its_own_status, 0,
			    sizeof(statuses) / sizeof(statuses[0]));
	tcase_add_test(tc, only_what_had_eagain_is_tried_again);
	tcase_add_test(tc, eagain_is_not_tried_for_ever);
	tcase_add_test(tc, a_failed_call_fails_its_own_pieces_only);
	tcase_add_test(tc, copy_reaches_only_what_was_granted);
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

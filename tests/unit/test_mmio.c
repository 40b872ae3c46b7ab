// SPDX-License-Identifier: MIT
/* The registers of virtio-mmio (virtio 1.3, 4.2.2): every one, every width, every order that is
 * forbidden. */
#include "mmio_fixture.h"

static const uint32_t writable[] = {
	REG_DEVICE_FEATURES_SEL,
	REG_DRIVER_FEATURES,
	REG_DRIVER_FEATURES_SEL,
	REG_QUEUE_SEL,
	REG_QUEUE_SIZE,
	REG_QUEUE_READY,
	REG_QUEUE_NOTIFY,
	REG_INTERRUPT_ACK,
	REG_STATUS,
	REG_QUEUE_DESC_LOW,
	REG_QUEUE_DESC_HIGH,
	REG_QUEUE_DRIVER_LOW,
	REG_QUEUE_DRIVER_HIGH,
	REG_QUEUE_DEVICE_LOW,
	REG_QUEUE_DEVICE_HIGH,
	REG_SHM_SEL,
};

static bool is_writable(uint32_t offset)
{
	for (unsigned int i = 0; i < sizeof(writable) / sizeof(writable[0]); i++)
		if (writable[i] == offset)
			return true;
	return false;
}

START_TEST(every_register_has_its_value_at_reset)
{
	check_at_reset();
}
END_TEST

START_TEST(registers_take_four_bytes_and_no_others)
{
	static const unsigned int sizes[] = {0, 1, 2, 3, 5, 8, 16, 4096};

	for (uint32_t offset = 0; offset < VG_MMIO_CONFIG; offset++) {
		for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			ck_assert_uint_eq(vg_mmio_read(mmio, offset, sizes[i]), 0);
			ck_assert_int_eq(vg_mmio_write(mmio, offset, sizes[i], UINT64_MAX), 0);
		}
		if (offset % 4) {
			ck_assert_uint_eq(vg_mmio_read(mmio, offset, 4), 0);
			ck_assert_int_eq(vg_mmio_write(mmio, offset, 4, UINT64_MAX), 0);
		}
	}
	check_at_reset();
	/* The last register, and its half in the configuration. */
	ck_assert_uint_eq(vg_mmio_read(mmio, VG_MMIO_CONFIG - 2, 4), 0);
}
END_TEST

START_TEST(what_cannot_be_written_is_not)
{
	struct vg_mmio_stats before, after;

	vg_mmio_get_stats(mmio, &before);
	for (uint32_t offset = 0; offset < VG_MMIO_CONFIG; offset += 4) {
		if (is_writable(offset))
			continue;
		wr(offset, UINT32_MAX);
		before.ignored++;
	}
	vg_mmio_get_stats(mmio, &after);
	ck_assert_uint_eq(after.ignored, before.ignored);
	check_at_reset();
}
END_TEST

START_TEST(what_is_written_only_reads_as_zero)
{
	static const uint32_t write_only[] = {
		REG_DEVICE_FEATURES_SEL, REG_DRIVER_FEATURES,   REG_DRIVER_FEATURES_SEL,
		REG_QUEUE_SEL,           REG_QUEUE_SIZE,        REG_QUEUE_DESC_LOW,
		REG_QUEUE_DESC_HIGH,     REG_QUEUE_DRIVER_LOW,  REG_QUEUE_DRIVER_HIGH,
		REG_QUEUE_DEVICE_LOW,    REG_QUEUE_DEVICE_HIGH, REG_SHM_SEL,
	};

	for (unsigned int i = 0; i < sizeof(write_only) / sizeof(write_only[0]); i++) {
		wr(write_only[i], 1);
		ck_assert_uint_eq(rd(write_only[i]), 0);
	}
}
END_TEST

/* ---- features: 4.2.2, 2.2 ---- */

START_TEST(features_are_seen_through_windows)
{
	static const uint32_t past[] = {2, 3, 31, 32, UINT32_MAX};

	wr(REG_DEVICE_FEATURES_SEL, 1);
	ck_assert_uint_eq(rd(REG_DEVICE_FEATURES), (VG_F_VERSION_1 | VG_F_ACCESS_PLATFORM) >> 32);
	for (unsigned int i = 0; i < sizeof(past) / sizeof(past[0]); i++) {
		wr(REG_DEVICE_FEATURES_SEL, past[i]);
		ck_assert_uint_eq(rd(REG_DEVICE_FEATURES), 0);
	}
	wr(REG_DEVICE_FEATURES_SEL, 0);
	ck_assert_uint_eq(rd(REG_DEVICE_FEATURES), expected_at_reset(REG_DEVICE_FEATURES));
}
END_TEST

START_TEST(the_driver_chooses_among_what_is_offered)
{
	mmio_negotiate(REQUIRED | TOY_FEATURE);
	/* Too late. */
	driver_features(REQUIRED);
	wr(REG_STATUS, RUNNING);
	ck_assert_uint_eq(toy.features, REQUIRED | TOY_FEATURE);
	ck_assert_uint_eq(state.features[0], TOY_FEATURE);
}
END_TEST

static const uint64_t bad_features[] = {
	0,                            /* neither of the two that must be */
	VG_F_VERSION_1,               /* only one of them */
	VG_F_ACCESS_PLATFORM,         /* only the other */
	REQUIRED | 1,                 /* not offered */
	REQUIRED | UINT64_C(1) << 63, /* likewise, at the end */
};

START_TEST(features_that_are_not_offered_are_refused)
{
	wr(REG_STATUS, VG_STATUS_ACKNOWLEDGE);
	wr(REG_STATUS, NEGOTIATING);
	driver_features(bad_features[_i]);
	wr(REG_STATUS, NEGOTIATED);
	ck_assert_uint_eq(rd(REG_STATUS), NEGOTIATING);
	/* Without a reset it may choose again. */
	driver_features(REQUIRED);
	wr(REG_STATUS, NEGOTIATED);
	ck_assert_uint_eq(rd(REG_STATUS), NEGOTIATED);
}
END_TEST

START_TEST(features_past_the_windows_are_refused)
{
	wr(REG_STATUS, VG_STATUS_ACKNOWLEDGE);
	wr(REG_STATUS, NEGOTIATING);
	driver_features(REQUIRED);
	wr(REG_DRIVER_FEATURES_SEL, 2);
	wr(REG_DRIVER_FEATURES, 0); /* none of them is none */
	wr(REG_DRIVER_FEATURES_SEL, UINT32_MAX);
	wr(REG_DRIVER_FEATURES, 1);
	wr(REG_STATUS, NEGOTIATED);
	ck_assert_uint_eq(rd(REG_STATUS), NEGOTIATING);
}
END_TEST

/* ---- status: 2.1, 3.1.1 ---- */

static const struct {
	uint32_t from, write, result;
} transitions[] = {
	{0, VG_STATUS_DRIVER, 0},
	{0, VG_STATUS_FEATURES_OK, 0},
	{0, VG_STATUS_DRIVER_OK, 0},
	{0, NEEDS_RESET, 0},
	{0, 0x10, 0},
	{0, 0x100, 0},
	{VG_STATUS_ACKNOWLEDGE, NEGOTIATED, VG_STATUS_ACKNOWLEDGE | VG_STATUS_DRIVER},
	{VG_STATUS_ACKNOWLEDGE, VG_STATUS_ACKNOWLEDGE | VG_STATUS_DRIVER_OK, VG_STATUS_ACKNOWLEDGE},
	{NEGOTIATING, RUNNING, NEGOTIATING},
	{NEGOTIATING, NEGOTIATING | VG_STATUS_DRIVER_OK, NEGOTIATING},
	{NEGOTIATING, 0x20 | NEGOTIATING, NEGOTIATING},
	{NEGOTIATING, VG_STATUS_ACKNOWLEDGE, NEGOTIATING}, /* no bit is taken back */
	{NEGOTIATED, NEGOTIATED | NEEDS_RESET, NEGOTIATED},
	{NEGOTIATED, 0x100, NEGOTIATED}, /* no reset */
	{NEGOTIATED, UINT32_MAX, NEGOTIATED},
	{NEGOTIATED, NEGOTIATED | VG_STATUS_FAILED, NEGOTIATED | VG_STATUS_FAILED},
	{RUNNING, NEGOTIATED, RUNNING},
	{RUNNING, RUNNING | VG_STATUS_FAILED, RUNNING | VG_STATUS_FAILED},
};
#define TRANSITIONS (sizeof(transitions) / sizeof(transitions[0]))

START_TEST(forbidden_orders_of_status_change_nothing)
{
	uint32_t from = transitions[_i].from;

	if (from == RUNNING)
		mmio_run(1, 8);
	else if (from == NEGOTIATED)
		mmio_negotiate(REQUIRED);
	else if (from) {
		wr(REG_STATUS, VG_STATUS_ACKNOWLEDGE);
		wr(REG_STATUS, from);
	}
	ck_assert_uint_eq(rd(REG_STATUS), from);
	wr(REG_STATUS, transitions[_i].write);
	ck_assert_uint_eq(rd(REG_STATUS), transitions[_i].result);
	ck_assert_uint_eq(state.status, transitions[_i].result);
	wr(REG_STATUS, 0);
	ck_assert_uint_eq(rd(REG_STATUS), 0);
}
END_TEST

/* ---- queues ---- */

START_TEST(each_queue_is_selected)
{
	static const uint32_t past[] = {QUEUES, QUEUES + 1, 31, 32, 0x10000, UINT32_MAX};
	struct vg_queue_setup setup = new_ring(2, 16);

	mmio_negotiate(REQUIRED);
	ck_assert_uint_eq(make_ready(2, &setup), 1);
	for (uint32_t i = 0; i < QUEUES; i++) {
		wr(REG_QUEUE_SEL, i);
		ck_assert_uint_eq(rd(REG_QUEUE_SIZE_MAX), MAX_SIZE);
		ck_assert_uint_eq(rd(REG_QUEUE_READY), i == 2);
	}
	for (unsigned int i = 0; i < sizeof(past) / sizeof(past[0]); i++) {
		wr(REG_QUEUE_SEL, past[i]);
		ck_assert_uint_eq(rd(REG_QUEUE_SIZE_MAX), 0);
		ck_assert_uint_eq(rd(REG_QUEUE_READY), 0);
		ck_assert_uint_eq(make_ready(past[i], &setup), 0);
	}
}
END_TEST

static struct vg_queue_setup bad_setup(int which)
{
	struct vg_queue_setup setup = new_ring(0, 16);
	uint64_t *address[] = {&setup.desc_addr, &setup.driver_addr, &setup.device_addr};

	if (which < 3) /* guest-physical: not one byte of that is reached */
		*address[which] &= ~VG_ADDR_GRANT;
	else if (which < 6) /* never granted */
		*address[which - 3] = vg_addr_make(900, 0);
	else if (which < 9)
		*address[which - 6] += 1;
	else if (which < 12) /* past every grant table */
		*address[which - 9] = vg_addr_make(VG_MAX_REFS, 0);
	else
		setup.size = (const uint32_t[]){0, 1, 3, 48, 2 * MAX_SIZE, UINT32_MAX}[which - 12];
	return setup;
}
#define BAD_SETUPS 18

START_TEST(a_queue_that_cannot_be_is_not_ready)
{
	struct vg_queue_setup setup = bad_setup(_i);

	mmio_negotiate(REQUIRED);
	ck_assert_uint_eq(make_ready(0, &setup), 0);
	ck_assert_uint_eq(quota.pages, 0);
	/* And then one that can be. */
	setup = new_ring(0, 16);
	ck_assert_uint_eq(make_ready(0, &setup), 1);
}
END_TEST

START_TEST(queues_are_made_between_features_and_driver)
{
	struct vg_queue_setup setup = new_ring(0, 16), other;

	ck_assert_uint_eq(make_ready(0, &setup), 0);
	mmio_negotiate(REQUIRED);
	ck_assert_uint_eq(make_ready(0, &setup), 1);
	wr(REG_STATUS, RUNNING);
	other = new_ring(1, 16);
	ck_assert_uint_eq(make_ready(1, &other), 0);
	/* Nor does one that runs go. */
	wr(REG_QUEUE_SEL, 0);
	wr(REG_QUEUE_READY, 0);
	ck_assert_uint_eq(rd(REG_QUEUE_READY), 1);
}
END_TEST

START_TEST(a_ready_queue_does_not_move)
{
	struct vg_queue_setup setup = new_ring(0, 16), other = new_ring(1, 32);

	mmio_negotiate(REQUIRED);
	ck_assert_uint_eq(make_ready(0, &setup), 1);
	ck_assert_uint_eq(make_ready(0, &other), 1); /* none of it was written */
	wr(REG_QUEUE_READY, 2);
	ck_assert_uint_eq(rd(REG_QUEUE_READY), 1);
	wr(REG_STATUS, RUNNING);
	ring_add(&ring[0], 0, 3);
	fake_grant(RING_REF(0) + 3, 1, true);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	ck_assert_uint_eq(ring_used(&ring[0]), 3);
}
END_TEST

START_TEST(a_queue_is_taken_back_before_the_driver_runs)
{
	struct vg_queue_setup setup = new_ring(0, 16);

	mmio_negotiate(REQUIRED);
	ck_assert_uint_eq(make_ready(0, &setup), 1);
	ck_assert_uint_gt(quota.pages, 0);
	wr(REG_QUEUE_READY, 0);
	ck_assert_uint_eq(rd(REG_QUEUE_READY), 0);
	ck_assert_uint_eq(quota.pages, 0);
	wr(REG_QUEUE_READY, 0);
	setup = new_ring(0, 32);
	ck_assert_uint_eq(make_ready(0, &setup), 1);
}
END_TEST

START_TEST(a_kick_is_for_one_queue)
{
	mmio_run(2, 16);
	ring_add(&ring[0], 0, 1);
	ring_add(&ring[1], 1, 1);
	turn(); /* DRIVER_OK was a kick of all, */
	turn(); /* and there is room again after completions */
	ring_add(&ring[0], 0, 1);
	ring_add(&ring[1], 1, 1);
	wr(REG_QUEUE_NOTIFY, QUEUES);
	wr(REG_QUEUE_NOTIFY, UINT32_MAX);
	turn();
	ck_assert_uint_eq(ring_used(&ring[0]) + ring_used(&ring[1]), 2);
	wr(REG_QUEUE_NOTIFY, 1);
	turn();
	ck_assert_uint_eq(ring_used(&ring[0]), 1);
	ck_assert_uint_eq(ring_used(&ring[1]), 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mmio");
	TCase *tc = tcase_create("registers");

	tcase_add_checked_fixture(tc, set_up_mmio, tear_down_mmio);
	tcase_add_test(tc, every_register_has_its_value_at_reset);
	tcase_add_test(tc, registers_take_four_bytes_and_no_others);
	tcase_add_test(tc, what_cannot_be_written_is_not);
	tcase_add_test(tc, what_is_written_only_reads_as_zero);
	tcase_add_test(tc, features_are_seen_through_windows);
	tcase_add_test(tc, the_driver_chooses_among_what_is_offered);
	tcase_add_loop_test(tc, features_that_are_not_offered_are_refused, 0,
			    sizeof(bad_features) / sizeof(bad_features[0]));
	tcase_add_test(tc, features_past_the_windows_are_refused);
	tcase_add_loop_test(tc, forbidden_orders_of_status_change_nothing, 0, TRANSITIONS);
	tcase_add_test(tc, each_queue_is_selected);
	tcase_add_loop_test(tc, a_queue_that_cannot_be_is_not_ready, 0, BAD_SETUPS);
	tcase_add_test(tc, queues_are_made_between_features_and_driver);
	tcase_add_test(tc, a_ready_queue_does_not_move);
	tcase_add_test(tc, a_queue_is_taken_back_before_the_driver_runs);
	tcase_add_test(tc, a_kick_is_for_one_queue);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return run_suite(suite());
}

// SPDX-License-Identifier: MIT
/* The device model's request path: kicks, budgets, doorbells, broken rings, reset and stop. */
#include "device_fixture.h"

/* ---- taking requests ---- */

START_TEST(nothing_is_taken_before_driver_ok_and_all_after)
{
	struct vg_queue_setup setup;

	negotiate(REQUIRED);
	setup = new_ring(1, 8);
	ck_assert_int_eq(vg_device_set_queue(dev, 1, &setup), 0);
	ring_add(&ring[1], 1, 3);
	vg_device_kick(dev, 1);
	vg_device_kick(dev, VG_ALL_QUEUES);
	ck_assert(!vg_device_service(dev, 16));
	ck_assert(!vg_device_poll(dev, 16));
	ck_assert(!vg_device_enable_notify(dev));
	vg_device_disable_notify(dev);
	vg_device_flush(dev);
	ck_assert_uint_eq(toy.calls[1], 0);
	ck_assert_uint_eq(ring_used(&ring[1]), 0);

	/* No kick is needed for what was there already. */
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), 0);
	ck_assert(vg_device_service(dev, 16));
	ck_assert_uint_eq(toy.taken[1], 3);
	ck_assert_uint_eq(ring_used(&ring[1]), 0);
	ck_assert_uint_eq(recorder.notified[1], 0);
	ck_assert_uint_eq(vg_device_inflight(dev), 3);
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[1]), 3);
	ck_assert_uint_eq(recorder.notified[1], 1);
	ck_assert_uint_eq(vg_device_inflight(dev), 0);
	/* Queues that were not set up were not looked at. */
	ck_assert_uint_eq(toy.calls[0] + toy.calls[2] + toy.calls[3], 0);
}
END_TEST

START_TEST(only_kicked_queues_are_served_but_all_are_polled)
{
	run_device(3, 8);
	ck_assert(!vg_device_service(dev, 16)); /* the look that DRIVER_OK brings */
	memset(toy.calls, 0, sizeof(toy.calls));
	for (unsigned int i = 0; i < 3; i++)
		ring_add(&ring[i], i, 1);

	ck_assert(!vg_device_service(dev, 16));
	vg_device_kick(dev, 3); /* not set up */
	vg_device_kick(dev, QUEUES);
	vg_device_kick(dev, UINT32_MAX - 1);
	ck_assert(!vg_device_service(dev, 16));
	ck_assert_uint_eq(toy.calls[0] + toy.calls[1] + toy.calls[2], 0);

	vg_device_kick(dev, 2);
	ck_assert(vg_device_service(dev, 16));
	ck_assert_uint_eq(toy.taken[2], 1);
	ck_assert_uint_eq(toy.calls[0] + toy.calls[1], 0);
	ck_assert(vg_device_poll(dev, 16));
	ck_assert_uint_eq(toy.taken[0] + toy.taken[1], 2);
	ck_assert(!vg_device_poll(dev, 16));
	vg_device_flush(dev);

	ring_add(&ring[0], 0, 1);
	ring_add(&ring[1], 1, 1);
	vg_device_kick(dev, VG_ALL_QUEUES);
	ck_assert(vg_device_service(dev, 16));
	ck_assert_uint_eq(toy.taken[0] + toy.taken[1], 4);
	vg_device_flush(dev);
}
END_TEST

START_TEST(a_budget_bounds_each_queue_and_the_rest_stays_kicked)
{
	run_device(2, 16);
	ring_add(&ring[0], 0, 10);
	ring_add(&ring[1], 1, 3);
	vg_device_kick(dev, VG_ALL_QUEUES);
	ck_assert(vg_device_service(dev, 4));
	ck_assert_uint_eq(toy.taken[0], 4);
	ck_assert_uint_eq(toy.taken[1], 3);
	ck_assert(vg_device_service(dev, 4));
	ck_assert_uint_eq(toy.taken[0], 8);
	ck_assert(vg_device_service(dev, 4));
	ck_assert_uint_eq(toy.taken[0], 10);
	ck_assert_uint_eq(toy.calls[1], 1);
	ck_assert(!vg_device_service(dev, 4));
	ck_assert_uint_eq(toy.calls[0], 3);
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[0]), 10);
	ck_assert_uint_eq(ring_used(&ring[1]), 3);
	/* One doorbell for a batch. */
	ck_assert_uint_eq(recorder.notified[0], 1);
	ck_assert_uint_eq(recorder.notified[1], 1);
}
END_TEST

START_TEST(each_queue_gets_to_be_first)
{
	unsigned int first[QUEUES] = {0};

	run_device(QUEUES, 64);
	for (unsigned int i = 0; i < QUEUES; i++)
		ring_add(&ring[i], i, 32);
	vg_device_kick(dev, VG_ALL_QUEUES);
	for (unsigned int round = 0; round < 2 * QUEUES; round++) {
		toy.num_order = 0;
		ck_assert(vg_device_service(dev, 2));
		ck_assert_uint_eq(toy.num_order, QUEUES);
		first[toy.order[0]]++;
	}
	for (unsigned int i = 0; i < QUEUES; i++) {
		ck_assert_uint_eq(first[i], 2);
		ck_assert_uint_eq(toy.taken[i], (size_t)4 * QUEUES);
	}
	vg_device_flush(dev);
}
END_TEST

START_TEST(a_flush_makes_room_for_what_the_ring_size_kept_out)
{
	toy.hold = true;
	run_device(1, 4);
	ring_add(&ring[0], 0, 4);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 16));
	ck_assert_uint_eq(toy.num_held, 4);
	ring_add(&ring[0], 0, 2); /* a driver that overruns its own ring */
	vg_device_kick(dev, 0);
	ck_assert(!vg_device_service(dev, 16));
	ck_assert(!vg_device_enable_notify(dev));

	/* Nobody kicks again. */
	toy_release(&toy, 4);
	vg_device_flush(dev);
	ck_assert(vg_device_service(dev, 16));
	ck_assert_uint_eq(toy.num_held, 2);
	drain();
}
END_TEST

/* ---- doorbells ---- */

START_TEST(enable_notify_says_that_work_came_in_between)
{
	run_device(2, 8);
	ck_assert(!vg_device_service(dev, 8));
	vg_device_disable_notify(dev);
	ck_assert_uint_eq(le16toh(ring[0].used[0]), 1);
	ck_assert_uint_eq(le16toh(ring[1].used[0]), 1);
	ck_assert(!vg_device_enable_notify(dev));
	ck_assert_uint_eq(le16toh(ring[0].used[0]), 0);
	ck_assert_uint_eq(le16toh(ring[1].used[0]), 0);

	vg_device_disable_notify(dev);
	ring_add(&ring[1], 1, 1);
	ck_assert(vg_device_enable_notify(dev));
	/* Without a kick, it is served. */
	ck_assert(vg_device_service(dev, 8));
	ck_assert_uint_eq(toy.taken[1], 1);
	ck_assert(!vg_device_enable_notify(dev));
	vg_device_flush(dev);
}
END_TEST

START_TEST(no_doorbell_when_the_driver_wants_none_or_no_bus_is_there)
{
	run_device(1, 8);
	ring[0].avail[0] = htole16(1); /* NO_INTERRUPT */
	ring_add(&ring[0], 0, 2);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 8));
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[0]), 2);
	ck_assert_uint_eq(recorder.notified[0], 0);

	ring[0].avail[0] = 0;
	vg_device_set_bus(dev, NULL, NULL);
	ring_add(&ring[0], 0, 1);
	ck_assert(vg_device_poll(dev, 8));
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[0]), 3);
	ck_assert_uint_eq(recorder.notified[0], 0);
}
END_TEST

START_TEST(negotiated_event_idx_reaches_the_queue)
{
	struct vg_queue_setup setup;

	negotiate(REQUIRED | VG_F_EVENT_IDX);
	setup = new_ring(0, 8);
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &setup), 0);
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), 0);
	ring[0].avail[2 + 8] = htole16(2); /* used_event: tell of the third */
	ring_add(&ring[0], 0, 2);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 8));
	vg_device_flush(dev);
	ck_assert_uint_eq(recorder.notified[0], 0);
	ring_add(&ring[0], 0, 1);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 8));
	vg_device_flush(dev);
	ck_assert_uint_eq(recorder.notified[0], 1);
	ck_assert(!vg_device_enable_notify(dev));
	ck_assert_uint_eq(le16toh(ring[0].used[2 + 4 * 8]), 3); /* avail_event */
}
END_TEST

START_TEST(an_indirect_table_is_taken_only_when_negotiated)
{
	struct vg_queue_setup setup;
	struct descriptor *table = fake_page(RING_REF(0) + 3);

	negotiate(_i ? REQUIRED | VG_F_INDIRECT_DESC : REQUIRED);
	setup = new_ring(0, 8);
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &setup), 0);
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), 0);
	table[0] = (struct descriptor){
		.addr = htole64(vg_addr_make(RING_REF(0) + 3, 2048)),
		.len = htole32(16),
		.flags = htole16(DESC_F_WRITE),
	};
	ring_add(&ring[0], 0, 1);
	ring[0].desc[0].flags = htole16(DESC_F_INDIRECT);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 8) == (_i == 1));
	vg_device_flush(dev);
	ck_assert_uint_eq(vg_device_get_status(dev), _i ? RUNNING : RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(ring_used(&ring[0]), _i ? 1 : 0);
}
END_TEST

/* ---- broken rings ---- */

START_TEST(a_broken_ring_stops_the_device_until_reset)
{
	toy.hold = true;
	run_device(2, 8);
	ring_add(&ring[0], 0, 2);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 8));

	ring[1].avail_idx += 9; /* more than the ring can hold */
	ring_publish(&ring[1]);
	vg_device_kick(dev, 1);
	ck_assert(!vg_device_service(dev, 8));
	ck_assert_uint_eq(vg_device_get_status(dev), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(recorder.config_changes, 1);
	ck_assert_uint_eq(logged.lines, 1);
	ck_assert_ptr_nonnull(strstr(logged.last, "available index"));

	/* Neither queue is looked at any more, and nothing more is said. */
	memset(toy.calls, 0, sizeof(toy.calls));
	ring_add(&ring[0], 0, 1);
	for (int i = 0; i < 100; i++) {
		vg_device_kick(dev, VG_ALL_QUEUES);
		ck_assert(!vg_device_service(dev, 8));
		ck_assert(!vg_device_poll(dev, 8));
		ck_assert(!vg_device_enable_notify(dev));
	}
	ck_assert_uint_eq(toy.calls[0] + toy.calls[1], 0);
	ck_assert_uint_eq(logged.lines, 1);
	ck_assert_uint_eq(recorder.config_changes, 1);

	/* What was in flight comes to its end. */
	toy_release(&toy, 2);
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[0]), 2);
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	ck_assert_uint_eq(fake_mapped_pages(), 0);

	toy.hold = false;
	toy.starts = 0;
	run_device(2, 8);
	ring_add(&ring[1], 1, 1);
	vg_device_kick(dev, 1);
	ck_assert(vg_device_service(dev, 8));
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[1]), 1);
}
END_TEST

START_TEST(requests_before_the_corruption_are_done)
{
	run_device(1, 8);
	ring_add(&ring[0], 0, 2);
	ring[0].avail[2 + 2] = htole16(8); /* a head past the ring */
	ring[0].avail_idx++;
	ring_publish(&ring[0]);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 8));
	ck_assert_uint_eq(vg_device_get_status(dev), RUNNING | NEEDS_RESET);
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[0]), 2);
	ck_assert_uint_eq(logged.lines, 1);
}
END_TEST

START_TEST(a_type_that_gives_up_needs_a_reset)
{
	run_device(2, 8);
	toy.process_result = -EPROTO;
	vg_device_kick(dev, VG_ALL_QUEUES);
	ck_assert(!vg_device_service(dev, 8));
	ck_assert_uint_eq(vg_device_get_status(dev), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(toy.calls[0] + toy.calls[1], 1);
	ck_assert_uint_eq(logged.lines, 1);
}
END_TEST

START_TEST(a_type_that_complains_ends_the_round)
{
	run_device(2, 8);
	toy.complains_to = dev;
	ring_add(&ring[0], 0, 1);
	ring_add(&ring[1], 1, 1);
	vg_device_kick(dev, VG_ALL_QUEUES);
	ck_assert(vg_device_service(dev, 8));
	ck_assert_uint_eq(toy.calls[0] + toy.calls[1], 1);
	ck_assert_uint_eq(logged.lines, 1);
	ck_assert_ptr_nonnull(strstr(logged.last, "did not like"));
	vg_device_flush(dev);
}
END_TEST

START_TEST(a_driver_that_failed_is_not_served)
{
	run_device(1, 8);
	ck_assert(!vg_device_service(dev, 8));
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING | VG_STATUS_FAILED), 0);
	ring_add(&ring[0], 0, 1);
	vg_device_kick(dev, 0);
	ck_assert(!vg_device_service(dev, 8));
	ck_assert(!vg_device_poll(dev, 8));
	ck_assert_uint_eq(toy.taken[0], 0);
}
END_TEST

/* ---- reset ---- */

START_TEST(reset_waits_for_what_is_in_flight)
{
	struct vg_queue_setup setup = new_ring(3, 8);
	uint8_t byte = 0;

	toy.hold = true;
	run_device(2, 8);
	ring_add(&ring[0], 0, 2);
	ring_add(&ring[1], 1, 1);
	vg_device_kick(dev, VG_ALL_QUEUES);
	ck_assert(vg_device_service(dev, 8));
	ck_assert_uint_eq(toy.num_held, 3);

	ck_assert_int_eq(vg_device_set_status(dev, 0), -EINPROGRESS);
	ck_assert_uint_eq(vg_device_get_status(dev), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(toy.resets, 0);
	ck_assert_uint_gt(fake_mapped_pages(), 0);

	/* From now on it takes no work, and nothing but a reset. */
	ring_add(&ring[0], 0, 1);
	vg_device_kick(dev, VG_ALL_QUEUES);
	ck_assert(!vg_device_service(dev, 8));
	ck_assert(!vg_device_poll(dev, 8));
	ck_assert(!vg_device_enable_notify(dev));
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), -EINVAL);
	ck_assert_int_eq(vg_device_set_status(dev, VG_STATUS_FAILED), -EINVAL);
	ck_assert_int_eq(vg_device_set_features(dev, 0, 0), -EBUSY);
	ck_assert_int_eq(vg_device_set_queue(dev, 3, &setup), -EBUSY);
	ck_assert_int_eq(vg_device_write_config(dev, 0, 0, &byte, 1), -EACCES);
	vg_device_needs_reset(dev, "not of interest any more");
	ck_assert_uint_eq(recorder.config_changes, 0);
	ck_assert_uint_eq(logged.lines, 0);

	toy_release(&toy, 2);
	vg_device_flush(dev);
	ck_assert_uint_eq(vg_device_inflight(dev), 1);
	ck_assert_uint_eq(recorder.resets_done, 0);
	ck_assert_int_eq(vg_device_set_status(dev, 0), -EINPROGRESS);

	/* Completed is not enough: the bytes reach the guest in flush. */
	toy_release(&toy, 1);
	ck_assert_int_eq(vg_device_set_status(dev, 0), -EINPROGRESS);
	ck_assert_uint_eq(recorder.resets_done, 0);
	vg_device_flush(dev);
	ck_assert_uint_eq(recorder.resets_done, 1);
	ck_assert_uint_eq(recorder.status_at_reset, 0);
	ck_assert_uint_eq(toy.resets, 1);
	ck_assert_uint_eq(vg_device_get_status(dev), 0);
	ck_assert_uint_eq(fake_mapped_pages(), 0);
	/* A driver that asked for a reset is not to be interrupted. */
	ck_assert_uint_eq(recorder.notified[0] + recorder.notified[1], 0);

	vg_device_flush(dev);
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	ck_assert_uint_eq(recorder.resets_done, 1);
	toy.hold = false;
	toy.starts = 0;
	run_device(1, 8);
	ring_add(&ring[0], 0, 1);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 8));
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[0]), 1);
}
END_TEST

START_TEST(reset_of_a_broken_device_waits_as_well)
{
	toy.hold = true;
	run_device(1, 8);
	ring_add(&ring[0], 0, 1);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 8));
	vg_device_needs_reset(dev, "the test says so");
	ck_assert_int_eq(vg_device_set_status(dev, 0), -EINPROGRESS);
	/* The bus may go away meanwhile. */
	vg_device_set_bus(dev, NULL, NULL);
	drain();
	ck_assert_uint_eq(vg_device_get_status(dev), 0);
	ck_assert_uint_eq(toy.resets, 1);
	ck_assert_uint_eq(recorder.resets_done, 0);
}
END_TEST

/* ---- stop ---- */

START_TEST(stop_lets_go_of_everything)
{
	toy.hold = true;
	run_device(1, 8);
	ring_add(&ring[0], 0, 2);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 8));
	ck_assert(!vg_device_stop(dev));

	ring_add(&ring[0], 0, 1);
	vg_device_kick(dev, 0);
	ck_assert(!vg_device_service(dev, 8));
	ck_assert(!vg_device_poll(dev, 8));
	toy_release(&toy, 1);
	vg_device_flush(dev);
	ck_assert(!vg_device_stop(dev));
	drain();
	ck_assert(vg_device_stop(dev));
	ck_assert_uint_eq(ring_used(&ring[0]), 2);

	/* The driver cannot start it again; a reset still works. */
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	ck_assert_int_eq(vg_device_set_status(dev, VG_STATUS_ACKNOWLEDGE), -EINVAL);
	ck_assert_uint_eq(fake_mapped_pages(), 0);

	/* A new connection can. */
	toy.hold = false;
	toy.starts = 0;
	vg_device_set_bus(dev, &recorder_ops, &recorder);
	run_device(1, 8);
	ring_add(&ring[0], 0, 1);
	vg_device_kick(dev, 0);
	ck_assert(vg_device_service(dev, 8));
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[0]), 1);
}
END_TEST

START_TEST(a_device_stopped_in_the_middle_of_negotiation_goes_no_further)
{
	struct vg_queue_setup setup;

	negotiate(REQUIRED);
	ck_assert(vg_device_stop(dev));
	setup = new_ring(0, 8);
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &setup), -EBUSY);
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), -EINVAL);
	ck_assert_uint_eq(toy.starts, 0);
	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATED | VG_STATUS_FAILED), 0);
}
END_TEST

START_TEST(stop_of_an_idle_device_is_immediate)
{
	ck_assert(vg_device_stop(dev));
	vg_device_set_bus(dev, NULL, NULL);
	ck_assert_int_eq(vg_device_set_status(dev, VG_STATUS_ACKNOWLEDGE), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device service");
	TCase *tc = tcase_create("requests");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, nothing_is_taken_before_driver_ok_and_all_after);
	tcase_add_test(tc, only_kicked_queues_are_served_but_all_are_polled);
	tcase_add_test(tc, a_budget_bounds_each_queue_and_the_rest_stays_kicked);
	tcase_add_test(tc, each_queue_gets_to_be_first);
	tcase_add_test(tc, a_flush_makes_room_for_what_the_ring_size_kept_out);
	tcase_add_test(tc, enable_notify_says_that_work_came_in_between);
	tcase_add_test(tc, no_doorbell_when_the_driver_wants_none_or_no_bus_is_there);
	tcase_add_test(tc, negotiated_event_idx_reaches_the_queue);
	tcase_add_loop_test(tc, an_indirect_table_is_taken_only_when_negotiated, 0, 2);
	tcase_add_test(tc, a_broken_ring_stops_the_device_until_reset);
	tcase_add_test(tc, requests_before_the_corruption_are_done);
	tcase_add_test(tc, a_type_that_gives_up_needs_a_reset);
	tcase_add_test(tc, a_type_that_complains_ends_the_round);
	tcase_add_test(tc, a_driver_that_failed_is_not_served);
	tcase_add_test(tc, reset_waits_for_what_is_in_flight);
	tcase_add_test(tc, reset_of_a_broken_device_waits_as_well);
	tcase_add_test(tc, stop_lets_go_of_everything);
	tcase_add_test(tc, a_device_stopped_in_the_middle_of_negotiation_goes_no_further);
	tcase_add_test(tc, stop_of_an_idle_device_is_immediate);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

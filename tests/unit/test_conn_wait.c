// SPDX-License-Identifier: MIT
/* Resets and regions: what is answered at once, what waits, and what a wait that runs out says. */
#include <stdlib.h>

#include "conn_harness.h"

#define MAX_DEFERRED 16
#define REGION       16 /* pages of a test's region */
#define RESERVE      24 /* of the quota, kept from regions */

/* One request in queue 0 that the device holds, with its data at reference @ref. */
static void in_flight(uint32_t ref)
{
	make_available(0, vg_addr_make(ref, 0), 512);
	vg_device_kick(h.device, 0);
	vg_device_service(h.device, QUEUE_SIZE);
	ck_assert_uint_gt(h.num_held, 0);
}

static uint16_t send_status(uint32_t status)
{
	return send((struct vg_msg){.id = VG_MSG_SET_DEVICE_STATUS, .status = {status}});
}

static uint16_t send_remove(uint32_t first, uint32_t count)
{
	return send(region_msg(VG_MSG_BUS_REGION_REMOVE, first, count, 0));
}

/* The next message is the answer to @token with @status. */
static void expect(uint16_t token, uint32_t status)
{
	struct vg_msg msg;

	ck_assert(receive(&msg));
	ck_assert(msg.type & VG_MSG_RESPONSE);
	ck_assert_uint_eq(msg.token, token);
	ck_assert_uint_eq(msg.status.status, status);
}

static void expect_nothing(void)
{
	ck_assert_int_eq(service(), 0);
	ck_assert(nothing_received());
}

/* ---- reset ---- */

START_TEST(test_reset_waits)
{
	uint16_t token;

	start_driver(0);
	fake_grant(DATA_REF, 1, true);
	in_flight(DATA_REF);
	token = send_status(0);
	expect_nothing();
	ck_assert_int_gt(timeout(), 0);
	ck_assert_int_le(timeout(), TIMEOUT_MS);
	h.now += TIMEOUT_MS - 1;
	expect_nothing();
	ck_assert_int_eq(timeout(), 1);
	complete_all();
	ck_assert_int_eq(timeout(), 0);
	service();
	expect(token, 0);
	ck_assert_int_eq(timeout(), -1);
	ck_assert_uint_eq(h.resets, 2);
	ck_assert_uint_eq(fake_mapped_pages(), 1);
	start_driver(0);
}
END_TEST

/* Time runs out: the answer says so, and the driver asks until it has happened. */
START_TEST(test_reset_times_out)
{
	uint16_t token;

	start_driver(0);
	fake_grant(DATA_REF, 1, true);
	in_flight(DATA_REF);
	token = send_status(0);
	expect_nothing();
	h.now += TIMEOUT_MS;
	ck_assert_int_eq(timeout(), 0);
	service();
	expect(token, 0x0f | VG_STATUS_DEVICE_NEEDS_RESET);
	ck_assert_int_eq(timeout(), -1);
	token = send_status(0);
	expect_nothing();
	complete_all();
	service();
	expect(token, 0);
	ck_assert_uint_eq(set_status(0), 0);
}
END_TEST

/* The reset ends when nobody waits for it any more. */
START_TEST(test_reset_ends_late)
{
	uint16_t token;

	start_driver(7);
	fake_grant(DATA_REF, 1, true);
	in_flight(DATA_REF);
	token = send_status(0);
	service();
	h.now += TIMEOUT_MS;
	service();
	expect(token, 0x0f | VG_STATUS_DEVICE_NEEDS_RESET);
	complete_all();
	expect_nothing();
	ck_assert_uint_eq(fake_bound_ports(), 1);
	ck_assert_uint_eq(call((struct vg_msg){.id = VG_MSG_GET_DEVICE_STATUS}).status.status, 0);
}
END_TEST

/* Everything else that a driver may send while its reset waits. */
START_TEST(test_while_reset_waits)
{
	uint16_t first, second;

	start_driver(0);
	fake_grant(DATA_REF, 1, true);
	in_flight(DATA_REF);
	first = send_status(0);
	expect_nothing();
	h.now += 100;
	second = send_status(0);
	expect_nothing();
	ck_assert_uint_ne(set_status(1), 1);
	ck_assert_uint_eq(set_status(0x0f), 0x0f | VG_STATUS_DEVICE_NEEDS_RESET);
	ck_assert_uint_eq(call((struct vg_msg){.id = VG_MSG_GET_DEVICE_STATUS}).status.status,
			  0x0f | VG_STATUS_DEVICE_NEEDS_RESET);
	call((struct vg_msg){.id = VG_MSG_SET_DRIVER_FEATURES, .features = {0, 1, {0}}});
	call((struct vg_msg){.id = VG_MSG_SET_VQUEUE, .vqueue = {.index = 1, .size = 8}});
	ck_assert_uint_eq(
		call((struct vg_msg){.id = VG_MSG_SET_CONFIG, .config.length = 1}).config.length,
		0);
	fake_offer_port(QUEUE_PORT);
	ck_assert_uint_eq(vq_bind(0, QUEUE_PORT), VG_BUS_BUSY);
	send((struct vg_msg){.id = VG_MSG_EVENT_AVAIL, .avail = {0, 0}});
	make_available(0, vg_addr_make(DATA_REF, 0), 512);
	service();
	vg_device_service(h.device, QUEUE_SIZE);
	ck_assert_uint_eq(h.num_held, 1); /* a device in reset takes nothing */
	complete_all();
	service();
	expect(first, 0);
	expect(second, 0);
	ck_assert(nothing_received());
}
END_TEST

/* Every waiting answer has a place, and their number has an end. */
START_TEST(test_too_many_resets)
{
	uint16_t token[MAX_DEFERRED];

	start_driver(0);
	fake_grant(DATA_REF, 1, true);
	in_flight(DATA_REF);
	for (int i = 0; i < MAX_DEFERRED; i++) {
		token[i] = send_status(0);
		expect_nothing();
	}
	ck_assert_uint_eq(set_status(0), 0x0f | VG_STATUS_DEVICE_NEEDS_RESET);
	complete_all();
	ck_assert_int_eq(service(), 0);
	for (int i = 0; i < MAX_DEFERRED; i++)
		expect(token[i], 0);
	ck_assert(nothing_received());
	ck_assert_uint_eq(set_status(0), 0);
}
END_TEST

/* An answer that is due waits for room in the ring. */
START_TEST(test_answer_waits_for_room)
{
	uint16_t token;

	start_driver(0);
	fake_grant(DATA_REF, 1, true);
	in_flight(DATA_REF);
	token = send_status(0);
	expect_nothing();
	for (int i = 0; i < VG_CTL_SLOTS; i++)
		send((struct vg_msg){.id = VG_MSG_GET_DEVICE_INFO});
	service();
	complete_all();
	ck_assert_int_eq(timeout(), 0);
	ck_assert_int_eq(service(), 0);
	ck_assert_int_eq(timeout(), -1);
	h.now += UINT64_C(10) * TIMEOUT_MS;
	ck_assert_int_eq(timeout(), -1);
	for (int i = 0; i < VG_CTL_SLOTS; i++)
		ck_assert(!nothing_received());
	ck_assert(nothing_received());
	ck_assert_uint_eq(take_events(), 1);
	service();
	expect(token, 0); /* it did happen, and in time */
}
END_TEST

/* The connection ends while answers wait. */
START_TEST(test_close_while_waiting)
{
	start_driver(5);
	fake_grant(DATA_REF, REGION, true);
	ck_assert_uint_eq(region_add(DATA_REF, REGION, 0), VG_BUS_OK);
	in_flight(DATA_REF);
	send_remove(DATA_REF, REGION);
	send_status(0);
	expect_nothing();
	/* As the loop does it: stop, go on serving messages, close when nothing is in flight. */
	ck_assert(!vg_device_stop(h.device));
	send_status(0);
	send_status(0x0f);
	send(region_msg(VG_MSG_BUS_REGION_ADD, DATA_REF + REGION, 1, 0));
	service();
	complete_all();
	ck_assert(vg_device_stop(h.device));
	vg_xenbus_conn_close(h.conn);
	h.conn = NULL;
	ck_assert_uint_eq(fake_bound_ports(), 0);
}
END_TEST

/* A device that outlives its connection has no bus, and does not miss it. */
START_TEST(test_close_leaves_the_device)
{
	unsigned int rung;

	start_driver(0);
	fake_grant(DATA_REF, 1, true);
	in_flight(DATA_REF);
	vg_xenbus_conn_close(h.conn);
	h.conn = NULL;
	rung = fake_calls(FAKE_NOTIFY);
	complete_all();
	ck_assert_uint_eq(fake_calls(FAKE_NOTIFY), rung);
	vg_device_needs_reset(h.device, "a test");
	/* The next driver comes with a page of its own. */
	vg_ctl_format(driver_page());
	vg_ctl_attach(&h.ctl, driver_page(), VG_CTL_DRIVER);
	fake_offer_port(NODE_PORT);
	ck_assert_int_eq(open_conn(), 0);
	start_driver(0);
}
END_TEST

/* ---- regions ---- */

START_TEST(test_region_add)
{
	fake_grant(DATA_REF, 64, true);
	fake_grant(DATA_REF + 64, 1, false);
	ck_assert_uint_eq(region_add(DATA_REF, 0, 0), VG_BUS_INVALID);
	ck_assert_uint_eq(region_add(FAKE_REFS, 1, 0), VG_BUS_INVALID);
	ck_assert_uint_eq(region_add(FAKE_REFS - 1, 2, 0), VG_BUS_INVALID);
	ck_assert_uint_eq(region_add(UINT32_MAX, UINT32_MAX, 0), VG_BUS_INVALID);
	ck_assert_uint_eq(region_add(1, UINT32_MAX, 0), VG_BUS_INVALID);
	ck_assert_uint_eq(region_add(DATA_REF, 1, 2), VG_BUS_INVALID); /* a reserved flag */
	ck_assert_uint_eq(region_add(DATA_REF, 1, 0x80000001), VG_BUS_INVALID);
	ck_assert_uint_eq(region_add(DATA_REF + 63, 2, 0), VG_BUS_REFUSED); /* one is read-only */
	ck_assert_uint_eq(region_add(DATA_REF + 64, 2, 1), VG_BUS_REFUSED); /* one is not granted */
	ck_assert_uint_eq(fake_mapped_pages(), 1);

	ck_assert_uint_eq(region_add(DATA_REF, REGION, 0), VG_BUS_OK);
	ck_assert_uint_eq(fake_mapped_pages(), 1 + REGION);
	ck_assert_uint_eq(region_add(DATA_REF, REGION, 0), VG_BUS_EXISTS);
	ck_assert_uint_eq(region_add(DATA_REF - 1, 2, 0), VG_BUS_EXISTS);
	ck_assert_uint_eq(region_add(DATA_REF + REGION - 1, 2, 0), VG_BUS_EXISTS);
	ck_assert_uint_eq(region_add(DATA_REF + 64, 1, 1), VG_BUS_OK);
	/* The quota counts the control page. */
	ck_assert_uint_eq(region_add(DATA_REF + REGION, QUOTA - REGION - 1, 0), VG_BUS_NO_SPACE);
	ck_assert_uint_eq(region_add(DATA_REF + REGION, QUOTA - REGION - 2, 0), VG_BUS_OK);
	ck_assert_uint_eq(h.quota.pages, QUOTA);
	ck_assert_uint_eq(region_remove(DATA_REF, REGION), VG_BUS_OK);
	ck_assert_uint_eq(h.quota.pages, QUOTA - REGION);
	fake_fail(FAKE_MAP, 0, 1, -ENOMEM);
	ck_assert_uint_eq(region_add(DATA_REF, REGION, 0), VG_BUS_NO_SPACE);
}
END_TEST

/* A driver that asks for more than regions get is told so, in the log once. */
START_TEST(test_region_reserve)
{
	uint32_t most = QUOTA - RESERVE;

	h.quota.reserved = RESERVE;
	fake_grant(DATA_REF, QUOTA, true);
	ck_assert_uint_eq(region_add(DATA_REF, most, 0), VG_BUS_OK);
	ck_assert_uint_eq(h.log_lines, 0);
	ck_assert_uint_eq(region_add(DATA_REF + most, 1, 0), VG_BUS_NO_SPACE);
	ck_assert_uint_eq(region_add(DATA_REF + most, 1, 0), VG_BUS_NO_SPACE);
	ck_assert_uint_eq(h.log_lines, 1);
	ck_assert_ptr_nonnull(strstr(h.log_last, "quota"));
	ck_assert_ptr_nonnull(strstr(h.log_last, "--max-pages"));
	ck_assert_uint_eq(region_remove(DATA_REF, most), VG_BUS_OK);
	ck_assert_uint_eq(region_add(DATA_REF + most, 1, 0), VG_BUS_OK);
}
END_TEST

START_TEST(test_region_remove)
{
	fake_grant(DATA_REF, REGION, true);
	ck_assert_uint_eq(region_remove(DATA_REF, REGION), VG_BUS_INVALID);
	ck_assert_uint_eq(region_add(DATA_REF, REGION, 0), VG_BUS_OK);
	/* Exactly what was added, or nothing. */
	ck_assert_uint_eq(region_remove(DATA_REF, REGION - 1), VG_BUS_INVALID);
	ck_assert_uint_eq(region_remove(DATA_REF + 1, REGION - 1), VG_BUS_INVALID);
	ck_assert_uint_eq(region_remove(DATA_REF, REGION), VG_BUS_OK);
	ck_assert_uint_eq(region_remove(DATA_REF, REGION), VG_BUS_INVALID);
	for (uint32_t ref = DATA_REF; ref < DATA_REF + REGION; ref++)
		ck_assert(fake_end_access(ref));
}
END_TEST

/* A region stays over a reset; a ring in it keeps it. */
START_TEST(test_region_with_ring)
{
	fake_grant(RINGS_REF, QUEUES, true);
	ck_assert_uint_eq(region_add(RINGS_REF, QUEUES, 0), VG_BUS_OK);
	start_driver(0);
	ck_assert_uint_eq(region_remove(RINGS_REF, QUEUES), VG_BUS_BUSY);
	ck_assert_uint_eq(set_status(0), 0);
	ck_assert_uint_eq(fake_mapped_pages(), 1 + QUEUES);
	ck_assert_uint_eq(region_add(RINGS_REF, QUEUES, 0), VG_BUS_EXISTS);
	ck_assert_uint_eq(region_remove(RINGS_REF, QUEUES), VG_BUS_OK);
	ck_assert_uint_eq(fake_mapped_pages(), 1);
}
END_TEST

static void region_in_use(void)
{
	start_driver(0);
	fake_grant(DATA_REF, REGION, true);
	ck_assert_uint_eq(region_add(DATA_REF, REGION, 0), VG_BUS_OK);
	in_flight(DATA_REF + 3);
}

START_TEST(test_remove_waits)
{
	uint16_t first, second;

	region_in_use();
	first = send_remove(DATA_REF, REGION);
	expect_nothing();
	/* Nobody tells when requests have ended: it is looked at again, and soon. */
	ck_assert_int_gt(timeout(), 0);
	ck_assert_int_lt(timeout(), TIMEOUT_MS / 10);
	second = send_remove(DATA_REF, REGION);
	expect_nothing();
	ck_assert_uint_eq(region_add(DATA_REF, REGION, 0), VG_BUS_EXISTS);
	ck_assert(!fake_end_access(DATA_REF));
	complete_all();
	service();
	expect(first, VG_BUS_OK);
	expect(second, VG_BUS_OK);
	ck_assert(fake_end_access(DATA_REF));
	ck_assert_int_eq(timeout(), -1);
}
END_TEST

/* Who asked twice is answered for the region that was, not for the one that came after it. */
START_TEST(test_remove_and_add_again)
{
	uint16_t first, second, third;

	region_in_use();
	first = send_remove(DATA_REF, REGION);
	expect_nothing();
	complete_all();
	/* All three are handled in one go. */
	second = send_remove(DATA_REF, REGION);
	third = send(region_msg(VG_MSG_BUS_REGION_ADD, DATA_REF, REGION, 0));
	service();
	expect(first, VG_BUS_OK);
	expect(second, VG_BUS_INVALID);
	expect(third, VG_BUS_OK);
	expect_nothing();
	ck_assert_uint_eq(fake_mapped_pages(), 1 + REGION + 3 * QUEUES);
}
END_TEST

/* The same, when the last request ends between the messages. */
START_TEST(test_remove_and_add_between)
{
	uint16_t first, second, third;
	struct vg_msg msg;

	region_in_use();
	first = send_remove(DATA_REF, REGION);
	expect_nothing();
	h.on_config_write = complete_all;
	send((struct vg_msg){.id = VG_MSG_SET_CONFIG, .config = {.length = 1, .data = {1}}});
	second = send_remove(DATA_REF, REGION);
	third = send(region_msg(VG_MSG_BUS_REGION_ADD, DATA_REF, REGION, 0));
	service();
	ck_assert(receive(&msg));
	expect(second, VG_BUS_OK);
	expect(third, VG_BUS_OK);
	expect(first, VG_BUS_OK);
	expect_nothing();
	ck_assert_uint_eq(region_add(DATA_REF, REGION, 0), VG_BUS_EXISTS);
	ck_assert_uint_eq(fake_mapped_pages(), 1 + REGION + 3 * QUEUES);
}
END_TEST

START_TEST(test_remove_times_out)
{
	uint16_t token;

	region_in_use();
	token = send_remove(DATA_REF, REGION);
	expect_nothing();
	h.now += TIMEOUT_MS;
	ck_assert_int_eq(timeout(), 0);
	service();
	expect(token, VG_BUS_BUSY);
	/* The region takes no new request: this one is copied. */
	ck_assert_uint_eq(fake_calls(FAKE_COPY), 0);
	make_available(0, vg_addr_make(DATA_REF + 4, 0), 512);
	vg_device_kick(h.device, 0);
	vg_device_service(h.device, QUEUE_SIZE);
	ck_assert_uint_eq(h.num_held, 2);
	ck_assert_uint_eq(fake_calls(FAKE_COPY), 1);
	complete_all();
	ck_assert_uint_eq(region_remove(DATA_REF, REGION), VG_BUS_OK);
	ck_assert(fake_end_access(DATA_REF));
}
END_TEST

START_TEST(test_too_many_removes)
{
	uint16_t token[MAX_DEFERRED];

	region_in_use();
	for (int i = 0; i < MAX_DEFERRED; i++) {
		token[i] = send_remove(DATA_REF, REGION);
		expect_nothing();
	}
	ck_assert_uint_eq(region_remove(DATA_REF, REGION), VG_BUS_BUSY);
	complete_all();
	service();
	for (int i = 0; i < MAX_DEFERRED; i++)
		expect(token[i], VG_BUS_OK);
	ck_assert(nothing_received());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn-wait");
	TCase *tc = tcase_create("reset");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_reset_waits);
	tcase_add_test(tc, test_reset_times_out);
	tcase_add_test(tc, test_reset_ends_late);
	tcase_add_test(tc, test_while_reset_waits);
	tcase_add_test(tc, test_too_many_resets);
	tcase_add_test(tc, test_answer_waits_for_room);
	tcase_add_test(tc, test_close_while_waiting);
	tcase_add_test(tc, test_close_leaves_the_device);
	suite_add_tcase(suite, tc);
	tc = tcase_create("region");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_region_add);
	tcase_add_test(tc, test_region_reserve);
	tcase_add_test(tc, test_region_remove);
	tcase_add_test(tc, test_region_with_ring);
	tcase_add_test(tc, test_remove_waits);
	tcase_add_test(tc, test_remove_and_add_again);
	tcase_add_test(tc, test_remove_and_add_between);
	tcase_add_test(tc, test_remove_times_out);
	tcase_add_test(tc, test_too_many_removes);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

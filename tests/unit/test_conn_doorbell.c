// SPDX-License-Identifier: MIT
/* Doorbells of a connection: shared and per queue, VQ_BIND, EVENT_AVAIL, EVENT_CONFIG. */
#include <stdlib.h>

#include "conn_harness.h"

/* The queues that were looked at since the last call, as a mask. */
static unsigned int processed(void)
{
	unsigned int mask = 0;

	vg_device_service(h.device, QUEUE_SIZE);
	for (unsigned int i = 0; i < QUEUES; i++)
		mask |= h.processed[i] ? 1u << i : 0;
	memset(h.processed, 0, sizeof(h.processed));
	return mask;
}

static unsigned int ring(uint32_t port)
{
	fake_raise(port);
	ck_assert_uint_eq(take_events(), 1);
	return processed();
}

/* One request through queue @index; returns the remote port that was notified of it, or 0. */
static uint32_t request(uint32_t index)
{
	unsigned int before[QUEUES + 1];
	uint32_t port = 0;

	for (uint32_t i = 0; i < QUEUES; i++)
		before[i] = fake_notified(QUEUE_PORT + i);
	before[QUEUES] = fake_notified(NODE_PORT);
	fake_grant(DATA_REF, 1, true);
	make_available(index, vg_addr_make(DATA_REF, 0), 512);
	vg_device_kick(h.device, index);
	ck_assert_uint_eq(processed(), 1u << index);
	ck_assert_uint_eq(h.num_held, 1);
	complete_all();
	processed(); /* there is room again, so the queue was looked at once more */
	for (uint32_t i = 0; i < QUEUES; i++)
		if (fake_notified(QUEUE_PORT + i) == before[i] + 1)
			port = QUEUE_PORT + i;
	if (fake_notified(NODE_PORT) == before[QUEUES] + 1) {
		ck_assert_uint_eq(port, 0);
		port = NODE_PORT;
	}
	return port;
}

START_TEST(test_shared)
{
	start_driver(0);
	ck_assert_uint_eq(ring(NODE_PORT), 7);
	ck_assert_int_eq(timeout(), 0); /* the control ring is to be looked at too */
	service();
	for (uint32_t i = 0; i < QUEUES; i++)
		ck_assert_uint_eq(request(i), NODE_PORT);
	ck_assert(!vg_xenbus_conn_event(h.conn, 63));
	ck_assert(!vg_xenbus_conn_event(h.conn, 0));
	ck_assert(!vg_xenbus_conn_event(h.conn, -1));
}
END_TEST

START_TEST(test_own)
{
	start_driver(1 << 1);
	/* The shared doorbell does not speak for a queue that has its own. */
	ck_assert_uint_eq(ring(NODE_PORT), 5);
	service();
	ck_assert_uint_eq(ring(QUEUE_PORT + 1), 2);
	ck_assert_int_eq(timeout(), -1);
	ck_assert_uint_eq(request(0), NODE_PORT);
	ck_assert_uint_eq(request(1), QUEUE_PORT + 1);
	ck_assert_uint_eq(request(2), NODE_PORT);
}
END_TEST

START_TEST(test_bind_refused)
{
	negotiate();
	ck_assert_uint_eq(vq_bind(QUEUES, 0), VG_BUS_INVALID);
	ck_assert_uint_eq(vq_bind(UINT32_MAX, QUEUE_PORT), VG_BUS_INVALID);
	ck_assert_uint_eq(vq_bind(0, QUEUE_PORT), VG_BUS_REFUSED); /* not offered */
	ck_assert_uint_eq(vq_bind(0, UINT32_MAX), VG_BUS_REFUSED);
	ck_assert_uint_eq(vq_bind(0, NODE_PORT), VG_BUS_REFUSED); /* bound already */
	fake_offer_port(QUEUE_PORT);
	fake_fail(FAKE_BIND, 0, 1, -ENOSPC);
	ck_assert_uint_eq(vq_bind(0, QUEUE_PORT), VG_BUS_NO_SPACE);
	ck_assert_uint_eq(fake_bound_ports(), 1);
	ck_assert_uint_eq(vq_bind(0, QUEUE_PORT), VG_BUS_OK);
	/* What was bound stays when a change is refused. */
	ck_assert_uint_eq(vq_bind(0, QUEUE_PORT + 1), VG_BUS_REFUSED);
	ck_assert_uint_eq(vq_bind(1, QUEUE_PORT), VG_BUS_REFUSED);
	ck_assert_uint_eq(fake_bound_ports(), 2);
	set_queue(0);
	ck_assert_uint_eq(set_status(0x0f), 0x0f);
	ck_assert_uint_eq(request(0), QUEUE_PORT);
	/* Nothing moves while the device runs. */
	fake_offer_port(QUEUE_PORT + 1);
	ck_assert_uint_eq(vq_bind(0, QUEUE_PORT + 1), VG_BUS_BUSY);
	ck_assert_uint_eq(vq_bind(0, 0), VG_BUS_BUSY);
	ck_assert_uint_eq(request(0), QUEUE_PORT);
}
END_TEST

START_TEST(test_rebind)
{
	negotiate();
	set_queue(2);
	for (uint32_t port = QUEUE_PORT; port < QUEUE_PORT + 3; port++) {
		fake_offer_port(port);
		ck_assert_uint_eq(vq_bind(2, port), VG_BUS_OK);
		ck_assert_uint_eq(fake_bound_ports(), 2);
	}
	ck_assert_uint_eq(set_status(0x0f), 0x0f);
	ck_assert_uint_eq(request(2), QUEUE_PORT + 2);
	/* A reset returns every queue to the shared channel. */
	ck_assert_uint_eq(set_status(0), 0);
	ck_assert_uint_eq(fake_bound_ports(), 1);
	negotiate();
	set_queue(2);
	fake_offer_port(QUEUE_PORT);
	ck_assert_uint_eq(vq_bind(2, QUEUE_PORT), VG_BUS_OK);
	ck_assert_uint_eq(vq_bind(2, 0), VG_BUS_OK);
	ck_assert_uint_eq(vq_bind(2, 0), VG_BUS_OK);
	ck_assert_uint_eq(fake_bound_ports(), 1);
	ck_assert_uint_eq(set_status(0x0f), 0x0f);
	ck_assert_uint_eq(request(2), NODE_PORT);
}
END_TEST

START_TEST(test_event_avail)
{
	start_driver(1 << 2);
	for (uint32_t i = 0; i < QUEUES; i++) {
		send((struct vg_msg){.id = VG_MSG_EVENT_AVAIL, .avail = {i, 0}});
		ck_assert_int_eq(service(), 0);
		ck_assert_uint_eq(processed(), 1u << i);
	}
	ck_assert(nothing_received());
}
END_TEST

/* A peer that has gone, or a doorbell that fails, is not the connection's end. */
START_TEST(test_notify_fails)
{
	start_driver(0);
	fake_fail(FAKE_NOTIFY, 0, 1, -ENOTCONN);
	ck_assert_uint_eq(request(0), 0);
	ck_assert_uint_eq(request(0), NODE_PORT);
}
END_TEST

START_TEST(test_config_event)
{
	struct vg_xenbus_conn_stats before, after;
	struct vg_msg msg;

	start_driver(0);
	vg_xenbus_conn_get_stats(h.conn, &before);
	ck_assert_int_eq(vg_device_update_config(h.device, 0, "a", 1), 0);
	ck_assert_int_eq(vg_device_update_config(h.device, 0, "b", 1), 0);
	ck_assert_int_eq(vg_device_update_config(h.device, 4, "c", 1), 0);
	ck_assert_int_eq(timeout(), 0);
	ck_assert_int_eq(service(), 0);
	ck_assert_int_eq(timeout(), -1);
	ck_assert(receive(&msg));
	ck_assert_int_eq(msg.id, VG_MSG_EVENT_CONFIG);
	ck_assert_uint_eq(msg.config.status, 0x0f);
	ck_assert_uint_eq(msg.config.length, 0);
	ck_assert_uint_eq(msg.config.generation,
			  call((struct vg_msg){.id = VG_MSG_GET_CONFIG}).config.generation);
	ck_assert(nothing_received()); /* one for all three */
	vg_xenbus_conn_get_stats(h.conn, &after);
	ck_assert_uint_eq(after.notifications_sent - before.notifications_sent, 2);
}
END_TEST

START_TEST(test_needs_reset)
{
	struct vg_msg msg;

	start_driver(0);
	vg_device_needs_reset(h.device, "a test");
	ck_assert_int_eq(timeout(), 0);
	service();
	ck_assert(receive(&msg));
	ck_assert_int_eq(msg.id, VG_MSG_EVENT_CONFIG);
	ck_assert_uint_eq(msg.config.status, 0x0f | VG_STATUS_DEVICE_NEEDS_RESET);
	ck_assert(nothing_received());
	ck_assert_uint_eq(set_status(0), 0);
	start_driver(0);
	ck_assert_uint_eq(request(0), NODE_PORT);
}
END_TEST

/* A ring that breaks the rules is found by the device and told the driver through the bus. */
START_TEST(test_corrupt_ring)
{
	struct vg_msg msg;
	uint8_t *page;

	start_driver(0);
	page = fake_page(RINGS_REF);
	page[0x402] = 0xff; /* the available index jumps */
	ck_assert_uint_eq(ring(NODE_PORT) & 1, 1);
	service();
	ck_assert(receive(&msg));
	ck_assert_uint_eq(msg.config.status, 0x0f | VG_STATUS_DEVICE_NEEDS_RESET);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn-doorbell");
	TCase *tc = tcase_create("doorbell");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_shared);
	tcase_add_test(tc, test_own);
	tcase_add_test(tc, test_bind_refused);
	tcase_add_test(tc, test_rebind);
	tcase_add_test(tc, test_event_avail);
	tcase_add_test(tc, test_notify_fails);
	tcase_add_test(tc, test_config_event);
	tcase_add_test(tc, test_needs_reset);
	tcase_add_test(tc, test_corrupt_ring);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* A connection's life, its messages, its doorbells, and guests that send anything. */
#include <stdlib.h>

#include "conn_harness.h"

/* ---- opening ---- */

static void expect_refused(int error)
{
	unsigned int lines = h.log_lines;

	ck_assert_int_eq(open_conn(), error);
	ck_assert_ptr_null(h.conn);
	ck_assert_uint_eq(h.log_lines, lines + 1); /* says why */
	ck_assert_uint_eq(fake_mapped_pages(), 0);
	ck_assert_uint_eq(fake_bound_ports(), 0);
	ck_assert_uint_eq(h.quota.pages, 0);
}

START_TEST(test_open_refused)
{
	fake_end_access(CONTROL_REF);
	expect_refused(-EFAULT);
	fake_grant(CONTROL_REF, 1, false);
	expect_refused(-EFAULT);
	fake_grant(CONTROL_REF, 1, true);
	page_store(0, VG_CTL_MAGIC + 1);
	expect_refused(-EPROTO);
	vg_ctl_format(driver_page());
	fake_fail(FAKE_BIND, 0, 1, -EPERM);
	expect_refused(-EPERM);
	fake_fail(FAKE_MAP, 0, 1, -ENOMEM);
	expect_refused(-ENOMEM);
	h.quota.max_pages = 0;
	expect_refused(-EDQUOT);
	h.quota.max_pages = QUOTA;
	ck_assert_int_eq(open_conn(), 0);
	ck_assert_uint_eq(h.quota.pages, 1);
	vg_xenbus_conn_close(h.conn);
	h.conn = NULL;
	expect_refused(-EINVAL); /* a port is bound once */
	vg_xenbus_conn_close(NULL);
}
END_TEST

/* A control page that cannot be unmapped stays counted against the guest. */
START_TEST(test_close_unmap_fails)
{
	ck_assert_int_eq(open_conn(), 0);
	fake_fail(FAKE_UNMAP, 0, 1, -EIO);
	vg_xenbus_conn_close(h.conn);
	h.conn = NULL;
	ck_assert_uint_eq(h.quota.pages, 1);
	ck_assert_uint_eq(fake_mapped_pages(), 1);
	vg_device_destroy(h.device);
	vg_view_destroy(h.view);
}
END_TEST

/* ---- transport messages ---- */

START_TEST(test_information)
{
	struct vg_msg r = call((struct vg_msg){.id = VG_MSG_GET_DEVICE_INFO});

	ck_assert_uint_eq(r.info.device_id, 42);
	ck_assert_uint_eq(r.info.vendor_id, 0x1af4);
	ck_assert_uint_eq(r.info.feature_bits, 64);
	ck_assert_uint_eq(r.info.config_size, CONFIG_SIZE);
	ck_assert_uint_eq(r.info.max_vqueues, QUEUES);
	ck_assert_uint_eq(r.info.admin_vq_count, 0);
	r = call((struct vg_msg){.id = VG_MSG_GET_SHM, .avail = {.index = 3}});
	ck_assert_uint_eq(r.shm.index, 3);
	ck_assert_uint_eq(r.shm.length, 0);
	r = call((struct vg_msg){.type = VG_MSG_BUS, .id = VG_MSG_BUS_PING, .ping = {0xabcd1234}});
	ck_assert_uint_eq(r.ping.data, 0xabcd1234);
}
END_TEST

START_TEST(test_features)
{
	struct vg_msg r = call((struct vg_msg){.id = VG_MSG_GET_DEVICE_FEATURES,
					       .features = {.index = 0, .count = 16}});

	ck_assert_uint_eq(r.features.count, 16);
	ck_assert_uint_eq(r.features.block[0], TYPE_FEATURE | (uint32_t)VG_DEVICE_FEATURES);
	ck_assert_uint_eq(r.features.block[1], VG_DEVICE_FEATURES >> 32);
	for (int i = 2; i < 16; i++)
		ck_assert_uint_eq(r.features.block[i], 0);
	/* Numbers of blocks do not wrap around to block 0. */
	r = call((struct vg_msg){.id = VG_MSG_GET_DEVICE_FEATURES,
				 .features = {.index = UINT32_MAX, .count = 3}});
	ck_assert_uint_eq(r.features.index, UINT32_MAX);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(r.features.block[i], 0);
	ck_assert_uint_eq(set_status(3), 3);
	call((struct vg_msg){.id = VG_MSG_SET_DRIVER_FEATURES,
			     .features = {UINT32_MAX, 3, {0, TYPE_FEATURE, 3}}});
	ck_assert_uint_eq(set_status(0x0b), 3); /* nothing was set: refused */
}
END_TEST

START_TEST(test_status)
{
	ck_assert_uint_eq(set_status(1), 1);
	/* Eight bits count; a reset is a zero in all 32. */
	ck_assert_uint_eq(set_status(0x100), 1);
	ck_assert_uint_eq(set_status(0x80000000), 1);
	ck_assert_uint_eq(h.resets, 0);
	ck_assert_uint_eq(set_status(0), 0);
	ck_assert_uint_eq(h.resets, 1);
	ck_assert_uint_eq(set_status(4), 0); /* out of order */
	ck_assert_uint_eq(call((struct vg_msg){.id = VG_MSG_GET_DEVICE_STATUS}).status.status, 0);
}
END_TEST

static struct vg_msg write_config(uint32_t generation, uint32_t offset, uint32_t length)
{
	return call((struct vg_msg){
		.id = VG_MSG_SET_CONFIG,
		.config = {generation, offset, length, 0, {0xa0, 0xa1, 0xa2, 0xa3}}});
}

START_TEST(test_config)
{
	static const uint32_t outside[] = {CONFIG_SIZE - 2, CONFIG_SIZE, 0x80000000, UINT32_MAX - 2,
					   UINT32_MAX};
	struct vg_msg r;
	uint32_t generation;

	negotiate();
	ck_assert_int_eq(vg_device_update_config(h.device, 0, "x", 1), 0);
	service();
	ck_assert(receive(&r)); /* so the generation is none by chance */
	r = call((struct vg_msg){.id = VG_MSG_GET_CONFIG, .config = {.offset = 2, .length = 3}});
	ck_assert_uint_eq(r.config.length, 3);
	ck_assert_int_eq(r.config.data[0], 3);
	ck_assert_int_eq(r.config.data[2], 5);
	generation = r.config.generation;
	/* Outside: an answer without data, whatever the sum wraps to. */
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		r = call((struct vg_msg){.id = VG_MSG_GET_CONFIG,
					 .config = {.offset = outside[i], .length = 3}});
		ck_assert_uint_eq(r.config.offset, outside[i]);
		ck_assert_uint_eq(r.config.length, 0);
		ck_assert_uint_eq(r.config.generation, generation);
	}

	r = write_config(generation + 1, 0, 4); /* stale */
	ck_assert_uint_eq(r.config.length, 0);
	ck_assert_uint_eq(r.config.generation, generation);
	r = write_config(generation, 6, 4); /* refused by the device type */
	ck_assert_uint_eq(r.config.length, 0);
	r = write_config(generation, UINT32_MAX, 4);
	ck_assert_uint_eq(r.config.length, 0);
	r = write_config(generation, 0, 4);
	ck_assert_uint_eq(r.config.length, 4);
	ck_assert_int_eq(r.config.data[3], 0xa3);
	ck_assert_uint_ne(r.config.generation, generation);
}
END_TEST

START_TEST(test_queues)
{
	struct vg_msg r;

	r = call((struct vg_msg){.id = VG_MSG_GET_VQUEUE, .vqueue = {.index = 1}});
	ck_assert_uint_eq(r.vqueue.max_size, QUEUE_SIZE);
	ck_assert_uint_eq(r.vqueue.size, 0);
	r = call((struct vg_msg){.id = VG_MSG_GET_VQUEUE, .vqueue = {.index = QUEUES}});
	ck_assert_uint_eq(r.vqueue.index, QUEUES);
	ck_assert_uint_eq(r.vqueue.max_size, 0);
	/* Errors do not fit the response; the queue is not set up, that is all. */
	call((struct vg_msg){.id = VG_MSG_SET_VQUEUE, .vqueue = {.index = 1, .size = 8}});
	call((struct vg_msg){.id = VG_MSG_SET_VQUEUE, .vqueue = {.index = UINT32_MAX, .size = 8}});
	negotiate();
	call((struct vg_msg){.id = VG_MSG_SET_VQUEUE, .vqueue = {.index = 1, .size = 0x10008}});
	r = call((struct vg_msg){.id = VG_MSG_GET_VQUEUE, .vqueue = {.index = 1}});
	ck_assert_uint_eq(r.vqueue.size, 0);
	set_queue(1);
	r = call((struct vg_msg){.id = VG_MSG_GET_VQUEUE, .vqueue = {.index = 1}});
	ck_assert_uint_eq(r.vqueue.desc_addr, vg_addr_make(RINGS_REF + 1, 0));
	ck_assert_uint_eq(r.vqueue.driver_addr, vg_addr_make(RINGS_REF + 1, 0x400));
	ck_assert_uint_eq(r.vqueue.device_addr, vg_addr_make(RINGS_REF + 1, 0x800));
}
END_TEST

static uint64_t discarded(void)
{
	struct vg_xenbus_conn_stats stats;

	vg_xenbus_conn_get_stats(h.conn, &stats);
	return stats.discarded;
}

/* Known, well-formed, and not for us. */
static const struct vg_msg unwanted[] = {
	{.id = VG_MSG_GET_DEVICE_INFO, .dev_num = 1, .token = 1},
	{.id = VG_MSG_SET_DEVICE_STATUS, .dev_num = 0xffff, .token = 1, .status = {1}},
	{.type = VG_MSG_RESPONSE, .id = VG_MSG_GET_DEVICE_INFO, .token = 1},
	{.type = VG_MSG_RESPONSE, .id = VG_MSG_SET_DEVICE_STATUS, .token = 1, .status = {1}},
	{.type = VG_MSG_BUS | VG_MSG_RESPONSE, .id = VG_MSG_BUS_PING, .token = 1},
	{.id = VG_MSG_RESET_VQUEUE, .token = 1},
	{.id = VG_MSG_EVENT_CONFIG},
	{.id = VG_MSG_EVENT_USED},
	{.id = VG_MSG_EVENT_AVAIL, .avail = {QUEUES, 0}},
	{.id = VG_MSG_EVENT_AVAIL, .avail = {UINT32_MAX, 0}},
	{.type = VG_MSG_BUS, .id = VG_MSG_BUS_EVENT_DEVICE},
};

START_TEST(test_unwanted)
{
	unsigned int notified = fake_notified(NODE_PORT);
	uint8_t wire[VG_MSG_MAX_SIZE] = {0};
	int len = vg_msg_encode(&unwanted[_i], wire, sizeof(wire));

	ck_assert_int_gt(len, 0);
	send_raw(wire, (size_t)len);
	ck_assert_int_eq(service(), 0);
	ck_assert(nothing_received());
	ck_assert_uint_eq(discarded(), 1);
	ck_assert_uint_eq(fake_notified(NODE_PORT), notified);
	ck_assert_uint_eq(vg_device_get_status(h.device), 0);
	ck_assert(!vg_device_service(h.device, 1));
}
END_TEST

/* A generator with a fixed seed. */
static uint32_t roll(uint32_t sides)
{
	static uint32_t seed = 12345;

	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % sides;
}

static uint32_t some_value(void)
{
	static const uint32_t values[] = {0,          1,          2,          3,
					  8,          0x0b,       0x0f,       16,
					  DATA_REF,   RINGS_REF,  FAKE_REFS,  QUEUE_PORT,
					  0x7fffffff, 0x80000000, UINT32_MAX, NODE_PORT};

	return values[roll(sizeof(values) / sizeof(values[0]))];
}

static uint32_t next_status(uint32_t status)
{
	return status == 3 ? 0x0b : status == 0x0b ? 0x0f : status == 0 ? 3 : status;
}

/* A well-formed message with fields that mean something more often than by chance. */
static size_t some_message(uint8_t *slot)
{
	static const uint8_t ids[] = {2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 10, 11, 12, 0x40, 0x41, 0x42};
	static const uint8_t bus_ids[] = {3, 0x40, 0x80, 0x80, 0x81, 0x81, 0x82, 0x82};
	struct vg_msg msg = {0};
	int len;

	do {
		uint32_t ref = RINGS_REF + roll(QUEUES);

		memset(&msg, 0, sizeof(msg));
		msg.type = (uint8_t)(roll(2) * VG_MSG_BUS + !roll(16));
		msg.id = msg.type & VG_MSG_BUS ? bus_ids[roll(8)] : ids[roll(16)];
		msg.token = (uint16_t)roll(4);
		msg.region.first = some_value();
		msg.region.count = some_value();
		msg.region.flags = roll(4);
		if (msg.id == VG_MSG_SET_VQUEUE) {
			msg.vqueue.index = roll(QUEUES + 1);
			msg.vqueue.size = roll(4) ? QUEUE_SIZE : some_value();
			msg.vqueue.desc_addr = vg_addr_make(ref, 0);
			msg.vqueue.driver_addr = vg_addr_make(ref, 0x400);
			msg.vqueue.device_addr = vg_addr_make(ref, roll(8) ? 0x800 : 0xffd);
		}
		if (msg.id == VG_MSG_SET_DRIVER_FEATURES && roll(8))
			msg.features = (__typeof__(msg.features)){0, 2, {TYPE_FEATURE, 3}};
		if (msg.id == VG_MSG_SET_DEVICE_STATUS && roll(4))
			msg.status.status = next_status(vg_device_get_status(h.device));
		len = vg_msg_encode(&msg, slot, VG_CTL_SLOT_SIZE);
	} while (len < 0);
	return (size_t)len;
}

/* Whatever comes, in whatever order: every message is taken, and none does harm. */
START_TEST(test_noise)
{
	struct vg_xenbus_conn_stats stats;
	uint8_t slot[VG_CTL_SLOT_SIZE];
	unsigned int sent = 0, answers = 0, started = 0;
	struct vg_msg msg;

	fake_grant(DATA_REF, 8, true);
	fake_grant(RINGS_REF, QUEUES, true);
	for (int i = 0; i < 60000; i++) {
		size_t len = some_message(slot);

		if (!roll(8)) /* or not quite well-formed */
			slot[roll(sizeof(slot))] ^= (uint8_t)(1 << roll(8));
		if (!roll(4))
			fake_offer_port(QUEUE_PORT);
		send_raw(slot, len);
		sent++;
		h.now += 50;
		if (roll(4))
			ck_assert_int_ge(service(), 0);
		while (receive(&msg))
			answers++;
		take_events();
		/* The device has work at times, and keeps it for a while. */
		if (vg_device_get_status(h.device) == 0x0f) {
			started++;
			make_available(roll(QUEUES), vg_addr_make(DATA_REF + roll(9), 0), 512);
			vg_device_poll(h.device, QUEUE_SIZE);
		}
		if (!roll(10))
			complete_all();
		while (vg_ctl_space(&h.ctl) == 0)
			ck_assert_int_ge(service(), 0);
	}
	ck_assert_int_ge(service(), 0);
	vg_xenbus_conn_get_stats(h.conn, &stats);
	ck_assert_uint_eq(stats.messages, sent);
	ck_assert_uint_gt(discarded(), 5000);
	ck_assert_uint_gt(answers, 20000);
	ck_assert_uint_gt(started, 100);
	/* A line for each kind of mistake, not for each mistake. */
	ck_assert_uint_gt(h.log_lines, 0);
	ck_assert_uint_le(h.log_lines, 4);
}
END_TEST

/* ---- bounds ---- */

/* The driver refills the ring while its messages are handled. */
static void refill(void)
{
	nothing_received();
	/* Writes what is there already, so that the generation stays. */
	send((struct vg_msg){.id = VG_MSG_SET_CONFIG, .config = {.length = 1, .data = {1}}});
}

START_TEST(test_bounded)
{
	struct vg_xenbus_conn_stats before, after;

	negotiate();
	h.on_config_write = refill;
	refill();
	for (int i = 0; i < 3; i++) {
		vg_xenbus_conn_get_stats(h.conn, &before);
		ck_assert_int_eq(service(), 1);
		vg_xenbus_conn_get_stats(h.conn, &after);
		ck_assert_uint_eq(after.messages - before.messages, VG_CTL_SLOTS);
		/* One doorbell for all of them. */
		ck_assert_uint_eq(after.notifications_sent - before.notifications_sent, 1);
		ck_assert_int_eq(timeout(), 0);
	}
	h.on_config_write = NULL;
	ck_assert_int_eq(service(), 0);
	ck_assert_int_eq(timeout(), -1);
}
END_TEST

/* The device answers only into room, and takes no request while there is none. */
START_TEST(test_back_pressure)
{
	struct vg_msg msg;
	int answers = 0, events = 0;

	negotiate();
	for (int i = 0; i < VG_CTL_SLOTS; i++)
		send((struct vg_msg){.id = VG_MSG_GET_DEVICE_INFO});
	service();
	for (int i = 0; i < VG_CTL_SLOTS; i++)
		send((struct vg_msg){.id = VG_MSG_GET_DEVICE_STATUS});
	ck_assert_int_eq(vg_ctl_space(&h.ctl), 0);
	ck_assert_int_eq(service(), 0);
	ck_assert_int_eq(vg_ctl_space(&h.ctl), 0);
	ck_assert_int_eq(timeout(), -1); /* nothing to do, and no spinning over it */
	take_events();
	service();
	/* A change of configuration waits as well. */
	ck_assert_int_eq(vg_device_update_config(h.device, 0, "x", 1), 0);
	ck_assert_int_eq(timeout(), -1);

	ck_assert(receive(&msg)); /* which rings, since the ring was full */
	answers++;
	ck_assert_uint_eq(take_events(), 1);
	ck_assert_int_eq(timeout(), 0);
	ck_assert_int_ge(service(), 0);
	ck_assert_int_eq(vg_ctl_space(&h.ctl), 0); /* the change went first */
	for (int i = 0; i < 48; i++) {
		take_events();
		if (!timeout())
			service();
		if (!receive(&msg))
			continue;
		answers += msg.id != VG_MSG_EVENT_CONFIG;
		events += msg.id == VG_MSG_EVENT_CONFIG;
	}
	ck_assert_int_eq(answers, 32);
	ck_assert_int_eq(events, 1);
	ck_assert_int_eq(timeout(), -1);
}
END_TEST

/* ---- indices that lie ---- */

static void lie_backward(void)
{
	page_store(0x40, 1);
}

static void lie_ahead(void)
{
	page_store(0x40, 1000);
}

static void lie_consumer(void)
{
	page_store(0x44, 1000);
}

static void (*const lies[])(void) = {lie_backward, lie_ahead, lie_consumer};

static void expect_over(void)
{
	ck_assert_int_eq(service(), -EPROTO);
	ck_assert_int_eq(service(), -EPROTO); /* and stays so when the page is mended */
	page_store(0x40, h.ctl.prod);
	page_store(0x44, h.ctl.cons);
	ck_assert_int_eq(service(), -EPROTO);
	ck_assert_int_eq(timeout(), -1);
	/* What still comes from outside does no harm. */
	fake_raise(NODE_PORT);
	take_events();
	ck_assert_int_eq(timeout(), -1);
	complete_all();
}

START_TEST(test_lies)
{
	start_driver(0);
	lies[_i]();
	fake_raise(NODE_PORT);
	take_events();
	expect_over();
}
END_TEST

static void lie_while_handled(void)
{
	page_store(0x40, h.ctl.cons + 1000);
}

START_TEST(test_lies_while_handled)
{
	negotiate();
	h.on_config_write = lie_while_handled;
	send((struct vg_msg){.id = VG_MSG_SET_CONFIG, .config = {.length = 1, .data = {1}}});
	expect_over();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn");
	TCase *open = tcase_create("open");
	TCase *tc = tcase_create("messages");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(open, setup_device, teardown);
	tcase_add_test(open, test_open_refused);
	suite_add_tcase(suite, open);
	open = tcase_create("close");
	tcase_add_checked_fixture(open, setup_device, NULL);
	tcase_add_test(open, test_close_unmap_fails);
	suite_add_tcase(suite, open);

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_information);
	tcase_add_test(tc, test_features);
	tcase_add_test(tc, test_status);
	tcase_add_test(tc, test_config);
	tcase_add_test(tc, test_queues);
	tcase_add_loop_test(tc, test_unwanted, 0, sizeof(unwanted) / sizeof(unwanted[0]));
	tcase_add_test(tc, test_noise);
	tcase_add_test(tc, test_bounded);
	tcase_add_test(tc, test_back_pressure);
	tcase_add_loop_test(tc, test_lies, 0, sizeof(lies) / sizeof(lies[0]));
	tcase_add_test(tc, test_lies_while_handled);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

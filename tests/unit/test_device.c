// SPDX-License-Identifier: MIT
/* The device model's negotiation, status machine, configuration space and queue set-up. */
#include "device_fixture.h"

/* ---- creation ---- */

START_TEST(creation_checks_every_limit)
{
	static const struct vg_device_ops no_process = {.name = "toy"};
	static const struct vg_device_ops no_name = {.process = toy_process};
	struct vg_device_config good = device_config();
	struct vg_device_config bad[16];
	struct vg_device *other = NULL;
	unsigned int n = 0;

	for (unsigned int i = 0; i < 16; i++)
		bad[i] = good;
	bad[n++].ops = NULL;
	bad[n++].ops = &no_process;
	bad[n++].ops = &no_name;
	bad[n++].view = NULL;
	bad[n++].num_queues = 0;
	bad[n++].num_queues = VG_DEVICE_MAX_QUEUES + 1;
	bad[n++].max_queue_size = 0;
	bad[n++].max_queue_size = 1;
	bad[n++].max_queue_size = 48;
	bad[n++].max_queue_size = 2 * VG_VQ_MAX_SIZE;
	bad[n++].config_size = VG_DEVICE_MAX_CONFIG + 1;
	bad[n++].config = NULL;
	bad[n++].features = UINT64_C(1) << 24; /* the first bit that is not the type's */
	bad[n++].features = UINT64_C(1) << 38; /* NOTIFICATION_DATA */
	bad[n++].features = UINT64_C(1) << 49; /* the last */
	for (unsigned int i = 0; i < n; i++) {
		ck_assert_msg(vg_device_create(&bad[i], &other) == -EINVAL, "case %u", i);
		ck_assert_ptr_null(other);
	}

	good.num_queues = VG_DEVICE_MAX_QUEUES;
	good.max_queue_size = VG_VQ_MAX_SIZE;
	good.config_size = 0;
	good.config = NULL;
	good.label = NULL;
	good.features = UINT64_C(1) << 23 | UINT64_C(1) << 50 | VG_F_VERSION_1;
	ck_assert_int_eq(vg_device_create(&good, &other), 0);
	vg_device_destroy(other);
	vg_device_destroy(NULL);
}
END_TEST

START_TEST(info_says_what_was_configured)
{
	struct vg_device_info info;

	vg_device_get_info(dev, &info);
	ck_assert_uint_eq(info.device_id, 42);
	ck_assert_uint_eq(info.vendor_id, 0x1af4);
	ck_assert_uint_eq(info.feature_bits, 64);
	ck_assert_uint_eq(info.config_size, CONFIG_SIZE);
	ck_assert_uint_eq(info.num_queues, QUEUES);
}
END_TEST

/* ---- features ---- */

START_TEST(offers_its_own_features_and_those_of_the_type)
{
	uint64_t offered = TOY_FEATURE | VG_DEVICE_FEATURES;

	ck_assert_uint_eq(vg_device_get_features(dev, 0), (uint32_t)offered);
	ck_assert_uint_eq(vg_device_get_features(dev, 1), offered >> 32);
	ck_assert_uint_eq(vg_device_get_features(dev, 2), 0);
	ck_assert_uint_eq(vg_device_get_features(dev, UINT32_MAX), 0);
}
END_TEST

static const struct {
	uint64_t features;
	bool accepted;
} choices[] = {
	{REQUIRED, true},
	{TOY_FEATURE | VG_DEVICE_FEATURES, true},
	{0, false},
	{VG_F_VERSION_1, false},
	{VG_F_ACCESS_PLATFORM, false},
	{TOY_FEATURE, false},
	{REQUIRED | UINT64_C(1) << 6, false},  /* a type's bit that was not offered */
	{REQUIRED | UINT64_C(1) << 34, false}, /* RING_PACKED */
	{REQUIRED | UINT64_C(1) << 38, false}, /* NOTIFICATION_DATA */
	{REQUIRED | UINT64_C(1) << 63, false},
};

START_TEST(features_ok_only_for_what_was_offered_and_required)
{
	uint8_t expected = choices[_i].accepted ? NEGOTIATED : NEGOTIATING;

	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATING), 0);
	choose_features(choices[_i].features);
	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATED), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), expected);

	/* A driver that was refused may choose again. */
	if (!choices[_i].accepted) {
		choose_features(REQUIRED);
		ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATED), 0);
		ck_assert_uint_eq(vg_device_get_status(dev), NEGOTIATED);
	}
}
END_TEST

START_TEST(a_bit_past_the_last_block_is_refused_until_reset)
{
	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATING), 0);
	choose_features(REQUIRED);
	ck_assert_int_eq(vg_device_set_features(dev, 2, 0), 0);
	ck_assert_int_eq(vg_device_set_features(dev, UINT32_MAX, 1), 0);
	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATED), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), NEGOTIATING);

	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	negotiate(REQUIRED);
}
END_TEST

START_TEST(features_are_fixed_once_accepted)
{
	negotiate(REQUIRED | TOY_FEATURE);
	ck_assert_int_eq(vg_device_set_features(dev, 0, 0), -EBUSY);
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), 0);
	ck_assert_int_eq(vg_device_set_features(dev, 0, 0), -EBUSY);
	ck_assert_uint_eq(toy.features, REQUIRED | TOY_FEATURE);

	/* A reset forgets them. */
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATED), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), NEGOTIATING);
}
END_TEST

/* ---- status ---- */

START_TEST(bits_build_up_and_none_is_cleared)
{
	negotiate(REQUIRED);
	ck_assert_int_eq(vg_device_set_status(dev, VG_STATUS_DRIVER_OK), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), RUNNING);
	ck_assert_int_eq(vg_device_set_status(dev, VG_STATUS_ACKNOWLEDGE), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), RUNNING);
	ck_assert_uint_eq(toy.starts, 1);
	ck_assert_uint_eq(toy.resets, 0);
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), 0);
	ck_assert_uint_eq(toy.resets, 1);
	ck_assert_uint_eq(recorder.resets_done, 0);
}
END_TEST

static const uint8_t states[] = {
	0,
	VG_STATUS_ACKNOWLEDGE,
	NEGOTIATING,
	NEGOTIATED,
	RUNNING,
	NEGOTIATING | VG_STATUS_FAILED,
	RUNNING | VG_STATUS_FAILED,
	NEGOTIATING | NEEDS_RESET,
	RUNNING | NEEDS_RESET,
	RUNNING | NEEDS_RESET | VG_STATUS_FAILED,
};

static void enter_state(uint8_t state)
{
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	choose_features(REQUIRED);
	for (uint8_t bit = 1; bit && bit < NEEDS_RESET; bit <<= 1)
		if (state & bit & NEGOTIATED)
			ck_assert_int_eq(vg_device_set_status(dev, bit), 0);
	if (state & VG_STATUS_DRIVER_OK)
		ck_assert_int_eq(vg_device_set_status(dev, VG_STATUS_DRIVER_OK), 0);
	if (state & NEEDS_RESET)
		vg_device_needs_reset(dev, "the test says so");
	if (state & VG_STATUS_FAILED)
		ck_assert_int_eq(vg_device_set_status(dev, VG_STATUS_FAILED), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), state);
}

/* Section 2.1 and 3.1.1, said in another way than the device model says it. */
static bool write_is_legal(uint8_t old, uint8_t status)
{
	uint8_t added = status & ~old;
	uint8_t both = status | old;

	if (added & (0x10 | 0x20 | NEEDS_RESET))
		return false;
	if (added == VG_STATUS_FAILED || !added)
		return true;
	if (both & (VG_STATUS_FAILED | NEEDS_RESET))
		return false;
	if (added & VG_STATUS_DRIVER_OK && !(old & VG_STATUS_FEATURES_OK))
		return false;
	if (both & VG_STATUS_FEATURES_OK && !(both & VG_STATUS_DRIVER))
		return false;
	return !(both & VG_STATUS_DRIVER && !(both & VG_STATUS_ACKNOWLEDGE));
}

START_TEST(every_write_in_every_state)
{
	uint8_t old = states[_i];

	for (unsigned int status = 1; status < 256; status++) {
		bool legal = write_is_legal(old, (uint8_t)status);
		int ret;

		enter_state(old);
		ret = vg_device_set_status(dev, (uint8_t)status);
		ck_assert_msg(ret == (legal ? 0 : -EINVAL), "0x%x in 0x%x: %d", status, old, ret);
		ck_assert_msg(vg_device_get_status(dev) == (legal ? old | status : old),
			      "0x%x in 0x%x gives 0x%x", status, old, vg_device_get_status(dev));
	}
}
END_TEST

START_TEST(driver_ok_in_one_write_with_features_ok_is_refused)
{
	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATING), 0);
	choose_features(REQUIRED);
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), -EINVAL);
	ck_assert_uint_eq(vg_device_get_status(dev), NEGOTIATING);
	ck_assert_uint_eq(toy.starts, 0);
}
END_TEST

START_TEST(a_type_that_cannot_start_needs_a_reset)
{
	toy.start_result = -EIO;
	negotiate(REQUIRED);
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(recorder.config_changes, 1);
	ck_assert_uint_eq(logged.lines, 1);

	toy.start_result = 0;
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	negotiate(REQUIRED);
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), 0);
	ck_assert_uint_eq(vg_device_get_status(dev), RUNNING);
}
END_TEST

START_TEST(needs_reset_is_told_once_and_only_to_a_running_driver)
{
	negotiate(REQUIRED);
	vg_device_needs_reset(dev, "first reason");
	ck_assert_uint_eq(vg_device_get_status(dev), NEGOTIATED | NEEDS_RESET);
	ck_assert_uint_eq(recorder.config_changes, 0);
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING | NEEDS_RESET), -EINVAL);

	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	run_device(1, 8);
	for (int i = 0; i < 3; i++)
		vg_device_needs_reset(dev, "second reason");
	ck_assert_uint_eq(recorder.config_changes, 1);
	ck_assert_uint_eq(logged.lines, 2);
	ck_assert_ptr_nonnull(strstr(logged.last, "dom7 xvda"));
	ck_assert_ptr_nonnull(strstr(logged.last, "toy"));
	ck_assert_ptr_nonnull(strstr(logged.last, "second reason"));
}
END_TEST

START_TEST(a_driver_cannot_fill_the_log)
{
	for (int i = 0; i < 100; i++) {
		vg_device_needs_reset(dev, "again");
		ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	}
	ck_assert_uint_gt(logged.lines, 0);
	ck_assert_uint_lt(logged.lines, 20);
}
END_TEST

/* ---- configuration space ---- */

START_TEST(config_is_read_within_its_bounds)
{
	uint8_t data[CONFIG_SIZE + 1] = {0};
	uint32_t generation = 99;

	ck_assert_int_eq(vg_device_read_config(dev, 0, data, CONFIG_SIZE, &generation), 0);
	ck_assert_mem_eq(data, first_config, CONFIG_SIZE);
	ck_assert_uint_eq(generation, 0);
	ck_assert_int_eq(vg_device_read_config(dev, CONFIG_SIZE - 1, data, 1, &generation), 0);
	ck_assert_uint_eq(data[0], CONFIG_SIZE);
	ck_assert_int_eq(vg_device_read_config(dev, CONFIG_SIZE, NULL, 0, &generation), 0);

	ck_assert_int_eq(vg_device_read_config(dev, 0, data, CONFIG_SIZE + 1, &generation),
			 -EINVAL);
	ck_assert_int_eq(vg_device_read_config(dev, CONFIG_SIZE, data, 1, &generation), -EINVAL);
	ck_assert_int_eq(vg_device_read_config(dev, CONFIG_SIZE + 1, data, 0, &generation),
			 -EINVAL);
	ck_assert_int_eq(vg_device_read_config(dev, 8, data, UINT32_MAX - 4, &generation), -EINVAL);
	ck_assert_int_eq(vg_device_read_config(dev, UINT32_MAX, data, 2, &generation), -EINVAL);
}
END_TEST

START_TEST(generation_counts_changes_and_survives_reset)
{
	uint8_t same[2] = {first_config[4], first_config[5]};
	uint8_t data[4] = {0xaa, 0xbb, 0xcc, 0xdd};
	uint8_t back[4];
	uint32_t generation;

	/* No driver is there to be told. */
	ck_assert_int_eq(vg_device_update_config(dev, 0, data, 4), 0);
	ck_assert_uint_eq(recorder.config_changes, 0);

	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATING), 0);
	ck_assert_int_eq(vg_device_update_config(dev, 4, same, 2), 0);
	ck_assert_int_eq(vg_device_update_config(dev, 4, data, 0), 0);
	ck_assert_uint_eq(recorder.config_changes, 0);
	ck_assert_int_eq(vg_device_update_config(dev, CONFIG_SIZE - 4, data, 4), 0);
	ck_assert_uint_eq(recorder.config_changes, 1);
	ck_assert_int_eq(vg_device_update_config(dev, CONFIG_SIZE - 3, data, 4), -EINVAL);
	ck_assert_int_eq(vg_device_update_config(dev, UINT32_MAX, data, 4), -EINVAL);
	ck_assert_uint_eq(recorder.config_changes, 1);

	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	ck_assert_int_eq(vg_device_read_config(dev, CONFIG_SIZE - 4, back, 4, &generation), 0);
	ck_assert_mem_eq(back, data, 4);
	ck_assert_uint_eq(generation, 2);
}
END_TEST

START_TEST(driver_writes_config_only_as_the_type_allows)
{
	uint8_t data[2] = {0x11, 0x22};
	uint8_t back[2];
	uint32_t generation;

	/* Not before FEATURES_OK. */
	ck_assert_int_eq(vg_device_write_config(dev, 0, 0, data, 2), -EACCES);
	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATING), 0);
	ck_assert_int_eq(vg_device_write_config(dev, 0, 0, data, 2), -EACCES);
	ck_assert_uint_eq(toy.writes, 0);

	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	negotiate(REQUIRED);
	ck_assert_int_eq(vg_device_write_config(dev, 1, 0, data, 2), -ESTALE);
	ck_assert_int_eq(vg_device_write_config(dev, 0, CONFIG_SIZE - 1, data, 2), -EINVAL);
	ck_assert_int_eq(vg_device_write_config(dev, 0, UINT32_MAX, data, 2), -EINVAL);
	ck_assert_uint_eq(toy.writes, 0);
	toy.write_result = -EPERM;
	ck_assert_int_eq(vg_device_write_config(dev, 0, 0, data, 2), -EACCES);
	ck_assert_uint_eq(toy.writes, 1);
	ck_assert_int_eq(vg_device_read_config(dev, 0, back, 2, &generation), 0);
	ck_assert_mem_eq(back, first_config, 2);
	ck_assert_uint_eq(generation, 0);

	toy.write_result = 0;
	ck_assert_int_eq(vg_device_write_config(dev, 0, 0, data, 2), 0);
	ck_assert_int_eq(vg_device_read_config(dev, 0, back, 2, &generation), 0);
	ck_assert_mem_eq(back, data, 2);
	ck_assert_uint_eq(generation, 1);
	/* The driver knows what it wrote. */
	ck_assert_uint_eq(recorder.config_changes, 0);
	ck_assert_int_eq(vg_device_write_config(dev, 0, 0, data, 2), -ESTALE);
}
END_TEST

START_TEST(a_type_without_config_write_refuses_every_write)
{
	static const struct vg_device_ops ops = {.name = "toy", .process = toy_process};
	struct vg_device_config config = device_config();
	struct vg_device *original = dev;
	uint8_t data = 1;

	config.ops = &ops;
	ck_assert_int_eq(vg_device_create(&config, &dev), 0);
	negotiate(REQUIRED);
	ck_assert_int_eq(vg_device_write_config(dev, 0, 0, &data, 1), -EACCES);
	/* start and reset may be absent as well, and so may the bus. */
	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), 0);
	ck_assert_int_eq(vg_device_update_config(dev, 0, &data, 1), 0);
	vg_device_needs_reset(dev, "the test says so");
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	vg_device_destroy(dev);
	dev = original;
}
END_TEST

/* ---- queue set-up ---- */

START_TEST(queues_are_set_up_between_features_ok_and_driver_ok)
{
	struct vg_queue_setup setup = new_ring(0, 8), back;

	ck_assert_int_eq(vg_device_set_queue(dev, 0, &setup), -EBUSY);
	ck_assert_int_eq(vg_device_set_status(dev, NEGOTIATING), 0);
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &setup), -EBUSY);
	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	negotiate(REQUIRED);

	ck_assert_int_eq(vg_device_get_queue(dev, 0, &back), 0);
	ck_assert_uint_eq(back.max_size, MAX_SIZE);
	ck_assert_uint_eq(back.size, 0);
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &setup), 0);
	ck_assert_int_eq(vg_device_get_queue(dev, 0, &back), 0);
	ck_assert_uint_eq(back.max_size, MAX_SIZE);
	ck_assert_uint_eq(back.size, 8);
	ck_assert_uint_eq(back.desc_addr, setup.desc_addr);
	ck_assert_uint_eq(back.driver_addr, setup.driver_addr);
	ck_assert_uint_eq(back.device_addr, setup.device_addr);
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &setup), -EBUSY);

	ck_assert_int_eq(vg_device_set_status(dev, RUNNING), 0);
	setup = new_ring(1, 8);
	ck_assert_int_eq(vg_device_set_queue(dev, 1, &setup), -EBUSY);

	ck_assert_int_eq(vg_device_set_status(dev, 0), 0);
	ck_assert_int_eq(vg_device_get_queue(dev, 0, &back), 0);
	ck_assert_uint_eq(back.size, 0);
	ck_assert_uint_eq(back.desc_addr, 0);
	ck_assert_uint_eq(fake_mapped_pages(), 0);
}
END_TEST

START_TEST(queue_set_up_checks_every_field)
{
	struct vg_queue_setup good, bad, back;
	static const uint32_t bad_sizes[] = {0,         1,           3,         48, 2 * MAX_SIZE,
					     65536 + 8, 0x80000000u, UINT32_MAX};

	negotiate(REQUIRED);
	good = new_ring(0, 8);
	ck_assert_int_eq(vg_device_set_queue(dev, QUEUES, &good), -EINVAL);
	ck_assert_int_eq(vg_device_set_queue(dev, UINT32_MAX, &good), -EINVAL);
	ck_assert_int_eq(vg_device_get_queue(dev, QUEUES, &back), -EINVAL);
	for (unsigned int i = 0; i < sizeof(bad_sizes) / sizeof(bad_sizes[0]); i++) {
		bad = good;
		bad.size = bad_sizes[i];
		ck_assert_int_eq(vg_device_set_queue(dev, 0, &bad), -EINVAL);
	}
	bad = good;
	bad.desc_addr += 8;
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &bad), -EINVAL);
	bad = good;
	bad.driver_addr += 1;
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &bad), -EINVAL);
	bad = good;
	bad.device_addr += 2;
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &bad), -EINVAL);
	bad = good;
	bad.desc_addr &= ~VG_ADDR_GRANT;
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &bad), -EFAULT);
	bad = good;
	bad.device_addr = vg_addr_make(3000, 0); /* not granted */
	ck_assert_int_lt(vg_device_set_queue(dev, 0, &bad), 0);
	ck_assert_uint_eq(fake_mapped_pages(), 0);
	ck_assert_int_eq(vg_device_get_queue(dev, 0, &back), 0);
	ck_assert_uint_eq(back.size, 0);

	/* None of this spoiled the queue, and the largest size works. */
	good = new_ring(0, MAX_SIZE);
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &good), 0);
	ck_assert_int_eq(vg_device_get_queue(dev, 0, &back), 0);
	ck_assert_uint_eq(back.size, MAX_SIZE);
}
END_TEST

START_TEST(a_broken_device_takes_no_queue)
{
	struct vg_queue_setup setup;

	negotiate(REQUIRED);
	setup = new_ring(0, 8);
	ck_assert_int_eq(vg_device_set_status(dev, VG_STATUS_FAILED), 0);
	ck_assert_int_eq(vg_device_set_queue(dev, 0, &setup), -EBUSY);
	ck_assert_uint_eq(fake_mapped_pages(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device");
	TCase *tc = tcase_create("negotiation");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, creation_checks_every_limit);
	tcase_add_test(tc, info_says_what_was_configured);
	tcase_add_test(tc, offers_its_own_features_and_those_of_the_type);
	tcase_add_loop_test(tc, features_ok_only_for_what_was_offered_and_required, 0,
			    sizeof(choices) / sizeof(choices[0]));
	tcase_add_test(tc, a_bit_past_the_last_block_is_refused_until_reset);
	tcase_add_test(tc, features_are_fixed_once_accepted);
	tcase_add_test(tc, bits_build_up_and_none_is_cleared);
	tcase_add_loop_test(tc, every_write_in_every_state, 0, sizeof(states));
	tcase_add_test(tc, driver_ok_in_one_write_with_features_ok_is_refused);
	tcase_add_test(tc, a_type_that_cannot_start_needs_a_reset);
	tcase_add_test(tc, needs_reset_is_told_once_and_only_to_a_running_driver);
	tcase_add_test(tc, a_driver_cannot_fill_the_log);
	tcase_add_test(tc, config_is_read_within_its_bounds);
	tcase_add_test(tc, generation_counts_changes_and_survives_reset);
	tcase_add_test(tc, driver_writes_config_only_as_the_type_allows);
	tcase_add_test(tc, a_type_without_config_write_refuses_every_write);
	tcase_add_test(tc, queues_are_set_up_between_features_ok_and_driver_ok);
	tcase_add_test(tc, queue_set_up_checks_every_field);
	tcase_add_test(tc, a_broken_device_takes_no_queue);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

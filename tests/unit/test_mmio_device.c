// SPDX-License-Identifier: MIT
/* What a device does behind virtio-mmio's registers: interrupts, configuration, reset. */
#include "mmio_fixture.h"

/* ---- interrupts: 4.2.2, InterruptStatus ---- */

START_TEST(interrupts_are_acknowledged_bit_by_bit)
{
	uint8_t byte = 99;

	mmio_run(1, 16);
	ck_assert_uint_eq(rd(REG_INTERRUPT_STATUS), 0);
	ring_add(&ring[0], 0, 1);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	ck_assert_uint_eq(rd(REG_INTERRUPT_STATUS), VG_MMIO_INT_QUEUE);
	ck_assert_uint_eq(line.raised, 1);
	ck_assert_int_eq(vg_device_update_config(dev, 3, &byte, 1), 0);
	ck_assert_uint_eq(rd(REG_INTERRUPT_STATUS), VG_MMIO_INT_QUEUE | VG_MMIO_INT_CONFIG);
	ck_assert_uint_eq(line.raised, 2);
	ck_assert_uint_eq(line.edges, 1);
	wr(REG_INTERRUPT_ACK, ~(uint32_t)3);
	ck_assert_uint_eq(line.edges, 1);
	wr(REG_INTERRUPT_ACK, VG_MMIO_INT_QUEUE);
	ck_assert_uint_eq(rd(REG_INTERRUPT_STATUS), VG_MMIO_INT_CONFIG);
	/* What was not acknowledged raises it again. */
	ck_assert(line.high);
	ck_assert_uint_eq(line.edges, 2);
	wr(REG_INTERRUPT_ACK, UINT32_MAX);
	ck_assert_uint_eq(rd(REG_INTERRUPT_STATUS), 0);
	ck_assert(!line.high);
	wr(REG_INTERRUPT_ACK, UINT32_MAX);
	ck_assert_uint_eq(line.edges, 2);
}
END_TEST

START_TEST(a_device_that_breaks_interrupts)
{
	mmio_run(1, 16);
	ring[0].avail_idx = 1000;
	ring_publish(&ring[0]);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	ck_assert_uint_eq(rd(REG_STATUS), RUNNING | NEEDS_RESET);
	ck_assert_uint_eq(rd(REG_INTERRUPT_STATUS), VG_MMIO_INT_CONFIG);
	wr(REG_STATUS, 0);
	ck_assert_uint_eq(rd(REG_STATUS), 0);
	ck_assert_uint_eq(rd(REG_INTERRUPT_STATUS), 0);
}
END_TEST

/* ---- configuration: 4.2.2.2 ---- */

START_TEST(configuration_is_read_in_its_widths)
{
	for (unsigned int size = 1; size <= 8; size *= 2) {
		for (uint32_t offset = 0; offset < VG_MMIO_SIZE - VG_MMIO_CONFIG; offset++) {
			uint64_t want = 0;

			for (unsigned int i = 0; i < size && offset + i < CONFIG_SIZE; i++)
				want |= (uint64_t)first_config[offset + i] << 8 * i;
			if (offset % size)
				want = 0;
			ck_assert_uint_eq(vg_mmio_read(mmio, VG_MMIO_CONFIG + offset, size), want);
		}
	}
	ck_assert_uint_eq(vg_mmio_read(mmio, UINT64_MAX - 3, 4), 0);
	ck_assert_uint_eq(vg_mmio_read(mmio, VG_MMIO_CONFIG, 3), 0);
}
END_TEST

START_TEST(configuration_is_written_after_features)
{
	uint32_t generation = rd(REG_CONFIG_GENERATION);

	vg_mmio_write(mmio, VG_MMIO_CONFIG + 4, 4, 0xaabbccdd);
	ck_assert_uint_eq(toy.writes, 0);
	mmio_negotiate(REQUIRED);
	vg_mmio_write(mmio, VG_MMIO_CONFIG + 4, 4, 0xaabbccdd);
	ck_assert_uint_eq(toy.writes, 1);
	ck_assert_uint_eq(vg_mmio_read(mmio, VG_MMIO_CONFIG + 4, 4), 0xaabbccdd);
	ck_assert_uint_ne(rd(REG_CONFIG_GENERATION), generation);
	generation = rd(REG_CONFIG_GENERATION);
	toy.write_result = -EACCES;
	vg_mmio_write(mmio, VG_MMIO_CONFIG + 4, 4, 1);
	vg_mmio_write(mmio, VG_MMIO_CONFIG + 5, 2, 1);
	vg_mmio_write(mmio, VG_MMIO_CONFIG + CONFIG_SIZE, 4, 1);
	vg_mmio_write(mmio, VG_MMIO_CONFIG + CONFIG_SIZE - 4, 8, 1);
	ck_assert_uint_eq(vg_mmio_read(mmio, VG_MMIO_CONFIG + 4, 4), 0xaabbccdd);
	ck_assert_uint_eq(rd(REG_CONFIG_GENERATION), generation);
}
END_TEST

START_TEST(the_generation_survives_a_reset)
{
	uint8_t byte = 7;
	uint32_t generation;

	ck_assert_int_eq(vg_device_update_config(dev, 0, &byte, 1), 0);
	generation = rd(REG_CONFIG_GENERATION);
	ck_assert_uint_eq(generation, 1);
	wr(REG_STATUS, 0);
	ck_assert_uint_eq(rd(REG_CONFIG_GENERATION), 1);
	ck_assert_uint_eq(vg_mmio_read(mmio, VG_MMIO_CONFIG, 1), 7);
}
END_TEST

/* ---- reset: 2.4 ---- */

START_TEST(a_reset_forgets_everything)
{
	mmio_run(QUEUES, 16);
	ring_add(&ring[0], 0, 1);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	wr(REG_STATUS, 0);
	ck_assert_uint_eq(line.resets_done, 0); /* nobody was held */
	ck_assert_uint_eq(toy.resets, 2);       /* the first when the registers were made */
	ck_assert_uint_eq(quota.pages, 0);
	wr(REG_QUEUE_SEL, 0);
	wr(REG_DEVICE_FEATURES_SEL, 0);
	check_at_reset();
	mmio_run(QUEUES, 32);
}
END_TEST

START_TEST(a_reset_holds_the_driver_while_requests_run)
{
	mmio_run(1, 16);
	toy.hold = true;
	ring_add(&ring[0], 0, 2);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	ck_assert_int_eq(vg_mmio_write(mmio, REG_STATUS, 4, 0), -EINPROGRESS);
	ck_assert_int_eq(vg_mmio_write(mmio, REG_STATUS, 4, 0), -EINPROGRESS); /* another vCPU */
	ck_assert_uint_eq(rd(REG_STATUS), RUNNING | NEEDS_RESET);
	wr(REG_STATUS, VG_STATUS_ACKNOWLEDGE);
	ck_assert_uint_eq(rd(REG_STATUS), RUNNING | NEEDS_RESET);
	ck_assert_int_eq(vg_mmio_timeout(mmio, 5), 0);
	vg_mmio_service(mmio, 5);
	ck_assert_int_eq(vg_mmio_timeout(mmio, 5), 1000);
	toy_release(&toy, 1);
	vg_device_flush(dev);
	ck_assert_uint_eq(line.resets_done, 0);
	drain();
	ck_assert_uint_eq(line.resets_done, 1);
	ck_assert_uint_eq(rd(REG_STATUS), 0);
	ck_assert_int_eq(vg_mmio_timeout(mmio, 5), -1);
	vg_mmio_service(mmio, 100000);
	ck_assert_uint_eq(line.resets_done, 1);
}
END_TEST

START_TEST(a_reset_that_takes_too_long_is_given_up)
{
	uint8_t *data;

	mmio_run(1, 16);
	toy.hold = true;
	data = fake_grant(RING_REF(0) + 3, 1, true);
	memset(data, 0x55, VG_PAGE_SIZE);
	ring_add(&ring[0], 0, 1);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	ck_assert_int_eq(vg_mmio_write(mmio, REG_STATUS, 4, 0), -EINPROGRESS);
	vg_mmio_service(mmio, 10);
	vg_mmio_service(mmio, 1009);
	ck_assert_uint_eq(line.resets_done, 0);
	vg_mmio_service(mmio, 1010);
	ck_assert_uint_eq(line.resets_done, 1);
	/* Not usable yet, and a later process would find it reset. */
	ck_assert_uint_ne(rd(REG_STATUS), 0);
	ck_assert_uint_eq(state.status, 0);
	/* What ends now reaches nothing: the page may be another request's. */
	vg_vq_complete(toy.held[0].vq, toy.held[0].elem, 16);
	toy.num_held = 0;
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[0]), 0);
	ck_assert_uint_eq(data[0], 0x55);
	ck_assert_uint_eq(rd(REG_STATUS), 0);
	toy.hold = false;
	mmio_run(1, 16);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mmio-device");
	TCase *tc = tcase_create("device");

	tcase_add_checked_fixture(tc, set_up_mmio, tear_down_mmio);
	tcase_add_test(tc, interrupts_are_acknowledged_bit_by_bit);
	tcase_add_test(tc, a_device_that_breaks_interrupts);
	tcase_add_test(tc, configuration_is_read_in_its_widths);
	tcase_add_test(tc, configuration_is_written_after_features);
	tcase_add_test(tc, the_generation_survives_a_reset);
	tcase_add_test(tc, a_reset_forgets_everything);
	tcase_add_test(tc, a_reset_holds_the_driver_while_requests_run);
	tcase_add_test(tc, a_reset_that_takes_too_long_is_given_up);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return run_suite(suite());
}

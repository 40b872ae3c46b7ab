// SPDX-License-Identifier: MIT
/*
 * Registers and queues that outlive their process. A process that is killed is imitated by keeping
 * what it leaves (the state, the guest's pages) as it is at that instant, and giving it to a new
 * device later.
 */
#include "mmio_fixture.h"

static struct {
	struct vg_mmio_state state;
	uint8_t page[3 * VG_PAGE_SIZE]; /* the rings of queue 0 */
} corpse;

/* The instant of death. */
static void keep(void)
{
	corpse.state = state;
	memcpy(corpse.page, fake_page(RING_REF(0)), sizeof(corpse.page));
}

/* Ends the process that is dead already, in good order, and starts another over what was kept. */
static void start_anew(void)
{
	struct vg_view_config view_config;
	struct vg_device_config config;

	drain();
	vg_mmio_destroy(mmio);
	vg_device_destroy(dev);
	vg_view_destroy(view);
	ck_assert_uint_eq(quota.pages, 0);
	state = corpse.state;
	memcpy(fake_page(RING_REF(0)), corpse.page, sizeof(corpse.page));
	memset(&toy, 0, sizeof(toy));
	view_config = (struct vg_view_config){
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.policy = {.copy_max = 65536},
		.max_requests = 256,
	};
	ck_assert_int_eq(vg_view_create(&view_config, &view), 0);
	config = device_config();
	ck_assert_int_eq(vg_device_create(&config, &dev), 0);
	open_registers();
}

static void run_one(uint16_t size)
{
	mmio_run(1, size);
	fake_grant(RING_REF(0) + 3, 1, true);
}

/* Used ring entry @i's head. */
static uint32_t used_head(uint16_t i)
{
	const struct {
		uint32_t id, len;
	} *entry = (const void *)(ring[0].used + 2);

	return le32toh(entry[i % ring[0].size].id);
}

START_TEST(a_running_device_goes_on)
{
	run_one(16);
	ring_add(&ring[0], 0, 5);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	keep();
	start_anew();
	ck_assert_uint_eq(rd(REG_STATUS), RUNNING);
	ck_assert_uint_eq(toy.starts, 1);
	ck_assert_uint_eq(toy.features, REQUIRED);
	wr(REG_QUEUE_SEL, 0);
	ck_assert_uint_eq(rd(REG_QUEUE_READY), 1);
	vg_mmio_wake(mmio);
	ck_assert_uint_eq(line.raised, 1);
	/* The process before has left the line high. */
	ck_assert_uint_eq(line.edges, 1);
	ck_assert_uint_eq(rd(REG_INTERRUPT_STATUS), 3);
	/* Nothing is done twice, and nothing is waited for. */
	turn();
	ck_assert_uint_eq(toy.taken[0], 0);
	ck_assert_uint_eq(ring_used(&ring[0]), 5);
	ring_add(&ring[0], 0, 7);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	ck_assert_uint_eq(ring_used(&ring[0]), 12);
}
END_TEST

/* What was taken and not done is done again; what was not taken is taken; each once. */
START_TEST(requests_in_flight_are_done_again)
{
	unsigned int seen[16] = {0};

	run_one(16);
	toy.hold = true;
	ring_add(&ring[0], 0, 8);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	ck_assert_uint_eq(toy.num_held, 8);
	/* 1 and 4 have come to an end. */
	vg_vq_complete(toy.held[1].vq, toy.held[1].elem, 0);
	vg_vq_complete(toy.held[4].vq, toy.held[4].elem, 0);
	memmove(&toy.held[4], &toy.held[5], 3 * sizeof(toy.held[0]));
	memmove(&toy.held[1], &toy.held[2], 6 * sizeof(toy.held[0]));
	toy.num_held = 6;
	vg_device_flush(dev);
	ck_assert_uint_eq(ring_used(&ring[0]), 2);
	ring_add(&ring[0], 0, 3); /* published, and nobody looked */
	keep();
	start_anew();
	for (int i = 0; i < 12; i++)
		turn();
	ck_assert_uint_eq(toy.taken[0], 9);
	ck_assert_uint_eq(ring_used(&ring[0]), 11);
	for (uint16_t i = 0; i < 11; i++)
		seen[used_head(i)]++;
	for (unsigned int i = 0; i < 11; i++)
		ck_assert_uint_eq(seen[i], 1);
}
END_TEST

/* The instants between the steps of publishing completions. */
START_TEST(killed_while_completions_are_published)
{
	run_one(16);
	toy.hold = true;
	ring_add(&ring[0], 0, 6);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	keep(); /* all six in flight */
	toy_release(&toy, 4);
	vg_device_flush(dev);
	if (_i >= 1) /* heads are in the used ring, the index is not */
		memcpy(corpse.page + 2 * VG_PAGE_SIZE + 4, ring[0].used + 2, VG_PAGE_SIZE - 4);
	if (_i >= 2) /* the index is, the log knows nothing of it */
		memcpy(corpse.page + 2 * VG_PAGE_SIZE, ring[0].used, VG_PAGE_SIZE);
	if (_i >= 3) /* the log has half of it */
		memset(corpse.state.log[0].inflight, 0, 2);
	if (_i >= 4) /* all but its index */
		memset(corpse.state.log[0].inflight, 0, 4);
	if (_i >= 5)
		corpse.state.log[0].used = 4;
	start_anew();
	for (int i = 0; i < 12; i++)
		turn();
	ck_assert_uint_eq(toy.taken[0], _i < 2 ? 6 : 2);
	ck_assert_uint_eq(ring_used(&ring[0]), 6);
	ring_add(&ring[0], 0, 2);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	ck_assert_uint_eq(ring_used(&ring[0]), 8);
}
END_TEST

/* Killed between noting heads as taken: those noted were taken in the ring's order. */
START_TEST(killed_while_requests_are_taken)
{
	run_one(16);
	ring_add(&ring[0], 0, 6);
	keep();
	memset(corpse.state.log[0].inflight, 1, (size_t)_i);
	start_anew();
	for (int i = 0; i < 12; i++)
		turn();
	ck_assert_uint_eq(toy.taken[0], 6);
	ck_assert_uint_eq(ring_used(&ring[0]), 6);
}
END_TEST

START_TEST(indices_wrap)
{
	run_one(8);
	for (int i = 0; i < 65536 / 8; i++) {
		ring_add(&ring[0], 0, 8);
		wr(REG_QUEUE_NOTIFY, 0);
		turn();
	}
	toy.hold = true;
	ring[0].avail_idx = 65536 - 3;
	ring_publish(&ring[0]);
	/* A guest of which the device has seen 65533 requests. */
	keep();
	*(uint16_t *)(corpse.page + 2 * VG_PAGE_SIZE + 2) = htole16(65536 - 3);
	corpse.state.log[0].used = 65536 - 3;
	start_anew();
	toy.hold = true;
	ring_add(&ring[0], 0, 6);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	ck_assert_uint_eq(toy.num_held, 6);
	keep();
	start_anew();
	for (int i = 0; i < 12; i++)
		turn();
	ck_assert_uint_eq(ring_used(&ring[0]), 3);
	ck_assert_uint_eq(toy.taken[0], 6);
}
END_TEST

/* A guest that lies in its rings breaks its own device. */
START_TEST(a_used_index_that_lies_needs_a_reset)
{
	run_one(16);
	keep();
	*(uint16_t *)(corpse.page + 2 * VG_PAGE_SIZE + 2) = htole16(17);
	start_anew();
	ck_assert_uint_eq(rd(REG_STATUS) & NEEDS_RESET, NEEDS_RESET);
	turn();
	ck_assert_uint_eq(toy.taken[0], 0);
	wr(REG_STATUS, 0);
	run_one(16);
	ring_add(&ring[0], 0, 1);
	wr(REG_QUEUE_NOTIFY, 0);
	turn();
	ck_assert_uint_eq(ring_used(&ring[0]), 1);
}
END_TEST

/* The state is kept by us; but whatever it holds, no byte is reached that was not granted. */
START_TEST(a_state_that_cannot_be_needs_a_reset)
{
	run_one(16);
	keep();
	switch (_i) {
	case 0:
		corpse.state.queue[0].desc &= ~VG_ADDR_GRANT;
		break;
	case 1:
		corpse.state.queue[0].size = 3;
		break;
	case 2:
		corpse.state.features[0] = 1;
		break;
	case 3:
		corpse.state.status = VG_STATUS_DRIVER_OK;
		break;
	case 4:
		corpse.state.status |= NEEDS_RESET;
		break;
	case 5:
		corpse.state.features_unknown = 1;
		break;
	default:
		corpse.state.status = 0xff00;
	}
	start_anew();
	ck_assert_uint_eq(rd(REG_STATUS) & NEEDS_RESET, NEEDS_RESET);
	turn();
	ck_assert_uint_eq(toy.taken[0], 0);
	wr(REG_STATUS, 0);
	mmio_run(1, 16);
}
END_TEST

/* Killed in the middle of set-up: the driver goes on with the next register. */
START_TEST(set_up_goes_on)
{
	struct vg_queue_setup setup;

	wr(REG_STATUS, VG_STATUS_ACKNOWLEDGE);
	wr(REG_STATUS, NEGOTIATING);
	wr(REG_DRIVER_FEATURES_SEL, 0);
	wr(REG_DRIVER_FEATURES, TOY_FEATURE);
	wr(REG_DRIVER_FEATURES_SEL, 1);
	keep();
	start_anew();
	ck_assert_uint_eq(rd(REG_STATUS), NEGOTIATING);
	vg_mmio_wake(mmio);
	ck_assert_uint_eq(line.raised, 0);
	wr(REG_DRIVER_FEATURES, REQUIRED >> 32);
	wr(REG_STATUS, NEGOTIATED);
	ck_assert_uint_eq(rd(REG_STATUS), NEGOTIATED);
	setup = new_ring(0, 16);
	write_queue(0, &setup);
	keep();
	start_anew();
	wr(REG_QUEUE_READY, 1);
	ck_assert_uint_eq(rd(REG_QUEUE_READY), 1);
	keep();
	start_anew();
	wr(REG_QUEUE_READY, 1); /* the access that was not answered, again */
	ck_assert_uint_eq(rd(REG_QUEUE_READY), 1);
	wr(REG_STATUS, RUNNING);
	ck_assert_uint_eq(rd(REG_STATUS), RUNNING);
	ck_assert_uint_eq(toy.features, REQUIRED | TOY_FEATURE);
}
END_TEST

/* Killed after the reset's first store. */
START_TEST(a_reset_is_finished)
{
	run_one(16);
	keep();
	corpse.state.status = 0;
	corpse.state.features_unknown = 1;
	corpse.state.interrupt = 3;
	start_anew();
	ck_assert_uint_eq(rd(REG_STATUS), 0);
	ck_assert_uint_eq(rd(REG_INTERRUPT_STATUS), 0);
	wr(REG_QUEUE_SEL, 0);
	ck_assert_uint_eq(rd(REG_QUEUE_READY), 0);
	mmio_run(1, 16);
}
END_TEST

START_TEST(a_reset_stays_one)
{
	run_one(16);
	wr(REG_STATUS, 0);
	keep();
	start_anew();
	ck_assert_uint_eq(rd(REG_STATUS), 0);
	mmio_run(1, 16);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mmio-resume");
	TCase *tc = tcase_create("resume");

	tcase_add_checked_fixture(tc, set_up_mmio, tear_down_mmio);
	tcase_add_test(tc, a_running_device_goes_on);
	tcase_add_test(tc, requests_in_flight_are_done_again);
	tcase_add_loop_test(tc, killed_while_completions_are_published, 0, 6);
	tcase_add_loop_test(tc, killed_while_requests_are_taken, 0, 7);
	tcase_add_test(tc, indices_wrap);
	tcase_add_test(tc, a_used_index_that_lies_needs_a_reset);
	tcase_add_loop_test(tc, a_state_that_cannot_be_needs_a_reset, 0, 7);
	tcase_add_test(tc, set_up_goes_on);
	tcase_add_test(tc, a_reset_is_finished);
	tcase_add_test(tc, a_reset_stays_one);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return run_suite(suite());
}

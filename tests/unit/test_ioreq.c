// SPDX-License-Identifier: MIT
/* The IOREQ server: requests of every kind, content that no Xen writes, and what a later process
 * finds. */
#include "ioreq_fixture.h"

static uint64_t read_as(unsigned int vcpu, uint64_t addr, uint32_t size)
{
	struct ioreq req = plain(addr, size, true, 0);

	request(vcpu, &req);
	ck_assert(vg_ioreq_poll(server));
	return take(vcpu);
}

static void write_as(unsigned int vcpu, uint64_t addr, uint32_t size, uint64_t value)
{
	struct ioreq req = plain(addr, size, false, value);

	request(vcpu, &req);
	ck_assert(vg_ioreq_poll(server));
	take(vcpu);
}

static uint64_t refused(void)
{
	struct vg_ioreq_stats stats;

	vg_ioreq_get_stats(server, &stats);
	return stats.refused;
}

/* Status and feature windows, which an access that goes astray would change. */
static void check_untouched(void)
{
	ck_assert_uint_eq(state.status, 0);
	ck_assert_uint_eq(state.queue_sel, 0);
	ck_assert_uint_eq(state.device_features_sel, 0);
	ck_assert_uint_eq(state.features[0], 0);
}

START_TEST(registers_are_read_and_written)
{
	ck_assert_uint_eq(read_as(0, BASE + REG_MAGIC, 4), 0x74726976);
	write_as(1, BASE + REG_STATUS, 4, VG_STATUS_ACKNOWLEDGE);
	ck_assert_uint_eq(read_as(1, BASE + REG_STATUS, 4), VG_STATUS_ACKNOWLEDGE);
	ck_assert_uint_eq(refused(), 0);
	ck_assert_uint_eq(fake_notified(PORT(0)), 1);
	ck_assert_uint_eq(fake_notified(PORT(1)), 2);
}
END_TEST

START_TEST(every_width_is_served)
{
	for (uint32_t size = 1; size <= 8; size *= 2) {
		uint64_t want = 0;

		for (uint32_t i = 0; i < size; i++)
			want |= (uint64_t)first_config[8 + i] << 8 * i;
		ck_assert_uint_eq(read_as(0, BASE + VG_MMIO_CONFIG + 8, size), want);
	}
	mmio_negotiate(REQUIRED);
	for (uint32_t size = 1; size <= 8; size *= 2)
		write_as(0, BASE + VG_MMIO_CONFIG + 8, size,
			 UINT64_MAX); /* no more than its bytes */
	ck_assert_uint_eq(toy.writes, 4);
	ck_assert_uint_eq(vg_mmio_read(mmio, VG_MMIO_CONFIG + 16, 1), first_config[16]);
}
END_TEST

START_TEST(an_event_serves_its_vcpu)
{
	struct ioreq req = plain(BASE + REG_VERSION, 4, true, 0);
	int port;

	/* One event each from binding. */
	while ((port = vg_evtchn_pending(fake_evtchn())) > 0) {
		ck_assert(vg_ioreq_event(server, port));
		vg_evtchn_unmask(fake_evtchn(), port);
	}
	request(1, &req);
	fake_raise(PORT(1));
	port = vg_evtchn_pending(fake_evtchn());
	ck_assert(vg_ioreq_event(server, port));
	ck_assert_uint_eq(take(1), 2);
	ck_assert(!vg_ioreq_event(server, 0));
	ck_assert(!vg_ioreq_event(server, 60));
	ck_assert(!vg_ioreq_poll(server));
}
END_TEST

/* rep stos and rep lods, forwards and backwards. */
START_TEST(repetitions_go_in_their_direction)
{
	struct ioreq req = plain(BASE + VG_MMIO_CONFIG + 4, 1, true, 0);

	req.count = 3;
	request(0, &req);
	ck_assert(vg_ioreq_poll(server));
	ck_assert_uint_eq(take(0), first_config[6]);
	req.df = 1;
	request(0, &req);
	ck_assert(vg_ioreq_poll(server));
	ck_assert_uint_eq(take(0), first_config[2]);
	/* Downwards out of the range, and on where nobody is. */
	req.count = 1000;
	request(0, &req);
	ck_assert(vg_ioreq_poll(server));
	ck_assert_uint_eq(take(0), 0xff);
}
END_TEST

static struct ioreq hostile(int which)
{
	struct ioreq req = plain(BASE + REG_STATUS, 4, false, 1);

	switch (which) {
	case 0:
		req.size = 0;
		break;
	case 1:
		req.size = 3;
		break;
	case 2:
		req.size = 16;
		break;
	case 3:
		req.size = UINT32_MAX;
		break;
	case 4:
		req.count = 0;
		break;
	case 5:
		req.count = VG_PAGE_SIZE + 1;
		break;
	case 6:
		req.count = UINT32_MAX;
		break;
	case 7:
		req.data_is_ptr = 1;
		break;
	case 8:
		req.addr = BASE - 4;
		break;
	case 9:
		req.addr = BASE + VG_MMIO_SIZE;
		break;
	case 10:
		req.addr = BASE - 2; /* half in */
		break;
	case 11:
		req.addr = BASE + VG_MMIO_SIZE - 2; /* half out */
		break;
	case 12:
		req.addr = UINT64_MAX - 1;
		break;
	case 13:
		req.addr = 0;
		break;
	default:
		req.type = (uint8_t)(which - 14);
		if (req.type >= IOREQ_TYPE_COPY)
			req.type++;
	}
	return req;
}
#define HOSTILE (14 + 255)

START_TEST(hostile_requests_are_answered_and_do_nothing)
{
	struct ioreq req = hostile(_i);
	bool memory = req.type == IOREQ_TYPE_COPY && !req.data_is_ptr;

	request(0, &req);
	ck_assert(vg_ioreq_poll(server));
	ck_assert_uint_eq(take(0), 1); /* a write keeps its data */
	check_untouched();
	/* Xen sends INVALIDATE of its own accord: that is nobody's fault. */
	ck_assert_uint_eq(refused() > 0, req.type != IOREQ_TYPE_INVALIDATE);
	req.dir = IOREQ_READ;
	request(1, &req);
	ck_assert(vg_ioreq_poll(server));
	if (memory)
		ck_assert_uint_eq(take(1) & 0xff, 0xff);
	else
		ck_assert_uint_eq(take(1), 1);
	check_untouched();
	/* The neighbours and what else is in the slot stay as they are. */
	ck_assert_uint_eq(slot(0)->vp_eport, PORT(0));
	ck_assert_uint_eq(slot(1)->vp_eport, PORT(1));
	ck_assert_uint_eq(slot(1)->df, req.df);
	ck_assert_uint_eq(slot(1)->data_is_ptr, req.data_is_ptr);
	ck_assert_uint_eq(slot(1)->type, req.type);
	ck_assert_uint_eq(slot(2)->state, 0);
}
END_TEST

START_TEST(other_states_are_left_alone)
{
	for (unsigned int value = 0; value < 16; value++) {
		*slot(0) = plain(BASE + REG_STATUS, 4, false, 1);
		slot(0)->vp_eport = PORT(0);
		slot(0)->state = value & 15;
		ck_assert(vg_ioreq_poll(server) == (value == STATE_IOREQ_READY));
		if (value != STATE_IOREQ_READY)
			ck_assert_uint_eq(slot(0)->state, value);
	}
	slot(0)->state = STATE_IOREQ_NONE;
}
END_TEST

START_TEST(a_reset_holds_its_vcpu_only)
{
	struct ioreq req = plain(BASE + REG_STATUS, 4, false, 0);

	mmio_run(1, 16);
	toy.hold = true;
	ring_add(&ring[0], 0, 1);
	write_as(0, BASE + REG_QUEUE_NOTIFY, 4, 0);
	turn();
	request(0, &req);
	ck_assert(vg_ioreq_poll(server));
	ck_assert_uint_eq(slot(0)->state, STATE_IOREQ_INPROCESS);
	ck_assert(!vg_ioreq_poll(server));
	ck_assert_uint_eq(read_as(1, BASE + REG_STATUS, 4), RUNNING | NEEDS_RESET);
	drain();
	ck_assert_uint_eq(line.resets_done, 1);
	vg_ioreq_release(server, mmio);
	take(0);
	ck_assert_uint_eq(read_as(0, BASE + REG_STATUS, 4), 0);
}
END_TEST

/* ---- ranges ---- */

START_TEST(ranges_do_not_overlap)
{
	ck_assert_int_eq(vg_ioreq_add(server, BASE, mmio), -EEXIST);
	ck_assert_int_eq(vg_ioreq_add(server, BASE + VG_MMIO_SIZE - 1, mmio), -EEXIST);
	ck_assert_int_eq(vg_ioreq_add(server, BASE - VG_MMIO_SIZE + 1, mmio), -EEXIST);
	ck_assert_int_eq(vg_ioreq_add(server, UINT64_MAX - 1, mmio), -EINVAL);
	ck_assert_int_eq(vg_ioreq_add(server, BASE + VG_MMIO_SIZE, mmio), 0);
	for (unsigned int i = 2; i < VG_IOREQ_MAX_RANGES; i++)
		ck_assert_int_eq(vg_ioreq_add(server, BASE + i * VG_MMIO_SIZE, mmio), 0);
	ck_assert_int_eq(vg_ioreq_add(server, BASE - VG_MMIO_SIZE, mmio), -ENOSPC);
	vg_ioreq_remove(server, mmio, false);
	ck_assert(!fake_dm_range(0, BASE));
	ck_assert_uint_eq(read_as(0, BASE + REG_MAGIC, 4), UINT32_MAX);
	fake_fail(FAKE_RANGE, 0, 1, -EPERM);
	ck_assert_int_eq(vg_ioreq_add(server, BASE, mmio), -EPERM);
	ck_assert_uint_eq(read_as(0, BASE + REG_MAGIC, 4), UINT32_MAX);
}
END_TEST

/* ---- life ---- */

START_TEST(what_fails_leaves_nothing)
{
	static const enum fake_op ops[] = {FAKE_CREATE, FAKE_PAGE, FAKE_ENABLE};
	struct vg_ioreq_config config = ioreq_config(VG_IOREQ_NONE);
	struct vg_ioreq *other = NULL;

	vg_ioreq_close(server, true);
	fake_fail(ops[_i], 0, 1, -EACCES);
	ck_assert_int_eq(vg_ioreq_open(&config, &other), -EACCES);
	ck_assert(!fake_dm_server(0));
	ck_assert(!fake_dm_mapped());
	fake_dm_vcpus(VG_IOREQ_MAX_VCPUS + 1);
	ck_assert_int_eq(vg_ioreq_open(&config, &other), -E2BIG);
	fake_dm_vcpus(2);
	ck_assert(!fake_dm_server(0));
	open_server(VG_IOREQ_NONE);
	fake_fail(FAKE_BIND, 1, 1, -EINVAL);
	ck_assert_int_eq(vg_ioreq_start(server), -EINVAL);
}
END_TEST

START_TEST(a_vcpu_without_a_channel_is_none)
{
	vg_ioreq_close(server, true);
	open_server(VG_IOREQ_NONE);
	slot(1)->vp_eport = 0;
	ck_assert_int_eq(vg_ioreq_start(server), 0);
	ck_assert_uint_eq(fake_bound_ports(), 1);
}
END_TEST

/* What the process before us was at when it was killed. */
START_TEST(a_later_process_goes_on)
{
	struct ioreq status = plain(BASE + REG_STATUS, 4, false, VG_STATUS_ACKNOWLEDGE);
	struct ioreq read = plain(BASE + REG_VERSION, 4, true, 0);

	vg_ioreq_close(server, false);
	ck_assert(fake_dm_server(0));
	request(0, &status);
	request(1, &read);
	if (_i == 1)
		slot(0)->state = slot(1)->state = STATE_IOREQ_INPROCESS;
	if (_i == 2)
		slot(0)->state = slot(1)->state = STATE_IORESP_READY;
	open_server(0);
	ck_assert(vg_ioreq_adopted(server));
	ck_assert_int_eq(vg_ioreq_add(server, BASE, mmio), 0); /* Xen has the range */
	ck_assert_int_eq(vg_ioreq_start(server), 0);
	take(0);
	if (_i < 2)
		ck_assert_uint_eq(take(1), 2);
	ck_assert_uint_eq(state.status, _i < 2 ? VG_STATUS_ACKNOWLEDGE : 0);
	ck_assert_uint_eq(fake_notified(PORT(0)), 1);
	ck_assert_uint_eq(fake_notified(PORT(1)), 1);
	if (_i == 2)
		take(1);
	ck_assert_int_eq(vg_ioreq_start(server), 0);
}
END_TEST

START_TEST(what_is_not_there_yet_is_waited_for)
{
	struct ioreq req = plain(BASE + VG_MMIO_SIZE, 4, true, 0);
	struct ioreq invalidate = {.type = IOREQ_TYPE_INVALIDATE};

	ck_assert_int_eq(vg_ioreq_timeout(server, 1), -1);
	vg_ioreq_close(server, false);
	request(0, &req);
	request(1, &invalidate);
	open_server(0);
	ck_assert_int_eq(vg_ioreq_add(server, BASE, mmio), 0);
	ck_assert_int_eq(vg_ioreq_start(server), 0);
	take(1); /* that is for no device */
	ck_assert_uint_eq(slot(0)->state, STATE_IOREQ_READY);
	vg_ioreq_service(server, 100);
	ck_assert_int_eq(vg_ioreq_timeout(server, 100), 30000);
	if (_i == 0) {
		ck_assert_int_eq(vg_ioreq_add(server, BASE + VG_MMIO_SIZE, mmio), 0);
		ck_assert_uint_eq(take(0), 0x74726976);
		return;
	}
	vg_ioreq_service(server, 30099);
	ck_assert_uint_eq(slot(0)->state, STATE_IOREQ_READY);
	vg_ioreq_service(server, 30100);
	ck_assert_uint_eq(take(0), UINT32_MAX);
	ck_assert_int_eq(vg_ioreq_timeout(server, 30100), -1);
}
END_TEST

/* Two devices of which one goes first, and is to be there for a later process. */
START_TEST(what_is_kept_is_waited_for)
{
	struct ioreq req = plain(BASE + REG_STATUS, 4, false, VG_STATUS_ACKNOWLEDGE);

	vg_ioreq_remove(server, mmio, true);
	request(0, &req);
	ck_assert(!vg_ioreq_poll(server));
	ck_assert_uint_eq(read_as(1, BASE + VG_MMIO_SIZE, 4), UINT32_MAX);
	ck_assert_int_eq(vg_ioreq_add(server, BASE + 4, mmio), -EEXIST);
	vg_ioreq_close(server, false);
	ck_assert(fake_dm_range(0, BASE));
	open_server(0);
	ck_assert_int_eq(vg_ioreq_add(server, BASE, mmio), 0);
	ck_assert_int_eq(vg_ioreq_start(server), 0);
	take(0);
	ck_assert_uint_eq(state.status, VG_STATUS_ACKNOWLEDGE);
}
END_TEST

START_TEST(a_server_that_has_gone_is_made_anew)
{
	vg_ioreq_close(server, true);
	open_server(0);
	ck_assert(!vg_ioreq_adopted(server));
	ck_assert_uint_eq(vg_ioreq_id(server), 0);
	vg_ioreq_close(server, true);
	open_server(70000);
	ck_assert(!vg_ioreq_adopted(server));
}
END_TEST

/* The earlier process still has the channels. */
START_TEST(a_server_in_use_is_busy)
{
	struct vg_ioreq_config config = ioreq_config(0);
	struct vg_ioreq *second;

	ck_assert_int_eq(vg_ioreq_open(&config, &second), 0);
	ck_assert_int_eq(vg_ioreq_start(second), -EBUSY);
	vg_ioreq_close(second, false);
	ck_assert(fake_dm_server(0));
}
END_TEST

struct record {
	unsigned int calls;
	int answer;
};

static int created(void *opaque, uint16_t id)
{
	struct record *record = opaque;

	record->calls++;
	ck_assert_uint_eq(id, 0);
	ck_assert(!fake_dm_server(id)); /* not enabled */
	return record->answer;
}

START_TEST(a_new_server_is_kept_before_it_is_used)
{
	struct vg_ioreq_config config = ioreq_config(VG_IOREQ_NONE);
	struct record record = {.answer = -EIO};

	vg_ioreq_close(server, true);
	config.created = created;
	config.opaque = &record;
	ck_assert_int_eq(vg_ioreq_open(&config, &server), -EIO);
	ck_assert_uint_eq(record.calls, 1);
	record.answer = 0;
	ck_assert_int_eq(vg_ioreq_open(&config, &server), 0);
	ck_assert_uint_eq(record.calls, 2);
	ck_assert_uint_eq(vg_ioreq_id(server), 0); /* so the first one was destroyed */
	vg_ioreq_close(server, false);
	config.adopt = 0;
	ck_assert_int_eq(vg_ioreq_open(&config, &server), 0);
	ck_assert_uint_eq(record.calls, 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ioreq");
	TCase *tc = tcase_create("requests");

	tcase_add_checked_fixture(tc, set_up_server, tear_down_server);
	tcase_add_test(tc, registers_are_read_and_written);
	tcase_add_test(tc, every_width_is_served);
	tcase_add_test(tc, an_event_serves_its_vcpu);
	tcase_add_test(tc, repetitions_go_in_their_direction);
	tcase_add_loop_test(tc, hostile_requests_are_answered_and_do_nothing, 0, HOSTILE);
	tcase_add_test(tc, other_states_are_left_alone);
	tcase_add_test(tc, a_reset_holds_its_vcpu_only);
	tcase_add_test(tc, ranges_do_not_overlap);
	suite_add_tcase(s, tc);
	tc = tcase_create("life");
	tcase_add_checked_fixture(tc, set_up_server, tear_down_server);
	tcase_add_loop_test(tc, what_fails_leaves_nothing, 0, 3);
	tcase_add_test(tc, a_vcpu_without_a_channel_is_none);
	tcase_add_loop_test(tc, a_later_process_goes_on, 0, 3);
	tcase_add_loop_test(tc, what_is_not_there_yet_is_waited_for, 0, 2);
	tcase_add_test(tc, what_is_kept_is_waited_for);
	tcase_add_test(tc, a_server_that_has_gone_is_made_anew);
	tcase_add_test(tc, a_server_in_use_is_busy);
	tcase_add_test(tc, a_new_server_is_kept_before_it_is_used);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	return run_suite(suite());
}

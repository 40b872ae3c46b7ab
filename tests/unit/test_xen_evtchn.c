// SPDX-License-Identifier: MIT
/* The owner of the event-channel handle, against the simulated hypervisor. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <xenevtchn.h>

#include <vgrant/xen.h>

#include "sim_fixture.h"

#define NO_DOMAIN 99
#define WAIT_MS   30000

static struct vg_evtchn *evtchn;
static xenevtchn_handle *guest;

static void open_evtchn(void)
{
	sim_enter(SIM_GUEST);
	guest = xenevtchn_open(NULL, 0);
	ck_assert_ptr_nonnull(guest);
	sim_enter(SIM_BACKEND);
	ck_assert_int_eq(vg_evtchn_open(&sim_log, &evtchn), 0);
}

static void close_evtchn(void)
{
	sim_faults(SIM_BACKEND, "");
	vg_evtchn_close(evtchn);
	/* Closing unbinds. */
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "ports"), 0);
	ck_assert_int_eq(xenevtchn_close(guest), 0);
	ck_assert_uint_eq(sim_log_lines, 0);
}

static uint32_t offer(unsigned int domid)
{
	int port = xenevtchn_bind_unbound_port(guest, domid);

	ck_assert_int_gt(port, 0);
	return (uint32_t)port;
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, timeout_ms) == 1 && pfd.revents & POLLIN;
}

static void expect_event(int port)
{
	ck_assert(readable(vg_evtchn_fd(evtchn), WAIT_MS));
	ck_assert_int_eq(vg_evtchn_pending(evtchn), port);
}

static void expect_none(void)
{
	ck_assert(!readable(vg_evtchn_fd(evtchn), 0));
	ck_assert_int_eq(vg_evtchn_pending(evtchn), -EAGAIN);
}

/* Binds @remote and takes the event that Xen raises on binding. */
static int bind_quietly(uint32_t remote)
{
	int port = vg_evtchn_bind(evtchn, SIM_GUEST, remote);

	ck_assert_int_gt(port, 0);
	expect_event(port);
	ck_assert_int_eq(vg_evtchn_unmask(evtchn, port), 0);
	expect_none();
	return port;
}

START_TEST(the_handle_never_blocks)
{
	ck_assert(fcntl(vg_evtchn_fd(evtchn), F_GETFL) & O_NONBLOCK);
	expect_none();
}
END_TEST

START_TEST(an_event_is_pending_once_and_masked_until_unmasked)
{
	uint32_t remote = offer(SIM_BACKEND);
	int port = bind_quietly(remote);

	ck_assert_int_eq(xenevtchn_notify(guest, remote), 0);
	expect_event(port);
	expect_none();

	/* Masked: events are kept, and are one. */
	ck_assert_int_eq(xenevtchn_notify(guest, remote), 0);
	ck_assert_int_eq(xenevtchn_notify(guest, remote), 0);
	expect_none();
	ck_assert_int_eq(vg_evtchn_unmask(evtchn, port), 0);
	expect_event(port);
	expect_none();
	ck_assert_int_eq(vg_evtchn_unmask(evtchn, port), 0);
	expect_none();
}
END_TEST

START_TEST(several_ports_are_told_apart)
{
	uint32_t remote[3];
	int port[3];
	unsigned int seen = 0;

	for (int i = 0; i < 3; i++) {
		remote[i] = offer(SIM_BACKEND);
		port[i] = bind_quietly(remote[i]);
	}
	ck_assert_int_eq(xenevtchn_notify(guest, remote[2]), 0);
	ck_assert_int_eq(xenevtchn_notify(guest, remote[0]), 0);
	for (int n = 0; n < 2; n++) {
		int got;

		ck_assert(readable(vg_evtchn_fd(evtchn), WAIT_MS));
		got = vg_evtchn_pending(evtchn);
		for (int i = 0; i < 3; i++)
			seen |= got == port[i] ? 1u << i : 0;
	}
	ck_assert_uint_eq(seen, 5);
	expect_none();
}
END_TEST

START_TEST(notify_reaches_the_peer)
{
	uint32_t remote = offer(SIM_BACKEND);
	int port = bind_quietly(remote);

	ck_assert(!readable(xenevtchn_fd(guest), 0));
	ck_assert_int_eq(vg_evtchn_notify(evtchn, port), 0);
	ck_assert(readable(xenevtchn_fd(guest), WAIT_MS));
	ck_assert_int_eq(xenevtchn_pending(guest), (int)remote);
}
END_TEST

START_TEST(only_what_was_offered_to_us_can_be_bound)
{
	uint32_t ours = offer(SIM_BACKEND), others = offer(SIM_OTHER);

	ck_assert_int_eq(vg_evtchn_bind(evtchn, SIM_GUEST, others), -EINVAL);
	ck_assert_int_eq(vg_evtchn_bind(evtchn, SIM_GUEST, 0), -EINVAL);
	ck_assert_int_eq(vg_evtchn_bind(evtchn, SIM_GUEST, 1000), -EINVAL);
	ck_assert_int_eq(vg_evtchn_bind(evtchn, SIM_GUEST, UINT32_MAX), -EINVAL);
	ck_assert_int_eq(vg_evtchn_bind(evtchn, SIM_OTHER, ours), -EINVAL);
	ck_assert_int_eq(vg_evtchn_bind(evtchn, NO_DOMAIN, ours), -ESRCH);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "ports"), 0);
	bind_quietly(ours);
	/* An offer is good for one. */
	ck_assert_int_eq(vg_evtchn_bind(evtchn, SIM_GUEST, ours), -EINVAL);
}
END_TEST

START_TEST(a_restricted_handle_binds_its_guest_only)
{
	uint32_t before = offer(SIM_BACKEND), after = offer(SIM_BACKEND);
	int port = bind_quietly(before);

	ck_assert_int_eq(vg_evtchn_restrict(evtchn, SIM_GUEST), 0);
	bind_quietly(after);
	ck_assert_int_eq(vg_evtchn_bind(evtchn, SIM_OTHER, 1), -EACCES);
	ck_assert_int_lt(vg_evtchn_restrict(evtchn, SIM_OTHER), 0);
	ck_assert_int_eq(vg_evtchn_bind(evtchn, SIM_OTHER, 1), -EACCES);
	/* What was bound goes on working. */
	ck_assert_int_eq(vg_evtchn_notify(evtchn, port), 0);
}
END_TEST

START_TEST(a_kernel_that_cannot_restrict_is_recognised)
{
	sim_faults(SIM_BACKEND, "restrict:errno=25"); /* ENOTTY */
	ck_assert_int_eq(vg_evtchn_restrict(evtchn, SIM_GUEST), -EOPNOTSUPP);
	sim_faults(SIM_BACKEND, "restrict:errno=ENOSYS");
	ck_assert_int_eq(vg_evtchn_restrict(evtchn, SIM_GUEST), -EOPNOTSUPP);
	sim_faults(SIM_BACKEND, "restrict:errno=EACCES");
	ck_assert_int_eq(vg_evtchn_restrict(evtchn, SIM_GUEST), -EACCES);
}
END_TEST

START_TEST(unbind_lets_go_and_the_port_is_not_ours_any_more)
{
	uint32_t remote = offer(SIM_BACKEND);
	int port = bind_quietly(remote);

	vg_evtchn_unbind(evtchn, port);
	ck_assert_uint_eq(sim_number(SIM_BACKEND, "ports"), 0);
	ck_assert_int_lt(vg_evtchn_notify(evtchn, port), 0);
	vg_evtchn_unbind(evtchn, port);
	ck_assert_int_eq(xenevtchn_notify(guest, remote), 0);
	expect_none();
}
END_TEST

START_TEST(a_peer_that_has_gone_is_survived)
{
	int port = bind_quietly(offer(SIM_BACKEND));

	ck_assert_int_eq(xenevtchn_close(guest), 0);
	ck_assert_int_le(vg_evtchn_notify(evtchn, port), 0);
	ck_assert_int_eq(vg_evtchn_unmask(evtchn, port), 0);
	vg_evtchn_unbind(evtchn, port);
	sim_enter(SIM_GUEST);
	guest = xenevtchn_open(NULL, 0);
	ck_assert_ptr_nonnull(guest);
}
END_TEST

START_TEST(the_domains_ports_are_a_limit)
{
	struct vg_evtchn *small;
	int ports[SIM_OTHER_MAX];

	sim_enter(SIM_OTHER);
	ck_assert_int_eq(vg_evtchn_open(&sim_log, &small), 0);
	for (int i = 0; i < SIM_OTHER_MAX; i++) {
		ports[i] = vg_evtchn_bind(small, SIM_GUEST, offer(SIM_OTHER));
		ck_assert_int_gt(ports[i], 0);
	}
	ck_assert_int_eq(vg_evtchn_bind(small, SIM_GUEST, offer(SIM_OTHER)), -ENOSPC);
	vg_evtchn_unbind(small, ports[0]);
	ck_assert_int_gt(vg_evtchn_bind(small, SIM_GUEST, offer(SIM_OTHER)), 0);
	vg_evtchn_close(small);
	ck_assert_uint_eq(sim_number(SIM_OTHER, "ports"), 0);
}
END_TEST

START_TEST(a_call_that_fails_has_its_errno)
{
	uint32_t remote = offer(SIM_BACKEND);
	int port = bind_quietly(remote);

	sim_faults(SIM_BACKEND, "bind:errno=ENOMEM,notify:errno=EIO,pending:errno=EIO,"
				"unmask:errno=ENOSPC");
	ck_assert_int_eq(vg_evtchn_bind(evtchn, SIM_GUEST, offer(SIM_BACKEND)), -ENOMEM);
	ck_assert_int_eq(vg_evtchn_notify(evtchn, port), -EIO);
	ck_assert_int_eq(vg_evtchn_pending(evtchn), -EIO);
	ck_assert_int_eq(vg_evtchn_unmask(evtchn, port), -ENOSPC);
}
END_TEST

static int tests(void)
{
	Suite *suite = suite_create("event-channel handle");
	TCase *tc = tcase_create("event channels");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, open_evtchn, close_evtchn);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, the_handle_never_blocks);
	tcase_add_test(tc, an_event_is_pending_once_and_masked_until_unmasked);
	tcase_add_test(tc, several_ports_are_told_apart);
	tcase_add_test(tc, notify_reaches_the_peer);
	tcase_add_test(tc, only_what_was_offered_to_us_can_be_bound);
	tcase_add_test(tc, a_restricted_handle_binds_its_guest_only);
	tcase_add_test(tc, a_kernel_that_cannot_restrict_is_recognised);
	tcase_add_test(tc, unbind_lets_go_and_the_port_is_not_ours_any_more);
	tcase_add_test(tc, a_peer_that_has_gone_is_survived);
	tcase_add_test(tc, the_domains_ports_are_a_limit);
	tcase_add_test(tc, a_call_that_fails_has_its_errno);
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

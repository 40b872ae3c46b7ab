// SPDX-License-Identifier: MIT
/* Event channels, with the semantics of Xen and of Linux's /dev/xen/evtchn. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "harness.h"

#define QUIET_MS 50 /* long enough to believe that nothing comes */

static xenevtchn_handle *guest, *drv;
static evtchn_port_t gport, dport;

static void setup(void)
{
	static const char *const domains[] = {"1,name=drv", "2,name=guest", "3,ports=4", NULL};
	int port;

	sim_start(domains);
	guest = sim_evtchn(2);
	drv = sim_evtchn(1);
	port = xenevtchn_bind_unbound_port(guest, 1);
	ck_assert_int_gt(port, 0);
	gport = (evtchn_port_t)port;
	port = xenevtchn_bind_interdomain(drv, 2, gport);
	ck_assert_int_gt(port, 0);
	dport = (evtchn_port_t)port;
}

static void teardown(void)
{
	xenevtchn_close(guest);
	xenevtchn_close(drv);
	ck_assert_int_eq(sim_value("dump", 1, "ports"), 0);
	ck_assert_int_eq(sim_value("dump", 2, "ports"), 0);
	ck_assert_int_eq(sim_value("dump", 2, "handles"), 0);
	sim_stop();
}

static void expect(xenevtchn_handle *xce, evtchn_port_t port)
{
	ck_assert(sim_readable(xenevtchn_fd(xce), WAIT_MS));
	ck_assert_int_eq(xenevtchn_pending(xce), (int)port);
}

static void expect_nothing(xenevtchn_handle *xce)
{
	ck_assert(!sim_readable(xenevtchn_fd(xce), QUIET_MS));
}

/* Take the event that binding brings. */
static void drain(void)
{
	expect(drv, dport);
	ck_assert_int_eq(xenevtchn_unmask(drv, dport), 0);
}

START_TEST(binding_raises_the_binder_once)
{
	drain();
	expect_nothing(drv);
	expect_nothing(guest);
}
END_TEST

START_TEST(both_directions)
{
	drain();
	ck_assert_int_eq(xenevtchn_notify(drv, dport), 0);
	expect(guest, gport);
	ck_assert_int_eq(xenevtchn_unmask(guest, gport), 0);
	ck_assert_int_eq(xenevtchn_notify(guest, gport), 0);
	expect(drv, dport);
}
END_TEST

START_TEST(a_delivered_port_is_masked_until_unmasked)
{
	drain();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(xenevtchn_notify(guest, gport), 0);
	expect(drv, dport);
	expect_nothing(drv); /* the other two are one event, held back */
	ck_assert_int_eq(xenevtchn_unmask(drv, dport), 0);
	expect(drv, dport);
	ck_assert_int_eq(xenevtchn_unmask(drv, dport), 0);
	expect_nothing(drv);
	ck_assert_int_eq(xenevtchn_unmask(drv, dport), 0); /* once too often does no harm */
	expect_nothing(drv);
	ck_assert_int_eq(xenevtchn_notify(guest, gport), 0);
	expect(drv, dport);
}
END_TEST

START_TEST(reading_does_not_block_if_told_so)
{
	int fd = xenevtchn_fd(drv);

	drain();
	ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
	errno = 0;
	ck_assert_int_eq(xenevtchn_pending(drv), -1);
	ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(ports_belong_to_their_handle)
{
	xenevtchn_handle *same = sim_evtchn(1);

	errno = 0;
	ck_assert_int_eq(xenevtchn_notify(same, dport), -1);
	ck_assert_int_eq(errno, ENOTCONN);
	errno = 0;
	ck_assert_int_eq(xenevtchn_unbind(same, dport), -1);
	ck_assert_int_eq(errno, ENOTCONN);
	ck_assert_int_eq(xenevtchn_notify(drv, 700), -1);
	ck_assert_int_eq(xenevtchn_unmask(same, dport), 0); /* silently nothing, as on Linux */
	xenevtchn_close(same);
}
END_TEST

START_TEST(binding_errors)
{
	xenevtchn_handle *other = sim_evtchn(3);
	static const struct {
		uint32_t domid, port;
		int err;
	} bad[] = {{77, 1, ESRCH}, {2, 900, EINVAL}, {2, 0, EINVAL}, {2, 5000, EINVAL}};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		ck_assert_int_eq(xenevtchn_bind_interdomain(drv, bad[i].domid, bad[i].port), -1);
		ck_assert_int_eq(errno, bad[i].err);
	}
	/* bound already; and meant for another domain */
	ck_assert_int_eq(xenevtchn_bind_interdomain(drv, 2, gport), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(xenevtchn_bind_interdomain(other, 2, gport), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(xenevtchn_bind_virq(drv, 0), -1);
	ck_assert_int_eq(errno, ENOSYS);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_int_gt(xenevtchn_bind_unbound_port(other, 1), 0);
	ck_assert_int_eq(xenevtchn_bind_unbound_port(other, 1), -1);
	ck_assert_int_eq(errno, ENOSPC);
	xenevtchn_close(other);
}
END_TEST

START_TEST(a_dead_peer_is_silent_and_can_come_back)
{
	int port;

	drain();
	xenevtchn_close(drv);
	expect_nothing(guest);
	ck_assert_int_eq(xenevtchn_notify(guest, gport), 0);
	drv = sim_evtchn(1);
	port = xenevtchn_bind_interdomain(drv, 2, gport);
	ck_assert_int_gt(port, 0);
	dport = (evtchn_port_t)port;
	drain();
	ck_assert_int_eq(xenevtchn_notify(drv, dport), 0);
	expect(guest, gport);
	ck_assert_int_eq(xenevtchn_unbind(guest, gport), 0);
	ck_assert_int_eq(xenevtchn_notify(drv, dport), 0);
	ck_assert_int_eq(xenevtchn_notify(guest, gport), -1);
	ck_assert_int_eq(errno, ENOTCONN);
}
END_TEST

START_TEST(a_destroyed_domain_is_silent)
{
	drain();
	ck_assert_ptr_nonnull(sim_ctl("destroy 2"));
	expect_nothing(drv);
	ck_assert_int_eq(xenevtchn_notify(drv, dport), 0);
	ck_assert_str_eq(sim_ctl("create id=2"), "2\n"); /* teardown looks at it */
}
END_TEST

START_TEST(restrict_to_one_domain)
{
	int port = xenevtchn_bind_unbound_port(drv, 3);

	ck_assert_int_gt(port, 0);
	ck_assert_int_eq(xenevtchn_restrict(drv, 0), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(xenevtchn_restrict(drv, 2), 0);
	errno = 0;
	ck_assert_int_eq(xenevtchn_bind_unbound_port(drv, 3), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(xenevtchn_bind_interdomain(drv, 3, 1), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(xenevtchn_restrict(drv, 3), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_gt(xenevtchn_bind_unbound_port(drv, 2), 0);
	drain();
	ck_assert_int_eq(xenevtchn_notify(drv, dport), 0); /* what was bound stays */
	expect(guest, gport);
}
END_TEST

#define ROUNDS 20000u

static _Atomic uint32_t said, heard;

/* Says a number, then notifies: whoever is woken must find the number, whenever it unmasks. */
static void *talk(void *arg)
{
	(void)arg;
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		atomic_store(&said, i);
		if (xenevtchn_notify(guest, gport))
			break;
		while (i % 64 == 0 && atomic_load(&heard) != i)
			sched_yield();
	}
	return NULL;
}

START_TEST(no_wakeup_is_lost)
{
	pthread_t t;

	drain();
	atomic_store(&said, 0);
	atomic_store(&heard, 0);
	ck_assert_int_eq(pthread_create(&t, NULL, talk, NULL), 0);
	while (atomic_load(&heard) != ROUNDS) {
		ck_assert_msg(sim_readable(xenevtchn_fd(drv), WAIT_MS), "lost a wake-up at %u",
			      atomic_load(&said));
		ck_assert_int_eq(xenevtchn_pending(drv), (int)dport);
		ck_assert_int_eq(xenevtchn_unmask(drv, dport), 0);
		atomic_store(&heard, atomic_load(&said)); /* read after the unmask */
	}
	pthread_join(t, NULL);
}
END_TEST

START_TEST(many_ports_of_one_handle)
{
	evtchn_port_t g[256], d[256];
	uint32_t seen = 0;
	int port;

	drain();
	for (unsigned int i = 0; i < 256; i++) {
		port = xenevtchn_bind_unbound_port(guest, 1);
		ck_assert_int_gt(port, 0);
		g[i] = (evtchn_port_t)port;
		port = xenevtchn_bind_interdomain(drv, 2, g[i]);
		ck_assert_int_gt(port, 0);
		d[i] = (evtchn_port_t)port;
		expect(drv, d[i]);
		ck_assert_int_eq(xenevtchn_unmask(drv, d[i]), 0);
	}
	for (unsigned int k = 0; k < 2; k++) {
		for (unsigned int i = 0; i < 256; i++)
			ck_assert_int_eq(xenevtchn_notify(guest, g[i]), 0);
	}
	while (sim_readable(xenevtchn_fd(drv), QUIET_MS)) {
		port = xenevtchn_pending(drv);
		ck_assert_int_eq(port, (int)d[seen % 256]); /* in the order they were sent */
		ck_assert_int_eq(xenevtchn_unmask(drv, (evtchn_port_t)port), 0);
		seen++;
	}
	ck_assert_uint_eq(seen, 512);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("evtchn");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, binding_raises_the_binder_once);
	tcase_add_test(t, both_directions);
	tcase_add_test(t, a_delivered_port_is_masked_until_unmasked);
	tcase_add_test(t, reading_does_not_block_if_told_so);
	tcase_add_test(t, ports_belong_to_their_handle);
	tcase_add_test(t, binding_errors);
	tcase_add_test(t, a_dead_peer_is_silent_and_can_come_back);
	tcase_add_test(t, a_destroyed_domain_is_silent);
	tcase_add_test(t, restrict_to_one_domain);
	tcase_add_test(t, no_wakeup_is_lost);
	tcase_add_test(t, many_ports_of_one_handle);
	return sim_run_suite("sim-evtchn", &t, 1);
}

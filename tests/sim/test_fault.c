// SPDX-License-Identifier: MIT
/* Fault rules: their syntax, and that each does what the README says. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "common/fault.h"
#include "harness.h"

#define N  8u
#define RW (PROT_READ | PROT_WRITE)

static xengntshr_handle *guest;
static uint32_t ref[N];
static char *page;

static void setup(void)
{
	static const char *const domains[] = {"1,name=drv", "2,name=guest", NULL};

	sim_start(domains);
	guest = sim_gntshr(2);
	page = xengntshr_share_pages(guest, 1, N, ref, 1);
	ck_assert_ptr_nonnull(page);
}

static void teardown(void)
{
	xengntshr_close(guest);
	sim_stop();
}

static xengnttab_handle *with_rules(const char *rules)
{
	xengnttab_handle *t;

	setenv("XENSIM_FAULT", rules, 1);
	t = sim_gnttab(1);
	unsetenv("XENSIM_FAULT");
	return t;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

START_TEST(syntax)
{
	static const char *const good[] = {
		"",
		"map:errno=EINVAL",
		"map:errno=22",
		"notify:drop,pending:late=5",
		"grant_copy:status=-1:after=3:count=2;unmap:defer=10",
		"map:short map:eagain",
		"map:errno=EIO:prob=50",
	};
	static const char *const bad[] = {
		"map",
		"map:",
		"map:errno=NONSENSE",
		"map:errno=0",
		"map:errno=",
		"map:what",
		"map:after=1",
		"grant_copy:status=1",
		"map:errno=EIO:prob=101",
		"map:late=-1",
		"map:late=99999999",
		"a-name-that-is-much-too-long:drop",
		":drop",
	};
	struct sim_fault_set set;
	char why[160];

	for (unsigned int i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_int_eq(sim_fault_parse(&set, good[i], why, sizeof(why)), 0);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(sim_fault_parse(&set, bad[i], why, sizeof(why)) == -EINVAL, "%s",
			      bad[i]);
		ck_assert_uint_eq(set.n, 0);
	}
	ck_assert_ptr_null(sim_ctl("fault 1 map:what"));
	ck_assert_ptr_null(sim_ctl("fault 9 map:short"));
}
END_TEST

START_TEST(probability_is_repeatable)
{
	struct sim_fault_set a, b;
	unsigned int hits = 0;
	char why[160];

	ck_assert_int_eq(sim_fault_parse(&a, "map:errno=EIO:prob=30", why, sizeof(why)), 0);
	b = a;
	for (unsigned int i = 0; i < 1000; i++) {
		bool hit = sim_fault_hit(&a, "map", false);

		ck_assert(hit == !!sim_fault_hit(&b, "map", false));
		hits += hit;
	}
	ck_assert_uint_gt(hits, 200);
	ck_assert_uint_lt(hits, 400);
}
END_TEST

START_TEST(map_and_unmap)
{
	xengnttab_handle *t = with_rules("map:errno=ENOMEM:count=1,map:short:count=1,"
					 "map:eagain:count=3,unmap:errno=EINVAL:count=1");
	void *m;

	errno = 0;
	ck_assert_ptr_null(xengnttab_map_domain_grant_refs(t, N, 2, ref, RW));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_ptr_null(xengnttab_map_domain_grant_refs(t, N, 2, ref, RW));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(sim_value("dump", 1, "maptrack"), 0);
	m = xengnttab_map_domain_grant_refs(t, N, 2, ref, RW); /* waits, then succeeds */
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(xengnttab_unmap(t, m, N), -1);
	ck_assert_int_eq(xengnttab_unmap(t, m, N), 0);
	xengnttab_close(t);
}
END_TEST

START_TEST(a_deferred_unmap_keeps_the_page_in_use)
{
	xengnttab_handle *t = with_rules("unmap:defer=400:count=1");
	void *m = xengnttab_map_domain_grant_refs(t, N, 2, ref, RW);

	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(xengnttab_unmap(t, m, N), 0);
	/* only as long as the time has not run out, which a busy machine may see to */
	if (xensim_in_use(guest, ref[0]))
		ck_assert_int_eq(sim_value("stats", 1, "unmap"), 1);
	sim_wait_value(2, "in_use", 0);
	ck_assert_int_eq(xensim_end_access(guest, ref[0]), 0);
	ck_assert_int_eq(
		xensim_grant_access(guest, ref[0], 1, (uint64_t)xensim_gfn(guest, page), 0), 0);
	/* and beyond the end of the process */
	xengnttab_close(t);
	t = with_rules("unmap:defer=60000");
	m = xengnttab_map_domain_grant_refs(t, N, 2, ref, RW);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(xengnttab_unmap(t, m, N), 0);
	ck_assert_int_eq(xensim_end_access(guest, ref[0]), -EBUSY);
	xengnttab_close(t);
	ck_assert_int_eq(xensim_end_access(guest, ref[0]), -EBUSY);
	ck_assert_int_eq(sim_value("dump", 1, "maptrack"), N);
}
END_TEST

START_TEST(copies)
{
	xengnttab_handle *t = with_rules("grant_copy:status=-12:after=1:count=2,"
					 "grant_copy:errno=EIO:after=4:count=1,"
					 "grant_copy:short:after=4:count=1");
	xengnttab_grant_copy_segment_t seg = {.len = 1, .flags = GNTCOPY_source_gref};
	char buf[8] = "zzzzzz";

	sim_text(page, "abcdef");
	ck_assert_int_eq(sim_copy_from(t, 2, ref[0], 0, buf, 1), GNTST_okay);
	ck_assert_int_eq(sim_copy_from(t, 2, ref[0], 0, buf + 1, 1), GNTST_eagain);
	ck_assert_int_eq(buf[1], 'z');
	ck_assert_int_eq(sim_copy_from(t, 2, ref[0], 0, buf + 1, 1), GNTST_eagain);
	ck_assert_int_eq(sim_copy_from(t, 2, ref[0], 0, buf + 1, 1), GNTST_okay);
	seg.source.foreign.ref = ref[0];
	seg.source.foreign.domid = 2;
	seg.dest.virt = buf;
	errno = 0;
	ck_assert_int_eq(xengnttab_grant_copy(t, 1, &seg), -1);
	ck_assert_int_eq(errno, EIO);
	ck_assert_int_eq(sim_copy_from(t, 2, ref[0], 0, buf, 6), GNTST_general_error);
	ck_assert_mem_eq(buf, "abczzz", 6);
	ck_assert_int_eq(sim_copy_from(t, 2, ref[0], 0, buf, 6), GNTST_okay);
	xengnttab_close(t);
}
END_TEST

START_TEST(events)
{
	xenevtchn_handle *g = sim_evtchn(2), *d;
	int gp = xenevtchn_bind_unbound_port(g, 1), dp;
	uint64_t before;

	setenv("XENSIM_FAULT",
	       "bind:errno=ENOSPC:count=1,notify:drop:count=1,notify:errno=EIO:count=1,"
	       "pending:late=100:count=1,unmask:errno=EIO:count=1",
	       1);
	d = sim_evtchn(1);
	unsetenv("XENSIM_FAULT");
	ck_assert_int_eq(xenevtchn_bind_interdomain(d, 2, (evtchn_port_t)gp), -1);
	ck_assert_int_eq(errno, ENOSPC);
	dp = xenevtchn_bind_interdomain(d, 2, (evtchn_port_t)gp);
	ck_assert_int_gt(dp, 0);
	ck_assert_int_eq(xenevtchn_notify(d, (evtchn_port_t)dp), 0);
	ck_assert(!sim_readable(xenevtchn_fd(g), 50));
	ck_assert_int_eq(xenevtchn_notify(d, (evtchn_port_t)dp), -1);
	ck_assert_int_eq(errno, EIO);
	ck_assert_int_eq(xenevtchn_notify(d, (evtchn_port_t)dp), 0);
	ck_assert(sim_readable(xenevtchn_fd(g), WAIT_MS));
	before = now_ms();
	ck_assert_int_eq(xenevtchn_pending(d), dp);
	ck_assert_uint_ge(now_ms() - before, 99);
	ck_assert_int_eq(xenevtchn_unmask(d, (evtchn_port_t)dp), -1);
	ck_assert_int_eq(xenevtchn_unmask(d, (evtchn_port_t)dp), 0);
	xenevtchn_close(g);
	xenevtchn_close(d);
}
END_TEST

START_TEST(rules_reach_a_running_process)
{
	xengnttab_handle *t = sim_gnttab(1);
	void *m;

	ck_assert_ptr_nonnull(sim_ctl("fault 1 map:errno=EIO"));
	errno = 0;
	ck_assert_ptr_null(xengnttab_map_grant_ref(t, 2, ref[0], RW));
	ck_assert_int_eq(errno, EIO);
	ck_assert_ptr_nonnull(sim_ctl("fault 1 clear"));
	m = xengnttab_map_grant_ref(t, 2, ref[0], RW);
	ck_assert_ptr_nonnull(m);
	/* the other side's calls, too */
	ck_assert_ptr_nonnull(sim_ctl("fault 2 end_access:errno=EBUSY:count=1,share:errno=ENOMEM"));
	ck_assert_int_eq(xengnttab_unmap(t, m, 1), 0);
	ck_assert_int_eq(xensim_end_access(guest, ref[0]), -EBUSY);
	ck_assert_int_eq(xensim_end_access(guest, ref[0]), 0);
	ck_assert_ptr_null(xengntshr_share_pages(guest, 1, 1, ref, 1));
	ck_assert_int_eq(errno, ENOMEM);
	xengnttab_close(t);
	ck_assert_ptr_nonnull(sim_ctl("fault 1 open:errno=ENODEV"));
	sim_enter(1);
	ck_assert_ptr_null(xengnttab_open(NULL, 0));
	ck_assert_int_eq(errno, ENODEV);
	ck_assert_ptr_null(xenevtchn_open(NULL, 0));
	ck_assert_ptr_null(xengntshr_open(NULL, 0));
	ck_assert_int_eq(sim_value("dump", 1, "handles"), 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("fault");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, syntax);
	tcase_add_test(t, probability_is_repeatable);
	tcase_add_test(t, map_and_unmap);
	tcase_add_test(t, a_deferred_unmap_keeps_the_page_in_use);
	tcase_add_test(t, copies);
	tcase_add_test(t, events);
	tcase_add_test(t, rules_reach_a_running_process);
	return sim_run_suite("sim-fault", &t, 1);
}

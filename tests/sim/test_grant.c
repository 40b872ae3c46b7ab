// SPDX-License-Identifier: MIT
/* Grants: mapping, copying, ending, by the rules and with the answers of real Xen. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xendevicemodel.h>

#include "harness.h"

#define PAGE 4096u
#define N    16u
#define RW   (PROT_READ | PROT_WRITE)

static xengntshr_handle *guest;
static xengnttab_handle *drv;
static uint32_t ref[N];
static char *page;

static void setup(void)
{
	static const char *const domains[] = {"1,name=drv", "2,name=guest", "3,name=other", NULL};

	sim_start(domains);
	guest = sim_gntshr(2);
	drv = sim_gnttab(1);
	page = xengntshr_share_pages(guest, 1, N, ref, 1);
	ck_assert_ptr_nonnull(page);
	for (unsigned int i = 0; i < N; i++)
		snprintf(page + (size_t)i * PAGE, PAGE, "page %u", i);
}

static void teardown(void)
{
	xengnttab_close(drv);
	xengntshr_close(guest);
	ck_assert_int_eq(sim_value("dump", 1, "maptrack"), 0);
	ck_assert_int_eq(sim_value("dump", 1, "handles"), 0);
	sim_stop();
}

START_TEST(map_sees_the_page_itself)
{
	char *m = xengnttab_map_domain_grant_refs(drv, N, 2, ref, RW);

	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(m, "page 0");
	ck_assert_str_eq(m + (size_t)15 * PAGE, "page 15");
	sim_text(m + PAGE, "from the driver domain");
	ck_assert_str_eq(page + PAGE, "from the driver domain");
	sim_text(page, "from the guest");
	ck_assert_str_eq(m, "from the guest");
	ck_assert_int_eq(sim_value("dump", 2, "in_use"), N);
	ck_assert_int_eq(sim_value("dump", 1, "maptrack"), N);
	ck_assert_int_eq(xengnttab_unmap(drv, m, N), 0);
	ck_assert_int_eq(sim_value("dump", 2, "in_use"), 0);
	ck_assert_int_eq(sim_value("dump", 2, "grants"), N);
	ck_assert_int_eq(sim_value("stats", 1, "map_pages"), N);
}
END_TEST

START_TEST(map_order_is_the_callers)
{
	uint32_t back[N], domids[N];
	char *m, text[16];

	for (unsigned int i = 0; i < N; i++) {
		back[i] = ref[N - 1 - i];
		domids[i] = 2;
	}
	m = xengnttab_map_grant_refs(drv, N, domids, back, PROT_READ);
	ck_assert_ptr_nonnull(m);
	for (unsigned int i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "page %u", N - 1 - i);
		ck_assert_str_eq(m + (size_t)i * PAGE, text);
	}
	ck_assert_int_eq(xengnttab_unmap(drv, m, N), 0);
}
END_TEST

START_TEST(map_failure_is_einval_and_unwound)
{
	uint32_t some[3] = {ref[0], 500, ref[2]};

	errno = 0;
	ck_assert_ptr_null(xengnttab_map_domain_grant_refs(drv, 3, 2, some, RW));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(sim_value("dump", 2, "in_use"), 0);
	ck_assert_int_eq(sim_value("dump", 1, "maptrack"), 0);
	for (unsigned int i = 0; i < 4; i++) {
		static const uint32_t bad[4] = {0, 500, 40000, 1000000};

		errno = 0;
		ck_assert_ptr_null(xengnttab_map_grant_ref(drv, 2, bad[i], PROT_READ));
		ck_assert_int_eq(errno, EINVAL);
	}
	errno = 0;
	ck_assert_ptr_null(xengnttab_map_grant_ref(drv, 77, ref[0], PROT_READ));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(xengnttab_map_domain_grant_refs(drv, 0, 2, ref, PROT_READ));
}
END_TEST

START_TEST(a_grant_is_for_one_domain)
{
	xengnttab_handle *other = sim_gnttab(3);
	char c;

	ck_assert_ptr_null(xengnttab_map_grant_ref(other, 2, ref[0], PROT_READ));
	ck_assert_int_eq(sim_copy_from(other, 2, ref[0], 0, &c, 1), GNTST_general_error);
	xengnttab_close(other);
}
END_TEST

START_TEST(read_only_grant)
{
	uint32_t r;
	char *p = xengntshr_share_pages(guest, 1, 1, &r, 0);
	char *m, buf[8];

	ck_assert_ptr_nonnull(p);
	sim_text(p, "ro");
	errno = 0;
	ck_assert_ptr_null(xengnttab_map_grant_ref(drv, 2, r, RW));
	ck_assert_int_eq(errno, EINVAL);
	m = xengnttab_map_grant_ref(drv, 2, r, PROT_READ);
	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(m, "ro");
	ck_assert_int_eq(sim_copy_to(drv, 2, r, 0, "x", 1), GNTST_general_error);
	ck_assert_int_eq(sim_copy_from(drv, 2, r, 0, buf, 3), GNTST_okay);
	ck_assert_str_eq(buf, "ro");
	ck_assert_int_eq(xengnttab_unmap(drv, m, 1), 0);
}
END_TEST

START_TEST(copy_and_its_statuses)
{
	xengnttab_grant_copy_segment_t seg = {.len = 8, .flags = 0};
	char buf[2 * PAGE];

	ck_assert_int_eq(sim_copy_from(drv, 2, ref[3], 0, buf, 7), GNTST_okay);
	ck_assert_str_eq(buf, "page 3");
	ck_assert_int_eq(sim_copy_to(drv, 2, ref[4], 4090, "end of", 6), GNTST_okay);
	ck_assert_mem_eq(page + (size_t)4 * PAGE + 4090, "end of", 6);
	ck_assert_int_eq(sim_copy_from(drv, 2, 500, 0, buf, 1), GNTST_general_error);
	ck_assert_int_eq(sim_copy_from(drv, 2, 32768, 0, buf, 1), GNTST_bad_gntref);
	ck_assert_int_eq(sim_copy_from(drv, 77, ref[0], 0, buf, 1), GNTST_bad_domain);
	/* local to local, and past the page's end: refused as a call */
	errno = 0;
	ck_assert_int_eq(xengnttab_grant_copy(drv, 1, &seg), -1);
	ck_assert_int_eq(errno, EINVAL);
	seg.flags = GNTCOPY_source_gref;
	seg.source.foreign.ref = ref[0];
	seg.source.foreign.domid = 2;
	seg.source.foreign.offset = 4090;
	seg.dest.virt = buf;
	ck_assert_int_eq(xengnttab_grant_copy(drv, 1, &seg), -1);
	/* between two grants */
	seg.flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
	seg.source.foreign.offset = 0;
	seg.dest.foreign.ref = ref[5];
	seg.dest.foreign.domid = 2;
	seg.dest.foreign.offset = 0;
	ck_assert_int_eq(xengnttab_grant_copy(drv, 1, &seg), 0);
	ck_assert_int_eq(seg.status, GNTST_okay);
	ck_assert_str_eq(page + (size_t)5 * PAGE, "page 0");
	ck_assert_int_eq(sim_value("dump", 2, "in_use"), 0);
}
END_TEST

/* An operation for each page of local memory that a segment touches, 16 to a hypercall. */
START_TEST(copies_are_counted_as_gntdev_makes_them)
{
	xengnttab_grant_copy_segment_t seg[20];
	char *buf = aligned_alloc(PAGE, 2 * PAGE);

	ck_assert_ptr_nonnull(buf);
	memset(seg, 0, sizeof(seg));
	for (unsigned int i = 0; i < 20; i++) {
		seg[i].flags = GNTCOPY_source_gref;
		seg[i].len = 4096;
		seg[i].source.foreign.domid = 2;
		seg[i].source.foreign.ref = ref[0];
		seg[i].dest.virt = buf + (i < 4 ? 0 : 1);
	}
	ck_assert_int_eq(xengnttab_grant_copy(drv, 4, seg), 0);
	ck_assert_int_eq(sim_value("stats", 1, "copy_ops"), 4);
	ck_assert_int_eq(sim_value("stats", 1, "copy_hypercalls"), 1);
	ck_assert_int_eq(xengnttab_grant_copy(drv, 20, seg), 0);
	ck_assert_int_eq(sim_value("stats", 1, "copy"), 2);
	ck_assert_int_eq(sim_value("stats", 1, "copy_segments"), 24);
	ck_assert_int_eq(sim_value("stats", 1, "copy_ops"), 4 + 4 + 16 * 2);
	ck_assert_int_eq(sim_value("stats", 1, "copy_hypercalls"), 1 + 3);
	free(buf);
}
END_TEST

START_TEST(one_bad_segment_does_not_stop_the_others)
{
	xengnttab_grant_copy_segment_t seg[3];
	char buf[3][8];

	memset(seg, 0, sizeof(seg));
	for (unsigned int i = 0; i < 3; i++) {
		seg[i].flags = GNTCOPY_source_gref;
		seg[i].len = 7;
		seg[i].source.foreign.domid = 2;
		seg[i].source.foreign.ref = i == 1 ? 500 : ref[i];
		seg[i].dest.virt = buf[i];
	}
	ck_assert_int_eq(xengnttab_grant_copy(drv, 3, seg), 0);
	ck_assert_int_eq(seg[0].status, GNTST_okay);
	ck_assert_int_eq(seg[1].status, GNTST_general_error);
	ck_assert_int_eq(seg[2].status, GNTST_okay);
	ck_assert_str_eq(buf[2], "page 2");
}
END_TEST

START_TEST(unmap_must_match_the_map)
{
	char *m = xengnttab_map_domain_grant_refs(drv, 4, 2, ref, RW);

	ck_assert_ptr_nonnull(m);
	errno = 0;
	ck_assert_int_eq(xengnttab_unmap(drv, m, 3), -1);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(xengnttab_unmap(drv, m + PAGE, 3), -1);
	ck_assert_int_eq(xengnttab_unmap(drv, NULL, 4), -1);
	ck_assert_str_eq(m, "page 0");
	ck_assert_int_eq(xengnttab_unmap(drv, m, 4), 0);
	ck_assert_int_eq(xengnttab_unmap(drv, m, 4), -1);
}
END_TEST

START_TEST(end_access_is_refused_while_in_use)
{
	void *m = xengnttab_map_grant_ref(drv, 2, ref[0], RW);
	void *again = xengnttab_map_grant_ref(drv, 2, ref[0], PROT_READ);
	int64_t gfn = xensim_gfn(guest, page + PAGE);
	char buf[8];

	ck_assert_ptr_nonnull(m);
	ck_assert_ptr_nonnull(again);
	ck_assert_int_eq(xensim_in_use(guest, ref[0]), 1);
	ck_assert_int_eq(xensim_end_access(guest, ref[0]), -EBUSY);
	ck_assert_int_eq(xengnttab_unmap(drv, m, 1), 0);
	ck_assert_int_eq(xensim_end_access(guest, ref[0]), -EBUSY);
	ck_assert_int_eq(xengnttab_unmap(drv, again, 1), 0);
	ck_assert_int_eq(xensim_end_access(guest, ref[0]), 0);
	ck_assert_ptr_null(xengnttab_map_grant_ref(drv, 2, ref[0], PROT_READ));
	ck_assert_int_eq(sim_copy_from(drv, 2, ref[0], 0, buf, 1), GNTST_general_error);
	/* the same reference anew, for another frame, read-only */
	ck_assert_int_ge(gfn, 0);
	ck_assert_int_eq(xensim_grant_access(guest, ref[0], 1, (uint64_t)gfn, 1), 0);
	ck_assert_int_eq(xensim_grant_access(guest, ref[0], 1, (uint64_t)gfn, 1), -EBUSY);
	ck_assert_int_eq(sim_copy_from(drv, 2, ref[0], 0, buf, 7), GNTST_okay);
	ck_assert_str_eq(buf, "page 1");
	ck_assert_int_eq(sim_copy_to(drv, 2, ref[0], 0, "x", 1), GNTST_general_error);
	ck_assert_int_eq(xensim_end_access(guest, 7), -EINVAL);
	ck_assert_int_eq(xensim_grant_access(guest, ref[0], 1, 1u << 20, 0), -EINVAL);
}
END_TEST

START_TEST(unshare_ends_at_once_or_waits_for_the_peer)
{
	uint32_t r[2];
	char *m;

	ck_assert_int_eq(xengntshr_unshare(guest, page, N), 0);
	ck_assert_ptr_null(xengnttab_map_grant_ref(drv, 2, ref[0], PROT_READ));
	ck_assert_int_eq(sim_value("dump", 2, "grants"), 0);
	page = xengntshr_share_pages(guest, 1, 2, r, 1);
	ck_assert_ptr_nonnull(page);
	ck_assert_int_eq(page[0], 0); /* zeroed, though it had been written before */
	ck_assert_int_eq(page[PAGE], 0);
	sim_text(page, "kept");
	m = xengnttab_map_grant_ref(drv, 2, r[0], PROT_READ);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(xengntshr_unshare(guest, page, 2), 0);
	ck_assert_int_eq(sim_value("dump", 2, "deferred"), 1);
	page = xengntshr_share_pages(guest, 1, N, ref, 1);
	ck_assert_ptr_nonnull(page);
	memset(page, 'x', (size_t)N * PAGE);
	ck_assert_str_eq(m, "kept"); /* its page was not given to anyone */
	ck_assert_int_eq(xengnttab_unmap(drv, m, 1), 0);
	sim_wait_value(2, "deferred", 0);
	ck_assert_int_eq(sim_value("dump", 2, "grants"), N);
}
END_TEST

START_TEST(references_consecutive_or_scattered)
{
	uint32_t r[64];
	void *p = xensim_share_pages(guest, 1, 64, r, XENSIM_CONSECUTIVE);

	ck_assert_ptr_nonnull(p);
	for (unsigned int i = 1; i < 64; i++)
		ck_assert_uint_eq(r[i], r[0] + i);
	ck_assert_ptr_nonnull(xensim_share_pages(guest, 1, 64, r, XENSIM_SCATTER));
	for (unsigned int i = 1; i < 64; i++)
		ck_assert_uint_ne(r[i], r[i - 1] + 1);
	ck_assert_int_eq(setenv("XENSIM_REFS", "scatter", 1), 0);
	ck_assert_ptr_nonnull(xengntshr_share_pages(guest, 1, 2, r, 1));
	ck_assert_uint_ne(r[1], r[0] + 1);
	unsetenv("XENSIM_REFS");
	/* without access, and without pages */
	ck_assert_ptr_nonnull(xensim_share_pages(guest, 1, 1, r, XENSIM_NO_ACCESS));
	ck_assert_ptr_null(xengnttab_map_grant_ref(drv, 2, r[0], PROT_READ));
	ck_assert_int_eq(xensim_alloc_refs(guest, 4, r, 0), 0);
	ck_assert_int_eq(xensim_grant_access(guest, r[3], 1, 5, 0), 0);
	p = xengnttab_map_grant_ref(drv, 2, r[3], RW);
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(xensim_free_refs(guest, 4, r), 0);
	ck_assert_int_eq(sim_value("dump", 2, "deferred"), 1);
	ck_assert_int_eq(xengnttab_unmap(drv, p, 1), 0);
	sim_wait_value(2, "deferred", 0);
}
END_TEST

START_TEST(limits)
{
	const char *id = sim_ctl("create name=small grants=16 maptrack=4 mem=1");
	xengntshr_handle *small;
	xengnttab_handle *user;
	uint32_t r[16];
	char c;
	void *p;

	ck_assert_str_eq(id, "4\n");
	small = sim_gntshr(4);
	user = sim_gnttab(4);
	errno = 0;
	ck_assert_ptr_null(xengntshr_share_pages(small, 1, 9, r, 1));
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_ptr_nonnull(xengntshr_share_pages(small, 1, 8, r, 1));
	ck_assert_int_eq(sim_copy_from(drv, 4, 16, 0, &c, 1), GNTST_bad_gntref);
	/* five pages do not fit into four maptrack entries; copies need none */
	p = xensim_share_pages(guest, 4, 5, r, 0);
	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_null(xengnttab_map_domain_grant_refs(user, 5, 2, r, PROT_READ));
	p = xengnttab_map_domain_grant_refs(user, 4, 2, r, PROT_READ);
	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_null(xengnttab_map_grant_ref(user, 2, r[4], PROT_READ));
	ck_assert_int_eq(sim_copy_from(user, 2, r[4], 0, &c, 1), GNTST_okay);
	ck_assert_int_eq(xengnttab_unmap(user, p, 4), 0);
	xengnttab_close(user);
	xengntshr_close(small);
	ck_assert_int_eq(sim_value("dump", 4, "grants"), 0);
	ck_assert_ptr_null(sim_ctl("create name=bad mem=0"));
	ck_assert_ptr_null(sim_ctl("create id=2"));
}
END_TEST

/* A domain's number in the words of grants, ports and maptrack is not cut off. */
START_TEST(many_domains)
{
	enum { MANY = 300 };
	uint32_t r[2];
	xengntshr_handle *last;
	char *theirs, *m;

	for (unsigned int i = 4; i <= MANY; i++)
		ck_assert_ptr_nonnull(sim_ctl("create id=%u mem=1 grants=16", i));
	last = sim_gntshr(MANY);
	theirs = xengntshr_share_pages(last, 1, 2, r, 1);
	ck_assert_ptr_nonnull(theirs);
	sim_text(theirs, "of the last");
	m = xengnttab_map_domain_grant_refs(drv, 2, MANY, r, RW);
	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(m, "of the last");
	ck_assert_int_eq(sim_value("stats", 1, "map_pages"), 2);
	ck_assert_int_eq(xengnttab_unmap(drv, m, 2), 0);
	/* The pins were the last domain's: it can end its grants. */
	ck_assert_int_eq(xensim_end_access(last, r[0]), 0);
	xengntshr_close(last);
	for (unsigned int i = 4; i <= MANY; i++)
		ck_assert_ptr_nonnull(sim_ctl("destroy %u", i));
}
END_TEST

START_TEST(notification_on_unmap)
{
	xenevtchn_handle *ge = sim_evtchn(2), *de = sim_evtchn(1);
	int gp = xenevtchn_bind_unbound_port(ge, 1), dp, port;
	char *m;

	ck_assert_int_gt(gp, 0);
	dp = xenevtchn_bind_interdomain(de, 2, (evtchn_port_t)gp);
	ck_assert_int_gt(dp, 0);
	page[100] = 1;
	m = xengnttab_map_grant_ref_notify(drv, 2, ref[0], RW, 100, (evtchn_port_t)dp);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(page[100], 1);
	ck_assert(!sim_readable(xenevtchn_fd(ge), 0));
	ck_assert_int_eq(xengnttab_unmap(drv, m, 1), 0);
	ck_assert_int_eq(page[100], 0);
	ck_assert(sim_readable(xenevtchn_fd(ge), WAIT_MS));
	port = xenevtchn_pending(ge);
	ck_assert_int_eq(port, gp);
	ck_assert_int_eq(xenevtchn_unmask(ge, (evtchn_port_t)port), 0);
	/* a port that is not there makes the map fail, and leaves nothing */
	ck_assert_ptr_null(xengnttab_map_grant_ref_notify(drv, 2, ref[0], RW, 100, 999));
	ck_assert_int_eq(sim_value("dump", 2, "in_use"), 0);
	xenevtchn_close(ge);
	xenevtchn_close(de);
}
END_TEST

START_TEST(zombie)
{
	struct xs_handle *xs = sim_xs(1), *xs0 = sim_xs(0);
	char *m = xengnttab_map_domain_grant_refs(drv, 2, 2, ref, RW), *again;
	char buf[8];
	unsigned int len;

	ck_assert_ptr_nonnull(m);
	ck_assert_ptr_nonnull(sim_ctl("destroy 2"));
	ck_assert_ptr_nonnull(strstr(sim_ctl("list"), "2 (null) zombie\n"));
	ck_assert_str_eq(m, "page 0");
	sim_text(m, "written after death");
	ck_assert_int_eq(sim_copy_from(drv, 2, ref[3], 0, buf, 1), GNTST_bad_domain);
	again = xengnttab_map_grant_ref(drv, 2, ref[5], PROT_READ);
	ck_assert_ptr_nonnull(again);
	ck_assert_str_eq(again, "page 5");
	ck_assert_int_eq(xengnttab_unmap(drv, again, 1), 0);
	errno = 0;
	ck_assert_ptr_null(xs_read(xs, XBT_NULL, "/local/domain/2/name", &len));
	ck_assert_int_eq(errno, EACCES);
	errno = 0;
	ck_assert_ptr_null(xs_read(xs0, XBT_NULL, "/local/domain/2/name", &len));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ptr_null(sim_ctl("destroy 2"));
	ck_assert_int_eq(sim_value("dump", 2, "in_use"), 2);
	ck_assert_int_eq(xengnttab_unmap(drv, m, 2), 0);
	sim_wait_value(2, "grants", -1);
	ck_assert_ptr_null(xengnttab_map_grant_ref(drv, 2, ref[0], PROT_READ));
	xs_close(xs);
	xs_close(xs0);
}
END_TEST

START_TEST(a_mapper_that_is_destroyed_leaves_no_zombie)
{
	ck_assert_ptr_nonnull(xengnttab_map_domain_grant_refs(drv, N, 2, ref, RW));
	ck_assert_ptr_nonnull(sim_ctl("destroy 1"));
	sim_wait_value(1, "maptrack", -1);
	ck_assert_int_eq(sim_value("dump", 2, "in_use"), 0);
	ck_assert_ptr_null(xengnttab_map_grant_ref(drv, 2, ref[0], PROT_READ));
	/* teardown looks at domain 1 */
	ck_assert_str_eq(sim_ctl("create id=1"), "1\n");
}
END_TEST

START_TEST(foreign_mapping_is_for_the_privileged)
{
	xenforeignmemory_handle *f;
	xen_pfn_t gfn[2] = {(xen_pfn_t)xensim_gfn(guest, page), 1u << 30};
	int err[2] = {7, 7};
	char *m;

	sim_enter(0);
	f = xenforeignmemory_open(NULL, 0);
	ck_assert_ptr_nonnull(f);
	m = xenforeignmemory_map(f, 2, RW, 1, gfn, NULL);
	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(m, "page 0");
	ck_assert_int_eq(xenforeignmemory_unmap(f, m, 1), 0);
	errno = 0;
	ck_assert_ptr_null(xenforeignmemory_map(f, 2, RW, 2, gfn, NULL));
	ck_assert_int_eq(errno, EINVAL);
	m = xenforeignmemory_map(f, 2, RW, 2, gfn, err);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(err[0], 0);
	ck_assert_int_eq(err[1], -EINVAL);
	ck_assert_int_eq(xenforeignmemory_unmap(f, m, 2), 0);
	xenforeignmemory_close(f);

	sim_enter(1);
	f = xenforeignmemory_open(NULL, 0);
	ck_assert_ptr_nonnull(f);
	errno = 0;
	ck_assert_ptr_null(xenforeignmemory_map(f, 2, RW, 1, gfn, NULL));
	ck_assert_int_eq(errno, EPERM);
	m = xenforeignmemory_map(f, 2, RW, 1, gfn, err);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(err[0], -1);
	ck_assert_int_eq(xenforeignmemory_unmap(f, m, 1), 0);
	xenforeignmemory_close(f);
}
END_TEST

START_TEST(device_models_are_refused)
{
	xendevicemodel_handle *d;
	ioservid_t id;

	sim_enter(1);
	d = xendevicemodel_open(NULL, 0);
	ck_assert_ptr_nonnull(d);
	errno = 0;
	ck_assert_int_eq(xendevicemodel_create_ioreq_server(d, 2, 0, &id), -1);
	ck_assert_int_eq(errno, EPERM);
	xendevicemodel_close(d);
	sim_enter(0);
	d = xendevicemodel_open(NULL, 0);
	ck_assert_ptr_nonnull(d);
	/* What is not simulated is refused to all. */
	ck_assert_int_eq(xendevicemodel_inject_msi(d, 2, 0xfee00000, 33), -1);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	xendevicemodel_close(d);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("grant");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, map_sees_the_page_itself);
	tcase_add_test(t, map_order_is_the_callers);
	tcase_add_test(t, map_failure_is_einval_and_unwound);
	tcase_add_test(t, a_grant_is_for_one_domain);
	tcase_add_test(t, read_only_grant);
	tcase_add_test(t, copy_and_its_statuses);
	tcase_add_test(t, copies_are_counted_as_gntdev_makes_them);
	tcase_add_test(t, one_bad_segment_does_not_stop_the_others);
	tcase_add_test(t, unmap_must_match_the_map);
	tcase_add_test(t, end_access_is_refused_while_in_use);
	tcase_add_test(t, unshare_ends_at_once_or_waits_for_the_peer);
	tcase_add_test(t, references_consecutive_or_scattered);
	tcase_add_test(t, limits);
	tcase_add_test(t, many_domains);
	tcase_add_test(t, notification_on_unmap);
	tcase_add_test(t, zombie);
	tcase_add_test(t, a_mapper_that_is_destroyed_leaves_no_zombie);
	tcase_add_test(t, foreign_mapping_is_for_the_privileged);
	tcase_add_test(t, device_models_are_refused);
	return sim_run_suite("sim-grant", &t, 1);
}

// SPDX-License-Identifier: MIT
/* The driver's ring against the device's virtqueue, in one process over the fakes of Xen. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/address.h>
#include <vgrant/virtqueue.h>

#include "fake/fake_xen.h"
#include "ring.h"

#define SIZE   16
#define SLOTS  24 /* more than fit, so that -ENOSPC is met */
#define ROUNDS 20000
#define BURST  5

enum page { DESC = 10, AVAIL, USED, TABLES, DATA };

struct pair {
	struct vg_quota quota;
	struct vg_view *view;
	struct vg_virtqueue *vq;
	struct vgg_ring ring;
	struct vgg_indirect table[SLOTS];
	uint32_t busy[SLOTS]; /* length that the device is to write, plus one; 0: idle */
	uint32_t seed;
};

static uint32_t roll(struct pair *p, uint32_t n)
{
	p->seed = p->seed * 1664525 + 1013904223;
	return (p->seed >> 8) % n;
}

static void set_up(struct pair *p, bool event_idx)
{
	struct vg_view_config vc = {.domid = FAKE_DOMID, .max_requests = SIZE};
	struct vg_vq_config qc = {
		.size = SIZE,
		.desc_addr = vg_addr_make(DESC, 0),
		.driver_addr = vg_addr_make(AVAIL, 0),
		.device_addr = vg_addr_make(USED, 0),
		.indirect = true,
		.event_idx = event_idx,
	};
	void *desc, *avail, *used, *tables;

	memset(p, 0, sizeof(*p));
	p->seed = 12345;
	p->quota.max_pages = 64;
	fake_xen_reset();
	desc = fake_grant(DESC, 1, true);
	avail = fake_grant(AVAIL, 1, true);
	used = fake_grant(USED, 1, true);
	tables = fake_grant(TABLES, 1, true);
	fake_grant(DATA, SLOTS, true);
	for (int i = 0; i < SLOTS; i++) {
		p->table[i].table = (struct vgg_desc *)tables + (size_t)i * 4;
		p->table[i].addr = vg_addr_make(TABLES, (uint32_t)i * 64);
	}
	ck_assert_int_eq(vgg_ring_init(&p->ring, SIZE, desc, avail, used, event_idx), 0);
	vc.gnttab = fake_gnttab();
	vc.quota = &p->quota;
	ck_assert_int_eq(vg_view_create(&vc, &p->view), 0);
	ck_assert_int_eq(vg_view_region_add(p->view, DESC, DATA + SLOTS - DESC, true), 0);
	qc.view = p->view;
	ck_assert_int_eq(vg_vq_create(&qc, &p->vq), 0);
}

static void tear_down(struct pair *p)
{
	vg_vq_destroy(p->vq);
	vg_view_destroy(p->view);
	vgg_ring_fini(&p->ring);
	ck_assert(fake_xen_clean());
}

/* One chain: slot's number out, up to two pieces in. */
static int add(struct pair *p, int slot)
{
	struct vgg_seg segs[3] = {
		{vg_addr_make(DATA + (uint32_t)slot, 0), 4},
		{vg_addr_make(DATA + (uint32_t)slot, 64), 32},
		{vg_addr_make(DATA + (uint32_t)slot, 128), 32},
	};
	unsigned int in = roll(p, 3);
	uint32_t number = (uint32_t)slot;
	int head;

	memcpy(fake_page(DATA + (uint32_t)slot), &number, sizeof(number));
	head = vgg_ring_add(&p->ring, segs, 1, in, roll(p, 2) ? &p->table[slot] : NULL,
			    &p->busy[slot]);
	if (head >= 0)
		p->busy[slot] = roll(p, 32 * in + 1) + 1;
	return head;
}

static int add_any(struct pair *p)
{
	for (int slot = 0; slot < SLOTS; slot++)
		if (!p->busy[slot])
			return add(p, slot);
	return -ENOSPC;
}

/* The device: takes up to @max, completes each with the length that the driver expects. */
static int serve(struct pair *p, unsigned int max)
{
	struct vg_element *elems[SIZE];
	int n = vg_vq_pop(p->vq, elems, max);

	ck_assert_int_ge(n, 0);
	for (int i = 0; i < n; i++) {
		uint32_t slot;

		ck_assert_int_eq(elems[i]->req.error, 0);
		ck_assert_uint_eq(vg_request_read(&elems[i]->req, 0, &slot, sizeof(slot)), 4);
		ck_assert_uint_lt(slot, SLOTS);
		ck_assert_uint_ne(p->busy[slot], 0);
		vg_vq_complete(p->vq, elems[i], p->busy[slot] - 1);
	}
	return n;
}

/* The driver: takes all that is there. */
static unsigned int reap(struct pair *p)
{
	unsigned int n = 0;
	uint32_t len;
	void *cookie;
	int got;

	while ((got = vgg_ring_get(&p->ring, &cookie, &len)) == 1) {
		uint32_t *busy = cookie;

		ck_assert_uint_eq(len, *busy - 1);
		*busy = 0;
		n++;
	}
	ck_assert_int_eq(got, 0);
	return n;
}

/*
 * Each side does by turns what it likes. A side that sleeps is owed a notification as soon as there
 * is work for it: none may be missed, over many wraps of 16-bit indices.
 */
static void converse(bool event_idx)
{
	bool device_sleeps = false, driver_sleeps = false;
	unsigned int added = 0, reaped = 0;
	struct pair p;

	set_up(&p, event_idx);
	for (int round = 0; round < ROUNDS; round++) {
		unsigned int burst = roll(&p, BURST), n = 0;
		bool rang;

		while (n < burst && add_any(&p) >= 0)
			n++;
		added += n;
		rang = vgg_ring_publish(&p.ring);
		if (device_sleeps && n)
			ck_assert_msg(rang, "a kick was missed in round %d", round);
		device_sleeps = device_sleeps && !n;

		if (!device_sleeps) {
			n = (unsigned int)serve(&p, roll(&p, BURST) + 1);
			rang = vg_vq_flush(p.vq);
			if (driver_sleeps && n)
				ck_assert_msg(rang, "an interrupt was missed in round %d", round);
			driver_sleeps = driver_sleeps && !n;
			if (roll(&p, 4))
				vg_vq_disable_notify(p.vq);
			else
				device_sleeps = !vg_vq_enable_notify(p.vq);
		}
		if (!driver_sleeps) {
			reaped += reap(&p);
			if (roll(&p, 4))
				vgg_ring_disable_interrupts(&p.ring);
			else
				driver_sleeps = !vgg_ring_enable_interrupts(&p.ring, 1);
		}
	}
	while (serve(&p, SIZE) > 0) {
		vg_vq_flush(p.vq);
		reaped += reap(&p);
	}
	vg_vq_flush(p.vq);
	reaped += reap(&p);
	ck_assert_uint_eq(added, reaped);
	ck_assert_uint_gt(added, ROUNDS);
	ck_assert_uint_eq(p.ring.num_free, SIZE);
	tear_down(&p);
}

START_TEST(converses)
{
	converse(false);
}
END_TEST

START_TEST(converses_event_idx)
{
	converse(true);
}
END_TEST

START_TEST(fills_up)
{
	struct pair p;
	int n = 0;

	set_up(&p, false);
	while (vgg_ring_add(&p.ring, &(struct vgg_seg){vg_addr_make(DATA, 0), 4}, 1, 0, NULL, &p) >=
	       0)
		n++;
	ck_assert_int_eq(n, SIZE);
	ck_assert_uint_eq(p.ring.num_free, 0);
	tear_down(&p);
}
END_TEST

/* EVENT_IDX lets the driver wait for several completions. */
START_TEST(waits_for_a_batch)
{
	struct pair p;

	set_up(&p, true);
	for (int i = 0; i < 3; i++)
		ck_assert_int_ge(add_any(&p), 0);
	vgg_ring_publish(&p.ring);
	ck_assert(!vgg_ring_enable_interrupts(&p.ring, 3));
	ck_assert_int_eq(serve(&p, 2), 2);
	ck_assert(!vg_vq_flush(p.vq));
	ck_assert_int_eq(serve(&p, 1), 1);
	ck_assert(vg_vq_flush(p.vq));
	ck_assert(vgg_ring_enable_interrupts(&p.ring, 3));
	ck_assert_uint_eq(reap(&p), 3);
	tear_down(&p);
}
END_TEST

/* What a hostile device writes into the used ring leads to no private state. */
START_TEST(distrusts_the_used_ring)
{
	static const uint32_t ids[] = {SIZE, UINT32_MAX, 1, 0x10000};
	struct pair p;
	uint32_t len;
	void *cookie;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		set_up(&p, false);
		ck_assert_int_eq(add_any(&p), 0);
		vgg_ring_publish(&p.ring);
		p.ring.used->ring[0].id = htole32(ids[i]);
		p.ring.used->idx = htole16(1);
		ck_assert_int_eq(vgg_ring_get(&p.ring, &cookie, &len), -EPROTO);
		tear_down(&p);
	}
	/* The same head twice. */
	set_up(&p, false);
	ck_assert_int_eq(add_any(&p), 0);
	p.ring.used->idx = htole16(2);
	ck_assert_int_eq(vgg_ring_get(&p.ring, &cookie, &len), 1);
	ck_assert_int_eq(vgg_ring_get(&p.ring, &cookie, &len), -EPROTO);
	tear_down(&p);
}
END_TEST

START_TEST(refuses_bad_sizes)
{
	static const uint16_t sizes[] = {0, 1, 3, 100, 2048};
	struct vgg_ring ring;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		ck_assert_int_eq(vgg_ring_init(&ring, sizes[i], NULL, NULL, NULL, false), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guest-ring");
	TCase *tc = tcase_create("ring");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, converses);
	tcase_add_test(tc, converses_event_idx);
	tcase_add_test(tc, fills_up);
	tcase_add_test(tc, waits_for_a_batch);
	tcase_add_test(tc, distrusts_the_used_ring);
	tcase_add_test(tc, refuses_bad_sizes);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* A process killed halfway through an operation: each of the moments, put together by hand. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "hub/hub.h"

#include <xen/grant_table.h>

#define OWNER 1u
#define USER  2u
#define REF   20u
#define DEAD  5u
#define LIVE  6u

static struct hub hub;
static struct sim_arena *arena;
static struct domain doms[2];
static struct handle dead, live;

/* What unwind.c and evtchn.c use of their surroundings. */
struct domain *domain_find(struct hub *h, uint32_t domid)
{
	int i = sim_dom_find(h->arena, domid);

	return i < 0 ? NULL : h->dom[i];
}

void notify_fire(struct hub *h, struct handle *hd, bool on_ref, uint32_t key)
{
	(void)h, (void)hd, (void)on_ref, (void)key;
}

void *hub_alloc(size_t n)
{
	return calloc(1, n);
}

uint64_t hub_now_ms(void)
{
	return 0;
}

static void setup(void)
{
	arena = calloc(1, sizeof(*arena));
	ck_assert_ptr_nonnull(arena);
	hub.arena = arena;
	for (unsigned int i = 0; i < 2; i++) {
		doms[i].index = OWNER + i;
		doms[i].shared = &arena->dom[OWNER + i];
		hub.dom[OWNER + i] = &doms[i];
		atomic_store(&doms[i].shared->nr_refs, 64);
		atomic_store(&doms[i].shared->nr_track, 64);
		atomic_store(&doms[i].shared->domid_state, sim_dom_word(10 + i, SIM_DOM_ALIVE));
	}
	for (unsigned int i = 0; i < 2; i++) {
		doms[i].cfg.domid = 10 + i;
		doms[i].cfg.nr_ports = SIM_MAX_PORTS - 1;
	}
	dead = (struct handle){.id = DEAD, .dom = &doms[1], .dead = true, .restrict_domid = -1};
	live = (struct handle){.id = LIVE, .dom = &doms[1], .restrict_domid = -1};
	hub.handle[DEAD] = &dead;
	hub.handle[LIVE] = &live;
	ck_assert_int_eq(sim_grant_offer(&arena->dom[OWNER].grant[REF], 11, 3, false), 0);
}

static void teardown(void)
{
	free(arena);
}

static uint32_t pin(uint32_t handle, bool ro, enum sim_pin_kind kind)
{
	struct sim_pin p;
	uint32_t hint = 0;

	ck_assert_int_eq(sim_grant_pin(arena, USER, handle, OWNER, REF, ro, kind, &hint, &p),
			 GNTST_okay);
	ck_assert_uint_eq(p.frame, 3);
	return p.slot;
}

static void set_state(uint32_t slot, enum sim_slot_state state)
{
	uint64_t w = atomic_load(&arena->dom[USER].slot[slot]);

	atomic_store(&arena->dom[USER].slot[slot], (w & ~3ull) | (uint64_t)state);
}

static void expect(unsigned int readers, unsigned int writers)
{
	uint64_t w = atomic_load(&arena->dom[OWNER].grant[REF]);
	unsigned int flags = SIM_GRANT_FLAGS(w) & (GTF_reading | GTF_writing);

	ck_assert_uint_eq(SIM_GRANT_READERS(w), readers);
	ck_assert_uint_eq(SIM_GRANT_WRITERS(w), writers);
	ck_assert_uint_eq(flags,
			  (readers || writers ? GTF_reading : 0) | (writers ? GTF_writing : 0));
}

START_TEST(held)
{
	pin(DEAD, true, SIM_PIN_MAP);
	pin(DEAD, false, SIM_PIN_MAP);
	pin(DEAD, false, SIM_PIN_COPY);
	pin(LIVE, false, SIM_PIN_MAP);
	expect(1, 3);
	ck_assert(unwind_handle(&hub, &dead));
	expect(0, 1);
}
END_TEST

/* Killed with the pin counted and the slot not yet marked, or not yet freed. */
START_TEST(counted_but_not_noted)
{
	pin(LIVE, true, SIM_PIN_MAP);
	set_state(pin(DEAD, false, SIM_PIN_MAP), SIM_SLOT_INTENT);
	set_state(pin(DEAD, true, SIM_PIN_COPY), SIM_SLOT_INTENT);
	expect(2, 1);
	ck_assert(unwind_handle(&hub, &dead));
	expect(1, 0);
}
END_TEST

/* Killed with the slot claimed and the pin not yet counted, or counted off again. */
START_TEST(noted_but_not_counted)
{
	uint32_t s = pin(DEAD, false, SIM_PIN_MAP);

	pin(LIVE, false, SIM_PIN_MAP);
	set_state(s, SIM_SLOT_INTENT);
	sim_grant_drop(&arena->dom[OWNER].grant[REF], 0, 1);
	expect(0, 1);
	ck_assert(unwind_handle(&hub, &dead));
	expect(0, 1);
	ck_assert_uint_eq(SIM_SLOT_STATE(atomic_load(&arena->dom[USER].slot[s])), SIM_SLOT_FREE);
}
END_TEST

START_TEST(a_live_process_in_the_way)
{
	uint32_t mine;

	set_state(pin(DEAD, false, SIM_PIN_MAP), SIM_SLOT_INTENT);
	mine = pin(LIVE, false, SIM_PIN_MAP);
	set_state(mine, SIM_SLOT_INTENT);
	ck_assert(!unwind_handle(&hub, &dead)); /* cannot be told apart yet */
	expect(0, 2);
	set_state(mine, SIM_SLOT_HELD);
	ck_assert(unwind_handle(&hub, &dead));
	expect(0, 1);
}
END_TEST

START_TEST(pins_do_not_overflow)
{
	uint64_t before;
	struct sim_pin p;
	uint32_t hint = 0;

	atomic_store(&arena->dom[USER].nr_track, 200);
	for (unsigned int i = 0; i < SIM_GRANT_PINS_MAX; i++)
		pin(LIVE, false, SIM_PIN_MAP);
	before = atomic_load(&arena->dom[OWNER].grant[REF]);
	ck_assert_int_eq(
		sim_grant_pin(arena, USER, LIVE, OWNER, REF, false, SIM_PIN_MAP, &hint, &p),
		GNTST_no_space);
	ck_assert(atomic_load(&arena->dom[OWNER].grant[REF]) == before);
	pin(LIVE, true, SIM_PIN_MAP);
	expect(1, SIM_GRANT_PINS_MAX);
}
END_TEST

static bool has_event(struct handle *hd, uint32_t port)
{
	uint32_t got = 0;

	return read(hd->pipe_rd, &got, sizeof(got)) == sizeof(got) && got == port;
}

/* Killed between raising a port and writing to its pipe: the event comes, the port is not stuck. */
START_TEST(about_to_send)
{
	struct sim_port *p;
	uint32_t handle;
	int to, from;

	live.dom = &doms[0];
	ck_assert_int_eq(evtchn_open_pipe(&live), 0);
	ck_assert_int_eq(evtchn_open_pipe(&dead), 0);
	ck_assert_int_eq(fcntl(live.pipe_rd, F_SETFL, O_NONBLOCK), 0);
	to = evtchn_bind_unbound(&hub, &live, 11);
	ck_assert_int_gt(to, 0);
	from = evtchn_bind_interdomain(&hub, &dead, 10, (uint32_t)to);
	ck_assert_int_gt(from, 0);
	p = &arena->dom[OWNER].port[to];
	ck_assert(sim_port_raise(p, SIM_PORT_GEN(atomic_load(&p->state)), &handle));
	ck_assert_uint_eq(handle, LIVE);
	ck_assert(!has_event(&live, (uint32_t)to));
	evtchn_close(&hub, &dead);
	ck_assert(has_event(&live, (uint32_t)to));
	ck_assert_int_eq(sim_port_unmask(p, LIVE), 0);
	/* one that had been sent is not sent again */
	ck_assert_int_eq(evtchn_open_pipe(&dead), 0);
	ck_assert_int_gt(evtchn_bind_interdomain(&hub, &dead, 10, (uint32_t)to), 0);
	ck_assert(sim_port_raise(p, SIM_PORT_GEN(atomic_load(&p->state)), &handle));
	sim_port_raised(p, SIM_PORT_GEN(atomic_load(&p->state)));
	evtchn_close(&hub, &dead);
	ck_assert(!has_event(&live, (uint32_t)to));
	evtchn_close(&hub, &live);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim-unwind");
	TCase *t = tcase_create("unwind");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, held);
	tcase_add_test(t, counted_but_not_noted);
	tcase_add_test(t, noted_but_not_counted);
	tcase_add_test(t, a_live_process_in_the_way);
	tcase_add_test(t, pins_do_not_overflow);
	tcase_add_test(t, about_to_send);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

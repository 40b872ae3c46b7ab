// SPDX-License-Identifier: MIT
/* The control page: both ends on one page, and a peer that lies. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus/xenbus/control.h"

static _Alignas(4096) uint8_t memory[4096];
static struct vg_ctl driver, device;

static struct vg_ctl_page VG_GUEST *guest_page(void)
{
	return (struct vg_ctl_page VG_GUEST *)(uintptr_t)memory;
}

static uint32_t load(size_t offset)
{
	return vg_guest_load32((const uint32_t VG_GUEST *)(uintptr_t)(memory + offset));
}

static void store(size_t offset, uint32_t value)
{
	vg_guest_store32((uint32_t VG_GUEST *)(uintptr_t)(memory + offset), value);
}

#define DRIVER_PROD 0x40
#define DRIVER_CONS 0x44
#define DEVICE_PROD 0x80
#define DEVICE_CONS 0x84

static void setup(void)
{
	memset(memory, 0xee, sizeof(memory));
	vg_ctl_format(guest_page());
	vg_ctl_attach(&driver, guest_page(), VG_CTL_DRIVER);
	vg_ctl_attach(&device, guest_page(), VG_CTL_DEVICE);
}

/* Both ends as if @index messages had gone each way. */
static void start_at(uint32_t index)
{
	struct vg_ctl *ends[] = {&driver, &device};

	for (int i = 0; i < 2; i++) {
		ends[i]->prod = ends[i]->cons = index;
		ends[i]->seen_prod = ends[i]->seen_cons = index;
	}
	store(DRIVER_PROD, index);
	store(DRIVER_CONS, index);
	store(DEVICE_PROD, index);
	store(DEVICE_CONS, index);
}

static void put(struct vg_ctl *end, uint32_t value)
{
	ck_assert_int_eq(vg_ctl_put(end, &value, sizeof(value)), 0);
}

/* The next message's number, which is there. */
static uint32_t get(struct vg_ctl *end, bool *notify)
{
	uint8_t slot[VG_CTL_SLOT_SIZE];
	uint32_t value;

	ck_assert_int_eq(vg_ctl_get(end, slot, notify), 1);
	memcpy(&value, slot, sizeof(value));
	return value;
}

static int try_get(struct vg_ctl *end)
{
	uint8_t slot[VG_CTL_SLOT_SIZE];
	bool notify = false;

	return vg_ctl_get(end, slot, &notify);
}

START_TEST(test_format)
{
	static const uint8_t header[12] = {'V', 'G', 'R', 'T', 1, 0, 120, 0, 16, 0, 0, 0};

	ck_assert_int_eq(vg_ctl_check(guest_page()), 0);
	ck_assert(!memcmp(memory, header, sizeof(header)));
	for (size_t i = sizeof(header); i < sizeof(memory); i++)
		ck_assert_int_eq(memory[i], 0);
	for (size_t i = 0; i < 10; i++) {
		memory[i] ^= 1;
		ck_assert_int_eq(vg_ctl_check(guest_page()), -EPROTO);
		memory[i] ^= 1;
	}
	ck_assert_int_eq(vg_ctl_check(guest_page()), 0);
}
END_TEST

START_TEST(test_places)
{
	bool notify = false;

	put(&driver, 0x11111111);
	put(&driver, 0x22222222);
	put(&device, 0x33333333);
	ck_assert_uint_eq(load(DRIVER_PROD), 2);
	ck_assert_uint_eq(load(DEVICE_PROD), 1);
	ck_assert_uint_eq(load(0x100), 0x11111111);
	ck_assert_uint_eq(load(0x100 + 120), 0x22222222);
	ck_assert_uint_eq(load(0x880), 0x33333333);
	ck_assert_uint_eq(get(&device, &notify), 0x11111111);
	ck_assert_uint_eq(load(DEVICE_CONS), 1);
	ck_assert_uint_eq(get(&driver, &notify), 0x33333333);
	ck_assert_uint_eq(load(DRIVER_CONS), 1);
	ck_assert(!notify);
}
END_TEST

/* Nothing of an earlier message is left in a slot. */
START_TEST(test_padding)
{
	uint8_t message[VG_CTL_SLOT_SIZE], slot[VG_CTL_SLOT_SIZE];
	bool notify = false;

	memset(memory + 0x880, 0xee, sizeof(memory) - 0x880);
	memset(message, 0x77, sizeof(message));
	ck_assert_int_eq(vg_ctl_put(&device, message, 9), 0);
	ck_assert_int_eq(vg_ctl_get(&driver, slot, &notify), 1);
	for (size_t i = 0; i < sizeof(slot); i++)
		ck_assert_int_eq(slot[i], i < 9 ? 0x77 : 0);
	ck_assert_int_eq(vg_ctl_put(&device, message, sizeof(message)), 0);
	ck_assert_int_eq(vg_ctl_put(&device, message, sizeof(message) + 1), -EMSGSIZE);
	ck_assert_uint_eq(load(DEVICE_PROD), 2);
}
END_TEST

static const uint32_t starts[] = {0, 5, UINT32_MAX - 20, UINT32_MAX - 7, UINT32_MAX};

/* In order, across the ends of the ring and of the index's range. */
START_TEST(test_order)
{
	uint32_t in = 0, out = 0;
	bool notify = false;

	start_at(starts[_i]);
	for (int round = 0; round < 200; round++) {
		int burst = round % (VG_CTL_SLOTS + 1);

		for (int i = 0; i < burst; i++)
			put(&driver, in++);
		ck_assert_int_eq(vg_ctl_pending(&device), burst);
		ck_assert_int_eq(vg_ctl_space(&driver), VG_CTL_SLOTS - burst);
		for (int i = 0; i < burst; i++)
			ck_assert_uint_eq(get(&device, &notify), out++);
		ck_assert_int_eq(try_get(&device), 0);
	}
	ck_assert_uint_eq(out, in);
}
END_TEST

START_TEST(test_full)
{
	uint32_t value = 99;
	bool notify = false;

	start_at(starts[_i]);
	for (uint32_t i = 0; i < VG_CTL_SLOTS; i++)
		put(&driver, i);
	ck_assert_int_eq(vg_ctl_space(&driver), 0);
	ck_assert_int_eq(vg_ctl_put(&driver, &value, sizeof(value)), -EAGAIN);
	/* The first slot given back is what the producer waits for. */
	ck_assert_uint_eq(get(&device, &notify), 0);
	ck_assert(notify);
	notify = false;
	ck_assert_uint_eq(get(&device, &notify), 1);
	ck_assert(!notify);
	ck_assert_int_eq(vg_ctl_space(&driver), 2);
	put(&driver, 16);
	put(&driver, 17);
	for (uint32_t i = 2; i < 18; i++)
		ck_assert_uint_eq(get(&device, &notify), i);
	ck_assert(notify);
}
END_TEST

/* The peer's prod, when three of five messages have been taken: 3, 4 and 5 … 19 are possible. */
START_TEST(test_prod_lies)
{
	uint32_t base = starts[_i];
	static const uint32_t bad[] = {20, 21, 1000, 0x80000000, 0, 2, UINT32_MAX};
	bool notify = false;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup();
		start_at(base);
		for (uint32_t k = 0; k < 5; k++)
			put(&driver, k);
		for (uint32_t k = 0; k < 3; k++)
			get(&device, &notify);
		store(DRIVER_PROD, base + bad[i]);
		ck_assert_int_eq(vg_ctl_pending(&device), -EPROTO);
		ck_assert_int_eq(try_get(&device), -EPROTO);
		ck_assert_uint_eq(load(DEVICE_CONS), base + 3);
		/* What was seen once may not be taken back, although the ring would allow it. */
		store(DRIVER_PROD, base + 4);
		ck_assert_int_eq(vg_ctl_pending(&device), -EPROTO);
		store(DRIVER_PROD, base + 19);
		ck_assert_int_eq(vg_ctl_pending(&device), 16);
		store(DRIVER_PROD, base + 18);
		ck_assert_int_eq(vg_ctl_pending(&device), -EPROTO);
	}
}
END_TEST

/* The peer's cons, when five messages were put and three seen taken: 3, 4 and 5 are possible. */
START_TEST(test_cons_lies)
{
	uint32_t base = starts[_i], value = 1;
	static const uint32_t bad[] = {6, 7, 1000, 0x80000000, 2, 0, UINT32_MAX};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setup();
		start_at(base);
		for (uint32_t k = 0; k < 5; k++)
			put(&device, k);
		store(DRIVER_CONS, base + 3);
		ck_assert_int_eq(vg_ctl_space(&device), 14);
		store(DRIVER_CONS, base + bad[i]);
		ck_assert_int_eq(vg_ctl_space(&device), -EPROTO);
		ck_assert_int_eq(vg_ctl_put(&device, &value, sizeof(value)), -EPROTO);
		ck_assert_uint_eq(load(DEVICE_PROD), base + 5);
		store(DRIVER_CONS, base + 5);
		ck_assert_int_eq(vg_ctl_space(&device), 16);
	}
}
END_TEST

/* An end's own indices in the page mean nothing to it. */
START_TEST(test_own_indices)
{
	bool notify = false;

	put(&driver, 1);
	store(DEVICE_CONS, 77);
	store(DEVICE_PROD, 78);
	ck_assert_uint_eq(get(&device, &notify), 1);
	put(&device, 2);
	ck_assert_uint_eq(load(DEVICE_CONS), 1);
	ck_assert_uint_eq(load(DEVICE_PROD), 1);
	ck_assert_uint_eq(get(&driver, &notify), 2);
}
END_TEST

/*
 * Two threads, doorbells that are remembered like an event channel's pending bit, and no polling: a
 * wake-up that gets lost is a wait that ends in a failure.
 */
#define MESSAGES 200000

static sem_t bell[2]; /* of the driver, of the device */

static bool wait_bell(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 100;
	while (sem_timedwait(sem, &until))
		if (errno != EINTR)
			return false;
	/* One pending bit, however often it was set. */
	while (!sem_trywait(sem))
		;
	return true;
}

static void *produce(void *result)
{
	for (uint32_t i = 0; i < MESSAGES; i++) {
		int ret;

		while ((ret = vg_ctl_put(&driver, &i, sizeof(i))) == -EAGAIN)
			if (!wait_bell(&bell[VG_CTL_DRIVER]))
				return NULL;
		if (ret)
			return NULL;
		sem_post(&bell[VG_CTL_DEVICE]);
	}
	*(bool *)result = true;
	return NULL;
}

START_TEST(test_no_lost_wakeup)
{
	uint8_t slot[VG_CTL_SLOT_SIZE];
	pthread_t thread;
	uint32_t expected = 0, value;
	bool produced = false;

	ck_assert(!sem_init(&bell[0], 0, 0) && !sem_init(&bell[1], 0, 0));
	ck_assert_int_eq(pthread_create(&thread, NULL, produce, &produced), 0);
	while (expected < MESSAGES) {
		bool notify = false;
		int ret = vg_ctl_get(&device, slot, &notify);

		ck_assert_int_ge(ret, 0);
		if (notify)
			sem_post(&bell[VG_CTL_DRIVER]);
		if (!ret) {
			ck_assert_msg(wait_bell(&bell[VG_CTL_DEVICE]), "lost after %u", expected);
			continue;
		}
		memcpy(&value, slot, sizeof(value));
		ck_assert_uint_eq(value, expected++);
	}
	pthread_join(thread, NULL);
	ck_assert(produced);
}
END_TEST

int main(void)
{
	int n = sizeof(starts) / sizeof(starts[0]);
	Suite *suite = suite_create("control");
	TCase *tc = tcase_create("control");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 240);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, test_format);
	tcase_add_test(tc, test_places);
	tcase_add_test(tc, test_padding);
	tcase_add_loop_test(tc, test_order, 0, n);
	tcase_add_loop_test(tc, test_full, 0, n);
	tcase_add_loop_test(tc, test_prod_lies, 0, n);
	tcase_add_loop_test(tc, test_cons_lies, 0, n);
	tcase_add_test(tc, test_own_indices);
	tcase_add_test(tc, test_no_lost_wakeup);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

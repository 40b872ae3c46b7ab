// SPDX-License-Identifier: MIT
/*
 * The driver makes room just when the device has stopped taking messages for lack of it: what waits
 * in driver_ring is not forgotten, since no doorbell will come for it.
 * (spec/models/control_ring.pml, blocked-forgets.)
 */
#include <stdlib.h>

#include "conn_harness.h"

int __real_vg_ctl_space(struct vg_ctl *ctl);
int __wrap_vg_ctl_space(struct vg_ctl *ctl);

static int looks, room_at; /* the device's; before this one the driver takes all that is there */

/* Takes all and then says so. */
static void take_all(void)
{
	page_store(offsetof(struct vg_ctl_page, driver_cons),
		   page_load(offsetof(struct vg_ctl_page, device_prod)));
}

int __wrap_vg_ctl_space(struct vg_ctl *ctl)
{
	if (ctl != &h.ctl && room_at) {
		/* The second look is for the answer to the first message: which changed something.
		 */
		if (++looks == 2)
			vg_device_update_config(h.device, 0, "x", 1);
		if (looks == room_at)
			take_all();
	}
	return __real_vg_ctl_space(ctl);
}

START_TEST(test_room_while_leaving)
{
	uint32_t before;

	negotiate();
	for (int i = 0; i < VG_CTL_SLOTS - 1; i++)
		send((struct vg_msg){.id = VG_MSG_GET_DEVICE_INFO});
	service();
	send((struct vg_msg){.id = VG_MSG_GET_DEVICE_STATUS});
	send((struct vg_msg){.id = VG_MSG_GET_DEVICE_STATUS});
	take_events();

	before = page_load(offsetof(struct vg_ctl_page, driver_cons));
	room_at = _i;
	service();
	ck_assert_int_ge(looks, room_at);
	/* The driver's own look, after its barrier: does it ring? */
	if (page_load(offsetof(struct vg_ctl_page, device_prod)) - before == VG_CTL_SLOTS)
		return;
	/* It does not, so the device must look again of its own accord, or have taken the message.
	 */
	ck_assert(!timeout() || page_load(offsetof(struct vg_ctl_page, device_cons)) ==
					page_load(offsetof(struct vg_ctl_page, driver_prod)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("conn-room");
	TCase *tc = tcase_create("room");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_room_while_leaving, 1, 5);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

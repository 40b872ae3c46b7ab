// SPDX-License-Identifier: MIT
/* The figures as they stand in xenstore: all of them, however long they are. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parts of a program and of no library. */
#include "vgrantd/ipc.c"        // NOLINT(bugprone-suspicious-include)
#include "vgrantd/node_stats.c" // NOLINT(bugprone-suspicious-include)

#define LONGEST_NONCE "0123456789abcdef0123456789abcdef"

static char written[8192];

int vg_store_path(char *buf, const char *fmt, ...)
{
	(void)fmt;
	buf[0] = '\0';
	return 0;
}

int vg_store_write(struct vg_store *store, const char *path, const char *value)
{
	(void)store, (void)path;
	snprintf(written, sizeof(written), "%s", value);
	return 0;
}

int vg_store_read(struct vg_store *store, const char *path, char *buf, size_t size)
{
	(void)store, (void)path, (void)buf, (void)size;
	return -ENOENT;
}

int vgd_worker_send(struct vgd_supervisor *sup, struct vgd_worker *worker,
		    const struct vg_ipc_msg *msg, int fd)
{
	(void)sup, (void)worker, (void)msg, (void)fd;
	return 0;
}

START_TEST(nothing_is_left_out)
{
	struct vgd_supervisor sup = {0};
	struct vgd_node node = {.sup = &sup, .state = VG_XENBUS_CLOSED, .stats_cookie = 1};
	struct vg_ipc_msg msg;
	char name[VG_IPC_NAME_MAX], want[64];

	node.config.engine = VG_IPC_ENGINE_FILE;
	node.config.queues = UINT32_MAX;
	ck_assert_uint_eq(sizeof(LONGEST_NONCE), VGD_NONCE_MAX);
	memcpy(node.stats_nonce, LONGEST_NONCE, sizeof(LONGEST_NONCE));
	vg_ipc_stats_init(&msg, 1, 1);
	for (unsigned int i = 0; i < VG_IPC_STATS_MAX; i++) {
		memset(name, 'a', sizeof(name) - 1);
		name[0] = (char)('a' + i / 10);
		name[1] = (char)('0' + i % 10);
		name[sizeof(name) - 1] = '\0';
		vg_ipc_stats_add(&msg, name, UINT64_MAX - i);
	}
	vgd_node_stats_reply(&node, &msg.u.stats);
	ck_assert_ptr_eq(strstr(written, LONGEST_NONCE " state=6 engine=file queues=4294967295 "),
			 written);
	for (unsigned int i = 0; i < VG_IPC_STATS_MAX; i++) {
		snprintf(want, sizeof(want), " %s=%" PRIu64, msg.u.stats.stat[i].name,
			 msg.u.stats.stat[i].value);
		ck_assert_msg(strstr(written, want), "'%s' is not in '%s'", want, written);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stats-text");
	TCase *tc = tcase_create("stats-text");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, nothing_is_left_out);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

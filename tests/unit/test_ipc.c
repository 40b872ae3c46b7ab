// SPDX-License-Identifier: MIT
/* The records between supervisor and worker: every type, every malformed one, descriptors. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Part of a program and of no library: its functions and its private sizes are tried here. */
#include "vgrantd/ipc.c" // NOLINT(bugprone-suspicious-include)

static int sock[2];

static void open_sockets(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock), 0);
}

static void close_sockets(void)
{
	close(sock[0]);
	close(sock[1]);
}

static int open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static struct vg_ipc_msg an_attach(enum vg_ipc_engine engine)
{
	struct vg_ipc_msg msg = {.type = VG_IPC_ATTACH, .device = 7};

	msg.u.attach.kind = VG_IPC_KIND_BLK;
	msg.u.attach.bus = VG_IPC_BUS_MSG;
	msg.u.attach.engine = engine;
	msg.u.attach.control_ref = 0xfffffff0;
	msg.u.attach.remote_port = 12;
	msg.u.attach.queues = 4;
	msg.u.attach.read_only = 1;
	msg.u.attach.null_size = UINT64_C(1) << 40;
	strcpy(msg.u.attach.label, "dom3 xvda");
	strcpy(msg.u.attach.serial, "vgrant-51712");
	return msg;
}

START_TEST(test_attach_with_image)
{
	struct vg_ipc_msg msg = an_attach(VG_IPC_ENGINE_FILE), got;
	struct stat before, after;
	int image = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int fd;

	ck_assert_int_ge(image, 0);
	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, image), 0);
	ck_assert_int_eq(fstat(image, &before), 0); /* still the sender's */
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ne(fd, image);
	ck_assert_int_eq(fstat(fd, &after), 0);
	ck_assert(before.st_rdev == after.st_rdev);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_mem_eq(&got.u.attach, &msg.u.attach, sizeof(msg.u.attach));
	ck_assert_uint_eq(got.device, 7);
	close(fd);
	close(image);
}
END_TEST

/* Where a device's registers are kept is a descriptor and nothing else. */
START_TEST(test_state)
{
	struct vg_ipc_msg msg = {.type = VG_IPC_STATE, .device = 7}, got;
	int fd;

	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, sock[0]), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(got.type, VG_IPC_STATE);
	ck_assert_int_eq(got.device, 7);
	close(fd);
	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, -1), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EBADMSG);
	msg.device = 0;
	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, sock[0]), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EBADMSG);
	ck_assert_int_eq(fd, -1);
}
END_TEST

START_TEST(test_attach_without_image)
{
	struct vg_ipc_msg msg = an_attach(VG_IPC_ENGINE_NULL), got;
	int fd;

	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, -1), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), 0);
	ck_assert_int_eq(fd, -1);
	ck_assert_mem_eq(&got.u.attach, &msg.u.attach, sizeof(msg.u.attach));
}
END_TEST

static const uint32_t plain_types[] = {VG_IPC_DETACH,   VG_IPC_GET_STATS, VG_IPC_SHUTDOWN,
				       VG_IPC_ATTACHED, VG_IPC_DETACHED,  VG_IPC_FAILED,
				       VG_IPC_STATS,    VG_IPC_LEAVE,     VG_IPC_PORT,
				       VG_IPC_BOUND,    VG_IPC_DRIVER};

START_TEST(test_types)
{
	struct vg_ipc_msg msg, got;
	int fd;

	memset(&msg, 0, sizeof(msg));
	msg.type = plain_types[_i];
	if (msg.type != VG_IPC_SHUTDOWN)
		msg.device = 9;
	if (msg.type == VG_IPC_GET_STATS)
		msg.u.cookie = UINT64_C(0x123456789abcdef0);
	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, -1), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), 0);
	ck_assert_int_eq(fd, -1);
	ck_assert_mem_eq(&got, &msg, sizeof(msg));
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EAGAIN);
}
END_TEST

/* A device id is there where one belongs, and nowhere else. */
START_TEST(test_device_id)
{
	struct vg_ipc_msg msg = {.type = plain_types[_i]}, got;
	int fd;

	msg.device = msg.type == VG_IPC_SHUTDOWN;
	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, -1), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EBADMSG);
}
END_TEST

START_TEST(test_result_words)
{
	struct vg_ipc_msg msg, got;
	char words[2 * VG_IPC_WORDS_MAX];
	int fd;

	vg_ipc_result_init(&msg, VG_IPC_FAILED, 3, -EPROTO, "ring %d lies", 2);
	ck_assert_int_eq(vg_ipc_send(sock[1], &msg, -1), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[0], &got, &fd), 0);
	ck_assert_uint_eq(got.type, VG_IPC_FAILED);
	ck_assert_uint_eq(got.device, 3);
	ck_assert_int_eq(got.u.result.error, -EPROTO);
	ck_assert_str_eq(got.u.result.words, "ring 2 lies");
	vg_ipc_result_init(&msg, VG_IPC_ATTACHED, 3, 0, NULL);
	ck_assert_str_eq(msg.u.result.words, "");
	/* longer words are cut, and end */
	memset(words, 'w', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	vg_ipc_result_init(&msg, VG_IPC_ATTACHED, 3, -EIO, "%s", words);
	ck_assert_uint_eq(strlen(msg.u.result.words), VG_IPC_WORDS_MAX - 1);
}
END_TEST

START_TEST(test_stats)
{
	struct vg_ipc_msg msg, got;
	int fd;

	vg_ipc_stats_init(&msg, 5, 77);
	for (unsigned int i = 0; i < VG_IPC_STATS_MAX + 5; i++)
		vg_ipc_stats_add(&msg, i ? "reads" : "a-name-that-is-longer-than-its-room", i);
	ck_assert_uint_eq(msg.u.stats.count, VG_IPC_STATS_MAX);
	ck_assert_int_eq(vg_ipc_send(sock[1], &msg, -1), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[0], &got, &fd), 0);
	ck_assert_uint_eq(got.u.stats.cookie, 77);
	ck_assert_uint_eq(strlen(got.u.stats.stat[0].name), VG_IPC_NAME_MAX - 1);
	ck_assert_uint_eq(got.u.stats.stat[VG_IPC_STATS_MAX - 1].value, VG_IPC_STATS_MAX - 1);
}
END_TEST

/* ---- what only a process that was taken over sends ---- */

static struct vg_ipc_msg bad_record(int which)
{
	struct vg_ipc_msg msg;

	vg_ipc_stats_init(&msg, 5, 77);
	vg_ipc_stats_add(&msg, "reads", 1);
	switch (which) {
	case 0:
		msg.u.stats.count = VG_IPC_STATS_MAX + 1;
		return msg;
	case 1:
		msg.u.stats.count = UINT32_MAX;
		return msg;
	case 2:
		memset(msg.u.stats.stat[0].name, 'a', VG_IPC_NAME_MAX);
		return msg;
	case 3:
		strcpy(msg.u.stats.stat[0].name, "a=1 b");
		return msg;
	case 4:
		strcpy(msg.u.stats.stat[0].name, "\033[2J");
		return msg;
	case 5:
		msg.u.stats.stat[0].name[0] = '\0';
		return msg;
	case 6:
		msg.u.stats.error = 2;
		return msg;
	default:
		break;
	}
	vg_ipc_result_init(&msg, VG_IPC_ATTACHED, 5, -EIO, "words");
	if (which == 7)
		memset(msg.u.result.words, 'w', sizeof(msg.u.result.words));
	if (which == 8)
		msg.u.result.error = 1;
	if (which > 8)
		msg = an_attach(VG_IPC_ENGINE_NULL);
	if (which == 9)
		memset(msg.u.attach.label, 'l', sizeof(msg.u.attach.label));
	if (which == 10)
		memset(msg.u.attach.serial, 's', sizeof(msg.u.attach.serial));
	if (which == 11)
		msg.u.attach.kind = 2;
	if (which == 12)
		msg.u.attach.engine = VG_IPC_ENGINE_FILE; /* and no descriptor */
	if (which == 13)
		msg.u.attach.engine = 3;
	if (which == 14)
		msg.u.attach.bus = 3;
	if (which >= 15) {
		msg.u.attach.bus = VG_IPC_BUS_MMIO;
		msg.u.attach.base = which == 15 ? 0 : 0x2000000; /* no address */
		msg.u.attach.irq_kind = which == 16 ? 0 : VG_IPC_IRQ_ISA + 1;
	}
	if (which == 15)
		msg.u.attach.irq_kind = VG_IPC_IRQ_SPI;
	if (which == 18)
		msg = (struct vg_ipc_msg){.type = VG_IPC_DRIVER, .device = 5, .u.driver = 2};
	return msg;
}
#define BAD_RECORDS 19

START_TEST(test_bad_record)
{
	struct vg_ipc_msg msg = bad_record(_i), got;
	int fd;

	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, -1), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EBADMSG);
	ck_assert_int_eq(fd, -1);
	/* the next one is understood */
	msg = (struct vg_ipc_msg){.type = VG_IPC_SHUTDOWN};
	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, -1), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), 0);
}
END_TEST

/* Every length but the right one, and types that do not exist. */
START_TEST(test_bad_length)
{
	char raw[sizeof(struct vg_ipc_msg) + 64] = {0};
	struct vg_ipc_msg msg = {.type = VG_IPC_DETACH, .device = 1}, got;
	int fd;

	memcpy(raw, &msg, sizeof(msg));
	for (size_t len = 1; len <= sizeof(raw); len++) {
		if (len == HEAD)
			continue;
		ck_assert_int_eq(send(sock[0], raw, len, 0), len);
		ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EBADMSG);
	}
	for (uint32_t type = VG_IPC_DRIVER + 1; type < VG_IPC_DRIVER + 20; type++) {
		memcpy(raw, &type, sizeof(type));
		ck_assert_int_eq(send(sock[0], raw, HEAD, 0), HEAD);
		ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EBADMSG);
	}
	msg.type = 0;
	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, -1), -EINVAL);
}
END_TEST

/* Sends @count descriptors along with @msg. */
static void send_fds(const struct vg_ipc_msg *msg, unsigned int count)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(16 * sizeof(int))];
	} control = {0};
	struct vg_ipc_msg copy = *msg;
	struct iovec iov = {.iov_base = &copy, .iov_len = record_size(msg->type)};
	struct msghdr hdr = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (unsigned int i = 0; i < count; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &sock[0], sizeof(int));
	ck_assert_int_eq(sendmsg(sock[0], &hdr, 0), iov.iov_len);
}

/* Descriptors that do not belong there are closed, however many. */
START_TEST(test_unwanted_descriptors)
{
	struct vg_ipc_msg detach = {.type = VG_IPC_DETACH, .device = 1}, got;
	struct vg_ipc_msg attach = an_attach(VG_IPC_ENGINE_FILE);
	struct vg_ipc_msg null = an_attach(VG_IPC_ENGINE_NULL);
	int before = open_fds(), fd;

	send_fds(&detach, 1);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EBADMSG);
	send_fds(&null, 1);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EBADMSG);
	for (unsigned int count = 2; count <= 16; count++) {
		send_fds(&attach, count);
		ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EBADMSG);
		ck_assert_int_eq(fd, -1);
	}
	ck_assert_int_eq(open_fds(), before);
	send_fds(&attach, 1);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), 0);
	ck_assert_int_eq(open_fds(), before + 1);
	close(fd);
}
END_TEST

START_TEST(test_peer_gone)
{
	struct vg_ipc_msg msg = {.type = VG_IPC_DETACHED, .device = 4}, got;
	int fd;

	/* what it said before it went is still there */
	ck_assert_int_eq(vg_ipc_send(sock[0], &msg, -1), 0);
	close(sock[0]);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), 0);
	ck_assert_uint_eq(got.device, 4);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EPIPE);
	ck_assert_int_eq(vg_ipc_send(sock[1], &msg, -1), -EPIPE);
	sock[0] = dup(sock[1]);
}
END_TEST

/* A peer that does not read costs an error and no wait. */
START_TEST(test_peer_full)
{
	struct vg_ipc_msg msg = {.type = VG_IPC_STATS, .device = 4}, got;
	int rc = 0, fd, sent = 0;

	while (!rc && sent < 100000) {
		rc = vg_ipc_send(sock[0], &msg, -1);
		sent += !rc;
	}
	ck_assert_int_eq(rc, -EAGAIN);
	ck_assert_int_ge(sent, 16);
	while (sent--)
		ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), 0);
	ck_assert_int_eq(vg_ipc_recv(sock[1], &got, &fd), -EAGAIN);
}
END_TEST

int main(void)
{
	const int types = sizeof(plain_types) / sizeof(plain_types[0]);
	Suite *suite = suite_create("ipc");
	TCase *tc = tcase_create("ipc");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, open_sockets, close_sockets);
	tcase_add_test(tc, test_attach_with_image);
	tcase_add_test(tc, test_state);
	tcase_add_test(tc, test_attach_without_image);
	tcase_add_loop_test(tc, test_types, 0, types);
	tcase_add_loop_test(tc, test_device_id, 0, types);
	tcase_add_test(tc, test_result_words);
	tcase_add_test(tc, test_stats);
	tcase_add_loop_test(tc, test_bad_record, 0, BAD_RECORDS);
	tcase_add_test(tc, test_bad_length);
	tcase_add_test(tc, test_unwanted_descriptors);
	tcase_add_test(tc, test_peer_gone);
	tcase_add_test(tc, test_peer_full);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* The virtio-msg codec against bytes written out by hand from the draft. */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/msg.h>

#define RESPONSE     VG_MSG_RESPONSE
#define BUS          VG_MSG_BUS
#define BUS_RESPONSE (VG_MSG_BUS | VG_MSG_RESPONSE)

/* A message and its bytes. size is msg_size, which stands in bytes 6 and 7 as well. */
struct golden {
	const char *name;
	struct vg_msg msg;
	size_t size;
	uint8_t wire[VG_MSG_MAX_SIZE];
};

static const struct golden golden[] = {
	{"get device info", {.id = 2, .token = 0x1234}, 8, {0, 2, 0, 0, 0x34, 0x12, 8, 0}},
	{"device info",
	 {.type = RESPONSE,
	  .id = 2,
	  .token = 1,
	  .info = {2, 0x56474e54, 64, 96, 16, 0x0102, 0x0304}},
	 32,
	 {1,  2, 0, 0, 1,  0, 32, 0, 2,  0, 0, 0, 0x54, 0x4e, 0x47, 0x56,
	  64, 0, 0, 0, 96, 0, 0,  0, 16, 0, 0, 0, 0x02, 0x01, 0x04, 0x03}},
	{"get features",
	 {.id = 3, .dev_num = 0x0201, .token = 9, .features = {.index = 1, .count = 2}},
	 16,
	 {0, 3, 1, 2, 9, 0, 16, 0, 1, 0, 0, 0, 2, 0, 0, 0}},
	{"features",
	 {.type = RESPONSE, .id = 3, .token = 9, .features = {1, 2, {0x00000003, 0x80000000}}},
	 24,
	 {1, 3, 0, 0, 9, 0, 24, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0x80}},
	{"set features",
	 {.id = 4, .token = 10, .features = {0, 1, {0xa1b2c3d4}}},
	 20,
	 {0, 4, 0, 0, 10, 0, 20, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xd4, 0xc3, 0xb2, 0xa1}},
	{"features set", {.type = RESPONSE, .id = 4, .token = 10}, 8, {1, 4, 0, 0, 10, 0, 8, 0}},
	{"get config",
	 {.id = 5, .token = 1, .config = {.offset = 4, .length = 8}},
	 16,
	 {0, 5, 0, 0, 1, 0, 16, 0, 4, 0, 0, 0, 8, 0, 0, 0}},
	{"config",
	 {.type = RESPONSE,
	  .id = 5,
	  .token = 1,
	  .config = {.generation = 7, .offset = 4, .length = 3, .data = {0xaa, 0xbb, 0xcc}}},
	 23,
	 {1, 5, 0, 0, 1, 0, 23, 0, 7, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0xaa, 0xbb, 0xcc}},
	{"set config",
	 {.id = 6, .token = 1, .config = {.generation = 7, .offset = 32, .length = 1, .data = {1}}},
	 21,
	 {0, 6, 0, 0, 1, 0, 21, 0, 7, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0, 1}},
	{"config rejected",
	 {.type = RESPONSE, .id = 6, .token = 1, .config = {.generation = 8, .offset = 32}},
	 20,
	 {1, 6, 0, 0, 1, 0, 20, 0, 8, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0}},
	{"get status", {.id = 7, .token = 2}, 8, {0, 7, 0, 0, 2, 0, 8, 0}},
	{"status",
	 {.type = RESPONSE, .id = 7, .token = 2, .status = {0x4f}},
	 12,
	 {1, 7, 0, 0, 2, 0, 12, 0, 0x4f, 0, 0, 0}},
	{"set status",
	 {.id = 8, .token = 3, .status = {0x01020304}},
	 12,
	 {0, 8, 0, 0, 3, 0, 12, 0, 4, 3, 2, 1}},
	{"get queue",
	 {.id = 9, .token = 4, .vqueue = {.index = 5}},
	 12,
	 {0, 9, 0, 0, 4, 0, 12, 0, 5, 0, 0, 0}},
	{"queue",
	 {.type = RESPONSE,
	  .id = 9,
	  .token = 4,
	  .vqueue = {5, 1024, 256, UINT64_C(0x8000000000001000), 0x22, 0x33}},
	 48,
	 {1, 9,    0, 0, 4, 0, 48, 0,    5,    0, 0, 0, 0, 4, 0, 0, 0,    1, 0, 0, 0, 0, 0, 0,
	  0, 0x10, 0, 0, 0, 0, 0,  0x80, 0x22, 0, 0, 0, 0, 0, 0, 0, 0x33, 0, 0, 0, 0, 0, 0, 0}},
	{"set queue",
	 {.id = 10,
	  .token = 5,
	  .vqueue = {.index = 1,
		     .size = 8,
		     .desc_addr = 0x11,
		     .driver_addr = 0x22,
		     .device_addr = UINT64_C(0x3300000000000000)}},
	 48,
	 {0,    10, 0, 0, 5, 0, 48, 0, 1,    0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0,
	  0x11, 0,  0, 0, 0, 0, 0,  0, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x33}},
	{"queue set", {.type = RESPONSE, .id = 10, .token = 5}, 8, {1, 10, 0, 0, 5, 0, 8, 0}},
	{"reset queue",
	 {.id = 11, .token = 5, .vqueue = {.index = 1}},
	 12,
	 {0, 11, 0, 0, 5, 0, 12, 0, 1, 0, 0, 0}},
	{"get shm",
	 {.id = 12, .token = 5, .avail = {.index = 1}},
	 12,
	 {0, 12, 0, 0, 5, 0, 12, 0, 1, 0, 0, 0}},
	{"shm",
	 {.type = RESPONSE, .id = 12, .token = 5, .shm = {1, 2, 3}},
	 20,
	 {1, 12, 0, 0, 5, 0, 20, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}},
	{"event config",
	 {.id = 0x40,
	  .config = {.status = 0x4f, .generation = 6, .offset = 1, .length = 2, .data = {8, 9}}},
	 26,
	 {0, 0x40, 0, 0, 0, 0, 26, 0, 0x4f, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 8, 9}},
	{"event avail",
	 {.id = 0x41, .avail = {2, 0x80000007}},
	 16,
	 {0, 0x41, 0, 0, 0, 0, 16, 0, 2, 0, 0, 0, 7, 0, 0, 0x80}},
	{"event used",
	 {.id = 0x42, .vqueue = {.index = 3}},
	 12,
	 {0, 0x42, 0, 0, 0, 0, 12, 0, 3, 0, 0, 0}},
	{"ping",
	 {.type = BUS, .id = 3, .token = 6, .ping = {0xdeadbeef}},
	 12,
	 {2, 3, 0, 0, 6, 0, 12, 0, 0xef, 0xbe, 0xad, 0xde}},
	{"pong",
	 {.type = BUS_RESPONSE, .id = 3, .token = 6, .ping = {0xdeadbeef}},
	 12,
	 {3, 3, 0, 0, 6, 0, 12, 0, 0xef, 0xbe, 0xad, 0xde}},
	{"event device",
	 {.type = BUS, .id = 0x40, .device = {0x0102, 2}},
	 12,
	 {2, 0x40, 0, 0, 0, 0, 12, 0, 2, 1, 2, 0}},
	{"region add",
	 {.type = BUS, .id = 0x80, .token = 7, .region = {0x100, 256, 1}},
	 20,
	 {2, 0x80, 0, 0, 7, 0, 20, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0}},
	{"region added",
	 {.type = BUS_RESPONSE, .id = 0x80, .token = 7, .status = {4}},
	 12,
	 {3, 0x80, 0, 0, 7, 0, 12, 0, 4, 0, 0, 0}},
	{"region remove",
	 {.type = BUS, .id = 0x81, .token = 8, .region = {.first = 0x100, .count = 256}},
	 16,
	 {2, 0x81, 0, 0, 8, 0, 16, 0, 0, 1, 0, 0, 0, 1, 0, 0}},
	{"region removed",
	 {.type = BUS_RESPONSE, .id = 0x81, .token = 8, .status = {1}},
	 12,
	 {3, 0x81, 0, 0, 8, 0, 12, 0, 1, 0, 0, 0}},
	{"queue bind",
	 {.type = BUS, .id = 0x82, .token = 9, .bind = {3, 77}},
	 16,
	 {2, 0x82, 0, 0, 9, 0, 16, 0, 3, 0, 0, 0, 77, 0, 0, 0}},
	{"queue bound",
	 {.type = BUS_RESPONSE, .id = 0x82, .token = 9, .status = {5}},
	 12,
	 {3, 0x82, 0, 0, 9, 0, 12, 0, 5, 0, 0, 0}},
};

#define GOLDEN (int)(sizeof(golden) / sizeof(golden[0]))

START_TEST(test_encode)
{
	const struct golden *g = &golden[_i];
	uint8_t buf[VG_MSG_MAX_SIZE + 1];

	memset(buf, 0xee, sizeof(buf));
	ck_assert_msg(vg_msg_encode(&g->msg, buf, sizeof(buf)) == (int)g->size, "%s", g->name);
	ck_assert_msg(!memcmp(buf, g->wire, g->size), "%s", g->name);
	for (size_t i = g->size; i < sizeof(buf); i++)
		ck_assert_msg(buf[i] == 0xee, "%s: byte %zu past the end", g->name, i);
	/* A buffer that is just large enough, and one that is not. */
	ck_assert_int_eq(vg_msg_encode(&g->msg, buf, g->size), (int)g->size);
	memset(buf, 0xee, sizeof(buf));
	for (size_t size = 0; size < g->size; size++)
		ck_assert_int_eq(vg_msg_encode(&g->msg, buf, size), -EMSGSIZE);
	ck_assert_int_eq(buf[0], 0xee);
}
END_TEST

/* With test_encode this shows that decoding gives the fields of the table. */
START_TEST(test_decode)
{
	const struct golden *g = &golden[_i];
	uint8_t buf[VG_MSG_MAX_SIZE], again[VG_MSG_MAX_SIZE];
	struct vg_msg msg;

	/* What a bus puts behind a message is ignored. */
	memset(buf, 0xee, sizeof(buf));
	memcpy(buf, g->wire, g->size);
	ck_assert_msg(!vg_msg_decode(buf, sizeof(buf), &msg), "%s", g->name);
	ck_assert_int_eq(vg_msg_encode(&msg, again, sizeof(again)), (int)g->size);
	ck_assert_msg(!memcmp(again, g->wire, g->size), "%s", g->name);
	ck_assert_int_eq(msg.type, g->msg.type);
	ck_assert_int_eq(msg.id, g->msg.id);
	ck_assert_int_eq(msg.dev_num, g->msg.dev_num);
	ck_assert_int_eq(msg.token, g->msg.token);
}
END_TEST

static bool refused(const uint8_t *buf, size_t len)
{
	struct vg_msg msg;
	static const struct vg_msg zero;

	return vg_msg_decode(buf, len, &msg) == -EBADMSG && !msg.id && !msg.token &&
	       !memcmp(&msg.info, &zero.info, sizeof(msg.info));
}

START_TEST(test_sizes)
{
	const struct golden *g = &golden[_i];
	uint8_t buf[256] = {0};

	for (size_t len = 0; len < g->size; len++)
		ck_assert_msg(refused(g->wire, len), "%s cut to %zu", g->name, len);
	/* msg_size says every other size. */
	memcpy(buf, g->wire, g->size);
	for (unsigned int size = 0; size < 0x10000; size++) {
		if (size == g->size)
			continue;
		buf[6] = (uint8_t)size;
		buf[7] = (uint8_t)(size >> 8);
		ck_assert_msg(refused(buf, sizeof(buf)), "%s with size %u", g->name, size);
	}
}
END_TEST

START_TEST(test_header)
{
	const struct golden *g = &golden[_i];
	bool bus = g->msg.type & VG_MSG_BUS;
	uint8_t buf[VG_MSG_MAX_SIZE];

	for (int bit = 2; bit < 8; bit++) {
		memcpy(buf, g->wire, sizeof(buf));
		buf[0] |= (uint8_t)(1 << bit);
		ck_assert_msg(refused(buf, sizeof(buf)), "%s with type bit %d", g->name, bit);
	}
	/* Events have no token, all else has one. */
	memcpy(buf, g->wire, sizeof(buf));
	buf[4] = g->msg.token ? 0 : 1;
	buf[5] = 0;
	ck_assert_msg(refused(buf, sizeof(buf)), "%s with a wrong token", g->name);
	/* Events have no response. */
	if (!g->msg.token) {
		buf[0] |= VG_MSG_RESPONSE;
		ck_assert_msg(refused(buf, sizeof(buf)), "%s as a response", g->name);
		buf[4] = 0;
		ck_assert_msg(refused(buf, sizeof(buf)), "%s as a response", g->name);
	}
	/* Bus messages are for no device. */
	memcpy(buf, g->wire, sizeof(buf));
	buf[3] = 1;
	ck_assert_msg(refused(buf, sizeof(buf)) == bus, "%s with a device number", g->name);
}
END_TEST

static bool is_known(uint8_t type, uint8_t id)
{
	for (int i = 0; i < GOLDEN; i++)
		if ((golden[i].msg.type & VG_MSG_BUS) == (type & VG_MSG_BUS) &&
		    golden[i].msg.id == id)
			return true;
	return false;
}

START_TEST(test_unknown_ids)
{
	unsigned int tried = 0;

	for (unsigned int type = 0; type < 4; type++) {
		for (unsigned int id = 0; id < 256; id++) {
			if (is_known((uint8_t)type, (uint8_t)id))
				continue;
			for (unsigned int size = 8; size <= VG_MSG_MAX_SIZE; size++) {
				uint8_t buf[VG_MSG_MAX_SIZE] = {
					(uint8_t)type, (uint8_t)id, 0, 0, 0, 0, (uint8_t)size};

				ck_assert(refused(buf, sizeof(buf)));
				buf[4] = 1;
				ck_assert(refused(buf, sizeof(buf)));
				tried++;
			}
		}
	}
	ck_assert_uint_gt(tried, 100000);
}
END_TEST

static const struct golden *find(const char *name)
{
	for (int i = 0; i < GOLDEN; i++)
		if (!strcmp(golden[i].name, name))
			return &golden[i];
	ck_abort_msg("no message %s", name);
	return NULL;
}

/* @name with one byte changed. */
static bool refused_with(const char *name, size_t at, uint8_t value)
{
	uint8_t buf[VG_MSG_MAX_SIZE];

	memcpy(buf, find(name)->wire, sizeof(buf));
	buf[at] = value;
	return refused(buf, sizeof(buf));
}

START_TEST(test_payload_rules)
{
	for (size_t i = 0; i < 4; i++) {
		ck_assert(refused_with("set queue", 12 + i, 1)); /* reserved */
		ck_assert(refused_with("set queue", 20 + i, 1));
		ck_assert(refused_with("queue", 20 + i, 1));
	}
	ck_assert(refused_with("device info", 16, 33)); /* feature bits: a multiple of 32 */
	ck_assert(!refused_with("get features", 12, 16));
	ck_assert(refused_with("get features", 12, 17)); /* what no response could carry */
	ck_assert(refused_with("get features", 15, 0x80));
	ck_assert(refused_with("features", 12, 1)); /* fewer and more than there are */
	ck_assert(refused_with("features", 12, 3));
	ck_assert(refused_with("set features", 12, 0));
	ck_assert(refused_with("set features", 15, 0x40)); /* count * 4 wraps to the same */
	ck_assert(!refused_with("get config", 12, VG_MSG_MAX_DATA));
	ck_assert(refused_with("get config", 12, VG_MSG_MAX_DATA + 1));
	ck_assert(refused_with("get config", 15, 0xff));
	ck_assert(refused_with("config", 16, 2));
	ck_assert(refused_with("config", 16, 4));
	ck_assert(refused_with("set config", 16, 0));
	ck_assert(refused_with("set config", 19, 0x80));
	ck_assert(refused_with("event config", 9, 1)); /* a status has eight bits */
	ck_assert(refused_with("event config", 20, 1));
}
END_TEST

START_TEST(test_largest)
{
	struct vg_msg msg = {.id = VG_MSG_SET_CONFIG, .token = 1, .config.length = VG_MSG_MAX_DATA};
	uint8_t buf[VG_MSG_MAX_SIZE + 8] = {0};

	ck_assert_int_eq(vg_msg_encode(&msg, buf, sizeof(buf)), VG_MSG_MAX_SIZE);
	ck_assert_int_eq(vg_msg_decode(buf, VG_MSG_MAX_SIZE, &msg), 0);
	msg.config.length++;
	ck_assert_int_eq(vg_msg_encode(&msg, buf, sizeof(buf)), -EINVAL);
	/* The same on the wire, in a buffer that would have room for it. */
	buf[6]++;
	buf[16]++;
	ck_assert(refused(buf, sizeof(buf)));

	msg = (struct vg_msg){.id = VG_MSG_EVENT_CONFIG, .config.length = VG_MSG_MAX_DATA - 4};
	ck_assert_int_eq(vg_msg_encode(&msg, buf, sizeof(buf)), VG_MSG_MAX_SIZE);
	msg.config.length++;
	ck_assert_int_eq(vg_msg_encode(&msg, buf, sizeof(buf)), -EINVAL);

	msg = (struct vg_msg){
		.id = VG_MSG_SET_DRIVER_FEATURES, .token = 1, .features.count = VG_MSG_MAX_BLOCKS};
	ck_assert_int_eq(vg_msg_encode(&msg, buf, sizeof(buf)), 16 + 4 * VG_MSG_MAX_BLOCKS);
	msg.features.count = UINT32_MAX;
	ck_assert_int_eq(vg_msg_encode(&msg, buf, sizeof(buf)), -EINVAL);
}
END_TEST

START_TEST(test_encode_refuses)
{
	static const struct vg_msg bad[] = {
		{.id = 0, .token = 1},
		{.id = VG_MSG_GET_SHM + 1, .token = 1},
		{.id = VG_MSG_GET_DEVICE_INFO},              /* no token */
		{.id = VG_MSG_EVENT_USED, .token = 1},       /* a token */
		{.type = RESPONSE, .id = VG_MSG_EVENT_USED}, /* an answer to an event */
		{.type = 4, .id = VG_MSG_GET_DEVICE_INFO, .token = 1},
		{.type = BUS, .id = VG_MSG_BUS_PING, .token = 1, .dev_num = 1},
		{.type = BUS, .id = VG_MSG_BUS_GET_DEVICES, .token = 1},
		{.type = RESPONSE,
		 .id = VG_MSG_GET_DEVICE_INFO,
		 .token = 1,
		 .info.feature_bits = 1},
		{.type = RESPONSE, .id = VG_MSG_GET_SHM, .token = 1, .shm.addr = UINT64_C(1) << 32},
	};
	uint8_t buf[VG_MSG_MAX_SIZE];

	ck_assert_int_eq(vg_msg_encode(&bad[_i], buf, sizeof(buf)), -EINVAL);
}
END_TEST

START_TEST(test_respond)
{
	struct vg_msg request = {.type = BUS, .id = VG_MSG_BUS_PING, .token = 77, .ping = {1}};
	struct vg_msg response;

	memset(&response, 0xee, sizeof(response));
	vg_msg_respond(&request, &response);
	ck_assert_int_eq(response.type, BUS_RESPONSE);
	ck_assert_int_eq(response.id, VG_MSG_BUS_PING);
	ck_assert_int_eq(response.token, 77);
	ck_assert_uint_eq(response.ping.data, 0);
	request = (struct vg_msg){.id = VG_MSG_GET_CONFIG, .dev_num = 3, .token = 1};
	vg_msg_respond(&request, &response);
	ck_assert_int_eq(response.type, RESPONSE);
	ck_assert_int_eq(response.dev_num, 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("msg");
	TCase *tc = tcase_create("msg");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_encode, 0, GOLDEN);
	tcase_add_loop_test(tc, test_decode, 0, GOLDEN);
	tcase_add_loop_test(tc, test_sizes, 0, GOLDEN);
	tcase_add_loop_test(tc, test_header, 0, GOLDEN);
	tcase_add_test(tc, test_unknown_ids);
	tcase_add_test(tc, test_payload_rules);
	tcase_add_test(tc, test_largest);
	tcase_add_loop_test(tc, test_encode_refuses, 0, 10);
	tcase_add_test(tc, test_respond);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* virtio-blk as an honest driver sees it (virtio 1.3, section 5.2), over every way to its memory.
 */
#include "blk_support.h"

/* ---- what the device says of itself ---- */

static uint64_t config_field(uint32_t offset, uint32_t len)
{
	uint32_t generation;
	uint64_t value = 0;

	ck_assert_int_eq(vg_device_read_config(dev, offset, &value, len, &generation), 0);
	return value;
}

static bool offers(unsigned int bit)
{
	return vg_device_get_features(dev, 0) & 1u << bit;
}

START_TEST(configuration_space)
{
	struct vg_blk_config config = (world_begin(0), blk_config());
	struct vg_device_info info;

	config.queues = 3;
	device_begin(&config);
	vg_device_get_info(dev, &info);
	ck_assert_uint_eq(info.device_id, 2);
	ck_assert_uint_eq(info.num_queues, 3);
	ck_assert_uint_eq(info.config_size, 36);
	ck_assert_uint_eq(config_field(0, 8), SECTORS);
	ck_assert_uint_eq(config_field(8, 4), VG_BLK_SIZE_MAX);
	ck_assert_uint_eq(config_field(12, 4), VG_BLK_SEG_MAX);
	ck_assert_uint_eq(config_field(16, 4), 0);
	ck_assert_uint_eq(config_field(20, 4), 512);
	ck_assert_uint_eq(config_field(26, 2), UINT64_C(1) << config_field(24, 1));
	ck_assert_uint_eq(config_field(25, 1), 0);
	ck_assert_uint_eq(config_field(28, 4), 0);
	ck_assert_uint_eq(config_field(32, 2), 0);
	ck_assert_uint_eq(config_field(34, 2), 3);
	ck_assert(offers(VIRTIO_BLK_F_SIZE_MAX) && offers(VIRTIO_BLK_F_SEG_MAX));
	ck_assert(offers(VIRTIO_BLK_F_BLK_SIZE) && offers(VIRTIO_BLK_F_FLUSH));
	ck_assert(offers(VIRTIO_BLK_F_TOPOLOGY) && offers(VIRTIO_BLK_F_MQ));
	ck_assert(!offers(VIRTIO_BLK_F_RO) && !offers(VIRTIO_BLK_F_GEOMETRY));
	ck_assert(!offers(VIRTIO_BLK_F_CONFIG_WCE) && !offers(VIRTIO_BLK_F_DISCARD));
	end();
}
END_TEST

START_TEST(creation_checks_its_arguments)
{
	const struct vg_blk_config good = (world_begin(0), blk_config());
	struct vg_blk_config config = good;

	config.queues = 0;
	ck_assert_int_eq(vg_blk_create(&config, &blk), -EINVAL);
	config.queues = VG_DEVICE_MAX_QUEUES + 1;
	ck_assert_int_eq(vg_blk_create(&config, &blk), -EINVAL);
	config = good;
	config.view = NULL;
	ck_assert_int_eq(vg_blk_create(&config, &blk), -EINVAL);
	config = good;
	config.fd = -1;
	ck_assert_int_eq(vg_blk_create(&config, &blk), -EBADF);
	config = good;
	config.engine = VG_BLK_ENGINE_NULL;
	ck_assert_int_eq(vg_blk_create(&config, &blk), -EINVAL);
	config = good;
	config.engine = (enum vg_blk_engine_kind)7;
	ck_assert_int_eq(vg_blk_create(&config, &blk), -EINVAL);
	ck_assert_ptr_null(blk);
	vg_blk_destroy(NULL);
	config = good;
	config.queues = VG_DEVICE_MAX_QUEUES;
	config.serial = NULL;
	config.label = NULL;
	device_begin(&config);
	end();
}
END_TEST

/* ---- reading and writing ---- */

START_TEST(there_and_back)
{
	uint8_t back[12288];
	struct vg_blk_stats stats;

	begin(_i);
	memset(guest.data + DATA, 0xee, 16384);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 5, DATA, 12288), VIRTIO_BLK_S_OK);
	ck_assert(holds_sector(DATA, 12288, 5));
	ck_assert(is_filled(DATA + 12288, 4096, 0xee));

	for (unsigned int i = 0; i < 12288; i++)
		guest.data[DATA + i] = (char)(i * 3);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 40, DATA, 12288), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(pread(disk, back, 12288, 40 * 512L), 12288);
	ck_assert_mem_eq(back, guest.data + DATA, 12288);
	ck_assert(disk_untouched(0, 40) && disk_untouched(64, 64));
	ck_assert_uint_eq(notified, 3);

	vg_blk_get_stats(blk, &stats);
	ck_assert_uint_eq(stats.reads, 1);
	ck_assert_uint_eq(stats.writes, 1);
	ck_assert_uint_eq(stats.flushes, 1);
	ck_assert_uint_eq(stats.other + stats.errors + stats.in_flight, 0);
	ck_assert_uint_eq(stats.bytes_read, 12288);
	ck_assert_uint_eq(stats.bytes_written, 12288);
	end();
}
END_TEST

/* Sizes of a request's readable or writable descriptors. */
static const struct framing {
	uint32_t part[RING_SIZE];
} read_framings[] =
	{
		{{1025}},                   /* data and status in one */
		{{1024, 1}},                /* as Linux does it */
		{{1, 1024}},                /* the status at the end of a large piece */
		{{512, 513}},               /* likewise */
		{{1, 1, 1, 1020, 1, 1}},    /* crumbs */
		{{1000, 24, 1}},            /* not along sectors */
		{{511, 1, 511, 1, 1}},      /* likewise */
		{{300, 300, 300, 100, 25}}, /* nothing where one would expect it */
},
  write_framings[] = {
	  {{16, 1024}},      {{1040}},           {{15, 1025}},
	  {{1, 15, 1024}},   {{8, 8, 512, 512}}, {{17, 1023}},
	  {{16 + 512, 512}}, {{16 + 1023, 1}},   {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1027}},
};
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Adds the descriptors of @f over the bytes from @offset on, with holes between them. */
static void scatter(const struct framing *f, uint32_t offset, bool writable)
{
	for (unsigned int i = 0; i < RING_SIZE && f->part[i]; i++) {
		if (writable)
			in(offset, f->part[i]);
		else
			out(offset, f->part[i]);
		offset += f->part[i] + 3;
	}
}

/* Copies between the scattered pieces and one buffer. Returns the bytes. */
static uint32_t gather(const struct framing *f, uint32_t offset, uint8_t *bytes, bool to_guest)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < RING_SIZE && f->part[i]; i++) {
		if (to_guest)
			memcpy(guest.data + offset, bytes + done, f->part[i]);
		else
			memcpy(bytes + done, guest.data + offset, f->part[i]);
		done += f->part[i];
		offset += f->part[i] + 3;
	}
	return done;
}

START_TEST(any_framing_of_a_read)
{
	const struct framing *f = &read_framings[_i / WAYS];
	struct vg_blk_stats stats;
	uint8_t back[1025];

	begin(_i % WAYS);
	put_header(HEADER, VIRTIO_BLK_T_IN, 77);
	memset(guest.data + DATA, UNSET, 2048);
	out(HEADER, 5);
	out(HEADER + 5, 11);
	scatter(f, DATA, true);
	offer();
	ck_assert_uint_eq(finish(), 1025);
	ck_assert_uint_eq(gather(f, DATA, back, false), 1025);
	ck_assert_uint_eq(disk_same(back, 1024, 77 * 512L, 0), 1024);
	ck_assert_uint_eq(back[1024], VIRTIO_BLK_S_OK);
	vg_blk_get_stats(blk, &stats);
	ck_assert_uint_eq(stats.bytes_read, 1024); /* the status is not read from the disk */
	/* Not a byte between and behind the pieces. */
	ck_assert(is_filled(DATA + f->part[0], 3, UNSET));
	ck_assert(is_filled(DATA + 1025 + 3 * RING_SIZE, 100, UNSET));
	end();
}
END_TEST

START_TEST(any_framing_of_a_write)
{
	const struct framing *f = &write_framings[_i / WAYS];
	const struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_OUT, .sector = 33};
	uint8_t bytes[1040], back[1024];

	begin(_i % WAYS);
	memcpy(bytes, &header, 16);
	for (unsigned int i = 16; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 11);
	memset(guest.data + DATA, UNSET, 2048);
	ck_assert_uint_eq(gather(f, DATA, bytes, true), 1040);
	scatter(f, DATA, false);
	guest.data[STATUS] = UNSET;
	in(STATUS, 1);
	offer();
	ck_assert_uint_eq(finish(), 1);
	ck_assert_uint_eq(guest.data[STATUS], VIRTIO_BLK_S_OK);
	ck_assert_int_eq(pread(disk, back, 1024, 33 * 512L), 1024);
	ck_assert_mem_eq(back, bytes + 16, 1024);
	ck_assert(disk_untouched(31, 2) && disk_untouched(35, 2));
	end();
}
END_TEST

/* Device-writable bytes that nobody fills are cleared, never left as they were. */
START_TEST(room_that_is_not_used)
{
	begin(_i);
	memset(guest.data + DATA, 0xee, 4096);
	put_header(HEADER, VIRTIO_BLK_T_OUT, 1);
	out(HEADER, 16);
	out(DATA + 1024, 512);
	in(DATA, 1001);
	offer();
	ck_assert_uint_eq(finish(), 1001);
	ck_assert(is_filled(DATA, 1001, 0)); /* the last is the status */
	ck_assert(is_filled(DATA + 1001, 23, 0xee));
	end();
}
END_TEST

START_TEST(identity)
{
	struct vg_blk_config config = (world_begin(_i), blk_config());
	struct vg_blk_stats stats;

	config.serial = "0123456789abcdefghijklmnop";
	device_begin(&config);
	driver_begin(0);
	memset(guest.data + DATA, 0xee, 4096);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_GET_ID, 0, DATA, 20), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(guest.data + DATA, "0123456789abcdefghij", 20);
	ck_assert(is_filled(DATA + 20, 100, 0xee));
	ck_assert_uint_eq(request(VIRTIO_BLK_T_GET_ID, 0, DATA + 1000, 5), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(guest.data + DATA + 1000, "01234\xee", 6);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_GET_ID, 0, DATA + 2000, 300), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(guest.data + DATA + 2000, "0123456789abcdefghij", 20);
	ck_assert(is_filled(DATA + 2020, 280, 0) && is_filled(DATA + 2300, 100, 0xee));
	ck_assert_uint_eq(request(VIRTIO_BLK_T_GET_ID, 0, 0, 0), VIRTIO_BLK_S_OK);
	vg_blk_get_stats(blk, &stats);
	ck_assert_uint_eq(stats.other, 4);
	ck_assert_uint_eq(stats.errors, 0);
	end();
}
END_TEST

START_TEST(a_short_serial_is_padded)
{
	begin(0);
	memset(guest.data + DATA, 0xee, 20);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_GET_ID, 0, DATA, 20), VIRTIO_BLK_S_OK);
	ck_assert_mem_eq(guest.data + DATA, "serial-number\0\0\0\0\0\0\0", 20);
	end();
}
END_TEST

START_TEST(a_read_only_disk)
{
	struct vg_blk_config config = (world_begin(_i), blk_config());

	config.read_only = true;
	device_begin(&config);
	ck_assert(offers(VIRTIO_BLK_F_RO));
	driver_begin(0);
	memset(guest.data + DATA, 1, 4096);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 0, DATA, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert(disk_untouched(0, 16));
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, 8, DATA, 4096), VIRTIO_BLK_S_OK);
	ck_assert(holds_sector(DATA, 4096, 8));
	ck_assert_uint_eq(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	end();
}
END_TEST

START_TEST(a_null_disk)
{
	struct vg_blk_config config = (world_begin(0), blk_config());

	config.engine = VG_BLK_ENGINE_NULL;
	config.null_size = UINT64_C(1) << 50;
	device_begin(&config);
	driver_begin(0);
	ck_assert_uint_eq(config_field(0, 8), UINT64_C(1) << 41);
	memset(guest.data + DATA, 0xee, 4096);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, (UINT64_C(1) << 41) - 8, DATA, 4096),
			  VIRTIO_BLK_S_OK);
	ck_assert(is_filled(DATA, 4096, 0xee));
	ck_assert_uint_eq(request(VIRTIO_BLK_T_OUT, 0, DATA, 4096), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(request(VIRTIO_BLK_T_IN, (UINT64_C(1) << 41) - 7, DATA, 4096),
			  VIRTIO_BLK_S_IOERR);
	end();
}
END_TEST

/* More requests than there are states for them, several at a time: each state comes back. */
START_TEST(many_requests)
{
	struct vg_blk_stats stats;

	begin(_i);
	for (unsigned int round = 0; round < 150; round++) {
		uint16_t used = guest.used->idx;

		for (uint32_t i = 0; i < 5; i++) {
			put_header(HEADER + i * 16, VIRTIO_BLK_T_IN, round + i);
			guest.data[STATUS + i] = UNSET;
			out(HEADER + i * 16, 16);
			in(DATA + i * 4096, 512);
			in(STATUS + i, 1);
			offer();
		}
		serve();
		ck_assert_uint_eq((uint16_t)(guest.used->idx - used), 5);
		for (uint32_t i = 0; i < 5; i++) {
			ck_assert_uint_eq(guest.data[STATUS + i], VIRTIO_BLK_S_OK);
			ck_assert(holds_sector(DATA + i * 4096, 512, round + i));
		}
		descriptors = first = 0;
	}
	vg_blk_get_stats(blk, &stats);
	ck_assert_uint_eq(stats.reads, 750);
	ck_assert_uint_eq(stats.errors + stats.in_flight, 0);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk");
	TCase *device = tcase_create("device"), *requests = tcase_create("requests");
	SRunner *runner;
	int failed;

	tcase_add_test(device, configuration_space);
	tcase_add_test(device, creation_checks_its_arguments);
	suite_add_tcase(suite, device);
	tcase_set_timeout(requests, 120);
	tcase_add_loop_test(requests, there_and_back, 0, WAYS);
	tcase_add_loop_test(requests, any_framing_of_a_read, 0, COUNT(read_framings) * WAYS);
	tcase_add_loop_test(requests, any_framing_of_a_write, 0, COUNT(write_framings) * WAYS);
	tcase_add_loop_test(requests, room_that_is_not_used, 0, WAYS);
	tcase_add_loop_test(requests, identity, 0, WAYS);
	tcase_add_test(requests, a_short_serial_is_padded);
	tcase_add_loop_test(requests, a_read_only_disk, 0, WAYS);
	tcase_add_test(requests, a_null_disk);
	tcase_add_loop_test(requests, many_requests, 0, WAYS);
	suite_add_tcase(suite, requests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

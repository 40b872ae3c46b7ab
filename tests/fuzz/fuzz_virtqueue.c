// SPDX-License-Identifier: MIT
/*
 * A driver made of fuzzer input against the device side of a virtqueue: it writes descriptors,
 * rings and tables, also in mid-work, and the device pops, touches every byte that it was given,
 * completes.
 *
 * What must hold, whatever the driver does: no byte outside the grants is read or written (the
 * canary pages keep their contents), pieces add up to the lengths promised, every element that was
 * popped can be completed, and nothing stays mapped.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fake/fake_xen.h"
#include <vgrant/virtqueue.h>

#define RINGS  1  /* page of descriptors, of available, of used */
#define TABLE  8  /* two pages for indirect tables */
#define DATA   16 /* four writable pages, two read-only ones behind them */
#define LOOSE  24 /* granted, in no region */
#define CANARY 30 /* in no grant */

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct input {
	const uint8_t *p;
	size_t left;
};

static uint8_t byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static uint16_t word(struct input *in)
{
	uint16_t hi = byte(in);

	return (uint16_t)(hi << 8 | byte(in));
}

static void require(int holds)
{
	if (!holds)
		abort();
}

/* Mostly addresses that mean something, because random ones never do. */
static uint64_t address(struct input *in)
{
	static const uint32_t refs[] = {TABLE,    TABLE + 1, DATA,          DATA + 3,
					DATA + 4, DATA + 5,  LOOSE,         LOOSE + 2,
					CANARY,   RINGS,     FAKE_REFS - 1, FAKE_REFS};
	uint8_t kind = byte(in);
	uint16_t low = word(in);

	if (kind == 255)
		return (uint64_t)low << 48 | word(in);
	return vg_addr_make(refs[kind % (sizeof(refs) / sizeof(refs[0]))], low % VG_PAGE_SIZE);
}

static void write_desc(struct input *in, struct desc *d)
{
	d->addr = address(in);
	d->len = byte(in) == 255 ? (uint32_t)word(in) << 16 | word(in) : word(in);
	d->flags = byte(in) & 7;
	d->next = byte(in) & 63;
}

static void touch(struct vg_element *e, uint8_t fill)
{
	static uint8_t buf[VG_REQUEST_BYTES];
	size_t out = vg_request_read(&e->req, 0, buf, sizeof(buf));
	size_t in;

	memset(buf, fill, e->req.in_len);
	in = vg_request_write(&e->req, 0, buf, e->req.in_len);
	require(out == e->req.out_len && in == e->req.in_len);
	require(!e->req.error || (!out && !in));
}

static void drive(struct input *in, struct vg_virtqueue *vq, uint16_t size)
{
	struct desc *desc = fake_page(RINGS), *table = fake_page(TABLE);
	uint16_t *avail = fake_page(RINGS + 1);
	struct vg_element *inflight[VG_VQ_MAX_SIZE], *popped[16];
	unsigned int n = 0;

	while (in->left) {
		uint8_t op = byte(in);
		int got;

		switch (op % 8) {
		case 0:
			write_desc(in, &desc[byte(in) % size]);
			break;
		case 1:
			write_desc(in, &table[byte(in)]);
			break;
		case 2: /* offer an entry */
			avail[2 + avail[1] % size] = byte(in) % (size + 1);
			avail[1]++;
			break;
		case 3: /* a lie */
			avail[byte(in) % (3 + size)] = word(in);
			break;
		case 4:
			got = vg_vq_pop(vq, popped, 1 + op / 16);
			require(got >= 0 || vg_vq_is_broken(vq));
			for (int i = 0; i < got; i++) {
				touch(popped[i], op);
				inflight[n++] = popped[i];
			}
			require(n == vg_vq_inflight(vq));
			break;
		case 5:
			if (n) {
				unsigned int i = byte(in) % n;

				vg_vq_complete(vq, inflight[i], word(in));
				inflight[i] = inflight[--n];
				vg_vq_flush(vq);
			}
			break;
		case 6:
			vg_vq_enable_notify(vq);
			break;
		default:
			vg_vq_disable_notify(vq);
			vg_vq_has_work(vq);
			break;
		}
	}
	while (n)
		vg_vq_complete(vq, inflight[--n], UINT32_MAX);
	vg_vq_flush(vq);
	require(vg_vq_inflight(vq) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t canary[VG_PAGE_SIZE] = {[0] = 0xca, [VG_PAGE_SIZE - 1] = 0xca};
	struct input in = {.p = data, .left = len};
	uint8_t how = byte(&in);
	struct vg_quota quota = {.max_pages = 64};
	const struct vg_view_config view_config = {
		.domid = FAKE_DOMID,
		.gnttab = fake_gnttab(),
		.quota = &quota,
		.policy = {.copy_max = how & 8 ? 8192 : 0, .map_max = how & 16 ? 65536 : 0},
		.max_refs = FAKE_REFS,
		.max_requests = 8,
	};
	struct vg_vq_config config = {
		.size = (uint16_t)(2u << (how & 3)),
		.desc_addr = vg_addr_make(RINGS, 0),
		.driver_addr = vg_addr_make(RINGS + 1, 0),
		.device_addr = vg_addr_make(RINGS + 2, 0),
		.indirect = how & 32,
		.event_idx = how & 64,
	};
	struct vg_virtqueue *vq;
	struct vg_view *view;

	fake_xen_reset();
	fake_grant(RINGS, 3, true);
	fake_grant(TABLE, 2, true);
	fake_grant(DATA, 4, true);
	memset(fake_grant(DATA + 4, 2, false), 0x5a, 2 * VG_PAGE_SIZE);
	fake_grant(LOOSE, 3, true);
	memcpy(fake_page(CANARY), canary, VG_PAGE_SIZE);
	require(!vg_view_create(&view_config, &view));
	if (how & 4) {
		require(!vg_view_region_add(view, TABLE, 2, false));
		require(!vg_view_region_add(view, DATA, 3, true));
		require(!vg_view_region_add(view, DATA + 3, 1, true));
		require(!vg_view_region_add(view, DATA + 4, 2, false));
	}
	config.view = view;
	require(!vg_vq_create(&config, &vq));
	drive(&in, vq, config.size);
	vg_vq_destroy(vq);
	vg_view_destroy(view);
	require(fake_xen_clean());
	require(!memcmp(fake_page(CANARY), canary, VG_PAGE_SIZE));
	for (size_t i = 0; i < 2 * VG_PAGE_SIZE; i++)
		require(((uint8_t *)fake_page(DATA + 4))[i] == 0x5a);
	return 0;
}

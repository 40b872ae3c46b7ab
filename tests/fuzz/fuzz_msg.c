// SPDX-License-Identifier: MIT
/*
 * What a guest writes into the control page: the codec, the rings' indices, and whole connections'
 * worth of slots. The first byte of the input says which of the two it is for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vgrant/msg.h>

#include "bus/xenbus/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that does not hold is what the fuzzer is to find. */
static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Strict means that there is one encoding: what decodes comes out again, byte for byte. */
static void codec(const uint8_t *data, size_t size)
{
	uint8_t wire[VG_MSG_MAX_SIZE];
	struct vg_msg msg, again, response;
	int len;

	if (vg_msg_decode(data, size, &msg))
		return;
	len = vg_msg_encode(&msg, wire, sizeof(wire));
	require(len >= VG_MSG_HEADER_SIZE && (size_t)len <= size);
	require(!memcmp(wire, data, (size_t)len));
	require(!vg_msg_decode(wire, (size_t)len, &again));
	require(again.type == msg.type && again.id == msg.id && again.token == msg.token);
	require(vg_msg_encode(&msg, wire, (size_t)len - 1) == -EMSGSIZE);
	require(msg.type & VG_MSG_BUS || msg.id != VG_MSG_GET_CONFIG ||
		msg.config.length <= VG_MSG_MAX_DATA);
	if (msg.type & VG_MSG_RESPONSE || !msg.token)
		return;
	vg_msg_respond(&msg, &response);
	require(response.token == msg.token && response.type & VG_MSG_RESPONSE);
}

struct script {
	const uint8_t *data;
	size_t left;
};

static uint32_t take(struct script *s, unsigned int bytes)
{
	uint32_t value = 0;

	while (bytes-- && s->left) {
		value = value << 8 | *s->data++;
		s->left--;
	}
	return value;
}

static _Alignas(4096) uint8_t memory[4096];

static void write_page(size_t offset, uint32_t value)
{
	vg_guest_store32((uint32_t VG_GUEST *)(uintptr_t)(memory + offset), value);
}

/* The device's end does its work while the page changes under it as the script says. */
static void hostile_page(struct script *s)
{
	struct vg_ctl_page VG_GUEST *page = (struct vg_ctl_page VG_GUEST *)(uintptr_t)memory;
	uint8_t slot[VG_CTL_SLOT_SIZE];
	uint32_t taken = 0, put = 0;
	struct vg_ctl ctl;
	struct vg_msg msg;
	bool notify;

	vg_ctl_format(page);
	vg_ctl_attach(&ctl, page, VG_CTL_DEVICE);
	while (s->left) {
		int ret = 0;

		switch (take(s, 1) % 8) {
		case 0:
			write_page(0x40, ctl.cons + take(s, 1) % 20);
			continue;
		case 1:
			write_page(0x44, ctl.prod - take(s, 1) % 20);
			continue;
		case 2:
			write_page(take(s, 2) & 0xffc, take(s, 4));
			continue;
		case 3:
			memory[0x100 + take(s, 2) % VG_CTL_RING_SIZE] = (uint8_t)take(s, 1);
			continue;
		case 4:
			ret = vg_ctl_put(&ctl, memory + take(s, 1),
					 take(s, 1) % (sizeof(slot) + 1));
			put += !ret;
			ret = ret == -EAGAIN ? 0 : ret;
			break;
		case 5:
			ret = vg_ctl_space(&ctl);
			require(ret <= VG_CTL_SLOTS);
			break;
		case 6:
			ret = vg_ctl_pending(&ctl);
			require(ret <= VG_CTL_SLOTS);
			break;
		default:
			notify = false;
			ret = vg_ctl_get(&ctl, slot, &notify);
			if (ret == 1) {
				taken++;
				if (!vg_msg_decode(slot, sizeof(slot), &msg))
					codec(slot, sizeof(slot));
			}
		}
		require(ret >= 0 || ret == -EPROTO);
		/* Private indices count what was done, whatever the page says. */
		require(ctl.cons == taken && ctl.prod == put);
		if (ret < 0)
			return; /* the connection is over */
	}
	vg_ctl_check(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {data + 1, size ? size - 1 : 0};

	if (!size)
		return 0;
	if (data[0] & 1)
		hostile_page(&script);
	else
		codec(data + 1, size - 1);
	return 0;
}

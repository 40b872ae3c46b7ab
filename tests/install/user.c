// SPDX-License-Identifier: MIT
/* A program of somebody else's: it includes every public header and links through vgrant.pc. */
#include <stdio.h>

#include <vgrant/address.h>
#include <vgrant/device.h>
#include <vgrant/guest.h>
#include <vgrant/log.h>
#include <vgrant/msg.h>
#include <vgrant/store.h>
#include <vgrant/view.h>
#include <vgrant/virtqueue.h>
#include <vgrant/xen.h>
#include <vgrant/xenbus.h>

int main(void)
{
	const struct vg_msg msg = {.id = VG_MSG_GET_DEVICE_INFO, .token = 1};
	unsigned char wire[VG_MSG_MAX_SIZE];

	vg_view_destroy(NULL);
	vg_vq_destroy(NULL);
	printf("%d\n", vg_msg_encode(&msg, wire, sizeof(wire)));
	return 0;
}

// SPDX-License-Identifier: MIT
/*
 * vgguest flood: all queues full all the time with the requests that cost the backend the most for
 * nothing: reads of a place that no disk has, as large as a request may be, with a header that must
 * be copied. What else the guest has, and what it wants to be rid of, is to be served all the same.
 */
#include <endian.h>
#include <errno.h>

#include <vgrant/device.h>

#include "internal.h"

#include "cli.h"

#define PAGES 1020 /* of one read: just below the most that a request may have */

struct flood {
	struct vgg *g;
	struct vgg_pages header, data;
	struct vgg_queue queue[VGG_MAX_QUEUES];
	uint16_t queues;
};

/* The one request of every entry of every queue: a header, and one long buffer. */
static void fill(struct flood *f, struct vgg_queue *q)
{
	struct vgg_desc *desc = q->ring.desc;

	desc[0] = (struct vgg_desc){.addr = htole64(vgg_address(&f->header, 0)),
				    .len = htole32(16),
				    .flags = htole16(1),
				    .next = htole16(1)};
	desc[1] = (struct vgg_desc){.addr = htole64(vgg_address(&f->data, 0)),
				    .len = htole32(PAGES * VGG_PAGE),
				    .flags = htole16(2)};
	for (unsigned int i = 0; i < q->ring.size; i++)
		q->ring.avail->ring[i] = 0;
}

static int set_up(struct flood *f)
{
	uint64_t features;
	int err = vgg_connect(f->g);

	if (!err)
		err = vgg_negotiate(f->g, VGG_BLK_F_MQ | VG_F_VERSION_1 | VG_F_ACCESS_PLATFORM,
				    &features);
	if (!err)
		err = vgg_share(f->g, 1, true, &f->header);
	if (!err)
		err = vgg_share(f->g, PAGES, true, &f->data);
	if (!err)
		err = vgg_declare(f->g, &f->data);
	if (err)
		return err;
	((uint64_t *)(void *)f->header.base)[1] = htole64(UINT64_MAX >> 9); /* a read of sector … */
	for (; f->queues < VGG_MAX_QUEUES; f->queues++) {
		struct vgg_queue_config config = {.index = f->queues, .declare = true};
		int size = vgg_queue_max_size(f->g, f->queues);

		if (size <= 0)
			break;
		config.size = (uint16_t)size;
		err = vgg_queue_create(f->g, &config, &f->queue[f->queues]);
		if (err)
			return err;
		fill(f, &f->queue[f->queues]);
	}
	return vgg_driver_ok(f->g);
}

static void take_down(struct flood *f)
{
	vgg_reset(f->g);
	for (unsigned int i = 0; i < f->queues; i++)
		vgg_queue_destroy(f->g, &f->queue[i]);
	vgg_unshare(f->g, &f->data);
	vgg_unshare(f->g, &f->header);
	vgg_disconnect(f->g);
	vgg_close(f->g);
}

int cmd_flood(const struct cli *cli)
{
	uint64_t deadline = vgg_now_ms() + cli->seconds * 1000;
	struct flood f = {0};
	uint64_t refused = 0;
	uint16_t seen[VGG_MAX_QUEUES] = {0};
	int err = vgg_open(&cli->node, &f.g);

	if (err)
		return cli_failed(NULL, err);
	err = set_up(&f);
	if (!err)
		err = vgg_announce(f.g);
	if (err) {
		err = cli_failed(f.g, err);
		take_down(&f);
		return err;
	}
	for (unsigned int i = 0; i < f.queues; i++) {
		vg_guest_store16_release(&f.queue[i].ring.avail->idx, f.queue[i].ring.size);
		vgg_kick(f.g, &f.queue[i]);
	}
	while (!cli_stop && vgg_now_ms() < deadline) {
		for (unsigned int i = 0; i < f.queues; i++) {
			struct vgg_ring *ring = &f.queue[i].ring;
			uint16_t used = vg_guest_load16_acquire(&ring->used->idx);

			refused += (uint16_t)(used - seen[i]);
			seen[i] = used;
			vg_guest_store16_release(&ring->avail->idx, (uint16_t)(used + ring->size));
		}
	}
	printf("%u queues, %llu requests refused\n", f.queues, (unsigned long long)refused);
	take_down(&f);
	return refused ? EXIT_OK : EXIT_ERROR;
}

// SPDX-License-Identifier: MIT
/* forbidden: the guest's part of vgforbidden. hang: a guest that stops answering. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vgrant/guest.h>

#include "cli.h"

/* What a page that the backend may read holds; vgforbidden looks for it. */
#define GRANTED_TEXT "vgrant: this page was granted"
/* Never granted, if nothing else in this domain makes a thousand grants meanwhile. */
#define FAR_AWAY 1000u

static int fill_page(struct vgg *g, bool writable, struct vgg_pages *page, const char *name)
{
	int err = vgg_share(g, 1, writable, page);

	if (err)
		return err;
	memcpy(page->base, GRANTED_TEXT, sizeof(GRANTED_TEXT));
	printf("%s %u\n", name, page->refs[0]);
	return 0;
}

int cmd_forbidden(const struct cli *cli)
{
	struct vgg_pages read_only = {0}, temporary = {0};
	char line[32];
	struct vgg *g;
	int err = vgg_open(&cli->node, &g), e;

	if (err)
		return cli_failed(NULL, err);
	err = fill_page(g, false, &read_only, "read-only");
	if (!err)
		err = fill_page(g, true, &temporary, "temporary");
	if (!err)
		printf("never %u\nready\n", vgg_highest_ref(g) + FAR_AWAY);
	fflush(stdout);
	while (!err && !cli_stop && fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "end\n")) {
			err = vgg_unshare(g, &temporary);
			if (!err)
				puts("ended");
		} else if (!strcmp(line, "check\n")) {
			puts(memcmp(read_only.base, GRANTED_TEXT, sizeof(GRANTED_TEXT)) ? "changed"
											: "intact");
		} else {
			puts("commands: end, check");
		}
		fflush(stdout);
	}
	e = vgg_unshare(g, &temporary);
	err = err ? err : e;
	e = vgg_unshare(g, &read_only);
	err = err ? err : e;
	e = err ? cli_failed(g, err) : EXIT_OK;
	vgg_close(g);
	return e;
}

/* Sends a message and does not look for its answer. */
static int send_only(struct vgg *g, const struct vg_msg *msg)
{
	uint8_t bytes[VG_MSG_MAX_SIZE];
	int len = vg_msg_encode(msg, bytes, sizeof(bytes));

	return len < 0 ? len : vgg_send_raw(g, bytes, (size_t)len);
}

/* The device is to say when the first is done, which nobody will look at. */
static int submit_all(struct vgg_blk *blk)
{
	struct vgg_blk_info info;
	int err = 0;

	vgg_blk_get_info(blk, &info);
	for (uint16_t i = 0; i < info.depth && !err; i++) {
		struct vgg_blk_slot *slot = vgg_blk_slot(blk, 0, i);

		err = vgg_blk_prepare(blk, slot);
		if (!err)
			err = vgg_blk_submit(blk, slot, VGG_BLK_READ, 0, VGG_SECTOR);
	}
	if (err)
		return err;
	vgg_blk_arm(blk, 1);
	return vgg_blk_kick(blk, 0);
}

static int stage_flood(struct vgg *g)
{
	struct vg_msg msg = {.id = VG_MSG_GET_DEVICE_STATUS, .token = 1};
	int err = 0;

	for (unsigned int i = 0; i < 4 * VG_CTL_SLOTS && !err; i++)
		err = send_only(g, &msg);
	return err == -EAGAIN ? 0 : err; /* the backend has stopped taking them: as it should */
}

static int stage_reset(struct vgg *g, struct vgg_blk *blk)
{
	struct vg_msg msg = {.id = VG_MSG_SET_DEVICE_STATUS, .token = 1};
	int err = submit_all(blk);

	return err ? err : send_only(g, &msg);
}

static int stage_closing(struct vgg *g, struct vgg_blk *blk)
{
	int err = submit_all(blk);

	/* Closing is written and nothing after it: neither reset nor the end of the grants. */
	return err ? err : vgg_set_frontend_state(g, VG_XENBUS_CLOSING);
}

/* On the way to a connection, by virtio-msg; or, at "flood", with one. */
static int hang_early(struct vgg *g, const char *stage)
{
	int err = vgg_await_backend(g);

	if (err || !strcmp(stage, "waiting"))
		return err;
	err = vgg_offer(g);
	if (err || !strcmp(stage, "offered"))
		return err;
	err = vgg_await_connected(g);
	return err || !strcmp(stage, "connected") ? err : stage_flood(g);
}

static int hang_late(const struct cli *cli, struct vgg *g, const char *stage)
{
	struct vgg_blk *blk; /* never closed: this guest ends as a crash does */
	int err = vgg_connect(g);

	if (!err)
		err = vgg_blk_open(g, &cli->blk, &blk);
	if (err)
		return err;
	if (!strcmp(stage, "requests"))
		return submit_all(blk);
	return !strcmp(stage, "reset") ? stage_reset(g, blk) : stage_closing(g, blk);
}

int cmd_hang(const struct cli *cli)
{
	static const char *const stages[] = {"waiting",  "offered", "connected", "flood",
					     "requests", "reset",   "closing"};
	const size_t n = sizeof(stages) / sizeof(stages[0]), late = 4;
	const struct timespec pause = {.tv_nsec = 100000000};
	uint64_t ticks = cli->seconds * 10;
	struct vgg *g;
	size_t i = 0;
	int err;

	if (!strcmp(cli->arg, "list")) {
		for (i = 0; i < n; i++)
			puts(stages[i]);
		return EXIT_OK;
	}
	while (i < n && strcmp(cli->arg, stages[i]))
		i++;
	if (i == n) {
		fprintf(stderr, "vgguest: no stage '%s', see vgguest hang list\n", cli->arg);
		return EXIT_USAGE;
	}
	err = vgg_open(&cli->node, &g);
	if (err)
		return cli_failed(NULL, err);
	err = i < late ? hang_early(g, stages[i]) : hang_late(cli, g, stages[i]);
	if (err) {
		err = cli_failed(g, err);
		vgg_close(g);
		return err;
	}
	printf("hanging at %s\n", stages[i]);
	fflush(stdout);
	for (uint64_t t = 0; !cli_stop && (!cli->seconds || t < ticks); t++)
		nanosleep(&pause, NULL);
	_exit(EXIT_OK); /* without a word, as a crash */
}

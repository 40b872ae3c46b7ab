// SPDX-License-Identifier: MIT
/* hostile: runs cases, and after each one shows that the device can be used again. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <vgrant/guest.h>

#include "hostile.h"
#include "internal.h"

#define STATUS_NEEDS_RESET 0x40
#define WAIT_MS            3000
#define FEATURES           (UINT64_C(1) << 32 | UINT64_C(1) << 33 | UINT64_C(1) << 28)

enum outcome rig_wrong(struct rig *rig, const char *why)
{
	snprintf(rig->note, sizeof(rig->note), "%s", why);
	return WRONG;
}

void rig_desc(struct rig *rig, uint16_t index, uint64_t addr, uint32_t len, uint16_t flags,
	      uint16_t next)
{
	struct vgg_desc *desc = &rig->q.ring.desc[index];

	desc->addr = htole64(addr);
	desc->len = htole32(len);
	desc->flags = htole16(flags);
	desc->next = htole16(next);
}

void rig_read_chain(struct rig *rig)
{
	memset(rig->rw.base + RIG_HEADER, 0, 16); /* a read of sector 0 */
	rig->rw.base[RIG_STATUS] = 0xff;
	rig_desc(rig, 0, vgg_address(&rig->rw, RIG_HEADER), 16, VGG_DESC_F_NEXT, 1);
	rig_desc(rig, 1, vgg_address(&rig->rw, RIG_DATA), VGG_SECTOR,
		 VGG_DESC_F_NEXT | VGG_DESC_F_WRITE, 2);
	rig_desc(rig, 2, vgg_address(&rig->rw, RIG_STATUS), 1, VGG_DESC_F_WRITE, 0);
}

enum outcome rig_settled(struct rig *rig)
{
	uint8_t status;
	int err = vgg_get_status(rig->g, &status);

	if (err == -ECONNRESET)
		return ENDED;
	if (err)
		return UNDECIDED;
	return status & STATUS_NEEDS_RESET ? NEEDS_RESET : HARMLESS;
}

/* Until the device completes something or makes up its mind otherwise. */
static enum outcome await(struct rig *rig)
{
	const struct vgg_ring *ring = &rig->q.ring;
	uint16_t before = ring->last_used;

	uint64_t end = vgg_now_ms() + WAIT_MS;

	while (vgg_left_ms(end)) {
		enum outcome outcome;

		if (vg_guest_load16_acquire(&ring->used->idx) != before)
			return rig->rw.base[RIG_STATUS] == VGG_BLK_OK
				       ? rig_wrong(rig, "the device reports success")
				       : REFUSED;
		outcome = rig_settled(rig);
		if (outcome != HARMLESS)
			return outcome;
		if (vgg_wait(rig->g, 20) == -ECONNRESET)
			return ENDED;
	}
	return UNDECIDED;
}

enum outcome rig_ended(struct rig *rig)
{
	uint64_t end = vgg_now_ms() + WAIT_MS;
	int left;

	while ((left = vgg_left_ms(end)))
		if (vgg_wait(rig->g, left) == -ECONNRESET)
			return ENDED;
	return UNDECIDED;
}

enum outcome rig_publish(struct rig *rig, uint16_t idx)
{
	vg_guest_store16_release(&rig->q.ring.avail->idx, idx);
	vgg_kick(rig->g, &rig->q);
	return await(rig);
}

enum outcome rig_offer(struct rig *rig, uint16_t head)
{
	vg_guest_store16(&rig->q.ring.avail->ring[rig->next_avail % rig->q.ring.size], head);
	return rig_publish(rig, ++rig->next_avail);
}

enum outcome rig_send(struct rig *rig, const void *bytes, size_t len)
{
	if (vgg_send_raw(rig->g, bytes, len))
		return UNDECIDED;
	return rig_settled(rig);
}

/* A connection lasts from case to case, until one ends it. */
static int reach(struct vgg *g)
{
	return vgg_control_page(g) ? 0 : vgg_connect(g);
}

static int rig_up(struct rig *rig)
{
	struct vgg_queue_config qc = {.size = RIG_QUEUE, .declare = true};
	uint64_t features;
	int err = reach(rig->g);

	if (!err)
		err = vgg_negotiate(rig->g, FEATURES, &features);
	if (!err)
		err = vgg_queue_create(rig->g, &qc, &rig->q);
	if (!err)
		err = vgg_share(rig->g, RIG_PAGES, true, &rig->rw);
	if (!err)
		err = vgg_declare(rig->g, &rig->rw);
	if (!err)
		err = vgg_share(rig->g, 1, false, &rig->ro);
	if (!err)
		err = vgg_declare(rig->g, &rig->ro);
	if (!err)
		err = vgg_share(rig->g, 1, true, &rig->loose);
	if (!err)
		err = vgg_driver_ok(rig->g);
	if (!err)
		err = vgg_announce(rig->g);
	return err;
}

/* In order where the backend still answers; otherwise the connection's end lets it let go. */
static int rig_down(struct rig *rig)
{
	int err = vgg_control_page(rig->g) ? vgg_reset(rig->g) : 0, e;

	if (err)
		err = vgg_disconnect(rig->g);
	e = vgg_queue_destroy(rig->g, &rig->q);
	err = err ? err : e;
	e = vgg_unshare(rig->g, &rig->rw);
	err = err ? err : e;
	e = vgg_unshare(rig->g, &rig->ro);
	err = err ? err : e;
	e = vgg_unshare(rig->g, &rig->loose);
	return err ? err : e;
}

/* After all that: the same guest comes again, in good order, and is served. */
static int works_again(const struct cli *cli, struct vgg *g)
{
	uint8_t sector[VGG_SECTOR];
	struct vgg_blk *blk = NULL;
	int err = reach(g), e;

	if (!err)
		err = vgg_blk_open(g, &cli->blk, &blk);
	if (!err)
		err = vgg_blk_read(blk, 0, sector, sizeof(sector));
	e = vgg_blk_close(blk);
	return err ? err : e;
}

static const char *outcome_words(enum outcome outcome)
{
	switch (outcome) {
	case HARMLESS:
		return "discarded or refused, the device works on";
	case REFUSED:
		return "the request failed, the device works on";
	case NEEDS_RESET:
		return "DEVICE_NEEDS_RESET";
	case ENDED:
		return "the connection was ended";
	case WRONG:
		return "WRONG";
	default:
		return "nothing within the time-out";
	}
}

static bool say_failed(const struct hostile_case *c, const char *what, const char *why)
{
	printf("FAIL %s: %s%s\n", c->name, what, why);
	fflush(stdout);
	return false;
}

static bool run_case(const struct cli *cli, struct vgg *g, const struct hostile_case *c,
		     bool rigged)
{
	struct rig rig = {.g = g};
	enum outcome outcome;
	bool good = true;
	int err;

	if (rigged) {
		err = rig_up(&rig);
	} else {
		err = vgg_disconnect(g);
		if (!err)
			err = vgg_await_backend(g);
	}
	if (err) {
		say_failed(c, "cannot begin: ", vgg_error(g));
		rig_down(&rig);
		return false;
	}
	outcome = c->run(&rig);
	if (!(outcome & c->allowed))
		good = say_failed(c, "", rig.note[0] ? rig.note : outcome_words(outcome));
	err = rig_down(&rig);
	if (err)
		good = say_failed(c, "cannot be taken down: ", vgg_error(g));
	err = works_again(cli, g);
	if (err)
		good = say_failed(c, "not served afterwards: ", vgg_error(g));
	if (good)
		printf("ok %s: %s\n", c->name, outcome_words(outcome));
	fflush(stdout);
	return good;
}

struct case_set {
	const struct hostile_case *cases;
	bool rigged;
};

static const struct case_set sets[] = {
	{hostile_ring_cases, true},
	{hostile_msg_cases, true},
	{hostile_offer_cases, false},
};
#define SETS (sizeof(sets) / sizeof(sets[0]))

static void list_cases(void)
{
	for (size_t s = 0; s < SETS; s++)
		for (const struct hostile_case *c = sets[s].cases; c->name; c++)
			printf("%-24s%s\n", c->name, c->what);
}

int cmd_hostile(const struct cli *cli)
{
	bool all = !strcmp(cli->arg, "all");
	unsigned int found = 0, failed = 0;
	struct vgg *g;
	int err, status;

	if (!strcmp(cli->arg, "list")) {
		list_cases();
		return EXIT_OK;
	}
	err = vgg_open(&cli->node, &g);
	if (err)
		return cli_failed(NULL, err);
	for (size_t s = 0; s < SETS; s++) {
		for (const struct hostile_case *c = sets[s].cases; c->name && !cli_stop; c++) {
			if (!all && strcmp(c->name, cli->arg) != 0)
				continue;
			found++;
			failed += !run_case(cli, g, c, sets[s].rigged);
		}
	}
	err = vgg_disconnect(g);
	status = err ? cli_failed(g, err) : failed || cli_stop ? EXIT_ERROR : EXIT_OK;
	if (found)
		printf("%u cases, %u failed\n", found, failed);
	else
		fprintf(stderr, "vgguest: no case '%s', see vgguest hostile list\n", cli->arg);
	vgg_close(g);
	return found ? status : EXIT_USAGE;
}

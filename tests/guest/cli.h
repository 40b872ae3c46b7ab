/* SPDX-License-Identifier: MIT */
/* The program vgguest: what its commands share. */
#ifndef VGGUEST_CLI_H
#define VGGUEST_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "blk.h"

/* Exit statuses: a script can tell what went wrong. */
enum {
	EXIT_OK = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
	EXIT_CLOSED = 3, /* the backend closed the device or went away */
	EXIT_TIMEOUT = 4,
};

struct cli {
	struct vgg_config node;
	struct vgg_blk_config blk;
	const char *arg; /* what stands after the command */
	const char *out;
	uint64_t offset, seconds, requests, count, seed;
	uint32_t size;
	uint16_t batch;
	bool write, mixed, sequential, poll, flush, json, hold;
};

extern volatile sig_atomic_t cli_stop; /* SIGTERM, SIGINT */

/* Prints the words of @g's last error and gives the exit status for @err. */
int cli_failed(const struct vgg *g, int err);
/* Opens the node, connects it, brings virtio-blk up. On failure everything is let go. */
int cli_up(const struct cli *cli, struct vgg **g, struct vgg_blk **blk);
/* Takes both down in order, with --hold at the end of standard input; @err is what happened before.
 * Returns the exit status. */
int cli_down(const struct cli *cli, struct vgg *g, struct vgg_blk *blk, int err);

int cmd_info(const struct cli *cli);
int cmd_read_all(const struct cli *cli);
int cmd_write(const struct cli *cli);
int cmd_flush(const struct cli *cli);
int cmd_verify(const struct cli *cli);
int cmd_bench(const struct cli *cli);
int cmd_drive(const struct cli *cli);
int cmd_reload(const struct cli *cli);
int cmd_session(const struct cli *cli);
int cmd_forbidden(const struct cli *cli);
int cmd_flood(const struct cli *cli);
int cmd_hang(const struct cli *cli);
int cmd_hostile(const struct cli *cli);

#endif

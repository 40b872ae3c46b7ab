// SPDX-License-Identifier: MIT
/*
 * vgrant-micro: what single operations cost, here: on Xen or on the simulated hypervisor. One
 * program for both ends, which run in two domains.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../number.h"
#include "micro.h"

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: vgrant-micro [--guest ID FILE] [--rounds N] [--ms N] [--json FILE]\n"
	"       vgrant-micro --serve ID\n"
	"Measures what grants, events, the virtqueue and this machine's memory cost.\n\n"
	"  --serve ID       in a guest: grants 256 pages to domain ID (which measures), prints "
	"what\n"
	"                   that needs to know, and answers events until standard input ends\n"
	"  --guest ID FILE  measures against the guest with that id, whose lines are in FILE;\n"
	"                   without it only what needs no guest\n"
	"  --rounds N       of which the median is taken: 3 to 201 (default 31)\n"
	"  --ms N           of each operation in a round: 1 to 1000 (default 2)\n"
	"  --json FILE      writes the result there too\n"
	"  --help           show this and exit\n";

struct command {
	unsigned int rounds, ms, serve, guest;
	bool serves, measures, help;
	const char *file, *json;
};

static int bad_usage(const char *option, const char *text, const char *want)
{
	fprintf(stderr, "vgrant-micro: --%s %.64s: %s\nvgrant-micro: try 'vgrant-micro --help'\n",
		option, text, want);
	return EXIT_USAGE;
}

enum {
	OPT_SERVE = 256,
	OPT_GUEST,
	OPT_ROUNDS,
	OPT_MS,
	OPT_JSON,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"serve", required_argument, NULL, OPT_SERVE},
	{"guest", required_argument, NULL, OPT_GUEST},
	{"rounds", required_argument, NULL, OPT_ROUNDS},
	{"ms", required_argument, NULL, OPT_MS},
	{"json", required_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int take(struct command *cmd, int option)
{
	switch (option) {
	case OPT_SERVE:
		cmd->serves = true;
		return number(optarg, 0, 0x7fef, &cmd->serve)
			       ? 0
			       : bad_usage("serve", optarg, "not a domain's id from 0 to 32751");
	case OPT_GUEST:
		cmd->measures = true;
		return number(optarg, 0, 0x7fef, &cmd->guest)
			       ? 0
			       : bad_usage("guest", optarg, "not a domain's id from 0 to 32751");
	case OPT_ROUNDS:
		return number(optarg, 3, MICRO_ROUNDS, &cmd->rounds)
			       ? 0
			       : bad_usage("rounds", optarg, "not a number from 3 to 201");
	case OPT_MS:
		return number(optarg, 1, 1000, &cmd->ms)
			       ? 0
			       : bad_usage("ms", optarg, "not a number from 1 to 1000");
	case OPT_JSON:
		cmd->json = optarg;
		return 0;
	case OPT_HELP:
		cmd->help = true;
		return 0;
	default:
		fputs("vgrant-micro: try 'vgrant-micro --help'\n", stderr);
		return EXIT_USAGE;
	}
}

static int parse(int argc, char **argv, struct command *cmd)
{
	int option, err = 0;

	while (!err && !cmd->help &&
	       (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		err = take(cmd, option);
	if (err || cmd->help)
		return err;
	if (cmd->measures && optind < argc)
		cmd->file = argv[optind++];
	else if (cmd->measures)
		return bad_usage("guest", "", "name also the file that holds what --serve printed");
	if (optind < argc) {
		fprintf(stderr,
			"vgrant-micro: '%.64s' is not an option\nvgrant-micro: try 'vgrant-micro "
			"--help'\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	if (cmd->serves && (cmd->measures || cmd->json))
		return bad_usage("serve", "", "the end that serves measures nothing");
	return 0;
}

/* How often an operation is done in a round, so that it lasts about @ms. */
static int calibrate(struct micro *m, struct micro_op *op, unsigned int ms)
{
	double from, spent = 0, ns;
	unsigned int count = 1;

	for (;;) {
		int err;

		from = micro_now();
		err = op->run(m, op->arg, count, &ns);
		if (err)
			return err;
		spent = micro_now() - from;
		if (spent >= ms * 2.5e5 || count >= 1u << 24)
			break;
		count *= 2;
	}
	op->count = (unsigned int)(count * (ms * 1e6) / spent);
	if (!op->count)
		op->count = 1;
	return 0;
}

/* Each operation in turn, so that whatever else the machine does meets all of them. */
static int measure(struct micro *m, struct micro_op *op, unsigned int n, const struct command *cmd)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < n; i++)
		err = calibrate(m, &op[i], cmd->ms);
	for (unsigned int r = 0; !err && r < cmd->rounds; r++) {
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\rround %u of %u ", r + 1, cmd->rounds);
		for (unsigned int i = 0; !err && i < n; i++) {
			err = op[i].run(m, op[i].arg, op[i].count, &op[i].ns[r]);
			op[i].ns[r] /= op[i].count;
		}
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%24s\r", "");
	return err;
}

static int run(const struct command *cmd, FILE *json)
{
	static struct micro_op op[MICRO_MAX_OPS];
	struct micro m = {.has_guest = cmd->measures};
	unsigned int n;
	int err = 0;

	if (cmd->measures)
		err = micro_read_guest(cmd->file, &m.guest);
	m.guest.domid = (uint16_t)cmd->guest;
	if (!err) {
		err = micro_open(&m);
		n = micro_ops(&m, op);
		if (!err)
			err = measure(&m, op, n, cmd);
		micro_close(&m);
		if (!err)
			err = micro_report(op, n, cmd->rounds, json);
	}
	return err;
}

int main(int argc, char **argv)
{
	struct command cmd = {.rounds = 31, .ms = 2};
	FILE *json = NULL;
	int err = parse(argc, argv, &cmd);

	if (err)
		return err;
	if (cmd.help) {
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	if (cmd.serves)
		return micro_serve((uint16_t)cmd.serve) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (cmd.json && !(json = fopen(cmd.json, "we"))) {
		micro_failed(-errno, "cannot write %s", cmd.json);
		return EXIT_FAILURE;
	}
	err = run(&cmd, json);
	if (json && fclose(json) && !err)
		err = micro_failed(-errno, "cannot write %s", cmd.json);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

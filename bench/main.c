// SPDX-License-Identifier: MIT
/*
 * vgrant-bench: region mode against foreign mapping, on the simulated hypervisor. Two guests and
 * two backends stand beside each other; runs alternate, so that both see the same machine.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "report.h"

#define EXIT_USAGE 2

#define MIN_PAIRS 5
#define MAX_PAIRS 10000
/* What the regions of one device hold: 256 of at most 1 MiB, a request's data in one of them, and
 * three are taken by rings, headers and indirect tables. */
#define MAX_BYTES    (UINT64_C(192) << 20)
#define REGION_BYTES (UINT32_C(1) << 20)
#define MAX_CHUNKS   253

static const char usage[] =
	"Usage: vgrant-bench [--quick] [OPTION]...\n"
	"Measures virtio-blk reads with the engine null on the simulated hypervisor: granted\n"
	"regions against foreign mapping, in runs that alternate. See bench/README.md.\n\n"
	"  --quick         4096 bytes, depth 32, short runs: under a minute\n"
	"  --size BYTES    of a request: 512 to 1048576, a multiple of 512 (default 4096)\n"
	"  --depth N       requests in flight: 1 to 256 (default 32)\n"
	"  --pairs N       runs of each side: 5 to 10000 (default 500; quick 400)\n"
	"  --seconds S     of each run: 0.02 to 60 (default 0.1; quick 0.05)\n"
	"  --requests N    in each run, instead of --seconds\n"
	"  --poll-us N     busy polling on both sides: 0 to 1000000 (default 0: none)\n"
	"  --scheduler P   of guests and backends: batch (default: waking a process takes the CPU\n"
	"                  from nobody) or other (Linux's usual); see bench/README.md\n"
	"  --json FILE     writes the result there too\n"
	"  --help          show this and exit\n";

struct command_line {
	struct workload work;
	unsigned int pairs;
	const char *json;
	bool quick, help;
};

/* ---- command line ---- */

static int bad_usage(const char *option, const char *text, const char *want)
{
	fprintf(stderr, "vgrant-bench: --%s %.64s: %s\nvgrant-bench: try 'vgrant-bench --help'\n",
		option, text, want);
	return EXIT_USAGE;
}

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	size_t len = strlen(text);

	if (!len || len > 18 || strspn(text, "0123456789") != len)
		return false;
	*value = strtoull(text, NULL, 10);
	return *value >= min && *value <= max;
}

static bool decimal(const char *text, double min, double max, double *value)
{
	size_t len = strlen(text);
	char *end;

	if (!len || len > 18 || strspn(text, "0123456789.") != len)
		return false;
	*value = strtod(text, &end);
	return !*end && *value >= min && *value <= max;
}

enum {
	OPT_QUICK = 256,
	OPT_SIZE,
	OPT_DEPTH,
	OPT_PAIRS,
	OPT_SECONDS,
	OPT_REQUESTS,
	OPT_POLL_US,
	OPT_SCHEDULER,
	OPT_JSON,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"quick", no_argument, NULL, OPT_QUICK},
	{"size", required_argument, NULL, OPT_SIZE},
	{"depth", required_argument, NULL, OPT_DEPTH},
	{"pairs", required_argument, NULL, OPT_PAIRS},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"requests", required_argument, NULL, OPT_REQUESTS},
	{"poll-us", required_argument, NULL, OPT_POLL_US},
	{"scheduler", required_argument, NULL, OPT_SCHEDULER},
	{"json", required_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int take_number(struct command_line *cmd, int option, const char *text)
{
	uint64_t value;

	switch (option) {
	case OPT_SIZE:
		if (!number(text, 512, UINT64_C(1) << 20, &value) || value % 512)
			return bad_usage("size", text,
					 "not a multiple of 512 bytes from 512 to 1048576");
		cmd->work.size = (uint32_t)value;
		return 0;
	case OPT_DEPTH:
		if (!number(text, 1, 256, &value))
			return bad_usage("depth", text, "not a number from 1 to 256");
		cmd->work.depth = (uint32_t)value;
		return 0;
	case OPT_PAIRS:
		if (!number(text, MIN_PAIRS, MAX_PAIRS, &value))
			return bad_usage("pairs", text, "not a number from 5 to 10000");
		cmd->pairs = (unsigned int)value;
		return 0;
	case OPT_SECONDS:
		if (!decimal(text, 0.02, 60, &cmd->work.seconds))
			return bad_usage("seconds", text, "not a number from 0.02 to 60");
		return 0;
	case OPT_REQUESTS:
		if (!number(text, 1000, UINT64_C(1000000000), &cmd->work.requests))
			return bad_usage("requests", text, "not a number from 1000 to 1000000000");
		return 0;
	default:
		if (!number(text, 0, 1000000, &value))
			return bad_usage("poll-us", text, "not a number from 0 to 1000000");
		cmd->work.poll_us = (uint32_t)value;
		return 0;
	}
}

static int take_scheduler(struct command_line *cmd, const char *text)
{
	if (strcmp(text, "batch") != 0 && strcmp(text, "other") != 0)
		return bad_usage("scheduler", text, "there are batch and other");
	cmd->work.batch = !strcmp(text, "batch");
	return 0;
}

static bool fits(const struct workload *w)
{
	uint32_t slot = (w->size + 4095) & ~UINT32_C(4095);

	return (uint64_t)slot * w->depth <= MAX_BYTES &&
	       w->depth <= MAX_CHUNKS * (REGION_BYTES / slot);
}

/* What is not said on the command line, and what does not go together. */
static int complete(struct command_line *cmd)
{
	struct workload *w = &cmd->work;

	if (w->requests && w->seconds > 0)
		return bad_usage("requests", "and --seconds", "say one of the two");
	if (!w->requests && w->seconds <= 0)
		w->seconds = cmd->quick ? 0.05 : 0.1;
	if (!cmd->pairs)
		cmd->pairs = cmd->quick ? 400 : 500;
	if (!fits(w)) {
		fprintf(stderr,
			"vgrant-bench: %u requests of %u bytes in flight are more than one "
			"device's regions hold (192 MiB, and 253 requests of more than 512 KiB): "
			"make --size or --depth smaller\n",
			w->depth, w->size);
		return EXIT_USAGE;
	}
	return 0;
}

/* Returns 0 or EXIT_USAGE. */
static int parse(int argc, char **argv, struct command_line *cmd)
{
	int option, rc = 0;

	while (!rc && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case OPT_QUICK:
			cmd->quick = true;
			break;
		case OPT_JSON:
			cmd->json = optarg;
			break;
		case OPT_SCHEDULER:
			rc = take_scheduler(cmd, optarg);
			break;
		case OPT_HELP:
			cmd->help = true;
			return 0;
		case '?':
			fputs("vgrant-bench: try 'vgrant-bench --help'\n", stderr);
			return EXIT_USAGE;
		default:
			rc = take_number(cmd, option, optarg);
		}
	}
	if (!rc && optind < argc) {
		fprintf(stderr,
			"vgrant-bench: '%.64s' is not an option\nvgrant-bench: try 'vgrant-bench "
			"--help'\n",
			argv[optind]);
		rc = EXIT_USAGE;
	}
	return rc ? rc : complete(cmd);
}

/* All processes of a comparison inherit it. */
static int schedule(bool batch)
{
	const struct sched_param param = {0};

	if (!sched_setscheduler(0, batch ? SCHED_BATCH : SCHED_OTHER, &param))
		return 0;
	return complain(-errno, "cannot set the scheduling policy: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct command_line cmd = {.work = {.size = 4096, .depth = 32, .batch = true}};
	struct comparison result;
	FILE *json = NULL;
	int rc = parse(argc, argv, &cmd);

	if (rc)
		return rc;
	if (cmd.help) {
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	proc_catch_signals();
	/* Now, and not after a minute's work. */
	if (cmd.json) {
		json = fopen(cmd.json, "we");
		if (!json) {
			complain(-errno, "cannot write %s: %s", cmd.json, strerror(errno));
			return EXIT_FAILURE;
		}
	}
	rc = schedule(cmd.work.batch);
	if (!rc)
		rc = compare(&way_region, &way_foreign, &cmd.work, cmd.pairs, &result);
	if (!rc) {
		report_table(&result);
		if (json)
			rc = report_json(&result, json, cmd.json);
	}
	if (json)
		fclose(json);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

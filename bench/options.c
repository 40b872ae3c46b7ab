// SPDX-License-Identifier: MIT
#include "options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char options_usage[] =
	"Usage: vgrant-bench [--quick] [OPTION]...\n"
	"Measures virtio-blk on the simulated hypervisor, in runs that take turns: ways in which "
	"a\n"
	"backend reaches guest memory, and places where a guest has its buffers. What is named "
	"first\n"
	"is what the rest is compared with. See bench/README.md.\n\n"
	"  --quick            short runs; without a LIST below, the questions of README in 4 "
	"minutes\n\n"
	"Each LIST has commas between its items; 'all' is every name, 1-8 is 1,2,4,8, 64k is "
	"65536.\n"
	"What does not go together is left out, and the end of the output says so.\n"
	"  --way LIST         foreign, region, copy, map, map-batch; memcpy, eventfd: what the\n"
	"                     machine does without a device (default foreign,region)\n"
	"  --policy LIST      direct, bounce, fat, grant, hybrid (default direct,grant: what each\n"
	"                     way takes; foreign has direct alone)\n"
	"  --size LIST        bytes of a request: multiples of 512 up to 1m (default 4k)\n"
	"  --depth LIST       requests in flight of a queue: 1 to 256 (default 32)\n"
	"  --queues LIST      1 to 4 (default 1)\n"
	"  --span LIST        memory that the data of all guests together lies in, used in turn:\n"
	"                     up to 512m (default 0: no more than what is in flight)\n"
	"  --guests LIST      1 to 256, on one vgrantd (default 1)\n"
	"  --poll-us LIST     busy polling of vgrantd and of a guest that is alone: 0 to 1000000\n"
	"                     (default 0: none)\n"
	"  --engine LIST      null, memory, file (default null)\n"
	"  --op LIST          read, write (default read)\n\n"
	"  --seconds S        of each run, more for more than 8 guests: 0.02 to 60 (default 0.1;\n"
	"                     quick 0.05)\n"
	"  --rounds N         how often all processes are started: 1 to 100 (default 10; quick 5)\n"
	"  --runs N           of each line of the result in a round: 1 to 1000 (default 20; quick "
	"4)\n"
	"  --idle S           before, watch each backend for so long: 0.1 to 600\n"
	"  --scheduler P      of guests and backends: batch (default: waking a process takes the "
	"CPU\n"
	"                     from nobody) or other (Linux's usual); see bench/README.md\n"
	"  --placement P      of a guest and the worker that serves it: same (default: on one CPU, "
	"but\n"
	"                     what polls on two), apart (on two) or free (where the scheduler puts "
	"them)\n"
	"  --json FILE, --csv FILE\n"
	"                     write the result there too\n"
	"  --help             show this and exit\n";

enum {
	OPT_WAY = 256,
	OPT_POLICY,
	OPT_ENGINE,
	OPT_OP,
	OPT_SIZE,
	OPT_DEPTH,
	OPT_QUEUES,
	OPT_SPAN,
	OPT_GUESTS,
	OPT_POLL_US,
	OPT_QUICK,
	OPT_SECONDS,
	OPT_ROUNDS,
	OPT_RUNS,
	OPT_IDLE,
	OPT_SCHEDULER,
	OPT_PLACEMENT,
	OPT_JSON,
	OPT_CSV,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"way", required_argument, NULL, OPT_WAY},
	{"policy", required_argument, NULL, OPT_POLICY},
	{"engine", required_argument, NULL, OPT_ENGINE},
	{"op", required_argument, NULL, OPT_OP},
	{"size", required_argument, NULL, OPT_SIZE},
	{"depth", required_argument, NULL, OPT_DEPTH},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"span", required_argument, NULL, OPT_SPAN},
	{"guests", required_argument, NULL, OPT_GUESTS},
	{"poll-us", required_argument, NULL, OPT_POLL_US},
	{"quick", no_argument, NULL, OPT_QUICK},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"rounds", required_argument, NULL, OPT_ROUNDS},
	{"runs", required_argument, NULL, OPT_RUNS},
	{"idle", required_argument, NULL, OPT_IDLE},
	{"scheduler", required_argument, NULL, OPT_SCHEDULER},
	{"placement", required_argument, NULL, OPT_PLACEMENT},
	{"json", required_argument, NULL, OPT_JSON},
	{"csv", required_argument, NULL, OPT_CSV},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

/* The axes, from OPT_WAY on in this order. */
static const struct {
	const char *name;
	size_t list; /* in struct axes */
	const char *const *names;
	uint64_t min, max;
	const char *want, *standard;
} axis[] = {
	{"way", offsetof(struct axes, way), way_names, 0, 0,
	 "there are foreign, region, copy, map, map-batch, memcpy, eventfd, and all",
	 "foreign,region"},
	{"policy", offsetof(struct axes, policy), policy_names, 0, 0,
	 "there are direct, bounce, fat, grant, hybrid, and all", "direct,grant"},
	{"engine", offsetof(struct axes, engine), engine_names, 0, 0,
	 "there are null, memory, file, and all", "null"},
	{"op", offsetof(struct axes, op), operation_names, 0, 0, "there are read, write, and all",
	 "read"},
	{"size", offsetof(struct axes, size), NULL, SIZE_LEAST, SIZE_MOST,
	 "no list of multiples of 512 from 512 to 1m; virtio-blk has no smaller request", "4k"},
	{"depth", offsetof(struct axes, depth), NULL, 1, DEPTH_MAX,
	 "no list of numbers from 1 to 256", "32"},
	{"queues", offsetof(struct axes, queues), NULL, 1, QUEUES_MAX,
	 "no list of numbers from 1 to 4", "1"},
	{"span", offsetof(struct axes, span), NULL, 0, SPAN_MAX, "no list of sizes from 0 to 512m",
	 "0"},
	{"guests", offsetof(struct axes, guests), NULL, 1, GUESTS_MAX,
	 "no list of numbers from 1 to 256", "1"},
	{"poll-us", offsetof(struct axes, poll_us), NULL, 0, POLL_MAX,
	 "no list of numbers from 0 to 1000000", "0"},
};

#define AXES (sizeof(axis) / sizeof(axis[0]))

/* What is said of the axes; NULL: nothing. */
struct texts {
	const char *text[AXES];
};

/* What --quick measures when no axis is named, in the order of axis[]. */
static const struct texts quick[] = {
	/* Every way and policy, at two sizes. */
	{{"foreign,region,copy,map,map-batch,memcpy", "all", "null", "read", "4k,64k", "32", "1",
	  "0", "1", "0"}},
	/* What bouncing costs: a memcpy, among buffers in the cache and all over the memory. */
	{{"memcpy,foreign,region", "bounce", "null", "read,write", "64k", "16", "1", "0,128m", "1",
	  "0"}},
	/* One request at a time, with and without polling, beside waking a process. */
	{{"eventfd,foreign,region,copy", "direct,bounce,hybrid", "null", "read", "4k", "1", "1",
	  "0", "1", "0,50"}},
	/* A disk that moves data. */
	{{"foreign,region,copy,map-batch", "direct,bounce,hybrid", "memory", "read", "16k", "16",
	  "1", "0", "1", "0"}},
	/* Many guests. */
	{{"region", "bounce", "null", "read", "4k", "8", "1", "0", "1,8,32", "0"}},
};

static int bad_usage(const char *option, const char *text, const char *want)
{
	fprintf(stderr, "vgrant-bench: --%s %.64s: %s\nvgrant-bench: try 'vgrant-bench --help'\n",
		option, text, want);
	return EXIT_USAGE;
}

static bool number(const char *text, uint64_t min, uint64_t max, unsigned int *value)
{
	struct list list;

	if (!list_numbers(text, min, max, &list) || list.n != 1)
		return false;
	*value = (unsigned int)list.value[0];
	return true;
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

static bool sizes_fit(const struct list *size)
{
	for (unsigned int i = 0; i < size->n; i++)
		if (size->value[i] % SIZE_LEAST)
			return false;
	return true;
}

/* Adds the matrix of @texts, or what is usual where they say nothing, to the plan. */
static int add_plan(struct options *o, const struct texts *texts, bool any_policy)
{
	struct axes *axes = &o->plan[o->num_plans++];

	axes->any_policy = any_policy;
	for (size_t i = 0; i < AXES; i++) {
		const char *text = texts->text[i] ? texts->text[i] : axis[i].standard;
		struct list *list = (struct list *)(void *)((char *)axes + axis[i].list);

		if (axis[i].names ? !list_names(text, axis[i].names, list)
				  : !list_numbers(text, axis[i].min, axis[i].max, list))
			return bad_usage(axis[i].name, text, axis[i].want);
		if (list == &axes->size && !sizes_fit(list))
			return bad_usage(axis[i].name, text, axis[i].want);
	}
	return 0;
}

static int take_placement(struct options *o, const char *text)
{
	for (unsigned int i = 0; i < PLACEMENTS; i++) {
		if (strcmp(text, placement_names[i]) != 0)
			continue;
		o->placement = (enum placement)i;
		return 0;
	}
	return bad_usage("placement", text, "there are same, apart and free");
}

static int take_setting(struct options *o, int option, const char *text)
{
	struct settings *s = &o->settings;

	switch (option) {
	case OPT_SECONDS:
		if (!decimal(text, 0.02, 60, &s->seconds))
			return bad_usage("seconds", text, "not a number from 0.02 to 60");
		return 0;
	case OPT_ROUNDS:
		if (!number(text, 1, 100, &s->rounds))
			return bad_usage("rounds", text, "not a number from 1 to 100");
		return 0;
	case OPT_RUNS:
		if (!number(text, 1, 1000, &s->each))
			return bad_usage("runs", text, "not a number from 1 to 1000");
		return 0;
	case OPT_IDLE:
		if (!decimal(text, 0.1, 600, &s->idle))
			return bad_usage("idle", text, "not a number from 0.1 to 600");
		return 0;
	case OPT_SCHEDULER:
		if (strcmp(text, "batch") != 0 && strcmp(text, "other") != 0)
			return bad_usage("scheduler", text, "there are batch and other");
		s->batch = !strcmp(text, "batch");
		return 0;
	case OPT_PLACEMENT:
		return take_placement(o, text);
	case OPT_JSON:
		o->json = text;
		return 0;
	default:
		o->csv = text;
		return 0;
	}
}

/* What is not said on the command line. */
static int complete(struct options *o, const struct texts *texts, bool is_quick)
{
	const char *policy = texts->text[OPT_POLICY - OPT_WAY];
	struct settings *s = &o->settings;
	bool any = false;
	int rc = 0;

	if (s->seconds <= 0)
		s->seconds = is_quick ? 0.05 : 0.1;
	if (!s->rounds)
		s->rounds = is_quick ? 5 : 10;
	if (!s->each)
		s->each = is_quick ? 4 : 20;
	for (size_t i = 0; i < AXES; i++)
		any |= texts->text[i] != NULL;
	if (any || !is_quick)
		return add_plan(o, texts, !policy || !strcmp(policy, "all"));
	for (size_t i = 0; !rc && i < sizeof(quick) / sizeof(quick[0]); i++)
		rc = add_plan(o, &quick[i], true);
	return rc;
}

int options_parse(int argc, char **argv, struct options *o)
{
	struct texts texts = {{NULL}};
	bool is_quick = false;
	int option, rc = 0;

	*o = (struct options){.settings = {.batch = true}};
	while (!rc && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option >= OPT_WAY && option <= OPT_POLL_US) {
			texts.text[option - OPT_WAY] = optarg;
		} else if (option == OPT_QUICK) {
			is_quick = true;
		} else if (option == OPT_HELP) {
			o->help = true;
			return 0;
		} else if (option == '?') {
			fputs("vgrant-bench: try 'vgrant-bench --help'\n", stderr);
			return EXIT_USAGE;
		} else {
			rc = take_setting(o, option, optarg);
		}
	}
	if (!rc && optind < argc) {
		fprintf(stderr,
			"vgrant-bench: '%.64s' is not an option\nvgrant-bench: try 'vgrant-bench "
			"--help'\n",
			argv[optind]);
		rc = EXIT_USAGE;
	}
	return rc ? rc : complete(o, &texts, is_quick);
}

// SPDX-License-Identifier: MIT
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define TIMEOUT_MAX 3600
#define QUEUES_MAX  16
#define IRQ_MAX     1023
#define SECTOR      512

enum {
	OPT_IMAGE = 256,
	OPT_BACKEND,
	OPT_READ_ONLY,
	OPT_UNTRUSTED,
	OPT_VDEV,
	OPT_DEVID,
	OPT_ENGINE,
	OPT_SIZE,
	OPT_QUEUES,
	OPT_IRQ,
	OPT_NO_WAIT,
	OPT_TIMEOUT,
	OPT_FORCE,
	OPT_JSON,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{"image", required_argument, NULL, OPT_IMAGE},
	{"backend", required_argument, NULL, OPT_BACKEND},
	{"read-only", no_argument, NULL, OPT_READ_ONLY},
	{"untrusted", no_argument, NULL, OPT_UNTRUSTED},
	{"vdev", required_argument, NULL, OPT_VDEV},
	{"devid", required_argument, NULL, OPT_DEVID},
	{"engine", required_argument, NULL, OPT_ENGINE},
	{"size", required_argument, NULL, OPT_SIZE},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"irq", required_argument, NULL, OPT_IRQ},
	{"no-wait", no_argument, NULL, OPT_NO_WAIT},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"force", no_argument, NULL, OPT_FORCE},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

#define BIT(option) (UINT32_C(1) << ((option)-OPT_IMAGE))

/* What each command takes. */
static const struct {
	const char *name;
	int (*run)(struct ctl *ctl);
	int words_min, words_max;
	uint32_t options;
} commands[] = {
	[CMD_ATTACH] = {"attach", cmd_attach, 1, 1,
			BIT(OPT_IMAGE) | BIT(OPT_BACKEND) | BIT(OPT_READ_ONLY) |
				BIT(OPT_UNTRUSTED) | BIT(OPT_VDEV) | BIT(OPT_DEVID) |
				BIT(OPT_ENGINE) | BIT(OPT_SIZE) | BIT(OPT_QUEUES) | BIT(OPT_IRQ) |
				BIT(OPT_NO_WAIT) | BIT(OPT_TIMEOUT) | BIT(OPT_JSON)},
	[CMD_DETACH] = {"detach", cmd_detach, 2, 2,
			BIT(OPT_BACKEND) | BIT(OPT_FORCE) | BIT(OPT_TIMEOUT) | BIT(OPT_JSON)},
	[CMD_LIST] = {"list", cmd_list, 0, 0, BIT(OPT_JSON)},
	[CMD_SHOW] = {"show", cmd_show, 2, 2, BIT(OPT_BACKEND) | BIT(OPT_JSON)},
	[CMD_STATS] = {"stats", cmd_stats, 0, 2,
		       BIT(OPT_BACKEND) | BIT(OPT_TIMEOUT) | BIT(OPT_JSON)},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	fputs("Usage: vgrantctl attach DOMAIN --image PATH [--backend DOMAIN] [--read-only]\n"
	      "                        [--vdev xvda | --devid N] [--queues N] [--untrusted]\n"
	      "                        [--engine file|null [--size BYTES]] [--irq N] [--no-wait]\n"
	      "       vgrantctl detach DOMAIN VDEV [--backend DOMAIN] [--force]\n"
	      "       vgrantctl list\n"
	      "       vgrantctl show DOMAIN VDEV [--backend DOMAIN]\n"
	      "       vgrantctl stats [DOMAIN [VDEV]]\n"
	      "       vgrantctl --help | --version\n\n"
	      "DOMAIN is a name or a number, VDEV xvda, xvdb … or a number.\n"
	      "All print JSON with --json; those that wait do so for at most --timeout SECONDS.\n"
	      "attach and detach run in the toolstack's domain (dom0); in a driver domain the\n"
	      "others show its own devices.\n",
	      out);
}

static void emit(void *opaque, enum vg_log_level level, const char *fmt, va_list ap)
{
	char text[SHOWN_MAX], buf[SHOWN_MAX];

	(void)opaque;
	if (level > VG_LOG_WARN)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	fprintf(stderr, "vgrantctl: %s\n", shown(buf, text));
}

int failure(const char *fmt, ...)
{
	va_list ap;

	fputs("vgrantctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

static int bad_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int bad_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("vgrantctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("; try 'vgrantctl --help'\n", stderr);
	return EXIT_USAGE;
}

/* Bytes, with K, M, G or T for powers of 1024; a whole number of sectors. */
static bool parse_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMGT";
	size_t digits = strspn(text, "0123456789");
	const char *unit;
	unsigned int shift = 0;

	if (!digits || digits > 18)
		return false;
	*size = strtoull(text, NULL, 10);
	if (text[digits]) {
		unit = strchr(units, text[digits]);
		if (!unit || text[digits + 1])
			return false;
		shift = 10 * (unsigned int)(unit - units + 1);
	}
	if (!*size || *size > (uint64_t)INT64_MAX >> shift)
		return false;
	*size <<= shift;
	return *size % SECTOR == 0;
}

static int take_value(struct arguments *args, int option, const char *text)
{
	char buf[SHOWN_MAX];
	uint32_t value;

	switch (option) {
	case OPT_SIZE:
		if (!parse_size(text, &args->size))
			return bad_usage("--size %s: write a multiple of 512 bytes, at least 512 "
					 "and less than 8388608T (K, M, G, T may follow the "
					 "number)",
					 shown(buf, text));
		return 0;
	case OPT_QUEUES:
		if (!parse_number(text, QUEUES_MAX, &args->queues) || !args->queues)
			return bad_usage("--queues %s: not a number from 1 to %d", shown(buf, text),
					 QUEUES_MAX);
		return 0;
	case OPT_IRQ:
		if (!parse_number(text, IRQ_MAX, &args->irq) || !args->irq)
			return bad_usage("--irq %s: not a number from 1 to %d", shown(buf, text),
					 IRQ_MAX);
		return 0;
	case OPT_TIMEOUT:
		if (!parse_number(text, TIMEOUT_MAX, &value) || !value)
			return bad_usage("--timeout %s: not a number of seconds from 1 to %d",
					 shown(buf, text), TIMEOUT_MAX);
		args->timeout_s = value;
		return 0;
	case OPT_ENGINE:
		if (strcmp(text, "file") != 0 && strcmp(text, "null") != 0)
			return bad_usage("--engine %s: there are the engines file and null",
					 shown(buf, text));
		args->engine = text;
		return 0;
	default: /* OPT_VDEV, OPT_DEVID */
		if (args->vdev)
			return bad_usage("--vdev and --devid say the same, once is enough");
		if (option == OPT_DEVID && !parse_number(text, INT32_MAX, &value))
			return bad_usage("--devid %s: write a number up to 2147483647",
					 shown(buf, text));
		if (parse_vdev(text, &value))
			return bad_usage("--vdev %s: write xvda, xvdb …", shown(buf, text));
		args->vdev = text;
		return 0;
	}
}

static int take_option(struct arguments *args, int option, const char *text)
{
	switch (option) {
	case OPT_IMAGE:
		args->image = text;
		return 0;
	case OPT_BACKEND:
		args->backend = text;
		return 0;
	case OPT_READ_ONLY:
		args->read_only = true;
		return 0;
	case OPT_UNTRUSTED:
		args->untrusted = true;
		return 0;
	case OPT_NO_WAIT:
		args->no_wait = true;
		return 0;
	case OPT_FORCE:
		args->force = true;
		return 0;
	case OPT_JSON:
		args->json = true;
		return 0;
	default:
		return take_value(args, option, text);
	}
}

static int check_attach(const struct arguments *args)
{
	bool null = args->engine && !strcmp(args->engine, "null");
	char buf[SHOWN_MAX];

	if (null && args->image)
		return bad_usage("the engine null has no image: leave --image out");
	if (null && !args->size)
		return bad_usage("the engine null needs a --size");
	if (!null && args->size)
		return bad_usage("an image has its own size: --size is for the engine null");
	if (!null && !args->image)
		return bad_usage("which disk? Say --image PATH, the path in the driver domain");
	if (args->image && args->image[0] != '/')
		return bad_usage("--image %s: the path must be absolute, as it is another "
				 "program, maybe in another domain, that opens it",
				 shown(buf, args->image));
	if (args->image && strlen(args->image) >= VG_STORE_VALUE_MAX)
		return bad_usage("--image: the path is too long for xenstore");
	return 0;
}

static int find_command(const char *text)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!strcmp(commands[i].name, text))
			return (int)i;
	}
	return -1;
}

static int take_words(struct arguments *args, char **words, int count)
{
	char buf[SHOWN_MAX];
	int command, n = count - 1;

	if (!count)
		return bad_usage("what is to be done?");
	command = find_command(words[0]);
	if (command < 0)
		return bad_usage("there is no command '%s'", shown(buf, words[0]));
	args->command = (enum command)command;
	if (n < commands[command].words_min)
		return bad_usage("%s needs a %s", words[0], n ? "VDEV" : "DOMAIN");
	if (n > commands[command].words_max)
		return bad_usage("%s: '%s' is one word too many", words[0],
				 shown(buf, words[1 + commands[command].words_max]));
	if (n > 0)
		args->domain = words[1];
	if (n > 1)
		args->vdev = words[2];
	return 0;
}

/* Returns 0 or EXIT_USAGE; *done: the rest of the work is nothing. */
static int parse(int argc, char **argv, struct arguments *args, bool *done)
{
	uint32_t given = 0;
	int option, rc;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case OPT_HELP:
			usage(stdout);
			*done = true;
			return 0;
		case OPT_VERSION:
			puts("vgrantctl " VGRANT_VERSION);
			*done = true;
			return 0;
		case '?': /* said */
			fputs("vgrantctl: try 'vgrantctl --help'\n", stderr);
			return EXIT_USAGE;
		default:
			given |= BIT(option);
			rc = take_option(args, option, optarg);
			if (rc)
				return rc;
		}
	}
	rc = take_words(args, argv + optind, argc - optind);
	if (rc)
		return rc;
	given &= ~commands[args->command].options;
	for (const struct option *o = long_options; o->name; o++) {
		if (given & BIT(o->val))
			return bad_usage("%s takes no --%s", commands[args->command].name, o->name);
	}
	return args->command == CMD_ATTACH ? check_attach(args) : 0;
}

static int run(struct ctl *ctl)
{
	static const struct vg_log log = {.emit = emit};
	uint32_t self = 0;
	int rc = vg_store_open(&log, &ctl->store);

	if (rc)
		return EXIT_FAILURE; /* said */
	/* Relative: of the domain in which this runs. dom0 may have none. */
	rc = vg_store_read_u32(ctl->store, "domid", DOMID_MAX, &self);
	if (rc && rc != -ENOENT && rc != -EACCES) {
		failure("cannot read this domain's number from xenstore: %s", strerror(-rc));
		rc = EXIT_FAILURE;
	} else {
		ctl->self = (uint16_t)self;
		rc = commands[ctl->args.command].run(ctl);
	}
	vg_store_close(ctl->store);
	return rc;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {0};
	bool done = false;
	int rc;

	rc = parse(argc, argv, &ctl.args, &done);
	if (!rc && !done)
		rc = run(&ctl);
	if (fflush(stdout) && !rc)
		rc = failure("cannot write the output: %s", strerror(errno));
	return rc;
}

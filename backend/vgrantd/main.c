// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vgrant/log.h>

#include "supervisor.h"
#include "text.h"
#include "worker.h"

#define EXIT_USAGE 2

/* Half of what Xen gives a domain by default to map (1024 frames of 512 entries), so that as much
 * is left for everything else in this domain. */
#define TOTAL_PAGES 262144
#define MAX_PAGES   16384
/* Polling costs a CPU: it is to be asked for. */
#define POLL_US     0
#define POLL_US_MAX 1000000
/*
 * What lies in no region is copied up to this size and mapped above it. A map and unmap of a page
 * cost some ten times a copied page on real hardware, until the TLB flush of the unmap is shared by
 * many pages.
 */
/* 64 KiB of data, and the header and status that a request has besides: see bench/cost-model.md. */
#define COPY_MAX     (65536 + 4096)
#define COPY_MAX_MAX (1 << 20)
#define STATE_DIR    "/run/vgrantd"

/* One write for a line: workers write to the same place. */
static void emit(void *opaque, enum vg_log_level level, const char *fmt, va_list ap)
{
	static const char prefix[] = "vgrantd: ";
	const enum vg_log_level *most = opaque;
	char line[1024];
	size_t len = sizeof(prefix) - 1;

	if (level > *most)
		return;
	memcpy(line, prefix, len);
	vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	vgd_printable(line);
	len = strlen(line);
	line[len++] = '\n';
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR) {
	}
}

static void usage(FILE *out)
{
	fputs("Usage: vgrantd [OPTION]...\n"
	      "Serves virtio devices to Xen guests, reaching only the pages that they granted.\n"
	      "Runs in the foreground, in the driver domain that has the disks.\n\n"
	      "  --max-pages N    pages that one guest may have mapped here (default 16384)\n"
	      "  --total-pages N  pages that all guests may have, together (default 262144)\n"
	      "  --poll-us N      poll for so many microseconds before sleeping (default 0)\n"
	      "  --copy-max N     copy what a request has outside regions up to so many bytes,\n"
	      "                   map what is larger (default 69632; 0 maps all)\n"
	      "  --bus auto|msg|mmio\n"
	      "                   how devices are reached whose directory in xenstore does not\n"
	      "                   say: by virtio-mmio where they have an address (auto), by\n"
	      "                   virtio-msg (msg), by virtio-mmio (mmio); read vgrantd(8) first\n"
	      "  --state-dir DIR  where virtio-mmio devices are kept while vgrantd restarts\n"
	      "                   (default /run/vgrantd)\n"
	      "  --register-regions\n"
	      "                   have io_uring pin granted regions once; read vgrantd(8) first\n"
	      "  --verbose        say more\n"
	      "  --help           show this and exit\n"
	      "  --version        show the version and exit\n\n"
	      "Disks are attached by xl (disk= with specification=virtio) or vgrantctl(8).\n",
	      out);
}

static int bad_usage(const char *option, const char *text, const char *want)
{
	fprintf(stderr, "vgrantd: --%s %.64s: %s\nvgrantd: try 'vgrantd --help'\n", option, text,
		want);
	return EXIT_USAGE;
}

static bool number(const char *text, unsigned long min, unsigned long max, unsigned long *value)
{
	size_t len = strlen(text);

	if (!len || len > 10 || strspn(text, "0123456789") != len)
		return false;
	*value = strtoul(text, NULL, 10);
	return *value >= min && *value <= max;
}

enum {
	OPT_MAX_PAGES = 256,
	OPT_TOTAL_PAGES,
	OPT_POLL_US,
	OPT_COPY_MAX,
	OPT_BUS,
	OPT_STATE_DIR,
	OPT_REGISTER_REGIONS,
	OPT_VERBOSE,
	OPT_HELP,
	OPT_VERSION,
	OPT_WORKER,
	OPT_DOMID,
	OPT_FD,
	OPT_BUDGET_FD,
	OPT_BUDGET_SLOTS,
};

static const struct option long_options[] = {
	{"max-pages", required_argument, NULL, OPT_MAX_PAGES},
	{"total-pages", required_argument, NULL, OPT_TOTAL_PAGES},
	{"poll-us", required_argument, NULL, OPT_POLL_US},
	{"copy-max", required_argument, NULL, OPT_COPY_MAX},
	{"bus", required_argument, NULL, OPT_BUS},
	{"state-dir", required_argument, NULL, OPT_STATE_DIR},
	{"register-regions", no_argument, NULL, OPT_REGISTER_REGIONS},
	{"verbose", no_argument, NULL, OPT_VERBOSE},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	/* How the supervisor starts a worker; of no use to anybody else. */
	{"worker", no_argument, NULL, OPT_WORKER},
	{"domid", required_argument, NULL, OPT_DOMID},
	{"fd", required_argument, NULL, OPT_FD},
	{"budget-fd", required_argument, NULL, OPT_BUDGET_FD},
	{"budget-slots", required_argument, NULL, OPT_BUDGET_SLOTS},
	{NULL, 0, NULL, 0},
};

struct command_line {
	struct vgrantd_options options;
	bool worker, done;
	unsigned long domid, fd, budget_fd, budget_slots;
};

/* The options with a number. Returns 0 or EXIT_USAGE. */
static int take_number(struct command_line *cmd, int option, const char *text)
{
	unsigned long value;

	switch (option) {
	case OPT_MAX_PAGES:
		if (!number(text, 16, 1 << 24, &value))
			return bad_usage("max-pages", text, "not a number from 16 to 16777216");
		cmd->options.max_pages = (uint32_t)value;
		return 0;
	case OPT_TOTAL_PAGES:
		if (!number(text, 16, 1 << 28, &value))
			return bad_usage("total-pages", text, "not a number from 16 to 268435456");
		cmd->options.total_pages = (uint32_t)value;
		return 0;
	case OPT_POLL_US:
		if (!number(text, 0, POLL_US_MAX, &value))
			return bad_usage("poll-us", text, "not a number from 0 to 1000000");
		cmd->options.poll_us = (uint32_t)value;
		return 0;
	case OPT_COPY_MAX:
		if (!number(text, 0, COPY_MAX_MAX, &value))
			return bad_usage("copy-max", text, "not a number from 0 to 1048576");
		cmd->options.copy_max = (uint32_t)value;
		return 0;
	case OPT_DOMID:
		if (!number(text, 0, 0x7fef, &cmd->domid))
			return bad_usage("domid", text, "not a domain's number");
		return 0;
	case OPT_BUDGET_FD:
		if (!number(text, 3, 1 << 20, &cmd->budget_fd))
			return bad_usage("budget-fd", text, "not a file descriptor");
		return 0;
	case OPT_BUDGET_SLOTS:
		if (!number(text, 0, VG_BUDGET_MAX, &cmd->budget_slots))
			return bad_usage("budget-slots", text, "not a number from 0 to 64");
		return 0;
	default:
		if (!number(text, 3, 1 << 20, &cmd->fd))
			return bad_usage("fd", text, "not a file descriptor");
		return 0;
	}
}

static int take_bus(struct command_line *cmd, const char *text)
{
	static const char *const names[] = {[VGRANTD_BUS_AUTO] = "auto",
					    [VGRANTD_BUS_MSG] = "msg",
					    [VGRANTD_BUS_MMIO] = "mmio"};

	for (enum vgrantd_bus bus = VGRANTD_BUS_AUTO; bus <= VGRANTD_BUS_MMIO; bus++) {
		if (!strcmp(text, names[bus])) {
			cmd->options.bus = bus;
			return 0;
		}
	}
	return bad_usage("bus", text, "not one of auto, msg, mmio");
}

/* Returns 0, with cmd->done when there is nothing left to do, or EXIT_USAGE. */
static int parse(int argc, char **argv, struct command_line *cmd)
{
	int option, rc = 0;

	while (!rc && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case OPT_VERBOSE:
			cmd->options.verbose = true;
			break;
		case OPT_REGISTER_REGIONS:
			cmd->options.register_regions = true;
			break;
		case OPT_BUS:
			rc = take_bus(cmd, optarg);
			break;
		case OPT_STATE_DIR:
			cmd->options.state_dir = optarg;
			if (optarg[0] != '/')
				rc = bad_usage("state-dir", optarg, "not an absolute path");
			break;
		case OPT_WORKER:
			cmd->worker = true;
			break;
		case OPT_HELP:
			usage(stdout);
			cmd->done = true;
			return 0;
		case OPT_VERSION:
			puts("vgrantd " VGRANT_VERSION);
			cmd->done = true;
			return 0;
		case '?':
			fputs("vgrantd: try 'vgrantd --help'\n", stderr);
			return EXIT_USAGE;
		default:
			rc = take_number(cmd, option, optarg);
		}
	}
	if (!rc && optind < argc) {
		fprintf(stderr, "vgrantd: '%.64s' is not an option: try 'vgrantd --help'\n",
			argv[optind]);
		rc = EXIT_USAGE;
	}
	if (!rc && cmd->options.max_pages > cmd->options.total_pages) {
		fputs("vgrantd: --max-pages is more than --total-pages: not one guest could be "
		      "served\n",
		      stderr);
		rc = EXIT_USAGE;
	}
	if (!rc && cmd->worker && !cmd->fd) {
		fputs("vgrantd: --worker is for vgrantd's own use\n", stderr);
		rc = EXIT_USAGE;
	}
	return rc;
}

/* Descriptors 0 to 2 are open, so that no socket or image can become one of them. */
static int open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return -errno;
	} while (fd <= STDERR_FILENO);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct command_line cmd = {
		.options = {.max_pages = MAX_PAGES,
			    .total_pages = TOTAL_PAGES,
			    .poll_us = POLL_US,
			    .copy_max = COPY_MAX,
			    .state_dir = STATE_DIR},
	};
	enum vg_log_level level;
	struct vg_log log = {.emit = emit, .opaque = &level};
	int rc;

	if (open_standard())
		return 1;
	rc = parse(argc, argv, &cmd);
	if (rc || cmd.done)
		return rc;
	level = cmd.options.verbose ? VG_LOG_DEBUG : VG_LOG_INFO;
	if (cmd.worker) {
		struct vgrantd_worker_options options = {
			.domid = (uint16_t)cmd.domid,
			.socket = (int)cmd.fd,
			.max_pages = cmd.options.max_pages,
			.poll_us = cmd.options.poll_us,
			.budget_fd = (int)cmd.budget_fd,
			.budget_slots = (uint32_t)cmd.budget_slots,
			.copy_max = cmd.options.copy_max,
			.register_regions = cmd.options.register_regions,
			.log = &log,
		};

		return vgrantd_worker(&options);
	}
	return vgd_supervise(&cmd.options, &log);
}

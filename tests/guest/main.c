// SPDX-License-Identifier: MIT
/* vgguest: a guest's driver as a program, for scripts. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char usage[] =
	"usage: vgguest COMMAND [ARGUMENT] [options]\n"
	"\n"
	"commands\n"
	"  info                 what the device is\n"
	"  read-all --out FILE  the whole device into FILE ('-': standard output)\n"
	"  write FILE           FILE's bytes to the device, at --offset; --flush afterwards\n"
	"  flush                one flush\n"
	"  verify               writes a pattern of --seed over the device, flushes, reads it "
	"back\n"
	"  bench                requests until --seconds or --requests\n"
	"  drive                requests as standard input asks for them: 'ms N', 'requests N',\n"
	"                       'window BEGIN END', 'latency',\n"
	"                       or as much copying of memory: 'copies N'\n"
	"  reload               --count times: connects, reads, disconnects\n"
	"  session              read FILE, write FILE OFFSET, flush, bench MS: from standard "
	"input\n"
	"  forbidden            grants for vgforbidden, driven over standard input\n"
	"  flood                refills every queue without end with requests that are refused\n"
	"  hang STAGE           stops answering at STAGE ('list' names them)\n"
	"  hostile CASE         does what no driver does ('list' names the cases, 'all' runs "
	"them)\n"
	"\n"
	"options\n"
	"  --devid N --kind KIND     which device (default: the first)\n"
	"  --timeout MS              of each wait on the backend (default 10000)\n"
	"  --mode region|bounce|fat|hybrid|grant|fresh\n"
	"                            where buffers lie (default region)\n"
	"  --secret TEXT             in what lies behind the buffers in their pages\n"
	"  --size BYTES              of a request (default 65536; bench: 4096)\n"
	"  --depth N --queues N --queue-size N --segments N --batch N\n"
	"  --buffers N               data buffers of each queue, used in turn (default: the "
	"depth)\n"
	"  --own-ports               an event channel for each queue\n"
	"  --no-event-idx --no-indirect\n"
	"  --op read|write|mixed --sequential --poll (bench, drive) --json (bench)\n"
	"  --foreign                 guest-physical addresses, for a backend that maps all of the "
	"guest\n"
	"  --mmio --vcpu N           virtio-mmio, registers touched by that vCPU (simulated only)\n"
	"  --hold                    stays connected until standard input ends\n"
	"  --offset BYTES --seed N --count N --seconds N --requests N\n";

volatile sig_atomic_t cli_stop;

static const struct {
	const char *name;
	int (*run)(const struct cli *cli);
	bool needs_arg;
} commands[] = {
	{"info", cmd_info, false},           {"read-all", cmd_read_all, false},
	{"write", cmd_write, true},          {"flush", cmd_flush, false},
	{"verify", cmd_verify, false},       {"bench", cmd_bench, false},
	{"drive", cmd_drive, false},         {"reload", cmd_reload, false},
	{"forbidden", cmd_forbidden, false}, {"session", cmd_session, false},
	{"flood", cmd_flood, false},         {"hang", cmd_hang, true},
	{"hostile", cmd_hostile, true},
};

enum {
	OPT_DEVID = 1,
	OPT_KIND,
	OPT_TIMEOUT,
	OPT_MODE,
	OPT_SIZE,
	OPT_DEPTH,
	OPT_QUEUES,
	OPT_QUEUE_SIZE,
	OPT_SEGMENTS,
	OPT_BUFFERS,
	OPT_BATCH,
	OPT_OWN_PORTS,
	OPT_NO_EVENT_IDX,
	OPT_NO_INDIRECT,
	OPT_OP,
	OPT_SEQUENTIAL,
	OPT_POLL,
	OPT_JSON,
	OPT_OUT,
	OPT_OFFSET,
	OPT_SEED,
	OPT_COUNT,
	OPT_SECONDS,
	OPT_REQUESTS,
	OPT_FLUSH,
	OPT_FOREIGN,
	OPT_HOLD,
	OPT_SECRET,
	OPT_MMIO,
	OPT_VCPU,
	OPT_HELP,
};

static const struct option options[] = {
	{"devid", required_argument, NULL, OPT_DEVID},
	{"kind", required_argument, NULL, OPT_KIND},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"mode", required_argument, NULL, OPT_MODE},
	{"size", required_argument, NULL, OPT_SIZE},
	{"depth", required_argument, NULL, OPT_DEPTH},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"queue-size", required_argument, NULL, OPT_QUEUE_SIZE},
	{"segments", required_argument, NULL, OPT_SEGMENTS},
	{"buffers", required_argument, NULL, OPT_BUFFERS},
	{"batch", required_argument, NULL, OPT_BATCH},
	{"own-ports", no_argument, NULL, OPT_OWN_PORTS},
	{"no-event-idx", no_argument, NULL, OPT_NO_EVENT_IDX},
	{"no-indirect", no_argument, NULL, OPT_NO_INDIRECT},
	{"op", required_argument, NULL, OPT_OP},
	{"sequential", no_argument, NULL, OPT_SEQUENTIAL},
	{"poll", no_argument, NULL, OPT_POLL},
	{"json", no_argument, NULL, OPT_JSON},
	{"out", required_argument, NULL, OPT_OUT},
	{"offset", required_argument, NULL, OPT_OFFSET},
	{"seed", required_argument, NULL, OPT_SEED},
	{"count", required_argument, NULL, OPT_COUNT},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"requests", required_argument, NULL, OPT_REQUESTS},
	{"flush", no_argument, NULL, OPT_FLUSH},
	{"foreign", no_argument, NULL, OPT_FOREIGN},
	{"hold", no_argument, NULL, OPT_HOLD},
	{"secret", required_argument, NULL, OPT_SECRET},
	{"mmio", no_argument, NULL, OPT_MMIO},
	{"vcpu", required_argument, NULL, OPT_VCPU},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static bool number(const char *name, const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (!errno && end != text && !*end && *text != '-' && *value <= max)
		return true;
	fprintf(stderr, "vgguest: --%s takes a number from 0 to %llu, not '%s'\n", name,
		(unsigned long long)max, text);
	return false;
}

static bool parse_mode(const char *text, enum vgg_mode *mode)
{
	static const char *const names[] = {"region", "grant", "hybrid", "fresh", "bounce", "fat"};
	static const enum vgg_mode modes[] = {VGG_REGION, VGG_GRANT,  VGG_HYBRID,
					      VGG_FRESH,  VGG_BOUNCE, VGG_FAT};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(text, names[i])) {
			*mode = modes[i];
			return true;
		}
	}
	fprintf(stderr,
		"vgguest: --mode is region, bounce, fat, hybrid, grant or fresh, not '%s'\n", text);
	return false;
}

static bool parse_op(struct cli *cli, const char *text)
{
	cli->write = !strcmp(text, "write");
	cli->mixed = !strcmp(text, "mixed");
	if (cli->write || cli->mixed || !strcmp(text, "read"))
		return true;
	fprintf(stderr, "vgguest: --op is read, write or mixed, not '%s'\n", text);
	return false;
}

/* Options with a number: where it goes and its limit. */
static bool numeric_option(struct cli *cli, int opt, const char *name, const char *text)
{
	uint64_t v, max = UINT64_MAX;

	switch (opt) {
	case OPT_DEVID:
	case OPT_TIMEOUT:
		max = INT32_MAX;
		break;
	case OPT_SIZE:
		max = UINT32_C(4) << 20;
		break;
	case OPT_DEPTH:
	case OPT_QUEUE_SIZE:
	case OPT_BATCH:
		max = VGG_RING_MAX;
		break;
	case OPT_QUEUES:
		max = VGG_MAX_QUEUES;
		break;
	case OPT_SEGMENTS:
	case OPT_VCPU:
		max = 128;
		break;
	case OPT_BUFFERS:
		max = UINT32_C(1) << 20;
		break;
	case OPT_SECONDS:
		max = 86400;
		break;
	default:
		break;
	}
	if (!number(name, text, max, &v))
		return false;
	switch (opt) {
	case OPT_DEVID:
		cli->node.devid = (int)v;
		break;
	case OPT_TIMEOUT:
		cli->node.timeout_ms = (uint32_t)v;
		break;
	case OPT_SIZE:
		cli->size = (uint32_t)v;
		break;
	case OPT_DEPTH:
		cli->blk.depth = (uint16_t)v;
		break;
	case OPT_QUEUES:
		cli->blk.queues = (uint16_t)v;
		break;
	case OPT_QUEUE_SIZE:
		cli->blk.queue_size = (uint16_t)v;
		break;
	case OPT_SEGMENTS:
		cli->blk.segments = (uint16_t)v;
		break;
	case OPT_VCPU:
		cli->node.vcpu = (unsigned int)v;
		break;
	case OPT_BUFFERS:
		cli->blk.buffers = (uint32_t)v;
		break;
	case OPT_BATCH:
		cli->batch = (uint16_t)v;
		break;
	case OPT_OFFSET:
		cli->offset = v;
		break;
	case OPT_SEED:
		cli->seed = v;
		break;
	case OPT_COUNT:
		cli->count = v;
		break;
	case OPT_SECONDS:
		cli->seconds = v;
		break;
	default:
		cli->requests = v;
		break;
	}
	return true;
}

static bool option(struct cli *cli, int opt, const char *name)
{
	switch (opt) {
	case OPT_KIND:
		cli->node.kind = optarg;
		return true;
	case OPT_MODE:
		return parse_mode(optarg, &cli->blk.mode);
	case OPT_OWN_PORTS:
		cli->blk.own_ports = true;
		return true;
	case OPT_NO_EVENT_IDX:
		cli->blk.no_event_idx = true;
		return true;
	case OPT_NO_INDIRECT:
		cli->blk.no_indirect = true;
		return true;
	case OPT_OP:
		return parse_op(cli, optarg);
	case OPT_SEQUENTIAL:
		cli->sequential = true;
		return true;
	case OPT_POLL:
		cli->poll = true;
		return true;
	case OPT_JSON:
		cli->json = true;
		return true;
	case OPT_OUT:
		cli->out = optarg;
		return true;
	case OPT_FLUSH:
		cli->flush = true;
		return true;
	case OPT_FOREIGN:
		cli->node.foreign = true;
		return true;
	case OPT_MMIO:
		cli->node.mmio = true;
		return true;
	case OPT_HOLD:
		cli->hold = true;
		return true;
	case OPT_SECRET:
		cli->blk.secret = optarg;
		return true;
	default:
		return numeric_option(cli, opt, name, optarg);
	}
}

static void on_signal(int sig)
{
	(void)sig;
	cli_stop = 1;
}

int main(int argc, char **argv)
{
	struct cli cli = {.node.devid = -1, .count = 1, .blk.depth = 8};
	struct sigaction sa = {.sa_handler = on_signal};
	int opt, index = 0;

	while ((opt = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (opt == OPT_HELP) {
			fputs(usage, stdout);
			return EXIT_OK;
		}
		if (opt == '?')
			return EXIT_USAGE;
		if (!option(&cli, opt, options[index].name))
			return EXIT_USAGE;
	}
	if (optind >= argc) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	if (optind + 1 < argc)
		cli.arg = argv[optind + 1];
	if (optind + 2 < argc) {
		fprintf(stderr, "vgguest: '%s' is one argument too many\n", argv[optind + 2]);
		return EXIT_USAGE;
	}
	if (cli.size % VGG_SECTOR) {
		fprintf(stderr, "vgguest: --size is a multiple of %u\n", VGG_SECTOR);
		return EXIT_USAGE;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[optind], commands[i].name))
			continue;
		if (commands[i].needs_arg && !cli.arg) {
			fprintf(stderr, "vgguest: %s needs an argument, see vgguest --help\n",
				commands[i].name);
			return EXIT_USAGE;
		}
		return commands[i].run(&cli);
	}
	fprintf(stderr, "vgguest: no command '%s', see vgguest --help\n", argv[optind]);
	return EXIT_USAGE;
}

// SPDX-License-Identifier: MIT
/*
 * Our virtqueue engine beside others, on one core, over plain memory: bench/peers/run builds them
 * and runs this. The driver half, which is the same for all, only publishes chains that lie ready.
 */
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../number.h"
#include "peers.h"

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: vgrant-peers [OPTION]... OBJECT...\n"
	"Measures the virtqueue engines in shared objects (peer.h) against the first one's, in\n"
	"runs that alternate, on one core. bench/peers/run builds the objects and runs this.\n\n"
	"  --runs N     runs of each engine: 20 to 10000 (default 400)\n"
	"  --starts N   of the process, among which they are spread: 1 to 100 (default 8)\n"
	"  --only TEXT  only engines whose name has TEXT in it\n"
	"  --turns N    one run of so many batches, untimed, and no table: for a profiler\n"
	"  --json FILE  writes the result there too\n"
	"  --help       show this and exit\n";

static int bad_usage(const char *option, const char *text, const char *want)
{
	fprintf(stderr, "vgrant-peers: --%s %.64s: %s\nvgrant-peers: try 'vgrant-peers --help'\n",
		option, text, want);
	return EXIT_USAGE;
}

enum {
	OPT_RUNS = 256,
	OPT_STARTS,
	OPT_ONLY,
	OPT_TURNS,
	OPT_JSON,
	OPT_CHILD,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"runs", required_argument, NULL, OPT_RUNS},
	{"starts", required_argument, NULL, OPT_STARTS},
	{"only", required_argument, NULL, OPT_ONLY},
	{"turns", required_argument, NULL, OPT_TURNS},
	{"json", required_argument, NULL, OPT_JSON},
	{"child", no_argument, NULL, OPT_CHILD},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

/* Returns 0, EXIT_USAGE, or -1: help was asked for. */
static int parse(int argc, char **argv, struct command *cmd)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case OPT_RUNS:
			if (!number(optarg, 20, 10000, &cmd->runs))
				return bad_usage("runs", optarg, "not a number from 20 to 10000");
			break;
		case OPT_STARTS:
			if (!number(optarg, 1, 100, &cmd->starts))
				return bad_usage("starts", optarg, "not a number from 1 to 100");
			break;
		case OPT_TURNS:
			if (!number(optarg, 1, 100000000, &cmd->turns))
				return bad_usage("turns", optarg,
						 "not a number from 1 to 100000000");
			break;
		case OPT_ONLY:
			cmd->only = optarg;
			break;
		case OPT_JSON:
			cmd->json = optarg;
			break;
		case OPT_CHILD:
			cmd->child = true;
			break;
		case OPT_HELP:
			return -1;
		default:
			fputs("vgrant-peers: try 'vgrant-peers --help'\n", stderr);
			return EXIT_USAGE;
		}
	}
	cmd->objects = argv + optind;
	if (!*cmd->objects) {
		fputs("vgrant-peers: name at least one shared object: bench/peers/run does it\n",
		      stderr);
		return EXIT_USAGE;
	}
	return 0;
}

/* ---- starting it several times: where things lie in memory makes a difference ---- */

static int collect(FILE *from, struct table *table)
{
	char line[256];

	while (fgets(line, sizeof(line), from)) {
		int err = table_add(table, line);

		if (err)
			return err;
	}
	return ferror(from) ? -EIO : 0;
}

static int start_again(char **argv, struct table *table)
{
	int fd[2], status, err;
	FILE *from;
	pid_t pid;

	if (pipe(fd))
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		dup2(fd[1], STDOUT_FILENO);
		close(fd[0]);
		close(fd[1]);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	close(fd[1]);
	from = fdopen(fd[0], "r");
	err = from ? collect(from, table) : -errno;
	if (from)
		fclose(from);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		return -EIO;
	return err;
}

/* The same command line with --child in it. */
static char **child_arguments(int argc, char **argv)
{
	char **args = calloc((size_t)argc + 2, sizeof(*args));
	static char child[] = "--child";

	if (!args)
		return NULL;
	args[0] = argv[0];
	args[1] = child;
	memcpy(args + 2, argv + 1, (size_t)(argc - 1) * sizeof(*args));
	return args;
}

/* Everything on one CPU, that on which it began. */
static int pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
	struct command cmd = {.runs = 400, .starts = 8};
	struct table table = {0};
	FILE *json = NULL;
	char **args;
	int err;

	err = parse(argc, argv, &cmd);
	if (err > 0)
		return err;
	if (err) {
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	if (cmd.child || cmd.turns)
		return measure(&cmd) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (cmd.json && !(json = fopen(cmd.json, "we"))) {
		fprintf(stderr, "vgrant-peers: cannot write %s: %s\n", cmd.json, strerror(errno));
		return EXIT_FAILURE;
	}
	args = child_arguments(argc, argv);
	err = !args || pin() ? -errno : 0;
	for (unsigned int i = 0; !err && i < cmd.starts; i++) {
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\rstart %u of %u ", i + 1, cmd.starts);
		err = start_again(args, &table);
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%20s\r", "");
	if (err)
		fprintf(stderr, "vgrant-peers: it was not measured: %s\n", strerror(-err));
	else
		err = table_print(&table, json);
	if (json && fclose(json) && !err) {
		fprintf(stderr, "vgrant-peers: cannot write %s: %s\n", cmd.json, strerror(errno));
		err = -errno;
	}
	table_free(&table);
	free(args);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

// SPDX-License-Identifier: MIT
/* vgrant-report: bench/report is the command. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "page.h"

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: vgrant-report [--prediction FILE] DIR FILE...\n"
	"Makes DIR/index.html, a page with plots, of what vgrant-bench, vgrant-micro and "
	"vgrant-peers\n"
	"wrote with --json. gnuplot draws them.\n\n"
	"  --prediction FILE  a text that is shown as the prediction for real hardware\n"
	"  --help             show this and exit\n";

static const struct option long_options[] = {
	{"prediction", required_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int make(struct figures *f, const char *dir, const char *prediction)
{
	struct plot plot[MAX_PLOTS];
	int n;

	if (!f->points)
		return page_failed("no file has figures of vgrant-bench");
	if ((mkdir(dir, 0777) && errno != EEXIST) || chdir(dir))
		return page_failed("cannot use %s: %s", dir, strerror(errno));
	n = plots_draw(f, plot);
	if (n < 0)
		return -1;
	return page_write(f, prediction, plot, (unsigned int)n);
}

int main(int argc, char **argv)
{
	char *prediction = NULL;
	struct figures f = {0};
	int option, err = 0;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		}
		if (option != 'p') {
			fputs("vgrant-report: try 'vgrant-report --help'\n", stderr);
			return EXIT_USAGE;
		}
		free(prediction);
		/* Before the directory changes. */
		prediction = realpath(optarg, NULL);
		if (!prediction)
			err = page_failed("cannot read %s: %s", optarg, strerror(errno));
	}
	if (argc - optind < 2) {
		fputs("vgrant-report: name a directory and at least one file\n"
		      "vgrant-report: try 'vgrant-report --help'\n",
		      stderr);
		free(prediction);
		return EXIT_USAGE;
	}
	for (int i = optind + 1; !err && i < argc; i++)
		err = figures_load(&f, argv[i]);
	if (!err)
		err = make(&f, argv[optind], prediction);
	if (!err)
		printf("%s/index.html\n", argv[optind]);
	figures_free(&f);
	free(prediction);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

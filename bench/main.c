// SPDX-License-Identifier: MIT
/*
 * vgrant-bench: ways of reaching guest memory against each other, on the simulated hypervisor. All
 * that is compared stands beside each other, in runs that take turns.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "report.h"

/* All processes of a comparison inherit it. */
static int schedule(bool batch)
{
	const struct sched_param param = {0};

	if (!sched_setscheduler(0, batch ? SCHED_BATCH : SCHED_OTHER, &param))
		return 0;
	return complain(-errno, "cannot set the scheduling policy: %s", strerror(errno));
}

static int place(struct options *o)
{
	int err = place_init(&o->settings.place, o->placement);

	return err ? complain(err, "cannot learn which CPUs there are: %s", strerror(-err)) : 0;
}

/* Now, and not after minutes of work. */
static int open_result(const char *path, FILE **file)
{
	*file = path ? fopen(path, "we") : NULL;
	if (path && !*file)
		return complain(-errno, "cannot write %s: %s", path, strerror(errno));
	return 0;
}

static int make_matrix(const struct options *o, struct matrix *m)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < o->num_plans; i++)
		err = matrix_add(m, &o->plan[i]);
	if (err)
		return complain(err, "out of memory");
	if (m->n)
		return 0;
	for (unsigned int i = 0; i < m->num_left_out; i++)
		complain(-EINVAL, "left out: %s", m->left_out[i]);
	return complain(-EINVAL, "nothing is left to measure");
}

int main(int argc, char **argv)
{
	struct options o;
	struct matrix matrix = {0};
	struct report report = {0};
	FILE *json = NULL, *csv = NULL;
	int rc = options_parse(argc, argv, &o);

	if (rc)
		return rc;
	if (o.help) {
		fputs(options_usage, stdout);
		return EXIT_SUCCESS;
	}
	if (make_matrix(&o, &matrix)) {
		matrix_free(&matrix);
		return EXIT_USAGE;
	}
	proc_catch_signals();
	o.settings.progress = isatty(STDERR_FILENO);
	rc = open_result(o.json, &json);
	if (!rc)
		rc = open_result(o.csv, &csv);
	if (!rc)
		rc = schedule(o.settings.batch);
	if (!rc)
		rc = place(&o);
	if (!rc)
		rc = measure(&matrix, &o.settings, &report);
	if (!rc)
		report_table(&report);
	if (!rc && json)
		rc = report_json(&report, json, o.json);
	if (!rc && csv)
		rc = report_csv(&report, csv, o.csv);
	if (json)
		fclose(json);
	if (csv)
		fclose(csv);
	report_free(&report);
	matrix_free(&matrix);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

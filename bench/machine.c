// SPDX-License-Identifier: MIT
#include "machine.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGS_MAX         32
#define SHOWN_BYTES      2000
#define QUOTA_OF_NODES   "16384"
#define QUOTA_OF_WATCHES "2048"

int complain(int err, const char *fmt, ...)
{
	va_list ap;

	if (err == -EINTR)
		return err;
	fputs("vgrant-bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return err;
}

/* This program is BUILD/bench/vgrant-bench. */
static int find_build(struct machine *m)
{
	char self[PATH_LEN];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0 || n == sizeof(self) - 1)
		return complain(-ENAMETOOLONG, "the path of the build directory is too long");
	self[n] = '\0';
	snprintf(m->build, sizeof(m->build), "%s", dirname(dirname(self)));
	return 0;
}

/* Socket paths end at 108 bytes, so a long TMPDIR does not serve. */
static int make_dir(struct machine *m)
{
	const char *base = getenv("TMPDIR");

	if (!base || base[0] != '/' || strlen(base) > 40)
		base = "/tmp";
	snprintf(m->dir, sizeof(m->dir), "%s/vgb.XXXXXX", base);
	if (mkdtemp(m->dir))
		return 0;
	m->dir[0] = '\0';
	return complain(-errno, "cannot make a directory in %s: %s", base, strerror(errno));
}

void machine_log(const struct machine *m, const char *name, char path[PATH_LEN])
{
	int n = snprintf(path, PATH_LEN, "%s/%s.log", m->dir, name);

	if (n < 0 || n >= PATH_LEN)
		path[0] = '\0';
}

void machine_show_log(const struct machine *m, const char *name)
{
	char path[PATH_LEN], text[SHOWN_BYTES];
	struct stat st;
	FILE *file;
	size_t n;

	if (proc_interrupted())
		return;
	machine_log(m, name, path);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fstat(fileno(file), &st) && st.st_size > SHOWN_BYTES)
		fseek(file, -SHOWN_BYTES, SEEK_END);
	n = fread(text, 1, sizeof(text), file);
	if (n) {
		fprintf(stderr, "--- what %s said:\n", name);
		fwrite(text, 1, n, stderr);
	}
	fclose(file);
}

#define DOMAIN_TEXT 128

static void domain_text(const struct domain *d, char *text, size_t size)
{
	int n = snprintf(text, size, "%u,name=%s", d->id, d->name);

	if (d->mem_mib)
		n += snprintf(text + n, size - (size_t)n, ",mem=%u", d->mem_mib);
	if (d->grants)
		n += snprintf(text + n, size - (size_t)n, ",grants=%u", d->grants);
	if (d->privileged)
		snprintf(text + n, size - (size_t)n, ",priv");
}

/* The hub's arguments; *texts and *argv are the caller's. */
static int hub_args(const struct machine *m, const char *hub, const struct domain *domains,
		    unsigned int n, char (**texts)[DOMAIN_TEXT], const char ***argv)
{
	unsigned int arg = 0;

	*texts = calloc(n, sizeof(**texts));
	*argv = calloc(2 * (size_t)n + 8, sizeof(**argv));
	if (!*texts || !*argv)
		return -ENOMEM;
	(*argv)[arg++] = hub;
	(*argv)[arg++] = "--dir";
	(*argv)[arg++] = m->dir;
	/* A driver domain with hundreds of guests needs xenstored's quotas raised, on Xen too. */
	(*argv)[arg++] = "--nodes";
	(*argv)[arg++] = QUOTA_OF_NODES;
	(*argv)[arg++] = "--watches";
	(*argv)[arg++] = QUOTA_OF_WATCHES;
	for (unsigned int i = 0; i < n; i++) {
		domain_text(&domains[i], (*texts)[i], DOMAIN_TEXT);
		(*argv)[arg++] = "--domain";
		(*argv)[arg++] = (*texts)[i];
	}
	return 0;
}

static int start_hub(struct machine *m, const struct domain *domains, unsigned int n)
{
	char hub[2 * PATH_LEN], log[PATH_LEN], *line;
	char(*texts)[DOMAIN_TEXT] = NULL;
	struct proc_spec spec = {.log = log, .pipes = true};
	const char **argv = NULL;
	int err;

	snprintf(hub, sizeof(hub), "%s/sim/bin/xensim", m->build);
	machine_log(m, "xensim", log);
	err = hub_args(m, hub, domains, n, &texts, &argv);
	spec.argv = argv;
	if (!err)
		err = proc_start(&m->hub, &spec);
	if (!err)
		err = proc_line(&m->hub, &line, LIMIT_MS);
	if (!err && strcmp(line, "xensim: ready") != 0)
		err = -EPROTO;
	free(texts);
	free(argv);
	return err;
}

int machine_start(struct machine *m, const struct domain *domains, unsigned int n)
{
	int err;

	*m = (struct machine){0};
	err = find_build(m);
	if (!err)
		err = make_dir(m);
	if (err)
		return err;
	err = start_hub(m, domains, n);
	if (!err)
		return 0;
	complain(err, "the simulated hypervisor does not start: %s", strerror(-err));
	machine_show_log(m, "xensim");
	machine_stop(m);
	return err;
}

/* The files in the directory, which are logs and whatever xensim did not remove: one level. */
static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	if (rmdir(path))
		complain(-errno, "cannot remove %s: %s", path, strerror(errno));
}

void machine_stop(struct machine *m)
{
	proc_stop(&m->hub, SIGTERM, LIMIT_MS);
	if (m->dir[0])
		remove_dir(m->dir);
	m->dir[0] = '\0';
}

int machine_start_in(const struct machine *m, unsigned int domid, const struct program *program,
		     struct proc *p)
{
	const char *argv[ARGS_MAX] = {NULL};
	char run[2 * PATH_LEN], path[2 * PATH_LEN], log[PATH_LEN], id[16];
	const struct proc_spec spec = {
		.argv = argv,
		.log = log,
		.env_name = program->env_name,
		.env_value = program->env_value,
		.pipes = program->pipes,
		.host = program->host,
	};
	unsigned int arg = 0;

	machine_log(m, program->name, log);
	snprintf(run, sizeof(run), "%s/sim/bin/xensim-run", m->build);
	snprintf(path, sizeof(path), "%s/%s", m->build, program->path);
	snprintf(id, sizeof(id), "%u", domid);
	argv[arg++] = run;
	argv[arg++] = m->dir;
	argv[arg++] = id;
	argv[arg++] = path;
	for (const char *const *a = program->args; *a; a++) {
		if (arg == ARGS_MAX - 1)
			return -E2BIG;
		argv[arg++] = *a;
	}
	return proc_start(p, &spec);
}

int machine_ctl(const struct machine *m, const char *const *args, char **text)
{
	const struct program program = {
		.name = "vgrantctl",
		.path = "backend/vgrantctl/vgrantctl",
		.args = args,
		.pipes = true,
	};
	struct proc p;
	char *output;
	int err = machine_start_in(m, 0, &program, &p), status;

	if (err)
		return err;
	err = proc_output(&p, &output, LIMIT_MS);
	if (!err && text) {
		*text = strdup(output);
		err = *text ? 0 : -ENOMEM;
	}
	status = proc_stop(&p, 0, LIMIT_MS);
	if (!err && status) {
		err = -EIO;
		if (text)
			free(*text);
	}
	if (err) {
		complain(err, "vgrantctl %s failed", args[0]);
		machine_show_log(m, program.name);
	}
	return err;
}

// SPDX-License-Identifier: MIT
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGS 32

static char dir[64];
static pid_t hub;

const char *sim_dir(void)
{
	return dir;
}

void sim_start(const char *const *domains)
{
	const char *argv[2 * MAX_ARGS + 4] = {SIM_BIN_DIR "/xensim", "--dir", dir};
	unsigned int n = 3;
	char line[64] = "";
	FILE *out;
	int fds[2];

	snprintf(dir, sizeof(dir), "/tmp/xensim-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (; domains && *domains && n < 2 * MAX_ARGS; domains++) {
		argv[n++] = "--domain";
		argv[n++] = *domains;
	}
	ck_assert_int_eq(pipe(fds), 0);
	hub = fork();
	ck_assert_int_ge(hub, 0);
	if (!hub) {
		char *args[2 * MAX_ARGS + 4];

		prctl(PR_SET_PDEATHSIG, SIGTERM); /* if the test is killed for its time */
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		memcpy(args, argv, sizeof(args));
		execv(args[0], args);
		_exit(127);
	}
	close(fds[1]);
	ck_assert(sim_readable(fds[0], WAIT_MS));
	out = fdopen(fds[0], "r");
	ck_assert_ptr_nonnull(out);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), out));
	ck_assert_str_eq(line, "xensim: ready\n");
	fclose(out);
}

void sim_stop(void)
{
	int status;

	ck_assert_int_eq(kill(hub, SIGTERM), 0);
	ck_assert_int_eq(waitpid(hub, &status, 0), hub);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert_int_eq(rmdir(dir), 0); /* it has taken everything away */
}

void sim_enter(unsigned int domid)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/dom%u", dir, domid);
	setenv("XENSIM", path, 1);
	snprintf(path, sizeof(path), "%s/dom%u/xenstored", dir, domid);
	setenv("XENSTORED_PATH", path, 1);
}

int sim_command(char *out, size_t len, const char *line)
{
	char words[1024], *argv[MAX_ARGS + 1], *save = NULL;
	unsigned int n = 0;
	size_t got = 0;
	int fds[2], status;
	ssize_t k;
	pid_t pid;

	snprintf(words, sizeof(words), "%s", line);
	for (char *w = strtok_r(words, " ", &save); w && n < MAX_ARGS;
	     w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	if (!n)
		return -1;
	argv[n] = NULL;
	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		close(STDERR_FILENO); /* refusals are part of the tests */
		execv(argv[0], argv);
		_exit(127);
	}
	close(fds[1]);
	while (got < len - 1 && (k = read(fds[0], out + got, len - 1 - got)) > 0)
		got += (size_t)k;
	out[got] = '\0';
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *sim_ctl(const char *fmt, ...)
{
	static char reply[131072];
	char line[1024];
	va_list ap;
	int n = snprintf(line, sizeof(line), "%s/xensimctl %s ", SIM_BIN_DIR, dir);

	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	return sim_command(reply, sizeof(reply), line) ? NULL : reply;
}

long sim_value(const char *command, unsigned int domid, const char *key)
{
	const char *text = sim_ctl("%s", command);
	char want[64];
	const char *line, *end, *at;

	ck_assert_ptr_nonnull(text);
	snprintf(want, sizeof(want), "domain=%u ", domid);
	for (line = text; line && strncmp(line, want, strlen(want)) != 0;) {
		line = strchr(line, '\n');
		line = line && line[1] ? line + 1 : NULL;
	}
	if (!line)
		return -1;
	end = strchr(line, '\n');
	snprintf(want, sizeof(want), " %s=", key);
	at = strstr(line, want);
	ck_assert_msg(at && at < end, "no %s in the dump", key);
	return strtol(at + strlen(want), NULL, 10);
}

void sim_wait_value(unsigned int domid, const char *key, long want)
{
	long now = 0;

	for (int i = 0; i < WAIT_MS / 20; i++) {
		now = sim_value("dump", domid, key);
		if (now == want)
			return;
		usleep(20000);
	}
	ck_abort_msg("%s of domain %u is %ld, not %ld", key, domid, now, want);
}

xengnttab_handle *sim_gnttab(unsigned int domid)
{
	xengnttab_handle *h;

	sim_enter(domid);
	h = xengnttab_open(NULL, 0);
	ck_assert_ptr_nonnull(h);
	return h;
}

xengntshr_handle *sim_gntshr(unsigned int domid)
{
	xengntshr_handle *h;

	sim_enter(domid);
	h = xengntshr_open(NULL, 0);
	ck_assert_ptr_nonnull(h);
	return h;
}

xenevtchn_handle *sim_evtchn(unsigned int domid)
{
	xenevtchn_handle *h;

	sim_enter(domid);
	h = xenevtchn_open(NULL, 0);
	ck_assert_ptr_nonnull(h);
	return h;
}

struct xs_handle *sim_xs(unsigned int domid)
{
	struct xs_handle *h;

	sim_enter(domid);
	h = xs_open(0);
	ck_assert_ptr_nonnull(h);
	return h;
}

void sim_text(char *page, const char *text)
{
	memcpy(page, text, strlen(text) + 1);
}

bool sim_readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n;

	do {
		n = poll(&p, 1, ms);
	} while (n < 0 && errno == EINTR);
	return n == 1;
}

int sim_copy_from(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, unsigned int off, void *to,
		  unsigned int len)
{
	xengnttab_grant_copy_segment_t seg = {
		.len = (uint16_t)len, .flags = GNTCOPY_source_gref, .status = 99};

	seg.source.foreign.ref = ref;
	seg.source.foreign.offset = (uint16_t)off;
	seg.source.foreign.domid = (uint16_t)domid;
	seg.dest.virt = to;
	ck_assert_int_eq(xengnttab_grant_copy(xgt, 1, &seg), 0);
	return seg.status;
}

int sim_copy_to(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, unsigned int off,
		const void *from, unsigned int len)
{
	xengnttab_grant_copy_segment_t seg = {
		.len = (uint16_t)len, .flags = GNTCOPY_dest_gref, .status = 99};

	seg.dest.foreign.ref = ref;
	seg.dest.foreign.offset = (uint16_t)off;
	seg.dest.foreign.domid = (uint16_t)domid;
	memcpy(&seg.source.virt, &from, sizeof(from));
	ck_assert_int_eq(xengnttab_grant_copy(xgt, 1, &seg), 0);
	return seg.status;
}

int sim_run_suite(const char *name, TCase *const *cases, unsigned int n)
{
	Suite *s = suite_create(name);
	SRunner *sr;
	int failed;

	for (unsigned int i = 0; i < n; i++)
		suite_add_tcase(s, cases[i]);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

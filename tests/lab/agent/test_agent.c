// SPDX-License-Identifier: MIT
/*
 * The lab's agent: dom0's on a pseudo-terminal, others' on the simulated xenstore. The test is the
 * host's end of the line.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_LIMIT 262144

static char work[] = "/tmp/labagent.XXXXXX";
static char logs[64];
static int line_fd, terminal_fd;
static pid_t agents[8];
static unsigned int agent_count;

/* ---- the line ---- */

static void say(const char *format, ...)
{
	char line[8192];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	ck_assert_int_lt(n, (int)sizeof(line) - 1);
	line[n++] = '\n';
	ck_assert_int_eq(write(line_fd, line, (size_t)n), n);
}

/* The next line; fails the test when none comes. */
static char *hear(void)
{
	static char buffer[65536], line[65536];
	static size_t len;
	char *end;

	while (!(end = memchr(buffer, '\n', len))) {
		ssize_t n;

		ck_assert_msg(sim_readable(line_fd, WAIT_MS), "the agent says nothing");
		n = read(line_fd, buffer + len, sizeof(buffer) - len);
		ck_assert_int_gt(n, 0);
		len += (size_t)n;
	}
	memcpy(line, buffer, (size_t)(end - buffer));
	line[end - buffer] = '\0';
	len -= (size_t)(end + 1 - buffer);
	memmove(buffer, end + 1, len);
	return line;
}

/* The next line that begins so; others are passed over. */
static char *hear_until(const char *start)
{
	char *line;

	do {
		line = hear();
	} while (strncmp(line, start, strlen(start)) != 0);
	return line;
}

static size_t unbase64(unsigned char *out, const char *in)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = 0;

	for (; *in; in += 4) {
		unsigned int v = 0, k, n = 0;

		for (k = 0; k < 4; k++) {
			const char *d = in[k] == '=' ? NULL : strchr(digits, in[k]);

			v = v << 6 | (d ? (unsigned int)(d - digits) : 0);
			n += d != NULL;
		}
		for (k = 0; k + 1 < n; k++)
			out[len++] = (unsigned char)(v >> (16 - 8 * k));
	}
	return len;
}

/* The answer to a request; returns its status. */
static int answer(const char *id, char *output, size_t size, size_t *len)
{
	static unsigned char piece[65536];
	char o[80], r[80];
	size_t got = 0;

	snprintf(o, sizeof(o), "O %s ", id);
	snprintf(r, sizeof(r), "R %s ", id);
	for (;;) {
		char *line = hear();

		if (!strncmp(line, r, strlen(r))) {
			output[got] = '\0';
			if (len)
				*len = got;
			return (int)strtol(line + strlen(r), NULL, 10);
		}
		if (!strncmp(line, o, strlen(o))) {
			size_t n = unbase64(piece, line + strlen(o));

			ck_assert_uint_lt(got + n, size);
			memcpy(output + got, piece, n);
			got += n;
		}
	}
}

/* A script of one line: its output must be, and its status. */
static void runs(unsigned int domid, const char *id, const char *script, const char *output,
		 int status)
{
	char got[4096];

	say("P %s %s", id, script);
	say("X %s %u 1", id, domid);
	ck_assert_int_eq(answer(id, got, sizeof(got), NULL), status);
	ck_assert_str_eq(got, output);
}

/* ---- the machine ---- */

static void spawn(unsigned int domid, const char *a, const char *b, const char *c)
{
	char run[80];
	pid_t pid;

	snprintf(run, sizeof(run), "%s/run%u", work, domid);
	sim_enter(domid);
	setenv("LABAGENT_RUN", run, 1);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
		execl(LABAGENT, "labagent", a, b, c, NULL);
		_exit(127);
	}
	agents[agent_count++] = pid;
}

/* A domain as libxl makes it, with an agent. */
static void domain_start(unsigned int domid)
{
	struct xs_permissions owner = {.id = domid, .perms = XS_PERM_NONE};
	struct xs_handle *xs;
	char path[64], want[32];

	ck_assert_ptr_nonnull(sim_ctl("create id=%u", domid));
	xs = sim_xs(0);
	snprintf(path, sizeof(path), "/local/domain/%u/data", domid);
	ck_assert(xs_mkdir(xs, XBT_NULL, path));
	ck_assert(xs_set_permissions(xs, XBT_NULL, path, &owner, 1));
	xs_close(xs);
	spawn(domid, "domu", NULL, NULL);
	snprintf(want, sizeof(want), "A %u ready", domid);
	hear_until(want);
}

/* The agent of the newest domain goes with it: on Xen it would not run on. */
static void domain_end(void)
{
	kill(agents[--agent_count], SIGKILL);
	waitpid(agents[agent_count], NULL, 0);
}

static void begin(void)
{
	const char *const domains[] = {NULL};
	struct termios t;
	char *name;

	sim_start(domains);
	ck_assert_ptr_nonnull(mkdtemp(work));
	snprintf(logs, sizeof(logs), "%s/logs", work);
	ck_assert_int_eq(mkdir(logs, 0700), 0);
	setenv("LABAGENT_LOGS", logs, 1);
	line_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(line_fd, 0);
	ck_assert_int_eq(grantpt(line_fd) | unlockpt(line_fd), 0);
	name = ptsname(line_fd);
	/* Held open, and raw from the start: nothing is echoed or lost. */
	terminal_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(terminal_fd, 0);
	ck_assert_int_eq(tcgetattr(terminal_fd, &t), 0);
	cfmakeraw(&t);
	ck_assert_int_eq(tcsetattr(terminal_fd, TCSANOW, &t), 0);
	spawn(0, "dom0", name, "greeting");
	ck_assert_str_eq(hear(), "E ready, greeting");
}

static void shell(const char *format, ...)
{
	char command[256];
	int status;
	va_list args;
	pid_t pid;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static void end(void)
{
	while (agent_count) {
		pid_t pid = agents[--agent_count];
		int status;

		/* Until now it lived: nothing that was said or done to it has ended it. */
		ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	close(terminal_fd);
	close(line_fd);
	sim_stop();
	shell("rm -rf %s", work);
}

/* ---- dom0's own requests, and the line ---- */

START_TEST(request_output_and_status)
{
	char got[256];

	runs(0, "1-1", "echo one; echo two >&2; exit 3", "one\ntwo\n", 3);
	runs(0, "1-2", "printf 'no newline'", "no newline", 0);
	runs(0, "1-3", "kill -9 $$", "", 128 + 9);
	runs(0, "1-4", "cat", "", 0); /* standard input is empty */
	runs(0, "1-5", "ls /proc/self/fd | wc -l", "4\n", 0);
	/* Lines keep their blanks; a long one comes in pieces. */
	say("P 2-1 cat <<END");
	say("P 2-1   two blanks, a tab:\t\\\\ ");
	say("p 2-1 a long");
	say("P 2-1  line");
	say("P 2-1 END");
	say("X 2-1 0 5");
	ck_assert_int_eq(answer("2-1", got, sizeof(got), NULL), 0);
	ck_assert_str_eq(got, "  two blanks, a tab:\t\\ \na long line\n");
}
END_TEST

START_TEST(request_garbled)
{
	char got[256], longer[1024];
	int i;

	say("P 3-1 echo part");
	say("X 3-1 0 2");
	ck_assert_int_eq(answer("3-1", got, sizeof(got), NULL), 254);
	say("X 3-2 0 1");
	ck_assert_int_eq(answer("3-2", got, sizeof(got), NULL), 254);
	memset(longer, 'x', sizeof(longer));
	for (i = 0; i < 100; i++)
		say("P 3-3 : %.*s", 1000, longer);
	say("X 3-3 0 100");
	ck_assert_int_eq(answer("3-3", got, sizeof(got), NULL), 254);
	ck_assert_str_eq(got, "the script is too long\n");
	say("what is this");
	say("X ../../etc 0 0");
	say("X");
	say("%s", "");
	say("P 3-4 %.*s%.*s%.*s%.*s%.*s", 1000, longer, 1000, longer, 1000, longer, 1000, longer,
	    1000, longer);
	/* More beginnings than there is room for, none of which ends. */
	for (i = 0; i < 50; i++)
		say("P 4-%d echo", i);
	runs(0, "3-5", "echo alive", "alive\n", 0);
}
END_TEST

START_TEST(request_output_limit)
{
	static char got[OUTPUT_LIMIT + 1];
	size_t len;

	say("P 5-1 head -c 300000 /dev/zero | tr '\\0' a; echo; echo the end");
	say("X 5-1 0 1");
	ck_assert_int_eq(answer("5-1", got, sizeof(got), &len), 0);
	ck_assert_uint_eq(len, OUTPUT_LIMIT);
	ck_assert_str_eq(got + len - 10, "a\nthe end\n");
}
END_TEST

START_TEST(request_hangs)
{
	char got[256], path[128];
	int i;

	say("P 6-1 echo $$; echo before; exec sleep 1000");
	say("X 6-1 0 1");
	runs(0, "6-2", "echo other", "other\n", 0);
	/* What the one that hangs has said is there to be looked at. */
	snprintf(path, sizeof(path), "until grep before %s/run0/6-1.out; do sleep 0.01; done",
		 work);
	runs(0, "6-3", path, "before\n", 0);
	/* A process in the background does not hold its request. */
	runs(0, "6-4", "sleep 1000 & echo started", "started\n", 0);
	/* Those that hang take places, of which there are 64. */
	for (i = 1; i < 64; i++) {
		say("P 7-%d exec sleep 1000", i);
		say("X 7-%d 0 1", i);
	}
	say("P 7-64 echo");
	say("X 7-64 0 1");
	ck_assert_int_eq(answer("7-64", got, sizeof(got), NULL), 253);
	/* Its first line is the shell's number, which sleep has taken over. */
	shell("kill -TERM $(head -n 1 %s/run0/6-1.out)", work);
	ck_assert_int_eq(answer("6-1", got, sizeof(got), NULL), 128 + SIGTERM);
	runs(0, "6-5", "echo a place again", "a place again\n", 0);
}
END_TEST

static void log_write(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/guest-%s.log", logs, name);
	file = fopen(path, "a");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

START_TEST(consoles)
{
	char script[128];

	log_write("g1", "before\r\n");
	say("F g1");
	ck_assert_str_eq(hear(), "L g1 before");
	say("F later");
	say("F g1"); /* once is enough */
	log_write("later", "half a ");
	log_write("later", "line, \x1b[1mbold\n\nlast\n");
	ck_assert_str_eq(hear(), "L later half a line, [1mbold");
	ck_assert_str_eq(hear(), "L later ");
	ck_assert_str_eq(hear(), "L later last");
	/* The end of a request comes after what stood in the logs then. */
	snprintf(script, sizeof(script), "echo at its end >>%s/guest-g1.log", logs);
	say("P 8-1 %s", script);
	say("X 8-1 0 1");
	ck_assert_str_eq(hear(), "L g1 at its end");
	ck_assert_str_eq(hear(), "R 8-1 0");
}
END_TEST

/* ---- other domains ---- */

START_TEST(domain_requests)
{
	static char got[OUTPUT_LIMIT + 1];
	char wanted[2000];
	size_t len;
	int i;

	domain_start(1);
	domain_start(5);
	runs(1, "1-1", "echo $LABAGENT_RUN | tail -c 5", "run1\n", 0);
	runs(5, "1-2", "echo $LABAGENT_RUN | tail -c 5; exit 7", "run5\n", 7);
	runs(9, "1-3", "echo", "no such domain\n", 255);
	/* Longer than a node, both ways, and more than all nodes may hold. */
	for (i = 0; i < 20; i++)
		say("P 1-4 : %0500d", i);
	say("P 1-4 seq 1 20000");
	say("X 1-4 1 21");
	ck_assert_int_eq(answer("1-4", got, sizeof(got), &len), 0);
	ck_assert_uint_eq(len, 108894);
	ck_assert_str_eq(got + len - 12, "19999\n20000\n");
	say("P 1-5 head -c 300000 /dev/zero | tr '\\0' a; printf b");
	say("X 1-5 1 1");
	ck_assert_int_eq(answer("1-5", got, sizeof(got), &len), 0);
	ck_assert_uint_eq(len, OUTPUT_LIMIT);
	ck_assert_str_eq(got + len - 3, "aab");
	/* Output of every length about that of a node. */
	for (i = 1530; i < 1540; i++) {
		memset(wanted, 'a', sizeof(wanted));
		wanted[i] = '\0';
		say("P 2-%d head -c %d /dev/zero | tr '\\0' a", i, i);
		say("X 2-%d 1 1", i);
		snprintf(got, sizeof(got), "2-%d", i);
		ck_assert_int_eq(answer(got, got + 100, 4000, NULL), 0);
		ck_assert_str_eq(got + 100, wanted);
	}
}
END_TEST

START_TEST(domain_hangs)
{
	char got[256];

	domain_start(1);
	say("P 1-1 exec sleep 1000");
	say("X 1-1 1 1");
	runs(1, "1-2", "echo other", "other\n", 0);
	runs(0, "1-3", "echo here", "here\n", 0);
	/* The domain's end is the request's. */
	ck_assert_ptr_nonnull(sim_ctl("destroy 1"));
	ck_assert_int_eq(answer("1-1", got, sizeof(got), NULL), 255);
	ck_assert_str_eq(got, "the domain is gone\n");
	runs(1, "1-4", "echo", "no such domain\n", 255);
	domain_end();
}
END_TEST

/* Nothing stays behind in the directory of a domain that has answered. */
START_TEST(domain_nodes)
{
	struct xs_handle *xs;
	unsigned int n;
	char **names;
	int i;

	domain_start(1);
	runs(1, "1-1", "true", "", 0);
	for (i = 0; i < 20; i++) {
		char id[16], got[8192];

		snprintf(id, sizeof(id), "2-%d", i);
		say("P %s seq 1 1500", id);
		say("X %s 1 1", id);
		ck_assert_int_eq(answer(id, got, sizeof(got), NULL), 0);
	}
	runs(0, "1-2", "true", "", 0);
	xs = sim_xs(0);
	for (i = 0; i < 3; i++) {
		const char *const dirs[] = {"req", "done", "out"};
		char path[64];

		snprintf(path, sizeof(path), "/local/domain/1/data/%s", dirs[i]);
		names = xs_directory(xs, XBT_NULL, path, &n);
		ck_assert_ptr_nonnull(names);
		ck_assert_uint_eq(n, 0);
		free(names);
	}
	xs_close(xs);
}
END_TEST

/* Domains come and go, more than the relay can watch at once. */
START_TEST(domains_come_and_go)
{
	unsigned int domid;
	char id[16];

	for (domid = 1; domid <= 80; domid++) {
		domain_start(domid);
		snprintf(id, sizeof(id), "1-%u", domid);
		runs(domid, id, "echo x", "x\n", 0);
		domain_end();
		ck_assert_ptr_nonnull(sim_ctl("destroy %u", domid));
	}
}
END_TEST

/* After a restore the kernel sets the watch anew: what was asked meanwhile is done, once. */
START_TEST(domain_restored)
{
	struct xs_handle *xs;

	domain_start(1);
	xs = sim_xs(0);
	ck_assert(xs_rm(xs, XBT_NULL, "/local/domain/1/data/agent"));
	ck_assert(xs_write(xs, XBT_NULL, "/local/domain/1/data/req", "", 0));
	for (;;) {
		char *agent = xs_read(xs, XBT_NULL, "/local/domain/1/data/agent", NULL);

		free(agent);
		if (agent)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	xs_close(xs);
	runs(1, "1-1", "echo again", "again\n", 0);
}
END_TEST

/* The relay dies, as when xenstored's connection breaks: another one takes its place. */
START_TEST(relay_dies)
{
	domain_start(1);
	runs(1, "1-1", "echo one", "one\n", 0);
	shell("kill -KILL $(cat /proc/%d/task/*/children)", (int)agents[0]);
	hear_until("E the relay to the other domains ended");
	hear_until("A 1 ready");
	runs(1, "1-2", "echo two", "two\n", 0);
}
END_TEST

int main(void)
{
	TCase *line = tcase_create("line"), *domains = tcase_create("domains");
	TCase *cases[] = {line, domains};
	unsigned int i;

	for (i = 0; i < 2; i++) {
		tcase_add_checked_fixture(cases[i], begin, end);
		tcase_set_timeout(cases[i], 120);
	}
	tcase_add_test(line, request_output_and_status);
	tcase_add_test(line, request_garbled);
	tcase_add_test(line, request_output_limit);
	tcase_add_test(line, request_hangs);
	tcase_add_test(line, consoles);
	tcase_add_test(domains, domain_requests);
	tcase_add_test(domains, domain_hangs);
	tcase_add_test(domains, domain_nodes);
	tcase_add_test(domains, domains_come_and_go);
	tcase_add_test(domains, domain_restored);
	tcase_add_test(domains, relay_dies);
	return sim_run_suite("labagent", cases, 2);
}

// SPDX-License-Identifier: MIT
#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim_fixture.h"

#define DIR_ENV   "VGRANT_TEST_SIM" /* set in the program that runs inside */
#define READY     "xensim: ready"
#define WAIT_MS   60000
#define STRING(x) #x
#define TEXT(x)   STRING(x)

char sim_last_line[512];
unsigned int sim_log_lines;

__attribute__((format(printf, 3, 0))) static void emit(void *opaque, enum vg_log_level level,
						       const char *fmt, va_list ap)
{
	(void)opaque;
	(void)level;
	vsnprintf(sim_last_line, sizeof(sim_last_line), fmt, ap);
	sim_log_lines++;
}

const struct vg_log sim_log = {.emit = emit};

/* ---- outside ---- */

/* Starts @argv, with its standard output into @out unless that is -1. */
static pid_t start(char *const argv[], int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	/* A test that is killed leaves nothing behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	execv(argv[0], argv);
	fprintf(stderr, "cannot start %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int wait_until_ready(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char text[256] = "";
	size_t len = 0;

	while (!strstr(text, READY)) {
		ssize_t n;

		if (poll(&pfd, 1, WAIT_MS) != 1)
			return -ETIMEDOUT;
		n = read(fd, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			return -EIO;
		len += (size_t)n;
	}
	return 0;
}

/* Ends a process that we started. */
static void end(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	for (int i = 0; i < 1000; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int run_inside(char *dir)
{
	char self[4096];
	char *run[] = {(char[]){SIM_BIN "/xensim-run"}, dir, (char[]){TEXT(SIM_BACKEND)}, self,
		       NULL};
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int status = -1;
	pid_t pid;

	if (len < 0)
		return 1;
	self[len] = '\0';
	setenv(DIR_ENV, dir, 1);
	pid = start(run, -1);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int run_outside(void)
{
	char dir[] = "/tmp/vgrant-test-XXXXXX";
	char *sim[] = {(char[]){SIM_BIN "/xensim"},
		       (char[]){"--dir"},
		       dir,
		       (char[]){"--domain"},
		       (char[]){TEXT(SIM_BACKEND) ",name=driver"},
		       (char[]){"--domain"},
		       (char[]){TEXT(SIM_GUEST) ",name=guest"},
		       (char[]){"--domain"},
		       (char[]){TEXT(SIM_OTHER) ",name=other,maptrack=" TEXT(
			       SIM_OTHER_MAX) ",ports=" TEXT(SIM_OTHER_MAX)},
		       NULL};
	int pipe_fds[2] = {-1, -1};
	pid_t pid = -1;
	int ret = 1;

	if (!mkdtemp(dir) || pipe(pipe_fds)) {
		perror("cannot make a directory and a pipe for xensim");
		goto out;
	}
	pid = start(sim, pipe_fds[1]);
	close(pipe_fds[1]);
	pipe_fds[1] = -1;
	if (pid < 0 || wait_until_ready(pipe_fds[0])) {
		fprintf(stderr, "%s does not start\n", sim[0]);
		goto out;
	}
	ret = run_inside(dir);
out:
	if (pid > 0)
		end(pid);
	for (int i = 0; i < 2; i++)
		if (pipe_fds[i] >= 0)
			close(pipe_fds[i]);
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return ret;
}

int sim_main(int (*tests)(void))
{
	return getenv(DIR_ENV) ? tests() : run_outside();
}

/* ---- inside ---- */

void sim_enter(unsigned int domid)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/dom%u", getenv(DIR_ENV), domid);
	ck_assert_int_eq(setenv("XENSIM", path, 1), 0);
	snprintf(path, sizeof(path), "%s/dom%u/xenstored", getenv(DIR_ENV), domid);
	ck_assert_int_eq(setenv("XENSTORED_PATH", path, 1), 0);
}

const char *sim_ctl(const char *line)
{
	static char reply[65536];
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = WAIT_MS / 1000};
	ssize_t n;
	int fd;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/ctl", getenv(DIR_ENV));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
	n = recv(fd, reply, sizeof(reply) - 1, 0);
	close(fd);
	ck_assert_msg(n >= 2, "xensim does not answer \"%s\"", line);
	reply[n] = '\0';
	ck_assert_msg(reply[0] == '+', "xensim refuses \"%s\": %s", line, reply + 2);
	return reply + 2;
}

void sim_faults(unsigned int domid, const char *rules)
{
	char line[2048];
	int len = snprintf(line, sizeof(line), "fault %u %s", domid, *rules ? rules : "clear");

	ck_assert_int_lt(len, (int)sizeof(line));
	sim_ctl(line);
}

/* The number after " NAME=" in the line of @domid. */
static bool find_number(const char *text, unsigned int domid, const char *name, uint64_t *value)
{
	char key[64];
	const char *line, *at;

	snprintf(key, sizeof(key), "domain=%u ", domid);
	for (line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (!strncmp(line, key, strlen(key)))
			break;
	if (!line)
		return false;
	snprintf(key, sizeof(key), " %s=", name);
	at = strstr(line, key);
	if (!at || at > strchrnul(line, '\n'))
		return false;
	*value = strtoull(at + strlen(key), NULL, 10);
	return true;
}

uint64_t sim_number(unsigned int domid, const char *name)
{
	uint64_t value = 0;

	if (!find_number(sim_ctl("stats"), domid, name, &value))
		ck_assert_msg(find_number(sim_ctl("dump"), domid, name, &value),
			      "xensim has no number \"%s\" of domain %u", name, domid);
	return value;
}

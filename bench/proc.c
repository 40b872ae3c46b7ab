// SPDX-License-Identifier: MIT
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_NO_EXEC 127
#define BUF_START    4096
#define BUF_MAX      (8u << 20)
#define LOOK_MS      500 /* how often the host of a process that says nothing is looked after */

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

void proc_catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

bool proc_interrupted(void)
{
	return interrupted;
}

void proc_sleep_ms(unsigned int ms)
{
	const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

uint64_t proc_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t now_ms(void)
{
	return proc_now_ns() / 1000000;
}

static void close_pipe(int fd[2])
{
	for (int i = 0; i < 2; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
		fd[i] = -1;
	}
}

/* In the child. Does not return. */
static void become(const struct proc_spec *spec, int in, int out)
{
	int log = open(spec->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_DFL);
	if (in < 0)
		in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (log < 0 || in < 0 || dup2(in, STDIN_FILENO) < 0 ||
	    dup2(out >= 0 ? out : log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(EXIT_NO_EXEC);
	if (spec->env_name && setenv(spec->env_name, spec->env_value, 1))
		_exit(EXIT_NO_EXEC);
	/* execv() does not write through argv; its type cannot say so. */
	execv(spec->argv[0], (char *const *)(uintptr_t)spec->argv);
	_exit(EXIT_NO_EXEC);
}

int proc_start(struct proc *p, const struct proc_spec *spec)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, err = 0;

	*p = (struct proc){.in = -1, .out = -1, .host = spec->host};
	if (spec->pipes && (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))) {
		err = -errno;
		goto out;
	}
	p->pid = fork();
	if (p->pid < 0) {
		err = -errno;
		p->pid = 0;
		goto out;
	}
	if (!p->pid)
		become(spec, in[0], out[1]);
	p->in = in[1];
	p->out = out[0];
	in[1] = out[0] = -1;
out:
	close_pipe(in);
	close_pipe(out);
	return err;
}

int proc_send(struct proc *p, const char *line)
{
	size_t len = strlen(line);
	ssize_t n = write(p->in, line, len);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EPIPE;
}

/* Makes room for more of its output, and for an end of text behind it. */
static int make_room(struct proc *p)
{
	size_t size = p->size ? 2 * p->size : BUF_START;
	char *buf;

	if (p->len + 1 < p->size)
		return 0;
	if (size > BUF_MAX)
		return -E2BIG;
	buf = realloc(p->buf, size);
	if (!buf)
		return -ENOMEM;
	p->buf = buf;
	p->size = size;
	return 0;
}

/* What was given out by the last call is done with. */
static void forget_taken(struct proc *p)
{
	if (!p->taken)
		return;
	p->len -= p->taken;
	memmove(p->buf, p->buf + p->taken, p->len);
	p->taken = 0;
}

bool proc_ended(pid_t pid)
{
	siginfo_t info = {.si_pid = 0};

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

/* Waits until there is some of its output. */
static int await_output(const struct proc *p, uint64_t deadline)
{
	struct pollfd pfd = {.fd = p->out, .events = POLLIN};

	for (;;) {
		uint64_t now = now_ms();
		uint64_t left = now < deadline ? deadline - now : 0;
		int n;

		if (interrupted)
			return -EINTR;
		n = poll(&pfd, 1, (int)(left < LOOK_MS ? left : LOOK_MS));
		if (n)
			return n < 0 ? -errno : 0;
		if (p->host && proc_ended(p->host->pid))
			return -EOWNERDEAD;
		if (!left)
			return -ETIMEDOUT;
	}
}

/* Reads more of its output. 1: some came, 0: its end, or negative errno. */
static int fill(struct proc *p, uint64_t deadline)
{
	ssize_t n = make_room(p);

	if (!n)
		n = await_output(p, deadline);
	if (n)
		return (int)n;
	n = read(p->out, p->buf + p->len, p->size - 1 - p->len);
	if (n < 0)
		return -errno;
	p->len += (size_t)n;
	return n > 0;
}

int proc_line(struct proc *p, char **line, unsigned int timeout_ms)
{
	uint64_t deadline = now_ms() + timeout_ms;
	size_t searched = 0;
	char *end;

	forget_taken(p);
	while (!p->len || !(end = memchr(p->buf + searched, '\n', p->len - searched))) {
		int ret;

		searched = p->len;
		ret = fill(p, deadline);
		if (ret <= 0)
			return ret ? ret : -EPIPE;
	}
	*end = '\0';
	*line = p->buf;
	p->taken = (size_t)(end - p->buf) + 1;
	return 0;
}

int proc_output(struct proc *p, char **text, unsigned int timeout_ms)
{
	uint64_t deadline = now_ms() + timeout_ms;
	int ret;

	forget_taken(p);
	do
		ret = fill(p, deadline);
	while (ret > 0);
	if (ret)
		return ret;
	p->buf[p->len] = '\0';
	*text = p->buf;
	p->taken = p->len;
	return 0;
}

/* Polls, since SIGCHLD is nobody's. */
static bool ended(pid_t pid, unsigned int timeout_ms, int *status)
{
	uint64_t deadline = now_ms() + timeout_ms;

	while (waitpid(pid, status, WNOHANG) != pid) {
		if (now_ms() >= deadline)
			return false;
		proc_sleep_ms(5);
	}
	return true;
}

void proc_end_input(struct proc *p)
{
	if (p->in >= 0)
		close(p->in);
	p->in = -1;
}

int proc_stop(struct proc *p, int sig, unsigned int timeout_ms)
{
	int status = 0;

	if (!p->pid)
		return 0;
	proc_end_input(p);
	if (sig)
		kill(p->pid, sig);
	if (!ended(p->pid, timeout_ms, &status)) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, &status, 0);
	}
	if (p->out >= 0)
		close(p->out);
	free(p->buf);
	*p = (struct proc){.in = -1, .out = -1};
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

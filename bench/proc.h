/* SPDX-License-Identifier: MIT */
/* Child processes. Every wait is bounded; errors are negative errno, -EINTR: the user wants to
 * stop. */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc {
	pid_t pid;   /* 0: none */
	int in, out; /* pipes to its standard input and from its standard output, or -1 */
	char *buf;   /* of ->out: what was read; the first ->taken bytes are done with */
	size_t taken, len, size;
	const struct proc *host; /* when that has ended, this one says nothing any more; or NULL */
};

struct proc_spec {
	const char *const *argv; /* NULL at the end; argv[0] is a path */
	const char *log; /* file for standard error, and for standard output without pipes */
	const char *env_name, *env_value; /* one more in its environment, or NULL */
	bool pipes;
	const struct proc *host; /* stays where it is for as long as this process; or NULL */
};

/* Starts it; it is killed when this process dies. */
int proc_start(struct proc *p, const struct proc_spec *spec);
/* Sends one line, which has its newline. -EPIPE: it does not read any more. */
int proc_send(struct proc *p, const char *line);
/* Takes one line, without its newline; it is there until the next call. -ETIMEDOUT, -EPIPE: it has
 * closed its output, -EOWNERDEAD: its host has ended, -E2BIG. */
int proc_line(struct proc *p, char **line, unsigned int timeout_ms);
/* All of its output up to its end, as text, likewise. */
int proc_output(struct proc *p, char **text, unsigned int timeout_ms);
/* Whether a child has ended; 0 is none, and has. It stays to be waited for. */
bool proc_ended(pid_t pid);
/* The end of its standard input. */
void proc_end_input(struct proc *p);
/*
 * Closes its pipes, sends @sig unless it is 0, and waits; past the time-out it is killed. Returns
 * the exit status, or 128 and the signal. Nothing to stop: 0.
 */
int proc_stop(struct proc *p, int sig, unsigned int timeout_ms);

/* SIGINT and SIGTERM end waits with -EINTR from here on. */
void proc_catch_signals(void);
bool proc_interrupted(void);
void proc_sleep_ms(unsigned int ms);
/* CLOCK_MONOTONIC, which all processes see alike. */
uint64_t proc_now_ns(void);

#endif

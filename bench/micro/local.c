// SPDX-License-Identifier: MIT
/* What the machine does without a hypervisor: the yardsticks of the rest. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "micro.h"

/* A process that answers one eventfd with another. */
struct micro_echo {
	int to, from;
	pid_t pid;
};

static void echo(const struct micro_echo *e)
{
	uint64_t value;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(e->to, &value, sizeof(value)) == sizeof(value) &&
	       write(e->from, &value, sizeof(value)) == sizeof(value))
		;
	_exit(0);
}

int micro_local_open(struct micro *m)
{
	struct micro_echo *e = calloc(1, sizeof(*e));

	if (!e)
		return micro_failed(-ENOMEM, "no memory");
	m->echo = e;
	e->to = eventfd(0, EFD_CLOEXEC);
	e->from = eventfd(0, EFD_CLOEXEC);
	if (e->to < 0 || e->from < 0)
		return micro_failed(-errno, "no eventfd");
	e->pid = fork();
	if (!e->pid)
		echo(e);
	if (e->pid < 0)
		return micro_failed(-errno, "no process");
	m->local = mmap(NULL, MICRO_PAGES * (size_t)VG_PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	m->big = mmap(NULL, MICRO_BIG, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (m->local == MAP_FAILED || m->big == MAP_FAILED)
		return micro_failed(-errno, "no memory");
	return 0;
}

void micro_local_close(struct micro *m)
{
	struct micro_echo *e = m->echo;

	if (e && e->pid > 0) {
		kill(e->pid, SIGKILL);
		waitpid(e->pid, NULL, 0);
	}
	if (m->local && m->local != MAP_FAILED)
		munmap(m->local, MICRO_PAGES * (size_t)VG_PAGE_SIZE);
	if (m->big && m->big != MAP_FAILED)
		munmap(m->big, MICRO_BIG);
	free(e);
}

int micro_run_syscall(struct micro *m, unsigned int arg, unsigned int count, double *ns)
{
	double from = micro_now();

	(void)m;
	(void)arg;
	for (unsigned int i = 0; i < count; i++)
		syscall(SYS_getppid);
	*ns = micro_now() - from;
	return 0;
}

int micro_run_eventfd(struct micro *m, unsigned int arg, unsigned int count, double *ns)
{
	double from = micro_now();
	uint64_t value = 1;

	(void)arg;
	for (unsigned int i = 0; i < count; i++)
		if (write(m->echo->to, &value, sizeof(value)) != sizeof(value) ||
		    read(m->echo->from, &value, sizeof(value)) != sizeof(value))
			return micro_failed(-errno, "the eventfd is not answered");
	*ns = micro_now() - from;
	return 0;
}

/* @bytes, from one place to another that are both in the cache. */
int micro_run_memcpy(struct micro *m, unsigned int bytes, unsigned int count, double *ns)
{
	char *to = (char *)m->local + MICRO_PAGES / 2 * (size_t)VG_PAGE_SIZE;
	double from = micro_now();

	for (unsigned int i = 0; i < count; i++) {
		memcpy(to, m->local, bytes);
		__asm__ volatile("" ::: "memory");
	}
	*ns = micro_now() - from;
	return 0;
}

/* Likewise, walking through more memory than caches hold. */
int micro_run_memcpy_big(struct micro *m, unsigned int bytes, unsigned int count, double *ns)
{
	const size_t half = MICRO_BIG / 2;
	double from = micro_now();
	static size_t at;

	for (unsigned int i = 0; i < count; i++) {
		memcpy((char *)m->big + half + at, (char *)m->big + at, bytes);
		at = (at + bytes) % half;
		__asm__ volatile("" ::: "memory");
	}
	*ns = micro_now() - from;
	return 0;
}

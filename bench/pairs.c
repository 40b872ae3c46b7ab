// SPDX-License-Identifier: MIT
#include "pairs.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEAD_NS      500000 /* from telling them when to begin until then; and for each of them */
#define LEAD_EACH_NS 20000
#define SPARE_MS     60000 /* a run that takes so much longer has failed */
#define LOOK_MS      500   /* between looks whether all processes are there */

/* What a pair tells of its run, in memory that it shares with us. */
struct told {
	uint64_t rounds;
	struct histogram latency;
};

struct window {
	uint64_t begin, end; /* ns of CLOCK_MONOTONIC */
	struct told told[];
};

struct pair {
	int there, back; /* eventfds */
	pid_t driver, echo;
};

struct pairs {
	const struct place *place;
	struct window *window;
	size_t window_size;
	int done; /* an eventfd: each driver adds one at the end of a run */
	unsigned int n;
	struct pair pair[];
};

static bool send_word(int fd)
{
	const uint64_t one = 1;

	return write(fd, &one, sizeof(one)) == sizeof(one);
}

static bool take_word(int fd)
{
	uint64_t word;

	return read(fd, &word, sizeof(word)) == sizeof(word);
}

/* In a child; it ends with us. */
static _Noreturn void echo(const struct pair *pair)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (take_word(pair->there) && send_word(pair->back)) {
	}
	_exit(1);
}

static void await(uint64_t ns)
{
	const struct timespec until = {.tv_sec = (time_t)(ns / 1000000000u),
				       .tv_nsec = (long)(ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
	}
}

/* In a child, likewise. The first word of a run comes from us. */
static _Noreturn void drive(const struct pairs *pairs, unsigned int index)
{
	const struct pair *pair = &pairs->pair[index];
	struct told *told = &pairs->window->told[index];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (take_word(pair->back)) {
		uint64_t before, end = pairs->window->end;

		await(pairs->window->begin);
		for (before = proc_now_ns(); before < end;) {
			uint64_t now;

			if (!send_word(pair->there) || !take_word(pair->back))
				_exit(1);
			now = proc_now_ns();
			histogram_add(&told->latency, now - before, 1);
			told->rounds++;
			before = now;
		}
		if (!send_word(pairs->done))
			break;
	}
	_exit(1);
}

static int start_pair(struct pairs *pairs, unsigned int index)
{
	struct pair *pair = &pairs->pair[index];
	int err;

	pair->there = eventfd(0, EFD_CLOEXEC);
	pair->back = eventfd(0, EFD_CLOEXEC);
	if (pair->there < 0 || pair->back < 0)
		return -errno;
	pair->echo = fork();
	if (!pair->echo)
		echo(pair);
	if (pair->echo < 0)
		return -errno;
	pair->driver = fork();
	if (!pair->driver)
		drive(pairs, index);
	if (pair->driver < 0)
		return -errno;
	err = place_guest(pairs->place, false, index, pair->driver);
	return err ? err : place_worker(pairs->place, false, index, pair->echo);
}

int pairs_start(unsigned int n, const struct place *place, struct pairs **out)
{
	struct pairs *pairs = calloc(1, sizeof(*pairs) + n * sizeof(pairs->pair[0]));
	int err = 0;

	*out = NULL;
	if (!pairs)
		return -ENOMEM;
	pairs->place = place;
	pairs->n = n;
	for (unsigned int i = 0; i < n; i++)
		pairs->pair[i] = (struct pair){.there = -1, .back = -1};
	pairs->window_size = sizeof(*pairs->window) + n * sizeof(pairs->window->told[0]);
	pairs->window = mmap(NULL, pairs->window_size, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pairs->done = eventfd(0, EFD_CLOEXEC);
	if (pairs->window == MAP_FAILED || pairs->done < 0)
		err = -errno;
	for (unsigned int i = 0; !err && i < n; i++)
		err = proc_interrupted() ? -EINTR : start_pair(pairs, i);
	if (!err)
		*out = pairs;
	else
		pairs_stop(pairs);
	return err;
}

static void kill_child(pid_t pid)
{
	if (pid > 0)
		kill(pid, SIGKILL);
}

static void reap_child(pid_t pid)
{
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

void pairs_stop(struct pairs *pairs)
{
	if (!pairs)
		return;
	/* All at once: each must get a CPU to end, and those that still run have them. */
	for (unsigned int i = 0; i < pairs->n; i++) {
		kill_child(pairs->pair[i].driver);
		kill_child(pairs->pair[i].echo);
	}
	for (unsigned int i = 0; i < pairs->n; i++) {
		struct pair *pair = &pairs->pair[i];

		reap_child(pair->driver);
		reap_child(pair->echo);
		if (pair->there >= 0)
			close(pair->there);
		if (pair->back >= 0)
			close(pair->back);
	}
	if (pairs->window != MAP_FAILED)
		munmap(pairs->window, pairs->window_size);
	if (pairs->done >= 0)
		close(pairs->done);
	free(pairs);
}

/* Who waits for one that has ended waits for ever. */
static int check_children(const struct pairs *pairs)
{
	for (unsigned int i = 0; i < pairs->n; i++)
		if (proc_ended(pairs->pair[i].driver) || proc_ended(pairs->pair[i].echo))
			return proc_interrupted()
				       ? -EINTR
				       : complain(-ESRCH, "a process of eventfd has ended");
	return 0;
}

/* Until all drivers have said that they are done. */
static int await_all(const struct pairs *pairs, unsigned int timeout_ms)
{
	struct pollfd done = {.fd = pairs->done, .events = POLLIN};
	uint64_t sum = 0, some, limit = proc_now_ns() + timeout_ms * UINT64_C(1000000);
	int err = 0;

	while (!err && sum < pairs->n) {
		int n = poll(&done, 1, LOOK_MS);

		if (n < 0)
			err = -errno;
		else if (proc_interrupted())
			err = -EINTR;
		else if (!n)
			err = proc_now_ns() < limit ? check_children(pairs) : -ETIMEDOUT;
		else if (read(pairs->done, &some, sizeof(some)) == sizeof(some))
			sum += some;
		else
			err = -EIO;
	}
	return err;
}

int pairs_run(struct pairs *pairs, double seconds, struct run *run, struct histogram *latency)
{
	struct window *window = pairs->window;
	uint64_t least = UINT64_MAX;
	int err = 0;

	memset(window, 0, pairs->window_size);
	window->begin = proc_now_ns() + LEAD_NS + (uint64_t)pairs->n * LEAD_EACH_NS;
	window->end = window->begin + (uint64_t)(seconds * 1e9);
	for (unsigned int i = 0; !err && i < pairs->n; i++)
		err = send_word(pairs->pair[i].back) ? 0 : -errno;
	if (!err)
		err = await_all(pairs, SPARE_MS + (unsigned int)(seconds * 1000));
	for (unsigned int i = 0; !err && i < pairs->n; i++) {
		const struct told *told = &window->told[i];

		run->requests += told->rounds;
		if (told->rounds < least)
			least = told->rounds;
		histogram_merge(latency, &told->latency);
	}
	if (!err && !run->requests)
		err = -ETIME;
	if (err)
		return err;
	run->in_time = run->requests;
	run->seconds = seconds;
	run->slowest = (double)least * pairs->n / (double)run->requests;
	return 0;
}

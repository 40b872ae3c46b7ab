// SPDX-License-Identifier: MIT
/*
 * The hot loop of a worker: everything that happens to a request is called from worker_loop(), in
 * this order a turn:
 *
 *   poll     take requests off all rings, give them to the engines
 *   submit   one system call for all that the engines queued
 *   reap     take the engines' completions
 *   flush    publish them: guest memory, used rings, one doorbell a queue that wants one
 *
 * A loop that finds nothing goes on looking for a while (adaptive, and within what the machine's
 * CPUs allow all workers together), then asks the drivers for doorbells, looks once more, and
 * sleeps. Nothing here allocates, logs or locks.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

#include "vgrantd/worker_internal.h"

#define BUDGET       64 /* requests a queue a turn */
#define REAP_BUDGET  256
#define EVENT_BUDGET 16      /* ports a look: a guest that rings without end gets no more */
#define LOOK_NS      1000000 /* under load, between looks at what only epoll tells */
#define TRIM_MS      1000    /* memory that was not used for so long is given back */

#define NS_PER_MS 1000000

#define POLL_START_NS 8000

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
	__asm__ volatile("yield");
#endif
}

/* Doorbells, at most so many. A port is unmasked before the rings are looked at, so that none is
 * lost. */
static void take_events(struct worker *w, int most)
{
	for (int i = 0; i < most; i++) {
		int port = vg_evtchn_pending(w->evtchn);

		w->stats.event_reads++;
		if (port < 0)
			break;
		w->stats.events++;
		vg_evtchn_unmask(w->evtchn, port);
		if (w->ioreq && vg_ioreq_event(w->ioreq, port))
			continue;
		for (struct served *s = w->served; s; s = s->next)
			if (s->conn && vg_xenbus_conn_event(s->conn, port))
				break;
	}
}

/* Control messages and deferred answers. True: there is more at once. */
static bool serve_connections(struct worker *w, uint64_t now_ms)
{
	bool more = false;

	for (struct served *s = w->served; s; s = s->next) {
		int ret = s->ending || !s->conn ? 0 : vg_xenbus_conn_service(s->conn, now_ms);

		if (s->mmio) {
			vg_mmio_service(s->mmio, now_ms);
			worker_mmio_tell(w, s, now_ms);
		}
		if (ret < 0)
			worker_fail(w, s, "its control page breaks the protocol");
		more |= ret > 0;
	}
	if (w->ioreq)
		vg_ioreq_service(w->ioreq, now_ms);
	return more;
}

/* Not at once: who copies once copies again soon. */
static void trim(struct worker *w, uint64_t now_ms)
{
	if (now_ms - w->trimmed_ms < TRIM_MS)
		return;
	w->trimmed_ms = now_ms;
	for (struct served *s = w->served; s; s = s->next)
		if (vg_view_copy_slots(s->view))
			vg_view_trim(s->view);
}

/*
 * What only file descriptors tell, and what is not for each turn. @timeout_ms as of epoll_wait().
 * Who slept was mostly woken by one doorbell, and asking for a second is a call in vain; if there
 * is one, the next sleep is none; who polls would take that for work that came soon, and poll on in
 * vain. *now is read again after a sleep, and only then: reading the clock is a system call in
 * domains where the vDSO cannot do it.
 */
static bool look(struct worker *w, int timeout_ms, uint64_t *now)
{
	struct epoll_event ev[4];
	int n = epoll_wait(w->epoll, ev, 4, timeout_ms);
	bool more;

	if (timeout_ms)
		*now = now_ns();
	w->stats.looks++;
	for (int i = 0; i < n; i++) {
		if (ev[i].data.fd == w->options->socket)
			worker_receive(w);
		else if (ev[i].data.fd == vg_evtchn_fd(w->evtchn))
			take_events(w, timeout_ms && !w->poll.max ? 1 : EVENT_BUDGET);
	}
	more = serve_connections(w, *now / NS_PER_MS);
	/* Under load too: a busy device must not keep others, which are to go, from going. */
	worker_bury(w);
	trim(w, *now / NS_PER_MS);
	return more;
}

static int sleep_timeout(const struct worker *w, uint64_t now_ms)
{
	int timeout = w->ioreq ? vg_ioreq_timeout(w->ioreq, now_ms) : -1;

	for (struct served *s = w->served; s; s = s->next) {
		int t = s->mmio     ? worker_mmio_timeout(s, now_ms)
			: s->ending ? -1
				    : vg_xenbus_conn_timeout(s->conn, now_ms);

		if (vg_view_copy_slots(s->view) && (t < 0 || t > TRIM_MS))
			t = TRIM_MS;
		if (t >= 0 && (timeout < 0 || t < timeout))
			timeout = t;
	}
	return timeout;
}

/* One turn. True when something was done or is left to do. */
static bool turn(struct worker *w)
{
	/* A vCPU waits for each of these, so they do not wait for epoll. */
	bool busy = w->ioreq && vg_ioreq_poll(w->ioreq);

	for (struct served *s = w->served; s; s = s->next)
		if (!s->ending)
			busy |= vg_device_poll(s->dev, BUDGET);
	if (w->io) {
		busy |= vg_io_submit(w->io) < 0;
		busy |= vg_io_reap(w->io, REAP_BUDGET) > 0;
	}
	for (struct served *s = w->served; s; s = s->next)
		vg_device_flush(s->dev);
	return busy;
}

/* Asks for doorbells. False: work came meanwhile, do not sleep. */
static bool may_sleep(struct worker *w)
{
	bool quiet = true;

	for (struct served *s = w->served; s; s = s->next)
		if (!s->ending && vg_device_enable_notify(s->dev))
			quiet = false;
	return quiet;
}

static void disable_notify(struct worker *w)
{
	for (struct served *s = w->served; s; s = s->next)
		if (!s->ending)
			vg_device_disable_notify(s->dev);
}

/*
 * A sleep shorter than the longest window would have been better spent polling: the window grows. A
 * longer one shows that polling is in vain: it closes, and an idle worker costs nothing.
 */
static void adapt(struct poll_window *p, uint64_t slept)
{
	if (slept > p->max)
		p->window = 0;
	else if (!p->window)
		p->window = POLL_START_NS < p->max ? POLL_START_NS : p->max;
	else
		p->window = 2 * p->window < p->max ? 2 * p->window : p->max;
}

void worker_loop(struct worker *w)
{
	uint64_t looked = 0, idle_since = 0;

	for (;;) {
		bool busy = turn(w);
		uint64_t now = now_ns();

		w->stats.turns++;
		/* By the clock and not by turns: the guest decides how long a turn is. */
		if (now - looked >= LOOK_NS) {
			looked = now;
			busy |= look(w, 0, &now);
		}
		if (busy) {
			idle_since = 0;
			vg_budget_give(&w->budget);
			continue;
		}
		/* What completed last may have been all that a device waited for that is to go. */
		worker_bury(w);
		if (w->over && !w->served)
			return;
		if (!idle_since)
			idle_since = now;
		if (now - idle_since < w->poll.window && vg_budget_take(&w->budget, now)) {
			relax();
			continue;
		}
		vg_budget_give(&w->budget);
		if (may_sleep(w)) {
			w->stats.sleeps++;
			looked = now;
			look(w, sleep_timeout(w, now / NS_PER_MS), &looked);
			adapt(&w->poll, looked - now);
		}
		disable_notify(w);
		idle_since = 0;
	}
}

// SPDX-License-Identifier: MIT
/* Processes that die, stop, fork and exec, at any moment. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define N             32u
#define KILL_ROUNDS   60
#define STOP_ROUNDS   20
#define RW            (PROT_READ | PROT_WRITE)
#define EXEC_ARGUMENT "take-over"

static const char *self;
static xengntshr_handle *guest;
static xenevtchn_handle *gev;
static uint32_t ref[N];
static char *page;

static void setup(void)
{
	static const char *const domains[] = {"1,name=drv", "2,name=guest", NULL};

	sim_start(domains);
	guest = sim_gntshr(2);
	gev = sim_evtchn(2);
	page = xengntshr_share_pages(guest, 1, N, ref, 1);
	ck_assert_ptr_nonnull(page);
}

static void teardown(void)
{
	xengntshr_close(guest);
	xenevtchn_close(gev);
	sim_wait_value(1, "handles", 0);
	ck_assert_int_eq(sim_value("dump", 1, "maptrack"), 0);
	ck_assert_int_eq(sim_value("dump", 1, "ports"), 0);
	ck_assert_int_eq(sim_value("dump", 2, "grants"), 0);
	sim_stop();
}

/* Start a process inside domain 1. It writes a byte to *ready when it is where it should be. */
static pid_t start(void (*run)(int ready, evtchn_port_t port), evtchn_port_t port, int *ready)
{
	int fds[2];
	pid_t pid;

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sim_enter(1);
		run(fds[1], port);
		_exit(1);
	}
	close(fds[1]);
	*ready = fds[0];
	return pid;
}

static void wait_ready(int ready)
{
	char c;

	ck_assert(sim_readable(ready, WAIT_MS));
	ck_assert_int_eq(read(ready, &c, 1), 1);
	close(ready);
}

static void end(pid_t pid, int sig)
{
	ck_assert_int_eq(kill(pid, sig), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void say_ready(int ready)
{
	if (write(ready, "r", 1) != 1)
		_exit(2);
}

static void hold(int ready, evtchn_port_t port)
{
	xengnttab_handle *t = xengnttab_open(NULL, 0);
	xengntshr_handle *s = xengntshr_open(NULL, 0);
	xenevtchn_handle *e = xenevtchn_open(NULL, 0);
	struct xs_handle *x = xs_open(0);
	int local = e ? xenevtchn_bind_interdomain(e, 2, port) : -1;
	uint32_t own[4];

	if (!t || !s || !x || local < 0 || !xs_watch(x, "data", "t") ||
	    !xengntshr_share_pages(s, 2, 4, own, 1) ||
	    !xengnttab_map_domain_grant_refs(t, N - 1, 2, ref, RW) ||
	    !xengnttab_map_grant_ref_notify(t, 2, ref[N - 1], RW, 8, (evtchn_port_t)local))
		_exit(3);
	say_ready(ready);
	for (;;)
		pause();
}

START_TEST(a_killed_process_lets_go_of_all)
{
	int port = xenevtchn_bind_unbound_port(gev, 1);
	char *byte = page + (size_t)(N - 1) * 4096 + 8;
	int ready;
	pid_t pid;

	*byte = 1;
	pid = start(hold, (evtchn_port_t)port, &ready);
	wait_ready(ready);
	ck_assert_int_eq(sim_value("dump", 1, "maptrack"), N);
	ck_assert_int_eq(sim_value("dump", 1, "ports"), 1);
	ck_assert_int_eq(sim_value("dump", 1, "grants"), 4);
	ck_assert_int_eq(sim_value("dump", 1, "watches"), 1);
	ck_assert_int_eq(xensim_end_access(guest, ref[0]), -EBUSY);
	ck_assert_int_eq(*byte, 1);
	end(pid, SIGKILL);
	sim_wait_value(1, "handles", 0);
	sim_wait_value(1, "watches", 0);
	ck_assert_int_eq(sim_value("dump", 2, "in_use"), 0);
	ck_assert_int_eq(sim_value("dump", 1, "maptrack"), 0);
	ck_assert_int_eq(sim_value("dump", 1, "ports"), 0);
	ck_assert_int_eq(sim_value("dump", 1, "grants"), 0);
	ck_assert_int_eq(xensim_end_access(guest, ref[0]), 0);
	/* the notification on unmap that it had asked for */
	ck_assert_int_eq(*byte, 0);
	ck_assert(sim_readable(xenevtchn_fd(gev), WAIT_MS));
	ck_assert_int_eq(xenevtchn_pending(gev), port);
}
END_TEST

/* Everything that touches shared counts, as fast as it goes. */
static void churn(int ready, evtchn_port_t port)
{
	xengnttab_handle *t = xengnttab_open(NULL, 0);
	xenevtchn_handle *e = xenevtchn_open(NULL, 0);
	int local = e ? xenevtchn_bind_interdomain(e, 2, port) : -1;
	xengnttab_grant_copy_segment_t seg[N];
	static char buf[N][64];

	if (!t || local < 0)
		_exit(3);
	memset(seg, 0, sizeof(seg));
	for (unsigned int i = 0; i < N; i++) {
		seg[i].flags = GNTCOPY_source_gref;
		seg[i].len = 64;
		seg[i].source.foreign.ref = ref[i];
		seg[i].source.foreign.domid = 2;
		seg[i].dest.virt = buf[i];
	}
	say_ready(ready);
	for (;;) {
		void *m = xengnttab_map_domain_grant_refs(t, N, 2, ref, RW);

		if (!m || xengnttab_grant_copy(t, N, seg) ||
		    xenevtchn_notify(e, (evtchn_port_t)local) || xengnttab_unmap(t, m, N))
			_exit(4);
	}
}

START_TEST(killed_at_any_moment)
{
	int port = xenevtchn_bind_unbound_port(gev, 1);

	for (int i = 0; i < KILL_ROUNDS; i++) {
		int ready;
		pid_t pid = start(churn, (evtchn_port_t)port, &ready);

		wait_ready(ready);
		usleep((unsigned int)(i * 137 % 3000));
		end(pid, SIGKILL);
		sim_wait_value(1, "handles", 0);
		ck_assert_int_eq(sim_value("dump", 2, "in_use"), 0);
		ck_assert_int_eq(sim_value("dump", 1, "maptrack"), 0);
		/* the port still works for the next, whatever the last was about to send */
		while (sim_readable(xenevtchn_fd(gev), 0))
			ck_assert_int_eq(
				xenevtchn_unmask(gev, (evtchn_port_t)xenevtchn_pending(gev)), 0);
	}
}
END_TEST

START_TEST(a_stopped_process_holds_up_nobody)
{
	int port = xenevtchn_bind_unbound_port(gev, 1), ready;
	pid_t pid = start(churn, (evtchn_port_t)port, &ready);
	xengnttab_handle *mine = sim_gnttab(1);
	char c;

	wait_ready(ready);
	for (int i = 0; i < STOP_ROUNDS; i++) {
		void *m;

		usleep((unsigned int)(i * 53 % 500));
		ck_assert_int_eq(kill(pid, SIGSTOP), 0);
		m = xengnttab_map_domain_grant_refs(mine, N, 2, ref, RW);
		ck_assert_ptr_nonnull(m);
		ck_assert_int_eq(sim_copy_from(mine, 2, ref[0], 0, &c, 1), GNTST_okay);
		ck_assert_int_eq(xengnttab_unmap(mine, m, N), 0);
		ck_assert_int_ge(sim_value("dump", 1, "maptrack"), 0);
		ck_assert_int_eq(kill(pid, SIGCONT), 0);
	}
	end(pid, SIGKILL);
	xengnttab_close(mine);
	sim_wait_value(1, "handles", 0);
	ck_assert_int_eq(sim_value("dump", 2, "in_use"), 0);
}
END_TEST

START_TEST(a_forked_child_may_only_close)
{
	xengnttab_handle *t = sim_gnttab(1);
	void *m = xengnttab_map_domain_grant_refs(t, N, 2, ref, RW);
	int status;
	pid_t pid;

	ck_assert_ptr_nonnull(m);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		xengnttab_close(t);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(sim_value("dump", 1, "maptrack"), N);
	sim_text(m, "still mapped");
	ck_assert_str_eq(page, "still mapped");
	xengnttab_close(t);
}
END_TEST

/* The second half of the next test, in the program that was exec'ed. */
static int take_over(char **argv)
{
	xenevtchn_handle *e = xenevtchn_fdopen(NULL, (int)strtol(argv[2], NULL, 10), 0);
	evtchn_port_t port = (evtchn_port_t)strtoul(argv[3], NULL, 10);

	if (!e)
		return 10;
	if (!sim_readable(xenevtchn_fd(e), WAIT_MS) || xenevtchn_pending(e) != (int)port)
		return 11;
	if (xenevtchn_unmask(e, port) || xenevtchn_notify(e, port))
		return 12;
	return xenevtchn_close(e) ? 13 : 0;
}

static void exec_with_port(int ready, evtchn_port_t port)
{
	xenevtchn_handle *e = xenevtchn_open(NULL, XENEVTCHN_NO_CLOEXEC);
	int local = e ? xenevtchn_bind_interdomain(e, 2, port) : -1;
	char fd[16], number[16];

	if (local < 0)
		_exit(3);
	snprintf(fd, sizeof(fd), "%d", xenevtchn_fd(e));
	snprintf(number, sizeof(number), "%d", local);
	say_ready(ready);
	execl(self, self, EXEC_ARGUMENT, fd, number, (char *)NULL);
	_exit(5);
}

START_TEST(an_event_channel_handle_survives_exec)
{
	int port = xenevtchn_bind_unbound_port(gev, 1), ready, status;
	pid_t pid = start(exec_with_port, (evtchn_port_t)port, &ready);

	wait_ready(ready);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert(sim_readable(xenevtchn_fd(gev), WAIT_MS));
	ck_assert_int_eq(xenevtchn_pending(gev), port);
}
END_TEST

START_TEST(a_program_linked_to_the_real_libraries_runs)
{
	char command[512], out[256];

	sim_text(page, "hello");
	snprintf(command, sizeof(command), "%s/xensim-run %s 1 %s 2 %u", SIM_BIN_DIR, sim_dir(),
		 SIM_PROBE, ref[0]);
	ck_assert_int_eq(sim_command(out, sizeof(out), command), 0);
	ck_assert_str_eq(page, "HELLO");
	snprintf(command, sizeof(command), "%s/xensim-run %s 77 /bin/true", SIM_BIN_DIR, sim_dir());
	ck_assert_int_ne(sim_command(out, sizeof(out), command), 0);
}
END_TEST

START_TEST(one_xensim_for_a_directory)
{
	char command[512], out[256];

	snprintf(command, sizeof(command), "%s/xensim --dir %s", SIM_BIN_DIR, sim_dir());
	ck_assert_int_ne(sim_command(out, sizeof(out), command), 0);
	ck_assert_int_eq(sim_value("dump", 2, "grants"), N);
}
END_TEST

int main(int argc, char **argv)
{
	TCase *t;

	self = argv[0];
	if (argc == 4 && !strcmp(argv[1], EXEC_ARGUMENT))
		return take_over(argv);
	t = tcase_create("process");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 240);
	tcase_add_test(t, a_killed_process_lets_go_of_all);
	tcase_add_test(t, killed_at_any_moment);
	tcase_add_test(t, a_stopped_process_holds_up_nobody);
	tcase_add_test(t, a_forked_child_may_only_close);
	tcase_add_test(t, an_event_channel_handle_survives_exec);
	tcase_add_test(t, a_program_linked_to_the_real_libraries_runs);
	tcase_add_test(t, one_xensim_for_a_directory);
	return sim_run_suite("sim-process", &t, 1);
}

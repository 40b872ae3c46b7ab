// SPDX-License-Identifier: MIT
/* IOREQ servers: a device model in domain 0, and the vCPUs of a guest. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xendevicemodel.h>

#include <xen/hvm/ioreq.h>
#include <xen/memory.h>

#include "harness.h"

#define BASE     0x2000000u
#define SIZE     0x200u
#define NO_WAIT  0
#define SHORT_MS 20

static xendevicemodel_handle *dm;
static xenforeignmemory_handle *fm;
static xenforeignmemory_resource_handle *page;
static struct ioreq *slot;
static ioservid_t id;

static void open_page(void)
{
	void *at = NULL;

	page = xenforeignmemory_map_resource(fm, 2, XENMEM_resource_ioreq_server, id,
					     XENMEM_resource_ioreq_server_frame_ioreq(0), 1, &at,
					     PROT_READ | PROT_WRITE, 0);
	ck_assert_ptr_nonnull(page);
	slot = at;
}

static void open_handles(void)
{
	sim_enter(0);
	dm = xendevicemodel_open(NULL, 0);
	fm = xenforeignmemory_open(NULL, 0);
	ck_assert(dm && fm);
}

static void close_handles(void)
{
	xenforeignmemory_unmap_resource(fm, page);
	xenforeignmemory_close(fm);
	xendevicemodel_close(dm);
}

static void setup(void)
{
	static const char *const domains[] = {"1,name=drv", "2,name=guest,vcpus=2", NULL};

	sim_start(domains);
	open_handles();
	ck_assert_int_eq(xendevicemodel_create_ioreq_server(dm, 2, 0, &id), 0);
	ck_assert_int_eq(
		xendevicemodel_map_io_range_to_ioreq_server(dm, 2, id, 1, BASE, BASE + SIZE - 1),
		0);
	open_page();
}

static void teardown(void)
{
	close_handles();
	sim_stop();
}

static void enable(void)
{
	ck_assert_int_eq(xendevicemodel_set_ioreq_server_state(dm, 2, id, 1), 0);
}

/* One access of a vCPU's, which is not answered within the time. */
static int touch(struct xensim_cpu *cpu, uint64_t addr, int write, uint64_t value,
		 unsigned int timeout_ms)
{
	const struct xensim_access access = {
		.addr = addr, .size = 4, .count = 1, .write = write, .type = IOREQ_TYPE_COPY};

	return xensim_access(cpu, &access, &value, timeout_ms);
}

static struct xensim_cpu *cpu_of(unsigned int vcpu)
{
	struct xensim_cpu *cpu;

	sim_enter(2);
	cpu = xensim_cpu_open(vcpu);
	ck_assert_ptr_nonnull(cpu);
	return cpu;
}

START_TEST(an_access_without_a_server_finds_nobody)
{
	struct xensim_cpu *cpu = cpu_of(0);

	ck_assert_int_eq(touch(cpu, BASE, 0, 0, NO_WAIT), -EFAULT); /* not enabled yet */
	enable();
	ck_assert_int_eq(touch(cpu, BASE - 1, 0, 0, NO_WAIT), -EFAULT);
	ck_assert_int_eq(touch(cpu, BASE + SIZE, 0, 0, NO_WAIT), -EFAULT);
	ck_assert_int_eq(touch(cpu, BASE, 0, 0, NO_WAIT), -ETIMEDOUT);
	xensim_cpu_close(cpu);
	cpu = cpu_of(2);
	ck_assert_int_eq(touch(cpu, BASE, 0, 0, NO_WAIT), -EINVAL); /* there are two vCPUs */
	xensim_cpu_close(cpu);
}
END_TEST

START_TEST(a_request_is_in_its_vcpus_slot)
{
	struct xensim_cpu *cpu = cpu_of(1);

	enable();
	ck_assert_int_eq(touch(cpu, BASE + 0x70, 1, 0x0b, SHORT_MS), -ETIMEDOUT);
	ck_assert_uint_eq(slot[0].state, STATE_IOREQ_NONE);
	ck_assert_uint_eq(slot[1].state, STATE_IOREQ_READY);
	ck_assert_uint_eq(slot[1].addr, BASE + 0x70);
	ck_assert_uint_eq(slot[1].data, 0x0b);
	ck_assert_uint_eq(slot[1].size, 4);
	ck_assert_uint_eq(slot[1].count, 1);
	ck_assert_uint_eq(slot[1].dir, IOREQ_WRITE);
	ck_assert_uint_eq(slot[1].type, IOREQ_TYPE_COPY);
	/* A vCPU waits for one at a time. */
	ck_assert_int_eq(touch(cpu, BASE, 0, 0, NO_WAIT), -EBUSY);
	xensim_cpu_close(cpu);
}
END_TEST

static void *answer_soon(void *unused)
{
	(void)unused;
	while (__atomic_load_n((uint8_t *)slot + 30, __ATOMIC_ACQUIRE) !=
	       (STATE_IOREQ_READY | IOREQ_READ << 5))
		usleep(100);
	slot[0].data = 0x1234;
	__atomic_store_n((uint8_t *)slot + 30, STATE_IORESP_READY | IOREQ_READ << 5,
			 __ATOMIC_RELEASE);
	return NULL;
}

START_TEST(the_answer_is_what_was_read)
{
	const struct xensim_access access = {
		.addr = BASE, .size = 4, .count = 1, .type = IOREQ_TYPE_COPY};
	struct xensim_cpu *cpu = cpu_of(0);
	uint64_t value = 0;
	pthread_t thread;

	enable();
	ck_assert_int_eq(pthread_create(&thread, NULL, answer_soon, NULL), 0);
	ck_assert_int_eq(xensim_access(cpu, &access, &value, WAIT_MS), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(value, 0x1234);
	ck_assert_uint_eq(slot[0].state, STATE_IOREQ_NONE);
	xensim_cpu_close(cpu);
}
END_TEST

/* The vCPU's channel is bound like any other, again after the emulator has died. */
START_TEST(an_access_raises_the_vcpus_channel)
{
	struct xensim_cpu *cpu = cpu_of(0);

	ck_assert_uint_eq(slot[0].vp_eport, 0);
	enable();
	ck_assert_uint_ne(slot[0].vp_eport, 0);
	ck_assert_uint_ne(slot[0].vp_eport, slot[1].vp_eport);
	for (int i = 0; i < 2; i++) {
		xenevtchn_handle *xce = sim_evtchn(0);
		int port = xenevtchn_bind_interdomain(xce, 2, slot[0].vp_eport);

		ck_assert_int_gt(port, 0);
		ck_assert(sim_readable(xenevtchn_fd(xce), WAIT_MS)); /* of binding */
		ck_assert_int_eq(xenevtchn_pending(xce), port);
		xenevtchn_unmask(xce, (evtchn_port_t)port);
		slot[0].state = STATE_IOREQ_NONE;
		ck_assert_int_eq(touch(cpu, BASE, 0, 0, NO_WAIT), -ETIMEDOUT);
		ck_assert(sim_readable(xenevtchn_fd(xce), WAIT_MS));
		ck_assert_int_eq(xenevtchn_pending(xce), port);
		ck_assert_int_eq(xenevtchn_notify(xce, (evtchn_port_t)port), 0);
		xenevtchn_close(xce);
	}
	xensim_cpu_close(cpu);
}
END_TEST

START_TEST(a_server_outlives_its_process)
{
	struct xensim_cpu *cpu = cpu_of(0);

	enable();
	ck_assert_int_eq(touch(cpu, BASE, 0, 0, NO_WAIT), -ETIMEDOUT);
	close_handles();
	open_handles();
	open_page();
	ck_assert_uint_eq(slot[0].state, STATE_IOREQ_READY);
	xensim_cpu_close(cpu);
}
END_TEST

START_TEST(the_end_of_the_guest_ends_its_servers)
{
	ioservid_t other;

	enable();
	ck_assert_ptr_nonnull(sim_ctl("destroy 2"));
	ck_assert_int_eq(xendevicemodel_create_ioreq_server(dm, 2, 0, &other), -1);
	ck_assert_int_eq(errno, ESRCH);
	/* Whoever takes its place has none of it. */
	ck_assert_ptr_nonnull(sim_ctl("create id=2"));
	ck_assert_int_eq(xendevicemodel_set_ioreq_server_state(dm, 2, id, 1), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(sim_value("dump", 2, "ports"), 0);
}
END_TEST

START_TEST(a_server_is_its_makers)
{
	xendevicemodel_handle *other;

	ck_assert_ptr_nonnull(sim_ctl("create id=9 priv"));
	sim_enter(9);
	other = xendevicemodel_open(NULL, 0);
	ck_assert_ptr_nonnull(other);
	ck_assert_int_eq(xendevicemodel_destroy_ioreq_server(other, 2, id), -1);
	ck_assert_int_eq(errno, ENOENT);
	xendevicemodel_close(other);
	ck_assert_int_eq(sim_value("dump", 2, "servers"), 1);
	ck_assert_int_eq(xendevicemodel_destroy_ioreq_server(dm, 2, id), 0);
	ck_assert_int_eq(sim_value("dump", 2, "servers"), 0);
	ck_assert_int_eq(sim_value("dump", 2, "ports"), 0);
}
END_TEST

START_TEST(handles_are_restricted)
{
	ioservid_t other;

	ck_assert_int_eq(xendevicemodel_restrict(dm, 1), 0);
	ck_assert_int_eq(xendevicemodel_create_ioreq_server(dm, 2, 0, &other), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(xendevicemodel_restrict(dm, 2), -1);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("ioreq");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, an_access_without_a_server_finds_nobody);
	tcase_add_test(t, a_request_is_in_its_vcpus_slot);
	tcase_add_test(t, the_answer_is_what_was_read);
	tcase_add_test(t, an_access_raises_the_vcpus_channel);
	tcase_add_test(t, a_server_outlives_its_process);
	tcase_add_test(t, the_end_of_the_guest_ends_its_servers);
	tcase_add_test(t, a_server_is_its_makers);
	tcase_add_test(t, handles_are_restricted);
	return sim_run_suite("sim-ioreq", &t, 1);
}

// SPDX-License-Identifier: MIT
/* The owner of the device-model handles, against the simulated hypervisor. */
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <xen/hvm/ioreq.h>

#include <vgrant/dm.h>

#include "sim_fixture.h"

#define TOOLSTACK 0 /* the domain that may be a device model */
#define BASE      UINT64_C(0xfef00000)
#define LINE      33
#define ISA_LINE  5

static struct vg_dm *dm;

static int open_in(unsigned int domid, bool hvm)
{
	const struct vg_dm_config config = {.domid = SIM_GUEST, .log = &sim_log};
	int ret;

	sim_enter(domid);
	ret = vg_dm_open(&config, &dm);
	if (!ret && hvm)
		vg_dm_is_hvm(dm);
	return ret;
}

static void open_dm(void)
{
	ck_assert_int_eq(open_in(TOOLSTACK, false), 0);
}

static void close_dm(void)
{
	sim_faults(TOOLSTACK, "");
	vg_dm_close(dm);
	ck_assert_uint_eq(sim_number(TOOLSTACK, "handles"), 0);
}

/* How often the guest's interrupt line was raised since the last look. */
static uint64_t edges(unsigned int line)
{
	union {
		void *symbol;
		void *(*open)(unsigned int vcpu);
		void (*close)(void *cpu);
		int (*irq_fd)(void *cpu, unsigned int line);
	} open = {dlsym(RTLD_DEFAULT, "xensim_cpu_open")},
	  irq = {dlsym(RTLD_DEFAULT, "xensim_irq_fd")},
	  shut = {dlsym(RTLD_DEFAULT, "xensim_cpu_close")};
	uint64_t n = 0;
	void *cpu;
	int fd;

	ck_assert_ptr_nonnull(open.symbol);
	sim_enter(SIM_GUEST);
	cpu = open.open(0);
	ck_assert_ptr_nonnull(cpu);
	fd = irq.irq_fd(cpu, line);
	ck_assert_int_ge(fd, 0);
	if (read(fd, &n, sizeof(n)) != sizeof(n))
		n = 0;
	close(fd);
	shut.close(cpu);
	return n;
}

START_TEST(a_server_lives)
{
	void VG_GUEST *page = NULL;
	unsigned int vcpus = 0;
	uint16_t id = 99;

	ck_assert_int_eq(vg_dm_create_server(dm, &id), 0);
	ck_assert_int_eq(vg_dm_map_page(dm, id, &page), 0);
	ck_assert_int_eq(vg_dm_map_page(dm, id, &page), -EBUSY);
	/* Its channels are in the page when it is enabled, and not before. */
	ck_assert_uint_eq(VG_GUEST_RAW(struct ioreq, page)->vp_eport, 0);
	ck_assert_int_eq(vg_dm_enable_server(dm, id), 0);
	ck_assert_uint_ne(VG_GUEST_RAW(struct ioreq, page)->vp_eport, 0);
	ck_assert_int_eq(vg_dm_vcpus(dm, &vcpus), 0);
	ck_assert_uint_eq(vcpus, 1);
	ck_assert_int_eq(vg_dm_map_range(dm, id, BASE, 0x200), 0);
	ck_assert_int_eq(vg_dm_map_range(dm, id, BASE + 0x1ff, 1), -EEXIST);
	ck_assert_int_eq(vg_dm_map_range(dm, id, BASE + 0x200, 0x200), 0);
	ck_assert_int_eq(vg_dm_unmap_range(dm, id, BASE, 0x200), 0);
	ck_assert_int_eq(vg_dm_unmap_range(dm, id, BASE, 0x200), -ENOENT);
	vg_dm_unmap_page(dm);
	vg_dm_unmap_page(dm);
	ck_assert_int_eq(vg_dm_destroy_server(dm, id), 0);
	ck_assert_int_eq(vg_dm_map_page(dm, id, &page), -ENOENT);
}
END_TEST

/* What a killed process leaves is there for the next. */
START_TEST(a_server_outlives_its_handle)
{
	void VG_GUEST *page;
	uint16_t id = 99;

	ck_assert_int_eq(vg_dm_create_server(dm, &id), 0);
	ck_assert_int_eq(vg_dm_map_page(dm, id, &page), 0);
	vg_dm_close(dm);
	open_dm();
	ck_assert_int_eq(vg_dm_map_page(dm, id, &page), 0);
	ck_assert_int_eq(vg_dm_destroy_server(dm, id), 0);
}
END_TEST

START_TEST(a_domain_without_privilege_is_refused)
{
	uint16_t id = 99;

	vg_dm_close(dm);
	ck_assert_int_eq(open_in(SIM_BACKEND, false), 0);
	ck_assert_int_eq(vg_dm_create_server(dm, &id), -EPERM);
	ck_assert_int_eq(vg_dm_set_irq(dm, LINE, true), -EPERM);
	ck_assert_uint_eq(edges(LINE), 0);
}
END_TEST

START_TEST(a_xen_without_servers_is_told_apart)
{
	uint16_t id;

	sim_faults(TOOLSTACK, "ioreq:errno=ENOSYS");
	ck_assert_int_eq(vg_dm_create_server(dm, &id), -EOPNOTSUPP);
}
END_TEST

START_TEST(interrupts_arrive)
{
	edges(LINE);
	ck_assert_int_eq(vg_dm_set_irq(dm, LINE, true), 0);
	ck_assert_int_eq(vg_dm_set_irq(dm, LINE, false), 0);
	ck_assert_int_eq(vg_dm_set_irq(dm, LINE, true), 0);
	ck_assert_uint_eq(edges(LINE), 2);
}
END_TEST

/* On real Xen the call would end the machine when the guest is PVH. */
START_TEST(no_isa_interrupt_without_hvm)
{
	edges(ISA_LINE);
	ck_assert_int_eq(vg_dm_set_isa_irq(dm, ISA_LINE, true), -EPERM);
	ck_assert_uint_eq(edges(ISA_LINE), 0);
	vg_dm_is_hvm(dm);
	ck_assert_int_eq(vg_dm_set_isa_irq(dm, ISA_LINE, true), 0);
	ck_assert_int_eq(vg_dm_set_isa_irq(dm, ISA_LINE, false), 0);
	ck_assert_uint_eq(edges(ISA_LINE), 1);
	vg_dm_close(dm);
	ck_assert_int_eq(open_in(TOOLSTACK, true), 0);
	ck_assert_int_eq(vg_dm_set_isa_irq(dm, ISA_LINE, true), 0);
	ck_assert_int_eq(vg_dm_set_isa_irq(dm, ISA_LINE, true), 0);
	ck_assert_uint_eq(edges(ISA_LINE), 1);
	ck_assert_int_eq(vg_dm_set_isa_irq(dm, ISA_LINE, false), 0);
	ck_assert_int_eq(vg_dm_set_isa_irq(dm, ISA_LINE, true), 0);
	ck_assert_uint_eq(edges(ISA_LINE), 1);
}
END_TEST

static int run_tests(void)
{
	Suite *suite = suite_create("xen-dm");
	TCase *tc = tcase_create("device model");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, open_dm, close_dm);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_server_lives);
	tcase_add_test(tc, a_server_outlives_its_handle);
	tcase_add_test(tc, a_domain_without_privilege_is_refused);
	tcase_add_test(tc, a_xen_without_servers_is_told_apart);
	tcase_add_test(tc, interrupts_arrive);
	tcase_add_test(tc, no_isa_interrupt_without_hvm);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed;
}

int main(void)
{
	return sim_main(run_tests);
}

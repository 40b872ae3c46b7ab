/* SPDX-License-Identifier: MIT */
/* What single operations cost here, in nanoseconds, a line "NAME NS" each: the median of some
 * rounds. Run natively and in an emulated guest, it tells what emulation makes dearer, and by how
 * much:
 *
 * - syscall: one that does nothing
 *
 * - hypercall: xen_version, by the difference between two attributes of sysfs
 *
 * - copy-4k: as the kernel copies (rep movsq), from and to memory that was not just used
 *
 * - flush: the protection of one mapped page changed, so that its translation goes, and a touch
 *
 * - map: a page mapped, touched and unmapped */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE   4096ul
#define AREA   (16 * 1024 * 1024ul)
#define ROUNDS 9

static char *area;
static int attribute;

static void do_syscall(unsigned long i)
{
	(void)i;
	syscall(SYS_getppid);
}

static void do_attribute(unsigned long i)
{
	char buf[16];

	(void)i;
	if (pread(attribute, buf, sizeof(buf), 0) <= 0)
		_exit(1);
}

static void do_copy(unsigned long i)
{
	/* Another page each time, in an order that walks through half of the area. */
	char *from = area + i * 7 % (AREA / 2 / PAGE) * PAGE;
	char *to = from + AREA / 2;
	unsigned long count = PAGE / 8;

	__asm__ volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
}

static void do_flush(unsigned long i)
{
	if (mprotect(area, PAGE, i & 1 ? PROT_READ | PROT_WRITE : PROT_READ))
		_exit(1);
	(void)*(volatile char *)area;
}

static void do_map(unsigned long i)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		_exit(1);
	*(volatile char *)page = (char)i;
	munmap(page, PAGE);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double measure(void (*function)(unsigned long), unsigned long count)
{
	double ns[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		struct timespec from, to;

		clock_gettime(CLOCK_MONOTONIC, &from);
		for (unsigned long i = 0; i < count; i++)
			function(i);
		clock_gettime(CLOCK_MONOTONIC, &to);
		ns[round] = ((double)(to.tv_sec - from.tv_sec) * 1e9 +
			     (double)(to.tv_nsec - from.tv_nsec)) /
			    (double)count;
	}
	qsort(ns, ROUNDS, sizeof(ns[0]), compare);
	return ns[ROUNDS / 2];
}

static double measure_attribute(const char *path)
{
	double ns;

	attribute = open(path, O_RDONLY);
	if (attribute < 0)
		return -1;
	ns = measure(do_attribute, 1000);
	close(attribute);
	return ns;
}

int main(void)
{
	double with = measure_attribute("/sys/hypervisor/version/major");
	double without = measure_attribute("/sys/hypervisor/type");

	area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		    -1, 0);
	if (area == MAP_FAILED)
		return 1;
	printf("syscall %.0f\n", measure(do_syscall, 5000));
	if (with > 0 && without > 0)
		printf("hypercall %.0f\n", with - without);
	printf("copy-4k %.0f\n", measure(do_copy, 2000));
	printf("flush %.0f\n", measure(do_flush, 500));
	printf("map %.0f\n", measure(do_map, 500));
	return 0;
}

// SPDX-License-Identifier: MIT
/*
 * Loaded into vgrantd's workers by bench/noalloc (LD_PRELOAD): counts what allocates, in a file
 * that the script reads while the worker runs. Calls made inside the hypervisor's library are
 * counted apart: those that reach guest memory are wrapped here to know. glibc only.
 *
 * The file, VGRANT_COUNTALLOC, is an array of native 64-bit numbers: struct counts.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#define EXPORT __attribute__((visibility("default")))

struct counts {
	uint64_t alloc, release, map, unmap;
};

/* [0]: the worker, with every library that is not the hypervisor's; [1]: the hypervisor's. */
static struct counts private_counts[2];
static struct counts *counts = private_counts;
static __thread unsigned int inside;

static inline struct counts *here(void)
{
	return &counts[inside > 0];
}

static void add(uint64_t *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

/* The supervisor may allocate as it likes. */
static bool is_worker(void)
{
	char text[4096];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	bool found = false;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	for (const char *arg = text; arg < text + n; arg += strlen(arg) + 1)
		found |= !strcmp(arg, "--worker");
	return found;
}

__attribute__((constructor)) static void publish(void)
{
	const char *path = getenv("VGRANT_COUNTALLOC");
	void *shared;
	int fd;

	if (!path || !is_worker())
		return;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (!ftruncate(fd, sizeof(private_counts))) {
		shared = mmap(NULL, sizeof(private_counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			      0);
		if (shared != MAP_FAILED) {
			memcpy(shared, private_counts, sizeof(private_counts));
			counts = shared;
		}
	}
	close(fd);
}

/* ---- what allocates ---- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);

EXPORT void *malloc(size_t size)
{
	add(&here()->alloc);
	return __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	add(&here()->alloc);
	return __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	add(&here()->alloc);
	return __libc_realloc(p, size);
}

EXPORT void *memalign(size_t align, size_t size);
EXPORT void *memalign(size_t align, size_t size)
{
	add(&here()->alloc);
	return __libc_memalign(align, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	void *p = memalign(align, size);

	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

EXPORT void free(void *p)
{
	if (p)
		add(&here()->release);
	__libc_free(p);
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	add(&here()->map);
	return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

EXPORT void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return mmap(addr, len, prot, flags, fd, offset);
}

EXPORT int munmap(void *addr, size_t len)
{
	add(&here()->unmap);
	return (int)syscall(SYS_munmap, addr, len);
}

/* ---- the hypervisor's library ---- */

static void *next(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		_exit(127);
	return f;
}

EXPORT void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid,
					     uint32_t *refs, int prot)
{
	static void *(*real)(xengnttab_handle *, uint32_t, uint32_t, uint32_t *, int);
	void *p;

	inside++;
	if (!real)
		real = next("xengnttab_map_domain_grant_refs");
	p = real(xgt, count, domid, refs, prot);
	inside--;
	return p;
}

EXPORT int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
	static int (*real)(xengnttab_handle *, void *, uint32_t);
	int ret;

	inside++;
	if (!real)
		real = next("xengnttab_unmap");
	ret = real(xgt, start_address, count);
	inside--;
	return ret;
}

EXPORT int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count,
				xengnttab_grant_copy_segment_t *segs)
{
	static int (*real)(xengnttab_handle *, uint32_t, xengnttab_grant_copy_segment_t *);
	int ret;

	inside++;
	if (!real)
		real = next("xengnttab_grant_copy");
	ret = real(xgt, count, segs);
	inside--;
	return ret;
}

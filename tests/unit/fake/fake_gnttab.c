// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake/fake_internal.h"

struct vg_gnttab {
	int fd;
	uint8_t *ram;
	struct {
		bool granted, writable;
		unsigned int mapped;
	} page[FAKE_REFS];
	unsigned int mapped;
};

static struct vg_gnttab fake = {.fd = -1};
static struct {
	unsigned int skip, count, calls;
	int error;
} fault[FAKE_OPS];

int fake_fault(enum fake_op op)
{
	fault[op].calls++;
	if (!fault[op].count)
		return 0;
	if (fault[op].skip) {
		fault[op].skip--;
		return 0;
	}
	fault[op].count--;
	return fault[op].error;
}

void fake_fail(enum fake_op op, unsigned int skip, unsigned int count, int error)
{
	fault[op].skip = skip;
	fault[op].count = count;
	fault[op].error = error;
}

unsigned int fake_calls(enum fake_op op)
{
	return fault[op].calls;
}

void fake_xen_reset(void)
{
	if (fake.ram)
		munmap(fake.ram, (size_t)FAKE_REFS * VG_PAGE_SIZE);
	if (fake.fd >= 0)
		close(fake.fd);
	memset(&fake, 0, sizeof(fake));
	memset(fault, 0, sizeof(fault));
	fake.fd = memfd_create("fake-guest", MFD_CLOEXEC);
	if (fake.fd < 0 || ftruncate(fake.fd, (off_t)FAKE_REFS * VG_PAGE_SIZE)) {
		perror("fake guest memory");
		exit(1);
	}
	fake.ram = mmap(NULL, (size_t)FAKE_REFS * VG_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			fake.fd, 0);
	if (fake.ram == MAP_FAILED) {
		perror("fake guest memory");
		exit(1);
	}
	fake_evtchn_reset();
	fake_dm_reset();
}

bool fake_xen_clean(void)
{
	if (fake.mapped)
		printf("%u pages are still mapped\n", fake.mapped);
	if (fake_bound_ports())
		printf("%u ports are still bound\n", fake_bound_ports());
	return !fake.mapped && !fake_bound_ports();
}

struct vg_gnttab *fake_gnttab(void)
{
	return &fake;
}

void *fake_page(uint32_t ref)
{
	return fake.ram + (size_t)ref * VG_PAGE_SIZE;
}

void *fake_grant(uint32_t first, uint32_t count, bool writable)
{
	for (uint32_t i = 0; i < count; i++) {
		fake.page[first + i].granted = true;
		fake.page[first + i].writable = writable;
	}
	return fake_page(first);
}

bool fake_end_access(uint32_t ref)
{
	if (fake.page[ref].mapped)
		return false;
	fake.page[ref].granted = false;
	return true;
}

unsigned int fake_mapped_pages(void)
{
	return fake.mapped;
}

static bool allowed(uint16_t domid, uint32_t ref, bool writable)
{
	return domid == FAKE_DOMID && ref < FAKE_REFS && fake.page[ref].granted &&
	       (fake.page[ref].writable || !writable);
}

int vg_gnttab_map(struct vg_gnttab *gnttab, uint16_t domid, const uint32_t *refs, uint32_t count,
		  bool writable, void VG_GUEST **out)
{
	int prot = PROT_READ | (writable ? PROT_WRITE : 0);
	int ret = fake_fault(FAKE_MAP);
	uint8_t *base;

	if (ret)
		return ret;
	for (uint32_t i = 0; i < count; i++)
		if (!allowed(domid, refs[i], writable))
			return -EINVAL;
	base = mmap(NULL, (size_t)count * VG_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (base == MAP_FAILED)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		if (mmap(base + (size_t)i * VG_PAGE_SIZE, VG_PAGE_SIZE, prot,
			 MAP_SHARED | MAP_FIXED, gnttab->fd,
			 (off_t)refs[i] * VG_PAGE_SIZE) == MAP_FAILED) {
			munmap(base, (size_t)count * VG_PAGE_SIZE);
			return -ENOMEM;
		}
	}
	for (uint32_t i = 0; i < count; i++)
		gnttab->page[refs[i]].mapped++;
	gnttab->mapped += count;
	*out = (void VG_GUEST *)(uintptr_t)base;
	return 0;
}

int vg_gnttab_map_range(struct vg_gnttab *gnttab, uint16_t domid, uint32_t first, uint32_t count,
			bool writable, void VG_GUEST **out)
{
	uint32_t *refs = calloc(count, sizeof(*refs));
	int ret;

	if (!refs)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		refs[i] = first + i;
	ret = vg_gnttab_map(gnttab, domid, refs, count, writable, out);
	free(refs);
	return ret;
}

int vg_gnttab_unmap(struct vg_gnttab *gnttab, void VG_GUEST *base, uint32_t count)
{
	int ret = fake_fault(FAKE_UNMAP);
	FILE *maps;
	char line[512];

	if (ret)
		return ret;
	/* Which pages these are is what the kernel knows of the mapping. */
	maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long start, end, offset;

		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) != 3 ||
		    !strstr(line, "fake-guest"))
			continue;
		for (; start < end; start += VG_PAGE_SIZE, offset += VG_PAGE_SIZE)
			if (start - (uintptr_t)base < (size_t)count * VG_PAGE_SIZE)
				gnttab->page[offset / VG_PAGE_SIZE].mapped--;
	}
	if (maps)
		fclose(maps);
	gnttab->mapped -= count;
	return munmap(VG_GUEST_RAW(void, base), (size_t)count * VG_PAGE_SIZE) ? -errno : 0;
}

int vg_gnttab_copy(struct vg_gnttab *gnttab, uint16_t domid, struct vg_copy *pieces, unsigned int n)
{
	int first = 0;

	(void)gnttab;
	for (unsigned int i = 0; i < n; i++) {
		struct vg_copy *p = &pieces[i];
		uint8_t *page;

		p->status = fake_fault(FAKE_COPY);
		if (!p->status && p->offset + p->len > VG_PAGE_SIZE)
			p->status = -EFAULT;
		if (!p->status && !allowed(domid, p->ref, false))
			p->status = -EFAULT;
		if (!p->status && !allowed(domid, p->ref, p->to_guest))
			p->status = -EACCES;
		if (p->status) {
			first = first ? first : p->status;
			continue;
		}
		page = fake_page(p->ref);
		if (p->to_guest)
			memcpy(page + p->offset, p->local, p->len);
		else
			memcpy(p->local, page + p->offset, p->len);
	}
	return first;
}

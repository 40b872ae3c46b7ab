// SPDX-License-Identifier: MIT
/* libxenforeignmemory: all of a guest's memory, for privileged domains only. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenforeignmemory.h>

#include <xen/memory.h>

#include "client.h"

struct xenforeignmemory_handle {
	struct sim_client c;
	int restrict_domid; /* -1: none */
};

struct xenforeignmemory_resource_handle {
	void *at;
};

SIM_EXPORT xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger,
							  unsigned open_flags)
{
	xenforeignmemory_handle *fmem = calloc(1, sizeof(*fmem));
	int fds[2], err;

	(void)logger;
	(void)open_flags;
	if (!fmem)
		return NULL;
	fmem->restrict_domid = -1;
	err = -sim_client_open(&fmem->c, SIM_HANDLE_PRIV, fds);
	if (!err)
		return fmem;
	free(fmem);
	errno = err;
	return NULL;
}

SIM_EXPORT int xenforeignmemory_close(xenforeignmemory_handle *fmem)
{
	if (!fmem)
		return 0;
	sim_client_close(&fmem->c);
	free(fmem);
	return 0;
}

/*
 * Put `n` frames that follow each other at `at`; 0 or a negative errno, which is what the real
 * error array holds.
 */
static int map_run(struct sim_client *c, int dom, xen_pfn_t frame, size_t n, void *at, int prot)
{
	struct sim_ram *ram;

	if (!c->priv)
		return -EPERM;
	if (dom < 0)
		return -ESRCH;
	ram = sim_client_ram(c, (unsigned int)dom);
	if (!ram)
		return -ESRCH;
	if (n > ram->size >> SIM_PAGE_SHIFT || frame > (ram->size >> SIM_PAGE_SHIFT) - n)
		return -EINVAL;
	if (mmap(at, n << SIM_PAGE_SHIFT, prot, MAP_SHARED | MAP_FIXED, ram->fd,
		 (off_t)frame << SIM_PAGE_SHIFT) == MAP_FAILED)
		return -errno;
	return 0;
}

static size_t run_length(struct sim_client *c, int dom, const xen_pfn_t *arr, size_t max)
{
	xen_pfn_t end = dom < 0 ? 0 : atomic_load(&c->arena->dom[dom].nr_frames);
	size_t k = 1;

	while (k < max && arr[k] == arr[0] + k && arr[k] < end)
		k++;
	return k;
}

SIM_EXPORT void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom, void *addr,
				       int prot, int flags, size_t num, const xen_pfn_t *arr,
				       int *err)
{
	int index = sim_dom_find(fmem->c.arena, dom);
	int first = sim_fault_call(&fmem->c, "foreign", NULL);
	uint8_t *base;

	if (first || !num || num > SIZE_MAX >> SIM_PAGE_SHIFT) {
		errno = first ? first : EINVAL;
		return NULL;
	}
	base = mmap(addr, num << SIM_PAGE_SHIFT, PROT_NONE,
		    flags | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	for (size_t i = 0, k; i < num; i += k) {
		int e;

		k = run_length(&fmem->c, index, arr + i, num - i);
		e = map_run(&fmem->c, index, arr[i], k, base + (i << SIM_PAGE_SHIFT), prot);
		for (size_t j = 0; err && j < k; j++)
			err[i + j] = e;
		if (!first)
			first = -e;
	}
	/* With an error array even a mapping of which nothing came is a mapping. */
	if (!err && first) {
		munmap(base, num << SIM_PAGE_SHIFT);
		errno = first;
		return NULL;
	}
	return base;
}

SIM_EXPORT void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot,
				      size_t pages, const xen_pfn_t *arr, int *err)
{
	return xenforeignmemory_map2(fmem, dom, NULL, prot, 0, pages, arr, err);
}

SIM_EXPORT int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages)
{
	(void)fmem;
	return munmap(addr, pages << SIM_PAGE_SHIFT);
}

SIM_EXPORT int xenforeignmemory_restrict(xenforeignmemory_handle *fmem, domid_t domid)
{
	if (fmem->restrict_domid >= 0 && fmem->restrict_domid != domid)
		return sim_fail(EINVAL);
	fmem->restrict_domid = domid;
	return 0;
}

static int refuse(xenforeignmemory_handle *fmem)
{
	return sim_fail(fmem->c.priv ? EOPNOTSUPP : EPERM);
}

SIM_EXPORT xenforeignmemory_resource_handle *
xenforeignmemory_map_resource(xenforeignmemory_handle *fmem, domid_t domid, unsigned int type,
			      unsigned int id, unsigned long frame, unsigned long nr_frames,
			      void **paddr, int prot, int flags)
{
	struct sim_msg m = {.op = SIM_OP_DM_PAGE, .arg = {domid, id}};
	xenforeignmemory_resource_handle *fres;
	int err = sim_fault_call(&fmem->c, "resource", NULL);
	int fd = -1;

	if (!err && fmem->restrict_domid >= 0 && fmem->restrict_domid != domid)
		err = EPERM;
	if (!err && (type != XENMEM_resource_ioreq_server ||
		     frame != XENMEM_resource_ioreq_server_frame_ioreq(0) || nr_frames != 1))
		err = EINVAL;
	if (!err)
		err = -sim_rpc(&fmem->c, &m, NULL, NULL, 0, &fd, 1);
	fres = err ? NULL : calloc(1, sizeof(*fres));
	if (fres) {
		fres->at = mmap(*paddr, SIM_PAGE_SIZE, prot, flags | MAP_SHARED, fd, 0);
		err = fres->at == MAP_FAILED ? errno : 0;
	}
	if (fd >= 0)
		close(fd);
	if (err || !fres) {
		free(fres);
		errno = err ? err : ENOMEM;
		return NULL;
	}
	*paddr = fres->at;
	return fres;
}

SIM_EXPORT int xenforeignmemory_unmap_resource(xenforeignmemory_handle *fmem,
					       xenforeignmemory_resource_handle *fres)
{
	(void)fmem;
	if (fres)
		munmap(fres->at, SIM_PAGE_SIZE);
	free(fres);
	return 0;
}

SIM_EXPORT int xenforeignmemory_resource_size(xenforeignmemory_handle *fmem, domid_t domid,
					      unsigned int type, unsigned int id, size_t *size)
{
	(void)domid, (void)type, (void)id, (void)size;
	return refuse(fmem);
}

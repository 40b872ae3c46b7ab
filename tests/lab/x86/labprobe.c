// SPDX-License-Identifier: MIT
/*
 * labprobe DOMID GFN FRONTEND-DIRECTORY: tries what a backend without privilege must not be able to
 * do to a guest, other than through grants. One line for each attempt, "refused NAME: how" or
 * "allowed NAME"; the exit status is the number of those allowed. Run in dom0 it is its own
 * control: there the same attempts succeed.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xendevicemodel.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>

static int allowed;

static void tell(const char *name, bool worked, int err)
{
	if (worked) {
		printf("allowed %s\n", name);
		allowed++;
	} else {
		printf("refused %s: %s (errno %d)\n", name, strerror(err), err);
	}
}

static void foreign_map(xenforeignmemory_handle *fm, uint32_t domid, xen_pfn_t gfn, int prot,
			const char *name)
{
	int page_error = 0;
	void *page;
	bool worked;

	errno = 0;
	/* With an error array the address is not NULL even where the page was refused. */
	page = xenforeignmemory_map(fm, domid, prot, 1, &gfn, &page_error);
	worked = page && !page_error;
	tell(name, worked, page ? -page_error : errno);
	if (worked)
		printf("  first byte there: 0x%02x\n", *(volatile unsigned char *)page);
	if (page)
		xenforeignmemory_unmap(fm, page, 1);
}

static void resource_map(xenforeignmemory_handle *fm, uint32_t domid, unsigned int type,
			 unsigned int id, const char *name)
{
	xenforeignmemory_resource_handle *resource;
	void *page = NULL;

	errno = 0;
	resource = xenforeignmemory_map_resource(fm, domid, type, id, 0, 1, &page,
						 PROT_READ | PROT_WRITE, 0);
	tell(name, resource != NULL, errno);
	if (resource)
		xenforeignmemory_unmap_resource(fm, resource);
}

static void foreign_memory(uint32_t domid, xen_pfn_t gfn)
{
	xenforeignmemory_handle *fm = xenforeignmemory_open(NULL, 0);

	if (!fm) {
		tell("foreign-open", false, errno);
		return;
	}
	foreign_map(fm, domid, gfn, PROT_READ, "foreign-read");
	foreign_map(fm, domid, gfn, PROT_READ | PROT_WRITE, "foreign-write");
	resource_map(fm, domid, XENMEM_resource_grant_table, XENMEM_resource_grant_table_id_shared,
		     "grant-table-map");
	resource_map(fm, domid, XENMEM_resource_ioreq_server, 0, "ioreq-page-map");
	xenforeignmemory_close(fm);
}

static void device_model(uint32_t domid)
{
	xendevicemodel_handle *dm = xendevicemodel_open(NULL, 0);
	ioservid_t id;
	int err;

	if (!dm) {
		tell("device-model-open", false, errno);
		return;
	}
	errno = 0;
	err = xendevicemodel_create_ioreq_server(dm, (domid_t)domid, HVM_IOREQSRV_BUFIOREQ_OFF,
						 &id);
	tell("ioreq-server", !err, errno);
	if (!err)
		xendevicemodel_destroy_ioreq_server(dm, (domid_t)domid, id);
	errno = 0;
	err = xendevicemodel_inject_msi(dm, (domid_t)domid, 0xfee00000, 0x35);
	tell("inject-msi", !err, errno);
	xendevicemodel_close(dm);
}

static void store(const char *frontend)
{
	struct xs_handle *xs = xs_open(0);
	char path[256];
	bool worked;

	if (!xs) {
		tell("store-open", false, errno);
		return;
	}
	snprintf(path, sizeof(path), "%s/labprobe", frontend);
	errno = 0;
	worked = xs_write(xs, XBT_NULL, path, "1", 1);
	tell("store-write", worked, errno);
	if (worked)
		xs_rm(xs, XBT_NULL, path);
	xs_close(xs);
}

int main(int argc, char **argv)
{
	uint32_t domid;
	xen_pfn_t gfn;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4) {
		fputs("usage: labprobe DOMID GFN FRONTEND-DIRECTORY\n", stderr);
		return 100;
	}
	domid = (uint32_t)strtoul(argv[1], NULL, 10);
	gfn = strtoul(argv[2], NULL, 10);
	foreign_memory(domid, gfn);
	device_model(domid);
	store(argv[3]);
	return allowed;
}

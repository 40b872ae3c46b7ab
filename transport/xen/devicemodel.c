// SPDX-License-Identifier: MIT
/* Owner of the device-model handles, over libxendevicemodel and libxenforeignmemory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* The constant that says "no buffered requests" is for tools. */
#define __XEN_TOOLS__ 1
#include <xendevicemodel.h>
#include <xenforeignmemory.h>

#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>

#include <vgrant/dm.h>

#include "xen/errors.h"

struct vg_dm {
	xendevicemodel_handle *dm;
	xenforeignmemory_handle *fm;
	xenforeignmemory_resource_handle *page;
	uint16_t domid;
	bool hvm;
};

/* Of a call of libxendevicemodel: what Xen says when it was built without IOREQ servers. */
static int dm_result(int ret)
{
	if (!ret)
		return 0;
	return errno == ENOSYS ? -EOPNOTSUPP : vg_xen_error();
}

/* A kernel without the restriction is no reason to fail: the threat model tells what it is worth.
 */
static void restrict_to_guest(struct vg_dm *dm, const struct vg_log *log)
{
	errno = 0;
	if (xendevicemodel_restrict(dm->dm, dm->domid) ||
	    xenforeignmemory_restrict(dm->fm, dm->domid))
		vg_warn(log,
			"the device-model handles cannot be restricted to dom%u (%s): going on "
			"without",
			dm->domid, strerror(errno));
}

int vg_dm_open(const struct vg_dm_config *config, struct vg_dm **out)
{
	struct vg_dm *dm = calloc(1, sizeof(*dm));
	int ret;

	if (!dm)
		return -ENOMEM;
	dm->domid = config->domid;
	errno = 0;
	dm->dm = xendevicemodel_open(NULL, 0);
	if (dm->dm)
		dm->fm = xenforeignmemory_open(NULL, 0);
	if (!dm->fm) {
		ret = vg_xen_error();
		vg_xen_open_failed(config->log, "/dev/xen/privcmd", "xen-privcmd", ret);
		vg_dm_close(dm);
		return ret;
	}
	restrict_to_guest(dm, config->log);
	*out = dm;
	return 0;
}

void vg_dm_is_hvm(struct vg_dm *dm)
{
	dm->hvm = true;
}

void vg_dm_close(struct vg_dm *dm)
{
	if (!dm)
		return;
	vg_dm_unmap_page(dm);
	if (dm->fm)
		xenforeignmemory_close(dm->fm);
	if (dm->dm)
		xendevicemodel_close(dm->dm);
	free(dm);
}

int vg_dm_create_server(struct vg_dm *dm, uint16_t *id)
{
	ioservid_t server;
	int ret;

	errno = 0;
	ret = dm_result(xendevicemodel_create_ioreq_server(dm->dm, dm->domid,
							   HVM_IOREQSRV_BUFIOREQ_OFF, &server));
	if (!ret)
		*id = server;
	return ret;
}

int vg_dm_destroy_server(struct vg_dm *dm, uint16_t id)
{
	errno = 0;
	return dm_result(xendevicemodel_destroy_ioreq_server(dm->dm, dm->domid, id));
}

int vg_dm_enable_server(struct vg_dm *dm, uint16_t id)
{
	errno = 0;
	return dm_result(xendevicemodel_set_ioreq_server_state(dm->dm, dm->domid, id, 1));
}

int vg_dm_map_range(struct vg_dm *dm, uint16_t id, uint64_t start, uint64_t size)
{
	errno = 0;
	return dm_result(xendevicemodel_map_io_range_to_ioreq_server(dm->dm, dm->domid, id, 1,
								     start, start + size - 1));
}

int vg_dm_unmap_range(struct vg_dm *dm, uint16_t id, uint64_t start, uint64_t size)
{
	errno = 0;
	return dm_result(xendevicemodel_unmap_io_range_from_ioreq_server(dm->dm, dm->domid, id, 1,
									 start, start + size - 1));
}

int vg_dm_map_page(struct vg_dm *dm, uint16_t id, void VG_GUEST **page)
{
	void *at = NULL;

	if (dm->page)
		return -EBUSY;
	errno = 0;
	dm->page = xenforeignmemory_map_resource(dm->fm, dm->domid, XENMEM_resource_ioreq_server,
						 id, XENMEM_resource_ioreq_server_frame_ioreq(0), 1,
						 &at, PROT_READ | PROT_WRITE, 0);
	if (!dm->page)
		return vg_xen_error();
	*page = (void VG_GUEST *)(uintptr_t)at;
	return 0;
}

void vg_dm_unmap_page(struct vg_dm *dm)
{
	if (dm->page)
		xenforeignmemory_unmap_resource(dm->fm, dm->page);
	dm->page = NULL;
}

int vg_dm_vcpus(struct vg_dm *dm, unsigned int *vcpus)
{
	errno = 0;
	return dm_result(xendevicemodel_nr_vcpus(dm->dm, dm->domid, vcpus));
}

/* ---- the request path ---- */

int vg_dm_set_irq(struct vg_dm *dm, uint32_t irq, bool level)
{
	errno = 0;
	return dm_result(xendevicemodel_set_irq_level(dm->dm, dm->domid, irq, level));
}

int vg_dm_set_isa_irq(struct vg_dm *dm, uint8_t irq, bool level)
{
	if (!dm->hvm)
		return -EPERM;
	errno = 0;
	return dm_result(xendevicemodel_set_isa_irq_level(dm->dm, dm->domid, irq, level));
}

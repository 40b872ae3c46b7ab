// SPDX-License-Identifier: MIT
/*
 * libxendevicemodel: there are no device models here. What is refused to an unprivileged
 * domain on Xen is refused alike, so that a program which must not need it is seen to.
 */
#include <errno.h>
#include <stdlib.h>

#include <xendevicemodel.h>

#include "client.h"

struct xendevicemodel_handle {
	struct sim_client c;
};

SIM_EXPORT xendevicemodel_handle *xendevicemodel_open(struct xentoollog_logger *logger,
						      unsigned int open_flags)
{
	xendevicemodel_handle *dmod = calloc(1, sizeof(*dmod));
	int fds[2], err;

	(void)logger;
	(void)open_flags;
	if (!dmod)
		return NULL;
	err = -sim_client_open(&dmod->c, SIM_HANDLE_PRIV, fds);
	if (!err)
		return dmod;
	free(dmod);
	errno = err;
	return NULL;
}

SIM_EXPORT int xendevicemodel_close(xendevicemodel_handle *dmod)
{
	if (!dmod)
		return 0;
	sim_client_close(&dmod->c);
	free(dmod);
	return 0;
}

static int refuse(xendevicemodel_handle *dmod)
{
	return sim_fail(dmod->c.priv ? EOPNOTSUPP : EPERM);
}

SIM_EXPORT int xendevicemodel_create_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
						  int handle_bufioreq, ioservid_t *id)
{
	(void)domid, (void)handle_bufioreq, (void)id;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_get_ioreq_server_info(xendevicemodel_handle *dmod, domid_t domid,
						    ioservid_t id, xen_pfn_t *ioreq_gfn,
						    xen_pfn_t *bufioreq_gfn,
						    evtchn_port_t *bufioreq_port)
{
	(void)domid, (void)id, (void)ioreq_gfn, (void)bufioreq_gfn, (void)bufioreq_port;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_map_io_range_to_ioreq_server(xendevicemodel_handle *dmod,
							   domid_t domid, ioservid_t id,
							   int is_mmio, uint64_t start,
							   uint64_t end)
{
	(void)domid, (void)id, (void)is_mmio, (void)start, (void)end;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *dmod,
							       domid_t domid, ioservid_t id,
							       int is_mmio, uint64_t start,
							       uint64_t end)
{
	(void)domid, (void)id, (void)is_mmio, (void)start, (void)end;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_map_mem_type_to_ioreq_server(xendevicemodel_handle *dmod,
							   domid_t domid, ioservid_t id,
							   uint16_t type, uint32_t flags)
{
	(void)domid, (void)id, (void)type, (void)flags;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_map_pcidev_to_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
							 ioservid_t id, uint16_t segment,
							 uint8_t bus, uint8_t device,
							 uint8_t function)
{
	(void)domid, (void)id, (void)segment, (void)bus, (void)device, (void)function;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_unmap_pcidev_from_ioreq_server(xendevicemodel_handle *dmod,
							     domid_t domid, ioservid_t id,
							     uint16_t segment, uint8_t bus,
							     uint8_t device, uint8_t function)
{
	(void)domid, (void)id, (void)segment, (void)bus, (void)device, (void)function;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_destroy_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
						   ioservid_t id)
{
	(void)domid, (void)id;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *dmod, domid_t domid,
						     ioservid_t id, int enabled)
{
	(void)domid, (void)id, (void)enabled;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_set_pci_intx_level(xendevicemodel_handle *dmod, domid_t domid,
						 uint16_t segment, uint8_t bus, uint8_t device,
						 uint8_t intx, unsigned int level)
{
	(void)domid, (void)segment, (void)bus, (void)device, (void)intx, (void)level;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_set_isa_irq_level(xendevicemodel_handle *dmod, domid_t domid,
						uint8_t irq, unsigned int level)
{
	(void)domid, (void)irq, (void)level;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_set_irq_level(xendevicemodel_handle *dmod, domid_t domid,
					    unsigned int irq, unsigned int level)
{
	(void)domid, (void)irq, (void)level;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_set_pci_link_route(xendevicemodel_handle *dmod, domid_t domid,
						 uint8_t link, uint8_t irq)
{
	(void)domid, (void)link, (void)irq;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_inject_msi(xendevicemodel_handle *dmod, domid_t domid,
					 uint64_t msi_addr, uint32_t msi_data)
{
	(void)domid, (void)msi_addr, (void)msi_data;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_track_dirty_vram(xendevicemodel_handle *dmod, domid_t domid,
					       uint64_t first_pfn, uint32_t nr,
					       unsigned long *dirty_bitmap)
{
	(void)domid, (void)first_pfn, (void)nr, (void)dirty_bitmap;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_modified_memory(xendevicemodel_handle *dmod, domid_t domid,
					      uint64_t first_pfn, uint32_t nr)
{
	(void)domid, (void)first_pfn, (void)nr;
	return refuse(dmod);
}

SIM_EXPORT int
xendevicemodel_modified_memory_bulk(xendevicemodel_handle *dmod, domid_t domid,
				    struct xen_dm_op_modified_memory_extent extents[], uint32_t nr)
{
	(void)domid, (void)extents, (void)nr;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_set_mem_type(xendevicemodel_handle *dmod, domid_t domid,
					   hvmmem_type_t mem_type, uint64_t first_pfn, uint32_t nr)
{
	(void)domid, (void)mem_type, (void)first_pfn, (void)nr;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_inject_event(xendevicemodel_handle *dmod, domid_t domid, int vcpu,
					   uint8_t vector, uint8_t type, uint32_t error_code,
					   uint8_t insn_len, uint64_t extra)
{
	(void)domid, (void)vcpu, (void)vector, (void)type, (void)error_code, (void)insn_len,
		(void)extra;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_shutdown(xendevicemodel_handle *dmod, domid_t domid,
				       unsigned int reason)
{
	(void)domid, (void)reason;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_relocate_memory(xendevicemodel_handle *dmod, domid_t domid,
					      uint32_t size, uint64_t src_gfn, uint64_t dst_gfn)
{
	(void)domid, (void)size, (void)src_gfn, (void)dst_gfn;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_pin_memory_cacheattr(xendevicemodel_handle *dmod, domid_t domid,
						   uint64_t start, uint64_t end, uint32_t type)
{
	(void)domid, (void)start, (void)end, (void)type;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_nr_vcpus(xendevicemodel_handle *dmod, domid_t domid,
				       unsigned int *vcpus)
{
	(void)domid, (void)vcpus;
	return refuse(dmod);
}

SIM_EXPORT int xendevicemodel_restrict(xendevicemodel_handle *dmod, domid_t domid)
{
	(void)domid;
	return refuse(dmod);
}

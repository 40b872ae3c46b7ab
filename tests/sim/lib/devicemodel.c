// SPDX-License-Identifier: MIT
/*
 * libxendevicemodel: IOREQ servers and interrupt lines, for privileged domains; the hub has them.
 * What is refused to an unprivileged domain on Xen is refused alike, so that a program which must
 * not need it is seen to; what is not simulated is refused to all.
 */
#include <errno.h>
#include <stdlib.h>

#include <xendevicemodel.h>

#include "client.h"

struct xendevicemodel_handle {
	struct sim_client c;
	int restrict_domid; /* -1: none */
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
	dmod->restrict_domid = -1;
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

static int ask(xendevicemodel_handle *dmod, const char *site, struct sim_msg *m)
{
	int err = sim_fault_call(&dmod->c, site, NULL);

	if (!err && dmod->restrict_domid >= 0 && (uint32_t)dmod->restrict_domid != m->arg[0])
		err = EPERM;
	if (!err)
		err = -sim_rpc(&dmod->c, m, NULL, NULL, 0, NULL, 0);
	return err ? sim_fail(err) : 0;
}

SIM_EXPORT int xendevicemodel_create_ioreq_server(xendevicemodel_handle *dmod, domid_t domid,
						  int handle_bufioreq, ioservid_t *id)
{
	struct sim_msg m = {.op = SIM_OP_DM_CREATE, .arg = {domid}};

	/* Buffered requests are not simulated. */
	if (handle_bufioreq)
		return sim_fail(EINVAL);
	if (ask(dmod, "ioreq", &m))
		return -1;
	*id = (ioservid_t)m.arg[0];
	return 0;
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
	struct sim_msg m = {.op = SIM_OP_DM_RANGE_ADD,
			    .arg = {domid, id, (uint32_t)start, (uint32_t)(start >> 32),
				    (uint32_t)(end - start + 1)}};

	if (!is_mmio)
		return sim_fail(EOPNOTSUPP);
	return ask(dmod, "ioreq", &m);
}

SIM_EXPORT int xendevicemodel_unmap_io_range_from_ioreq_server(xendevicemodel_handle *dmod,
							       domid_t domid, ioservid_t id,
							       int is_mmio, uint64_t start,
							       uint64_t end)
{
	struct sim_msg m = {.op = SIM_OP_DM_RANGE_REMOVE,
			    .arg = {domid, id, (uint32_t)start, (uint32_t)(start >> 32),
				    (uint32_t)(end - start + 1)}};

	if (!is_mmio)
		return sim_fail(EOPNOTSUPP);
	return ask(dmod, "ioreq", &m);
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
	struct sim_msg m = {.op = SIM_OP_DM_DESTROY, .arg = {domid, id}};

	return ask(dmod, "ioreq", &m);
}

SIM_EXPORT int xendevicemodel_set_ioreq_server_state(xendevicemodel_handle *dmod, domid_t domid,
						     ioservid_t id, int enabled)
{
	struct sim_msg m = {.op = SIM_OP_DM_ENABLE, .arg = {domid, id}};

	return enabled ? ask(dmod, "ioreq", &m) : sim_fail(EOPNOTSUPP);
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
	struct sim_msg m = {.op = SIM_OP_DM_IRQ, .arg = {domid, irq, level, true}};

	return ask(dmod, "irq", &m);
}

SIM_EXPORT int xendevicemodel_set_irq_level(xendevicemodel_handle *dmod, domid_t domid,
					    unsigned int irq, unsigned int level)
{
	struct sim_msg m = {.op = SIM_OP_DM_IRQ, .arg = {domid, irq, level}};

	return ask(dmod, "irq", &m);
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
	struct sim_msg m = {.op = SIM_OP_DM_VCPUS, .arg = {domid}};

	if (ask(dmod, "ioreq", &m))
		return -1;
	*vcpus = m.arg[0];
	return 0;
}

SIM_EXPORT int xendevicemodel_restrict(xendevicemodel_handle *dmod, domid_t domid)
{
	if (dmod->restrict_domid >= 0 && dmod->restrict_domid != domid)
		return sim_fail(EINVAL);
	dmod->restrict_domid = domid;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* What the tests of the IOREQ server share: a server with one device, and Xen's side of the page.
 */
#ifndef VGRANT_IOREQ_FIXTURE_H
#define VGRANT_IOREQ_FIXTURE_H

#include <stdint.h>

#include <xen/hvm/ioreq.h>

#include "mmio_fixture.h"

#define BASE    UINT64_C(0x2000000)
#define PORT(v) (10 + (v)) /* a vCPU's event channel */

static struct vg_ioreq *server;

static inline struct ioreq *slot(unsigned int vcpu)
{
	return (struct ioreq *)fake_dm_page(0) + vcpu;
}

static inline struct vg_ioreq_config ioreq_config(uint32_t adopt)
{
	return (struct vg_ioreq_config){
		.dm = fake_dm(),
		.evtchn = fake_evtchn(),
		.domid = FAKE_DOMID,
		.adopt = adopt,
		.log = &counting_log,
	};
}

static inline void open_server(uint32_t adopt)
{
	const struct vg_ioreq_config config = ioreq_config(adopt);

	for (unsigned int i = 0; i < 2; i++) {
		slot(i)->vp_eport = PORT(i);
		fake_offer_port(PORT(i));
	}
	ck_assert_int_eq(vg_ioreq_open(&config, &server), 0);
}

static inline void set_up_server(void)
{
	set_up_mmio();
	open_server(VG_IOREQ_NONE);
	ck_assert_int_eq(vg_ioreq_add(server, BASE, mmio), 0);
	ck_assert_int_eq(vg_ioreq_start(server), 0);
}

static inline void tear_down_server(void)
{
	vg_ioreq_close(server, true);
	ck_assert(!fake_dm_server(0));
	ck_assert(!fake_dm_mapped());
	tear_down_mmio();
}

/* Xen puts a request into the slot. */
static inline void request(unsigned int vcpu, const struct ioreq *req)
{
	struct ioreq *s = slot(vcpu);
	uint32_t port = s->vp_eport;

	ck_assert_uint_eq(s->state, STATE_IOREQ_NONE);
	*s = *req;
	s->vp_eport = port;
	s->state = STATE_IOREQ_READY;
}

/* The vCPU goes on, and gets what it read. */
static inline uint64_t take(unsigned int vcpu)
{
	ck_assert_uint_eq(slot(vcpu)->state, STATE_IORESP_READY);
	slot(vcpu)->state = STATE_IOREQ_NONE;
	return slot(vcpu)->data;
}

static inline struct ioreq plain(uint64_t addr, uint32_t size, bool read, uint64_t data)
{
	return (struct ioreq){.type = IOREQ_TYPE_COPY,
			      .addr = addr,
			      .size = size,
			      .count = 1,
			      .dir = read ? IOREQ_READ : IOREQ_WRITE,
			      .data = data};
}

#endif

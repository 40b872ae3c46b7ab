/* SPDX-License-Identifier: MIT */
/* What the parts of libvgguest share. */
#ifndef VGGUEST_INTERNAL_H
#define VGGUEST_INTERNAL_H

#include <errno.h>
#include <string.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include <vgrant/address.h>
#include <vgrant/guest.h>

#include "vgguest.h"

struct vgg {
	struct xs_handle *xs;
	xengntshr_handle *gntshr;
	xenevtchn_handle *evtchn;
	char frontend[256]; /* relative to the domain's own directory */
	char backend[256];
	uint16_t backend_domid;
	uint32_t timeout_ms;
	uint32_t highest_ref;
	bool watching;
	bool foreign;
	struct vgg_mmio *mmio; /* NULL: virtio-msg, or not connected */
	bool by_mmio;
	unsigned int vcpu;
	uint32_t mmio_queue_size; /* that was set last */
	bool over;                /* the backend closes the device, or its directory has gone */

	struct vgg_pages ctl_pages;
	struct vg_ctl_page *ctl; /* NULL: nothing is offered */
	uint32_t prod, cons;     /* private copies of our own indices */
	uint32_t seen_cons;      /* the device's, when last looked at: it never goes back */
	int port;                /* control and shared doorbell; 0: none */
	uint16_t token;
	uint64_t config_events;
	uint8_t config_status;

	struct vgg_stats stats;
	char error[512];
};

/* Notes the words and returns @err. */
__attribute__((format(printf, 3, 4))) int vgg_fail(struct vgg *g, int err, const char *fmt, ...);
/* Milliseconds of a monotonic clock. */
uint64_t vgg_now_ms(void);
/* What is left until @deadline, at least 0, for poll(). */
int vgg_left_ms(uint64_t deadline);

/* state.c */
int vgg_store_find(struct vgg *g, const char *kind, int devid);
int vgg_store_write(struct vgg *g, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Takes watch events, looks at the backend's state and sets ->over. */
void vgg_store_events(struct vgg *g);

/* ctl.c: takes what the device ring holds; with @want, its answer goes to *resp. 1: it came. */
int vgg_ctl_receive(struct vgg *g, const struct vg_msg *want, struct vg_msg *resp);

/* port.c */
int vgg_port_alloc(struct vgg *g);
void vgg_port_free(struct vgg *g, int port);
int vgg_port_notify(struct vgg *g, int port);

#endif

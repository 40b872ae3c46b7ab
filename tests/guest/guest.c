// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "internal.h"
#include "mmio.h"

/* The words of a vgg_open() that failed, when there is no guest to keep them. */
static char open_error[sizeof(((struct vgg *)0)->error)];

int vgg_fail(struct vgg *g, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(g->error, sizeof(g->error), fmt, ap);
	va_end(ap);
	return err;
}

const char *vgg_error(const struct vgg *g)
{
	return g ? g->error : open_error;
}

uint64_t vgg_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int vgg_left_ms(uint64_t deadline)
{
	uint64_t now = vgg_now_ms();

	return now >= deadline ? 0 : (int)(deadline - now);
}

int vgg_open(const struct vgg_config *config, struct vgg **out)
{
	struct vgg *g = calloc(1, sizeof(*g));
	int err;

	*out = NULL;
	if (!g) {
		snprintf(open_error, sizeof(open_error), "out of memory");
		return -ENOMEM;
	}
	g->timeout_ms = config->timeout_ms ? config->timeout_ms : 10000;
	g->foreign = config->foreign;
	g->by_mmio = config->mmio;
	g->vcpu = config->vcpu;

	g->xs = xs_open(0);
	if (!g->xs) {
		err = vgg_fail(g, -errno,
			       "cannot reach xenstore (%s): is this program in a domain?",
			       strerror(errno));
		goto out;
	}
	g->gntshr = xengntshr_open(NULL, 0);
	if (!g->gntshr) {
		err = vgg_fail(g, -errno,
			       "cannot grant memory (%s): Linux needs /dev/xen/gntalloc, from the "
			       "module xen-gntalloc",
			       strerror(errno));
		goto out;
	}
	g->evtchn = xenevtchn_open(NULL, 0);
	if (!g->evtchn) {
		err = vgg_fail(g, -errno,
			       "cannot use event channels (%s): Linux needs /dev/xen/evtchn, from "
			       "the module xen-evtchn",
			       strerror(errno));
		goto out;
	}
	err = vgg_store_find(g, config->kind, config->devid);
	if (err)
		goto out;
	*out = g;
	return 0;
out:
	memcpy(open_error, g->error, sizeof(open_error));
	vgg_close(g);
	return err ? err : -EIO;
}

void vgg_close(struct vgg *g)
{
	if (!g)
		return;
	vgg_mmio_close(g);
	free(g->ctl_pages.run);
	free(g->ctl_pages.refs); /* its pages and its port go with the handles */
	free(g->ctl_pages.frames);
	if (g->evtchn)
		xenevtchn_close(g->evtchn);
	if (g->gntshr)
		xengntshr_close(g->gntshr);
	if (g->xs)
		xs_close(g->xs);
	free(g);
}

void vgg_get_stats(const struct vgg *g, struct vgg_stats *stats)
{
	*stats = g->stats;
}

uint16_t vgg_backend_domid(const struct vgg *g)
{
	return g->backend_domid;
}

uint32_t vgg_highest_ref(const struct vgg *g)
{
	return g->highest_ref;
}

uint64_t vgg_config_events(const struct vgg *g, uint8_t *status)
{
	*status = g->config_status;
	return g->config_events;
}

// SPDX-License-Identifier: MIT
/* The domain whose pages are reached and which answers events. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#include "micro.h"

/* Takes one event and answers it. */
static int answer(xenevtchn_handle *evtchn)
{
	int port = xenevtchn_pending(evtchn);

	if (port < 0)
		return 0;
	if (xenevtchn_unmask(evtchn, (evtchn_port_t)port) ||
	    xenevtchn_notify(evtchn, (evtchn_port_t)port))
		return micro_failed(-errno, "the event cannot be answered");
	return 0;
}

static int answer_all(xenevtchn_handle *evtchn)
{
	struct pollfd p[2] = {
		{.fd = xenevtchn_fd(evtchn), .events = POLLIN},
		{.fd = STDIN_FILENO, .events = POLLIN},
	};
	char byte;

	for (;;) {
		if (poll(p, 2, -1) < 0)
			return micro_failed(-errno, "poll");
		if (p[0].revents) {
			int err = answer(evtchn);

			if (err)
				return err;
		}
		if (p[1].revents && read(STDIN_FILENO, &byte, 1) <= 0)
			return 0;
	}
}

static int offer(xengntshr_handle *share, xenevtchn_handle *evtchn, uint16_t domid, void **pages)
{
	uint32_t refs[MICRO_PAGES];
	int port;

	*pages = xengntshr_share_pages(share, domid, MICRO_PAGES, refs, 1);
	if (!*pages)
		return micro_failed(-errno,
				    "%d pages cannot be granted to domain %u: Linux's limit is the "
				    "parameter 'limit' of the module xen-gntalloc",
				    MICRO_PAGES, domid);
	memset(*pages, 1, (size_t)MICRO_PAGES * VG_PAGE_SIZE);
	port = xenevtchn_bind_unbound_port(evtchn, domid);
	if (port < 0)
		return micro_failed(-errno, "no event channel to domain %u", domid);
	printf("port %d\nrefs", port);
	for (unsigned int i = 0; i < MICRO_PAGES; i++)
		printf(" %u", refs[i]);
	printf("\nready\n");
	fflush(stdout);
	return answer_all(evtchn);
}

int micro_serve(uint16_t domid)
{
	xengntshr_handle *share = xengntshr_open(NULL, 0);
	xenevtchn_handle *evtchn = xenevtchn_open(NULL, 0);
	void *pages = NULL;
	int err;

	if (!share || !evtchn)
		err = micro_failed(-errno, "this domain has no %s",
				   share ? "/dev/xen/evtchn" : "/dev/xen/gntalloc");
	else
		err = offer(share, evtchn, domid, &pages);
	if (pages)
		xengntshr_unshare(share, pages, MICRO_PAGES);
	if (evtchn)
		xenevtchn_close(evtchn);
	if (share)
		xengntshr_close(share);
	return err;
}

int micro_read_guest(const char *path, struct micro_guest *guest)
{
	FILE *from = fopen(path, "re");
	unsigned int n = 0;
	bool ok;

	if (!from)
		return micro_failed(-errno, "cannot read %s", path);
	ok = fscanf(from, " port %u refs", &guest->port) == 1;
	while (ok && n < MICRO_PAGES && fscanf(from, "%u", &guest->refs[n]) == 1)
		n++;
	fclose(from);
	if (n < MICRO_PAGES)
		return micro_failed(-EINVAL,
				    "%s is not what 'vgrant-micro --serve' prints: a port and %d "
				    "references",
				    path, MICRO_PAGES);
	return 0;
}

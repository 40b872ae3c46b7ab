// SPDX-License-Identifier: MIT
/*
 * lsevtchn DOMID: a line for each event channel that the domain has, but Xen's own. What Debian's
 * tools for x86 have under that name and those for arm64 do not; here it prints ports and states
 * only.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xencall.h>

#include <xen/event_channel.h>
#include <xen/xen.h>

int main(int argc, char **argv)
{
	xencall_handle *call = xencall_open(NULL, 0);
	evtchn_status_t *status;
	evtchn_port_t port;

	status = call ? xencall_alloc_buffer(call, sizeof(*status)) : NULL;
	if (argc != 2 || !status) {
		fprintf(stderr, "lsevtchn: %s\n",
			argc != 2 ? "it takes a domain's number" : strerror(errno));
		return 2;
	}
	for (port = 0;; port++) {
		memset(status, 0, sizeof(*status));
		status->dom = (domid_t)atoi(argv[1]);
		status->port = port;
		if (xencall2(call, __HYPERVISOR_event_channel_op, EVTCHNOP_status,
			     (uint64_t)(uintptr_t)status)) {
			if (errno == EACCES)
				continue; /* Xen's */
			if (errno == EINVAL)
				break; /* past the last */
			fprintf(stderr, "lsevtchn: port %u: %s\n", port, strerror(errno));
			return 1;
		}
		if (status->status != EVTCHNSTAT_closed)
			printf("%4u: VCPU %u: state %u\n", port, status->vcpu, status->status);
	}
	xencall_free_buffer(call, status);
	xencall_close(call);
	return 0;
}

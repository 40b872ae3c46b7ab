// SPDX-License-Identifier: MIT
/*
 * probe DOMID REF: turn the text on a granted page into capitals. Linked against the real Xen
 * libraries only: the same binary would do the same in a domain on Xen.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

int main(int argc, char **argv)
{
	xengnttab_handle *gt = xengnttab_open(NULL, 0);
	xenevtchn_handle *ev = xenevtchn_open(NULL, 0);
	struct xs_handle *xs = xs_open(0);
	unsigned int len;
	char *name, *m;

	if (argc != 3 || !gt || !ev || !xs)
		return 2;
	name = xs_read(xs, XBT_NULL, "name", &len);
	if (!name || strcmp(name, "drv") != 0)
		return 3;
	free(name);
	m = xengnttab_map_grant_ref(gt, (uint32_t)strtoul(argv[1], NULL, 10),
				    (uint32_t)strtoul(argv[2], NULL, 10), PROT_READ | PROT_WRITE);
	if (!m)
		return 4;
	for (unsigned int i = 0; m[i] && i < 4096; i++)
		m[i] = (char)toupper((unsigned char)m[i]);
	if (xengnttab_unmap(gt, m, 1) || xenevtchn_bind_unbound_port(ev, 2) < 0)
		return 5;
	xs_close(xs);
	xenevtchn_close(ev);
	xengnttab_close(gt);
	return 0;
}

// SPDX-License-Identifier: MIT
/*
 * vgforbidden: what a hostile backend would try. It runs in the driver domain, with the libraries
 * that vgrantd uses, and says of each attempt how it was refused. A control shows first that the
 * same calls do succeed on what was granted. Exit status 1: something forbidden succeeded; 2:
 * usage, or the control failed, so that the refusals would prove nothing.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xengnttab.h>

#define GRANTED_TEXT "vgrant: this page was granted"

static xengnttab_handle *gnttab;
static uint16_t domid;
static unsigned int attempts, successes;

/* Maps @ref; the first bytes go to @text when it can be read. 0 or an errno. */
static int map(uint32_t ref, int prot, char *text, size_t size)
{
	char *page;

	errno = 0;
	page = xengnttab_map_grant_ref(gnttab, domid, ref, prot);
	if (!page)
		return errno ? errno : EIO;
	if (prot & PROT_WRITE)
		memset(page, 0xee, 16);
	if (text)
		memcpy(text, page, size);
	xengnttab_unmap(gnttab, page, 1);
	return 0;
}

/* Copies between @ref and @buf. 0, or the hypervisor's GNTST_ value, or errno as a positive one. */
static int copy(uint32_t ref, bool to_guest, void *buf, uint16_t len)
{
	xengnttab_grant_copy_segment_t seg = {.len = len};

	if (to_guest) {
		seg.source.virt = buf;
		seg.dest.foreign.ref = ref;
		seg.dest.foreign.domid = domid;
		seg.flags = GNTCOPY_dest_gref;
	} else {
		seg.source.foreign.ref = ref;
		seg.source.foreign.domid = domid;
		seg.dest.virt = buf;
		seg.flags = GNTCOPY_source_gref;
	}
	if (xengnttab_grant_copy(gnttab, 1, &seg))
		return errno ? errno : EIO;
	return seg.status == GNTST_okay ? 0 : seg.status;
}

static const char *words(int result)
{
	switch (result) {
	case GNTST_general_error:
		return "GNTST_general_error";
	case GNTST_bad_domain:
		return "GNTST_bad_domain";
	case GNTST_bad_gntref:
		return "GNTST_bad_gntref";
	case GNTST_permission_denied:
		return "GNTST_permission_denied";
	default:
		return result > 0 ? strerror(result) : "refused";
	}
}

static void attempt(const char *what, uint32_t ref, int result)
{
	attempts++;
	if (!result) {
		successes++;
		printf("SUCCEEDED  %s (reference %u)\n", what, ref);
	} else {
		printf("refused    %s (reference %u): %s\n", what, ref, words(result));
	}
}

/* The page can be reached as it was granted, or nothing that follows means anything. */
static bool control(uint32_t ref)
{
	char mapped[sizeof(GRANTED_TEXT)] = "", copied[sizeof(GRANTED_TEXT)] = "";
	int err = map(ref, PROT_READ, mapped, sizeof(mapped));

	if (!err)
		err = copy(ref, false, copied, sizeof(copied));
	if (err || memcmp(mapped, GRANTED_TEXT, sizeof(mapped)) ||
	    memcmp(copied, GRANTED_TEXT, sizeof(copied))) {
		printf("CONTROL FAILED  reading a granted page (reference %u): %s\n", ref,
		       err ? words(err) : "it holds something else");
		return false;
	}
	printf("allowed    reading a page that is granted (reference %u)\n", ref);
	return true;
}

static void try_unreachable(const char *which, uint32_t ref)
{
	char what[128], buf[16] = {0};

	snprintf(what, sizeof(what), "mapping a page %s, to read", which);
	attempt(what, ref, map(ref, PROT_READ, NULL, 0));
	snprintf(what, sizeof(what), "mapping a page %s, to write", which);
	attempt(what, ref, map(ref, PROT_READ | PROT_WRITE, NULL, 0));
	snprintf(what, sizeof(what), "copying from a page %s", which);
	attempt(what, ref, copy(ref, false, buf, sizeof(buf)));
	snprintf(what, sizeof(what), "copying to a page %s", which);
	attempt(what, ref, copy(ref, true, buf, sizeof(buf)));
}

static void try_read_only(uint32_t ref)
{
	char buf[16] = {0};

	attempt("mapping a page granted read-only, to write", ref,
		map(ref, PROT_READ | PROT_WRITE, NULL, 0));
	attempt("copying to a page granted read-only", ref, copy(ref, true, buf, sizeof(buf)));
}

static bool parse(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return !errno && end != text && !*end && *text != '-' && *value <= max;
}

int main(int argc, char **argv)
{
	unsigned long v;
	bool good = true;

	if (argc < 5 || argc % 2 == 0 || strcmp(argv[1], "--domid") ||
	    !parse(argv[2], 0x7fef, &v)) {
		fputs("usage: vgforbidden --domid N { --granted | --never | --ended | --read-only "
		      "} "
		      "REFERENCE …\n",
		      stderr);
		return 2;
	}
	domid = (uint16_t)v;
	gnttab = xengnttab_open(NULL, 0);
	if (!gnttab) {
		fprintf(stderr, "vgforbidden: cannot open the grant device: %s\n", strerror(errno));
		return 2;
	}
	for (int i = 3; i < argc && good; i += 2) {
		good = parse(argv[i + 1], UINT32_MAX, &v);
		if (!good)
			fprintf(stderr, "vgforbidden: '%s' is not a reference\n", argv[i + 1]);
		else if (!strcmp(argv[i], "--granted"))
			good = control((uint32_t)v);
		else if (!strcmp(argv[i], "--never"))
			try_unreachable("that was never granted", (uint32_t)v);
		else if (!strcmp(argv[i], "--ended"))
			try_unreachable("whose grant has ended", (uint32_t)v);
		else if (!strcmp(argv[i], "--read-only"))
			try_read_only((uint32_t)v);
		else
			good = false;
	}
	xengnttab_close(gnttab);
	if (!good)
		return 2;
	if (attempts)
		printf("%u attempts, %u refused\n", attempts, attempts - successes);
	return successes ? 1 : 0;
}

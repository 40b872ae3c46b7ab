// SPDX-License-Identifier: MIT
/*
 * Which pages of this guest's memory hold a pattern, and whose they are: all of the memory as the
 * kernel sees it (/dev/mem), also what is free. One line:
 *   pages N free N with N user N with N other N with N
 * "with": of those, how many hold the pattern. Free is what the page allocator has; user is
 * anonymous memory and the page cache; other is the kernel's, and what nobody has any more, such as
 * pages that a backend does not let go of.
 */
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "labmem.h"

/* Bits of /proc/kpageflags (linux/kernel-page-flags.h). */
#define FLAG_LRU   5
#define FLAG_BUDDY 10
#define FLAG_ANON  12

enum owner { OWNER_FREE, OWNER_USER, OWNER_OTHER, OWNERS };

struct count {
	unsigned long pages[OWNERS], with[OWNERS];
};

static enum owner owner_of(uint64_t flags)
{
	if (flags >> FLAG_BUDDY & 1)
		return OWNER_FREE;
	return (flags >> FLAG_LRU & 1) || (flags >> FLAG_ANON & 1) ? OWNER_USER : OWNER_OTHER;
}

#define BATCH 64

static uint64_t memory[BATCH][PAGE / sizeof(uint64_t)];
static uint64_t flags[BATCH];

/* @n pages from @frame on; a batch with pages that cannot be read (ballooned ones) in halves. */
static void count_pages(struct count *count, int mem, int flags_fd, uint64_t frame, size_t n,
			const void *inverted, size_t len)
{
	if (pread(flags_fd, flags, n * sizeof(*flags), (off_t)(frame * sizeof(*flags))) !=
	    (ssize_t)(n * sizeof(*flags)))
		return;
	if (pread(mem, memory, n * PAGE, (off_t)(frame * PAGE)) != (ssize_t)(n * PAGE)) {
		for (size_t i = 0; n > 1 && i < 2; i++)
			count_pages(count, mem, flags_fd, frame + i * (n / 2),
				    i ? n - n / 2 : n / 2, inverted, len);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		enum owner owner = owner_of(flags[i]);

		/* So that neither what is looked for nor the copy is found. */
		for (size_t k = 0; k < PAGE / sizeof(**memory); k++)
			memory[i][k] = ~memory[i][k];
		count->pages[owner]++;
		count->with[owner] += memmem(memory[i], PAGE, inverted, len) != NULL;
	}
	explicit_bzero(memory, n * PAGE);
}

int pages_count(const void *inverted, size_t len)
{
	int mem = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	int flags_fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	FILE *map = fopen("/proc/iomem", "re");
	unsigned long long first, last;
	struct count count = {0};
	char line[256];

	if (mem < 0 || flags_fd < 0 || !map)
		die("cannot look into all memory");
	while (fgets(line, sizeof(line), map)) {
		if (line[0] == ' ' || !strstr(line, "System RAM") ||
		    sscanf(line, "%llx-%llx", &first, &last) != 2)
			continue;
		first = (first + PAGE - 1) / PAGE;
		last = (last + 1) / PAGE;
		for (uint64_t at = first; at < last; at += BATCH)
			count_pages(&count, mem, flags_fd, at,
				    last - at < BATCH ? last - at : BATCH, inverted, len);
	}
	printf("pages %lu free %lu with %lu user %lu with %lu other %lu with %lu\n",
	       count.pages[OWNER_FREE] + count.pages[OWNER_USER] + count.pages[OWNER_OTHER],
	       count.pages[OWNER_FREE], count.with[OWNER_FREE], count.pages[OWNER_USER],
	       count.with[OWNER_USER], count.pages[OWNER_OTHER], count.with[OWNER_OTHER]);
	return !count.pages[OWNER_FREE];
}

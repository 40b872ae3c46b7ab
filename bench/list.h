/* SPDX-License-Identifier: MIT */
/* Lists on the command line: "4k,64k", "1-256" (doubling), "region,copy". */
#ifndef BENCH_LIST_H
#define BENCH_LIST_H

#include <stdbool.h>
#include <stdint.h>

#define LIST_MAX 32

struct list {
	uint64_t value[LIST_MAX];
	unsigned int n;
};

/*
 * Numbers from @min to @max, with k, m or g for powers of 1024; "A-B" is A, 2 A, 4 A and so on up
 * to B. What stands twice counts once. False: it is no such list, and *list is not to be used.
 */
bool list_numbers(const char *text, uint64_t min, uint64_t max, struct list *list);
/* Places in @names, NULL at its end, of the words of @text; "all" is every one. */
bool list_names(const char *text, const char *const *names, struct list *list);

#endif

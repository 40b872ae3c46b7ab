/* SPDX-License-Identifier: MIT */
/* A number on a command line. */
#ifndef BENCH_NUMBER_H
#define BENCH_NUMBER_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Digits and nothing else, and a value from @min to @max. */
static inline bool number(const char *text, unsigned int min, unsigned int max, unsigned int *value)
{
	size_t len = strlen(text);

	if (!len || len > 9 || strspn(text, "0123456789") != len)
		return false;
	*value = (unsigned int)strtoul(text, NULL, 10);
	return *value >= min && *value <= max;
}

#endif

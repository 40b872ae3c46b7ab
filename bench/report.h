/* SPDX-License-Identifier: MIT */
/* What a comparison found, for people and for programs. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "compare.h"

void report_table(const struct comparison *c);
/* To @file, which is named @path in what is said when it cannot be written. */
int report_json(const struct comparison *c, FILE *file, const char *path);

#endif

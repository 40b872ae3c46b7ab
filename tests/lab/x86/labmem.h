/* SPDX-License-Identifier: MIT */
/*
 * labmem: what a guest's memory holds and who writes to it, for the scenarios leak and return.
 *
 * The secret is 8 bytes that are made from a number, so that no disk, no script and no command line
 * holds them; they are repeated at every multiple of 8, so that 15 bytes in a row show it.
 */
#ifndef LABMEM_H
#define LABMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096UL
#define MIB  (1024UL * 1024)

/* Well mixed bits of @x. */
static inline uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* Nothing of it is zero, so that no byte of it is found in what is empty. */
static inline uint64_t secret_of(uint64_t seed)
{
	return mix(seed + 0x9e3779b97f4a7c15) | 0x0101010101010101;
}

static inline void fill_words(void *at, uint64_t word, size_t len)
{
	uint64_t *to = at;

	for (size_t i = 0; i < len / sizeof(word); i++)
		to[i] = word;
}

/* labmem.c */
__attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...);
/* Zeroed memory of its own, page-aligned, or NULL. */
void *get_memory(size_t len);

/* labmem-io.c: see there */
int io_run(uint64_t secret, const char *device, uint64_t offset, unsigned int count);

/* labmem-pages.c: see there. All bits of the pattern are inverted. */
int pages_count(const void *inverted, size_t len);

#endif

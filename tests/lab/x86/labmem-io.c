// SPDX-License-Identifier: MIT
/*
 * Direct I/O whose buffers lie in pages that are otherwise full of the secret. Requests are of one
 * to four pieces of 512 bytes to 128 KiB that begin anywhere in a page (in steps of 512). Where a
 * read is to go, there is the secret, too, before. What is read must be what was written, and what
 * lies around it the secret, still.
 *
 * Ends with status 0, or 1 when something was wrong, or 3 when the disk failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "labmem.h"

#define PIECE  (132 * 1024UL) /* of the arena, for one buffer with what is around it */
#define BUFFER (128 * 1024UL)
#define PARTS  4
#define SPAN   (4 * MIB) /* of the disk */
#define SECTOR 512UL

static uint64_t secret;
static uint8_t *arena;
static struct iovec part[PARTS];
static int parts;

static unsigned int random_below(unsigned int n)
{
	static uint64_t state;

	return (unsigned int)(mix(++state) % n);
}

/* What a word of the disk holds. */
static uint64_t content(uint64_t offset)
{
	return mix(offset ^ 0x5851f42d4c957f2d) & ~0x0101010101010101;
}

/* Buffers for a request, the secret in and around all of them. Returns the length. */
static size_t arrange(void)
{
	static const size_t sizes[] = {1, 1, 2, 3, 7, 8, 16, 24, 33, 64, 128, 256}; /* sectors */
	size_t all = 0;

	fill_words(arena, secret, PARTS * PIECE);
	parts = 1 + (int)random_below(PARTS);
	for (int i = 0; i < parts; i++) {
		size_t len = sizes[random_below(sizeof(sizes) / sizeof(sizes[0]))] * SECTOR;

		part[i].iov_base = arena + (size_t)i * PIECE + random_below(8) * SECTOR;
		part[i].iov_len = len < BUFFER ? len : BUFFER - SECTOR;
		all += part[i].iov_len;
	}
	return all;
}

static void put_content(uint64_t offset)
{
	for (int i = 0; i < parts; i++)
		for (size_t k = 0; k < part[i].iov_len; k += 8, offset += 8)
			((uint64_t *)part[i].iov_base)[k / 8] = content(offset);
}

/* Whether the pieces hold that content; makes them the secret again. */
static bool take_content(uint64_t offset)
{
	bool right = true;

	for (int i = 0; i < parts; i++)
		for (size_t k = 0; k < part[i].iov_len; k += 8, offset += 8) {
			uint64_t *at = (uint64_t *)part[i].iov_base + k / 8;

			right &= *at == content(offset);
			*at = secret;
		}
	return right;
}

static bool all_secret(void)
{
	for (size_t i = 0; i < PARTS * PIECE / 8; i++)
		if (((uint64_t *)arena)[i] != secret)
			return false;
	return true;
}

static int request(int fd, uint64_t base, bool write)
{
	size_t len = arrange();
	uint64_t at = base + random_below((unsigned int)((SPAN - len) / SECTOR)) * SECTOR;
	ssize_t got;

	if (write)
		put_content(at);
	got = write ? pwritev(fd, part, parts, (off_t)at) : preadv(fd, part, parts, (off_t)at);
	if (got < 0) {
		printf("%s: %s\n", write ? "write" : "read", strerror(errno));
		return 3;
	}
	if ((size_t)got != len || !take_content(at)) {
		printf("%s of %zu bytes at %zu: wrong\n", write ? "write" : "read", len,
		       (size_t)at);
		return 1;
	}
	if (!all_secret()) {
		puts("what is around a buffer was written to");
		return 1;
	}
	return 0;
}

/* The whole span, so that all of it can be read. */
static int prepare(int fd, uint64_t base)
{
	for (uint64_t at = base; at < base + SPAN; at += BUFFER / 2) {
		fill_words(arena, secret, PARTS * PIECE);
		parts = 1;
		part[0] = (struct iovec){arena + SECTOR, BUFFER / 2};
		put_content(at);
		if (pwritev(fd, part, 1, (off_t)at) != (ssize_t)(BUFFER / 2))
			return 3;
	}
	return 0;
}

int io_run(uint64_t with, const char *device, uint64_t offset, unsigned int count)
{
	int fd = open(device, O_RDWR | O_DIRECT | O_CLOEXEC), status;
	unsigned int done = 0;

	secret = with;
	arena = get_memory(PARTS * PIECE);
	if (fd < 0 || !arena)
		die("cannot open %s", device);
	status = prepare(fd, offset);
	while (!status && done < count) {
		status = request(fd, offset, done % 2);
		done += !status;
	}
	printf("requests %u status %d\n", done, status);
	/* What a hostile device returned goes nowhere. */
	explicit_bzero(arena, PARTS * PIECE);
	return status;
}

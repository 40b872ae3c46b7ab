// SPDX-License-Identifier: MIT
/*
 * labmem COMMAND ARGUMENT..., in a guest, but for the first two:
 *   pattern SEED          the secret's 8 bytes, on standard output
 *   find SEED             fails if the secret is on standard input
 *   fill SEED KEEP        fills all free memory with the secret, in every way that a program has,
 *                         and frees it; KEEP MiB of it stay with a process that goes on
 *   file SEED PATH MIB    a file full of the secret, in a tmpfs
 *   io SEED DEVICE MIB N  N requests of direct I/O, from MIB on (labmem-io.c)
 *   pages SEED            in which pages the secret is, by owner (labmem-pages.c)
 *   marks N               the same for what vgrantd-hostile writes late, told mark=N
 *   watch SECONDS         owns all free memory, and fails if anybody else writes to it
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "labmem.h"

/* What is left free of all memory, for those who also run. */
#define RESERVE_KIB 8192
#define PIECES      2048 /* of a MiB */

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("labmem: ", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\n", stderr);
	exit(2);
}

static void put_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	if (!file || fputs(text, file) == EOF || fclose(file))
		die("cannot write %s", path);
}

static unsigned long free_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long kib = 0;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemFree: %lu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

void *get_memory(size_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* All free memory but the reserve, in pieces of a MiB; returns how many. */
static unsigned int take_all(uint64_t *pieces[])
{
	unsigned int n = 0;

	/* Whoever needs more than the reserve gets it from us. */
	put_text("/proc/self/oom_score_adj", "1000");
	put_text("/proc/sys/vm/drop_caches", "3");
	while (n < PIECES && free_kib() > RESERVE_KIB + MIB / 1024) {
		pieces[n] = get_memory(MIB);
		if (!pieces[n])
			break;
		n++;
	}
	return n;
}

/* ---- fill ---- */

/*
 * The kernel's own heap: messages in queues are objects of all sizes there. Half of them are freed
 * first, so that objects that are free and such as are in use lie side by side.
 */
static void fill_heap(uint64_t secret)
{
	struct {
		long type;
		uint64_t words[960];
	} msg = {.type = 1};
	int queue[32];

	fill_words(msg.words, secret, sizeof(msg.words));
	for (int i = 0; i < 32; i++) {
		queue[i] = msgget(IPC_PRIVATE, 0600);
		/* From 16 bytes on, and up to two pages; until the queue is full. */
		for (size_t size = 16; queue[i] >= 0 && size < sizeof(msg.words); size += size / 4)
			if (msgsnd(queue[i], &msg, size & ~7UL, IPC_NOWAIT))
				break;
	}
	for (int odd = 0; odd < 2; odd++)
		for (int i = odd; i < 32; i += 2)
			msgctl(queue[i], IPC_RMID, NULL);
}

static void fill_pipes(uint64_t secret)
{
	static uint64_t page[PAGE / sizeof(uint64_t)];
	int fd[2];

	fill_words(page, secret, sizeof(page));
	for (int i = 0; i < 64 && !pipe2(fd, O_NONBLOCK | O_CLOEXEC); i++)
		while (write(fd[1], page, sizeof(page)) > 0) {
		}
	/* Their pages are freed with the process. */
}

/* A process that fills all memory and keeps some; @ready is told when the rest is free. */
static void fill_child(uint64_t secret, unsigned int keep, int ready)
{
	static uint64_t *pieces[PIECES];
	unsigned int n;

	if (!fork()) {
		fill_heap(secret);
		fill_pipes(secret);
		_exit(0);
	}
	wait(NULL);
	n = take_all(pieces);
	for (unsigned int i = 0; i < n; i++)
		fill_words(pieces[i], secret, MIB);
	for (unsigned int i = 0; i < n; i++)
		if (i % 2 || i / 2 >= keep)
			munmap(pieces[i], MIB);
	dprintf(ready, "filled %u MiB, kept %u\n", n, n / 2 < keep ? n / 2 : keep);
	close(ready);
	for (;;)
		pause();
}

static int fill(uint64_t secret, unsigned int keep)
{
	char words[80];
	ssize_t len;
	int fd[2];

	if (pipe(fd))
		die("no pipe");
	if (!fork()) {
		close(fd[0]);
		setsid();
		freopen("/dev/null", "w", stdout);
		freopen("/dev/null", "w", stderr);
		fill_child(secret, keep, fd[1]);
	}
	close(fd[1]);
	len = read(fd[0], words, sizeof(words) - 1);
	if (len <= 0)
		die("the process that fills has ended");
	words[len] = 0;
	fputs(words, stdout);
	return 0;
}

static int file_of(uint64_t secret, const char *path, unsigned int mib)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t *words = get_memory(MIB);

	if (fd < 0 || !words)
		die("cannot make %s", path);
	fill_words(words, secret, MIB);
	while (mib--)
		if (write(fd, words, MIB) != (ssize_t)MIB)
			die("cannot write %s", path);
	return close(fd);
}

/* ---- find ---- */

static int find(uint64_t secret)
{
	static uint8_t buffer[MIB + sizeof(secret)];
	size_t have = 0, at = 0;
	ssize_t got;

	while ((got = read(STDIN_FILENO, buffer + have, sizeof(buffer) - have)) > 0) {
		uint8_t *hit;

		have += (size_t)got;
		hit = memmem(buffer, have, &secret, sizeof(secret));
		if (hit) {
			printf("the secret is at byte %zu\n", at + (size_t)(hit - buffer));
			return 1;
		}
		if (have < sizeof(secret))
			continue;
		/* It may begin at the end of what was read. */
		at += have - (sizeof(secret) - 1);
		memmove(buffer, buffer + have - (sizeof(secret) - 1), sizeof(secret) - 1);
		have = sizeof(secret) - 1;
	}
	printf("%zu bytes do not hold the secret\n", at + have);
	return at + have < PAGE;
}

/* ---- watch ---- */

/* What we wrote there. */
static uint64_t known(const uint64_t *at)
{
	return (uintptr_t)at * 0x9e3779b97f4a7c15;
}

/* Pages of the piece that hold something else; they are written anew. */
static unsigned int changed(uint64_t *piece)
{
	unsigned int pages = 0;

	for (size_t i = 0; i < MIB / sizeof(*piece); i++) {
		if (__atomic_load_n(&piece[i], __ATOMIC_RELAXED) == known(&piece[i]))
			continue;
		if (pages++ < 3)
			printf("at byte %lu of a page: %.8s\n", i * 8 % PAGE, (char *)&piece[i]);
		for (i &= ~(PAGE / 8 - 1); (i + 1) % (PAGE / 8); i++)
			piece[i] = known(&piece[i]);
		piece[i] = known(&piece[i]);
	}
	return pages;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int watch(double seconds)
{
	static uint64_t *pieces[PIECES];
	unsigned int n = take_all(pieces), looks = 0, pages = 0;
	double end;

	for (unsigned int i = 0; i < n; i++)
		for (size_t k = 0; k < MIB / 8; k++)
			pieces[i][k] = known(&pieces[i][k]);
	end = now() + seconds;
	do {
		usleep(100000);
		for (unsigned int i = 0; i < n; i++)
			pages += changed(pieces[i]);
		looks++;
	} while (now() < end);
	printf("owned %u MiB, looked %u times, written-by-others %u\n", n, looks, pages);
	return !n || pages;
}

/* ---- what vgrantd-hostile writes ---- */

static int marks(unsigned int n)
{
	/* Not in one piece in this program, which the guest has in memory more than once. */
	char mark[40];
	size_t len;

	snprintf(mark, sizeof(mark), "%s-%s-%s-%u", "vgrantd-hostile", "was", "here", n);
	len = strlen(mark);
	for (size_t i = 0; i < len; i++)
		mark[i] = (char)~mark[i];
	return pages_count(mark, len);
}

/* ---- the command line ---- */

static unsigned int number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!*text || *end || n > UINT32_MAX)
		die("not a number: %s", text);
	return (unsigned int)n;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint64_t secret = argc > 2 ? secret_of(number(argv[2])) : 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(what, "pattern"))
		return write(STDOUT_FILENO, &secret, sizeof(secret)) != sizeof(secret);
	if (argc == 3 && !strcmp(what, "find"))
		return find(secret);
	if (argc == 4 && !strcmp(what, "fill"))
		return fill(secret, number(argv[3]));
	if (argc == 5 && !strcmp(what, "file"))
		return file_of(secret, argv[3], number(argv[4]));
	if (argc == 6 && !strcmp(what, "io"))
		return io_run(secret, argv[3], number(argv[4]) * MIB, number(argv[5]));
	if (argc == 3 && !strcmp(what, "pages")) {
		secret = ~secret;
		return pages_count(&secret, sizeof(secret));
	}
	if (argc == 3 && !strcmp(what, "marks"))
		return marks(number(argv[2]));
	if (argc == 3 && !strcmp(what, "watch"))
		return watch(number(argv[2]));
	die("see the head of tests/lab/x86/labmem.c");
}

// SPDX-License-Identifier: MIT
/* The driver half, and the runs of one start. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "peers.h"

#define RUN_NS      1000000.0
#define MAX_BENCHES 64
#define AREA        8192u /* of the buffers of one chain */
#define DATA        4096u
#define RINGS       (8u * 4096)
#define F_NEXT      1
#define F_WRITE     2
#define F_SILENT    1

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct avail {
	uint16_t flags, idx, ring[];
};

struct used {
	uint16_t flags, idx;
	struct {
		uint32_t id, len;
	} ring[];
};

/* One engine with one kind of chains. */
struct bench {
	const struct peer_engine *engine;
	unsigned int chain; /* descriptors */
	struct peer_ring ring;
	void *state;
	uint32_t written;   /* bytes that one gets */
	uint64_t sum;       /* that one adds */
	unsigned int turns; /* of a run */
	uint16_t idx;
};

/* ---- the driver ---- */

/* Chains that lie ready. */
static unsigned int chains_of(const struct bench *b)
{
	return b->chain == 1 ? PEER_RING : PEER_RING / 4;
}

struct piece {
	uint32_t at, len;
	bool write;
};

/* What a chain is made of; returns how many pieces, in @bench->chain descriptors. */
static void pieces_of(const struct bench *bench, struct piece *p)
{
	bool in = bench->engine->work == PEER_COPY_IN;

	if (bench->engine->work == PEER_POP_PUSH) {
		/* A block device's read, or its data alone. */
		p[0] = (struct piece){DATA, DATA, true};
		if (bench->chain == 3) {
			p[0] = (struct piece){0, 16, false};
			p[1] = (struct piece){DATA, DATA, true};
			p[2] = (struct piece){16, 1, true};
		}
		return;
	}
	/* A network packet with its header. */
	p[0] = (struct piece){0, PEER_HEADER + PEER_PAYLOAD, in};
	if (bench->chain == 3) {
		p[0] = (struct piece){0, PEER_HEADER, in};
		p[1] = (struct piece){DATA, PEER_PAYLOAD / 2, in};
		p[2] = (struct piece){DATA + 1024, PEER_PAYLOAD / 2, in};
	}
}

static void lay_out(struct bench *b)
{
	struct peer_ring *r = &b->ring;
	char *m = r->memory;
	struct desc *desc = (struct desc *)(m + r->desc);
	struct avail *avail = (struct avail *)(m + r->avail);
	struct piece piece[3];

	b->written = 0;
	b->sum = b->engine->work == PEER_POP_PUSH ? 0 : PEER_PAYLOAD;
	pieces_of(b, piece);
	for (unsigned int c = 0; c < chains_of(b); c++) {
		for (unsigned int i = 0; i < b->chain; i++) {
			unsigned int at = c * b->chain + i;
			uint64_t offset = RINGS + (uint64_t)c * AREA + piece[i].at;

			desc[at] = (struct desc){
				.addr = r->base + offset,
				.len = piece[i].len,
				.flags = (uint16_t)((i + 1 < b->chain ? F_NEXT : 0) |
						    (piece[i].write ? F_WRITE : 0)),
				.next = (uint16_t)(i + 1 < b->chain ? at + 1 : 0),
			};
		}
	}
	for (unsigned int i = 0; i < b->chain; i++)
		b->written += piece[i].write ? piece[i].len : 0;
	for (unsigned int i = 0; i < r->size; i++)
		avail->ring[i] = (uint16_t)(i % chains_of(b) * b->chain);
	avail->flags = F_SILENT;
}

/* What each chain adds to the engine's sum, for those of one turn from ring entry @idx. */
static uint64_t expected(const struct bench *b, uint16_t idx)
{
	struct piece piece[3];
	uint64_t sum = 0;

	if (b->engine->work != PEER_POP_PUSH)
		return (uint64_t)PEER_BATCH * b->sum;
	pieces_of(b, piece);
	for (unsigned int c = 0; c < PEER_BATCH; c++) {
		unsigned int chain = (idx % b->ring.size + c) % chains_of(b);

		for (unsigned int i = 0; i < b->chain; i++)
			sum += RINGS + (uint64_t)chain * AREA + piece[i].at + piece[i].len;
	}
	return sum;
}

static int wrong(const struct bench *b, const char *what)
{
	fprintf(stderr, "vgrant-peers: %s, %u descriptors: %s\n", b->engine->name, b->chain, what);
	return -EPROTO;
}

/* One batch: returns 0 or -EPROTO. */
static inline int turn(struct bench *b, uint64_t *sum)
{
	struct avail *avail = (struct avail *)((char *)b->ring.memory + b->ring.avail);

	b->idx = (uint16_t)(b->idx + PEER_BATCH);
	__atomic_store_n(&avail->idx, b->idx, __ATOMIC_RELEASE);
	return b->engine->serve(b->state, sum) == PEER_BATCH ? 0 : -EPROTO;
}

/* What the engine gave back in the last turn is what it was given, whole. */
static int look_over(const struct bench *b)
{
	const struct used *used =
		(const struct used *)((const char *)b->ring.memory + b->ring.used);
	const struct avail *avail =
		(const struct avail *)((const char *)b->ring.memory + b->ring.avail);
	uint32_t len = b->written + (uint32_t)b->engine->used_len_off;

	if (used->idx != b->idx)
		return wrong(b, "the used index is not the available one");
	for (unsigned int i = 0; i < PEER_BATCH; i++) {
		unsigned int at = (uint16_t)(b->idx - 1 - i) % b->ring.size;

		if (used->ring[at].id != avail->ring[at])
			return wrong(b, "another chain came back than was given");
		if (used->ring[at].len != len)
			return wrong(b, "a chain came back with a wrong length");
	}
	return 0;
}

/* Every chain once, each looked over. */
static int verify(struct bench *b)
{
	for (unsigned int i = 0; i < 2 * (unsigned int)b->ring.size / PEER_BATCH; i++) {
		uint64_t sum = 0, want = expected(b, b->idx);
		int err = turn(b, &sum);

		if (err)
			return wrong(b, "it did not take and give back a whole batch");
		if (sum != want)
			return wrong(b, "it resolved an address or a length to another one");
		err = look_over(b);
		if (err)
			return err;
	}
	return 0;
}

/* The thread's own time: what else the machine does is no part of it. */
static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Nanoseconds a chain, or negative. */
static double run(struct bench *b)
{
	uint64_t sum = 0;
	double from = now_ns(), ns;
	int err = 0;

	for (unsigned int i = 0; i < b->turns; i++)
		err |= turn(b, &sum);
	ns = now_ns() - from;
	if (err)
		return wrong(b, "it did not take and give back a whole batch");
	if (look_over(b))
		return -1;
	return ns / b->turns / PEER_BATCH;
}

/* ---- set-up ---- */

static int open_bench(struct bench *b, const struct peer_engine *engine, unsigned int chain)
{
	*b = (struct bench){.engine = engine, .chain = chain, .turns = 1};
	b->ring = (struct peer_ring){
		.bytes = RINGS + (size_t)chains_of(b) * AREA,
		.desc = 0,
		.avail = 4096,
		.used = 2 * 4096,
		.spare = 4 * 4096,
		.size = PEER_RING,
	};
	b->ring.fd = memfd_create("peers", MFD_CLOEXEC);
	if (b->ring.fd < 0 || ftruncate(b->ring.fd, (off_t)b->ring.bytes))
		return -errno;
	b->ring.memory = mmap(NULL, b->ring.bytes, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_POPULATE, b->ring.fd, 0);
	if (b->ring.memory == MAP_FAILED)
		return -errno;
	if (engine->memory(&b->ring))
		return -ENOMEM;
	lay_out(b);
	b->state = engine->open(&b->ring);
	return b->state ? verify(b) : -EIO;
}

/* As many turns as a run lasts. */
static int calibrate(struct bench *b)
{
	double ns = 0;

	b->turns = 16;
	for (unsigned int i = 0; i < 8 && ns >= 0; i++)
		ns = run(b);
	if (ns <= 0)
		return -EPROTO;
	b->turns = (unsigned int)(RUN_NS / ns / PEER_BATCH) + 1;
	return 0;
}

static int open_all(const struct command *cmd, struct bench *bench, unsigned int *n)
{
	static const unsigned int chain[] = {1, 3};

	*n = 0;
	for (char **object = cmd->objects; *object; object++) {
		void *handle = dlopen(*object, RTLD_NOW | RTLD_LOCAL);
		const struct peer_engine *e = handle ? dlsym(handle, "peer_engines") : NULL;

		if (!e) {
			fprintf(stderr, "vgrant-peers: %s is no engine: %s\n", *object, dlerror());
			return -ENOEXEC;
		}
		for (; e->name; e++) {
			if (cmd->only && !strstr(e->name, cmd->only))
				continue;
			for (unsigned int c = 0; c < 2; c++) {
				int err;

				if (chain[c] > e->max_chain || *n == MAX_BENCHES)
					continue;
				err = open_bench(&bench[*n], e, chain[c]);
				if (err)
					return err;
				++*n;
			}
		}
	}
	if (!*n)
		fprintf(stderr, "vgrant-peers: there is no such engine\n");
	return *n ? 0 : -ENOENT;
}

static int print_run(struct bench *b)
{
	double ns = run(b);

	if (ns < 0)
		return -EPROTO;
	printf("%u %u %.4f %s|%s\n", b->chain, (unsigned int)b->engine->work, ns, b->engine->name,
	       b->engine->checks);
	return 0;
}

int measure(const struct command *cmd)
{
	struct bench *bench = calloc(MAX_BENCHES, sizeof(*bench));
	unsigned int n = 0, runs = (cmd->runs + cmd->starts - 1) / cmd->starts;
	int err = bench ? open_all(cmd, bench, &n) : -ENOMEM;

	for (unsigned int i = 0; !err && i < n; i++) {
		uint64_t sum = 0;

		for (unsigned int t = 0; !err && t < cmd->turns; t++)
			err = turn(&bench[i], &sum);
		if (!err && !cmd->turns)
			err = calibrate(&bench[i]);
	}
	/* Each engine in turn; every other time from the back. */
	for (unsigned int r = 0; !err && !cmd->turns && r < runs; r++)
		for (unsigned int i = 0; !err && i < n; i++)
			err = print_run(&bench[r & 1 ? n - 1 - i : i]);
	for (unsigned int i = 0; bench && i < n; i++)
		bench[i].engine->close(bench[i].state);
	free(bench);
	return err;
}

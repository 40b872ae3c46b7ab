// SPDX-License-Identifier: MIT
/*
 * DPDK's vhost library: rte_vhost_dequeue_burst() and rte_vhost_enqueue_burst(). It takes its rings
 * from a front-end that speaks vhost-user over a socket; that is the second half of this file.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_vhost.h>

#include "peer.h"

#define RX 0 /* as the guest names its queues */
#define TX 1

struct state {
	char path[64];
	int socket, vid;
	struct rte_mbuf *mbuf[PEER_BATCH];
};

static struct rte_mempool *pool;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int new_vid = -1;

static int on_new(int vid)
{
	pthread_mutex_lock(&lock);
	new_vid = vid;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return 0;
}

static void on_destroy(int vid)
{
	(void)vid;
}

static const struct rte_vhost_device_ops ops = {.new_device = on_new, .destroy_device = on_destroy};

/* ---- the front-end ---- */

enum {
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
};

#define VERSION 1
#define NO_FD   256 /* in place of an event's descriptor: polled */

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t value;
		struct {
			uint32_t index, num;
		} ring;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t count, padding;
			uint64_t guest, bytes, user, offset;
		} memory;
	} payload;
} __attribute__((packed));

static int send_message(int to, uint32_t request, struct message *m, uint32_t size, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {m, 12 + (size_t)size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	m->request = request;
	m->flags = VERSION;
	m->size = size;
	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return sendmsg(to, &msg, MSG_NOSIGNAL) == (ssize_t)iov.iov_len ? 0 : -errno;
}

static int send_ring(int to, uint32_t index, const struct peer_ring *r, bool real)
{
	uintptr_t base = (uintptr_t)r->memory;
	struct message m = {.payload.ring = {index, real ? r->size : 2}};
	int err = send_message(to, SET_VRING_NUM, &m, 8, -1);

	m.payload.ring.num = 0;
	if (!err)
		err = send_message(to, SET_VRING_BASE, &m, 8, -1);
	m = (struct message){0};
	m.payload.addr.index = index;
	m.payload.addr.desc = base + (real ? r->desc : r->spare);
	m.payload.addr.avail = base + (real ? r->avail : r->spare + 1024);
	m.payload.addr.used = base + (real ? r->used : r->spare + 2048);
	if (!err)
		err = send_message(to, SET_VRING_ADDR, &m, 40, -1);
	m.payload.value = index | NO_FD;
	if (!err)
		err = send_message(to, SET_VRING_CALL, &m, 8, -1);
	m.payload.value = index | NO_FD;
	if (!err)
		err = send_message(to, SET_VRING_KICK, &m, 8, -1);
	return err;
}

static int connect_to(const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(name.sun_path, path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof(name))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The queue @index is the ring, the other one is empty. */
static int attach(struct state *s, const struct peer_ring *r, uint32_t index)
{
	struct message m = {.payload.value = UINT64_C(1) << 32}; /* VIRTIO_F_VERSION_1 */
	struct timespec until;
	int err;

	new_vid = -1;
	s->socket = connect_to(s->path);
	if (s->socket < 0)
		return -errno;
	err = send_message(s->socket, SET_OWNER, &(struct message){0}, 0, -1);
	if (!err)
		err = send_message(s->socket, SET_FEATURES, &m, 8, -1);
	m.payload.memory.count = 1;
	m.payload.memory.padding = 0;
	m.payload.memory.guest = r->base;
	m.payload.memory.bytes = r->bytes;
	m.payload.memory.user = (uintptr_t)r->memory;
	m.payload.memory.offset = 0;
	if (!err)
		err = send_message(s->socket, SET_MEM_TABLE, &m, 40, r->fd);
	if (!err)
		err = send_ring(s->socket, !index, r, false);
	if (!err)
		err = send_ring(s->socket, index, r, true);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&lock);
	while (!err && new_vid < 0)
		err = -pthread_cond_timedwait(&changed, &lock, &until);
	s->vid = new_vid;
	pthread_mutex_unlock(&lock);
	return err;
}

/* ---- the engines ---- */

static int start_eal(void)
{
	char cpu[16];
	char *argv[] = {
		"peers",       "--no-huge", "--no-pci",    "-m",          "256", "--no-telemetry",
		"--log-level", "3",         "--no-shconf", "--iova-mode", "va",  "-l",
		cpu,           NULL};
	int argc = (int)(sizeof(argv) / sizeof(*argv)) - 1;

	if (pool)
		return 0;
	snprintf(cpu, sizeof(cpu), "%d", sched_getcpu());
	if (rte_eal_init(argc, argv) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("peers", 1023, 128, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	return pool ? 0 : -1;
}

static int guest_memory(struct peer_ring *ring)
{
	ring->base = UINT64_C(1) << 32;
	return 0;
}

static void close_engine(void *opaque)
{
	struct state *s = opaque;

	for (unsigned int i = 0; i < PEER_BATCH; i++)
		rte_pktmbuf_free(s->mbuf[i]);
	if (s->socket >= 0)
		close(s->socket);
	rte_vhost_driver_unregister(s->path);
	free(s);
}

static int fill(struct state *s)
{
	for (unsigned int i = 0; i < PEER_BATCH; i++) {
		char *data;

		s->mbuf[i] = rte_pktmbuf_alloc(pool);
		data = s->mbuf[i] ? rte_pktmbuf_append(s->mbuf[i], PEER_PAYLOAD) : NULL;
		if (!data)
			return -ENOMEM;
		memset(data, 'x', PEER_PAYLOAD);
	}
	return 0;
}

static void *open_queue(const struct peer_ring *ring, uint32_t index)
{
	struct state *s = calloc(1, sizeof(*s));
	static unsigned int sockets;
	int err;

	if (!s)
		return NULL;
	s->socket = -1;
	snprintf(s->path, sizeof(s->path), "/tmp/vgrant-peers.%d.%u", (int)getpid(), sockets++);
	unlink(s->path);
	err = start_eal();
	if (!err)
		err = rte_vhost_driver_register(s->path, 0);
	if (!err)
		err = rte_vhost_driver_callback_register(s->path, &ops);
	if (!err)
		err = rte_vhost_driver_start(s->path);
	if (!err)
		err = attach(s, ring, index);
	if (!err && index == RX)
		err = fill(s);
	unlink(s->path);
	if (!err)
		return s;
	fprintf(stderr, "DPDK: cannot be set up: error %d\n", err);
	close_engine(s);
	return NULL;
}

static void *open_dequeue(const struct peer_ring *ring)
{
	return open_queue(ring, TX);
}

static void *open_enqueue(const struct peer_ring *ring)
{
	return open_queue(ring, RX);
}

static int dequeue(void *opaque, uint64_t *sum)
{
	struct rte_mbuf *mbuf[PEER_BATCH];
	struct state *s = opaque;
	uint16_t n = rte_vhost_dequeue_burst(s->vid, TX, pool, mbuf, PEER_BATCH);

	for (uint16_t i = 0; i < n; i++)
		*sum += rte_pktmbuf_pkt_len(mbuf[i]);
	rte_pktmbuf_free_bulk(mbuf, n);
	return n;
}

static int enqueue(void *opaque, uint64_t *sum)
{
	struct state *s = opaque;
	uint16_t n = rte_vhost_enqueue_burst(s->vid, RX, s->mbuf, PEER_BATCH);

	*sum += (uint64_t)n * PEER_PAYLOAD;
	return n;
}

const struct peer_engine peer_engines[] = {
	{
		.name = "DPDK vhost, dequeue",
		.checks = "range of the address",
		.work = PEER_COPY_OUT,
		.max_chain = PEER_RING,
		.memory = guest_memory,
		.open = open_dequeue,
		.serve = dequeue,
		.close = close_engine,
	},
	{
		.name = "DPDK vhost, enqueue",
		.checks = "range of the address",
		.work = PEER_COPY_IN,
		.max_chain = PEER_RING,
		.memory = guest_memory,
		.open = open_enqueue,
		.serve = enqueue,
		.close = close_engine,
	},
	{.name = NULL},
};

// SPDX-License-Identifier: MIT
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int sim_fail(int err)
{
	errno = err;
	return -1;
}

void sim_sleep_ms(unsigned int ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

void sim_trap(int fd, unsigned long cmd)
{
	int saved = errno;

	ioctl(fd, cmd, NULL); /* a socket knows none of these: ENOTTY */
	errno = saved;
}

bool sim_client_ours(const struct sim_client *c)
{
	return c->pid == getpid();
}

static void take_fds(struct msghdr *msg, int *fds, unsigned int nfds)
{
	unsigned int k = 0;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		size_t n = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(fd), sizeof(fd));
			if (k < nfds)
				fds[k++] = fd;
			else
				close(fd);
		}
	}
}

static int exchange(struct sim_client *c, struct sim_msg *m, const uint32_t *out, uint32_t *in,
		    uint32_t in_max, int *fds, unsigned int nfds)
{
	union {
		char buf[CMSG_SPACE(SIM_MSG_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov[2] = {{m, sizeof(*m)}, {NULL, m->n * sizeof(*out)}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	memcpy(&iov[1].iov_base, &out, sizeof(out)); /* sendmsg only reads it */
	do {
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -EIO;
	iov[1] = (struct iovec){in, in_max * sizeof(*in)};
	msg.msg_control = control.buf;
	msg.msg_controllen = sizeof(control);
	do {
		n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < (ssize_t)sizeof(*m))
		return -EIO;
	take_fds(&msg, fds, nfds);
	return m->op;
}

int sim_rpc(struct sim_client *c, struct sim_msg *m, const uint32_t *out, uint32_t *in,
	    uint32_t in_max, int *fds, unsigned int nfds)
{
	int ret;

	for (unsigned int i = 0; i < nfds; i++)
		fds[i] = -1;
	pthread_mutex_lock(&c->lock);
	ret = exchange(c, m, out, in, in_max, fds, nfds);
	pthread_mutex_unlock(&c->lock);
	return ret;
}

static int hub_connect(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const char *dir = getenv(SIM_ENV);
	int fd, n;

	if (!dir) {
		fprintf(stderr, "xensim: %s is not set: start this through xensim-run\n", SIM_ENV);
		return -ENOENT;
	}
	n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/hub", dir);
	if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		n = -errno;
		close(fd);
		return n;
	}
	return fd;
}

static int client_start(struct sim_client *c, struct sim_msg *m, int *fds)
{
	const char *rules = getenv(SIM_ENV_FAULT);
	int got[SIM_MSG_FDS];
	char why[160];
	int ret;

	memset(c, 0, sizeof(*c));
	c->pid = getpid();
	fds[0] = fds[1] = -1;
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++)
		c->ram[i].fd = -1;
	if (rules && sim_fault_parse(&c->env_faults, rules, why, sizeof(why)))
		fprintf(stderr, "xensim: %s: %s\n", SIM_ENV_FAULT, why);
	pthread_mutex_init(&c->lock, NULL);
	c->fd = hub_connect();
	if (c->fd < 0)
		return c->fd;
	ret = sim_rpc(c, m, NULL, NULL, 0, got, SIM_MSG_FDS);
	if (!ret && got[0] < 0)
		ret = -EIO;
	if (!ret) {
		c->handle = m->arg[0];
		c->dom = m->arg[1];
		c->domid = m->arg[2];
		c->priv = m->arg[3];
		fds[0] = got[1];
		fds[1] = got[2];
		c->arena = mmap(NULL, sizeof(*c->arena), PROT_READ | PROT_WRITE, MAP_SHARED, got[0],
				0);
		if (c->arena == MAP_FAILED) {
			c->arena = NULL;
			ret = -errno;
		}
	}
	if (got[0] >= 0)
		close(got[0]);
	if (ret) {
		if (got[1] >= 0)
			close(got[1]);
		if (got[2] >= 0)
			close(got[2]);
		close(c->fd);
		pthread_mutex_destroy(&c->lock);
	}
	return ret;
}

int sim_client_open(struct sim_client *c, enum sim_handle_type type, int *fds)
{
	struct sim_msg m = {.op = SIM_OP_HELLO, .arg = {type}};

	return client_start(c, &m, fds);
}

int sim_client_adopt(struct sim_client *c, uint64_t pipe_ino, int *fds)
{
	struct sim_msg m = {.op = SIM_OP_ADOPT,
			    .arg = {(uint32_t)pipe_ino, (uint32_t)(pipe_ino >> 32)}};

	return client_start(c, &m, fds);
}

static void ram_drop(struct sim_ram *r)
{
	if (r->base)
		munmap(r->base, r->size);
	if (r->fd >= 0)
		close(r->fd);
	*r = (struct sim_ram){.fd = -1};
}

void sim_client_close(struct sim_client *c)
{
	struct sim_msg m = {.op = SIM_OP_CLOSE};

	/* Wait for the hub to have unwound, as close() of the real device does. */
	if (sim_client_ours(c))
		sim_rpc(c, &m, NULL, NULL, 0, NULL, 0);
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++)
		ram_drop(&c->ram[i]);
	munmap(c->arena, sizeof(*c->arena));
	close(c->fd);
	pthread_mutex_destroy(&c->lock);
}

static int ram_fetch(struct sim_client *c, unsigned int dom, struct sim_ram *r)
{
	struct sim_domain *d = &c->arena->dom[dom];
	struct sim_msg m = {.op = SIM_OP_RAM, .arg = {atomic_load(&d->domid_state) >> 8}};
	void *base;
	int fd = -1;
	int ret = exchange(c, &m, NULL, NULL, 0, &fd, 1);

	ram_drop(r);
	if (ret || m.arg[0] != dom || fd < 0) {
		if (fd >= 0)
			close(fd);
		return ret ? ret : -ESRCH;
	}
	r->fd = fd;
	r->size = (size_t)atomic_load(&d->nr_frames) << SIM_PAGE_SHIFT;
	base = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		ret = -errno;
		ram_drop(r);
		return ret;
	}
	r->base = base;
	r->uid = m.arg[1];
	return 0;
}

struct sim_ram *sim_client_ram(struct sim_client *c, unsigned int dom)
{
	struct sim_ram *r = &c->ram[dom];
	bool ok = true;

	pthread_mutex_lock(&c->lock);
	if (!r->uid || r->uid != atomic_load(&c->arena->dom[dom].uid))
		ok = !ram_fetch(c, dom, r);
	pthread_mutex_unlock(&c->lock);
	return ok ? r : NULL;
}

/* Take over rules that xensimctl has set for the domain since the last look. */
static void faults_refresh(struct sim_client *c)
{
	struct sim_domain *d = sim_self(c);
	uint32_t seq = atomic_load(&d->fault_seq);
	char text[SIM_FAULT_TEXT];
	char why[160];

	if (seq == c->fault_seq || (seq & 1))
		return;
	memcpy(text, d->fault_text, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	if (atomic_load(&d->fault_seq) != seq)
		return;
	c->fault_seq = seq;
	sim_fault_parse(&c->hub_faults, text, why, sizeof(why));
}

static struct sim_fault_rule fault_find(struct sim_client *c, const char *site, bool segment)
{
	const struct sim_fault_rule *hit;
	struct sim_fault_rule rule = {0};

	if (!c->env_faults.n && !c->hub_faults.n &&
	    atomic_load_explicit(&sim_self(c)->fault_seq, memory_order_relaxed) == c->fault_seq)
		return rule;
	pthread_mutex_lock(&c->lock);
	faults_refresh(c);
	hit = sim_fault_hit(&c->env_faults, site, segment);
	if (!hit)
		hit = sim_fault_hit(&c->hub_faults, site, segment);
	if (hit)
		rule = *hit;
	pthread_mutex_unlock(&c->lock);
	return rule;
}

int sim_fault_call(struct sim_client *c, const char *site, struct sim_fault_rule *rule)
{
	struct sim_fault_rule r = fault_find(c, site, false);

	if (r.late_ms)
		sim_sleep_ms(r.late_ms);
	if (rule)
		*rule = r;
	return r.err;
}

int sim_fault_segment(struct sim_client *c, const char *site)
{
	return fault_find(c, site, true).status;
}

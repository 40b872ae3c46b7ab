// SPDX-License-Identifier: MIT
/* xensim: owns the simulated domains. It simulates and does not protect. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "hub.h"
#include "store.h"

#define TICK_MS 20 /* between two looks at zombies and pages not yet let go */

void *hub_alloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p) {
		/* Everything a client can ask for is bounded, so this is the machine's fault. */
		fprintf(stderr, "xensim: out of memory\n");
		exit(1);
	}
	return p;
}

uint64_t hub_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int hub_watch(struct hub *h, struct source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	if (!epoll_ctl(h->epfd, EPOLL_CTL_MOD, s->fd, &ev))
		return 0;
	return epoll_ctl(h->epfd, EPOLL_CTL_ADD, s->fd, &ev) ? -errno : 0;
}

void hub_unwatch(struct source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

int hub_listen(struct hub *h, struct source *s, const char *path, int type)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int ret;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	unlink(path);
	s->fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return -errno;
	if (bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(s->fd, 64))
		ret = -errno;
	else
		ret = hub_watch(h, s, EPOLLIN);
	if (ret)
		hub_unwatch(s);
	return ret;
}

static void on_signal(struct hub *h, struct source *s, uint32_t events)
{
	(void)s;
	(void)events;
	h->stop = true;
}

static int arena_create(struct hub *h)
{
	h->arena_fd = memfd_create("xensim-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (h->arena_fd < 0 || ftruncate(h->arena_fd, sizeof(struct sim_arena)) ||
	    fcntl(h->arena_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
		return -errno;
	h->arena = mmap(NULL, sizeof(struct sim_arena), PROT_READ | PROT_WRITE, MAP_SHARED,
			h->arena_fd, 0);
	return h->arena == MAP_FAILED ? -errno : 0;
}

static int signals_create(struct hub *h)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	h->sig.ready = on_signal;
	h->sig.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return h->sig.fd < 0 ? -errno : hub_watch(h, &h->sig, EPOLLIN);
}

static bool already_runs(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	bool yes = false;
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path))
		return false;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		yes = !connect(fd, (struct sockaddr *)&sa, sizeof(sa));
		close(fd);
	}
	return yes;
}

static int hub_start(struct hub *h, char **domains, int n)
{
	struct domain_config cfg;
	struct rlimit files;
	char why[160] = "";
	char path[4096];
	int ret;

	snprintf(path, sizeof(path), "%s/ctl", h->dir);
	if (mkdir(h->dir, 0700) && errno != EEXIST) {
		fprintf(stderr, "xensim: cannot make %s: %s\n", h->dir, strerror(errno));
		return -errno;
	}
	if (already_runs(path)) {
		fprintf(stderr, "xensim: another xensim serves %s; stop it first\n", h->dir);
		return -EBUSY;
	}
	/* As many descriptors as may be had: handles and their pipes take three each. */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	h->epfd = epoll_create1(EPOLL_CLOEXEC);
	ret = h->epfd < 0 ? -errno : arena_create(h);
	if (!ret)
		ret = signals_create(h);
	if (ret) {
		fprintf(stderr, "xensim: cannot start: %s\n", strerror(-ret));
		return ret;
	}
	h->store = store_create(h);
	domain_config_init(&cfg);
	cfg.priv = true;
	snprintf(cfg.name, sizeof(cfg.name), "Domain-0");
	ret = domain_create(h, &cfg, why, sizeof(why));
	for (int i = 0; !ret && i < n; i++) {
		domain_config_init(&cfg);
		cfg.domid = h->next_domid;
		ret = domain_config_parse(&cfg, domains[i], why, sizeof(why));
		if (!ret)
			ret = domain_create(h, &cfg, why, sizeof(why));
	}
	if (ret) {
		fprintf(stderr, "xensim: %s\n", why[0] ? why : strerror(-ret));
		return ret;
	}
	h->ctl_listen.ready = ctl_accept;
	ret = hub_listen(h, &h->ctl_listen, path, SOCK_SEQPACKET);
	if (ret)
		fprintf(stderr, "xensim: cannot listen on %s: %s\n", path, strerror(-ret));
	return ret;
}

static void hub_run(struct hub *h)
{
	uint64_t due = 0;

	while (!h->stop) {
		struct epoll_event ev;
		int n = epoll_wait(h->epfd, &ev, 1, h->work ? TICK_MS : -1);

		/* One event at a time: a handler may free other sources. */
		if (n == 1) {
			struct source *s = ev.data.ptr;

			s->ready(h, s, ev.events);
		} else if (n < 0 && errno != EINTR) {
			fprintf(stderr, "xensim: epoll_wait: %s\n", strerror(errno));
			return;
		}
		if (h->work && hub_now_ms() >= due) {
			bool more = share_tick(h);

			more |= unwind_tick(h);
			more |= handle_tick(h);
			h->work = domain_tick(h) || more;
			due = hub_now_ms() + TICK_MS;
		}
	}
}

static void hub_stop(struct hub *h)
{
	char path[4096];

	if (h->store) {
		domain_free_all(h);
		store_destroy(h->store);
	}
	hub_unwatch(&h->sig);
	if (h->ctl_listen.fd >= 0) {
		hub_unwatch(&h->ctl_listen);
		snprintf(path, sizeof(path), "%s/ctl", h->dir);
		unlink(path);
	}
	if (h->arena && h->arena != MAP_FAILED)
		munmap(h->arena, sizeof(*h->arena));
	if (h->arena_fd >= 0)
		close(h->arena_fd);
	if (h->epfd >= 0)
		close(h->epfd);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"dir", required_argument, NULL, 'd'},
		{"domain", required_argument, NULL, 'D'},
		{"nodes", required_argument, NULL, 'n'},
		{"watches", required_argument, NULL, 'w'},
		{NULL, 0, NULL, 0},
	};
	static struct hub h;
	char *domains[SIM_MAX_DOMS];
	int n = 0, c, ret;

	h.max_nodes = STORE_MAX_NODES;
	h.max_watches = STORE_MAX_WATCHES;
	h.epfd = h.arena_fd = h.sig.fd = h.ctl_listen.fd = -1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'd') {
			h.dir = optarg;
		} else if (c == 'D' && n < (int)SIM_MAX_DOMS) {
			domains[n++] = optarg;
		} else if (c == 'n' && atoi(optarg) > 0) {
			h.max_nodes = (uint32_t)atoi(optarg);
		} else if (c == 'w' && atoi(optarg) > 0) {
			h.max_watches = (uint32_t)atoi(optarg);
		} else {
			h.dir = NULL;
			break;
		}
	}
	if (!h.dir || optind != argc) {
		fprintf(stderr, "usage: xensim --dir DIR [--nodes N] [--watches N] [--domain "
				"ID[,name=NAME][,mem=MiB][,priv]"
				"[,grants=N][,maptrack=N][,ports=N]]...\n");
		return 2;
	}
	ret = hub_start(&h, domains, n);
	if (!ret) {
		printf("xensim: ready\n");
		fflush(stdout);
		hub_run(&h);
	}
	hub_stop(&h);
	return ret ? 1 : 0;
}

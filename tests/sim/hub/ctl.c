// SPDX-License-Identifier: MIT
/* The control socket: one request, one reply, both text. See tests/sim/README.md. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hub.h"
#include "store.h"

#define REPLY_MAX 131072u

struct text {
	char buf[REPLY_MAX];
	size_t len;
};

static struct text out; /* one thread, one reply at a time */

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out.buf + out.len, sizeof(out.buf) - out.len, fmt, ap);
	va_end(ap);
	if (n > 0)
		out.len += (size_t)n;
	if (out.len >= sizeof(out.buf))
		out.len = sizeof(out.buf) - 1;
}

static int cmd_create(struct hub *h, char *arg)
{
	struct domain_config cfg;
	char why[160] = "";
	int ret;

	domain_config_init(&cfg);
	cfg.domid = h->next_domid;
	ret = domain_config_parse(&cfg, arg, why, sizeof(why));
	if (!ret)
		ret = domain_create(h, &cfg, why, sizeof(why));
	if (ret)
		say("%s\n", why);
	else
		say("%u\n", cfg.domid);
	return ret;
}

static struct domain *arg_domain(struct hub *h, const char *arg)
{
	char *end;
	unsigned long id = strtoul(arg, &end, 10);
	struct domain *d = end != arg && id <= UINT16_MAX ? domain_find(h, (uint32_t)id) : NULL;

	if (!d)
		say("there is no domain \"%.40s\"; see xensimctl DIR list\n", arg);
	return d;
}

static int cmd_destroy(struct hub *h, char *arg)
{
	struct domain *d = arg_domain(h, arg);
	int ret;

	if (!d)
		return -ESRCH;
	ret = domain_destroy(h, d->cfg.domid);
	if (ret)
		say("domain %u cannot be destroyed: %s\n", d->cfg.domid,
		    ret == -ESRCH ? "it is dying already" : strerror(-ret));
	return ret;
}

static int cmd_list(struct hub *h, char *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		struct domain *d = h->dom[i];

		if (d)
			say("%u %s %s\n", d->cfg.domid, d->dying ? "(null)" : d->cfg.name,
			    d->dying ? "zombie" : "running");
	}
	return 0;
}

/* fault DOMID RULES: for its libraries through shared memory, for its xenstore here. */
static int cmd_fault(struct hub *h, char *arg)
{
	struct domain *d = arg_domain(h, arg);
	struct sim_fault_set set;
	char why[160];
	const char *rules;
	int ret;

	if (!d)
		return -ESRCH;
	rules = arg + strcspn(arg, " \n");
	rules += strspn(rules, " \n");
	if (!strcmp(rules, "clear"))
		rules = "";
	if (strlen(rules) >= SIM_FAULT_TEXT) {
		say("fault rules may have at most %u characters\n", SIM_FAULT_TEXT - 1);
		return -E2BIG;
	}
	ret = sim_fault_parse(&set, rules, why, sizeof(why));
	if (ret) {
		say("%s\n", why);
		return ret;
	}
	d->store_faults = set;
	atomic_fetch_add(&d->shared->fault_seq, 1);
	memcpy(d->shared->fault_text, rules, strlen(rules) + 1);
	atomic_fetch_add(&d->shared->fault_seq, 1);
	return 0;
}

static void dump_domain(struct hub *h, struct domain *d)
{
	unsigned int grants = 0, in_use = 0, deferred = 0, track = 0, ports = 0, handles = 0;

	for (uint32_t i = 0; i < d->cfg.nr_refs; i++) {
		uint64_t w = atomic_load(&d->shared->grant[i]);

		grants += (SIM_GRANT_FLAGS(w) & 3) != 0;
		in_use += SIM_GRANT_READERS(w) || SIM_GRANT_WRITERS(w);
		deferred += d->ref[i].state == REF_DEFERRED;
	}
	for (uint32_t i = 0; i < d->cfg.nr_track; i++)
		track += SIM_SLOT_STATE(atomic_load(&d->shared->slot[i])) != SIM_SLOT_FREE;
	for (uint32_t i = 1; i <= d->cfg.nr_ports; i++)
		ports += SIM_PORT_KIND(atomic_load(&d->shared->port[i].state)) != SIM_PORT_FREE;
	for (uint32_t i = 0; i < SIM_MAX_HANDLES; i++)
		handles += h->handle[i] && h->handle[i]->dom == d;
	say("domain=%u name=%s state=%s priv=%d grants=%u in_use=%u deferred=%u maptrack=%u "
	    "ports=%u handles=%u watches=%u transactions=%u nodes=%u isa_high=%u servers=%u\n",
	    d->cfg.domid, d->cfg.name, d->dying ? "zombie" : "running", d->cfg.priv, grants, in_use,
	    deferred, track, ports, handles, store_watches(h->store, d->cfg.domid),
	    store_transactions(h->store, d->cfg.domid), store_nodes(h->store, d->cfg.domid),
	    ioreq_isa_high(d), ioreq_servers(d));
}

static int cmd_dump(struct hub *h, char *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		if (h->dom[i])
			dump_domain(h, h->dom[i]);
	}
	return 0;
}

static int cmd_stats(struct hub *h, char *arg)
{
	static const char *const names[SIM_STAT_COUNT] = {
		[SIM_STAT_MAP] = "map",
		[SIM_STAT_MAP_PAGES] = "map_pages",
		[SIM_STAT_UNMAP] = "unmap",
		[SIM_STAT_COPY] = "copy",
		[SIM_STAT_COPY_SEGS] = "copy_segments",
		[SIM_STAT_COPY_OPS] = "copy_ops",
		[SIM_STAT_COPY_HYPERCALLS] = "copy_hypercalls",
		[SIM_STAT_NOTIFY] = "notify",
		[SIM_STAT_PENDING] = "pending",
		[SIM_STAT_UNMASK] = "unmask",
	};

	(void)arg;
	for (unsigned int i = 0; i < SIM_MAX_DOMS; i++) {
		struct domain *d = h->dom[i];

		if (!d)
			continue;
		say("domain=%u", d->cfg.domid);
		for (int k = 0; k < SIM_STAT_COUNT; k++)
			say(" %s=%llu", names[k],
			    (unsigned long long)atomic_load(&d->shared->stat[k]));
		say("\n");
	}
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct hub *h, char *arg);
} commands[] = {
	{"create", cmd_create}, {"destroy", cmd_destroy}, {"list", cmd_list},
	{"fault", cmd_fault},   {"dump", cmd_dump},       {"stats", cmd_stats},
};

static void ctl_run(struct hub *h, char *line)
{
	size_t l = strcspn(line, " ");
	char *arg = line + l + (line[l] == ' ');
	int ret = -EINVAL;
	bool known = false;

	out.len = 0;
	say("? ");
	line[l] = '\0';
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(line, commands[i].name) != 0)
			continue;
		known = true;
		ret = commands[i].run(h, arg);
	}
	if (!known)
		say("unknown command \"%.40s\"\n", line);
	out.buf[0] = ret ? '-' : '+';
}

static void ctl_ready(struct hub *h, struct source *s, uint32_t events)
{
	char line[4096];
	ssize_t n = recv(s->fd, line, sizeof(line) - 1, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		line[n] = '\0';
		ctl_run(h, line);
		n = send(s->fd, out.buf, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	if (n <= 0) {
		hub_unwatch(s);
		free(s);
	}
}

void ctl_accept(struct hub *h, struct source *s, uint32_t events)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct source *c;

	(void)events;
	if (fd < 0)
		return;
	c = hub_alloc(sizeof(*c));
	c->ready = ctl_ready;
	c->fd = fd;
	if (hub_watch(h, c, EPOLLIN)) {
		hub_unwatch(c);
		free(c);
	}
}

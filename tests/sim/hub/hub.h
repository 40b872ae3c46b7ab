/* SPDX-License-Identifier: MIT */
/* xensim's own state. One thread, one epoll loop, nothing that blocks. */
#ifndef SIM_HUB_H
#define SIM_HUB_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../common/arena.h"
#include "../common/fault.h"
#include "../common/grant.h"
#include "../common/port.h"
#include "../common/proto.h"

struct hub;
struct domain;
struct ioreq_state;
struct store;

/* Something that epoll reports on. */
struct source {
	void (*ready)(struct hub *h, struct source *s, uint32_t events);
	int fd;
};

enum ref_state { REF_FREE, REF_OWNED, REF_DEFERRED };

#define NO_FRAME 0xffffffffu

struct ref {
	uint8_t state;  /* enum ref_state */
	uint16_t owner; /* handle that holds it */
	uint32_t frame; /* the page that came with it, or NO_FRAME */
};

struct port_info {
	uint16_t remote_domid; /* who may bind an unbound port */
	uint16_t peer_dom;     /* arena index and port of an interdomain port's peer */
	uint16_t peer_port;
	bool closing; /* its handle has gone, but an unmap notification still needs it */
};

struct domain_config {
	uint32_t domid;
	char name[64];
	uint32_t mem_mib, nr_refs, nr_track, nr_ports, nr_vcpus;
	bool priv;
};

struct domain {
	struct domain_config cfg;
	unsigned int index; /* in the arena */
	struct sim_domain *shared;
	bool dying;
	int ram_fd;
	uint32_t nr_frames;
	uint8_t *frame_used;
	struct ref *ref;
	uint32_t ref_cursor; /* where scattered references go on */
	struct port_info port[SIM_MAX_PORTS];
	struct source hub_listen, store_listen;
	struct sim_fault_set store_faults;
	struct ioreq_state *ioreq; /* device models; NULL: none yet */
};

/* An action at the unmapping of a page, see xengnttab_map_grant_ref_notify. */
struct notify {
	struct notify *next;
	bool on_ref;
	uint32_t key; /* reference or slot */
	uint32_t offset, port;
};

struct handle {
	struct source src;
	uint32_t id; /* index in hub.handle and in the arena's words */
	enum sim_handle_type type;
	struct domain *dom;
	bool hello, dead;
	int pipe_rd, pipe_wr; /* evtchn */
	uint64_t pipe_ino;
	int restrict_domid; /* -1: none */
	struct notify *notify;
};

struct deferred {
	struct deferred *next;
	unsigned int dom;
	uint32_t slot;
	uint64_t due_ms;
};

struct hub {
	const char *dir;
	int epfd, arena_fd;
	struct sim_arena *arena;
	struct domain *dom[SIM_MAX_DOMS];
	struct handle *handle[SIM_MAX_HANDLES];
	struct deferred *deferred;
	struct store *store;
	struct source ctl_listen, sig;
	uint32_t next_domid, next_uid;
	uint32_t max_nodes, max_watches; /* in the store, of an unprivileged domain */
	bool work; /* something is dead or deferred and must be looked at again */
	bool stop;
};

/* main.c */
int hub_watch(struct hub *h, struct source *s, uint32_t events);
int hub_listen(struct hub *h, struct source *s, const char *path, int type);
void hub_unwatch(struct source *s);
uint64_t hub_now_ms(void);
void *hub_alloc(size_t n);

/* domain.c */
int domain_create(struct hub *h, const struct domain_config *cfg, char *why, size_t why_len);
int domain_destroy(struct hub *h, uint32_t domid);
struct domain *domain_find(struct hub *h, uint32_t domid);
void domain_config_init(struct domain_config *cfg);
int domain_config_parse(struct domain_config *cfg, const char *text, char *why, size_t why_len);
bool domain_tick(struct hub *h); /* zombies; true while there is more to wait for */
void domain_free_all(struct hub *h);

/* handle.c */
void handle_accept(struct hub *h, struct source *s, uint32_t events);
void handle_close(struct hub *h, struct handle *hd);
void handle_close_domain(struct hub *h, struct domain *d);
bool handle_tick(struct hub *h);

/* share.c */
int share_pages(struct hub *h, struct handle *hd, uint32_t domid, uint32_t count, uint32_t flags,
		uint32_t *refs);
int share_end(struct hub *h, struct handle *hd, const uint32_t *refs, uint32_t n);
void share_close(struct hub *h, struct handle *hd);
bool share_tick(struct hub *h);
int notify_set(struct hub *h, struct handle *hd, const uint32_t *arg);
void notify_fire(struct hub *h, struct handle *hd, bool on_ref, uint32_t key);

/* unwind.c: give back the pins of handles that are gone */
bool unwind_handle(struct hub *h, struct handle *hd); /* true when nothing is left */
int unwind_defer(struct hub *h, struct handle *hd, uint32_t ms, const uint32_t *slots, uint32_t n);
bool unwind_tick(struct hub *h);

/* evtchn.c */
int evtchn_bind_unbound(struct hub *h, struct handle *hd, uint32_t domid);
int evtchn_bind_interdomain(struct hub *h, struct handle *hd, uint32_t domid, uint32_t port);
int evtchn_unbind(struct hub *h, struct handle *hd, uint32_t port);
int evtchn_restrict(struct handle *hd, uint32_t domid);
void evtchn_send(struct hub *h, struct domain *d, uint32_t port);
void evtchn_close(struct hub *h, struct handle *hd);
void evtchn_put(struct hub *h, struct domain *d, uint32_t port); /* after its notification */
int evtchn_open_pipe(struct handle *hd);
/* Ports that are the hypervisor's: nobody in the domain is told of an event. */
int evtchn_alloc_xen(struct domain *d, uint32_t remote_domid);
void evtchn_free_xen(struct hub *h, struct domain *d, uint32_t port);

/* ioreq.c: device models */
int ioreq_op(struct hub *h, struct handle *hd, const struct sim_msg *m, uint32_t *reply, int *fd);
int ioreq_access(struct hub *h, struct handle *hd, const uint32_t *w, uint32_t n, uint32_t *reply,
		 int *fd);
int ioreq_irq(struct handle *hd, uint32_t irq, int *fd);
uint32_t ioreq_isa_high(const struct domain *d); /* the ISA lines that are high, by bit */
/* IOREQ servers that domain @d has. */
unsigned int ioreq_servers(const struct domain *d);
void ioreq_close_domain(struct hub *h, struct domain *d);

/* ctl.c */
void ctl_accept(struct hub *h, struct source *s, uint32_t events);

#endif

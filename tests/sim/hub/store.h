/* SPDX-License-Identifier: MIT */
/*
 * The simulated xenstored: a tree, permissions, watches and transactions behind the
 * wire protocol of xen/io/xs_wire.h. It answers as the C xenstored of Xen 4.17 does.
 */
#ifndef SIM_STORE_H
#define SIM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/io/xs_wire.h>

#include "hub.h"

/* These hold for unprivileged domains; the first two unless xensim's options say otherwise. */
#define STORE_MAX_WATCHES 128u
#define STORE_MAX_NODES   1000u
#define STORE_MAX_NODE    2048u
#define STORE_MAX_PERMS   5u
#define STORE_MAX_TX      10u
#define STORE_MAX_TX_SEEN 1024u
#define STORE_OUT_PAUSE   (64u << 10) /* no more requests are read while this much waits */
#define STORE_OUT_MAX     (1u << 20)  /* a client that lets this much lie is cut off */
#define STORE_MAX_CONNS   128u        /* for each domain; on Xen a domain has one */
#define STORE_PATH_LEN    (XENSTORE_ABS_PATH_MAX + 1)

#define PERM_READ  1u
#define PERM_WRITE 2u
#define PERM_OWNER 4u

struct perm {
	uint16_t domid;
	uint8_t bits; /* PERM_READ | PERM_WRITE */
};

struct perms {
	unsigned int n;
	struct perm *p; /* p[0] is the owner, and what all others may do */
};

struct node {
	unsigned int refs; /* trees share nodes: one with several is copied before a change */
	uint64_t gen;      /* changes with data, permissions and the list of children */
	char *name;
	uint8_t *data;
	size_t len;
	struct perms perms;
	struct node **child;
	unsigned int nchild;
};

/* tree.c: none of these checks a permission */
struct node *node_new(const char *name, const struct perms *perms);
struct node *node_get(struct node *n);
void node_put(struct node *n);
struct node *tree_find(struct node *root, const char *path);
struct node *tree_own(struct node **root, const char *path); /* for changing; NULL: none */
struct node *tree_add(struct node **root, const char *path, const struct perms *perms);
void tree_remove(struct node **root, const char *path);
void node_set_data(struct node *n, const void *data, size_t len);
void node_set_perms(struct node *n, const struct perms *perms);
struct perms perms_copy(const struct perms *perms);
void perms_free(struct perms *perms);
bool path_parent(const char *path, char *parent); /* false: path is "/" */
bool path_is_child(const char *path, const char *of);
uint64_t tree_generation(void);

/* Whom a change concerns: nobody, watches on just this path, or those on paths above it too. */
enum fire { FIRE_NONE, FIRE_EXACT, FIRE_BELOW };

/* What a transaction has seen or changed. */
struct seen {
	char *path;
	uint64_t gen; /* when the transaction began; 0: not there */
	bool modified;
	enum fire fire;
	struct perms old; /* of a node that it removed or whose permissions it changed */
};

struct tx {
	struct tx *next;
	uint32_t id;
	struct node *base, *root;
	struct seen *seen;
	unsigned int nseen, created;
	bool failed; /* it saw more than it may: it cannot be committed */
};

struct watch {
	struct watch *next;
	char *path, *token;
	size_t relative; /* bytes that the client did not say */
};

struct buffer {
	uint8_t *p;
	size_t len, cap, done;
};

struct sconn {
	struct source src;
	struct sconn *next;
	struct store *store;
	struct domain *dom;
	uint16_t domid;
	bool priv, closing;
	uint32_t interest; /* epoll events asked for */
	uint8_t in[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX + 1];
	size_t in_len;
	struct buffer out;
	struct watch *watch;
	struct tx *tx;
	uint32_t next_tx;
};

struct store {
	struct hub *hub;
	struct node *root;
	struct perms introduce, release; /* of the two special watches */
	struct sconn *conn;
};

struct store *store_create(struct hub *h);
void store_destroy(struct store *st);
void store_accept(struct hub *h, struct source *s, uint32_t events);
void store_close_domain(struct store *st, uint32_t domid);
void store_domain_created(struct store *st, uint32_t domid, const char *name, uint32_t mem_mib);
void store_domain_destroyed(struct store *st, uint32_t domid);
unsigned int store_watches(struct store *st, uint32_t domid);
unsigned int store_nodes(struct store *st, uint32_t domid);
unsigned int store_transactions(struct store *st, uint32_t domid);

/* store_request.c */
void store_request(struct sconn *c, const struct xsd_sockmsg *m, char *body);

/* store_tx.c: changes, in a transaction or not; `tx` may be NULL */
unsigned int perms_for(const struct sconn *c, const struct perms *perms);
struct node *store_lookup(struct sconn *c, struct tx *tx, const char *path, unsigned int need,
			  int *err);
int store_write(struct sconn *c, struct tx *tx, const char *path, const void *data, size_t len);
int store_mkdir(struct sconn *c, struct tx *tx, const char *path);
int store_rm(struct sconn *c, struct tx *tx, const char *path);
int store_set_perms(struct sconn *c, struct tx *tx, const char *path, const struct perms *perms);
struct tx *tx_start(struct sconn *c);
int tx_end(struct sconn *c, struct tx *tx, bool commit);
void tx_free_all(struct sconn *c);
void store_rm_as_hub(struct store *st, const char *path);

/* store_watch.c */
int watch_add(struct sconn *c, const char *path, const char *token, size_t relative);
int watch_remove(struct sconn *c, const char *path, const char *token);
void watch_remove_all(struct sconn *c);
void watch_fire(struct store *st, const char *path, const struct perms *old, bool exact);
void watch_fire_special(struct store *st, const char *name, const struct perms *perms);

/* store_wire.c */
void store_send(struct sconn *c, uint32_t type, uint32_t req, uint32_t tx, const void *data,
		size_t len);

#endif

// SPDX-License-Identifier: MIT
/* Changes to the store, with permissions and quotas, directly or in a transaction. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

unsigned int perms_for(const struct sconn *c, const struct perms *perms)
{
	if (c->priv || perms->p[0].domid == c->domid)
		return PERM_READ | PERM_WRITE | PERM_OWNER;
	for (unsigned int i = 1; i < perms->n; i++) {
		if (perms->p[i].domid == c->domid)
			return perms->p[i].bits;
	}
	return perms->p[0].bits;
}

/* Note that the transaction depends on this path; NULL when it has seen too much. */
static struct seen *tx_see(struct sconn *c, struct tx *tx, const char *path)
{
	struct node *n;
	struct seen *s;

	for (unsigned int i = 0; i < tx->nseen; i++) {
		if (!strcmp(tx->seen[i].path, path))
			return &tx->seen[i];
	}
	if (!c->priv && tx->nseen == STORE_MAX_TX_SEEN) {
		tx->failed = true;
		return NULL;
	}
	if (!(tx->nseen & (tx->nseen - 1))) {
		struct seen *more = hub_alloc((tx->nseen ? tx->nseen * 2 : 1) * sizeof(*more));

		if (tx->nseen)
			memcpy(more, tx->seen, tx->nseen * sizeof(*more));
		free(tx->seen);
		tx->seen = more;
	}
	n = tree_find(tx->base, path);
	s = &tx->seen[tx->nseen++];
	*s = (struct seen){.path = hub_alloc(strlen(path) + 1), .gen = n ? n->gen : 0};
	memcpy(s->path, path, strlen(path) + 1);
	return s;
}

static struct node **root_of(struct sconn *c, struct tx *tx)
{
	return tx ? &tx->root : &c->store->root;
}

struct node *store_lookup(struct sconn *c, struct tx *tx, const char *path, unsigned int need,
			  int *err)
{
	struct node *root = *root_of(c, tx);
	struct node *n = tree_find(root, path);
	char up[STORE_PATH_LEN];

	if (tx && !tx_see(c, tx, path)) {
		*err = -ENOSPC;
		return NULL;
	}
	*err = -EACCES;
	if (n)
		return (perms_for(c, &n->perms) & need) == need ? n : NULL;
	/* Whether a node is missing is told only to who could see it in what there is above. */
	memcpy(up, path, strlen(path) + 1);
	do {
		path_parent(up, up);
		n = tree_find(root, up);
	} while (!n);
	if ((perms_for(c, &n->perms) & need) == need)
		*err = -ENOENT;
	return NULL;
}

/* A change is now part of the tree: tell watchers, or remember to at the commit. */
static int changed(struct sconn *c, struct tx *tx, const char *path, const struct perms *old,
		   enum fire fire)
{
	struct seen *s;

	if (!tx) {
		if (fire != FIRE_NONE)
			watch_fire(c->store, path, old, fire == FIRE_EXACT);
		return 0;
	}
	s = tx_see(c, tx, path);
	if (!s)
		return -ENOSPC;
	if (s->fire < fire)
		s->fire = fire;
	s->modified = true;
	if (old && !s->old.p)
		s->old = perms_copy(old);
	return 0;
}

/* Make the node and its missing parents, which inherit permissions. */
static int create(struct sconn *c, struct tx *tx, const char *path, const void *data, size_t len)
{
	struct node **root = root_of(c, tx);
	unsigned int missing = 1;
	char at[STORE_PATH_LEN];
	struct node *n;
	int ret = 0;

	path_parent(path, at);
	for (; !tree_find(*root, at); missing++)
		path_parent(at, at);
	if (!c->priv && store_nodes(c->store, c->domid) + (tx ? tx->created : 0) + missing >
				c->store->hub->max_nodes)
		return -ENOSPC;
	for (; missing; missing--) {
		struct perms perms = perms_copy(&tree_find(*root, at)->perms);
		size_t l = strlen(at) == 1 ? 0 : strlen(at);

		if (tx && !tx_see(c, tx, at))
			ret = -ENOSPC;
		l += 1 + strcspn(path + l + 1, "/");
		memcpy(at, path, l);
		at[l] = '\0';
		if (!c->priv)
			perms.p[0].domid = c->domid;
		n = tree_add(root, at, &perms);
		perms_free(&perms);
		if (missing == 1)
			node_set_data(n, data, len);
		if (tx)
			tx->created++;
		if (changed(c, tx, at, NULL, missing > 1 ? FIRE_NONE : FIRE_BELOW))
			ret = -ENOSPC;
	}
	return ret;
}

int store_write(struct sconn *c, struct tx *tx, const char *path, const void *data, size_t len)
{
	struct node *n;
	int err;

	if (!c->priv && len > STORE_MAX_NODE)
		return -ENOSPC;
	n = store_lookup(c, tx, path, PERM_WRITE, &err);
	if (!n)
		return err == -ENOENT ? create(c, tx, path, data, len) : err;
	node_set_data(tree_own(root_of(c, tx), path), data, len);
	return changed(c, tx, path, NULL, FIRE_BELOW);
}

int store_mkdir(struct sconn *c, struct tx *tx, const char *path)
{
	int err;

	if (store_lookup(c, tx, path, PERM_WRITE, &err))
		return 0;
	return err == -ENOENT ? create(c, tx, path, NULL, 0) : err;
}

/* Tell of every node below and note it in the transaction; `path` is a buffer to work in. */
static int removed(struct sconn *c, struct tx *tx, struct node *n, char *path, enum fire fire)
{
	size_t len = strlen(path);
	int ret = 0;

	for (unsigned int i = 0; i < n->nchild && !ret; i++) {
		snprintf(path + len, STORE_PATH_LEN - len, "/%s", n->child[i]->name);
		ret = removed(c, tx, n->child[i], path, FIRE_EXACT);
		path[len] = '\0';
	}
	return ret ? ret : changed(c, tx, path, &n->perms, fire);
}

static int remove_subtree(struct sconn *c, struct tx *tx, const char *path)
{
	struct node **root = root_of(c, tx);
	struct node *n = node_get(tree_find(*root, path));
	char at[STORE_PATH_LEN];
	int ret = 0;

	path_parent(path, at);
	if (tx && !tx_see(c, tx, at))
		ret = -ENOSPC;
	/* Watchers are told after the removal: the first thing they do is to read. */
	tree_remove(root, path);
	memcpy(at, path, strlen(path) + 1);
	if (!ret)
		ret = removed(c, tx, n, at, FIRE_BELOW);
	node_put(n);
	return ret;
}

int store_rm(struct sconn *c, struct tx *tx, const char *path)
{
	char parent[STORE_PATH_LEN];
	int err;

	if (store_lookup(c, tx, path, PERM_WRITE, &err))
		return path_parent(path, parent) ? remove_subtree(c, tx, path) : -EINVAL;
	if (err == -ENOENT && path_parent(path, parent) && tree_find(*root_of(c, tx), parent))
		return 0;
	return err;
}

void store_rm_as_hub(struct store *st, const char *path)
{
	struct sconn hub = {.store = st, .priv = true};

	store_rm(&hub, NULL, path);
}

int store_set_perms(struct sconn *c, struct tx *tx, const char *path, const struct perms *perms)
{
	struct perms old;
	struct node *n;
	int err;

	n = store_lookup(c, tx, path, PERM_WRITE | PERM_OWNER, &err);
	if (!n)
		return err;
	if (!c->priv && perms->p[0].domid != n->perms.p[0].domid)
		return -EPERM;
	old = perms_copy(&n->perms);
	node_set_perms(tree_own(root_of(c, tx), path), perms);
	err = changed(c, tx, path, &old, FIRE_BELOW);
	perms_free(&old);
	return err;
}

struct tx *tx_start(struct sconn *c)
{
	struct tx *tx;
	unsigned int n = 0;

	for (tx = c->tx; tx; tx = tx->next)
		n++;
	if (!c->priv && n >= STORE_MAX_TX)
		return NULL;
	tx = hub_alloc(sizeof(*tx));
	do {
		struct tx *t = c->tx;

		tx->id = ++c->next_tx;
		while (t && t->id != tx->id)
			t = t->next;
		if (t)
			tx->id = 0;
	} while (!tx->id);
	tx->base = node_get(c->store->root);
	tx->root = node_get(c->store->root);
	tx->next = c->tx;
	c->tx = tx;
	return tx;
}

static void tx_free(struct sconn *c, struct tx *tx)
{
	for (struct tx **p = &c->tx; *p; p = &(*p)->next) {
		if (*p == tx) {
			*p = tx->next;
			break;
		}
	}
	for (unsigned int i = 0; i < tx->nseen; i++) {
		free(tx->seen[i].path);
		perms_free(&tx->seen[i].old);
	}
	free(tx->seen);
	node_put(tx->base);
	node_put(tx->root);
	free(tx);
}

void tx_free_all(struct sconn *c)
{
	while (c->tx)
		tx_free(c, c->tx);
}

static void tx_apply(struct store *st, struct tx *tx, const struct seen *s)
{
	struct node *now = tree_find(tx->root, s->path);
	struct node *n = NULL;
	size_t len = 0;

	if (!now) {
		tree_remove(&st->root, s->path);
		return;
	}
	/* Make what is missing from the top: a node may stand in `seen` before its parents. */
	while (!n || s->path[len]) {
		char at[STORE_PATH_LEN];

		len += 1 + strcspn(s->path + len + 1, "/");
		memcpy(at, s->path, len);
		at[len] = '\0';
		n = tree_own(&st->root, at);
		if (!n)
			n = tree_add(&st->root, at, &tree_find(tx->root, at)->perms);
	}
	node_set_data(n, now->data, now->len);
	node_set_perms(n, &now->perms);
}

int tx_end(struct sconn *c, struct tx *tx, bool commit)
{
	struct store *st = c->store;
	int ret = tx->failed ? -ENOSPC : 0;

	for (unsigned int i = 0; commit && i < tx->nseen; i++) {
		struct node *n = tree_find(st->root, tx->seen[i].path);

		if ((n ? n->gen : 0) != tx->seen[i].gen)
			ret = -EAGAIN;
	}
	if (commit && !ret) {
		for (unsigned int i = 0; i < tx->nseen; i++) {
			if (tx->seen[i].modified)
				tx_apply(st, tx, &tx->seen[i]);
		}
		for (unsigned int i = 0; i < tx->nseen; i++) {
			struct seen *s = &tx->seen[i];

			if (s->fire != FIRE_NONE)
				watch_fire(st, s->path, s->old.p ? &s->old : NULL,
					   s->fire == FIRE_EXACT);
		}
	}
	tx_free(c, tx);
	return commit ? ret : 0;
}

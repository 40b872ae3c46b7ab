// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

static void event_send(struct sconn *c, const struct watch *w, const char *path)
{
	char body[XENSTORE_PAYLOAD_MAX];
	const char *shown = path + (w->relative < strlen(path) ? w->relative : strlen(path));
	int n = snprintf(body, sizeof(body), "%s%c%s", shown, 0, w->token);

	if (n > 0 && (size_t)n < sizeof(body))
		store_send(c, XS_WATCH_EVENT, 0, 0, body, (size_t)n + 1);
}

int watch_add(struct sconn *c, const char *path, const char *token, size_t relative)
{
	uint32_t n = 0, max = c->store->hub->max_watches;
	struct watch *w;

	for (w = c->watch; w; w = w->next) {
		if (!strcmp(w->path, path) && !strcmp(w->token, token))
			return -EEXIST;
		n++;
	}
	/* Counted over all of a domain's connections, which on Xen is one. */
	if (!c->priv && (n >= max || store_watches(c->store, c->domid) >= max))
		return -E2BIG;
	w = hub_alloc(sizeof(*w));
	w->path = hub_alloc(strlen(path) + 1);
	w->token = hub_alloc(strlen(token) + 1);
	memcpy(w->path, path, strlen(path) + 1);
	memcpy(w->token, token, strlen(token) + 1);
	w->relative = relative;
	w->next = c->watch;
	c->watch = w;
	return 0;
}

static void watch_free(struct watch *w)
{
	free(w->path);
	free(w->token);
	free(w);
}

int watch_remove(struct sconn *c, const char *path, const char *token)
{
	for (struct watch **p = &c->watch; *p; p = &(*p)->next) {
		struct watch *w = *p;

		if (strcmp(w->path, path) != 0 || strcmp(w->token, token) != 0)
			continue;
		*p = w->next;
		watch_free(w);
		return 0;
	}
	return -ENOENT;
}

void watch_remove_all(struct sconn *c)
{
	while (c->watch) {
		struct watch *w = c->watch;

		c->watch = w->next;
		watch_free(w);
	}
}

/* A watcher hears of a node if it may, or might until now, read it or its parent. */
static bool permitted(struct sconn *c, const char *path, const struct perms *old)
{
	char parent[STORE_PATH_LEN];
	struct node *n = tree_find(c->store->root, path);

	if (old && (perms_for(c, old) & PERM_READ))
		return true;
	if (n && (perms_for(c, &n->perms) & PERM_READ))
		return true;
	if (!path_parent(path, parent))
		return false;
	n = tree_find(c->store->root, parent);
	return n && (perms_for(c, &n->perms) & PERM_READ);
}

void watch_fire(struct store *st, const char *path, const struct perms *old, bool exact)
{
	for (struct sconn *c = st->conn; c; c = c->next) {
		bool may = false, asked = false;

		for (struct watch *w = c->watch; w; w = w->next) {
			if (exact ? strcmp(w->path, path) != 0 : !path_is_child(path, w->path))
				continue;
			if (!asked)
				may = permitted(c, path, old);
			asked = true;
			if (may)
				event_send(c, w, path);
		}
	}
}

void watch_fire_special(struct store *st, const char *name, const struct perms *perms)
{
	for (struct sconn *c = st->conn; c; c = c->next) {
		if (!c->priv && !(perms_for(c, perms) & PERM_READ))
			continue;
		for (struct watch *w = c->watch; w; w = w->next) {
			if (!strcmp(w->path, name))
				event_send(c, w, name);
		}
	}
}

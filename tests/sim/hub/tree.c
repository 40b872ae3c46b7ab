// SPDX-License-Identifier: MIT
/* The tree itself: nodes shared between snapshots and copied when one of them changes. */
#include <stdlib.h>
#include <string.h>

#include "store.h"

static uint64_t generation;

uint64_t tree_generation(void)
{
	return ++generation;
}

static char *dup_string(const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = hub_alloc(n);

	memcpy(p, s, n);
	return p;
}

struct perms perms_copy(const struct perms *perms)
{
	struct perms c = {.n = perms->n, .p = hub_alloc(perms->n * sizeof(*perms->p))};

	memcpy(c.p, perms->p, perms->n * sizeof(*perms->p));
	return c;
}

void perms_free(struct perms *perms)
{
	free(perms->p);
	*perms = (struct perms){0};
}

struct node *node_new(const char *name, const struct perms *perms)
{
	struct node *n = hub_alloc(sizeof(*n));

	n->refs = 1;
	n->gen = tree_generation();
	n->name = dup_string(name);
	n->perms = perms_copy(perms);
	return n;
}

struct node *node_get(struct node *n)
{
	n->refs++;
	return n;
}

void node_put(struct node *n)
{
	if (!n || --n->refs)
		return;
	for (unsigned int i = 0; i < n->nchild; i++)
		node_put(n->child[i]);
	free(n->child);
	free(n->name);
	free(n->data);
	perms_free(&n->perms);
	free(n);
}

static struct node *own(struct node **where)
{
	struct node *n = *where;
	struct node *c;

	if (n->refs == 1)
		return n;
	c = node_new(n->name, &n->perms);
	c->gen = n->gen;
	c->data = hub_alloc(n->len);
	if (n->len)
		memcpy(c->data, n->data, n->len);
	c->len = n->len;
	c->nchild = n->nchild;
	c->child = hub_alloc(n->nchild * sizeof(struct node *));
	for (unsigned int i = 0; i < n->nchild; i++)
		c->child[i] = node_get(n->child[i]);
	node_put(n);
	*where = c;
	return c;
}

static struct node **child_slot(struct node *n, const char *name, size_t len)
{
	for (unsigned int i = 0; i < n->nchild; i++) {
		if (!strncmp(n->child[i]->name, name, len) && !n->child[i]->name[len])
			return &n->child[i];
	}
	return NULL;
}

struct node *tree_find(struct node *root, const char *path)
{
	while (root && *path) {
		size_t len;
		struct node **slot;

		path += *path == '/';
		len = strcspn(path, "/");
		if (!len)
			break;
		slot = child_slot(root, path, len);
		root = slot ? *slot : NULL;
		path += len;
	}
	return root;
}

struct node *tree_own(struct node **root, const char *path)
{
	struct node **slot = root;

	if (!tree_find(*root, path))
		return NULL;
	for (;;) {
		struct node *n = own(slot);
		size_t len;

		path += *path == '/';
		len = strcspn(path, "/");
		if (!len)
			return n;
		slot = child_slot(n, path, len);
		path += len;
	}
}

struct node *tree_add(struct node **root, const char *path, const struct perms *perms)
{
	char parent[STORE_PATH_LEN];
	struct node *p, *n;

	path_parent(path, parent);
	p = tree_own(root, parent);
	n = node_new(strrchr(path, '/') + 1, perms);
	p->child = realloc(p->child, (p->nchild + 1) * sizeof(struct node *));
	if (!p->child)
		abort(); /* as hub_alloc: what clients can ask for is bounded */
	p->child[p->nchild++] = n;
	p->gen = tree_generation();
	return n;
}

void tree_remove(struct node **root, const char *path)
{
	char parent[STORE_PATH_LEN];
	struct node *p;

	if (!path_parent(path, parent))
		return;
	p = tree_own(root, parent);
	for (unsigned int i = 0; p && i < p->nchild; i++) {
		if (strcmp(p->child[i]->name, strrchr(path, '/') + 1) != 0)
			continue;
		node_put(p->child[i]);
		memmove(&p->child[i], &p->child[i + 1],
			(p->nchild - i - 1) * sizeof(struct node *));
		p->nchild--;
		p->gen = tree_generation();
		return;
	}
}

void node_set_data(struct node *n, const void *data, size_t len)
{
	uint8_t *copy = hub_alloc(len);

	if (len)
		memcpy(copy, data, len);
	free(n->data);
	n->data = copy;
	n->len = len;
	n->gen = tree_generation();
}

void node_set_perms(struct node *n, const struct perms *perms)
{
	struct perms copy = perms_copy(perms);

	perms_free(&n->perms);
	n->perms = copy;
	n->gen = tree_generation();
}

bool path_parent(const char *path, char *parent)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash > path ? (size_t)(slash - path) : 1;

	if (!strcmp(path, "/"))
		return false;
	memmove(parent, path, len); /* callers may climb in place */
	parent[len] = '\0';
	return true;
}

bool path_is_child(const char *path, const char *of)
{
	size_t len = strlen(of);

	if (!strcmp(of, "/"))
		return path[0] == '/';
	return !strncmp(path, of, len) && (!path[len] || path[len] == '/');
}

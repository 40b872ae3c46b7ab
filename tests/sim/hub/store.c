// SPDX-License-Identifier: MIT
/* The store as a whole: what libxl writes for a domain, and what goes when a domain does. */
#include <stdlib.h>
#include <string.h>

#include "store.h"

static const struct perm hidden = {.domid = 0, .bits = 0};

/* mkdir -p with permissions, as libxl's mknod. */
static void make(struct store *st, const char *path, const struct perms *perms, const char *value)
{
	struct sconn hub = {.store = st, .priv = true};

	store_write(&hub, NULL, path, value, strlen(value));
	store_set_perms(&hub, NULL, path, perms);
}

struct store *store_create(struct hub *h)
{
	struct perms none = {.n = 1, .p = hub_alloc(sizeof(hidden))};
	struct store *st = hub_alloc(sizeof(*st));

	*none.p = hidden;
	st->hub = h;
	st->root = node_new("", &none);
	st->introduce = perms_copy(&none);
	st->release = perms_copy(&none);
	make(st, "/local/domain", &none, "");
	make(st, "/tool/xenstored", &none, "");
	make(st, "/vm", &none, "");
	make(st, "/libxl", &none, "");
	perms_free(&none);
	return st;
}

void store_destroy(struct store *st)
{
	node_put(st->root);
	perms_free(&st->introduce);
	perms_free(&st->release);
	free(st);
}

/* Which nodes libxl gives to the guest itself ("rw") and which it may only read ("ro"). */
static const struct {
	const char *leaf;
	bool guest_owns;
	const char *value;
} layout[] = {
	{"cpu", false, ""},
	{"memory", false, ""},
	{"device", false, ""},
	{"device/suspend/event-channel", true, ""},
	{"control", false, ""},
	{"control/shutdown", true, ""},
	{"control/feature-poweroff", true, ""},
	{"control/feature-reboot", true, ""},
	{"control/feature-suspend", true, ""},
	{"control/sysrq", true, ""},
	{"control/platform-feature-multiprocessor-suspend", false, "1"},
	{"control/platform-feature-xs_reset_watches", false, "1"},
	{"data", true, ""},
	{"drivers", true, ""},
	{"feature", true, ""},
	{"attr", true, ""},
	{"error", true, ""},
};

void store_domain_created(struct store *st, uint32_t domid, const char *name, uint32_t mem_mib)
{
	struct perm ro[2] = {hidden, {.domid = (uint16_t)domid, .bits = PERM_READ}};
	struct perm rw = {.domid = (uint16_t)domid, .bits = 0};
	struct perms reads = {.n = 2, .p = ro};
	struct perms owns = {.n = 1, .p = &rw};
	char path[128], value[64];

	if (!domid)
		reads.n = 1;
	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	make(st, path, &reads, "");
	snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
	make(st, path, &reads, name);
	snprintf(path, sizeof(path), "/local/domain/%u/domid", domid);
	snprintf(value, sizeof(value), "%u", domid);
	make(st, path, &reads, value);
	if (domid) {
		for (size_t i = 0; i < sizeof(layout) / sizeof(layout[0]); i++) {
			snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, layout[i].leaf);
			make(st, path, layout[i].guest_owns ? &owns : &reads, layout[i].value);
		}
		snprintf(path, sizeof(path), "/local/domain/%u/memory/target", domid);
		snprintf(value, sizeof(value), "%u", mem_mib * 1024);
		make(st, path, &reads, value);
		snprintf(path, sizeof(path), "/vm/sim-%u/name", domid);
		make(st, path, &reads, name);
		snprintf(value, sizeof(value), "/vm/sim-%u", domid);
		make(st, value, &reads, "");
		snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
		make(st, path, &reads, value);
	}
	watch_fire_special(st, "@introduceDomain", &st->introduce);
}

/* Remove every node that the domain owns, with what is below; true when one was found. */
static bool remove_owned(struct store *st, struct node *n, char *path, uint32_t domid)
{
	size_t len = strlen(path);

	for (unsigned int i = 0; i < n->nchild; i++) {
		snprintf(path + len, STORE_PATH_LEN - len, "/%s", n->child[i]->name);
		if (n->child[i]->perms.p[0].domid == domid) {
			store_rm_as_hub(st, path);
			return true;
		}
		if (remove_owned(st, n->child[i], path, domid))
			return true;
		path[len] = '\0';
	}
	return false;
}

void store_domain_destroyed(struct store *st, uint32_t domid)
{
	char path[STORE_PATH_LEN];

	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	store_rm_as_hub(st, path);
	snprintf(path, sizeof(path), "/vm/sim-%u", domid);
	store_rm_as_hub(st, path);
	snprintf(path, sizeof(path), "/libxl/%u", domid);
	store_rm_as_hub(st, path);
	do {
		path[0] = '\0';
	} while (remove_owned(st, st->root, path, domid));
	watch_fire_special(st, "@releaseDomain", &st->release);
}

unsigned int store_watches(struct store *st, uint32_t domid)
{
	unsigned int n = 0;

	for (struct sconn *c = st->conn; c; c = c->next) {
		for (struct watch *w = c->watch; c->domid == domid && w; w = w->next)
			n++;
	}
	return n;
}

unsigned int store_transactions(struct store *st, uint32_t domid)
{
	unsigned int n = 0;

	for (struct sconn *c = st->conn; c; c = c->next) {
		for (struct tx *tx = c->tx; c->domid == domid && tx; tx = tx->next)
			n++;
	}
	return n;
}

static unsigned int owned(const struct node *n, uint32_t domid)
{
	unsigned int k = n->perms.p[0].domid == domid;

	for (unsigned int i = 0; i < n->nchild; i++)
		k += owned(n->child[i], domid);
	return k;
}

unsigned int store_nodes(struct store *st, uint32_t domid)
{
	return owned(st->root, domid);
}

// SPDX-License-Identifier: MIT
/* What xenstore clients ask for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

struct request {
	struct sconn *c;
	const struct xsd_sockmsg *m;
	struct tx *tx;
	char *body;
	char path[STORE_PATH_LEN];
};

static void reply(struct request *r, const void *data, size_t len)
{
	store_send(r->c, r->m->type, r->m->req_id, r->m->tx_id, data, len);
}

static int ok(struct request *r)
{
	reply(r, "OK", 3);
	return 0;
}

static void reply_error(struct request *r, int err)
{
	const char *name = "EINVAL";

	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++) {
		if (xsd_errors[i].errnum == -err)
			name = xsd_errors[i].errstring;
	}
	store_send(r->c, XS_ERROR, r->m->req_id, r->m->tx_id, name, strlen(name) + 1);
}

/* Find up to `max` terminated strings; returns how many, the rest of the body is after them. */
static unsigned int strings(struct request *r, char **vec, unsigned int max)
{
	char *p = r->body;
	char *end = r->body + r->m->len;
	unsigned int n;

	for (n = 0; n < max; n++) {
		char *nul = memchr(p, 0, (size_t)(end - p));

		if (!nul)
			break;
		vec[n] = p;
		p = nul + 1;
	}
	return n;
}

/* Just one string and nothing after it. */
static char *one_string(struct request *r)
{
	char *s;

	return strings(r, &s, 1) == 1 && strlen(s) + 1 == r->m->len ? s : NULL;
}

static bool valid_path(const char *p)
{
	static const char chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-/_@";
	size_t len = strlen(p);

	return p[0] == '/' && (len == 1 || p[len - 1] != '/') && !strstr(p, "//") &&
	       strspn(p, chars) == len;
}

/* Make r->path absolute; 0 or -EINVAL. *relative gets what the client did not write. */
static int absolute(struct request *r, const char *name, size_t *relative)
{
	char prefix[32] = "";
	int n;

	if (name[0] != '/')
		snprintf(prefix, sizeof(prefix), "/local/domain/%u", r->c->domid);
	*relative = name[0] == '/' ? 0 : strlen(prefix) + 1;
	n = snprintf(r->path, sizeof(r->path), "%s%s%s", prefix, name[0] == '/' ? "" : "/", name);
	if (n < 0 || (size_t)n >= sizeof(r->path) || strlen(name) > XENSTORE_REL_PATH_MAX + 32 ||
	    !valid_path(r->path))
		return -EINVAL;
	return 0;
}

static int arg_path(struct request *r, const char *name)
{
	size_t relative;

	return name ? absolute(r, name, &relative) : -EINVAL;
}

static struct node *arg_node(struct request *r, const char *name, unsigned int need, int *err)
{
	*err = arg_path(r, name);
	return *err ? NULL : store_lookup(r->c, r->tx, r->path, need, err);
}

static size_t child_names(const struct node *n, char **list)
{
	size_t len = 0, at = 0;

	for (unsigned int i = 0; i < n->nchild; i++)
		len += strlen(n->child[i]->name) + 1;
	*list = hub_alloc(len + 1);
	for (unsigned int i = 0; i < n->nchild; i++) {
		size_t l = strlen(n->child[i]->name) + 1;

		memcpy(*list + at, n->child[i]->name, l);
		at += l;
	}
	return len;
}

static int do_directory(struct request *r)
{
	struct node *n;
	char *list;
	size_t len;
	int err;

	n = arg_node(r, one_string(r), PERM_READ, &err);
	if (!n)
		return err;
	len = child_names(n, &list);
	if (len > XENSTORE_PAYLOAD_MAX)
		err = -E2BIG;
	else
		reply(r, list, len);
	free(list);
	return len > XENSTORE_PAYLOAD_MAX ? err : 0;
}

static int do_directory_part(struct request *r)
{
	char body[XENSTORE_PAYLOAD_MAX];
	size_t len, at, off;
	char *vec[2], *list;
	struct node *n;
	int err;

	if (strings(r, vec, 2) != 2)
		return -EINVAL;
	n = arg_node(r, vec[0], PERM_READ, &err);
	if (!n)
		return err;
	off = strtoul(vec[1], NULL, 10);
	len = child_names(n, &list);
	at = (size_t)snprintf(body, sizeof(body), "%llu", (unsigned long long)n->gen) + 1;
	/* Whole names only; an empty name says that the list ends here. */
	while (off < len && at + strlen(list + off) + 2 <= sizeof(body)) {
		size_t l = strlen(list + off) + 1;

		memcpy(body + at, list + off, l);
		at += l;
		off += l;
	}
	if (off >= len)
		body[at++] = '\0';
	free(list);
	reply(r, body, at);
	return 0;
}

static int do_read(struct request *r)
{
	int err;
	struct node *n = arg_node(r, one_string(r), PERM_READ, &err);

	if (!n)
		return err;
	reply(r, n->data, n->len);
	return 0;
}

static int do_write(struct request *r)
{
	char *name;
	size_t len;
	int err;

	if (strings(r, &name, 1) != 1)
		return -EINVAL;
	len = strlen(name) + 1;
	err = arg_path(r, name);
	if (!err)
		err = store_write(r->c, r->tx, r->path, r->body + len, r->m->len - len);
	return err ? err : ok(r);
}

static int do_mkdir(struct request *r)
{
	int err = arg_path(r, one_string(r));

	if (!err)
		err = store_mkdir(r->c, r->tx, r->path);
	return err ? err : ok(r);
}

static int do_rm(struct request *r)
{
	int err = arg_path(r, one_string(r));

	if (!err)
		err = store_rm(r->c, r->tx, r->path);
	return err ? err : ok(r);
}

static int do_get_perms(struct request *r)
{
	static const char letter[] = "nrwb";
	char body[XENSTORE_PAYLOAD_MAX];
	size_t at = 0;
	int err;
	struct node *n = arg_node(r, one_string(r), PERM_READ, &err);

	if (!n)
		return err;
	for (unsigned int i = 0; i < n->perms.n && at + 8 < sizeof(body); i++)
		at += (size_t)snprintf(body + at, sizeof(body) - at, "%c%u",
				       letter[n->perms.p[i].bits & 3], n->perms.p[i].domid) +
		      1;
	reply(r, body, at);
	return 0;
}

static bool parse_perm(const char *s, struct perm *p)
{
	static const char letter[] = "nrwb";
	const char *l = *s ? strchr(letter, *s) : NULL;
	char *end;
	unsigned long id = strtoul(s + (l != NULL), &end, 10);

	if (!l || end == s + 1 || *end || id > UINT16_MAX)
		return false;
	*p = (struct perm){.domid = (uint16_t)id, .bits = (uint8_t)(l - letter)};
	return true;
}

static int do_set_perms(struct request *r)
{
	struct perm p[XENSTORE_PAYLOAD_MAX / 3 + 1];
	char *vec[XENSTORE_PAYLOAD_MAX / 3 + 2];
	unsigned int n = strings(r, vec, sizeof(vec) / sizeof(vec[0]));
	struct perms perms = {.n = n - 1, .p = p};
	struct store *st = r->c->store;
	struct perms *special = NULL;
	int err;

	if (n < 2 || n - 1 > sizeof(p) / sizeof(p[0]))
		return -EINVAL;
	if (!r->c->priv && n - 1 > STORE_MAX_PERMS)
		return -ENOSPC;
	for (unsigned int i = 1; i < n; i++) {
		if (!parse_perm(vec[i], &p[i - 1]))
			return -EINVAL;
	}
	if (vec[0][0] == '@') {
		if (!strcmp(vec[0], "@releaseDomain"))
			special = &st->release;
		else if (!strcmp(vec[0], "@introduceDomain"))
			special = &st->introduce;
		if (!special)
			return -ENOENT;
		if (!r->c->priv)
			return -EACCES;
		perms_free(special);
		*special = perms_copy(&perms);
		return ok(r);
	}
	err = arg_path(r, vec[0]);
	if (!err)
		err = store_set_perms(r->c, r->tx, r->path, &perms);
	return err ? err : ok(r);
}

static int do_watch(struct request *r)
{
	size_t relative = 0;
	char event[XENSTORE_PAYLOAD_MAX];
	char *vec[2];
	int err = 0, n;

	if (strings(r, vec, 2) != 2)
		return -EINVAL;
	if (vec[0][0] != '@')
		err = absolute(r, vec[0], &relative);
	else if (strlen(vec[0]) > XENSTORE_REL_PATH_MAX)
		err = -EINVAL;
	else
		memcpy(r->path, vec[0], strlen(vec[0]) + 1);
	if (!err)
		err = watch_add(r->c, r->path, vec[1], relative);
	if (err)
		return err;
	ok(r);
	/* A watch fires once by itself, whatever the permissions. */
	n = snprintf(event, sizeof(event), "%s%c%s", vec[0], 0, vec[1]);
	if (n > 0 && (size_t)n < sizeof(event))
		store_send(r->c, XS_WATCH_EVENT, 0, 0, event, (size_t)n + 1);
	return 0;
}

static int do_unwatch(struct request *r)
{
	size_t relative;
	char *vec[2];
	int err = 0;

	if (strings(r, vec, 2) != 2)
		return -EINVAL;
	if (vec[0][0] == '@' && strlen(vec[0]) < sizeof(r->path))
		memcpy(r->path, vec[0], strlen(vec[0]) + 1);
	else
		err = absolute(r, vec[0], &relative);
	if (!err)
		err = watch_remove(r->c, r->path, vec[1]);
	return err ? err : ok(r);
}

static int do_reset_watches(struct request *r)
{
	watch_remove_all(r->c);
	tx_free_all(r->c);
	return ok(r);
}

static int do_transaction_start(struct request *r)
{
	char id[16];
	struct tx *tx;
	int n;

	if (r->tx)
		return -EBUSY;
	tx = tx_start(r->c);
	if (!tx)
		return -ENOSPC;
	n = snprintf(id, sizeof(id), "%u", tx->id);
	reply(r, id, (size_t)n + 1);
	return 0;
}

static int do_transaction_end(struct request *r)
{
	char *arg = one_string(r);
	int err;

	if (!arg || (strcmp(arg, "T") != 0 && strcmp(arg, "F") != 0))
		return -EINVAL;
	if (!r->tx)
		return -ENOENT;
	err = tx_end(r->c, r->tx, arg[0] == 'T');
	return err ? err : ok(r);
}

static int do_get_domain_path(struct request *r)
{
	char *arg = one_string(r);
	char path[64];
	int n;

	if (!arg)
		return -EINVAL;
	n = snprintf(path, sizeof(path), "/local/domain/%lu", strtoul(arg, NULL, 10) & 0xffff);
	reply(r, path, (size_t)n + 1);
	return 0;
}

static int do_is_introduced(struct request *r)
{
	char *arg = one_string(r);
	struct domain *d;

	if (!arg)
		return -EINVAL;
	d = domain_find(r->c->store->hub, (uint32_t)strtoul(arg, NULL, 10));
	reply(r, d && !d->dying ? "T" : "F", 2);
	return 0;
}

/* Domains are made and destroyed by xensimctl. */
static int do_refuse(struct request *r)
{
	(void)r;
	return -ENOSYS;
}

static const struct {
	int (*run)(struct request *r);
	const char *site; /* for fault rules */
	bool no_tx, priv;
} ops[XS_TYPE_COUNT] = {
	[XS_CONTROL] = {.run = do_refuse, .site = "store.control", .priv = true},
	[XS_DIRECTORY] = {.run = do_directory, .site = "store.directory"},
	[XS_READ] = {.run = do_read, .site = "store.read"},
	[XS_GET_PERMS] = {.run = do_get_perms, .site = "store.get_perms"},
	[XS_WATCH] = {.run = do_watch, .site = "store.watch", .no_tx = true},
	[XS_UNWATCH] = {.run = do_unwatch, .site = "store.unwatch", .no_tx = true},
	[XS_TRANSACTION_START] = {.run = do_transaction_start, .site = "store.transaction_start"},
	[XS_TRANSACTION_END] = {.run = do_transaction_end, .site = "store.transaction_end"},
	[XS_INTRODUCE] = {.run = do_refuse, .site = "store.introduce", .priv = true},
	[XS_RELEASE] = {.run = do_refuse, .site = "store.release", .priv = true},
	[XS_GET_DOMAIN_PATH] = {.run = do_get_domain_path, .site = "store.get_domain_path"},
	[XS_WRITE] = {.run = do_write, .site = "store.write"},
	[XS_MKDIR] = {.run = do_mkdir, .site = "store.mkdir"},
	[XS_RM] = {.run = do_rm, .site = "store.rm"},
	[XS_SET_PERMS] = {.run = do_set_perms, .site = "store.set_perms"},
	[XS_IS_DOMAIN_INTRODUCED] = {.run = do_is_introduced,
				     .site = "store.is_introduced",
				     .priv = true},
	[XS_RESUME] = {.run = do_refuse, .site = "store.resume", .priv = true},
	[XS_SET_TARGET] = {.run = do_refuse, .site = "store.set_target", .priv = true},
	[XS_RESET_WATCHES] = {.run = do_reset_watches, .site = "store.reset_watches"},
	[XS_DIRECTORY_PART] = {.run = do_directory_part, .site = "store.directory_part"},
};

void store_request(struct sconn *c, const struct xsd_sockmsg *m, char *body)
{
	struct request r = {.c = c, .m = m, .body = body};
	const struct sim_fault_rule *fault;
	int err = 0;

	if (m->type >= XS_TYPE_COUNT || !ops[m->type].run) {
		reply_error(&r, -ENOSYS);
		return;
	}
	if (m->tx_id && !ops[m->type].no_tx) {
		for (r.tx = c->tx; r.tx && r.tx->id != m->tx_id; r.tx = r.tx->next)
			;
		if (!r.tx)
			err = -ENOENT;
	}
	if (!err && ops[m->type].priv && !c->priv)
		err = -EACCES;
	fault = sim_fault_hit(&c->dom->store_faults, ops[m->type].site, false);
	if (!err && fault)
		err = -fault->err;
	if (!err)
		err = ops[m->type].run(&r);
	if (err)
		reply_error(&r, err);
}

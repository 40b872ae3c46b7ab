// SPDX-License-Identifier: MIT
/* xenstore: finding the node, and the life cycle (spec/virtio-xen.md, "Life cycle"). */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"
#include "mmio.h"

#define TOKEN "backend"

/* The node @dir/@key as a string in @buf; -ENOENT, -EACCES and the like, in words. */
static int read_key(struct vgg *g, const char *dir, const char *key, char *buf, size_t size)
{
	char path[512];
	unsigned int len;
	char *value;
	int err = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, key);
	value = xs_read(g->xs, XBT_NULL, path, &len);
	if (!value)
		return vgg_fail(g, -errno, "cannot read %s: %s", path, strerror(errno));
	if (len >= size || memchr(value, 0, len))
		err = vgg_fail(g, -EINVAL, "%s holds no short text", path);
	else
		memcpy(buf, value, len + 1); /* libxenstore adds the NUL */
	free(value);
	return err;
}

static int read_number(struct vgg *g, const char *dir, const char *key, unsigned long max,
		       unsigned long *value)
{
	char buf[32], *end;
	int err = read_key(g, dir, key, buf, sizeof(buf));

	if (err)
		return err;
	*value = strtoul(buf, &end, 10);
	if (end == buf || *end || *value > max)
		return vgg_fail(g, -EINVAL, "%s/%s holds '%s', not a number up to %lu", dir, key,
				buf, max);
	return 0;
}

int vgg_store_write(struct vgg *g, const char *key, const char *fmt, ...)
{
	char path[512], value[64];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s/%s", g->frontend, key);
	if (!xs_write(g->xs, XBT_NULL, path, value, (unsigned int)len))
		return vgg_fail(g, -errno, "cannot write %s: %s", path, strerror(errno));
	return 0;
}

int vgg_set_frontend_key(struct vgg *g, const char *key, const char *value)
{
	return vgg_store_write(g, key, "%s", value);
}

int vgg_set_frontend_state(struct vgg *g, enum vg_xenbus_state state)
{
	return vgg_store_write(g, "state", "%d", state);
}

/* The first device under device/@kind, or @devid if that is not negative. */
static int find_kind(struct vgg *g, const char *kind, int devid)
{
	unsigned int n = 0;
	unsigned long domid;
	char dir[64], wanted[16];
	char **names;
	int err = -ENOENT;

	snprintf(dir, sizeof(dir), "device/%s", kind);
	snprintf(wanted, sizeof(wanted), "%d", devid);
	names = xs_directory(g->xs, XBT_NULL, dir, &n);
	for (unsigned int i = 0; names && i < n; i++) {
		if (devid >= 0 && strcmp(names[i], wanted) != 0)
			continue;
		snprintf(g->frontend, sizeof(g->frontend), "%s/%s", dir, names[i]);
		err = read_key(g, g->frontend, "backend", g->backend, sizeof(g->backend));
		if (!err)
			err = read_number(g, g->frontend, "backend-id", 0x7fef, &domid);
		if (!err)
			g->backend_domid = (uint16_t)domid;
		break;
	}
	free(names);
	return err;
}

int vgg_store_find(struct vgg *g, const char *kind, int devid)
{
	char path[512];
	int err;

	err = find_kind(g, kind ? kind : VG_KIND_DISK, devid);
	if (err == -ENOENT && !kind)
		err = find_kind(g, VG_KIND_VIRTIO, devid);
	if (err == -ENOENT)
		return vgg_fail(g, err,
				"this domain has no such device: attach one with vgrantctl attach");
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/state", g->backend);
	if (!xs_watch(g->xs, path, TOKEN))
		return vgg_fail(g, -errno, "cannot watch %s: %s", path, strerror(errno));
	g->watching = true;
	return 0;
}

int vgg_backend_state(struct vgg *g)
{
	unsigned long state;
	int err = read_number(g, g->backend, "state", 9, &state);

	return err ? err : (int)state;
}

/* Takes all watch events that are there: what they are about is read afterwards. */
static void drain_watches(struct vgg *g)
{
	char **event;

	while ((event = xs_check_watch(g->xs)))
		free(event);
}

void vgg_store_events(struct vgg *g)
{
	int state;

	/* Readable without an event: xenstored has gone, and the state cannot be read. */
	drain_watches(g);
	state = vgg_backend_state(g);
	if (g->ctl && (state < 0 || state >= VG_XENBUS_CLOSING))
		g->over = true;
}

#define BIT(state) (1u << (state))
#define ENDED      (BIT(VG_XENBUS_CLOSING) | BIT(VG_XENBUS_CLOSED))

/*
 * Waits until the backend's state is one of @want's bits, and returns it. Closing or closed, unless
 * wanted or in @pass, means that the backend will not do it.
 */
static int await_state(struct vgg *g, unsigned int want, unsigned int pass, const char *what)
{
	uint64_t deadline = vgg_now_ms() + g->timeout_ms;
	char why[256];

	for (;;) {
		struct pollfd p = {.fd = xs_fileno(g->xs), .events = POLLIN};
		int left = vgg_left_ms(deadline);
		int state;

		drain_watches(g);
		state = vgg_backend_state(g);
		if (state < 0)
			return vgg_fail(g, -ECONNRESET, "the backend's directory has gone");
		if (want & BIT(state))
			return state;
		if (left && !(ENDED & ~pass & BIT(state))) {
			poll(&p, 1, left);
			continue;
		}
		if (left)
			g->over = true; /* vgg_disconnect() still owes it an answer */
		if (read_key(g, g->backend, "vgrant-error", why, sizeof(why)))
			snprintf(why, sizeof(why), "it gives no reason; is vgrantd running?");
		return vgg_fail(g, left ? -ECONNRESET : -ETIMEDOUT,
				"the backend did not %s within %u ms, its state is %d: %s", what,
				g->timeout_ms, state, why);
	}
}

/* Lets go of a connection that an earlier driver of this domain left open. */
static int close_earlier(struct vgg *g)
{
	int err = vgg_set_frontend_state(g, VG_XENBUS_CLOSING);

	/* InitWait: the backend is a new one, which knows of no earlier connection. */
	if (!err)
		err = await_state(g, BIT(VG_XENBUS_CLOSED) | BIT(VG_XENBUS_INIT_WAIT), ENDED,
				  "close the earlier connection");
	if (err < 0 || err == VG_XENBUS_INIT_WAIT)
		return err < 0 ? err : 0;
	return vgg_set_frontend_state(g, VG_XENBUS_CLOSED);
}

int vgg_await_backend(struct vgg *g)
{
	unsigned long own, version;
	unsigned int pass = 0;
	int err = read_number(g, g->frontend, "state", 9, &own);

	g->over = false;
	if (!err && own != VG_XENBUS_INITIALISING) {
		if (own != VG_XENBUS_CLOSED)
			err = close_earlier(g);
		if (!err)
			err = vgg_set_frontend_state(g, VG_XENBUS_INITIALISING);
		pass = ENDED; /* the backend leaves Closed when it sees our 1 */
	}
	if (!err)
		err = await_state(g, BIT(VG_XENBUS_INIT_WAIT), pass, "get ready");
	if (err < 0)
		return err;
	err = read_number(g, g->backend, VG_KEY_VERSION, UINT32_MAX, &version);
	if (err)
		return err;
	if (version != VG_XENBUS_VERSION)
		return vgg_fail(g, -EPROTONOSUPPORT,
				"the backend speaks version %lu of the protocol, this guest %d",
				version, VG_XENBUS_VERSION);
	return 0;
}

int vgg_await_connected(struct vgg *g)
{
	int err = await_state(g, BIT(VG_XENBUS_CONNECTED), 0, "connect");

	return err < 0 ? err : 0;
}

int vgg_announce(struct vgg *g)
{
	/* A device that a device tree names has no state in xenstore. */
	if (g->mmio && !g->port)
		return 0;
	return vgg_set_frontend_state(g, VG_XENBUS_CONNECTED);
}

/* virtio-mmio: the registers are there from state 2 on; xenbus tells of the interrupt's channel
 * when there is no line. */
static int connect_mmio(struct vgg *g)
{
	unsigned int ready = BIT(VG_XENBUS_INIT_WAIT) | BIT(VG_XENBUS_CONNECTED);
	unsigned long line = 0;
	char base[32];
	int err = await_state(g, ready, ENDED, "get ready");

	if (err >= 0)
		err = read_number(g, g->backend, "irq", 1023, &line);
	if (!err)
		err = read_key(g, g->backend, "base", base, sizeof(base));
	if (!err)
		err = vgg_mmio_open(g, g->vcpu, (unsigned int)line, strtoull(base, NULL, 0));
	if (err || line)
		return err;
	g->port = vgg_port_alloc(g);
	if (g->port < 0)
		return g->port;
	err = vgg_store_write(g, VG_KEY_EVENT_CHANNEL, "%d", g->port);
	if (!err)
		err = vgg_set_frontend_state(g, VG_XENBUS_INITIALISED);
	return err ? err : vgg_await_connected(g);
}

/* The device was reset. */
static int disconnect_mmio(struct vgg *g)
{
	int err = 0;

	if (g->port) {
		err = vgg_set_frontend_state(g, VG_XENBUS_CLOSING);
		if (!err)
			err = vgg_set_frontend_state(g, VG_XENBUS_CLOSED);
		if (!err)
			err = await_state(g, BIT(VG_XENBUS_CLOSED), ENDED, "close the device");
		if (err > 0)
			err = vgg_set_frontend_state(g, VG_XENBUS_INITIALISING);
		vgg_port_free(g, g->port);
		g->port = 0;
	}
	vgg_mmio_close(g);
	return err;
}

int vgg_connect(struct vgg *g)
{
	int err;

	if (g->by_mmio)
		return connect_mmio(g);
	err = vgg_await_backend(g);

	if (!err)
		err = vgg_offer(g);
	if (!err)
		err = vgg_await_connected(g);
	return err;
}

int vgg_disconnect(struct vgg *g)
{
	bool gone = false;
	int err, ended;

	if (g->mmio)
		return disconnect_mmio(g);
	if (!g->ctl)
		return 0;
	err = vgg_set_frontend_state(g, VG_XENBUS_CLOSING);
	if (!err) {
		err = await_state(g, BIT(VG_XENBUS_CLOSED), ENDED, "close the device");
		/* Unplugged: the backend removes its directory after its 6. */
		if (err == -ECONNRESET && vgg_backend_state(g) == -ENOENT)
			gone = true;
		if (err > 0 || gone)
			err = 0;
	}
	vgg_port_free(g, g->port);
	g->port = 0;
	g->ctl = NULL;
	ended = vgg_unshare(g, &g->ctl_pages);
	if (!err)
		err = ended;
	if (!err && !gone)
		err = vgg_set_frontend_state(g, VG_XENBUS_CLOSED);
	return err;
}

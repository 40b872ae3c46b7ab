// SPDX-License-Identifier: MIT
/*
 * Requests through xenstore, in the domain's own directory data/:
 *   req/ID   "S SCRIPT", or "P N" when the script lies in part/ID/0 to N-1; dom0 writes it, the
 *            domain removes it
 *   done/ID  "STATUS S OUTPUT", or "STATUS P N" with the output in out/ID/0 to N-1; the domain
 *            writes it, dom0 removes it
 *   agent    written when the domain begins to serve
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <xenstore.h>

/* xenstored lets a domain write nodes of up to 2048 bytes, all that belongs to them included. */
#define PART_SIZE   1536
#define PARTS_MAX   (AGENT_OUTPUT_MAX / PART_SIZE + 1)
#define DOMAINS_MAX 64
#define WAITING_MAX 64
#define DATA_SIZE   64
#define PATH_SIZE   256

static struct xs_handle *xs;

/*
 * A removal fires the watch like a write. The last ones are remembered: looking for a node that is
 * not there costs as much as the rest of a request.
 */
static char removed[64][AGENT_ID_MAX];
static unsigned int removed_next;

static bool id_removed(const char *id)
{
	size_t i;

	for (i = 0; i < sizeof(removed) / sizeof(removed[0]); i++)
		if (!strcmp(removed[i], id))
			return true;
	return false;
}

static void remove_id(const char *path, const char *id)
{
	char *slot = removed[removed_next++ % (sizeof(removed) / sizeof(removed[0]))];

	id_copy(slot, id);
	xs_rm(xs, XBT_NULL, path);
}

/* ---- values that may be longer than a node ---- */

/* DATA/NODE/ID = "HEAD S value" or, in parts below DATA/PARTS/ID, "HEAD P number". */
static int value_write(const char *data, const char *node, const char *parts, const char *id,
		       const char *head, const char *value, size_t len)
{
	char path[PATH_SIZE], buffer[PART_SIZE + 32];
	size_t n, count = 0;
	int used;

	if (len <= PART_SIZE) {
		used = snprintf(buffer, sizeof(buffer), "%sS ", head);
		if (len)
			memcpy(buffer + used, value, len);
		used += (int)len;
	} else {
		for (; len; value += n, len -= n) {
			n = len < PART_SIZE ? len : PART_SIZE;
			snprintf(path, sizeof(path), "%s/%s/%s/%zu", data, parts, id, count++);
			if (!xs_write(xs, XBT_NULL, path, value, (unsigned int)n))
				return -errno;
		}
		used = snprintf(buffer, sizeof(buffer), "%sP %zu", head, count);
	}
	snprintf(path, sizeof(path), "%s/%s/%s", data, node, id);
	return xs_write(xs, XBT_NULL, path, buffer, (unsigned int)used) ? 0 : -errno;
}

/* value: what stands behind the head, "S …" or "P …". The parts are removed. */
static int value_read(const char *data, const char *parts, const char *id, const char *value,
		      size_t len, struct bytes *whole)
{
	char path[PATH_SIZE];
	unsigned long i, count;
	int err = 0;

	if (len >= 2 && !memcmp(value, "S ", 2))
		return bytes_add(whole, value + 2, len - 2);
	if (len < 2 || memcmp(value, "P ", 2) != 0)
		return -EPROTO;
	count = strtoul(value + 2, NULL, 10);
	if (count > PARTS_MAX)
		return -EMSGSIZE;
	for (i = 0; i < count && !err; i++) {
		unsigned int n;
		char *part;

		snprintf(path, sizeof(path), "%s/%s/%s/%lu", data, parts, id, i);
		part = xs_read(xs, XBT_NULL, path, &n);
		err = part ? bytes_add(whole, part, n) : -errno;
		free(part);
	}
	snprintf(path, sizeof(path), "%s/%s/%s", data, parts, id);
	xs_rm(xs, XBT_NULL, path);
	return err;
}

/* ---- dom0: the relay ---- */

/* Requests that have no answer yet, so that a domain's end is one. */
static struct relay_head waiting[WAITING_MAX]; /* domid 0: free */

static void waiting_add(const struct relay_head *head)
{
	int i;

	for (i = 0; i < WAITING_MAX && waiting[i].domid; i++)
		;
	/* Past that many the host's own time-out has to do. */
	if (i < WAITING_MAX)
		waiting[i] = *head;
}

static void waiting_end(const char *id)
{
	int i;

	for (i = 0; i < WAITING_MAX; i++)
		if (waiting[i].domid && !strcmp(waiting[i].id, id))
			waiting[i].domid = 0;
}

static void refuse(const char *id, const char *why)
{
	serial_answer(id, AGENT_UNREACHABLE, why, strlen(why));
}

static struct domain {
	uint32_t domid; /* 0: free */
	bool announced;
} domains[DOMAINS_MAX];

static void data_path(char *path, size_t size, uint32_t domid)
{
	snprintf(path, size, "/local/domain/%u/data", domid);
}

static struct domain *domain_find(uint32_t domid)
{
	int i;

	for (i = 0; i < DOMAINS_MAX; i++)
		if (domains[i].domid == domid)
			return &domains[i];
	return NULL;
}

static void relay_answer(const char *data, const char *id)
{
	struct bytes output = {0};
	char path[PATH_SIZE], *value, *rest;
	unsigned int len;
	long status;
	int err = -EPROTO;

	if (!id_valid(id) || id_removed(id))
		return;
	snprintf(path, sizeof(path), "%s/done/%s", data, id);
	value = xs_read(xs, XBT_NULL, path, &len);
	if (!value)
		return;
	status = strtol(value, &rest, 10);
	if (*rest == ' ') {
		rest++;
		err = value_read(data, "out", id, rest, len - (size_t)(rest - value), &output);
	}
	if (err)
		serial_say("E the answer to %s is not whole: %s", id, strerror(-err));
	remove_id(path, id);
	waiting_end(id);
	serial_answer(id, err ? AGENT_GARBLED : (int)status, output.data, output.len);
	bytes_free(&output);
	free(value);
}

/* What a domain's directory holds already when the watch on it is new. */
static void domain_look(struct domain *d, const char *data)
{
	char path[PATH_SIZE], **ids;
	unsigned int n, i;
	char *agent;

	snprintf(path, sizeof(path), "%s/agent", data);
	agent = d->announced ? NULL : xs_read(xs, XBT_NULL, path, NULL);
	if (agent) {
		d->announced = true;
		serial_say("A %u %s", d->domid, agent);
	}
	free(agent);
	snprintf(path, sizeof(path), "%s/done", data);
	ids = xs_directory(xs, XBT_NULL, path, &n);
	for (i = 0; ids && i < n; i++)
		relay_answer(data, ids[i]);
	free(ids);
}

static void domain_watch(uint32_t domid)
{
	char data[DATA_SIZE], token[16];
	struct domain *d = domain_find(0);

	if (domain_find(domid))
		return;
	data_path(data, sizeof(data), domid);
	snprintf(token, sizeof(token), "%u", domid);
	if (!d || !xs_watch(xs, data, token)) {
		serial_say("E cannot watch domain %u", domid);
		return;
	}
	*d = (struct domain){.domid = domid};
}

static void domain_forget(struct domain *d)
{
	char data[DATA_SIZE], token[16];
	int i;

	data_path(data, sizeof(data), d->domid);
	snprintf(token, sizeof(token), "%u", d->domid);
	xs_unwatch(xs, data, token);
	for (i = 0; i < WAITING_MAX; i++) {
		if (waiting[i].domid != d->domid)
			continue;
		waiting[i].domid = 0;
		refuse(waiting[i].id, "the domain is gone\n");
	}
	d->domid = 0;
}

/* A domain came or went: a watch on each directory that there is. */
static void domains_look(void)
{
	unsigned int n = 0, i;
	struct domain *d;
	char **names;

	names = xs_directory(xs, XBT_NULL, "/local/domain", &n);
	if (!names)
		return;
	for (d = domains; d < domains + DOMAINS_MAX; d++) {
		bool there = !d->domid;

		for (i = 0; i < n && !there; i++)
			there = strtoul(names[i], NULL, 10) == d->domid;
		if (!there)
			domain_forget(d);
	}
	for (i = 0; i < n; i++) {
		unsigned long domid = strtoul(names[i], NULL, 10);

		if (domid)
			domain_watch((uint32_t)domid);
	}
	free(names);
}

static void relay_request(const struct relay_head *head, const char *script, size_t len)
{
	char data[DATA_SIZE];
	int err;

	/* A write would make the directory of a domain that is not there. */
	if (!domain_find(head->domid))
		domains_look();
	if (!domain_find(head->domid)) {
		refuse(head->id, "no such domain\n");
		return;
	}
	waiting_add(head);
	data_path(data, sizeof(data), head->domid);
	err = value_write(data, "req", "part", head->id, "", script, len);
	if (err) {
		waiting_end(head->id);
		refuse(head->id, strerror(-err));
	}
}

static void relay_event(const char *path, const char *token)
{
	unsigned long domid = strtoul(token, NULL, 10);
	struct domain *d;
	char data[DATA_SIZE];
	const char *below;

	if (!domid) {
		domains_look();
		return;
	}
	d = domain_find((uint32_t)domid);
	data_path(data, sizeof(data), (uint32_t)domid);
	if (!d || strncmp(path, data, strlen(data)) != 0)
		return;
	below = path + strlen(data);
	if (!strncmp(below, "/done/", 6))
		relay_answer(data, below + 6);
	else if (!*below || !strcmp(below, "/agent"))
		domain_look(d, data);
}

/* Handles what has fired; false when xenstore is gone. */
static bool events_take(void (*event)(const char *path, const char *token))
{
	char **fired;

	while ((fired = xs_check_watch(xs))) {
		event(fired[XS_WATCH_PATH], fired[XS_WATCH_TOKEN]);
		free(fired);
	}
	return errno == EAGAIN;
}

int relay_serve(int socket)
{
	static struct {
		struct relay_head head;
		char script[AGENT_SCRIPT_MAX];
	} message;
	struct pollfd fds[2];

	xs = xs_open(0);
	if (!xs)
		return -errno;
	if (!xs_watch(xs, "@introduceDomain", "0") || !xs_watch(xs, "@releaseDomain", "0"))
		return -errno;
	fds[0] = (struct pollfd){.fd = socket, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = xs_fileno(xs), .events = POLLIN};
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents) {
			ssize_t n = recv(socket, &message, sizeof(message), MSG_DONTWAIT);

			if (!n)
				return -EPIPE;
			if (n >= (ssize_t)sizeof(message.head))
				relay_request(&message.head, message.script,
					      (size_t)n - sizeof(message.head));
		}
		if (fds[1].revents && !events_take(relay_event))
			return -EIO;
	}
}

/* ---- the other domains ---- */

static void store_done(const char *id, int status, const struct bytes *output)
{
	char head[16];
	const char *why;
	int err;

	printf("lab< %s: status %d\n", id, status);
	snprintf(head, sizeof(head), "%d ", status);
	err = value_write("data", "done", "out", id, head, output->data, output->len);
	if (err) {
		why = strerror(-err);
		printf("lab: the answer to %s cannot be stored: %s\n", id, why);
		snprintf(head, sizeof(head), "%d ", AGENT_REFUSED);
		value_write("data", "done", "out", id, head, why, strlen(why));
	}
}

static void store_request(const char *id)
{
	struct bytes script = {0};
	char path[PATH_SIZE], *value;
	unsigned int len;
	int err;

	if (!id_valid(id) || id_removed(id))
		return;
	snprintf(path, sizeof(path), "data/req/%s", id);
	value = xs_read(xs, XBT_NULL, path, &len);
	if (!value)
		return;
	remove_id(path, id);
	err = value_read("data", "part", id, value, len, &script);
	free(value);
	if (!err) {
		size_t first = strcspn(script.len ? script.data : "", "\n");

		printf("lab> %s: %.*s\n", id, (int)(first < 120 ? first : 120),
		       script.len ? script.data : "");
		err = request_start(id, script.data, script.len);
	}
	bytes_free(&script);
	if (err) {
		struct bytes why = {.data = strerror(-err)};

		why.len = strlen(why.data);
		store_done(id, AGENT_REFUSED, &why);
	}
}

/*
 * The watch fires once when it is new, and again when the kernel sets it anew after the domain was
 * restored from a file, maybe under another number and with a directory that knows of no agent.
 */
static void store_event(const char *path, const char *token)
{
	char **ids;
	unsigned int n = 0, i;

	(void)token;
	if (!strncmp(path, "data/req/", 9)) {
		store_request(path + 9);
	} else if (!strcmp(path, "data/req")) {
		xs_write(xs, XBT_NULL, "data/agent", "ready", 5);
		ids = xs_directory(xs, XBT_NULL, "data/req", &n);
		for (i = 0; ids && i < n; i++)
			store_request(ids[i]);
		free(ids);
	}
}

static void first_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");

	if (!file || !fgets(line, (int)size, file))
		line[0] = '\0';
	line[strcspn(line, " \n")] = '\0';
	if (file)
		fclose(file);
}

static void greet(void)
{
	char type[32], uptime[64];
	char *name = xs_read(xs, XBT_NULL, "name", NULL);
	char *domid = xs_read(xs, XBT_NULL, "domid", NULL);
	struct utsname uts;

	first_line("/sys/hypervisor/guest_type", type, sizeof(type));
	first_line("/proc/uptime", uptime, sizeof(uptime));
	uname(&uts);
	printf("lab: %s is domain %s, %s, Linux %s, up %s s\n", name ? name : "?",
	       domid ? domid : "?", type, uts.release, uptime);
	free(name);
	free(domid);
}

int store_serve(void)
{
	struct pollfd fds[2];

	setvbuf(stdout, NULL, _IOLBF, 0);
	fds[0] = (struct pollfd){.fd = request_init(), .events = POLLIN};
	if (fds[0].fd < 0)
		return fds[0].fd;
	xs = xs_open(0);
	if (!xs)
		return -errno;
	greet();
	if (!xs_watch(xs, "data/req", "0"))
		return -errno;
	fds[1] = (struct pollfd){.fd = xs_fileno(xs), .events = POLLIN};
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents)
			request_reap(store_done, NULL);
		if (fds[1].revents && !events_take(store_event))
			return -EIO;
	}
}

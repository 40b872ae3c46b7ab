// SPDX-License-Identifier: MIT
/*
 * dom0's end of the line to the lab: a serial one, or a port of a virtio console.
 * To it:   "P ID TEXT" a line of a script, "p ID TEXT" a piece of one, without its newline,
 *          "X ID DOMID PIECES" run it in that domain, "F NAME" send that domain's console from now
 * on. From it: "L NAME TEXT" a line of a domain's console, "O ID BASE64" output, "R ID STATUS" the
 * end of a request, "A DOMID" a domain's agent came up, "E TEXT" dom0's own news.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define LOG_PERIOD_MS 100
#define LOG_LINE_MAX  1000
#define LOG_AT_ONCE   65536
#define LOGS_MAX      32
#define INCOMING_MAX  16
#define SERIAL_LINE   4096
/* Output bytes in one line; a multiple of three, so that no line but the last is padded. */
#define ANSWER_PIECE 600

static int serial = -1;

/* A script of which not all lines have come. */
static struct incoming {
	char id[AGENT_ID_MAX]; /* empty: free */
	struct bytes script;
	unsigned long pieces;
	bool lost;
} incoming[INCOMING_MAX];
static unsigned int incoming_next;

static struct console {
	char name[AGENT_ID_MAX]; /* empty: free */
	int fd;
	size_t len;
	char line[LOG_LINE_MAX];
} consoles[LOGS_MAX];

static pid_t relay_pid;
static int relay_socket = -1;

/* ---- to the host ---- */

/* The terminal layer keeps what one write brings together, whoever else writes. */
static void serial_write(const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(serial, data, len);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return; /* nobody is left to tell */
		if (n > 0)
			data += n, len -= (size_t)n;
	}
}

void serial_say(const char *format, ...)
{
	char line[SERIAL_LINE];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	serial_write(line, (size_t)n);
}

static void base64(char *out, const unsigned char *in, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	enum { PAD = 64 };

	for (; len; in += 3) {
		size_t n = len < 3 ? len : 3;
		unsigned int v = (unsigned int)in[0] << 16;

		if (n > 1)
			v |= (unsigned int)in[1] << 8;
		if (n > 2)
			v |= in[2];
		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = digits[n > 1 ? v >> 6 & 63 : PAD];
		*out++ = digits[n > 2 ? v & 63 : PAD];
		len -= n;
	}
	*out = '\0';
}

void serial_answer(const char *id, int status, const void *output, size_t len)
{
	char encoded[ANSWER_PIECE / 3 * 4 + 1];
	const unsigned char *data = output;
	size_t n;

	for (; len; data += n, len -= n) {
		n = len < ANSWER_PIECE ? len : ANSWER_PIECE;
		base64(encoded, data, n);
		serial_say("O %s %s", id, encoded);
	}
	serial_say("R %s %d", id, status);
}

static void refuse(const char *id, int status, const char *why)
{
	serial_answer(id, status, why, strlen(why));
}

/* ---- the consoles' logs ---- */

static void console_add(const char *name)
{
	struct console *c = NULL;
	int i;

	if (strlen(name) >= sizeof(c->name) || strchr(name, '/'))
		return;
	for (i = 0; i < LOGS_MAX; i++) {
		if (!strcmp(consoles[i].name, name))
			return;
		if (!c && !consoles[i].name[0])
			c = &consoles[i];
	}
	if (!c) {
		serial_say("E no room to follow the console of %s", name);
		return;
	}
	id_copy(c->name, name);
	c->fd = -1;
	c->len = 0;
}

static void console_bytes(struct console *c, const char *data, size_t len)
{
	for (; len; data++, len--) {
		if (*data == '\n' || c->len == sizeof(c->line)) {
			serial_say("L %s %.*s", c->name, (int)c->len, c->line);
			c->len = 0;
		}
		/* No control characters but tabs: the host reads lines. */
		if ((unsigned char)*data >= ' ' || *data == '\t')
			c->line[c->len++] = *data;
	}
}

/* Passes on what xenconsoled has written since the last time; at most so much of each. */
static void consoles_poll(void)
{
	char buffer[4096], path[256];
	struct console *c;

	for (c = consoles; c < consoles + LOGS_MAX && c->name[0]; c++) {
		size_t total = 0;
		ssize_t n;

		if (c->fd < 0) {
			snprintf(path, sizeof(path), "%s/guest-%.*s.log", log_dir(), AGENT_ID_MAX,
				 c->name);
			c->fd = open(path, O_RDONLY | O_CLOEXEC);
			if (c->fd < 0)
				continue;
		}
		while (total < LOG_AT_ONCE && (n = read(c->fd, buffer, sizeof(buffer))) > 0) {
			console_bytes(c, buffer, (size_t)n);
			total += (size_t)n;
		}
	}
}

/* ---- from the host ---- */

static void request_done(const char *id, int status, const struct bytes *output)
{
	/* So that the host has every line that was there when the request ended. */
	consoles_poll();
	serial_answer(id, status, output->data, output->len);
}

static struct incoming *incoming_find(const char *id)
{
	int i;

	for (i = 0; i < INCOMING_MAX; i++)
		if (!strcmp(incoming[i].id, id))
			return &incoming[i];
	return NULL;
}

static void incoming_forget(struct incoming *in)
{
	bytes_free(&in->script);
	memset(in, 0, sizeof(*in));
}

static void on_piece(const char *id, const char *text, bool whole)
{
	struct incoming *in = incoming_find(id);

	if (!in) {
		/* The oldest goes: one whose end was lost must not take room for ever. */
		in = &incoming[incoming_next++ % INCOMING_MAX];
		incoming_forget(in);
		id_copy(in->id, id);
	}
	in->pieces++;
	if (in->script.len + strlen(text) + 1 > AGENT_SCRIPT_MAX ||
	    bytes_add(&in->script, text, strlen(text)) ||
	    (whole && bytes_add(&in->script, "\n", 1)))
		in->lost = true;
}

static void relay_start(void)
{
	int pair[2], err;
	pid_t pid;

	if (relay_socket >= 0)
		close(relay_socket);
	relay_socket = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		serial_say("E no relay: %s", strerror(errno));
		return;
	}
	pid = fork();
	if (!pid) {
		close(pair[0]);
		err = relay_serve(pair[1]);
		serial_say("E the relay to the other domains ends: %s", strerror(-err));
		_exit(1);
	}
	close(pair[1]);
	if (pid < 0) {
		serial_say("E no relay: %s", strerror(errno));
		close(pair[0]);
		return;
	}
	relay_pid = pid;
	relay_socket = pair[0];
}

static void relay_send(struct incoming *in, uint32_t domid)
{
	struct relay_head head = {.domid = domid};
	struct iovec iov[2] = {{&head, sizeof(head)}, {in->script.data, in->script.len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	id_copy(head.id, in->id);
	if (sendmsg(relay_socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		refuse(in->id, AGENT_UNREACHABLE, "the relay to the other domains is stuck\n");
}

static void on_run(const char *id, unsigned long domid, unsigned long pieces)
{
	static struct incoming none;
	struct incoming *in = incoming_find(id);

	if (!in) {
		in = &none;
		id_copy(in->id, id);
	}
	if (in->lost) {
		refuse(id, AGENT_GARBLED, "the script is too long\n");
	} else if (in->pieces != pieces) {
		refuse(id, AGENT_GARBLED, "the request was garbled on its way\n");
	} else if (domid) {
		relay_send(in, (uint32_t)domid);
	} else {
		int err = request_start(id, in->script.data, in->script.len);

		if (err)
			refuse(id, AGENT_REFUSED, strerror(-err));
	}
	incoming_forget(in);
}

/* "VERB ID REST"; the rest of P and p is taken as it is. */
static void on_line(char *line)
{
	char *id, *rest, *end;
	unsigned long domid;

	if (!line[0] || line[1] != ' ')
		goto bad;
	id = line + 2;
	if (line[0] == 'F') {
		console_add(id);
		return;
	}
	rest = strchr(id, ' ');
	if (!rest)
		goto bad;
	*rest++ = '\0';
	if (!id_valid(id))
		goto bad;
	if (line[0] == 'P' || line[0] == 'p') {
		on_piece(id, rest, line[0] == 'P');
	} else if (line[0] == 'X') {
		domid = strtoul(rest, &end, 10);
		on_run(id, domid, strtoul(end, NULL, 10));
	} else {
		goto bad;
	}
	return;
bad:
	serial_say("E the host said something odd: %.60s", line);
}

static int serial_read(void)
{
	static char line[SERIAL_LINE];
	static size_t len;
	char buffer[1024];
	ssize_t n, i;

	n = read(serial, buffer, sizeof(buffer));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	if (!n)
		return -EPIPE;
	for (i = 0; i < n; i++) {
		if (buffer[i] == '\n') {
			line[len] = '\0';
			on_line(line);
			len = 0;
		} else if (len < sizeof(line) - 1) {
			/* What is too long is cut, and its request is found garbled or fails. */
			line[len++] = buffer[i];
		}
	}
	return 0;
}

/* ---- the loop ---- */

static void child_ended(pid_t pid)
{
	struct timespec second = {.tv_sec = 1};

	if (pid != relay_pid)
		return;
	serial_say("E the relay to the other domains ended; started again");
	nanosleep(&second, NULL);
	relay_start();
}

static int serial_open(const char *device)
{
	struct termios t;

	serial = open(device, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (serial < 0)
		return -errno;
	if (!isatty(serial))
		return 0; /* a port of a virtio console passes on what it is given */
	if (tcgetattr(serial, &t))
		return -errno;
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	t.c_cflag |= CLOCAL | CREAD;
	return tcsetattr(serial, TCSANOW, &t) ? -errno : 0;
}

int serial_serve(const char *device, const char *greeting)
{
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
	int err;

	err = serial_open(device);
	if (err)
		return err;
	fds[0].fd = serial;
	fds[1].fd = request_init();
	if (fds[1].fd < 0)
		return fds[1].fd;
	relay_start();
	serial_say("E ready, %s", greeting);
	while (!err) {
		int n = poll(fds, 2, consoles[0].name[0] ? LOG_PERIOD_MS : -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && fds[1].revents)
			request_reap(request_done, child_ended);
		if (n > 0 && fds[0].revents)
			err = serial_read();
		consoles_poll();
	}
	return err;
}

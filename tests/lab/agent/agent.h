// SPDX-License-Identifier: MIT
/*
 * labagent: what answers the lab's requests inside the machine. "labagent dom0" sits on the second
 * serial line, "labagent domu" on the domain's own xenstore directory. A request is a script with
 * an identifier; it runs in a shell of its own, so that one that hangs stops nobody else.
 */
#ifndef LAB_AGENT_H
#define LAB_AGENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AGENT_ID_MAX     64
#define AGENT_SCRIPT_MAX 65536
#define AGENT_OUTPUT_MAX 262144

/* Statuses of requests that no shell has seen. */
#define AGENT_GARBLED     254
#define AGENT_UNREACHABLE 255
#define AGENT_REFUSED     253

/* Bytes that grow; size is what is allocated. */
struct bytes {
	char *data;
	size_t len, size;
};

int bytes_add(struct bytes *b, const void *data, size_t len);
void bytes_free(struct bytes *b);

/* Identifiers become names of files and nodes. */
int id_valid(const char *id);
void id_copy(char to[AGENT_ID_MAX], const char *id);

/* Where scripts and output lie, and xenconsoled's logs: LABAGENT_RUN and LABAGENT_LOGS, for tests.
 */
const char *run_dir(void);
const char *log_dir(void);

/* ---- request.c: running scripts, and reaping all children ---- */

/* Blocks SIGCHLD and returns a descriptor that is readable when a child has ended. */
int request_init(void);

/* Starts the script; 0 or a negative errno. Its end is told by request_reap. */
int request_start(const char *id, const void *script, size_t len);

/* Takes what has ended: calls done for each request, other for each other child's pid. */
void request_reap(void (*done)(const char *id, int status, const struct bytes *output),
		  void (*other)(pid_t pid));

/* ---- serial.c: the line between dom0 and the host, and the logs that go over it ---- */

/* One line; words go out whole also when two processes write. */
void serial_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void serial_answer(const char *id, int status, const void *output, size_t len);

/* Says that it is ready, and serves the line and dom0's own requests for ever. */
int serial_serve(const char *device, const char *greeting);

/* ---- store.c: requests and answers of the other domains, through xenstore ---- */

/* In dom0, a process of its own, since xenstored may hang: passes on what comes over the socket. */
struct relay_head {
	uint32_t domid;
	char id[AGENT_ID_MAX];
};
int relay_serve(int socket);

/* In any other domain: serves for ever. */
int store_serve(void);

#endif

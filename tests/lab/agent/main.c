// SPDX-License-Identifier: MIT
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int bytes_add(struct bytes *b, const void *data, size_t len)
{
	if (len > b->size - b->len) {
		size_t size = (b->len + len) * 2;
		char *grown = realloc(b->data, size);

		if (!grown)
			return -ENOMEM;
		b->data = grown;
		b->size = size;
	}
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){0};
}

int id_valid(const char *id)
{
	size_t len = strlen(id);

	return len && len < AGENT_ID_MAX && strspn(id, "0123456789-") == len;
}

void id_copy(char to[AGENT_ID_MAX], const char *id)
{
	size_t len = strnlen(id, AGENT_ID_MAX - 1);

	memcpy(to, id, len);
	to[len] = '\0';
}

static const char *dir(const char *variable, const char *usual)
{
	const char *name = getenv(variable);

	return name ? name : usual;
}

const char *run_dir(void)
{
	return dir("LABAGENT_RUN", "/run/lab");
}

const char *log_dir(void)
{
	return dir("LABAGENT_LOGS", "/var/log/xen");
}

int main(int argc, char **argv)
{
	int err = -EINVAL;

	if (argc == 4 && !strcmp(argv[1], "dom0"))
		err = serial_serve(argv[2], argv[3]);
	else if (argc == 2 && !strcmp(argv[1], "domu"))
		err = store_serve();
	else
		fputs("usage: labagent dom0 SERIAL-LINE GREETING | labagent domu\n", stderr);
	fprintf(stderr, "labagent: %s\n", strerror(-err));
	return 1;
}

// SPDX-License-Identifier: MIT
/* xensimctl DIR COMMAND...: talk to a running xensim. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S 30

static int ctl_connect(const char *dir)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = TIMEOUT_S};
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/ctl", dir);
	int fd;

	if (n < 0 || (size_t)n >= sizeof(sa.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		n = errno;
		close(fd);
		errno = n;
		return -1;
	}
	return fd;
}

int main(int argc, char **argv)
{
	static char reply[131072];
	char line[4096];
	size_t len = 0;
	ssize_t n;
	int fd;

	if (argc < 3) {
		fprintf(stderr, "usage: xensimctl DIR create [name=NAME] [mem=MiB] [id=N] [priv]\n"
				"                     [grants=N] [maptrack=N] [ports=N]\n"
				"       xensimctl DIR destroy DOMID\n"
				"       xensimctl DIR list | dump | stats\n"
				"       xensimctl DIR fault DOMID RULES | clear\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		int k = snprintf(line + len, sizeof(line) - len, "%s%s", i > 2 ? " " : "", argv[i]);

		len += k > 0 ? (size_t)k : 0;
		if (len >= sizeof(line)) {
			fprintf(stderr, "xensimctl: that is too long\n");
			return 2;
		}
	}
	fd = ctl_connect(argv[1]);
	if (fd < 0) {
		fprintf(stderr, "xensimctl: cannot reach the xensim of %s: %s\n", argv[1],
			strerror(errno));
		return 1;
	}
	n = send(fd, line, len, MSG_NOSIGNAL) < 0 ? -1 : recv(fd, reply, sizeof(reply) - 1, 0);
	close(fd);
	if (n < 2) {
		fprintf(stderr, "xensimctl: xensim does not answer\n");
		return 1;
	}
	reply[n] = '\0';
	if (reply[0] != '+') {
		fprintf(stderr, "xensimctl: %s", reply + 2);
		return 1;
	}
	fputs(reply + 2, stdout);
	return 0;
}

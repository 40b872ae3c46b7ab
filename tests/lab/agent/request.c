// SPDX-License-Identifier: MIT
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUESTS_MAX 64
static struct request {
	pid_t pid; /* 0: free */
	char id[AGENT_ID_MAX];
} requests[REQUESTS_MAX];

static int child_fd = -1;

int request_init(void)
{
	sigset_t set;

	if (mkdir(run_dir(), 0700) && errno != EEXIST)
		return -errno;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	child_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return child_fd < 0 ? -errno : child_fd;
}

/* Here a person, and the diagnosis of a hang, finds what a request has said so far. */
static void request_path(char *path, size_t size, const char *id, const char *suffix)
{
	snprintf(path, size, "%s/%s.%s", run_dir(), id, suffix);
}

static int write_file(const char *path, const char *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = 0;

	if (fd < 0)
		return -errno;
	while (len && !err) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			err = errno == EINTR ? 0 : -errno;
		else
			data += n, len -= (size_t)n;
	}
	if (close(fd) && !err)
		err = -errno;
	return err;
}

/* The shell gets the signals as they are at the start of a program, not as the agent has them. */
static int spawn_shell(pid_t *pid, char *script, const char *output)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	char sh[] = "sh", *argv[] = {sh, script, NULL};
	sigset_t none, pipe;
	int err;

	err = posix_spawn_file_actions_init(&files);
	if (err)
		return -err;
	err = posix_spawnattr_init(&attr);
	if (err)
		goto out_files;
	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipe);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	err = posix_spawn_file_actions_addclosefrom_np(&files, 3);
	if (!err)
		err = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (!err)
		err = posix_spawn_file_actions_addopen(
			&files, 1, output, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&files, 1, 2);
	if (!err)
		err = posix_spawnp(pid, sh, &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
out_files:
	posix_spawn_file_actions_destroy(&files);
	return -err;
}

int request_start(const char *id, const void *script, size_t len)
{
	char path[256], output[256];
	struct request *r = NULL;
	int err, i;

	for (i = 0; i < REQUESTS_MAX && !r; i++)
		if (!requests[i].pid)
			r = &requests[i];
	if (!r)
		return -EBUSY;
	request_path(path, sizeof(path), id, "sh");
	request_path(output, sizeof(output), id, "out");
	err = write_file(path, script, len);
	if (!err)
		err = spawn_shell(&r->pid, path, output);
	if (err) {
		r->pid = 0;
		unlink(path);
		unlink(output);
		return err;
	}
	id_copy(r->id, id);
	return 0;
}

/* The end of what the request has said; what does not fit is left out at the front. */
static void read_output(const char *path, struct bytes *output)
{
	char buffer[4096];
	struct stat st;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!fstat(fd, &st) && st.st_size > AGENT_OUTPUT_MAX)
		lseek(fd, -AGENT_OUTPUT_MAX, SEEK_END);
	/* What a process in the background still writes has no end. */
	while (output->len < AGENT_OUTPUT_MAX && (n = read(fd, buffer, sizeof(buffer))) > 0)
		if (bytes_add(output, buffer, (size_t)n))
			break;
	close(fd);
}

static void request_over(struct request *r, int status,
			 void (*done)(const char *id, int status, const struct bytes *output))
{
	struct bytes output = {0};
	char path[256];

	request_path(path, sizeof(path), r->id, "sh");
	unlink(path);
	request_path(path, sizeof(path), r->id, "out");
	read_output(path, &output);
	unlink(path);
	r->pid = 0;
	done(r->id, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), &output);
	bytes_free(&output);
}

void request_reap(void (*done)(const char *id, int status, const struct bytes *output),
		  void (*other)(pid_t pid))
{
	struct signalfd_siginfo info;
	pid_t pid;
	int status, i;

	/* Several ends may be one signal. */
	while (read(child_fd, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		bool ours = false;

		for (i = 0; i < REQUESTS_MAX && !ours; i++) {
			if (requests[i].pid != pid)
				continue;
			request_over(&requests[i], status, done);
			ours = true;
		}
		/* As init the agent also gets the children of those that died. */
		if (!ours && other)
			other(pid);
	}
}

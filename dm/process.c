/* SPDX-License-Identifier: MIT */
/* What makes a program a daemon. */
#include "dm/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dm/logfile.h"

int process_lock(const char *run_dir)
{
    char path[4096], pid[16] = "";
    ssize_t n;
    int fd;

    if (mkdir(run_dir, 0755) && errno != EEXIST) {
        message("cannot make the directory %s: %m", run_dir);
        return -1;
    }
    snprintf(path, sizeof(path), "%s/xl-dmd.lock", run_dir);
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        message("cannot open %s: %m", path);
        return -1;
    }
    if (!flock(fd, LOCK_EX | LOCK_NB))
        return fd;
    n = read(fd, pid, sizeof(pid) - 1);
    pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
    message("another xl-dmd uses %s (process %s)", run_dir, pid[0] ? pid : "unknown");
    close(fd);
    return -1;
}

int process_write_pid(int fd)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

    if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) != n)
        return -1;
    return 0;
}

int process_write_pidfile(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644), r;

    if (fd < 0)
        return -1;
    r = process_write_pid(fd);
    close(fd);
    return r;
}

static void wait_for_child(int fd, pid_t child)
{
    char ready;
    int status;
    ssize_t n;

    do {
        n = read(fd, &ready, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(0);
    /* The child is ending and has said why. */
    if (waitpid(child, &status, 0) == child && WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    _exit(1);
}

int process_background(void)
{
    int fds[2];
    pid_t child;

    if (pipe2(fds, O_CLOEXEC)) {
        message("cannot make a pipe: %m");
        return -1;
    }
    child = fork();
    if (child < 0) {
        message("cannot start a process: %m");
        return -1;
    }
    if (child) {
        close(fds[1]);
        wait_for_child(fds[0], child);
    }
    close(fds[0]);
    setsid();
    return fds[1];
}

void process_ready(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO)
            close(null);
    }
    (void)!write(fd, "", 1);
    close(fd);
}

void process_allow_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* what does not fit later says so itself */
}

int process_drop_privileges(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

    memset(none, 0, sizeof(none));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return -1;
    return (int)syscall(SYS_capset, &header, none);
}

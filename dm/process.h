/* SPDX-License-Identifier: MIT */
/* What makes a program a daemon: one instance, the background, the files that tell its number, its limits. */
#ifndef DM_PROCESS_H
#define DM_PROCESS_H

/*
 * Takes the lock RUN-DIR/xl-dmd.lock, which also tells the process's number, and holds it until the process
 * ends. Returns its descriptor, or -1 after a message.
 */
int process_lock(const char *run_dir);
/* Writes the number of this process to the lock or to a file of its own. -1 with errno. */
int process_write_pid(int fd);
int process_write_pidfile(const char *path);

/*
 * Goes to the background. Returns, in the child, a descriptor for process_ready(); the parent waits there
 * and exits with the child's result. -1 after a message.
 */
int process_background(void);
/* The start has succeeded: the parent may exit with 0. Standard streams are closed. */
void process_ready(int fd);

/* As many open files as whoever started us allows at most: each vCPU of a guest takes one. */
void process_allow_files(void);

/*
 * Gives up every capability, for good. Everything that needs one has been opened by then; files and
 * directories of the daemon are its own user's. -1 with errno.
 */
int process_drop_privileges(void);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What xl-lite's commands share: the connection to the hypervisor, messages, options, domains by
 * name.
 */
#ifndef TOOLS_XL_H
#define TOOLS_XL_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <xenctrl.h>

#include "../libs/guest_state.h"

/* Exit codes, as xl has them. */
enum { XL_OK = 0, XL_FAILED = 1, XL_USAGE = 2 };

#define XL_CONTROL_NAME "Domain-0"
#define XL_LAST_DOMID   0x7fefu

/* The one connection of this process. Opened by the first xl_open(). */
struct xl {
    xentoollog_logger logger; /* must come first: the library hands it back */
    xc_interface *xch;
    unsigned verbose;
    char last[256]; /* the library's latest error message, or "" */
};
extern struct xl xl;

/* Opens the connection, or says why not and returns -1. */
int xl_open(void);
void xl_close(void);

/* Prints "xl-lite: ..." on standard error. Returns -1. */
int xl_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void xl_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints "xl-lite: ...: reason", where reason is the library's latest message, else errno's text.
 * Returns -1. */
int xl_hv_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whole-string unsigned numbers, decimal or 0x. Return 0 or -1. */
int xl_number(const char *text, uint64_t max, uint64_t *out);

/* A command of the table in main.c. */
struct xl_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments; /* for its help: what follows the name */
    const char *summary;
    const char *options; /* lines for its help, or NULL */
};
extern const struct xl_command *xl_current;

/*
 * getopt_long() for the running command; adds -h and --help. Returns -1 at the end, and on -h or a
 * wrong option leaves with the command's exit code in *status and returns 0.
 */
int xl_getopt(int argc, char **argv, const char *short_options, const struct option *long_options,
              int *status);

/* Checks the number of arguments left after the options; says what is wrong. Returns 0 or XL_USAGE.
 */
int xl_arguments(int argc, int min, int max);

/* Options of a command that has none, then min to max arguments. Sets *stop if the exit code it
 * returns is final. */
int xl_plain_arguments(int argc, char **argv, int min, int max, bool *stop);

void xl_print_help(const struct xl_command *command, bool to_stderr);

/* -------- domains -------- */

/*
 * Finds a domain by number or name. Returns 0, or -1 after having said that there is none. A domain
 * that is being torn down has no name any more.
 */
int xl_find_domain(const char *text, uint32_t *domid);

/* The same for what the control domain is spared: "cannot <what> the control domain". */
int xl_find_guest(const char *text, uint32_t *domid, const char *what);

/* All domains, ascending. The caller frees. Returns their number or -1 (said why). */
int xl_domains(xc_domaininfo_t **list);

/* One domain: 1 found, 0 no such domain, -1 error (errno). */
int xl_domain_info(uint32_t domid, xc_domaininfo_t *info);

/* The name: from the state file, else xenstore's, else "". */
void xl_domain_name(const xc_domaininfo_t *info, char name[STATE_NAME_MAX + 1]);

/* The state file if it belongs to this very domain (same UUID). Returns 0 or a negative errno. Free
 * the state in either case. */
int xl_domain_state(const xc_domaininfo_t *info, struct guest_state *state);

/* Destroys a domain with all that belongs to it: state file, records in xenstore. Returns 0 or -1
 * with errno. */
int xl_domain_destroy(uint32_t domid);

/* Shutdown reason of a domain that is shut down. */
unsigned xl_shutdown_reason(const xc_domaininfo_t *info);

/* -------- xenstore: all of these do nothing where none runs -------- */

/* Is there a xenstored that answers? */
bool xl_store_works(void);

/* Introduces a guest. port is the guest's end. Returns 0 or -1 (said why). */
struct xl_store_guest {
    const char *name, *uuid;
    uint64_t memory_kb;
    unsigned vcpus, maxvcpus;
};
int xl_store_introduce(uint32_t domid, const struct xl_store_guest *guest, uint64_t gfn,
                       uint32_t port);
void xl_store_forget(uint32_t domid);

/* Reads or writes /local/domain/<domid>/<key>. The read value is the caller's to free, or NULL. */
char *xl_store_read(uint32_t domid, const char *key);
int xl_store_write(uint32_t domid, const char *key, const char *value);

/* -------- commands: each returns the exit code -------- */

int cmd_create(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_vcpu_list(int argc, char **argv);
int cmd_destroy(int argc, char **argv);
int cmd_shutdown(int argc, char **argv);
int cmd_reboot(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_unpause(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_dmesg(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_vcpu_pin(int argc, char **argv);
int cmd_mem_set(int argc, char **argv);
int cmd_domid(int argc, char **argv);
int cmd_domname(int argc, char **argv);
int cmd_rename(int argc, char **argv);
int cmd_uptime(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_load(int argc, char **argv);
int cmd_kernel_prepare(int argc, char **argv);
int cmd_pci_assignable_list(int argc, char **argv);
int cmd_pci_assignable_add(int argc, char **argv);
int cmd_pci_assignable_remove(int argc, char **argv);
int cmd_pci_attach(int argc, char **argv);
int cmd_pci_detach(int argc, char **argv);
int cmd_pci_list(int argc, char **argv);
int cmd_pci_info(int argc, char **argv);
int cmd_traps(int argc, char **argv);
int cmd_audit(int argc, char **argv);
int cmd_iommu(int argc, char **argv);
int cmd_p2m(int argc, char **argv);

/* Connects to a guest's console; nothing that the guest writes from now on is missed. wait_ms: for
 * xl-dmd to open it. A descriptor, or negative after an error message. */
int xl_console_open(uint32_t domid, unsigned wait_ms);

/* Joins this terminal to an open console until that ends or the user detaches; closes it. Exit
 * code. */
int xl_console_relay(int fd);

#endif

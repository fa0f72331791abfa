/* SPDX-License-Identifier: MIT */
/*
 * xl-lite: makes and manages guests from the control domain, with the words of Xen's xl. This file
 * has the table of commands and the options that come before one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xl.h"

#ifndef XL_VERSION
#define XL_VERSION "unknown"
#endif

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct xl_command commands[] = {
    { "create", cmd_create, "[options] <ConfigFile> [key=value ...]",
      "Create a guest from a configuration file",
      "  -p                           Leave the guest paused\n"
      "  -c                           Attach this terminal to the guest's console\n"
      "  -n, --dryrun                 Check everything and show what would be done; create "
      "nothing\n"
      "  -q, --quiet                  Say nothing but errors\n"
      "  -F                           Stay in the foreground until the guest is gone\n"
      "  -e                           Do not watch the guest: no on_poweroff, on_reboot, on_crash\n"
      "  -f FILE, --defconfig=FILE    The configuration file\n" },
    { "list", cmd_list, "[options] [Domain]", "List domains",
      "  -l, --long                   All details and the configuration, as JSON\n"
      "  -v, --verbose                UUID and reason of a shutdown, too\n"
      "  --json                       The table as JSON\n" },
    { "destroy", cmd_destroy, "<Domain>", "End a guest at once", NULL },
    { "shutdown", cmd_shutdown, "[options] <-a|Domain>", "Ask a guest to shut down",
      "  -a, --all                    All guests\n"
      "  -w, --wait                   Wait until they are shut down\n"
      "  -F                           If it listens to no xenstore: press its ACPI power "
      "button\n" },
    { "reboot", cmd_reboot, "[options] <-a|Domain>", "Ask a guest to reboot",
      "  -a, --all                    All guests\n" },
    { "pause", cmd_pause, "<Domain>", "Stop a guest's vCPUs", NULL },
    { "unpause", cmd_unpause, "<Domain>", "Let a paused guest run", NULL },
    { "console", cmd_console, "<Domain>",
      "Attach this terminal to a guest's console; Ctrl-] detaches", NULL },
    { "load", cmd_load, "<Domain> {<File> | -s <String>} [-a <Address>] ...",
      "Copy files or strings into a paused guest's memory",
      "  -s STRING                    This text instead of a file\n"
      "  -a ADDRESS                   Guest-physical address for the file or text before "
      "it (0)\n" },
    { "kernel-prepare", cmd_kernel_prepare, "<File> ...",
      "Unpack guests' kernels now, so that no guest's start waits for it", NULL },
    { "mem-set", cmd_mem_set, "<Domain> <MiB['m'|'g'|'k']>",
      "Set how much memory a guest should use", NULL },
    { "vcpu-list", cmd_vcpu_list, "[--json] [Domain ...]",
      "List vCPUs, where they run and where they may run",
      "  --json                       The table as JSON\n" },
    { "vcpu-pin", cmd_vcpu_pin,
      "[-f] <Domain> <vCPU|all> <Hard affinity|-|all> [<Soft affinity|-|all>]",
      "Set on which CPUs a vCPU may run",
      "  -f, --force                  Accepted as xl does; has no effect here\n" },
    { "domid", cmd_domid, "<DomainName>", "Print a domain's number", NULL },
    { "domname", cmd_domname, "<DomainId>", "Print a domain's name", NULL },
    { "rename", cmd_rename, "<Domain> <NewName>", "Give a guest another name", NULL },
    { "uptime", cmd_uptime, "[-s] [Domain ...]", "Print for how long domains exist",
      "  -s                           Short form\n" },
    { "top", cmd_top, "[-b] [-d <Seconds>] [-n <Times>]", "Watch what domains use",
      "  -b                           Batch: plain text, one table after the other\n"
      "  -d SECONDS                   Time between two tables (3)\n"
      "  -n TIMES                     End after that many tables\n" },
    { "pci-assignable-list", cmd_pci_assignable_list, "[--json]",
      "List PCI functions that can be given to guests",
      "  --json                       As JSON\n" },
    { "pci-assignable-add", cmd_pci_assignable_add, "<BDF>",
      "Take a PCI function from its driver, for guests", NULL },
    { "pci-assignable-remove", cmd_pci_assignable_remove, "[-r] <BDF>",
      "Give a PCI function back to the control domain",
      "  -r                           Bind a driver to it again\n" },
    { "pci-info", cmd_pci_info, "[--json] <BDF>",
      "Tell whether and why a PCI function can be given to a guest",
      "  --json                       As JSON\n" },
    { "pci-attach", cmd_pci_attach, "[options] <Domain> <BDF[,option=value...]> [Slot]",
      "Give a PCI function to a guest",
      "  -n, --dry-run                Check every stage and do nothing\n"
      "  --permissive                 Let the guest write registers that the policy does not know\n"
      "  --group                      With all functions that can only move together with it\n"
      "  --json                       The result as JSON\n" },
    { "pci-detach", cmd_pci_detach, "[-f] <Domain> <BDF>",
      "Take a PCI function from a guest, when its kernel has let go",
      "  -f, --force                  At once, without asking the guest\n" },
    { "pci-list", cmd_pci_list, "[--json] <Domain>", "List a guest's PCI functions",
      "  --json                       As JSON\n" },
    { "traps", cmd_traps, "[options] [Domain]", "Show who traps most, or each access as it traps",
      "  -f, --follow                 Records of accesses as they happen, until interrupted\n"
      "  -d BDF, --device=BDF         Only this device, as the domain sees it\n"
      "  -k KIND, --kind=KIND         Only mmio, port, config, msi-x, denial or decision\n"
      "  -n N, --top=N                At most N rows (20), with --follow N records (no end)\n"
      "  --json                       As JSON; with --follow one object a line\n" },
    { "audit", cmd_audit, "[--json]", "Prove the isolation of domains, or name what breaks it",
      "  --json                       As JSON\n" },
    { "iommu", cmd_iommu, "[--json]", "Show DMA remapping: units, devices, faults",
      "  --json                       As JSON\n" },
    { "p2m", cmd_p2m, "[--json] <Domain> [Address]",
      "Show a domain's page table, or how an address is translated",
      "  --json                       As JSON\n" },
    { "info", cmd_info, "[--json]", "Print what the machine and the hypervisor are",
      "  --json                       As JSON\n" },
    { "dmesg", cmd_dmesg, "[-c]", "Print the hypervisor's log",
      "  -c, --clear                  Clear it, too\n" },
    { "version", cmd_version, "", "Print the version", NULL },
    { "help", cmd_help, "[Command]", "Print this, or a command's help", NULL },
};

static const struct xl_command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void print_usage(FILE *out)
{
    fprintf(out, "Usage: xl-lite [-v] <command> [arguments]\n\nCommands:\n\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        fprintf(out, " %-12s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(out, "\n-v tells more, -vv everything. 'xl-lite help <command>' has a command's "
                 "options; see also xl-lite(1).\n");
}

static int cmd_help(int argc, char **argv)
{
    int status = XL_OK;

    if (xl_getopt(argc, argv, "", NULL, &status) == 0) {
        return status;
    }
    if (optind < argc) {
        const struct xl_command *command = find_command(argv[optind]);

        if (command == NULL) {
            xl_error("there is no command '%s'", argv[optind]);
            return XL_FAILED;
        }
        xl_print_help(command, false);
        return XL_OK;
    }
    print_usage(stdout);
    return XL_OK;
}

static int cmd_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    puts("xl-lite " XL_VERSION);
    return XL_OK;
}

/* Global options, then the command's name; everything after that is the command's own. */
static int parse_global(int argc, char **argv)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "-v") == 0) {
            xl.verbose++;
        } else if (strcmp(argv[i], "-vv") == 0) {
            xl.verbose += 2;
        } else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            print_usage(stdout);
            exit(XL_OK);
        } else if (strcmp(argv[i], "--version") == 0) {
            exit(cmd_version(0, NULL));
        } else {
            xl_error("unknown global option '%s'", argv[i]);
            exit(XL_USAGE);
        }
    }
    return i;
}

int main(int argc, char **argv)
{
    const int at = parse_global(argc, argv);
    int status;

    if (at >= argc) {
        print_usage(stderr);
        return XL_FAILED;
    }
    xl_current = find_command(argv[at]);
    if (xl_current == NULL) {
        xl_error("unknown command '%s'; 'xl-lite help' lists them", argv[at]);
        return XL_FAILED;
    }
    optind = 1;
    status = xl_current->run(argc - at, argv + at);
    xl_close();
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return XL_FAILED;
    }
    return status;
}

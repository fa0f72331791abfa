/* SPDX-License-Identifier: MIT */
/* PCI functions from the toolstack's side. */
#include "pci_dev.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../libs/xenlite.h"
#include "dmd_client.h"
#include "xl.h"

#define DEVICES        "/sys/bus/pci/devices/"
#define DRIVERS        "/sys/bus/pci/drivers/"
#define FORMER_DIR     STATE_RUN_DIR "/assignable"
#define ATTACH_MS      30000
#define OWNER_DYING_MS 10000

/* In the order in which they are tried. */
static const struct {
    const char *driver, *module;
} stubs[] = { { "pci-stub", "pci-stub" }, { "pciback", "xen-pciback" } };

/* ---- drivers ---- */

static void device_path(char path[PATH_MAX], uint32_t sbdf, const char *file)
{
    char bdf[PCI_BDF_TEXT];

    pci_bdf_format(sbdf, bdf);
    snprintf(path, PATH_MAX, DEVICES "%s/%s", bdf, file);
}

bool pci_driver(uint32_t sbdf, char driver[PCI_DRIVER_MAX])
{
    char path[PATH_MAX], target[PATH_MAX];
    ssize_t n;

    driver[0] = '\0';
    device_path(path, sbdf, "");
    if (access(path, F_OK) != 0) {
        return false;
    }
    device_path(path, sbdf, "driver");
    n = readlink(path, target, sizeof(target) - 1);
    if (n > 0) {
        const char *name;

        target[n] = '\0';
        name = strrchr(target, '/');
        snprintf(driver, PCI_DRIVER_MAX, "%.63s", name != NULL ? name + 1 : target);
    }
    return true;
}

bool pci_driver_is_stub(const char *driver)
{
    for (size_t i = 0; i < sizeof(stubs) / sizeof(stubs[0]); i++) {
        if (strcmp(driver, stubs[i].driver) == 0) {
            return true;
        }
    }
    return false;
}

static int write_file(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? write(fd, text, strlen(text)) : -1;
    const int error = errno;

    if (fd >= 0) {
        close(fd);
    }
    errno = error;
    return n < 0 ? -1 : 0;
}

static int write_device(uint32_t sbdf, const char *file, const char *text)
{
    char path[PATH_MAX];

    device_path(path, sbdf, file);
    return write_file(path, text);
}

static int unbind(uint32_t sbdf)
{
    char bdf[PCI_BDF_TEXT];

    pci_bdf_format(sbdf, bdf);
    if (write_device(sbdf, "driver/unbind", bdf) != 0 && errno != ENOENT) {
        return xl_error("%s: its driver does not let go of it: %s", bdf, strerror(errno));
    }
    return 0;
}

static void load_module(const char *name)
{
    const pid_t pid = fork();

    if (pid == 0) {
        execlp("modprobe", "modprobe", "-q", name, (char *)NULL);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* The first of the drivers that do nothing which this kernel has, or NULL. */
static const char *find_stub(void)
{
    for (size_t i = 0; i < sizeof(stubs) / sizeof(stubs[0]); i++) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), DRIVERS "%s", stubs[i].driver);
        if (access(path, F_OK) != 0) {
            load_module(stubs[i].module);
        }
        if (access(path, F_OK) == 0) {
            return stubs[i].driver;
        }
    }
    return NULL;
}

/* ---- which interrupt its pin is ---- */

static bool read_number(const char *path, unsigned *value)
{
    FILE *file = fopen(path, "re");
    bool ok;

    if (file == NULL) {
        return false;
    }
    ok = fscanf(file, "%u", value) == 1;
    fclose(file);
    return ok;
}

/*
 * The GSI of an enabled function, from the kernel's number of its interrupt. For the first IO-APIC the kernel's numbers are
 * GSIs; what another one has is not told, and is not guessed.
 */
static bool read_gsi(uint32_t sbdf, unsigned *gsi)
{
    char path[PATH_MAX];
    unsigned pin;

    device_path(path, sbdf, "irq");
    if (!read_number(path, gsi) || *gsi == 0) {
        return false;
    }
    snprintf(path, sizeof(path), "/sys/kernel/irq/%u/hwirq", *gsi);
    return read_number(path, &pin) && pin == *gsi;
}

static void gsi_path(char path[PATH_MAX], uint32_t sbdf)
{
    char bdf[PCI_BDF_TEXT];

    pci_bdf_format(sbdf, bdf);
    snprintf(path, PATH_MAX, FORMER_DIR "/%s.gsi", bdf);
}

/*
 * Leaves the number where xl-dmd looks for it. The function has no driver at this moment: otherwise the kernel lets nobody
 * enable it. Without the number it has MSI only, which is no reason to fail.
 */
static void learn_gsi(uint32_t sbdf)
{
    char path[PATH_MAX];
    FILE *file = NULL;
    unsigned gsi;

    gsi_path(path, sbdf);
    if (write_device(sbdf, "enable", "1") != 0) {
        return;
    }
    if (read_gsi(sbdf, &gsi) && make_directories(FORMER_DIR, 0700) == 0) {
        file = fopen(path, "we");
    }
    if (file != NULL) {
        fprintf(file, "%u\n", gsi);
        fclose(file);
    }
    write_device(sbdf, "enable", "0");
}

/* ---- the former driver, for who wants it back ---- */

static void former_path(char path[PATH_MAX], uint32_t sbdf)
{
    char bdf[PCI_BDF_TEXT];

    pci_bdf_format(sbdf, bdf);
    snprintf(path, PATH_MAX, FORMER_DIR "/%s", bdf);
}

static void remember(uint32_t sbdf, const char *driver)
{
    char path[PATH_MAX];
    FILE *file;

    former_path(path, sbdf);
    file = driver[0] != '\0' && make_directories(FORMER_DIR, 0700) == 0 ? fopen(path, "we") : NULL;
    if (file != NULL) {
        fprintf(file, "%s\n", driver);
        fclose(file);
    }
}

/* ---- assignable ---- */

int pci_make_assignable(uint32_t sbdf)
{
    char bdf[PCI_BDF_TEXT], driver[PCI_DRIVER_MAX];
    struct xenlite_pci_info info;
    const char *stub;

    pci_bdf_format(sbdf, bdf);
    if (!pci_driver(sbdf, driver)) {
        return xl_error("there is no PCI function %s", bdf);
    }
    if (pci_driver_is_stub(driver)) {
        return 0;
    }
    if (xl_open() == 0 && xenlite_pci_info(xl.xch, sbdf, &info) == 0 && info.nr_vfs > 0) {
        return xl_error("%s has %u virtual functions, which its driver keeps alive: 'echo 0 "
                        ">/sys/bus/pci/devices/%s/sriov_numvfs' first",
                        bdf, info.nr_vfs, bdf);
    }
    stub = find_stub();
    if (stub == NULL) {
        return xl_error("%s: this kernel has neither pci-stub nor xen-pciback to hold it", bdf);
    }
    if (driver[0] != '\0' && unbind(sbdf) != 0) {
        return -1;
    }
    remember(sbdf, driver);
    learn_gsi(sbdf);
    if (write_device(sbdf, "driver_override", stub) != 0 ||
        write_file("/sys/bus/pci/drivers_probe", bdf) != 0) {
        return xl_error("%s: %s cannot be bound to it: %s", bdf, stub, strerror(errno));
    }
    if (!pci_driver(sbdf, driver) || strcmp(driver, stub) != 0) {
        return xl_error("%s: %s does not take it", bdf, stub);
    }
    return 0;
}

int pci_make_unassignable(uint32_t sbdf, bool rebind)
{
    char bdf[PCI_BDF_TEXT], driver[PCI_DRIVER_MAX], path[PATH_MAX];
    struct xenlite_pci_info info;

    pci_bdf_format(sbdf, bdf);
    if (!pci_driver(sbdf, driver)) {
        return xl_error("there is no PCI function %s", bdf);
    }
    if (xl_open() == 0 && xenlite_pci_info(xl.xch, sbdf, &info) == 0 && info.owner != 0 &&
        info.owner != XENLITE_PCI_NOBODY) {
        return xl_error("%s is domain %u's: detach it first", bdf, info.owner);
    }
    if (!pci_driver_is_stub(driver) && driver[0] != '\0') {
        return xl_error("%s is not assignable: the control domain's %s has it", bdf, driver);
    }
    if (driver[0] != '\0' && unbind(sbdf) != 0) {
        return -1;
    }
    /* A lone new line takes the override away. */
    if (write_device(sbdf, "driver_override", "\n") != 0) {
        return xl_error("%s: its driver's name cannot be taken away: %s", bdf, strerror(errno));
    }
    if (rebind && write_file("/sys/bus/pci/drivers_probe", bdf) != 0) {
        return xl_error("%s: no driver could be bound: %s", bdf, strerror(errno));
    }
    former_path(path, sbdf);
    unlink(path);
    gsi_path(path, sbdf);
    unlink(path);
    return 0;
}

/* ---- can it be given away? ---- */

static void __attribute__((format(printf, 2, 3)))
add(struct json_object *array, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_object_array_add(array, json_object_new_string(text));
}

static void add_owner(struct json_object *array, const struct xenlite_pci_info *info,
                      const char *bdf, bool now)
{
    char driver[PCI_DRIVER_MAX];

    if (info->owner == XENLITE_PCI_HYPERVISOR) {
        add(array, "It is the hypervisor's own and is never given away.");
    } else if (info->owner == 0 && now && pci_driver(info->sbdf, driver) &&
               !pci_driver_is_stub(driver)) {
        add(array,
            "It is not assignable, because the control domain %s%s: make it so with 'xl-lite "
            "pci-assignable-add %s'.",
            driver[0] != '\0' ? "uses it with its driver " : "keeps it", driver, bdf);
    } else if (info->owner != 0 && info->owner != XENLITE_PCI_NOBODY && now) {
        add(array, "Domain %u has it: take it away with 'xl-lite pci-detach %u %s' first.",
            info->owner, info->owner, bdf);
    }
}

static void add_group(struct json_object *array, const struct xenlite_pci_info *info)
{
    static const char *const why[] = {
        "",
        "functions of one device reach each other unseen by the IOMMU",
        "a port above passes requests between them without access control (ACS)",
        "a bridge gives their requests the same number",
        "they share a conventional PCI bus",
        "a bridge stands between them"
    };
    struct xenlite_pci_member *members;
    unsigned nr;

    if (info->nr_group < 2 || xenlite_pci_group(xl.xch, info->sbdf, &members, &nr, NULL) != 0) {
        return;
    }
    for (unsigned i = 0; i < nr; i++) {
        char bdf[PCI_BDF_TEXT];

        if (members[i].sbdf == info->sbdf || members[i].why == XENLITE_PCI_WHY_bridge) {
            continue;
        }
        pci_bdf_format(members[i].sbdf, bdf);
        add(array,
            "It can only move together with %s, because %s: attach the whole group (BB:DD.* or "
            "--group).",
            bdf, members[i].why < 6 ? why[members[i].why] : "they are in one group");
    }
    free(members);
}

struct json_object *pci_obstacles(const struct xenlite_pci_info *info, bool group, bool now)
{
    struct json_object *array = json_object_new_array();
    char bdf[PCI_BDF_TEXT];

    pci_bdf_format(info->sbdf, bdf);
    if ((info->flags & XENLITE_PCI_IS_BRIDGE) != 0) {
        add(array, "It is a bridge: what lies behind it can be given away, it cannot.");
    }
    add_owner(array, info, bdf, now);
    if (info->nr_vfs > 0 && now) {
        add(array,
            "It has %u virtual functions, which depend on it: end them with 'echo 0 "
            ">/sys/bus/pci/devices/%s/sriov_numvfs' first.",
            info->nr_vfs, bdf);
    }
    if ((info->flags & XENLITE_PCI_TRANSLATED) == 0) {
        add(array, "No IOMMU translates its DMA, so it could reach all memory: switch the IOMMU on "
                   "in the firmware.");
    } else if ((info->flags & XENLITE_PCI_REMAPPED) == 0) {
        add(array, "Its IOMMU does not remap interrupts, so it could send any: switch interrupt "
                   "remapping on in the firmware.");
    }
    if (info->nr_rmrr > 0) {
        add(array,
            "Firmware reserved memory for it (0x%llx to 0x%llx), which a guest cannot give it: "
            "look for a setting of the "
            "firmware that frees it, as legacy USB or shared graphics.",
            (unsigned long long)info->rmrr[0].start, (unsigned long long)info->rmrr[0].end);
    }
    if (info->reset == 0) {
        add(array, "There is no way to reset it, so what one owner left in it would reach the "
                   "next: another slot may have one.");
    }
    if ((info->flags & XENLITE_PCI_QUARANTINED) != 0) {
        add(array, "It was cut off after too many faults ('xl-lite iommu' lists them): detach it, "
                   "which resets it.");
    }
    if (!group) {
        add_group(array, info);
    }
    return array;
}

/* ---- xl-dmd ---- */

struct json_object *pci_attach(uint32_t domid, const struct pci_spec *spec, bool dry_run,
                               char **error)
{
    struct json_object *arguments = json_object_new_object(), *answer = NULL;
    struct dmd_client client;
    char bdf[PCI_BDF_TEXT];

    *error = NULL;
    pci_bdf_format(spec->sbdf, bdf);
    json_object_object_add(arguments, "domid", json_object_new_int((int)domid));
    json_object_object_add(arguments, "bdf", json_object_new_string(bdf));
    json_object_object_add(arguments, "permissive", json_object_new_boolean(spec->permissive));
    json_object_object_add(arguments, "group", json_object_new_boolean(spec->group));
    json_object_object_add(arguments, "slot", json_object_new_int((int)spec->slot));
    json_object_object_add(arguments, "dry-run", json_object_new_boolean(dry_run));
    if (dmd_open(&client) == 0) {
        answer = dmd_execute(&client, "device-add", arguments, ATTACH_MS, error);
    } else {
        json_object_put(arguments);
    }
    dmd_close(&client);
    return answer;
}

/* ---- create ---- */

/* A guest that restarts finds its devices with its dying predecessor for a moment. */
static int info_when_free(uint32_t sbdf, struct xenlite_pci_info *info)
{
    const struct timespec nap = { .tv_nsec = 100 * 1000 * 1000 };
    xc_domaininfo_t owner;
    int rc;

    for (unsigned waited = 0; waited < OWNER_DYING_MS; waited += 100) {
        rc = xenlite_pci_info(xl.xch, sbdf, info);
        if (rc != 0 || info->owner == 0 || info->owner >= DOMID_FIRST_RESERVED ||
            xl_domain_info(info->owner, &owner) != 1 || (owner.flags & XEN_DOMINF_dying) == 0) {
            return rc;
        }
        nanosleep(&nap, NULL);
    }
    return 0;
}

static int check_device(const struct guest_cfg *cfg, const struct pci_spec *spec)
{
    struct xenlite_pci_info info;
    struct json_object *obstacles;
    char bdf[PCI_BDF_TEXT];
    int rc = 0;

    pci_bdf_format(spec->sbdf, bdf);
    if (info_when_free(spec->sbdf, &info) != 0) {
        if (errno == ENODEV) {
            return guest_cfg_error(cfg, stderr, cfg->pci_line, "pci: there is no PCI function %s",
                                   bdf);
        }
        return xl_hv_error("cannot ask about %s", bdf);
    }
    obstacles = pci_obstacles(&info, spec->group, !spec->seize);
    for (size_t i = 0; i < json_object_array_length(obstacles); i++) {
        rc = guest_cfg_error(cfg, stderr, cfg->pci_line, "pci: %s cannot be given to the guest. %s",
                             bdf, json_object_get_string(json_object_array_get_idx(obstacles, i)));
    }
    json_object_put(obstacles);
    return rc;
}

int pci_check_config(const struct guest_cfg *cfg)
{
    struct dmd_client client;
    int rc;

    if (cfg->nr_pci == 0) {
        return 0;
    }
    rc = dmd_open(&client);
    dmd_close(&client);
    for (unsigned i = 0; i < cfg->nr_pci && rc == 0; i++) {
        rc = check_device(cfg, &cfg->pci[i]);
    }
    return rc == 0 ? 0 : -1;
}

int pci_attach_config(const struct guest_cfg *cfg, uint32_t domid)
{
    for (unsigned i = 0; i < cfg->nr_pci; i++) {
        struct json_object *answer = NULL;
        char *error = NULL, bdf[PCI_BDF_TEXT];

        pci_bdf_format(cfg->pci[i].sbdf, bdf);
        if (cfg->pci[i].seize && pci_make_assignable(cfg->pci[i].sbdf) != 0) {
            return -1;
        }
        answer = pci_attach(domid, &cfg->pci[i], false, &error);
        if (answer == NULL) {
            if (error != NULL) {
                guest_cfg_error(cfg, stderr, cfg->pci_line, "pci: %s is refused: %s", bdf, error);
            }
            free(error);
            return -1;
        }
        json_object_put(answer);
    }
    return 0;
}

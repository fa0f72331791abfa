/* SPDX-License-Identifier: MIT */
/*
 * xl-lite create: options and the dry run; the work is start.c's.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenctrl.h>
#include <xenguest.h>

#include "build.h"
#include "create.h"
#include "pci_dev.h"
#include "uuid.h"
#include "xl.h"

#define CONSOLE_WAIT_MS 5000

struct arguments {
    struct start_options start;
    bool console, dry_run, quiet;
    const char *file;
};

static struct json_object *config_to_json(const struct guest_cfg *cfg)
{
    struct json_object *o = json_object_new_object(), *pins = json_object_new_array(),
                       *devices = json_object_new_array();
    char text[256];

    json_object_object_add(o, "name", json_object_new_string(cfg->name));
    if (cfg->has_uuid) {
        uuid_format(cfg->uuid, text);
        json_object_object_add(o, "uuid", json_object_new_string(text));
    }
    json_object_object_add(o, "type", json_object_new_string("pvh"));
    json_object_object_add(o, "kernel", json_object_new_string(cfg->kernel));
    if (cfg->ramdisk != NULL) {
        json_object_object_add(o, "ramdisk", json_object_new_string(cfg->ramdisk));
    }
    json_object_object_add(o, "cmdline", json_object_new_string(cfg->cmdline));
    json_object_object_add(o, "memory", json_object_new_int64(cfg->memory_mb));
    json_object_object_add(o, "maxmem", json_object_new_int64(cfg->maxmem_mb));
    json_object_object_add(o, "vcpus", json_object_new_int64(cfg->vcpus));
    json_object_object_add(o, "maxvcpus", json_object_new_int64(cfg->maxvcpus));
    for (unsigned i = 0; i < cfg->nr_pins; i++) {
        cpu_set_format(&cfg->pins[i], CPU_SET_MAX, text, sizeof(text));
        json_object_array_add(pins, json_object_new_string(text));
    }
    json_object_object_add(o, "cpus", pins);
    json_object_object_add(o, "dedicated_cpus", json_object_new_boolean(cfg->dedicated_cpus));
    json_object_object_add(o, "pci_root", json_object_new_boolean(cfg->pci_root));
    for (unsigned i = 0; i < cfg->nr_pci; i++) {
        struct json_object *device = json_object_new_object();

        pci_bdf_format(cfg->pci[i].sbdf, text);
        json_object_object_add(device, "bdf", json_object_new_string(text));
        json_object_object_add(device, "permissive",
                               json_object_new_boolean(cfg->pci[i].permissive));
        json_object_object_add(device, "seize", json_object_new_boolean(cfg->pci[i].seize));
        json_object_object_add(device, "group", json_object_new_boolean(cfg->pci[i].group));
        json_object_object_add(device, "slot", json_object_new_int((int)cfg->pci[i].slot));
        json_object_array_add(devices, device);
    }
    json_object_object_add(o, "pci", devices);
    json_object_object_add(o, "cpu_weight",
                           json_object_new_int64(cfg->cpu_weight != 0 ? cfg->cpu_weight : 256));
    json_object_object_add(o, "on_poweroff",
                           json_object_new_string(guest_action_names[cfg->on_poweroff]));
    json_object_object_add(o, "on_reboot",
                           json_object_new_string(guest_action_names[cfg->on_reboot]));
    json_object_object_add(o, "on_crash",
                           json_object_new_string(guest_action_names[cfg->on_crash]));
    json_object_object_add(o, "tsc_mode", json_object_new_int64(cfg->tsc_mode));
    json_object_object_add(o, "timer_mode", json_object_new_int64(cfg->timer_mode));
    return o;
}

static void add_plan(struct json_object *o, const struct build *b)
{
    struct json_object *plan = json_object_new_object();

    json_object_object_add(plan, "kernel_start",
                           json_object_new_int64((int64_t)b->dom->kernel_seg.vstart));
    json_object_object_add(plan, "kernel_end", json_object_new_int64((int64_t)b->kernel_end));
    if (b->dom->num_modules > 0) {
        json_object_object_add(plan, "ramdisk_start",
                               json_object_new_int64((int64_t)b->dom->modules[0].seg.vstart));
        json_object_object_add(plan, "ramdisk_size",
                               json_object_new_int64((int64_t)b->dom->modules[0].size));
    }
    json_object_object_add(plan, "ram_below_4g",
                           json_object_new_int64((int64_t)b->dom->lowmem_end));
    json_object_object_add(plan, "ram_end_above_4g",
                           json_object_new_int64((int64_t)b->dom->highmem_end));
    json_object_object_add(plan, "memory_needed_kb", json_object_new_int64((int64_t)b->need_kb));
    json_object_object_add(plan, "memory_free_kb", json_object_new_int64((int64_t)b->free_kb));
    json_object_object_add(o, "plan", plan);
}

/* Everything that a real start refuses before the domain exists is refused here, too. */
static int dry_run(const struct guest_cfg *cfg)
{
    struct json_object *o;
    struct build b;
    int rc;

    if (xl_open() != 0) {
        return XL_FAILED;
    }
    memset(&b, 0, sizeof(b));
    rc = pci_check_config(cfg) == 0 ? build_prepare(&b, cfg) : -1;
    if (rc == 0) {
        o = config_to_json(cfg);
        add_plan(o, &b);
        puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
                                                   JSON_C_TO_STRING_NOSLASHESCAPE));
        json_object_put(o);
        build_keep_kernel(&b);
    }
    build_release(&b);
    return rc == 0 ? XL_OK : XL_FAILED;
}

/* Options; what follows them is the file, unless -f named it, and overrides. */
static int parse(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        { "dryrun", no_argument, NULL, 'n' },
        { "quiet", no_argument, NULL, 'q' },
        { "defconfig", required_argument, NULL, 'f' },
        { NULL, 0, NULL, 0 },
    };
    int option, status = XL_USAGE;

    memset(a, 0, sizeof(*a));
    a->start.monitor = true;
    while ((option = xl_getopt(argc, argv, "pcnqFef:", options, &status)) != -1) {
        switch (option) {
        case 'p':
            a->start.paused = true;
            break;
        case 'c':
            a->console = true;
            break;
        case 'n':
            a->dry_run = true;
            break;
        case 'q':
            a->quiet = true;
            break;
        case 'F':
            a->start.foreground = true;
            break;
        case 'e':
            a->start.monitor = false;
            break;
        case 'f':
            a->file = optarg;
            break;
        default:
            exit(status);
        }
    }
    if (a->file == NULL && optind < argc) {
        a->file = argv[optind++];
    }
    if (a->file == NULL) {
        return xl_arguments(argc, 1, 1);
    }
    if (a->console && a->start.foreground) {
        xl_error("-c and -F do not go together: both want the foreground");
        return XL_USAGE;
    }
    return 0;
}

static int start(struct guest_cfg *cfg, struct arguments *a)
{
    const bool unpause_later = a->console && !a->start.paused;
    uint32_t domid = 0;
    int console = -1;

    /* The console is attached before the first line is written. */
    a->start.paused = a->start.paused || unpause_later;
    if (guest_start(cfg, &a->start, &domid) != 0) {
        return XL_FAILED;
    }
    /* Without a console the guest starts all the same, and its log has what it says. */
    if (a->console) {
        console = xl_console_open(domid, CONSOLE_WAIT_MS);
    }
    if (unpause_later && xc_domain_unpause(xl.xch, domid) != 0) {
        xl_hv_error("cannot start domain %u", domid);
        xl_domain_destroy(domid);
        return XL_FAILED;
    }
    if (a->console) {
        return console < 0 ? XL_FAILED : xl_console_relay(console);
    }
    if (a->start.foreground) {
        return guest_watch(cfg, &a->start, domid);
    }
    return XL_OK;
}

int cmd_create(int argc, char **argv)
{
    struct arguments a;
    struct guest_cfg cfg;
    char *absolute;
    int status = parse(argc, argv, &a);

    if (status != 0) {
        return status;
    }
    if (!a.quiet) {
        fprintf(a.dry_run ? stderr : stdout, "Parsing config from %s\n", a.file);
    }
    if (guest_cfg_load(&cfg, a.file, argv + optind, (unsigned)(argc - optind), stderr) != 0) {
        guest_cfg_free(&cfg);
        return XL_FAILED;
    }
    absolute = realpath(a.file, NULL);
    a.start.config_file = absolute;
    status = a.dry_run ? dry_run(&cfg) : start(&cfg, &a);
    guest_cfg_free(&cfg);
    free(absolute);
    return status;
}

/* SPDX-License-Identifier: MIT */
/*
 * Reads guest.cfg with libxlutil and checks every value (guest_cfg.h). A key that nobody knows is
 * worth a warning; a value that makes no sense ends it.
 */
#include "guest_cfg.h"

#include <errno.h>
#include <libxlutil.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../libs/guest_state.h"
#include "cfg_lines.h"
#include "uuid.h"

const char *const guest_action_names[ACTION_COUNT] = { "destroy", "restart", "preserve" };

static const char *const known_keys[] = {
    "name",       "uuid",           "type",      "builder",     "kernel", "ramdisk",  "cmdline",
    "extra",      "root",           "memory",    "maxmem",      "vcpus",  "maxvcpus", "cpus",
    "cpu_weight", "on_poweroff",    "on_reboot", "on_crash",    "serial", "pci",      "tsc_mode",
    "timer_mode", "pci_permissive", "pci_seize", "passthrough", "dedicated_cpus",
};

/* What one reading of a configuration works with. */
struct reader {
    struct guest_cfg *cfg;
    XLU_Config *xlu;
    FILE *report;
    struct cfg_key keys[CFG_LINES_MAX];
    size_t nr_keys;
    int rc;
};

static void complain(const struct guest_cfg *cfg, FILE *report, int line, const char *what,
                     const char *format, va_list args)
{
    if (line > cfg->text_lines) {
        fprintf(report, "command line: %s: ", what);
    } else if (line > 0) {
        fprintf(report, "%s:%d: %s: ", cfg->source, line, what);
    } else {
        fprintf(report, "%s: %s: ", cfg->source, what);
    }
    vfprintf(report, format, args);
    fputc('\n', report);
}

int guest_cfg_error(const struct guest_cfg *cfg, FILE *report, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    complain(cfg, report, line, "error", format, args);
    va_end(args);
    return -EINVAL;
}

/* The last assignment of a key is the one that counts. */
static int line_of(const struct reader *r, const char *key)
{
    for (size_t i = r->nr_keys; i > 0; i--) {
        if (strcmp(r->keys[i - 1].name, key) == 0) {
            return r->keys[i - 1].line;
        }
    }
    return 0;
}

static void __attribute__((format(printf, 3, 4)))
bad(struct reader *r, const char *key, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    complain(r->cfg, r->report, line_of(r, key), "error", format, args);
    va_end(args);
    r->rc = -EINVAL;
}

static void __attribute__((format(printf, 3, 4)))
warn(struct reader *r, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    complain(r->cfg, r->report, line, "warning", format, args);
    va_end(args);
}

/* A string's value, or NULL if the key is absent (or wrong, which is reported). */
static const char *get_string(struct reader *r, const char *key)
{
    const char *value = NULL;

    switch (xlu_cfg_get_string(r->xlu, key, &value, 1)) {
    case 0:
        return value;
    case ESRCH:
        return NULL;
    default:
        bad(r, key, "%s must be a string", key);
        return NULL;
    }
}

static bool get_number(struct reader *r, const char *key, long min, long max, unsigned *out)
{
    long value = 0;
    int rc = xlu_cfg_get_long(r->xlu, key, &value, 1);

    if (rc == ESRCH) {
        return false;
    }
    if (rc != 0) {
        bad(r, key, "%s must be a whole number", key);
    } else if (value < min || value > max) {
        bad(r, key, "%s = %ld is out of range: %ld to %ld", key, value, min, max);
    } else {
        *out = (unsigned)value;
        return true;
    }
    return false;
}

static char *copy_string(struct reader *r, const char *value)
{
    char *copy = value != NULL ? strdup(value) : NULL;

    if (value != NULL && copy == NULL) {
        bad(r, "", "out of memory");
    }
    return copy;
}

static void warn_unknown_keys(struct reader *r)
{
    for (size_t i = 0; i < r->nr_keys; i++) {
        bool known = false;

        for (size_t k = 0; k < sizeof(known_keys) / sizeof(known_keys[0]) && !known; k++) {
            known = strcmp(r->keys[i].name, known_keys[k]) == 0;
        }
        if (!known) {
            warn(r, r->keys[i].line, "unknown key '%s' is ignored", r->keys[i].name);
        }
    }
}

static bool name_is_fine(const char *name)
{
    bool digits = true;

    if (name[0] == '\0' || strlen(name) > STATE_NAME_MAX || strcmp(name, "Domain-0") == 0) {
        return false;
    }
    for (const char *p = name; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '/') {
            return false;
        }
        digits = digits && *p >= '0' && *p <= '9';
    }
    /* A name of digits alone would be taken for a domain's number. */
    return !digits;
}

static void read_identity(struct reader *r)
{
    const char *name = get_string(r, "name");
    const char *uuid = get_string(r, "uuid");
    const char *type = get_string(r, "type");

    if (name == NULL && r->rc == 0) {
        bad(r, "name", "name is missing");
    } else if (name != NULL && !name_is_fine(name)) {
        bad(r, "name",
            "name must be 1 to %d characters without spaces or slashes, not all digits, and not "
            "Domain-0",
            STATE_NAME_MAX);
    }
    r->cfg->name = copy_string(r, name);
    if (uuid != NULL) {
        r->cfg->has_uuid = uuid_parse_text(uuid, r->cfg->uuid) == 0;
        if (!r->cfg->has_uuid) {
            bad(r, "uuid", "uuid '%s' has not the form 01234567-89ab-cdef-0123-456789abcdef", uuid);
        }
    }
    if (type != NULL && strcmp(type, "pvh") != 0) {
        bad(r, "type", "type '%s' is not supported: guests are of type \"pvh\"", type);
    }
    if (type == NULL) {
        if (get_string(r, "builder") != NULL) {
            bad(r, "builder", "builder is not supported: write type = \"pvh\"");
        } else if (r->rc == 0) {
            warn(r, 0, "type is missing; \"pvh\" is assumed (xl would assume \"pv\")");
        }
    }
}

static void read_cmdline(struct reader *r)
{
    const char *cmdline = get_string(r, "cmdline");
    const char *extra = get_string(r, "extra");
    const char *root = get_string(r, "root");
    char *line = NULL;

    if (cmdline != NULL) {
        if (extra != NULL || root != NULL) {
            warn(r, line_of(r, extra != NULL ? "extra" : "root"),
                 "ignored, because cmdline is given");
        }
        line = strdup(cmdline);
    } else if (asprintf(&line, "%s%s%s%s", root != NULL ? "root=" : "", root != NULL ? root : "",
                        root != NULL && extra != NULL ? " " : "", extra != NULL ? extra : "") < 0) {
        line = NULL;
    }
    if (line == NULL) {
        bad(r, "cmdline", "out of memory");
    } else if (strlen(line) > CFG_MAX_CMDLINE) {
        bad(r, cmdline != NULL ? "cmdline" : "extra",
            "the command line is longer than %d characters", CFG_MAX_CMDLINE);
    }
    r->cfg->cmdline = line;
}

static void read_kernel(struct reader *r)
{
    const char *kernel = get_string(r, "kernel");
    const char *ramdisk = get_string(r, "ramdisk");

    if (kernel == NULL && line_of(r, "kernel") == 0) {
        bad(r, "kernel", "kernel is missing");
    } else if (kernel != NULL && kernel[0] == '\0') {
        bad(r, "kernel", "kernel is empty");
    }
    r->cfg->kernel = copy_string(r, kernel);
    /* An empty one is none: an override can take it away. */
    r->cfg->ramdisk = copy_string(r, ramdisk != NULL && ramdisk[0] != '\0' ? ramdisk : NULL);
    read_cmdline(r);
}

static void read_sizes(struct reader *r)
{
    struct guest_cfg *cfg = r->cfg;

    if (!get_number(r, "memory", CFG_MIN_MEMORY_MB, CFG_MAX_MEMORY_MB, &cfg->memory_mb) &&
        line_of(r, "memory") == 0) {
        bad(r, "memory", "memory is missing (MiB)");
    }
    cfg->maxmem_mb = cfg->memory_mb;
    if (get_number(r, "maxmem", CFG_MIN_MEMORY_MB, CFG_MAX_MEMORY_MB, &cfg->maxmem_mb) &&
        cfg->memory_mb > cfg->maxmem_mb) {
        bad(r, "maxmem", "maxmem = %u is less than memory = %u", cfg->maxmem_mb, cfg->memory_mb);
    }
    cfg->vcpus = 1;
    get_number(r, "vcpus", 1, CFG_MAX_VCPUS, &cfg->vcpus);
    cfg->maxvcpus = cfg->vcpus;
    if (get_number(r, "maxvcpus", 1, CFG_MAX_VCPUS, &cfg->maxvcpus) && cfg->maxvcpus < cfg->vcpus) {
        bad(r, "maxvcpus", "maxvcpus = %u is less than vcpus = %u", cfg->maxvcpus, cfg->vcpus);
    }
    get_number(r, "cpu_weight", 1, 65535, &cfg->cpu_weight);
}

static bool add_pin(struct reader *r, const char *text)
{
    struct guest_cfg *cfg = r->cfg;
    struct cpu_set *pins = realloc(cfg->pins, (cfg->nr_pins + 1) * sizeof(*pins));

    if (pins == NULL) {
        bad(r, "cpus", "out of memory");
        return false;
    }
    cfg->pins = pins;
    if (cpu_set_parse(text, &pins[cfg->nr_pins]) != 0) {
        bad(r, "cpus", "cpus: '%s' is no set of CPUs (as \"0-3,^1\", \"all\"; numbers below %d)",
            text, CPU_SET_MAX);
        return false;
    }
    cfg->nr_pins++;
    return true;
}

/* cpus = "0-3": every vCPU on these; cpus = ["0", "2"]: vCPU 0 on 0, vCPU 1 on 2; vCPUs without an
 * entry are free. */
static void read_cpus(struct reader *r)
{
    XLU_ConfigList *list = NULL;
    const char *text = NULL;
    int entries = 0;

    if (line_of(r, "cpus") == 0) {
        return;
    }
    if (xlu_cfg_get_string(r->xlu, "cpus", &text, 1) == 0) {
        add_pin(r, text);
        return;
    }
    if (xlu_cfg_get_list(r->xlu, "cpus", &list, &entries, 1) != 0 || entries < 1) {
        bad(r, "cpus", "cpus must be a string or a list of strings");
        return;
    }
    if ((unsigned)entries > r->cfg->maxvcpus) {
        bad(r, "cpus", "cpus has %d entries for %u vCPUs", entries, r->cfg->maxvcpus);
        return;
    }
    for (int i = 0; i < entries; i++) {
        text = xlu_cfg_get_listitem(list, i);
        if (text == NULL) {
            bad(r, "cpus", "cpus: entry %d is no string", i + 1);
            return;
        }
        if (!add_pin(r, text)) {
            return;
        }
    }
    /* A list of one pins vCPU 0 only; as a string it would pin all. */
    if (entries == 1 && r->cfg->maxvcpus > 1) {
        add_pin(r, "all");
    }
}

/* The CPUs that cpus names are the guest's alone, one for each vCPU. */
static void read_dedicated(struct reader *r)
{
    struct guest_cfg *cfg = r->cfg;
    struct cpu_set *own;
    unsigned wanted = 0;

    get_number(r, "dedicated_cpus", 0, 1, &wanted);
    if (wanted == 0 || r->rc != 0) {
        return;
    }
    own = calloc(cfg->maxvcpus, sizeof(*own));
    if (own == NULL) {
        bad(r, "dedicated_cpus", "out of memory");
        return;
    }
    if (cpu_set_spread(cfg->pins, cfg->nr_pins, cfg->maxvcpus, own) != 0) {
        bad(r, "dedicated_cpus",
            "dedicated_cpus needs cpus with a CPU of its own for each of the %u vCPUs",
            cfg->maxvcpus);
        free(own);
        return;
    }
    for (unsigned i = 0; i < cfg->maxvcpus; i++) {
        if (cpu_set_test(&own[i], 0)) {
            bad(r, "cpus", "cpus: CPU 0 cannot be dedicated, the control domain keeps it");
        }
    }
    free(cfg->pins);
    cfg->pins = own;
    cfg->nr_pins = cfg->maxvcpus;
    cfg->dedicated_cpus = true;
}

static void read_action(struct reader *r, const char *key, enum guest_action standard,
                        enum guest_action *out)
{
    const char *text = get_string(r, key);

    *out = standard;
    if (text == NULL) {
        return;
    }
    for (int i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(text, guest_action_names[i]) == 0) {
            *out = (enum guest_action)i;
            return;
        }
    }
    bad(r, key, "%s = \"%s\" is not supported: destroy, restart or preserve", key, text);
}

/* A mode is one of its names, or its number. */
static void read_mode(struct reader *r, const char *key, const char *const *names, unsigned count,
                      unsigned *out)
{
    const char *text = NULL;
    long number;

    if (xlu_cfg_get_long(r->xlu, key, &number, 1) == 0) {
        get_number(r, key, 0, (long)count - 1, out);
        return;
    }
    text = get_string(r, key);
    if (text == NULL) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return;
        }
    }
    bad(r, key, "%s = \"%s\" is not known", key, text);
}

static void read_modes(struct reader *r)
{
    static const char *const tsc[] = { "default", "always_emulate", "native" };
    static const char *const timer[] = { "delay_for_missed_ticks", "no_delay_for_missed_ticks",
                                         "no_missed_ticks_pending", "one_missed_tick_pending" };
    const char *serial = NULL;

    r->cfg->timer_mode = 1;
    read_mode(r, "tsc_mode", tsc, 3, &r->cfg->tsc_mode);
    read_mode(r, "timer_mode", timer, 4, &r->cfg->timer_mode);
    serial = line_of(r, "serial") != 0 ? get_string(r, "serial") : NULL;
    if (serial != NULL && strcmp(serial, "none") != 0) {
        warn(r, line_of(r, "serial"),
             "serial is ignored: a pvh guest has no serial port, its console is hvc0");
    }
}

static bool get_switch(struct reader *r, const char *key)
{
    unsigned value = 0;

    get_number(r, key, 0, 1, &value);
    return value != 0;
}

static void read_pci_entry(struct reader *r, const char *text, const struct pci_spec *standard)
{
    struct guest_cfg *cfg = r->cfg;
    struct pci_spec *spec = &cfg->pci[cfg->nr_pci];
    char error[128];

    *spec = *standard;
    if (pci_spec_parse(text, spec, error, sizeof(error)) != 0) {
        bad(r, "pci", "pci: %s", error);
        return;
    }
    for (unsigned i = 0; i < cfg->nr_pci; i++) {
        if (cfg->pci[i].sbdf == spec->sbdf) {
            bad(r, "pci", "pci: '%s' is named twice", text);
            return;
        }
        if (spec->slot != 0 && cfg->pci[i].slot == spec->slot) {
            bad(r, "pci", "pci: slot %x is given twice", spec->slot);
            return;
        }
    }
    cfg->nr_pci++;
}

static void read_pci_list(struct reader *r)
{
    const struct pci_spec standard = { .permissive = get_switch(r, "pci_permissive"),
                                       .seize = get_switch(r, "pci_seize") };
    XLU_ConfigList *list = NULL;
    int entries = 0;

    if (line_of(r, "pci") == 0) {
        return;
    }
    if (xlu_cfg_get_list(r->xlu, "pci", &list, &entries, 1) != 0) {
        bad(r, "pci", "pci must be a list of strings");
        return;
    }
    if (entries > CFG_MAX_PCI) {
        bad(r, "pci", "pci has %d entries: a guest has %d slots", entries, CFG_MAX_PCI);
        return;
    }
    for (int i = 0; i < entries && r->rc == 0; i++) {
        const char *text = xlu_cfg_get_listitem(list, i);

        if (text == NULL) {
            bad(r, "pci", "pci: entry %d is no string", i + 1);
            return;
        }
        read_pci_entry(r, text, &standard);
    }
}

/* xl's key for guests that get devices later only. */
static void read_passthrough(struct reader *r)
{
    const char *text = get_string(r, "passthrough");

    r->cfg->pci_root = r->cfg->nr_pci > 0;
    if (text == NULL || strcmp(text, "default") == 0) {
        return;
    }
    if (strcmp(text, "enabled") == 0 || strcmp(text, "share_pt") == 0) {
        r->cfg->pci_root = true;
    } else if (strcmp(text, "disabled") != 0) {
        bad(r, "passthrough", "passthrough = \"%s\" is not supported: enabled, disabled or default",
            text);
    } else if (r->cfg->nr_pci > 0) {
        bad(r, "passthrough", "passthrough = \"disabled\" and pci = [...] contradict each other");
    }
}

/* The window for 64-bit BARs begins at 256 GiB of the guest's addresses, of which the hole below 4 GiB is no RAM. */
static void read_pci(struct reader *r)
{
    const unsigned max_mb = (256u << 10) - (1u << 10);

    read_pci_list(r);
    read_passthrough(r);
    if (r->cfg->pci_root && r->cfg->maxmem_mb > max_mb) {
        bad(r, "maxmem", "a guest with PCI has at most %u MiB of memory", max_mb);
    }
}

static void read_all(struct reader *r)
{
    warn_unknown_keys(r);
    read_identity(r);
    read_kernel(r);
    read_sizes(r);
    read_cpus(r);
    read_dedicated(r);
    read_action(r, "on_poweroff", ACTION_DESTROY, &r->cfg->on_poweroff);
    read_action(r, "on_reboot", ACTION_RESTART, &r->cfg->on_reboot);
    read_action(r, "on_crash", ACTION_DESTROY, &r->cfg->on_crash);
    read_modes(r);
    read_pci(r);
    r->cfg->kernel_line = line_of(r, "kernel");
    r->cfg->ramdisk_line = line_of(r, "ramdisk");
    r->cfg->memory_line = line_of(r, "memory");
    r->cfg->vcpus_line = line_of(r, "vcpus");
    r->cfg->cpus_line = line_of(r, "cpus");
    r->cfg->name_line = line_of(r, "name");
    r->cfg->pci_line = line_of(r, "pci");
}

static int count_lines(const char *text, size_t len)
{
    int lines = 1;

    for (size_t i = 0; i < len; i++) {
        lines += text[i] == '\n' ? 1 : 0;
    }
    return lines;
}

/* Overrides are checked one by one first, so that a syntax error names the argument. */
static int check_override(const char *text, FILE *report)
{
    XLU_Config *xlu = xlu_cfg_init(report, "command line");
    struct cfg_key key;
    int rc = -ENOMEM;

    if (xlu != NULL) {
        char *line = NULL;

        if (asprintf(&line, "%s\n", text) > 0) {
            rc = xlu_cfg_readdata(xlu, line, (int)strlen(line)) == 0 ? 0 : -EINVAL;
            free(line);
        }
        xlu_cfg_destroy(xlu);
    }
    if (rc == 0 && cfg_find_keys(text, strlen(text), &key, 1) != 1) {
        rc = -EINVAL;
    }
    if (rc == -EINVAL) {
        fprintf(report,
                "command line: error: '%s' is no assignment (strings need quotes: 'name=\"x\"')\n",
                text);
    }
    return rc;
}

static int join_text(struct guest_cfg *cfg, const char *text, size_t len, char *const *overrides,
                     unsigned nr, FILE *report)
{
    size_t total = len + 2, used = len;

    for (unsigned i = 0; i < nr; i++) {
        if (check_override(overrides[i], report) != 0) {
            return -EINVAL;
        }
        total += strlen(overrides[i]) + 1;
    }
    if (total > CFG_MAX_TEXT) {
        return guest_cfg_error(cfg, report, 0, "the configuration is larger than %d bytes",
                               CFG_MAX_TEXT);
    }
    if (memchr(text, '\0', len) != NULL) {
        return guest_cfg_error(cfg, report, 0, "this is no text: it contains a zero byte");
    }
    cfg->text = malloc(total);
    if (cfg->text == NULL) {
        return guest_cfg_error(cfg, report, 0, "out of memory");
    }
    memcpy(cfg->text, text, len);
    /* The parser wants the last statement ended. */
    cfg->text[used++] = '\n';
    for (unsigned i = 0; i < nr; i++) {
        const size_t part = strlen(overrides[i]);

        memcpy(cfg->text + used, overrides[i], part);
        used += part;
        cfg->text[used++] = '\n';
    }
    cfg->text[used] = '\0';
    return 0;
}

int guest_cfg_parse(struct guest_cfg *cfg, const char *source, const char *text, size_t len,
                    char *const *overrides, unsigned nr, FILE *report)
{
    struct reader *r;
    int rc;

    memset(cfg, 0, sizeof(*cfg));
    cfg->source = strdup(source);
    cfg->text_lines = count_lines(text, len);
    r = calloc(1, sizeof(*r));
    if (cfg->source == NULL || r == NULL) {
        fprintf(report, "%s: error: out of memory\n", source);
        free(r);
        return -EINVAL;
    }
    rc = join_text(cfg, text, len, overrides, nr, report);
    if (rc == 0) {
        r->cfg = cfg;
        r->report = report;
        r->xlu = xlu_cfg_init(report, source);
        r->nr_keys = cfg_find_keys(cfg->text, strlen(cfg->text), r->keys, CFG_LINES_MAX);
        if (r->xlu == NULL || xlu_cfg_readdata(r->xlu, cfg->text, (int)strlen(cfg->text)) != 0) {
            rc = guest_cfg_error(cfg, report, 0, "this is not the syntax of a guest configuration");
        } else {
            read_all(r);
            rc = r->rc;
        }
        if (r->xlu != NULL) {
            xlu_cfg_destroy(r->xlu);
        }
    }
    free(r);
    return rc;
}

void guest_cfg_free(struct guest_cfg *cfg)
{
    free(cfg->source);
    free(cfg->name);
    free(cfg->kernel);
    free(cfg->ramdisk);
    free(cfg->cmdline);
    free(cfg->pins);
    free(cfg->text);
    memset(cfg, 0, sizeof(*cfg));
}

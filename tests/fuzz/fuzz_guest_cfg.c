/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the reading of guest configurations: any bytes as the text, and the bytes behind the first
 * 0xff as an override. What is accepted must keep its promises.
 *
 * FUZZ_SOURCES: -D_GNU_SOURCE tools/guest_cfg.c tools/cfg_lines.c tools/cpus.c tools/uuid.c
 * FUZZ_SOURCES: tools/pci_spec.c -lxlutil
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/guest_cfg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libxlutil's parser forgets a list that it gives up in the middle. That is Xen's, and xl-lite
 * reads one configuration a process. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libxlutil.so";
}

static void require(int condition)
{
    if (!condition) {
        abort();
    }
}

static void check(const struct guest_cfg *cfg)
{
    require(cfg->name != NULL && cfg->name[0] != '\0' && strlen(cfg->name) <= 64);
    require(cfg->kernel != NULL && cfg->kernel[0] != '\0' && cfg->cmdline != NULL);
    require(strlen(cfg->cmdline) <= CFG_MAX_CMDLINE);
    require(cfg->memory_mb >= CFG_MIN_MEMORY_MB && cfg->memory_mb <= cfg->maxmem_mb &&
            cfg->maxmem_mb <= CFG_MAX_MEMORY_MB);
    require(cfg->vcpus >= 1 && cfg->vcpus <= cfg->maxvcpus && cfg->maxvcpus <= CFG_MAX_VCPUS);
    require(cfg->nr_pins <= cfg->maxvcpus + 1 && (cfg->nr_pins == 0 || cfg->pins != NULL));
    require(cfg->on_poweroff < ACTION_COUNT && cfg->on_reboot < ACTION_COUNT &&
            cfg->on_crash < ACTION_COUNT);
    require(cfg->tsc_mode <= 2 && cfg->timer_mode <= 3 && cfg->cpu_weight <= 65535);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    const uint8_t *split = memchr(data, 0xff, size);
    const size_t len = split != NULL ? (size_t)(split - data) : size;
    char *override = NULL;
    struct guest_cfg cfg;

    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
    }
    if (split != NULL) {
        override = strndup((const char *)split + 1, size - len - 1);
    }
    if (guest_cfg_parse(&cfg, "fuzz", (const char *)data, len, &override, override != NULL ? 1 : 0,
                        nowhere) == 0) {
        check(&cfg);
    }
    guest_cfg_free(&cfg);
    free(override);
    return 0;
}

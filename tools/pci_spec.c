/* SPDX-License-Identifier: MIT */
/* Reads the names of PCI functions and their options (pci_spec.h). */
#include "pci_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_MAX 256
#define SLOTS    16

/* Hexadecimal digits, 1 to max of them; *text is moved behind them. */
static bool take_hex(const char **text, unsigned max, unsigned *out)
{
    unsigned digits = 0;

    *out = 0;
    for (; digits < max; digits++, (*text)++) {
        const char c = **text;

        if (c >= '0' && c <= '9') {
            *out = *out << 4 | (unsigned)(c - '0');
        } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
            *out = *out << 4 | (unsigned)((c | 32) - 'a' + 10);
        } else {
            break;
        }
    }
    return digits > 0;
}

/* Returns what follows the function's number, or NULL. star: '*' may stand for the function. */
static const char *take_bdf(const char *text, uint32_t *sbdf, bool *star)
{
    unsigned segment = 0, bus, device, function;

    if (!take_hex(&text, 4, &bus) || *text++ != ':' || !take_hex(&text, 4, &device)) {
        return NULL;
    }
    if (*text == ':') {
        segment = bus;
        bus = device;
        text++;
        if (!take_hex(&text, 2, &device)) {
            return NULL;
        }
    }
    if (*text++ != '.' || bus > 0xff || device > 0x1f) {
        return NULL;
    }
    function = 0;
    if (star != NULL && *text == '*') {
        *star = true;
        text++;
    } else if (!take_hex(&text, 1, &function) || function > 7) {
        return NULL;
    }
    *sbdf = segment << 16 | bus << 8 | device << 3 | function;
    return text;
}

int pci_bdf_parse(const char *text, uint32_t *sbdf)
{
    const char *end = take_bdf(text, sbdf, NULL);

    return end != NULL && *end == '\0' ? 0 : -1;
}

void pci_bdf_format(uint32_t sbdf, char text[PCI_BDF_TEXT])
{
    snprintf(text, PCI_BDF_TEXT, "%04x:%02x:%02x.%x", sbdf >> 16 & 0xffff, sbdf >> 8 & 0xff,
             sbdf >> 3 & 0x1f, sbdf & 7);
}

static int take_slot(const char *text, struct pci_spec *spec, char *error, size_t size)
{
    const char *end = text;
    unsigned slot;

    if (!take_hex(&end, 2, &slot) || *end != '\0' || slot < 1 || slot > SLOTS) {
        snprintf(error, size, "there is no slot '%s': slots are 1 to %x", text, SLOTS);
        return -1;
    }
    spec->slot = slot;
    return 0;
}

static int take_function(char *text, struct pci_spec *spec, char *error, size_t size)
{
    char *at = strchr(text, '@');
    const char *end;

    if (at != NULL) {
        *at++ = '\0';
    }
    end = take_bdf(text, &spec->sbdf, &spec->group);
    if (end == NULL || *end != '\0') {
        snprintf(error, size, "'%s' is no PCI function (as 0000:00:05.0 or 00:05.0)", text);
        return -1;
    }
    return at != NULL ? take_slot(at, spec, error, size) : 0;
}

static int take_switch(const char *key, const char *value, bool *out, char *error, size_t size)
{
    if (value == NULL || (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)) {
        snprintf(error, size, "%s wants 0 or 1", key);
        return -1;
    }
    *out = value[0] == '1';
    return 0;
}

/* xl's options that would change nothing here are taken when they ask for what happens anyway. */
static int take_option(char *text, struct pci_spec *spec, bool *have_bdf, char *error, size_t size)
{
    char *value = strchr(text, '=');
    bool on = false;

    if (value != NULL) {
        *value++ = '\0';
    }
    if (strcmp(text, "permissive") == 0) {
        return take_switch(text, value, &spec->permissive, error, size);
    }
    if (strcmp(text, "seize") == 0) {
        return take_switch(text, value, &spec->seize, error, size);
    }
    if (strcmp(text, "vslot") == 0 && value != NULL) {
        return take_slot(value, spec, error, size);
    }
    if (strcmp(text, "bdf") == 0 && value != NULL && !*have_bdf) {
        *have_bdf = true;
        return take_function(value, spec, error, size);
    }
    if (strcmp(text, "power_mgmt") == 0 || strcmp(text, "msitranslate") == 0) {
        return take_switch(text, value, &on, error, size);
    }
    if (strcmp(text, "rdm_policy") == 0 && value != NULL && strcmp(value, "strict") == 0) {
        return 0;
    }
    snprintf(error, size, "option '%s' is not supported%s", text,
             strcmp(text, "rdm_policy") == 0 ? " but as rdm_policy=strict" : "");
    return -1;
}

int pci_spec_parse(const char *text, struct pci_spec *spec, char *error, size_t size)
{
    char copy[SPEC_MAX], *rest = copy, *part;
    bool have_bdf = false;

    if (strlen(text) >= sizeof(copy)) {
        snprintf(error, size, "this is longer than %d characters", SPEC_MAX - 1);
        return -1;
    }
    strcpy(copy, text);
    spec->sbdf = 0;
    spec->group = false;
    spec->slot = 0;
    part = strsep(&rest, ",");
    if (strchr(part, '=') == NULL) {
        if (take_function(part, spec, error, size) != 0) {
            return -1;
        }
        have_bdf = true;
        part = strsep(&rest, ",");
    }
    for (; part != NULL; part = strsep(&rest, ",")) {
        if (take_option(part, spec, &have_bdf, error, size) != 0) {
            return -1;
        }
    }
    if (!have_bdf) {
        snprintf(error, size, "'%s' names no function (bdf=...)", text);
        return -1;
    }
    return 0;
}

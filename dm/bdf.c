/* SPDX-License-Identifier: MIT */
/* PCI functions as text. */
#include "dm/bdf.h"

#include <stdio.h>
#include <string.h>

void format_bdf(char text[BDF_TEXT], uint32_t sbdf)
{
    snprintf(text, BDF_TEXT, "%04x:%02x:%02x.%x", sbdf >> 16, sbdf >> 8 & 0xff, sbdf >> 3 & 0x1f,
             sbdf & 7);
}

bool parse_bdf(const char *text, uint32_t *sbdf)
{
    unsigned segment = 0, bus, device, function;
    int end = 0;

    if (strspn(text, "0123456789abcdefABCDEF:.") != strlen(text))
        return false;
    if (sscanf(text, "%4x:%2x:%2x.%1x%n", &segment, &bus, &device, &function, &end) != 4) {
        segment = 0;
        end = 0;
        if (sscanf(text, "%2x:%2x.%1x%n", &bus, &device, &function, &end) != 3)
            return false;
    }
    *sbdf = segment << 16 | bus << 8 | device << 3 | function;
    return end && !text[end] && device < 32 && function < 8;
}

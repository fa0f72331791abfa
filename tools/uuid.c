/* SPDX-License-Identifier: MIT */
/*
 * UUIDs of domains (uuid.h), after RFC 4122.
 */
#include "uuid.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static int hex_digit(char c)
{
    if (!isxdigit((unsigned char)c)) {
        return -1;
    }
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

int uuid_parse_text(const char *text, uint8_t uuid[16])
{
    uint8_t bytes[16] = { 0 };

    if (strlen(text) != 36) {
        return -EINVAL;
    }
    for (unsigned i = 0, digit = 0; i < 36; i++) {
        const int value = hex_digit(text[i]);

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-') {
                return -EINVAL;
            }
            continue;
        }
        if (value < 0) {
            return -EINVAL;
        }
        bytes[digit / 2] = (uint8_t)(bytes[digit / 2] << 4 | value);
        digit++;
    }
    memcpy(uuid, bytes, sizeof(bytes));
    return 0;
}

void uuid_format(const uint8_t uuid[16], char text[37])
{
    char *out = text;

    for (unsigned i = 0; i < 16; i++) {
        out += sprintf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
    }
}

int uuid_random(uint8_t uuid[16])
{
    if (getrandom(uuid, 16, 0) != 16) {
        return errno != 0 ? -errno : -EIO;
    }
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return 0;
}

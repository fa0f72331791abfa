/* SPDX-License-Identifier: MIT */
/* A guest's early output (debugport.h). */
#include "domain/debugport.h"

#include "lib/printf.h"

static void new_window(struct debugport *p, uint16_t domid, uint64_t now)
{
    if (p->suppressed)
        printk(LOG_DEBUG, "(d%u) %lu lines more are left out", domid, (unsigned long)p->suppressed);
    p->since = now;
    p->lines = 0;
    p->suppressed = 0;
}

static void end_line(struct debugport *p, uint16_t domid, uint64_t now)
{
    p->line[p->len] = '\0';
    if (now - p->since >= DEBUGPORT_LINES_NS)
        new_window(p, domid, now);
    if (p->lines++ < DEBUGPORT_LINES)
        printk(LOG_DEBUG, "(d%u) %s", domid, p->line);
    else
        p->suppressed++;
    p->len = 0;
}

void debugport_put(struct debugport *p, uint16_t domid, uint8_t c, uint64_t now)
{
    spin_lock(&p->lock);
    if (c == '\n') {
        end_line(p, domid, now);
    } else if (c != '\r') {
        if (p->len == DEBUGPORT_LINE)
            end_line(p, domid, now);
        /* What would move an administrator's cursor is shown as a dot. */
        p->line[p->len++] = (char)((c >= ' ' && c < 0x7f) || c == '\t' ? c : '.');
    }
    spin_unlock(&p->lock);
}

/* SPDX-License-Identifier: MIT */
/*
 * The software VT-d unit: translation through root, context and page tables with caches, interrupt
 * remapping, fault recording. Registers and the queue are in vtd_model_regs.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/phys.h"
#include "vtd_model.h"
#include "vtd_model_priv.h"

/* ---- memory as the unit sees it ---- */

static uint64_t mem64(struct vtd_model *m, uint64_t pa)
{
    uint64_t v;

    if (m->shadow) {
        if (pa + 8 > m->shadow_size) {
            model_violation(m, "the unit reads memory that does not exist");
            return ~0ULL;
        }
        memcpy(&v, m->shadow + pa, 8);
    } else {
        memcpy(&v, phys_to_virt(pa), 8);
    }
    return v;
}

uint64_t model_mem64(struct vtd_model *m, uint64_t pa)
{
    return mem64(m, pa);
}

/* ---- faults ---- */

static void fault_event(struct vtd_model *m)
{
    if (m->fectl & 0x80000000u)
        m->fectl |= 0x40000000u; /* masked: pending */
    else
        m->fault_events++;
}

static void record_fault(struct vtd_model *m, uint16_t sid, uint64_t info, bool write,
                         unsigned reason)
{
    uint64_t *rec = m->frcd[m->next_frcd];

    if (m->fsts & 1)
        return;
    if (rec[1] >> 63) {
        m->fsts |= 1;
        return;
    }
    rec[0] = info;
    rec[1] = 1ULL << 63 | (write ? 0 : 1ULL << 62) | (uint64_t)reason << 32 | sid;
    if (!(m->fsts & 2)) {
        m->fsts = (m->fsts & ~0xff00u) | 2 | m->next_frcd << 8;
        fault_event(m);
    }
    m->next_frcd = (m->next_frcd + 1) % m->nfr;
}

/* ---- translation ---- */

static unsigned slot(struct vtd_model *m, unsigned size)
{
    return m->victim++ % size;
}

static const struct model_ctx *context_of(struct vtd_model *m, uint16_t sid, unsigned *reason)
{
    static struct model_ctx fresh;
    uint64_t re_lo, re_hi;

    for (unsigned i = 0; i < MODEL_CTX; i++)
        if (m->ctx[i].valid && m->ctx[i].sid == sid)
            return &m->ctx[i];
    re_lo = mem64(m, m->root + (sid >> 8) * 16u);
    re_hi = mem64(m, m->root + (sid >> 8) * 16u + 8);
    fresh = (struct model_ctx){ .sid = sid };
    if (!(re_lo & 1)) {
        *reason = 1;
        return NULL;
    }
    if ((re_lo & 0xffe) || re_hi) {
        *reason = 0xa;
        return NULL;
    }
    fresh.lo = mem64(m, (re_lo & ~0xfffULL) + (sid & 0xff) * 16u);
    fresh.hi = mem64(m, (re_lo & ~0xfffULL) + (sid & 0xff) * 16u + 8);
    /* with caching mode what is not present is cached as well */
    if ((fresh.lo & 1) || m->caching_mode) {
        struct model_ctx *c = &m->ctx[slot(m, MODEL_CTX)];

        *c = fresh;
        c->valid = true;
        if (!(c->lo & 1))
            c->hi = 0; /* tagged with domain 0 */
        return c;
    }
    return &fresh;
}

static unsigned check_context(struct vtd_model *m, const struct model_ctx *c)
{
    unsigned aw = c->hi & 7, did = (c->hi >> 8) & 0xffff;

    if (!(c->lo & 1))
        return 2;
    if ((c->lo & 0xff0) || (c->hi & 0xffffffffff000080ULL))
        return 0xb;
    if (((c->lo >> 2) & 3) != 0)
        return 3; /* pass-through and device TLBs are not offered */
    if (!((m->sagaw >> aw) & 1) || did >= 1u << (4 + 2 * m->nd))
        return 3;
    return 0;
}

/*
 * One page table entry's reserved bits: 11 (no snoop control), 62 (no device TLB), size bits of a
 * leaf.
 */
static bool pte_reserved(struct vtd_model *m, uint64_t pte, unsigned level)
{
    bool leaf = level == 1 || (pte & 0x80);

    if (pte & (1ULL << 11 | 1ULL << 62))
        return true;
    if (level > 1 && (pte & 0x80)) {
        if (level > 3 || (level == 2 && m->no_2m) || (level == 3 && m->no_1g))
            return true;
    }
    return leaf && level > 1 &&
           (pte & 0x000ffffffffff000ULL & ((1ULL << (12 + 9 * (level - 1))) - 1));
}

/* The lowest table for the address that the unit remembers. */
static unsigned cached_table(struct vtd_model *m, uint16_t sid, uint64_t addr, unsigned levels,
                             uint64_t *table)
{
    unsigned best = levels;

    for (unsigned i = 0; i < MODEL_PSC; i++) {
        const struct model_psc *p = &m->psc[i];

        if (p->valid && p->sid == sid && p->level < best &&
            p->prefix == addr >> (12 + 9 * p->level)) {
            best = p->level;
            *table = p->table;
        }
    }
    return best;
}

static void remember_table(struct vtd_model *m, uint16_t sid, uint16_t did, uint64_t addr,
                           unsigned level, uint64_t table)
{
    m->psc[slot(m, MODEL_PSC)] = (struct model_psc){
        .valid = true,
        .sid = sid,
        .did = did,
        .level = level,
        .prefix = addr >> (12 + 9 * level),
        .table = table,
    };
}

static unsigned walk(struct vtd_model *m, const struct model_ctx *c, uint64_t addr,
                     struct model_iotlb *out)
{
    unsigned levels = (c->hi & 7) + 2, level;
    uint16_t did = (uint16_t)(c->hi >> 8);
    uint64_t table = c->lo & ~0xfffULL;
    bool r = true, w = true;

    if (addr >> MIN(m->mgaw, 12 + 9 * levels))
        return 4;
    level = cached_table(m, c->sid, addr, levels, &table);
    for (;; level--) {
        uint64_t pte = mem64(m, table + ((addr >> (12 + 9 * (level - 1))) & 511) * 8);

        if (pte & 3 && pte_reserved(m, pte, level))
            return 0xc;
        r = r && (pte & 1);
        w = w && (pte & 2);
        *out = (struct model_iotlb){
            .valid = true,
            .present = r || w,
            .r = r,
            .w = w,
            .sid = c->sid,
            .did = did,
            .order = 9 * (level - 1),
        };
        if (!r && !w) {
            out->order = 0;
            out->gfn = addr >> 12;
            return 0;
        }
        if (level == 1 || (pte & 0x80)) {
            out->gfn = (addr >> 12) & ~((1ULL << out->order) - 1);
            out->mfn = ((pte & 0x000ffffffffff000ULL) >> 12) & ~((1ULL << out->order) - 1);
            return 0;
        }
        table = pte & 0x000ffffffffff000ULL;
        remember_table(m, c->sid, did, addr, level - 1, table);
    }
}

static const struct model_iotlb *lookup(struct vtd_model *m, uint16_t sid, uint64_t addr)
{
    /*
     * by requester alone: the strictest reading, an entry answers even if the context entry is gone
     */
    for (unsigned i = 0; i < MODEL_IOTLB; i++) {
        const struct model_iotlb *t = &m->iotlb[i];

        if (t->valid && t->sid == sid && t->gfn == (addr >> 12 & ~((1ULL << t->order) - 1)))
            return t;
    }
    return NULL;
}

enum model_result model_dma(struct vtd_model *m, uint16_t sid, uint64_t addr, bool write,
                            uint64_t *pa, unsigned *reason)
{
    const struct model_iotlb *t;
    struct model_iotlb fresh;

    *reason = 0;
    if (!(m->gsts >> 31)) {
        *pa = addr;
        return MODEL_OK;
    }
    t = lookup(m, sid, addr);
    if (!t) {
        const struct model_ctx *c = context_of(m, sid, reason);
        bool fpd = c && (c->lo & 2);

        if (c && !*reason)
            *reason = check_context(m, c);
        if (c && !*reason)
            *reason = walk(m, c, addr, &fresh);
        if (*reason) {
            if (fpd)
                return MODEL_DROPPED;
            record_fault(m, sid, addr & ~0xfffULL, write, *reason);
            return MODEL_FAULT;
        }
        if (fresh.present || m->caching_mode)
            m->iotlb[slot(m, MODEL_IOTLB)] = fresh;
        t = &fresh;
    }
    /*
     * a cached entry's permissions count even if memory grants more by now (CAP.CM: "partial
     * permission increases")
     */
    if (write ? !t->w : !t->r) {
        *reason = write ? 5 : 6;
        record_fault(m, sid, addr & ~0xfffULL, write, *reason);
        return MODEL_FAULT;
    }
    *pa = (t->mfn + ((addr >> 12) - t->gfn)) << 12 | (addr & 0xfff);
    return MODEL_OK;
}

/* ---- interrupts ---- */

static enum model_result irq_fault(struct vtd_model *m, uint16_t sid, unsigned index,
                                   unsigned reason, unsigned *out)
{
    *out = reason;
    record_fault(m, sid, (uint64_t)index << 48, true, reason);
    return MODEL_FAULT;
}

static struct model_iec *irte(struct vtd_model *m, unsigned index)
{
    struct model_iec *e;

    for (unsigned i = 0; i < MODEL_IEC; i++)
        if (m->iec[i].valid && m->iec[i].index == index)
            return &m->iec[i];
    e = &m->iec[slot(m, MODEL_IEC)];
    e->index = index;
    e->lo = mem64(m, m->irt + index * 16u);
    e->hi = mem64(m, m->irt + index * 16u + 8);
    e->valid = (e->lo & 1) || m->caching_mode;
    return e;
}

static bool source_ok(const struct model_iec *e, uint16_t sid)
{
    static const uint16_t mask[4] = { 0xffff, 0xfffb, 0xfff9, 0xfff8 };
    unsigned svt = (e->hi >> 18) & 3, sq = (e->hi >> 16) & 3;
    uint16_t want = (uint16_t)e->hi;

    if (svt == 0)
        return true;
    if (svt == 1)
        return (want & mask[sq]) == (sid & mask[sq]);
    return svt == 2 && sid >> 8 >= want >> 8 && sid >> 8 <= (want & 0xff);
}

/*
 * 5.2.3: one locked step on the descriptor, which units snoop whatever they do with tables: the request's bit is set; if no
 * notification is outstanding (word 8, bit 0), and the entry is urgent or notifications are not suppressed (bit 1), one
 * becomes outstanding and is sent. 9.12 says which bits are reserved.
 */
static enum model_result post(struct vtd_model *m, uint16_t sid, const struct model_iec *e,
                              struct model_irq *irq, unsigned *reason)
{
    uint64_t pa = (e->lo >> 38) << 6 | e->hi >> 32 << 32;
    unsigned vector = e->lo >> 16 & 0xff;
    bool urgent = e->lo >> 14 & 1;
    uint32_t *d, ndst;

    irq->posted = true;
    irq->descriptor = pa;
    if (pa + 64 > m->mem_size)
        return irq_fault(m, sid, e->index, 0x27, reason);
    d = phys_to_virt(pa);
    ndst = d[9];
    if ((d[8] & 0xff00fffcu) || d[10] || d[11] || d[12] || d[13] || d[14] || d[15] ||
        (!m->irt_eim && (ndst & 0xffff00ffu)))
        return irq_fault(m, sid, e->index, 0x28, reason);
    d[vector / 32] |= 1u << vector % 32;
    if ((d[8] & 1) || (!urgent && (d[8] & 2)))
        return MODEL_OK;
    d[8] |= 1;
    irq->notified = true;
    irq->vector = d[8] >> 16 & 0xff;
    irq->dest = m->irt_eim ? ndst : ndst >> 8;
    return MODEL_OK;
}

static enum model_result remap(struct vtd_model *m, uint16_t sid, unsigned index,
                               struct model_irq *irq, unsigned *reason)
{
    const struct model_iec *e;

    if (index >= m->irt_size)
        return irq_fault(m, sid, index, 0x21, reason);
    e = irte(m, index);
    if (!(e->lo & 1)) {
        if (e->lo & 2)
            return MODEL_DROPPED;
        return irq_fault(m, sid, index, 0x22, reason);
    }
    if (m->posts && (e->lo >> 15 & 1)) {
        /* reserved: 7:2, 13:12, 37:24; source word bits 31:20 */
        if ((e->lo & 0x3fff0030fcULL) || (e->hi >> 20 & 0xfff))
            return irq_fault(m, sid, index, 0x24, reason);
        if (!source_ok(e, sid))
            return irq_fault(m, sid, index, 0x26, reason);
        return post(m, sid, e, irq, reason);
    }
    /*
     * reserved: 14:12, 31:24; in 8-bit mode all of the destination but 15:8; source word above bit
     * 19
     */
    if ((e->lo & 0xff00f000ULL) || e->hi >> 20 || (!m->irt_eim && ((e->lo >> 32) & 0xffff00ffULL)))
        return irq_fault(m, sid, index, 0x24, reason);
    if (!source_ok(e, sid))
        return irq_fault(m, sid, index, 0x26, reason);
    irq->vector = (uint8_t)(e->lo >> 16);
    irq->mode = (e->lo >> 5) & 7;
    irq->level = (e->lo >> 4) & 1;
    irq->dest = m->irt_eim ? (uint32_t)(e->lo >> 32) : (uint32_t)(e->lo >> 40) & 0xff;
    return MODEL_OK;
}

enum model_result model_msi(struct vtd_model *m, uint16_t sid, uint64_t addr, uint32_t data,
                            struct model_irq *irq, unsigned *reason)
{
    unsigned handle = ((addr >> 5) & 0x7fff) | ((addr >> 2) & 1) << 15;

    memset(irq, 0, sizeof(*irq));
    *reason = 0;
    if (addr >> 20 != 0xfee)
        return irq_fault(m, sid, 0, 0x20, reason);
    if (!((m->gsts >> 25) & 1) || !(addr & 0x10)) {
        /*
         * compatibility format: delivered as it is, unless remapping is on and does not let it
         * through
         */
        if (((m->gsts >> 25) & 1) && !((m->gsts >> 23) & 1))
            return irq_fault(m, sid, 0, 0x25, reason);
        irq->vector = (uint8_t)data;
        irq->dest = (addr >> 12) & 0xff;
        return MODEL_OK;
    }
    if (addr & 8)
        handle += data & 0xffff;
    return remap(m, sid, handle, irq, reason);
}

enum model_result model_ioapic(struct vtd_model *m, uint16_t sid, uint64_t rte,
                               struct model_irq *irq, unsigned *reason)
{
    enum model_result res;

    memset(irq, 0, sizeof(*irq));
    *reason = 0;
    if (rte >> 16 & 1)
        return MODEL_DROPPED;
    if (!(rte >> 48 & 1)) {
        if (((m->gsts >> 25) & 1) && !((m->gsts >> 23) & 1))
            return irq_fault(m, sid, 0, 0x25, reason);
        irq->vector = (uint8_t)rte;
        irq->dest = (uint32_t)(rte >> 56);
        return MODEL_OK;
    }
    /* 47:17 reserved, delivery mode 0 */
    if ((rte & 0x0000fffffffe0000ULL) || (rte >> 8 & 7))
        return irq_fault(m, sid, 0, 0x20, reason);
    res = remap(m, sid, (unsigned)(rte >> 49) | (rte >> 11 & 1) << 15, irq, reason);
    if (irq->posted)
        model_violation(m, "an IO-APIC pin's requests are posted");
    else if (res == MODEL_OK && (irq->vector != (uint8_t)rte || irq->level != (rte >> 15 & 1)))
        model_violation(m, "redirection entry and remapping entry differ");
    return res;
}

/* SPDX-License-Identifier: MIT */
/*
 * The software VT-d unit's registers, invalidation queue and caches being emptied. Offsets and bits
 * are those of chapter 11 of the specification.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iommu/vtd.h" /* struct vtd_hw only */
#include "mm/phys.h"
#include "vtd_model.h"
#include "vtd_model_priv.h"

#define MODEL_UNITS 4
#define R_IOTLB     0xf0u
#define R_FRCD      0x220u

#define S_TE   (1u << 31)
#define S_RTP  (1u << 30)
#define S_QIE  (1u << 26)
#define S_IRE  (1u << 25)
#define S_IRTP (1u << 24)
#define S_CFI  (1u << 23)

static struct vtd_model *machine[MODEL_UNITS];

void model_violation(struct vtd_model *m, const char *what)
{
    if (!m->violation[0])
        snprintf(m->violation, sizeof(m->violation), "%s", what);
}

static bool counts(struct vtd_model *m, enum model_inval kind)
{
    m->count[kind]++;
    return !((m->deaf >> kind) & 1);
}

/* ---- the unit's view of memory ---- */

/*
 * All stores become visible: what a write buffer flush does, and every invalidation where there are
 * such buffers.
 */
static void drain_write_buffers(struct vtd_model *m)
{
    if (m->rwbf && m->shadow)
        memcpy(m->shadow, phys_to_virt(0), m->shadow_size);
}

static void model_writeback(void *ctx, const void *p, size_t len)
{
    struct vtd_model *first = ctx;
    uint64_t from = virt_to_phys(p) & ~63ULL, to = (virt_to_phys(p) + len + 63) & ~63ULL;

    if (first->deaf_writeback)
        return;
    /* the caches are the processors': what leaves them every unit sees */
    for (unsigned i = 0; i < MODEL_UNITS; i++)
        if (machine[i] && machine[i]->shadow && !machine[i]->rwbf)
            memcpy(machine[i]->shadow + from, phys_to_virt(from), to - from);
}

/* ---- caches being emptied ---- */

static void flush_context(struct vtd_model *m, enum model_inval kind, uint16_t did, uint16_t sid)
{
    if (kind == MI_CONTEXT_GLOBAL)
        m->need_context = false;
    if (!counts(m, kind))
        return;
    for (unsigned i = 0; i < MODEL_CTX; i++) {
        struct model_ctx *c = &m->ctx[i];
        bool tag = (uint16_t)(c->hi >> 8) == did;

        /* device-selective needs the tag right too: hardware may look for both */
        if (kind == MI_CONTEXT_GLOBAL || (kind == MI_CONTEXT_DOMAIN && tag) ||
            (kind == MI_CONTEXT_DEVICE && tag && c->sid == sid))
            c->valid = false;
    }
}

static bool overlaps(uint64_t a, unsigned a_order, uint64_t b, unsigned b_order)
{
    unsigned order = a_order > b_order ? a_order : b_order;

    return a >> order == b >> order;
}

static void flush_iotlb(struct vtd_model *m, enum model_inval kind, uint16_t did, uint64_t gfn,
                        unsigned am, bool hint)
{
    if (kind == MI_IOTLB_GLOBAL) {
        if (m->need_context)
            model_violation(m, "IOTLB flushed before the context cache after a new root");
        m->need_iotlb = false;
    }
    if (!counts(m, kind))
        return;
    for (unsigned i = 0; i < MODEL_IOTLB; i++) {
        struct model_iotlb *t = &m->iotlb[i];

        if (kind == MI_IOTLB_GLOBAL ||
            (t->did == did && (kind == MI_IOTLB_DOMAIN || overlaps(t->gfn, t->order, gfn, am))))
            t->valid = false;
    }
    for (unsigned i = 0; i < MODEL_PSC; i++) {
        struct model_psc *p = &m->psc[i];

        if (kind == MI_IOTLB_GLOBAL || (p->did == did && kind == MI_IOTLB_DOMAIN) ||
            (p->did == did && !hint &&
             overlaps(p->prefix << (9 * p->level), 9 * p->level, gfn, am)))
            p->valid = false;
    }
}

static void flush_iec(struct vtd_model *m, bool global, unsigned index, unsigned im)
{
    if (global)
        m->need_iec = false;
    if (!counts(m, global ? MI_IEC_GLOBAL : MI_IEC_INDEX))
        return;
    for (unsigned i = 0; i < MODEL_IEC; i++)
        if (global || m->iec[i].index >> im == index >> im)
            m->iec[i].valid = false;
}

static bool page_request_ok(struct vtd_model *m, uint64_t gfn, unsigned am)
{
    return m->psi && am <= m->mamv && !(gfn & ((1ULL << am) - 1));
}

/* ---- queue ---- */

/* One descriptor; false: it is malformed. */
static bool execute(struct vtd_model *m, uint64_t lo, uint64_t hi)
{
    uint16_t did = (uint16_t)(lo >> 16);
    unsigned g = (lo >> 4) & 3, am = hi & 0x3f;

    switch (lo & 15) {
    case 1:
        if (hi || (lo & 0xfffc00000000ffc0ULL) || !g)
            return false;
        flush_context(m,
                      g == 1   ? MI_CONTEXT_GLOBAL
                      : g == 2 ? MI_CONTEXT_DOMAIN
                               : MI_CONTEXT_DEVICE,
                      did, (uint16_t)(lo >> 32));
        return true;
    case 2:
        if ((lo & 0xffffffff0000ff00ULL) || (hi & 0xf80) || !g)
            return false;
        if (g == 3 && !page_request_ok(m, hi >> 12, am))
            return false;
        flush_iotlb(m,
                    g == 1   ? MI_IOTLB_GLOBAL
                    : g == 2 ? MI_IOTLB_DOMAIN
                             : MI_IOTLB_PAGE,
                    did, hi >> 12, am, hi & 0x40);
        return true;
    case 4:
        if (hi || (lo & 0xffff000007ffffe0ULL) || !m->intremap)
            return false;
        flush_iec(m, !(lo & 0x10), (unsigned)(lo >> 32) & 0xffff, (lo >> 27) & 31);
        return true;
    case 5:
        /* neither a status write nor an interrupt: QEMU refuses that */
        if ((lo & 0xffffff80ULL) || (hi & 3) || !(lo & 0x30))
            return false;
        m->waits++;
        if ((lo & 0x20) && !m->lose_wait) {
            uint32_t data = (uint32_t)(lo >> 32);

            memcpy(phys_to_virt(hi), &data, 4);
        }
        return true;
    default:
        return false;
    }
}

static void queue_error(struct vtd_model *m)
{
    m->fsts |= 0x10;
}

/*
 * Descriptors [from, to) have no fence between them: the worst order is the reverse one, with DMA
 * in between.
 */
static bool run_group(struct vtd_model *m, unsigned from, unsigned to)
{
    uint64_t base = m->iqa & ~0xfffULL;

    for (unsigned i = to; i-- > from;) {
        unsigned at = i % 256;

        if (!execute(m, model_mem64(m, base + at * 16u), model_mem64(m, base + at * 16u + 8)))
            return false;
        if (m->between)
            m->between(m);
    }
    return true;
}

static void run_queue(struct vtd_model *m)
{
    uint64_t base = m->iqa & ~0xfffULL;
    unsigned end = m->iqt < m->iqh ? m->iqt + 256 : m->iqt, from = m->iqh;

    if (m->stuck_queue || !(m->gsts & S_QIE) || (m->fsts & 0x10))
        return;
    drain_write_buffers(m);
    for (unsigned i = from; i < end; i++) {
        uint64_t lo = model_mem64(m, base + (i % 256) * 16u);
        bool wait = (lo & 15) == 5;

        if (!wait)
            continue;
        /*
         * a wait completes after what is before it; only with the fence flag does what follows wait
         * for it
         */
        if (!run_group(m, from, i) || !execute(m, lo, model_mem64(m, base + (i % 256) * 16u + 8))) {
            queue_error(m);
            return;
        }
        if (!(lo & 0x40) && i + 1 != end)
            model_violation(m, "descriptors follow a wait without a fence in one batch");
        from = i + 1;
    }
    if (from != end) {
        model_violation(m, "a batch does not end with a wait");
        if (!run_group(m, from, end))
            queue_error(m);
    }
    m->iqh = m->iqt;
}

/* ---- global commands ---- */

static void set_state(struct vtd_model *m, uint32_t bit, bool on)
{
    if (m->stuck_gcmd & bit)
        return;
    if (bit == S_QIE && on) {
        if (!m->queue)
            model_violation(m, "queue turned on where there is none");
        m->iqh = 0;
    }
    if (bit == S_QIE && !on && m->iqh != m->iqt)
        model_violation(m, "queue turned off while it is busy");
    if (bit == S_TE && on && (!(m->gsts & S_RTP) || m->need_context || m->need_iotlb))
        model_violation(m, "translation turned on with stale caches");
    if (bit == S_IRE && on && (!(m->gsts & S_IRTP) || m->need_iec || !m->intremap))
        model_violation(m, "remapping turned on with stale entries");
    m->gsts = on ? m->gsts | bit : m->gsts & ~bit;
}

static void write_gcmd(struct vtd_model *m, uint32_t v)
{
    static const uint32_t states[] = { S_TE, S_QIE, S_IRE, S_CFI };
    unsigned changes = 0;

    for (unsigned i = 0; i < 4; i++)
        if ((v ^ m->gsts) & states[i])
            changes += states[i] != S_CFI;
    changes += !!(v & S_RTP) + !!(v & S_IRTP) + !!(v & (1u << 27));
    if (changes > 1)
        model_violation(m, "more than one command at a time");
    for (unsigned i = 0; i < 4; i++)
        if ((v ^ m->gsts) & states[i])
            set_state(m, states[i], v & states[i]);
    if (v & S_RTP) {
        m->gsts &= ~S_RTP;
        if ((m->gsts & S_TE) && ((m->rtaddr ^ m->root_mode) & 0xc00))
            model_violation(m, "root mode changed while translation is on");
        m->root_mode = m->rtaddr & 0xc00;
        m->root = m->rtaddr & ~0xfffULL;
        m->need_context = m->need_iotlb = true;
        if (!(m->stuck_gcmd & S_RTP))
            m->gsts |= S_RTP;
    }
    if (v & S_IRTP) {
        m->gsts &= ~S_IRTP;
        m->irt = m->irta & ~0xfffULL;
        m->irt_size = 2u << (m->irta & 15);
        m->irt_eim = m->irta & 0x800;
        if (m->irt_eim && !m->eim)
            model_violation(m, "extended mode where there is none");
        m->need_iec = true;
        if (!(m->stuck_gcmd & S_IRTP))
            m->gsts |= S_IRTP;
    }
    if (v & (1u << 27)) {
        if (!m->rwbf)
            model_violation(m, "write buffer flush where there is none");
        drain_write_buffers(m);
        if (m->stuck_gcmd & (1u << 27))
            m->gsts |= 1u << 27;
    }
}

/* ---- register invalidation ---- */

static void write_ccmd(struct vtd_model *m, uint64_t v)
{
    unsigned g = (v >> 61) & 3;

    if (m->gsts & S_QIE)
        model_violation(m, "register invalidation beside the queue");
    m->ccmd = v;
    if (!(v >> 63) || m->stuck_reg)
        return;
    drain_write_buffers(m);
    flush_context(m,
                  g == 1   ? MI_CONTEXT_GLOBAL
                  : g == 2 ? MI_CONTEXT_DOMAIN
                           : MI_CONTEXT_DEVICE,
                  (uint16_t)v, (uint16_t)(v >> 16));
    m->ccmd = (v & ~(1ULL << 63) & ~(3ULL << 59)) | (uint64_t)g << 59;
    if (m->between)
        m->between(m);
}

static void write_iotlb(struct vtd_model *m, uint64_t v)
{
    unsigned g = (v >> 60) & 3, am = m->iva & 0x3f;
    bool bad = !g || (g == 3 && !page_request_ok(m, m->iva >> 12, am));

    if (m->gsts & S_QIE)
        model_violation(m, "register invalidation beside the queue");
    m->iotlb_cmd = v;
    if (!(v >> 63) || m->stuck_reg)
        return;
    drain_write_buffers(m);
    if (!bad)
        flush_iotlb(m,
                    g == 1   ? MI_IOTLB_GLOBAL
                    : g == 2 ? MI_IOTLB_DOMAIN
                             : MI_IOTLB_PAGE,
                    (uint16_t)(v >> 32), m->iva >> 12, am, m->iva & 0x40);
    m->iotlb_cmd = (v & ~(1ULL << 63) & ~(3ULL << 57)) | (uint64_t)(bad ? 0 : g) << 57;
    if (m->between)
        m->between(m);
}

/* ---- registers ---- */

static uint64_t capability(const struct vtd_model *m)
{
    return m->nd | (m->rwbf ? 1u << 4 : 0) | (m->plmr ? 1u << 5 : 0) |
           (m->caching_mode ? 1u << 7 : 0) | m->sagaw << 8 | (uint64_t)(m->mgaw - 1) << 16 |
           (uint64_t)(R_FRCD / 16) << 24 |
           (uint64_t)(m->no_2m   ? 0
                      : m->no_1g ? 1
                                 : 3)
               << 34 |
           (uint64_t)m->psi << 39 | (uint64_t)(m->nfr - 1) << 40 | (uint64_t)m->mamv << 48 |
           3ULL << 54 | (uint64_t)m->posts << 59;
}

static uint64_t ext_capability(const struct vtd_model *m)
{
    return m->coherent | m->queue << 1 | m->intremap << 3 | m->eim << 4 | (R_IOTLB / 16) << 8;
}

static uint64_t *record_half(struct vtd_model *m, unsigned reg)
{
    unsigned n = (reg - R_FRCD) / 16;

    return reg >= R_FRCD && n < m->nfr ? &m->frcd[n][(reg >> 3) & 1] : NULL;
}

static uint64_t model_read64(void *ctx, unsigned reg)
{
    struct vtd_model *m = ctx;

    if (record_half(m, reg))
        return *record_half(m, reg);
    switch (reg) {
    case 0x08:
        return capability(m);
    case 0x10:
        return ext_capability(m);
    case 0x20:
        return m->rtaddr;
    case 0x28:
        return m->ccmd;
    case 0x80:
        return m->iqh * 16u;
    case 0x88:
        return m->iqt * 16u;
    case 0x90:
        return m->iqa;
    case R_IOTLB + 8:
        return m->iotlb_cmd;
    default:
        model_violation(m, "read of an unknown 64-bit register");
        return 0;
    }
}

static uint32_t model_read32(void *ctx, unsigned reg)
{
    struct vtd_model *m = ctx;

    switch (reg) {
    case 0x00:
        return 0x10;
    case 0x1c:
        return m->gsts;
    case 0x34:
        return m->fsts;
    case 0x38:
        return m->fectl;
    case 0x64:
        return m->pmen;
    default:
        model_violation(m, "read of an unknown 32-bit register");
        return 0;
    }
}

static void write_record(struct vtd_model *m, unsigned reg, uint64_t v)
{
    bool any = false;

    if (((reg >> 3) & 1) && v >> 63)
        *record_half(m, reg) &= ~(1ULL << 63);
    for (unsigned i = 0; i < m->nfr; i++)
        any |= m->frcd[i][1] >> 63;
    if (!any)
        m->fsts &= ~2u;
}

static void model_write64(void *ctx, unsigned reg, uint64_t v)
{
    struct vtd_model *m = ctx;

    if (record_half(m, reg)) {
        write_record(m, reg, v);
        return;
    }
    switch (reg) {
    case 0x20:
        m->rtaddr = v;
        break;
    case 0x28:
        write_ccmd(m, v);
        break;
    case 0x88:
        if (v & ~0xff0ULL)
            model_violation(m, "queue tail outside of the queue");
        m->iqt = (v >> 4) & 0xff;
        run_queue(m);
        break;
    case 0x90:
        if ((m->gsts & S_QIE) || (v & 0xfff))
            model_violation(m, "queue moved while it is on, or with a size that is not one page");
        m->iqa = v;
        break;
    case 0xb8:
        m->irta = v;
        break;
    case R_IOTLB:
        m->iva = v;
        break;
    case R_IOTLB + 8:
        write_iotlb(m, v);
        break;
    default:
        model_violation(m, "write to an unknown 64-bit register");
    }
}

static void write_fectl(struct vtd_model *m, uint32_t v)
{
    m->fectl = (v & 0x80000000u) | (m->fectl & 0x40000000u);
    if (!(m->fectl & 0x80000000u) && (m->fectl & 0x40000000u)) {
        m->fectl &= ~0x40000000u;
        m->fault_events++;
    }
}

static void model_write32(void *ctx, unsigned reg, uint32_t v)
{
    struct vtd_model *m = ctx;

    switch (reg) {
    case 0x18:
        write_gcmd(m, v);
        break;
    case 0x34:
        m->fsts &= ~(v & 0x71u);
        break;
    case 0x38:
        write_fectl(m, v);
        break;
    case 0x3c:
        m->fedata = v;
        break;
    case 0x40:
        m->feaddr = v;
        break;
    case 0x44:
        m->feuaddr = v;
        break;
    case 0x64:
        m->pmen = (v & 0x80000000u) | v >> 31;
        break;
    default:
        model_violation(m, "write to an unknown 32-bit register");
    }
}

/* ---- the machine ---- */

void model_reset_machine(void)
{
    for (unsigned i = 0; i < MODEL_UNITS; i++) {
        if (machine[i])
            free(machine[i]->shadow);
        machine[i] = NULL;
    }
}

void model_start(struct vtd_model *m, size_t mem_size)
{
    m->shadow = NULL;
    m->mem_size = mem_size;
    if (!m->coherent || m->rwbf) {
        m->shadow = malloc(mem_size);
        m->shadow_size = mem_size;
        /* what was never made visible is not zero */
        memset(m->shadow, 0xa5, mem_size);
    }
    m->fectl = 0x80000000u;
    for (unsigned i = 0; i < MODEL_UNITS; i++)
        if (!machine[i]) {
            machine[i] = m;
            return;
        }
    abort();
}

int vtd_hw_open(struct vtd_hw *hw, paddr_t base, size_t len)
{
    for (unsigned i = 0; i < MODEL_UNITS; i++) {
        if (!machine[i] || machine[i]->base != base)
            continue;
        if (len < R_FRCD + 16u * machine[i]->nfr && len != PAGE_SIZE)
            return -1;
        *hw = (struct vtd_hw){ model_read32,  model_read64,    model_write32,
                               model_write64, model_writeback, machine[i] };
        return 0;
    }
    return -1;
}

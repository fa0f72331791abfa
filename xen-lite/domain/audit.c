/* SPDX-License-Identifier: MIT */
/* The audit: which parts there are, what each checks, and what is looked at twice. */
#include "domain/audit.h"

#include "domain/domain.h"
#include "hypercall/dominfo.h"
#include "hypercall/grant.h"
#include "iommu/iommu.h"
#include "iommu/post.h"
#include "irq/girq.h"
#include "irq/ioapic.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "vdev/pci.h"

/* Entries and frames of a page table a part; remapping entries a part. */
#define PART_WORK    4096u
#define PART_ENTRIES 256u
#define PART_BUSES   32u
/* Findings of a part that need a second look. */
#define SUSPECTS 16u
/* Looks at what is being changed, some ten milliseconds: a CPU's change takes less. */
#define SECOND_LOOKS 20000u

enum stage { STAGE_DOMAINS, STAGE_CONTEXTS, STAGE_UNITS, STAGE_INTERRUPTS, STAGE_END };

/* A leaf whose right to be there other tables know. */
struct suspect {
    uint64_t gfn, mfn, entry;
    enum p2m_type type;
};

/* The one run there can be. */
static struct {
    spinlock_t lock;
    uint64_t run;
    enum stage stage;
    uint16_t domid; /* the domain under way, or the first that may be next */
    bool inside;    /* gfn is in the middle of it */
    uint64_t gfn;
    unsigned unit, index;  /* of STAGE_CONTEXTS (index: bus) and STAGE_INTERRUPTS */
    uint64_t writes;       /* of the table when its walk began */
    struct p2m_audit seen; /* in the domain under way */
    struct audit_figures fig;
} state = { .lock = SPINLOCK_INIT };

/* What a part works with. */
struct part {
    struct domain *d;
    struct audit_result *res;
    struct suspect suspect[SUSPECTS];
    unsigned nr_suspects;
};

/* ---- telling ---- */

static struct xenlite_breach *tell(struct audit_result *res, unsigned sentence, uint16_t domid,
                                   const char *text)
{
    static struct xenlite_breach spare; /* counted, not kept */
    struct xenlite_breach *b = &spare;

    res->breaches++;
    if (res->nr < AUDIT_BREACHES)
        b = &res->breach[res->nr++];
    memset(b, 0, sizeof(*b));
    b->sentence = (uint16_t)sentence;
    b->domid = domid;
    b->sbdf = XENLITE_NO_DEVICE;
    b->gfn = b->mfn = XENLITE_NO_FRAME;
    strlcpy(b->text, text, sizeof(b->text));
    return b;
}

static struct xenlite_breach *tell_frame(struct audit_result *res, unsigned sentence,
                                         uint16_t domid, uint64_t gfn, uint64_t mfn, uint64_t entry,
                                         const char *text)
{
    struct xenlite_breach *b = tell(res, sentence, domid, text);

    b->gfn = gfn;
    b->mfn = mfn;
    b->entry = entry;
    return b;
}

/* ---- A4: what no domain may have mapped ---- */

struct msix_overlap {
    uint64_t first, last;
    uint32_t sbdf;
};

static bool overlaps(uint64_t start, uint64_t len, const struct msix_overlap *o)
{
    uint64_t first = ALIGN_DOWN(start, PAGE_SIZE), last = ALIGN_UP(start + len, PAGE_SIZE) - 1;

    return len && first <= o->last && last >= o->first;
}

/* Whole pages that hold a table or pending bits: what else is on them traps with them. */
static int msix_on(struct pci_dev *dev, void *arg)
{
    const struct pci_msix_info *m = &dev->msix;
    struct msix_overlap *o = arg;

    if (!dev->decode || !m->cap || !m->nr || !pci_msix_in_bars(dev))
        return 0;
    if (!overlaps(dev->bar[m->table_bar].addr + m->table_offset, pci_msix_table_len(m), o) &&
        !overlaps(dev->bar[m->pba_bar].addr + m->pba_offset, pci_msix_pba_len(m), o))
        return 0;
    o->sbdf = dev->sbdf;
    return 1;
}

static void check_device_memory(struct part *p, const struct p2m_piece *piece)
{
    uint64_t first = piece->mfn << PAGE_SHIFT, last = ((piece->mfn + piece->nr) << PAGE_SHIFT) - 1;
    const char *why = pci_reserved(first, last);
    char text[64];

    if (!why)
        return;
    snprintf(text, sizeof(text), "maps %s", why);
    tell_frame(p->res, 4, p->d->domid, piece->gfn, piece->mfn, piece->entry, text);
}

/* ---- A1, A2: one leaf ---- */

/* There is room: the part ends when the last place is taken. */
static void suspect(struct part *p, const struct p2m_piece *piece)
{
    p->suspect[p->nr_suspects++] = (struct suspect){
        .gfn = piece->gfn, .mfn = piece->mfn, .entry = piece->entry, .type = piece->type
    };
}

static void check_foreign(struct part *p, const struct p2m_piece *piece)
{
    state.fig.foreign += piece->nr;
    for (uint64_t i = 0; i < piece->nr; i++) {
        uint64_t mfn = piece->mfn + i;

        if (!p->d->control)
            tell_frame(p->res, 2, p->d->domid, piece->gfn + i, mfn, piece->entry,
                       "shows another domain's frame to a guest");
        else if (!page_users(mfn))
            tell_frame(p->res, 2, p->d->domid, piece->gfn + i, mfn, piece->entry,
                       "shows another domain's frame without holding it");
    }
}

static bool on_leaf(void *arg, const struct p2m_piece *piece)
{
    struct part *p = arg;
    struct msix_overlap o = { .first = piece->mfn << PAGE_SHIFT,
                              .last = ((piece->mfn + piece->nr) << PAGE_SHIFT) - 1 };

    state.seen.frames[piece->type] += piece->nr;
    state.seen.leaves[piece->order / 9] += piece->first;
    state.fig.frames += piece->nr;
    switch (piece->type) {
    case P2M_MMIO_DIRECT:
    case P2M_FIRMWARE:
        check_device_memory(p, piece);
        if (pci_for_each(msix_on, &o))
            suspect(p, piece);
        break;
    case P2M_FOREIGN:
        check_foreign(p, piece);
        break;
    case P2M_GRANT_RW:
    case P2M_GRANT_RO:
        state.fig.grants++;
        suspect(p, piece);
        break;
    default:
        break;
    }
    return p->nr_suspects < SUSPECTS;
}

static void on_breach(void *arg, enum p2m_breach what, uint64_t gfn, uint64_t mfn, uint64_t entry,
                      uint64_t frames, const char *reason)
{
    struct part *p = arg;
    char text[104];

    strlcpy(text, reason, sizeof(text));
    if (frames > 1)
        snprintf(text, sizeof(text), "%s (%llu frames)", reason, (unsigned long long)frames);
    tell_frame(p->res, what == P2M_BREACH_OWNER ? 2 : 1, p->d->domid, gfn, mfn, entry, text);
    p->res->breaches += frames - 1;
}

static void on_table(void *arg, uint64_t mfn)
{
    (void)arg;
    (void)mfn;
    state.seen.tables++;
    state.fig.tables++;
}

static const struct p2m_audit_ops table_ops = { on_leaf, on_breach, on_table };

/* ---- the second look ---- */

static bool still_mapped(const struct part *p, const struct suspect *s)
{
    enum p2m_type type;

    return p2m_lookup(&p->d->p2m, s->gfn, &type, NULL) == s->mfn && type == s->type;
}

static bool grant_wrong(const struct part *p, const struct suspect *s)
{
    return grant_recorded(p->d, s->gfn, s->mfn, s->type == P2M_GRANT_RO) != 1 && still_mapped(p, s);
}

/* The frame of the leaf that is an interrupt table's, for the report. */
static bool msix_wrong(const struct part *p, struct suspect *s, uint32_t *sbdf)
{
    unsigned order = 0;

    if (!still_mapped(p, s))
        return false;
    p2m_lookup(&p->d->p2m, s->gfn, NULL, &order);
    for (uint64_t i = 0; i < MIN(1UL << order, 512UL); i++) {
        struct msix_overlap o = { .first = (s->mfn + i) << PAGE_SHIFT,
                                  .last = ((s->mfn + i) << PAGE_SHIFT) + PAGE_SIZE - 1 };

        if (!pci_for_each(msix_on, &o))
            continue;
        s->gfn += i;
        s->mfn += i;
        *sbdf = o.sbdf;
        return true;
    }
    return false;
}

static void look_at_grant(struct part *p, const struct suspect *s)
{
    for (unsigned i = 0; i < 100; i++) {
        if (!grant_wrong(p, s))
            return;
        cpu_relax();
    }
    tell_frame(p->res, 2, p->d->domid, s->gfn, s->mfn, s->entry,
               "maps by grant a frame for which it has no handle");
}

static void look_at_msix(struct part *p, const struct suspect *s)
{
    uint32_t sbdf = XENLITE_NO_DEVICE;
    struct suspect frame = *s;

    for (unsigned i = 0; i < SECOND_LOOKS; i++) {
        frame = *s;
        if (!msix_wrong(p, &frame, &sbdf))
            return;
        cpu_relax();
    }
    tell_frame(p->res, 4, p->d->domid, frame.gfn, frame.mfn, frame.entry,
               "maps a page of an MSI-X table or its pending bits")
        ->sbdf = sbdf;
}

/* ---- A6 and the end of a domain ---- */

static void on_iommu(const struct iommu_breach *b, void *arg)
{
    struct audit_result *res = arg;
    struct xenlite_breach *out =
        tell(res, b->kind == IOMMU_BREACH_FLUSH ? 6 : 3, b->domid, b->reason);

    out->sbdf = b->sbdf;
    out->entry = b->entry;
    out->expected = b->expected;
}

/* A CPU in guest mode with translations of before the last flush. */
static bool cpu_stale(const struct domain *d, const struct percpu *pc)
{
    uint64_t gen = READ_ONCE(d->p2m.gen);

    return READ_ONCE(pc->guest_p2m) == &d->p2m && READ_ONCE(pc->guest_gen) < gen;
}

static void check_cpus(struct part *p)
{
    for (unsigned cpu = 0; cpu < nr_cpus; cpu++) {
        const struct percpu *pc = percpu_of(cpu);
        bool stale = true;
        struct xenlite_breach *b;

        /* It publishes its generation in two steps, and a flush may be under way. */
        for (unsigned i = 0; i < SECOND_LOOKS && stale; i++) {
            stale = cpu_stale(p->d, pc);
            cpu_relax();
        }
        if (!stale)
            continue;
        b = tell(p->res, 6, p->d->domid,
                 "a processor runs the domain with translations of before a flush");
        b->entry = READ_ONCE(pc->guest_gen);
        b->expected = READ_ONCE(p->d->p2m.gen);
    }
}

static void end_of_domain(struct part *p)
{
    const char *fault = p2m_audit_flushed(&p->d->p2m);

    if (!p2m_audit_agrees(&p->d->p2m, &state.seen, state.writes))
        tell(p->res, 1, p->d->domid, "the page table's counters differ from what it holds");
    if (fault)
        tell(p->res, 6, p->d->domid, fault);
    check_cpus(p);
    iommu_audit_domain(&p->d->iommu, on_iommu, p->res);
}

/* ---- stages; each does a part and says whether there is more of it ---- */

static struct domain *domain_under_way(void)
{
    struct domain *d = domain_get_next(state.domid);

    if (!d)
        return NULL;
    if (!state.inside || d->domid != state.domid) {
        state.domid = d->domid;
        state.inside = true;
        state.gfn = 0;
        state.writes = READ_ONCE(d->p2m.nr_writes);
        memset(&state.seen, 0, sizeof(state.seen));
        state.fig.domains++;
    }
    return d;
}

static bool part_of_domains(struct audit_result *res)
{
    struct part p = { .res = res, .d = domain_under_way() };

    if (!p.d)
        return false;
    state.gfn = p2m_audit_part(&p.d->p2m, state.gfn, PART_WORK, &table_ops, &p);
    for (unsigned i = 0; i < p.nr_suspects; i++) {
        if (p2m_type_is_grant(p.suspect[i].type))
            look_at_grant(&p, &p.suspect[i]);
        else
            look_at_msix(&p, &p.suspect[i]);
    }
    if (state.gfn == INVALID_GFN) {
        end_of_domain(&p);
        state.inside = false;
        state.domid++;
    }
    domain_put(p.d);
    return true;
}

static bool part_of_contexts(struct audit_result *res)
{
    for (unsigned i = 0; i < PART_BUSES; i++) {
        int present = iommu_audit_bus(state.unit, state.index, on_iommu, res);

        if (present < 0)
            return false;
        state.fig.contexts += (unsigned)present;
        if (++state.index == 256) {
            state.index = 0;
            state.unit++;
        }
    }
    return true;
}

static bool part_of_units(struct audit_result *res)
{
    return iommu_audit_unit(state.unit++, on_iommu, res);
}

/* Whether the descriptor is that of a vCPU of the domain, whose pointer may be of one that is gone. */
static bool is_posted_to(const struct domain *dom, paddr_t descriptor)
{
    const struct domain *d;
    const struct vcpu *v;
    bool found = false;

    domain_list_lock();
    for_each_domain (d) {
        if (d != dom)
            continue;
        for_each_vcpu (d, v)
            found = found || (v->vlapic.post && ir_post_address(v->vlapic.post) == descriptor);
    }
    domain_list_unlock();
    return found;
}

/* What is wrong with a source's entry; NULL: nothing. */
static const char *source_fault(const struct girq_entry *e, struct domain **owner)
{
    const struct pci_dev *dev = pci_find(e->sbdf);

    *owner = dev ? READ_ONCE(dev->owner) : NULL;
    if (!e->entry.present)
        return NULL;
    if ((uint16_t)e->entry.sbdf != e->sid)
        return "the remapping entry accepts another requester than its source";
    if (dev && *owner && *owner != e->dom)
        return "the remapping entry's requester and its interrupt have different owners";
    if (e->entry.post && !is_posted_to(e->dom, e->entry.post))
        return "the remapping entry posts to what is no descriptor of its owner's vCPUs";
    if (e->entry.vector != e->vector || e->entry.dest != e->dest || e->entry.post != e->post)
        return "the remapping entry leads to another destination than its source's";
    return NULL;
}

/* What is wrong with the entry; NULL: nothing, or it is not present any more. */
static const char *entry_fault(unsigned unit, unsigned index, struct girq_entry *e)
{
    struct domain *owner;
    uint16_t sid;
    uint32_t gsi;
    bool agrees;

    memset(e, 0, sizeof(*e));
    if (!ir_inspect(unit, index, &e->entry) || !e->entry.present)
        return NULL;
    if (girq_of_entry(unit, index, e))
        return source_fault(e, &owner);
    if (ioapic_of_entry(unit, index, &gsi, &sid, &agrees))
        return agrees ? NULL
                      : "the remapping entry of an IO-APIC pin is not what the pin's route is";
    return "a remapping entry delivers interrupts and belongs to nobody";
}

/* The pointer may be of a domain that is gone. */
static uint16_t domid_of(const struct domain *dom)
{
    uint16_t domid = XENLITE_NO_DOMAIN;
    struct domain *d;

    domain_list_lock();
    for_each_domain (d)
        if (d == dom)
            domid = d->domid;
    domain_list_unlock();
    return domid;
}

/* Destination, or the descriptor's address in units of 64 bytes; vector; requester. */
static uint64_t short_form(uint32_t dest, paddr_t post, uint8_t vector, uint16_t sid)
{
    return (post ? post >> 6 : dest) << 32 | (uint64_t)vector << 16 | sid;
}

static void check_entry(unsigned unit, unsigned index, struct audit_result *res)
{
    const char *fault = NULL;
    struct xenlite_breach *b;
    struct girq_entry e;

    for (unsigned i = 0; i < SECOND_LOOKS; i++) {
        fault = entry_fault(unit, index, &e);
        if (!fault)
            return;
        cpu_relax();
    }
    b = tell(res, 5, XENLITE_NO_DOMAIN, fault);
    b->domid = domid_of(e.dom);
    b->sbdf = e.entry.sbdf;
    b->entry = short_form(e.entry.dest, e.entry.post, e.entry.vector, (uint16_t)e.entry.sbdf);
    b->expected = e.dom ? short_form(e.dest, e.post, e.vector, e.sid) : 0;
    b->gfn = index;
}

static bool part_of_interrupts(struct audit_result *res)
{
    for (unsigned i = 0; i < PART_ENTRIES; i++) {
        struct ir_state entry;

        if (!ir_inspect(state.unit, state.index, &entry)) {
            if (!state.index)
                return false;
            state.unit++;
            state.index = 0;
            continue;
        }
        if (entry.present) {
            state.fig.remapping_entries++;
            check_entry(state.unit, state.index, res);
        }
        state.index++;
    }
    return true;
}

/* ---- runs ---- */

uint64_t audit_begin(void)
{
    uint64_t run;

    spin_lock(&state.lock);
    run = ++state.run;
    state.stage = STAGE_DOMAINS;
    state.domid = 0;
    state.inside = false;
    state.unit = state.index = 0;
    memset(&state.fig, 0, sizeof(state.fig));
    spin_unlock(&state.lock);
    return run;
}

static void next_stage(void)
{
    state.stage++;
    state.unit = state.index = 0;
}

bool audit_part(uint64_t run, struct audit_result *res, struct audit_figures *figures, int *err)
{
    static bool (*const parts[])(struct audit_result * res) = {
        [STAGE_DOMAINS] = part_of_domains,
        [STAGE_CONTEXTS] = part_of_contexts,
        [STAGE_UNITS] = part_of_units,
        [STAGE_INTERRUPTS] = part_of_interrupts,
    };
    bool more = false;

    res->nr = 0;
    res->breaches = 0;
    spin_lock(&state.lock);
    *err = run == state.run ? 0 : -EAGAIN;
    if (!*err) {
        if (state.stage < STAGE_END && !parts[state.stage](res))
            next_stage();
        more = state.stage < STAGE_END;
        *figures = state.fig;
    }
    spin_unlock(&state.lock);
    return more;
}

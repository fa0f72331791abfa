/* SPDX-License-Identifier: MIT */
/*
 * The audit over real page tables and software units: clean when all is as it should be, and every
 * way of breaking a sentence that the test image has is found, named and gone after it was undone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/guest_mem.h"
#include "domain/audit.h"
#include "domain/domain.h"
#include "hypercall/dominfo.h"
#include "hypercall/hypercall.h"
#include "hypercall/xenlite_op.h"
#include "irq/girq.h"
#include "irq/ioapic.h"
#include "iommu/post.h"
#include "lib/errno.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "sim.h"
#include "vdev/pci.h"
#include "vtd_rig.h"

#define FRAMES (RIG_MEM / PAGE_SIZE)
#define BAR    0xf0000000ULL
#define NIC    0x0050u /* a function with MSI-X */

static struct page table[FRAMES];
static struct domain *dom[2]; /* 0 the control domain, 1 a guest */
static struct vcpu caller;
static struct pci_dev nic;
static struct ir_entry irte; /* of the one source of messages */
static paddr_t girq_post;    /* where the source thinks that it is posted to; 0: not at all */
static uint16_t girq_vector;
static int grant_answer;
static unsigned preempt_every, preempt_calls;
static unsigned iommu_flushes;

/* ---- what surrounds the audit ---- */

struct list_head domain_list = LIST_HEAD_INIT(domain_list);

void domain_list_lock(void)
{
}

void domain_list_unlock(void)
{
}

struct domain *domain_get_next(uint16_t from)
{
    for (unsigned i = 0; i < 2; i++)
        if (dom[i] && dom[i]->domid >= from) {
            dom[i]->refs++;
            return dom[i];
        }
    return NULL;
}

struct domain *domain_get_by_id(uint16_t domid)
{
    struct domain *d = domain_get_next(domid);

    if (d && d->domid != domid) {
        domain_put(d);
        return NULL;
    }
    return d;
}

struct domain *domain_get_by_id_or_self(struct vcpu *v, uint16_t domid)
{
    return domain_get_by_id(domid == DOMID_SELF ? v->domain->domid : domid);
}

void domain_put(struct domain *d)
{
    assert_true(d->refs > 1);
    d->refs--;
}

int pci_for_each(int (*fn)(struct pci_dev *dev, void *arg), void *arg)
{
    return fn(&nic, arg);
}

struct pci_dev *pci_find(uint32_t sbdf)
{
    return sbdf == NIC ? &nic : NULL;
}

bool pci_msix_in_bars(const struct pci_dev *dev)
{
    (void)dev;
    return true;
}

const char *pci_reserved(paddr_t first, paddr_t last)
{
    return first <= 0xfec00fff && last >= 0xfec00000 ? "an IO-APIC" : NULL;
}

uint32_t pci_conf_read(uint32_t sbdf, unsigned reg, unsigned size)
{
    (void)sbdf;
    (void)reg;
    (void)size;
    return 0;
}

int ioapic_get(unsigned index, struct ioapic_info *out)
{
    out->base = 0xfec00000;
    return index ? -ENOENT : 0;
}

bool ioapic_of_entry(unsigned unit, unsigned index, uint32_t *gsi, uint16_t *sid, bool *agrees)
{
    (void)unit;
    (void)index;
    (void)gsi;
    (void)sid;
    (void)agrees;
    return false;
}

bool girq_of_entry(unsigned unit, unsigned index, struct girq_entry *out)
{
    if (!irte.valid || irte.unit != unit || irte.index != index)
        return false;
    *out = (struct girq_entry){
        .dom = dom[1], .sbdf = NIC, .sid = irte.sid, .vector = (uint8_t)girq_vector,
        .dest = girq_post ? 0 : 2, .post = girq_post
    };
    ir_inspect(unit, index, &out->entry);
    return true;
}

int grant_recorded(struct domain *d, uint64_t gfn, uint64_t mfn, bool readonly)
{
    (void)d;
    (void)gfn;
    (void)mfn;
    (void)readonly;
    return grant_answer;
}

struct trap_region *trap_find(struct trap_table *t, enum trap_kind kind, uint64_t addr)
{
    static struct trap_region lapic = { .name = "lapic" };

    (void)t;
    (void)kind;
    return addr >> PAGE_SHIFT == 0xfee00 ? &lapic : NULL;
}

/* The caller's memory is the test's own; address 1 faults. */
int copy_to_guest(struct vcpu *v, uint64_t gva, const void *src, size_t n)
{
    (void)v;
    if (gva < PAGE_SIZE)
        return -EFAULT;
    memcpy((void *)(uintptr_t)gva, src, n);
    return 0;
}

bool hypercall_preempt(struct vcpu *v)
{
    (void)v;
    return preempt_every && ++preempt_calls % preempt_every == 0;
}

/* ---- two domains ---- */

static void sync_entry(struct p2m *p2m, void *entry, size_t bytes)
{
    (void)p2m;
    iommu_sync_entry(entry, bytes);
}

static void flush_iommu(struct p2m *p2m, uint64_t gfn, uint64_t nr, bool tables_freed)
{
    iommu_flushes++;
    iommu_flush_range(&container_of(p2m, struct domain, p2m)->iommu, gfn, nr, tables_freed);
}

static const struct p2m_hooks hooks = { sync_entry, NULL, flush_iommu, NULL };

static void memory_init(void)
{
    memset(table, 0, sizeof(table));
    frames_init(table, FRAMES);
    frames_add(0, FRAMES);
}

static uint64_t ram(struct domain *d, uint64_t gfn, unsigned order)
{
    uint64_t mfn = frame_alloc(order, d->domid, 0);

    assert_int_not_equal(mfn, INVALID_MFN);
    assert_int_equal(p2m_map(&d->p2m, gfn, mfn, order, P2M_RAM_RW), 0);
    return mfn;
}

static struct domain *make_domain(uint16_t domid)
{
    struct domain *d = calloc(1, sizeof(*d));

    assert_non_null(d);
    d->domid = domid;
    d->control = !domid;
    d->refs = 1;
    assert_int_equal(p2m_init(&d->p2m, domid, &hooks), 0);
    assert_int_equal(iommu_domain_init(&d->iommu, domid, &d->p2m), 0);
    list_add_tail(&d->link, &domain_list);
    return d;
}

static int setup(void **state)
{
    struct vtd_model units[] = { rig_qemu(48), rig_qemu(48) };

    (void)state;
    units[0].posts = units[1].posts = *state != NULL;
    rig_memory_init = memory_init;
    p2m_set_limits(48, P2M_ORDER_2M, true);
    rig_up(units, 2);
    list_init(&domain_list);
    for (unsigned i = 0; i < 2; i++) {
        dom[i] = make_domain((uint16_t)i * 3);
        if (i == 1)
            ram(dom[i], 0x200, 9);
        for (unsigned k = 0; k < 5; k++)
            ram(dom[i], 0x10 + 3 * k, 0);
    }
    caller.domain = dom[0];
    nic = (struct pci_dev){ .sbdf = NIC,
                            .owner = dom[1],
                            .decode = true,
                            .msix = { .cap = 0x70,
                                      .nr = 8,
                                      .table_bar = 0,
                                      .pba_bar = 0,
                                      .table_offset = 0x2000,
                                      .pba_offset = 0x3000 } };
    nic.bar[0] = (struct pci_bar){ .addr = BAR, .size = 0x10000, .kind = PCI_BAR_MEM32 };
    /* The guest has the BAR but for the two pages. */
    assert_int_equal(p2m_map_range(&dom[1]->p2m, 0xe0000, BAR >> 12, 2, P2M_MMIO_DIRECT, NULL), 0);
    assert_int_equal(
        p2m_map_range(&dom[1]->p2m, 0xe0004, (BAR >> 12) + 4, 12, P2M_MMIO_DIRECT, NULL), 0);
    assert_int_equal(iommu_attach(&dom[0]->iommu, DEV_A), 0);
    assert_int_equal(iommu_attach(&dom[1]->iommu, DEV_B), 0);
    assert_int_equal(iommu_attach(&dom[1]->iommu, DEV_C), 0);
    assert_int_equal(ir_alloc(NIC, &irte), 0);
    girq_vector = 0x55;
    assert_int_equal(ir_set(&irte, 0x55, 2, false, IR_FIXED), 0);
    grant_answer = 1;
    preempt_every = 0;
    return 0;
}

static int setup_posting(void **state)
{
    *state = &irte;
    return setup(state);
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(dom[i]->refs, 1);
        iommu_domain_destroy(&dom[i]->iommu);
        while (p2m_teardown(&dom[i]->p2m))
            ;
        p2m_destroy(&dom[i]->p2m);
        free(dom[i]);
        dom[i] = NULL;
    }
    iommu_shutdown();
    return 0;
}

/* ---- the call ---- */

static struct xenlite_breach breaches[64];

static long op(unsigned cmd, uint16_t domid, void *args, size_t size)
{
    struct xenlite_op o = { .cmd = cmd, .domid = domid };
    bool copy_back = false;
    long rc;

    memcpy(o.args, args, size);
    do {
        copy_back = false;
        rc = xenlite_audit_op(&caller, &o, &copy_back);
        /* A restarted call finds again only what was written back. */
        if (rc == HYPERCALL_RESTART)
            assert_true(copy_back);
    } while (rc == HYPERCALL_RESTART);
    memcpy(args, o.args, size);
    return rc;
}

static struct xenlite_audit_run run_audit(void)
{
    struct xenlite_audit_run r = { .buffer = (uintptr_t)breaches, .max = 64 };

    memset(breaches, 0, sizeof(breaches));
    assert_int_equal(op(XENLITE_AUDIT_run, 0, &r, sizeof(r)), 0);
    return r;
}

static void clean(void)
{
    struct xenlite_audit_run r = run_audit();

    if (r.breaches)
        print_message("A%u: %s\n", breaches[0].sentence, breaches[0].text);
    assert_int_equal(r.breaches, 0);
    assert_int_equal(r.nr, 0);
}

/* One breach of this sentence at least, none of another. */
static const struct xenlite_breach *broken(unsigned sentence)
{
    struct xenlite_audit_run r = run_audit();

    assert_true(r.breaches > 0);
    assert_true(r.nr > 0);
    for (unsigned i = 0; i < r.nr; i++)
        assert_int_equal(breaches[i].sentence, sentence);
    return &breaches[0];
}

static void test_clean(void **state)
{
    struct xenlite_audit_run r;

    (void)state;
    clean();
    r = run_audit();
    assert_int_equal(r.domains, 2);
    assert_int_equal(r.contexts, 3);
    assert_int_equal(r.remapping_entries, 1);
    assert_int_equal(r.frames, 512 + 2 * 5 + 14);
    assert_int_equal(r.tables, dom[0]->p2m.tables + dom[1]->p2m.tables);
    assert_int_equal(r.grants, 0);
}

/* In the smallest parts, with other audits and changes in between. */
static void test_parts(void **state)
{
    struct xenlite_audit_run r = { .buffer = (uintptr_t)breaches, .max = 64 };
    struct xenlite_op o = { .cmd = XENLITE_AUDIT_run };
    bool copy_back;
    unsigned parts = 0;

    (void)state;
    preempt_every = 1;
    clean();
    memcpy(o.args, &r, sizeof(r));
    while (xenlite_audit_op(&caller, &o, &copy_back) == HYPERCALL_RESTART) {
        /* What appears and goes while it runs is no breach. */
        uint64_t mfn = ram(dom[parts % 2], 0x4000 + parts, 0);

        if (parts % 3 == 0) {
            assert_int_equal(p2m_unmap(&dom[parts % 2]->p2m, 0x4000 + parts, 1, NULL), 0);
            frame_free(mfn, 0);
        }
        assert_true(++parts < 200);
    }
    assert_true(parts > 10);
    memcpy(&r, o.args, sizeof(r));
    assert_int_equal(r.breaches, 0);
    /* Another one takes over. */
    memset(o.args, 0, sizeof(o.args));
    assert_int_equal(xenlite_audit_op(&caller, &o, &copy_back), HYPERCALL_RESTART);
    audit_begin();
    assert_int_equal(xenlite_audit_op(&caller, &o, &copy_back), -EAGAIN);
    preempt_every = 0;
}

struct way {
    uint32_t what;
    unsigned sentence;
    unsigned dom;
    const char *text;
};

static const struct way ways[] = {
    { XENLITE_BREAK_hypervisor_frame, 1, 1, "free or the hypervisor's" },
    { XENLITE_BREAK_foreign_frame, 2, 1, "does not own" },
    { XENLITE_BREAK_context_root, 3, 1, "not its owner's page table" },
    { XENLITE_BREAK_context_extra, 3, 0, "nobody owns" },
    { XENLITE_BREAK_forbidden_page, 4, 1, "an IO-APIC" },
    { XENLITE_BREAK_msix_page, 4, 0, "MSI-X" },
    { XENLITE_BREAK_remap_source, 5, 1, "another requester" },
    { XENLITE_BREAK_remap_target, 5, 0, "belongs to nobody" },
    { XENLITE_BREAK_flush, 6, 1, "left out of its flushes" },
};
_Static_assert(ARRAY_SIZE(ways) == XENLITE_BREAKS, "every way");

/* Each sentence broken, seen, named, mended. */
static void test_every_breach(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        const struct way *w = &ways[i];
        struct xenlite_break b = { .what = w->what };
        const struct xenlite_breach *found;

        assert_int_equal(op(XENLITE_AUDIT_break, dom[w->dom]->domid, &b, sizeof(b)), 0);
        assert_int_equal(op(XENLITE_AUDIT_break, dom[w->dom]->domid, &b, sizeof(b)), -EBUSY);
        found = broken(w->sentence);
        if (!strstr(found->text, w->text))
            fail_msg("breach %u is told as '%s'", w->what, found->text);
        if (w->what != XENLITE_BREAK_context_extra && w->what != XENLITE_BREAK_remap_target &&
            w->what != XENLITE_BREAK_remap_source)
            assert_int_equal(found->domid, dom[w->dom]->domid);
        if (w->sentence == 4 || w->sentence <= 2)
            assert_int_not_equal(found->mfn, XENLITE_NO_FRAME);
        if (w->what == XENLITE_BREAK_msix_page) {
            assert_int_equal(found->sbdf, NIC);
            assert_int_equal(found->mfn, (BAR + 0x2000) >> 12);
        }
        b.undo = 1;
        assert_int_equal(op(XENLITE_AUDIT_break, dom[w->dom]->domid, &b, sizeof(b)), 0);
        assert_int_equal(op(XENLITE_AUDIT_break, dom[w->dom]->domid, &b, sizeof(b)), -EBUSY);
        clean();
    }
}

static void test_break_errors(void **state)
{
    struct xenlite_break b = { .what = 0 };

    (void)state;
    assert_int_equal(op(XENLITE_AUDIT_break, 0, &b, sizeof(b)), -EINVAL);
    b.what = XENLITE_BREAKS + 1;
    assert_int_equal(op(XENLITE_AUDIT_break, 0, &b, sizeof(b)), -EINVAL);
    b.what = 1;
    assert_int_equal(op(XENLITE_AUDIT_break, 77, &b, sizeof(b)), -ESRCH);
    assert_int_equal(op(XENLITE_AUDIT_break + 1, 0, &b, sizeof(b)), -ENOSYS);
}

/* What the test image cannot do to a running machine. */
static void test_more_breaches(void **state)
{
    uint64_t mfn = frame_alloc(0, 3, 0);

    (void)state;
    /* A grant's mapping without a handle; and with one. */
    assert_int_equal(p2m_map(&dom[0]->p2m, 0x900, mfn, 0, P2M_GRANT_RW), 0);
    clean();
    assert_int_equal(run_audit().grants, 1);
    grant_answer = 0;
    assert_non_null(strstr(broken(2)->text, "no handle"));
    grant_answer = 1;
    assert_int_equal(p2m_unmap(&dom[0]->p2m, 0x900, 1, NULL), 0);
    /* Foreign: only for the control domain, and held. */
    assert_int_equal(p2m_map(&dom[0]->p2m, 0x900, mfn, 0, P2M_FOREIGN), 0);
    assert_non_null(strstr(broken(2)->text, "without holding"));
    assert_true(page_get_any(mfn));
    clean();
    assert_int_equal(run_audit().foreign, 1);
    assert_int_equal(p2m_unmap(&dom[0]->p2m, 0x900, 1, NULL), 0);
    assert_int_equal(p2m_map(&dom[1]->p2m, 0x900, mfn, 0, P2M_FOREIGN), 0);
    assert_non_null(strstr(broken(2)->text, "to a guest"));
    assert_int_equal(p2m_unmap(&dom[1]->p2m, 0x900, 1, NULL), 0);
    page_put(mfn);
    frame_free(mfn, 0);
    /* A freed frame that is still mapped, in the middle of a large page. */
    mfn = p2m_lookup(&dom[1]->p2m, 0x210, NULL, NULL);
    frames_free_range(mfn, 3);
    assert_int_equal(broken(1)->mfn, mfn);
    assert_int_equal(run_audit().breaches, 3);
    assert_int_equal(run_audit().nr, 1);
    assert_int_equal(frame_claim(mfn, 3, 3), 0);
    clean();
    /* An interrupt that leads elsewhere, or to another domain. */
    girq_vector = 0x56;
    assert_non_null(strstr(broken(5)->text, "destination"));
    girq_vector = 0x55;
    nic.owner = dom[0];
    assert_non_null(strstr(broken(5)->text, "different owners"));
    nic.owner = dom[1];
    /* A processor that missed a flush. */
    percpu_area[0].guest_p2m = &dom[1]->p2m;
    percpu_area[0].guest_gen = dom[1]->p2m.gen - 1;
    assert_non_null(strstr(broken(6)->text, "processor"));
    percpu_area[0].guest_gen = dom[1]->p2m.gen;
    clean();
    percpu_area[0].guest_gen = GEN_NOT_IN_GUEST;
    clean();
}

/* Posted to a vCPU of the owner, to one of somebody else, to nobody's memory, and not as its source has it. */
static void test_posted(void **state)
{
    static struct vcpu own, others;
    const struct xenlite_breach *b;
    struct ir_post *p;

    (void)state;
    own.vlapic.post = ir_post_alloc();
    others.vlapic.post = ir_post_alloc();
    assert_true(own.vlapic.post && others.vlapic.post);
    for (unsigned i = 0; i < 2; i++) {
        dom[i]->max_vcpus = 1;
        dom[i]->vcpu[0] = i ? &own : &others;
    }
    assert_int_equal(ir_set_posted(&irte, own.vlapic.post, 0x55), 0);
    girq_post = ir_post_address(own.vlapic.post);
    clean();
    girq_vector = 0x56;
    assert_non_null(strstr(broken(5)->text, "another destination"));
    girq_vector = 0x55;
    girq_post = 0;
    assert_non_null(strstr(broken(5)->text, "another destination"));
    /* Source and entry agree, but it is not the owner's. */
    assert_int_equal(ir_set_posted(&irte, others.vlapic.post, 0x55), 0);
    girq_post = ir_post_address(others.vlapic.post);
    b = broken(5);
    assert_non_null(strstr(b->text, "no descriptor of its owner"));
    assert_int_equal(b->entry >> 32, girq_post >> 6);
    p = ir_post_alloc();
    assert_int_equal(ir_set_posted(&irte, p, 0x55), 0);
    girq_post = ir_post_address(p);
    assert_non_null(strstr(broken(5)->text, "no descriptor of its owner"));
    girq_post = 0;
    assert_int_equal(ir_set(&irte, 0x55, 2, false, IR_FIXED), 0);
    clean();
    for (unsigned i = 0; i < 2; i++)
        dom[i]->max_vcpus = 0;
}

static void test_posting_shown(void **state)
{
    struct xenlite_iommu_unit units[2];
    struct xenlite_iommu i;
    struct xenlite_info info = { .buffer = (uintptr_t)&i, .size = sizeof(i) };
    struct xenlite_list list = { .buffer = (uintptr_t)units,
                                 .entry_size = sizeof(units[0]),
                                 .max = 2 };

    (void)state;
    assert_int_equal(op(XENLITE_AUDIT_iommu, 0, &info, sizeof(info)), 0);
    assert_int_equal(i.posted_interrupts, 1);
    assert_int_equal(op(XENLITE_AUDIT_iommu_units, 0, &list, sizeof(list)), 0);
    assert_true(units[0].flags & XENLITE_UNIT_CAN_POST);
    assert_true(units[1].flags & XENLITE_UNIT_POSTS);
}

/* More breaches than room: all counted. */
static void test_room(void **state)
{
    struct xenlite_audit_run r = { .buffer = (uintptr_t)breaches, .max = 2 };

    (void)state;
    for (unsigned k = 0; k < 5; k++)
        page_of(p2m_lookup(&dom[1]->p2m, 0x10 + 3 * k, NULL, NULL))->owner = 9;
    memset(breaches, 0, sizeof(breaches));
    assert_int_equal(op(XENLITE_AUDIT_run, 0, &r, sizeof(r)), 0);
    assert_int_equal(r.breaches, 5);
    assert_int_equal(r.nr, 2);
    assert_int_equal(breaches[2].sentence, 0);
    r = (struct xenlite_audit_run){ .buffer = 1, .max = 2 };
    assert_int_equal(op(XENLITE_AUDIT_run, 0, &r, sizeof(r)), -EFAULT);
    for (unsigned k = 0; k < 5; k++)
        page_of(p2m_lookup(&dom[1]->p2m, 0x10 + 3 * k, NULL, NULL))->owner = 3;
}

static void test_tables_shown(void **state)
{
    struct xenlite_explain e;
    struct xenlite_p2m p;
    struct xenlite_info info = { .buffer = (uintptr_t)&e, .size = sizeof(e), .arg = 0x210000 };

    (void)state;
    assert_int_equal(op(XENLITE_AUDIT_explain, 3, &info, sizeof(info)), 0);
    assert_int_equal(e.levels, 3); /* the leaf is at level 2 */
    assert_int_equal(e.step[0].table, dom[1]->p2m.root);
    assert_int_equal(e.step[1].table, dom[1]->p2m.subroot);
    assert_int_equal(e.mfn, p2m_lookup(&dom[1]->p2m, 0x210, NULL, NULL));
    assert_int_equal(e.order, 9);
    assert_int_equal(e.owner, 3);
    assert_string_equal(e.type_name, "ram-rw");
    assert_string_equal(e.use, "memory");
    assert_int_equal(e.writable, 1);
    info.arg = 0xfee00300;
    assert_int_equal(op(XENLITE_AUDIT_explain, 3, &info, sizeof(info)), 0);
    assert_int_equal(e.mfn, XENLITE_NO_FRAME);
    assert_string_equal(e.region, "lapic");
    info.arg = ~0ull;
    assert_int_equal(op(XENLITE_AUDIT_explain, 3, &info, sizeof(info)), 0);
    assert_int_equal(e.levels, 0);
    info.size--;
    assert_int_equal(op(XENLITE_AUDIT_explain, 3, &info, sizeof(info)), -EINVAL);
    info.size++;
    assert_int_equal(op(XENLITE_AUDIT_explain, 4, &info, sizeof(info)), -ESRCH);
    info.buffer = 1;
    assert_int_equal(op(XENLITE_AUDIT_explain, 3, &info, sizeof(info)), -EFAULT);
    info = (struct xenlite_info){ .buffer = (uintptr_t)&p, .size = sizeof(p) };
    assert_int_equal(op(XENLITE_AUDIT_p2m, 3, &info, sizeof(info)), 0);
    assert_int_equal(p.root, dom[1]->p2m.root);
    assert_int_equal(p.frames[P2M_RAM_RW], 517);
    assert_int_equal(p.leaves[1], 1);
    assert_int_equal(p.devices, 2);
    assert_string_equal(p.type[P2M_MMIO_DIRECT], "mmio-direct");
    assert_string_equal(p.shared, "");
}

static void test_iommu_shown(void **state)
{
    struct xenlite_iommu_device devs[8];
    struct xenlite_iommu_unit units[4];
    struct xenlite_iommu_fault faults[4];
    struct xenlite_iommu i;
    struct xenlite_info info = { .buffer = (uintptr_t)&i, .size = sizeof(i) };
    struct xenlite_list list = { .buffer = (uintptr_t)devs,
                                 .entry_size = sizeof(devs[0]),
                                 .max = 8 };

    (void)state;
    assert_int_equal(op(XENLITE_AUDIT_iommu, 0, &info, sizeof(info)), 0);
    assert_true(i.present && i.enabled && i.interrupt_remapping && i.shared);
    assert_int_equal(i.posted_interrupts, 0);
    assert_int_equal(i.units, 2);
    assert_int_equal(i.devices, 3);
    assert_int_equal(op(XENLITE_AUDIT_iommu_devices, 0, &list, sizeof(list)), 0);
    assert_int_equal(list.nr, 3);
    for (unsigned n = 0; n < 3; n++) {
        struct domain *d = devs[n].domid ? dom[1] : dom[0];

        assert_int_equal(devs[n].shared, 1);
        assert_int_equal(devs[n].context_root, d->p2m.root << PAGE_SHIFT);
        assert_int_equal(devs[n].context_root, devs[n].p2m_root);
        assert_int_equal(devs[n].cpu_root, d->p2m.root << PAGE_SHIFT);
    }
    rig_refused(DEV_B, 0x777, true, 0);
    iommu_fault_irq();
    list = (struct xenlite_list){ .buffer = (uintptr_t)faults,
                                  .entry_size = sizeof(faults[0]),
                                  .max = 4 };
    assert_int_equal(op(XENLITE_AUDIT_iommu_faults, 0, &list, sizeof(list)), 0);
    assert_int_equal(list.nr, 1);
    assert_int_equal(faults[0].sbdf, DEV_B);
    assert_int_equal(faults[0].addr, 0x777000);
    assert_int_equal(faults[0].write, 1);
    assert_string_equal(faults[0].there, "nothing that is mapped for domain 3");
    list = (struct xenlite_list){
        .buffer = (uintptr_t)units, .entry_size = sizeof(units[0]), .first = 1, .max = 4
    };
    assert_int_equal(op(XENLITE_AUDIT_iommu_units, 0, &list, sizeof(list)), 0);
    assert_int_equal(list.nr, 1);
    assert_int_equal(list.total, 2);
    assert_int_equal(units[0].levels, 4);
    assert_true(units[0].flags & XENLITE_UNIT_REMAPS);
    assert_false(units[0].flags & (XENLITE_UNIT_CAN_POST | XENLITE_UNIT_POSTS));
    /* A device without owner shows that it blocks. */
    assert_int_equal(iommu_detach(DEV_B), 0);
    list =
        (struct xenlite_list){ .buffer = (uintptr_t)devs, .entry_size = sizeof(devs[0]), .max = 8 };
    assert_int_equal(op(XENLITE_AUDIT_iommu_devices, 0, &list, sizeof(list)), 0);
    for (unsigned n = 0; n < 3; n++)
        if (devs[n].sbdf == DEV_B) {
            assert_int_equal(devs[n].context_root, 0);
            assert_int_equal(devs[n].domid, XENLITE_NO_DOMAIN);
            assert_int_equal(devs[n].faults, 1);
        }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_clean),        TEST(test_parts),         TEST(test_every_breach),
        TEST(test_break_errors), TEST(test_more_breaches), TEST(test_room),
        TEST(test_tables_shown), TEST(test_iommu_shown),
        cmocka_unit_test_setup_teardown(test_posted, setup_posting, teardown),
        cmocka_unit_test_setup_teardown(test_posting_shown, setup_posting, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

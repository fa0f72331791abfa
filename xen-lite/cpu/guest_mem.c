/* SPDX-License-Identifier: MIT */
/*
 * Walking the guest's page tables and copying to and from its memory. See guest_mem.h for the rules.
 */
#include "cpu/guest_mem.h"

#include "cpu/decode.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/phys.h"
#include "p2m/p2m.h"

#define G_CR0_WP   BIT(16)
#define G_CR0_PG   BIT(31)
#define G_CR4_PSE  BIT(4)
#define G_CR4_PAE  BIT(5)
#define G_CR4_LA57 BIT(12)
#define G_CR4_SMEP BIT(20)
#define G_CR4_SMAP BIT(21)
#define G_EFER_LMA BIT(10)
#define G_EFER_NXE BIT(11)

#define PTE_P    BIT(0)
#define PTE_W    BIT(1)
#define PTE_U    BIT(2)
#define PTE_A    BIT(5)
#define PTE_D    BIT(6)
#define PTE_PS   BIT(7)
#define PTE_NX   BIT(63)
#define PTE_ADDR GENMASK(51, 12)

/* How one paging mode is laid out (SDM vol. 3, table 4-1). */
struct walk_mode {
    unsigned levels;
    unsigned entry_bytes; /* 4 or 8 */
    unsigned index_bits;  /* a level */
    unsigned max_large;   /* highest level at which PS makes a leaf */
    bool top_no_rights;   /* PAE: the PDPTEs have no W, U and NX */
    uint64_t root_mask;   /* address bits of CR3 */
};

static const struct walk_mode mode_legacy = { 2, 4, 10, 2, false, GENMASK(31, 12) };
static const struct walk_mode mode_pae = { 3, 8, 9, 2, true, GENMASK(31, 5) };
static const struct walk_mode mode_long = { 4, 8, 9, 3, false, PTE_ADDR };
static const struct walk_mode mode_la57 = { 5, 8, 9, 3, false, PTE_ADDR };

/* State of one walk. */
struct walk {
    const struct guest_paging *pg;
    const struct p2m *p2m;
    const struct walk_mode *mode;
    struct cpu_walk_cache *chain;
    uint64_t gva;
    unsigned access;
    uint64_t rights; /* PTE_W and PTE_U of all levels together, PTE_NX of any */
    uint32_t error;  /* of the fault, when there is one */
};

static const struct walk_mode *mode_of(const struct guest_paging *pg)
{
    if (pg->efer & G_EFER_LMA)
        return pg->cr4 & G_CR4_LA57 ? &mode_la57 : &mode_long;
    return pg->cr4 & G_CR4_PAE ? &mode_pae : &mode_legacy;
}

static bool canonical(uint64_t gva, unsigned levels)
{
    unsigned shift = levels == 5 ? 7 : 16;

    return (uint64_t)((int64_t)(gva << shift) >> shift) == gva;
}

/* Memory that may hold page tables or code: not device registers, whose reads have effects. */
static bool is_memory(enum p2m_type t)
{
    return t != P2M_NONE && t != P2M_MMIO_DIRECT && t != P2M_FIRMWARE;
}

/*
 * The entry at guest-physical address gpa, without a reference: what a frame that has just been given up holds is
 * taken for an address in the guest's own p2m only, so a stale value cannot lead anywhere else.
 */
static void *entry_at(const struct p2m *p2m, uint64_t gpa)
{
    enum p2m_type type;
    uint64_t mfn = p2m_lookup(p2m, gpa >> PAGE_SHIFT, &type, NULL);

    if (mfn == INVALID_MFN || !is_memory(type))
        return NULL;
    return (uint8_t *)mfn_to_virt(mfn) + (gpa & ~PAGE_MASK);
}

/* Sets accessed and dirty bits if the entry is still `old`; otherwise the guest changed it and they do not matter. */
static void set_bits(const struct walk *w, uint64_t gpa, uint64_t old, uint64_t bits)
{
    uint64_t mfn = p2m_get_frame(w->p2m, gpa >> PAGE_SHIFT, true, NULL);
    uint8_t *p;

    if (mfn == INVALID_MFN)
        return;
    p = (uint8_t *)mfn_to_virt(mfn) + (gpa & ~PAGE_MASK);
    if (w->mode->entry_bytes == 8) {
        __atomic_compare_exchange_n((uint64_t *)p, &old, old | bits, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_RELAXED);
    } else {
        uint32_t old32 = (uint32_t)old;

        __atomic_compare_exchange_n((uint32_t *)p, &old32, old32 | (uint32_t)bits, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    p2m_put_frame(mfn);
}

static bool rights_allow(const struct walk *w)
{
    const struct guest_paging *pg = w->pg;
    bool user_page = w->rights & PTE_U;

    if ((w->access & GUEST_USER) && !user_page)
        return false;
    if (w->access & GUEST_FETCH) {
        if (w->rights & PTE_NX)
            return false;
        return (w->access & GUEST_USER) || !user_page || !(pg->cr4 & G_CR4_SMEP);
    }
    if (!(w->access & GUEST_USER) && user_page && (w->access & GUEST_SMAP) &&
        (pg->cr4 & G_CR4_SMAP) && !pg->ac)
        return false;
    if ((w->access & GUEST_WRITE) && !(w->rights & PTE_W))
        return !(w->access & GUEST_USER) && !(pg->cr0 & G_CR0_WP);
    return true;
}

static bool reserved_bits(const struct walk *w, uint64_t e)
{
    return w->mode->entry_bytes == 8 && (e & PTE_NX) && !(w->pg->efer & G_EFER_NXE);
}

static bool is_leaf(const struct walk *w, uint64_t e, unsigned level)
{
    if (level == 1)
        return true;
    if (!(e & PTE_PS) || level > w->mode->max_large)
        return false;
    return w->mode != &mode_legacy || (w->pg->cr4 & G_CR4_PSE);
}

/* Address that a leaf at a level with pages of 2^shift bytes gives. */
static uint64_t leaf_gpa(const struct walk *w, uint64_t e, unsigned shift)
{
    uint64_t mask = BIT(shift) - 1;
    uint64_t base = e & PTE_ADDR & ~mask;

    /* A 4 MiB page's address bits 39:32 are in bits 20:13 (PSE-36; SDM vol. 3, table 4-4). */
    if (w->mode == &mode_legacy && shift == 22)
        base = (e & GENMASK(31, 22)) | ((e >> 13 & 0xff) << 32);
    else if (w->mode == &mode_legacy)
        base = e & GENMASK(31, 12);
    return base | (w->gva & mask);
}

static int walk_fault(struct walk *w, uint32_t error)
{
    w->error = error;
    return -EFAULT;
}

/* One level: reads the entry at *gpa and replaces *gpa by the next table's address or, if *leaf, by the result. */
static int walk_level(struct walk *w, unsigned level, uint64_t *gpa, bool *leaf)
{
    const struct walk_mode *m = w->mode;
    unsigned shift = PAGE_SHIFT + m->index_bits * (level - 1);
    uint64_t index = w->gva >> shift & (BIT(m->index_bits) - 1);
    uint64_t at, e, want;
    void *p;

    if (m->top_no_rights && level == m->levels)
        index &= 3;
    at = *gpa + index * m->entry_bytes;
    p = entry_at(w->p2m, at);
    if (!p)
        return walk_fault(w, 0);
    e = m->entry_bytes == 8 ? READ_ONCE(*(uint64_t *)p) : READ_ONCE(*(uint32_t *)p);
    if (w->chain && m->entry_bytes == 8) {
        w->chain->entry[w->chain->levels] = p;
        w->chain->value[w->chain->levels] = e;
        w->chain->levels++;
    }
    if (!(e & PTE_P))
        return walk_fault(w, 0);
    if (reserved_bits(w, e))
        return walk_fault(w, PF_PRESENT | PF_RESERVED);
    if (m->top_no_rights && level == m->levels) {
        *gpa = e & PTE_ADDR;
        return 0;
    }
    w->rights = (w->rights & e & (PTE_W | PTE_U)) | ((w->rights | e) & PTE_NX);
    *leaf = is_leaf(w, e, level);
    want = PTE_A;
    if (*leaf) {
        if (!rights_allow(w))
            return walk_fault(w, PF_PRESENT);
        if (w->access & GUEST_WRITE)
            want |= PTE_D;
    }
    if (unlikely((e & want) != want))
        set_bits(w, at, e, want);
    *gpa = *leaf ? leaf_gpa(w, e, shift) : e & (m->entry_bytes == 8 ? PTE_ADDR : GENMASK(31, 12));
    return 0;
}

static uint32_t fault_error(const struct walk *w)
{
    uint32_t error = w->error;

    if (w->access & GUEST_WRITE)
        error |= PF_WRITE;
    if (w->access & GUEST_USER)
        error |= PF_USER;
    if ((w->access & GUEST_FETCH) &&
        ((w->mode->entry_bytes == 8 && (w->pg->efer & G_EFER_NXE)) || (w->pg->cr4 & G_CR4_SMEP)))
        error |= PF_FETCH;
    return error;
}

int guest_walk(const struct guest_paging *pg, const struct p2m *p2m, uint64_t gva, unsigned access,
               uint64_t *gpa, struct guest_fault *fault, struct cpu_walk_cache *chain)
{
    struct walk w = {
        .pg = pg,
        .p2m = p2m,
        .chain = chain,
        .gva = gva,
        .access = access,
        .rights = PTE_W | PTE_U,
    };
    bool leaf = false;
    int err = 0;

    if (chain)
        chain->levels = 0;
    if (!(pg->cr0 & G_CR0_PG)) {
        *gpa = (uint32_t)gva;
        return 0;
    }
    w.mode = mode_of(pg);
    if (!(pg->efer & G_EFER_LMA)) {
        w.gva = (uint32_t)gva;
    } else if (!canonical(gva, w.mode->levels)) {
        if (fault)
            *fault = (struct guest_fault){ gva, (uint32_t)PF_NOT_CANONICAL };
        return -EFAULT;
    }
    *gpa = pg->cr3 & w.mode->root_mask;
    for (unsigned level = w.mode->levels; !err && !leaf; level--)
        err = walk_level(&w, level, gpa, &leaf);
    if (chain)
        chain->rights = w.rights;
    if (err && fault)
        *fault = (struct guest_fault){ w.gva, fault_error(&w) };
    return err;
}

static void paging_of(const struct cpu_vcpu *c, struct guest_paging *pg)
{
    struct cpu_control r;

    cpu_backend->get_control(c, &r);
    *pg = (struct guest_paging){ r.cr0, r.cr3, r.cr4, r.efer, c->regs.rflags & RFLAGS_AC };
}

/* ---- walks that are kept ---- */

/* Control bits that decide how a walk goes. CR4 leaves its bits 30 and 31 for LMA and NXE. */
static uint64_t paging_key(const struct guest_paging *pg)
{
    return (uint32_t)pg->cr0 | pg->cr4 << 32 | (pg->efer & (G_EFER_LMA | G_EFER_NXE)) << 52;
}

/* Code and data do not take each other's place: most ways into the hypervisor need one of each. */
static inline struct cpu_walk_cache *code_walk(struct cpu_vcpu *c, uint64_t gva)
{
    return &c->walk[gva >> PAGE_SHIFT & (CPU_NR_WALKS / 2 - 1)];
}

static inline struct cpu_walk_cache *data_walk(struct cpu_vcpu *c, uint64_t gva)
{
    return code_walk(c, gva) + CPU_NR_WALKS / 2;
}

static inline bool chain_valid(const struct cpu_walk_cache *f)
{
    /* By far most guests have four levels, of which large pages leave out one or two. */
    _Static_assert(CPU_WALK_LEVELS == 5, "the cases below");
    switch (f->levels) {
    case 5:
        if (READ_ONCE(*f->entry[4]) != f->value[4])
            return false;
        __attribute__((fallthrough));
    case 4:
        if (READ_ONCE(*f->entry[3]) != f->value[3])
            return false;
        __attribute__((fallthrough));
    case 3:
        if (READ_ONCE(*f->entry[2]) != f->value[2])
            return false;
        __attribute__((fallthrough));
    case 2:
        return READ_ONCE(*f->entry[1]) == f->value[1] && READ_ONCE(*f->entry[0]) == f->value[0];
    default:
        return false;
    }
}

/* What a new walk would have to do as well: check rights, and set the dirty bit. Access 0 is always allowed. */
static inline bool chain_allows(const struct cpu_walk_cache *f, const struct guest_paging *pg,
                                unsigned access)
{
    const struct walk w = { .pg = pg, .access = access, .rights = f->rights };

    if (!access)
        return true;
    return rights_allow(&w) && (!(access & GUEST_WRITE) || (f->value[f->levels - 1] & PTE_D));
}

static __attribute__((noinline)) struct cpu_walk_cache *
walk_anew(struct cpu_vcpu *c, struct cpu_walk_cache *f, const struct guest_paging *pg, uint64_t gva,
          unsigned access, struct guest_fault *fault)
{
    uint64_t gen = READ_ONCE(c->p2m->gen), gpa;

    f->bytes = NULL;
    if (guest_walk(pg, c->p2m, gva, access, &gpa, fault, f)) {
        f->levels = 0;
        return NULL;
    }
    f->page = gva & PAGE_MASK;
    f->cr3 = pg->cr3;
    f->mode = paging_key(pg);
    f->p2m_gen = gen;
    f->gpa = gpa & PAGE_MASK;
    return f;
}

/*
 * guest_walk() of a page, kept in f. *fault may be NULL. The result is good until guest code runs or something else is looked for;
 * NULL: the guest has nothing there, or not for this access.
 */
static inline struct cpu_walk_cache *walk_page(struct cpu_vcpu *c, struct cpu_walk_cache *f,
                                               const struct guest_paging *pg, uint64_t gva,
                                               unsigned access, struct guest_fault *fault)
{
    if (likely(f->page == (gva & PAGE_MASK) && f->cr3 == pg->cr3 && f->mode == paging_key(pg) &&
               f->p2m_gen == READ_ONCE(c->p2m->gen) && chain_valid(f) &&
               chain_allows(f, pg, access)))
        return f;
    return walk_anew(c, f, pg, gva, access, fault);
}

int guest_gva_to_gpa(struct cpu_vcpu *c, uint64_t gva, unsigned access, uint64_t *gpa,
                     struct guest_fault *fault)
{
    const struct cpu_walk_cache *f;
    struct guest_paging pg;

    paging_of(c, &pg);
    f = walk_page(c, data_walk(c, gva), &pg, gva, access, fault);
    if (!f)
        return -EFAULT;
    *gpa = f->gpa | (gva & ~PAGE_MASK);
    return 0;
}

void guest_inject_fault(struct cpu_vcpu *c, const struct guest_fault *fault)
{
    if (fault->error & PF_NOT_CANONICAL)
        cpu_inject_exception_error(c, X86_GP, 0);
    else
        cpu_inject_page_fault(c, fault->gva, fault->error);
}

/* Copies within one guest page, to the guest if `write`. */
static int copy_page(const struct p2m *p2m, uint64_t gpa, void *buf, size_t n, bool write)
{
    enum p2m_type type;
    uint64_t mfn = p2m_get_frame(p2m, gpa >> PAGE_SHIFT, write, &type);
    uint8_t *p;

    if (mfn == INVALID_MFN)
        return -EFAULT;
    p = (uint8_t *)mfn_to_virt(mfn) + (gpa & ~PAGE_MASK);
    if (write)
        memcpy(p, buf, n);
    else
        memcpy(buf, p, n);
    p2m_put_frame(mfn);
    return 0;
}

static size_t page_part(uint64_t addr, size_t n)
{
    return MIN(n, (size_t)(PAGE_SIZE - (addr & ~PAGE_MASK)));
}

static int copy_linear(struct cpu_vcpu *c, uint64_t gva, uint8_t *buf, size_t n, unsigned access,
                       struct guest_fault *fault)
{
    struct guest_paging pg;

    paging_of(c, &pg);
    while (n) {
        size_t part = page_part(gva, n);
        const struct cpu_walk_cache *f = walk_page(c, data_walk(c, gva), &pg, gva, access, fault);
        int err;

        if (!f)
            return -EFAULT;
        err = copy_page(c->p2m, f->gpa | (gva & ~PAGE_MASK), buf, part, access & GUEST_WRITE);
        if (err)
            return err;
        gva += part;
        buf += part;
        n -= part;
    }
    return 0;
}

int copy_from_guest(struct vcpu *v, void *dst, uint64_t gva, size_t n)
{
    return copy_linear(&v->cpu, gva, dst, n, 0, NULL);
}

int copy_to_guest(struct vcpu *v, uint64_t gva, const void *src, size_t n)
{
    /* copy_page only reads from the buffer when it writes to the guest. */
    return copy_linear(&v->cpu, gva, (uint8_t *)(uintptr_t)src, n, GUEST_WRITE, NULL);
}

int guest_linear_read(struct cpu_vcpu *c, uint64_t gva, void *dst, size_t n, unsigned access,
                      struct guest_fault *fault)
{
    return copy_linear(c, gva, dst, n, access & ~GUEST_WRITE, fault);
}

int guest_linear_write(struct cpu_vcpu *c, uint64_t gva, const void *src, size_t n, unsigned access,
                       struct guest_fault *fault)
{
    return copy_linear(c, gva, (uint8_t *)(uintptr_t)src, n, access | GUEST_WRITE, fault);
}

static int copy_gpa(const struct p2m *p2m, uint64_t gpa, uint8_t *buf, size_t n, bool write)
{
    while (n) {
        size_t part = page_part(gpa, n);
        int err = copy_page(p2m, gpa, buf, part, write);

        if (err)
            return err;
        gpa += part;
        buf += part;
        n -= part;
    }
    return 0;
}

int copy_from_gpa(const struct p2m *p2m, void *dst, uint64_t gpa, size_t n)
{
    return copy_gpa(p2m, gpa, dst, n, false);
}

int copy_to_gpa(const struct p2m *p2m, uint64_t gpa, const void *src, size_t n)
{
    return copy_gpa(p2m, gpa, (uint8_t *)(uintptr_t)src, n, true);
}

/* Linear address of CS:RIP, and the registers for a walk. */
static inline uint64_t fetch_address(const struct cpu_vcpu *c, const struct cpu_control *r,
                                     struct guest_paging *pg)
{
    *pg = (struct guest_paging){ r->cr0, r->cr3, r->cr4, r->efer, c->regs.rflags & RFLAGS_AC };
    if ((r->cs_attr & CPU_SEG_ATTR_L) && (r->efer & G_EFER_LMA))
        return c->regs.rip;
    return (uint32_t)(r->cs_base + c->regs.rip);
}

/* Rights do not matter: the CPU has just executed from there, at whatever level. */
static const uint8_t *fetch_page(struct cpu_vcpu *c, const struct guest_paging *pg, uint64_t linear)
{
    struct cpu_walk_cache *f = walk_page(c, code_walk(c, linear), pg, linear, 0, NULL);

    if (f && unlikely(!f->bytes))
        f->bytes = entry_at(c->p2m, f->gpa);
    return f ? f->bytes : NULL;
}

const uint8_t *guest_fetch_ptr(struct cpu_vcpu *c, size_t *avail)
{
    struct cpu_control control;
    struct guest_paging pg;
    const uint8_t *page;
    uint64_t linear;

    cpu_backend->get_control(c, &control);
    linear = fetch_address(c, &control, &pg);
    page = fetch_page(c, &pg, linear);
    if (!page)
        return NULL;
    *avail = PAGE_SIZE - (linear & ~PAGE_MASK);
    return page + (linear & ~PAGE_MASK);
}

static size_t fetch_parts(struct cpu_vcpu *c, const struct guest_paging *pg, uint64_t linear,
                          uint8_t *bytes, size_t n)
{
    size_t got = 0;

    while (got < n) {
        size_t part = page_part(linear, n - got);
        const uint8_t *page = fetch_page(c, pg, linear);

        if (!page)
            break;
        memcpy(bytes + got, page + (linear & ~PAGE_MASK), part);
        got += part;
        linear += part;
    }
    return got;
}

size_t guest_fetch(struct cpu_vcpu *c, uint8_t *bytes, size_t n)
{
    struct cpu_control control;
    struct guest_paging pg;
    uint64_t linear;

    cpu_backend->get_control(c, &control);
    linear = fetch_address(c, &control, &pg);
    return fetch_parts(c, &pg, linear, bytes, n);
}

size_t guest_fetch_insn(struct cpu_vcpu *c, const struct cpu_control *control, uint8_t *bytes)
{
    struct guest_paging pg;
    uint64_t linear = fetch_address(c, control, &pg);
    const uint8_t *page;

    if (unlikely((linear & ~PAGE_MASK) > PAGE_SIZE - INSN_MAX_LEN))
        return fetch_parts(c, &pg, linear, bytes, INSN_MAX_LEN);
    page = fetch_page(c, &pg, linear);
    if (!page)
        return 0;
    __builtin_memcpy(bytes, page + (linear & ~PAGE_MASK), INSN_MAX_LEN);
    return INSN_MAX_LEN;
}

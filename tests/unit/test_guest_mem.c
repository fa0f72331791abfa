/* SPDX-License-Identifier: MIT */
/*
 * The guest page walker in all paging modes, its rights against a table written from SDM volume 3, 4.6, copies across
 * pages, and the instruction fetch cache.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cpu/guest_mem.h"
#include "cpu_fake.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "p2m/p2m.h"
#include "sim.h"

#define NR_FRAMES   4096u
#define DOMID       3
#define GUEST_PAGES 256u /* gfns 0..255 are RAM */

#define P  1ull
#define W  2ull
#define U  4ull
#define A  0x20ull
#define D  0x40ull
#define PS 0x80ull
#define NX (1ull << 63)

static struct page frames[NR_FRAMES];
static struct p2m p2m;
static struct vcpu *vcpu;
static uint64_t mfn_of[GUEST_PAGES];
static unsigned next_table;
const struct cpu_backend *cpu_backend = &fake_backend;

static struct cpu_event injected;
static uint64_t injected_gva;

void cpu_inject_exception_error(struct cpu_vcpu *c, uint8_t vector, uint32_t error)
{
    (void)c;
    injected = (struct cpu_event){ CPU_EVENT_EXCEPTION, vector, true, error };
}

void cpu_inject_page_fault(struct cpu_vcpu *c, uint64_t gva, uint32_t error)
{
    injected_gva = gva;
    cpu_inject_exception_error(c, X86_PF, error);
}

static const struct p2m_hooks hooks = { 0 };

static int setup(void **state)
{
    (void)state;
    sim_phys_init((size_t)NR_FRAMES << PAGE_SHIFT);
    frames_init(frames, NR_FRAMES);
    frames_add(16, NR_FRAMES - 16);
    assert_int_equal(p2m_init(&p2m, DOMID, &hooks), 0);
    for (unsigned i = 0; i < GUEST_PAGES; i++) {
        /* Scattered: a frame between two of ours each time. */
        uint64_t skipped = frame_alloc(0, OWNER_XEN, 0);

        mfn_of[i] = frame_alloc(0, DOMID, FRAME_ZERO);
        assert_int_equal(p2m_map(&p2m, i, mfn_of[i], 0, P2M_RAM_RW), 0);
        frame_free(skipped, 0);
    }
    vcpu = calloc(1, sizeof(*vcpu));
    vcpu->cpu.p2m = &p2m;
    memset(&fake, 0, sizeof(fake));
    next_table = 128;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    while (p2m_teardown(&p2m))
        ;
    p2m_destroy(&p2m);
    free(vcpu);
    return 0;
}

static uint8_t *gpa_ptr(uint64_t gpa)
{
    return (uint8_t *)mfn_to_virt(mfn_of[gpa >> PAGE_SHIFT]) + (gpa & 0xfff);
}

static uint64_t new_table(void)
{
    assert_true(next_table < GUEST_PAGES);
    memset(gpa_ptr((uint64_t)next_table << PAGE_SHIFT), 0, PAGE_SIZE);
    return (uint64_t)next_table++ << PAGE_SHIFT;
}

/* The guest's own way to map: fills tables from the top down to `level`, where the leaf goes. */
static uint64_t *entry8(uint64_t root, unsigned levels, uint64_t gva, unsigned level,
                        uint64_t inner)
{
    uint64_t table = root;

    for (unsigned l = levels; l > level; l--) {
        uint64_t *e = (uint64_t *)gpa_ptr(table) + (gva >> (12 + 9 * (l - 1)) & 511);

        if (!(*e & P))
            *e = new_table() | inner;
        table = *e & 0x000ffffffffff000ull;
    }
    return (uint64_t *)gpa_ptr(table) + (gva >> (12 + 9 * (level - 1)) & 511);
}

static struct guest_paging long_mode(uint64_t root)
{
    return (struct guest_paging){ .cr0 = 0x80010001, .cr3 = root, .cr4 = 0x20, .efer = 0xd00 };
}

static int walk(const struct guest_paging *pg, uint64_t gva, unsigned access, uint64_t *gpa,
                uint32_t *err)
{
    struct guest_fault f = { 0, 0 };
    int rc = guest_walk(pg, &p2m, gva, access, gpa, &f, NULL);

    if (rc)
        assert_int_equal(f.gva, pg->efer & 0x400 ? gva : (uint32_t)gva);
    *err = f.error;
    return rc;
}

static void test_no_paging(void **state)
{
    struct guest_paging pg = { .cr0 = 1 };
    uint64_t gpa;
    uint32_t err;

    (void)state;
    assert_int_equal(walk(&pg, 0x123456789ull, GUEST_WRITE, &gpa, &err), 0);
    assert_int_equal(gpa, 0x23456789);
}

static void test_long_mode_sizes(void **state)
{
    uint64_t root = new_table(), gpa;
    struct guest_paging pg = long_mode(root);
    uint32_t err;

    (void)state;
    *entry8(root, 4, 0xffff888000123000ull, 1, P | W | A) = 0x5000 | P | W | A | D;
    *entry8(root, 4, 0xffff888000400000ull, 2, P | W | A) = 0x600000 | P | W | PS | A | D;
    *entry8(root, 4, 0xffff888040000000ull, 3, P | W | A) = 0xc0000000 | P | W | PS | A | D;
    assert_int_equal(walk(&pg, 0xffff888000123456ull, 0, &gpa, &err), 0);
    assert_int_equal(gpa, 0x5456);
    assert_int_equal(walk(&pg, 0xffff888000512345ull, 0, &gpa, &err), 0);
    assert_int_equal(gpa, 0x712345);
    assert_int_equal(walk(&pg, 0xffff88807fffffffull, 0, &gpa, &err), 0);
    assert_int_equal(gpa, 0xffffffff);
    assert_int_equal(walk(&pg, 0xffff888000124000ull, GUEST_WRITE, &gpa, &err), -EFAULT);
    assert_int_equal(err, PF_WRITE);
    assert_int_equal(walk(&pg, 0x800000000000ull, 0, &gpa, &err), -EFAULT);
    assert_int_equal(err, PF_NOT_CANONICAL);
}

static void test_five_levels(void **state)
{
    uint64_t root = new_table(), gpa;
    struct guest_paging pg = long_mode(root);
    uint32_t err;

    (void)state;
    pg.cr4 |= 1 << 12;
    *entry8(root, 5, 0x0012800000123000ull, 1, P | W | A) = 0x7000 | P | A;
    assert_int_equal(walk(&pg, 0x0012800000123abcull, 0, &gpa, &err), 0);
    assert_int_equal(gpa, 0x7abc);
    assert_int_equal(walk(&pg, 0x0112800000123abcull, 0, &gpa, &err), -EFAULT);
    assert_int_equal(err, PF_NOT_CANONICAL);
}

static void test_pae(void **state)
{
    uint64_t table = new_table(), pd = new_table(), pt = new_table(), gpa;
    struct guest_paging pg = { .cr0 = 0x80000001, .cr3 = table + 0x60, .cr4 = 0x20, .efer = 0x800 };
    uint32_t err;

    (void)state;
    /* The four PDPTEs need 32-byte alignment only and carry no rights. */
    ((uint64_t *)gpa_ptr(table + 0x60))[3] = pd | P;
    ((uint64_t *)gpa_ptr(pd))[511] = pt | P | W | U | A;
    ((uint64_t *)gpa_ptr(pt))[511] = 0x9000 | P | W | U | A | D | NX;
    ((uint64_t *)gpa_ptr(pd))[0] = 0x400000 | P | PS | A;
    assert_int_equal(walk(&pg, 0xfffff123, GUEST_USER | GUEST_WRITE, &gpa, &err), 0);
    assert_int_equal(gpa, 0x9123);
    assert_int_equal(walk(&pg, 0xfffff123, GUEST_FETCH, &gpa, &err), -EFAULT);
    assert_int_equal(err, PF_PRESENT | PF_FETCH);
    assert_int_equal(walk(&pg, 0xc0012345, 0, &gpa, &err), 0);
    assert_int_equal(gpa, 0x412345);
    pg.efer = 0; /* NX is a reserved bit then */
    assert_int_equal(walk(&pg, 0xfffff123, 0, &gpa, &err), -EFAULT);
    assert_int_equal(err, PF_PRESENT | PF_RESERVED);
}

static void test_legacy(void **state)
{
    uint64_t pd = new_table(), pt = new_table(), gpa;
    struct guest_paging pg = { .cr0 = 0x80000001, .cr3 = pd, .cr4 = 0x10 };
    uint32_t err;

    (void)state;
    ((uint32_t *)gpa_ptr(pd))[1023] = (uint32_t)(pt | P | W | U);
    ((uint32_t *)gpa_ptr(pt))[1] = 0xb000 | P | W;
    ((uint32_t *)gpa_ptr(pd))[2] = 0x00c00000 | 0x3 << 13 | P | W | PS;
    assert_int_equal(walk(&pg, 0xffc01777, GUEST_WRITE, &gpa, &err), 0);
    assert_int_equal(gpa, 0xb777);
    assert_int_equal(((uint32_t *)gpa_ptr(pt))[1], 0xb000 | P | W | A | D);
    assert_int_equal(((uint32_t *)gpa_ptr(pd))[1023], pt | P | W | U | A);
    assert_int_equal(((uint32_t *)gpa_ptr(pt))[0], 0);
    assert_int_equal(walk(&pg, 0x00923456, 0, &gpa, &err), 0);
    assert_int_equal(gpa, 0x300d23456ull); /* PSE-36 */
    assert_int_equal(walk(&pg, 0xffc01777, GUEST_USER, &gpa, &err), -EFAULT);
    assert_int_equal(err, PF_PRESENT | PF_USER);
    pg.cr4 = 0; /* without PSE the bit means nothing: a table at 0xc00000, which is no memory */
    assert_int_equal(walk(&pg, 0x00923456, 0, &gpa, &err), -EFAULT);
}

/* SDM 4.6.1, sentence by sentence; `user` is the mode of the address, `usr` that of the access. */
static bool allowed(bool usr, bool user, bool w, bool nx, bool wp, bool smep, bool smap,
                    unsigned access)
{
    if (access & GUEST_FETCH) {
        if (usr)
            return user && !nx;
        return user ? !smep && !nx : !nx;
    }
    if (access & GUEST_WRITE) {
        if (usr)
            return user && w;
        if (!user)
            return w || !wp;
        return !smap && (w || !wp);
    }
    if (usr)
        return user;
    return !user || !smap;
}

static void test_rights(void **state)
{
    static const unsigned kinds[] = { 0, GUEST_WRITE, GUEST_FETCH };
    uint64_t root = new_table(), *leaf, *inner, gpa;
    uint32_t err;

    (void)state;
    leaf = entry8(root, 4, 0x400000, 1, P | W | U | A);
    inner = entry8(root, 4, 0x400000, 3, P | W | U | A);
    for (unsigned bits = 0; bits < 1u << 12; bits++) {
        bool u1 = bits & 1, w1 = bits & 2, nx1 = bits & 4, u2 = bits & 8, w2 = bits & 16,
             nx2 = bits & 32;
        bool wp = bits & 64, smep = bits & 128, smap = bits & 256, ac = bits & 512,
             usr = bits & 1024;
        bool asks_smap = bits & 2048;
        struct guest_paging pg = long_mode(root);

        pg.cr0 = 0x80000001 | (wp ? 1u << 16 : 0);
        pg.cr4 |= (smep ? 1u << 20 : 0) | (smap ? 1u << 21 : 0);
        pg.ac = ac;
        *leaf = 0x5000 | P | A | D | (u1 ? U : 0) | (w1 ? W : 0) | (nx1 ? NX : 0);
        *inner = (*inner & 0xff000) | P | A | (u2 ? U : 0) | (w2 ? W : 0) | (nx2 ? NX : 0);
        for (unsigned k = 0; k < 3; k++) {
            unsigned access = kinds[k] | (usr ? GUEST_USER : 0) | (asks_smap ? GUEST_SMAP : 0);
            bool want = allowed(usr, u1 && u2, w1 && w2, nx1 || nx2, wp, smep,
                                smap && !ac && asks_smap, kinds[k]);
            int rc = walk(&pg, 0x400123, access, &gpa, &err);

            assert_int_equal(rc, want ? 0 : -EFAULT);
            if (want)
                assert_int_equal(gpa, 0x5123);
            else
                assert_int_equal(err, PF_PRESENT | (kinds[k] == GUEST_WRITE ? PF_WRITE : 0) |
                                          (kinds[k] == GUEST_FETCH ? PF_FETCH : 0) |
                                          (usr ? PF_USER : 0));
        }
    }
}

static void test_accessed_dirty(void **state)
{
    uint64_t root = new_table(), *leaf, *top, gpa;
    struct guest_paging pg = long_mode(root);
    uint32_t err;

    (void)state;
    leaf = entry8(root, 4, 0x1000, 1, P | W);
    top = entry8(root, 4, 0x1000, 4, P | W);
    *leaf = 0x5000 | P;
    assert_int_equal(walk(&pg, 0x1000, GUEST_WRITE, &gpa, &err), -EFAULT);
    assert_int_equal(*leaf, 0x5000 | P); /* refused: neither bit */
    assert_int_equal(*top & (A | D), A);
    *leaf |= W;
    assert_int_equal(walk(&pg, 0x1000, 0, &gpa, &err), 0);
    assert_int_equal(*leaf, 0x5000 | P | W | A);
    assert_int_equal(walk(&pg, 0x1000, GUEST_WRITE, &gpa, &err), 0);
    assert_int_equal(*leaf, 0x5000 | P | W | A | D);
}

static void use(const struct guest_paging *pg)
{
    fake.cr[0] = pg->cr0;
    fake.cr[3] = pg->cr3;
    fake.cr[4] = pg->cr4;
    fake.efer = pg->efer;
    fake.seg[CPU_SEG_CS].attr = 0xa9b;
}

static void test_copies(void **state)
{
    uint64_t root = new_table();
    struct guest_paging pg = long_mode(root);
    uint8_t buf[8192], back[8192];

    (void)state;
    pg.cr4 |= 1u << 21; /* SMAP does not stop hypercalls */
    use(&pg);
    *entry8(root, 4, 0x10000, 1, P | W | U | A) = 0x5000 | P | W | U;
    *entry8(root, 4, 0x11000, 1, P | W | U | A) = 0x3000 | P | W | U;
    *entry8(root, 4, 0x12000, 1, P | W | U | A) = 0x4000 | P | U;
    for (unsigned i = 0; i < sizeof(buf); i++)
        buf[i] = (uint8_t)(i * 7 + 1);
    assert_int_equal(copy_to_guest(vcpu, 0x10ffe, buf, 300), 0);
    assert_memory_equal(gpa_ptr(0x5ffe), buf, 2);
    assert_memory_equal(gpa_ptr(0x3000), buf + 2, 298);
    assert_int_equal(copy_from_guest(vcpu, back, 0x10ffe, 300), 0);
    assert_memory_equal(back, buf, 300);
    assert_int_equal(copy_to_guest(vcpu, 0x11ff0, buf, 32),
                     -EFAULT); /* runs into a read-only page */
    assert_int_equal(gpa_ptr(0x4000)[0], 0);
    assert_int_equal(copy_from_guest(vcpu, back, 0x12ff0, 32), -EFAULT); /* and into none */
    assert_int_equal(copy_from_guest(vcpu, back, 0x12ff0, 16), 0);
    assert_int_equal(copy_to_guest(vcpu, 0x20000, buf, 0), 0);
    assert_int_equal(copy_to_gpa(&p2m, 0x8ff8, buf, 4096), 0);
    assert_int_equal(copy_from_gpa(&p2m, back, 0x8ff8, 4096), 0);
    assert_memory_equal(back, buf, 4096);
    /* Device memory and what is read-only by type is not written. */
    assert_int_equal(p2m_map(&p2m, 0x200, 0x80000, 0, P2M_MMIO_DIRECT), 0);
    assert_int_equal(copy_from_gpa(&p2m, back, 0x200000, 4), -EFAULT);
    assert_int_equal(copy_to_gpa(&p2m, (GUEST_PAGES - 1) * 4096ull + 4090, buf, 10), -EFAULT);
    assert_int_equal(p2m_change_type(&p2m, 5, 1, P2M_RAM_RW, P2M_RAM_RO, NULL), 0);
    assert_int_equal(copy_to_gpa(&p2m, 0x5000, buf, 1), -EFAULT);
    assert_int_equal(copy_from_gpa(&p2m, back, 0x5000, 1), 0);
}

static void test_tables_outside_memory(void **state)
{
    struct guest_paging pg = long_mode(0x900000);
    uint64_t gpa;
    uint32_t err;

    (void)state;
    assert_int_equal(walk(&pg, 0x1000, 0, &gpa, &err), -EFAULT);
    assert_int_equal(p2m_map(&p2m, 0x900, 0x80000, 0, P2M_MMIO_DIRECT), 0);
    assert_int_equal(walk(&pg, 0x1000, 0, &gpa, &err), -EFAULT);
    pg.cr3 = 0xffffffffff000ull; /* beyond every p2m */
    assert_int_equal(walk(&pg, 0x1000, 0, &gpa, &err), -EFAULT);
}

static void test_fetch(void **state)
{
    uint64_t root = new_table(), *leaf;
    struct guest_paging pg = long_mode(root);
    struct cpu_vcpu *c = &vcpu->cpu;
    uint8_t bytes[16];
    size_t avail;
    struct cpu_control control;

    (void)state;
    use(&pg);
    leaf = entry8(root, 4, 0x10000, 1, P | W | A);
    *leaf = 0x5000 | P | A;
    gpa_ptr(0x5ffe)[0] = 0x0f;
    gpa_ptr(0x5ffe)[1] = 0xa2;
    c->regs.rip = 0x10ffe;
    cpu_backend->get_control(c, &control);
    assert_int_equal(guest_fetch_insn(c, &control, bytes), 2); /* the next page is not there */
    assert_int_equal(guest_fetch(c, bytes, 15), 2);
    assert_int_equal(bytes[1], 0xa2);
    *entry8(root, 4, 0x11000, 1, P | W | A) = 0x7000 | P | A;
    gpa_ptr(0x7000)[0] = 0x90;
    assert_int_equal(guest_fetch(c, bytes, 15), 15);
    assert_int_equal(bytes[2], 0x90);
    assert_int_equal(guest_fetch_insn(c, &control, bytes), 15);
    assert_int_equal(bytes[2], 0x90);

    assert_ptr_equal(guest_fetch_ptr(c, &avail), gpa_ptr(0x5ffe));
    assert_int_equal(avail, 2);
    assert_ptr_equal(guest_fetch_ptr(c, &avail), gpa_ptr(0x5ffe)); /* from the cache */
    *leaf = 0x6000 | P | A; /* the guest remaps it, without telling anybody */
    assert_ptr_equal(guest_fetch_ptr(c, &avail), gpa_ptr(0x6ffe));
    *entry8(root, 4, 0x10000, 3, P) = 0;
    assert_null(guest_fetch_ptr(c, &avail));
    *entry8(root, 4, 0x10000, 1, P | W | A) = 0x5000 | P | A;
    assert_ptr_equal(guest_fetch_ptr(c, &avail), gpa_ptr(0x5ffe));
    /* Another address space, then another frame behind the same gfn. */
    fake.cr[3] = new_table();
    assert_null(guest_fetch_ptr(c, &avail));
    fake.cr[3] = root;
    assert_ptr_equal(guest_fetch_ptr(c, &avail), gpa_ptr(0x5ffe));
    assert_int_equal(p2m_map(&p2m, 5, mfn_of[9], 0, P2M_RAM_RW), 0);
    assert_ptr_equal(guest_fetch_ptr(c, &avail), gpa_ptr(0x9ffe));
    /* 32-bit code with a segment base: the sum is cut to 32 bits. */
    fake.seg[CPU_SEG_CS].attr = 0xc9b;
    fake.seg[CPU_SEG_CS].base = 0xfffff000;
    c->regs.rip = 0x12004;
    *entry8(root, 4, 0x11000, 1, P | W | A) = 0x7000 | P | A;
    assert_ptr_equal(guest_fetch_ptr(c, &avail), gpa_ptr(0x7004));
}

/* Walks for data are kept as well: every change by the guest counts at once, rights and dirty bits as in a new walk. */
static void test_kept_walks(void **state)
{
    uint64_t root = new_table(), *leaf, value = 1, back = 0, gpa;
    struct guest_paging pg = long_mode(root);
    struct guest_fault f = { 0, 0 };

    (void)state;
    use(&pg);
    leaf = entry8(root, 4, 0x10000, 1, P | W | A);
    *leaf = 0x5000 | P | W;
    for (int i = 0; i < 3; i++)
        assert_int_equal(copy_from_guest(vcpu, &back, 0x10008, 8), 0);
    assert_int_equal(*leaf & (A | D), A);
    /* Read before, and clean: the first write makes it dirty. */
    assert_int_equal(copy_to_guest(vcpu, 0x10008, &value, 8), 0);
    assert_int_equal(*leaf & (A | D), A | D);
    assert_int_equal(*(uint64_t *)gpa_ptr(0x5008), 1);
    /* The guest cleans it: dirty again after the next write. */
    *leaf = 0x5000 | P | W | A;
    value = 2;
    assert_int_equal(copy_to_guest(vcpu, 0x10008, &value, 8), 0);
    assert_int_equal(*leaf & D, D);
    *leaf = 0x6000 | P | W | A | D;
    value = 3;
    assert_int_equal(copy_to_guest(vcpu, 0x10008, &value, 8), 0);
    assert_int_equal(*(uint64_t *)gpa_ptr(0x5008), 2);
    assert_int_equal(*(uint64_t *)gpa_ptr(0x6008), 3);
    *leaf = 0x6000 | P | A | D;
    assert_int_equal(copy_from_guest(vcpu, &back, 0x10008, 8), 0);
    assert_int_equal(copy_to_guest(vcpu, 0x10008, &value, 8), -EFAULT);
    /* What the supervisor may, the user may not, whoever asked first. */
    assert_int_equal(guest_gva_to_gpa(&vcpu->cpu, 0x10010, 0, &gpa, &f), 0);
    assert_int_equal(gpa, 0x6010);
    assert_int_equal(guest_gva_to_gpa(&vcpu->cpu, 0x10010, GUEST_USER, &gpa, &f), -EFAULT);
    assert_int_equal(f.error & (PF_USER | PF_PRESENT), PF_USER | PF_PRESENT);
    assert_int_equal(guest_gva_to_gpa(&vcpu->cpu, 0x10010, 0, &gpa, &f), 0);
    *leaf = 0;
    assert_int_equal(copy_from_guest(vcpu, &back, 0x10008, 8), -EFAULT);
    /* Pages that share a place. */
    for (unsigned i = 0; i < 4 * CPU_NR_WALKS; i++)
        *entry8(root, 4, 0x40000 + i * 0x1000ull, 1, P | W | A) = (8 + i) * 0x1000ull | P | W;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 4 * CPU_NR_WALKS; i++) {
            assert_int_equal(
                guest_gva_to_gpa(&vcpu->cpu, 0x40004 + i * 0x1000ull, GUEST_WRITE, &gpa, &f), 0);
            assert_int_equal(gpa, (8 + i) * 0x1000ull + 4);
        }
}

static void test_fault_injection(void **state)
{
    struct guest_fault f = { 0x1234, PF_WRITE };

    (void)state;
    guest_inject_fault(&vcpu->cpu, &f);
    assert_int_equal(injected.vector, X86_PF);
    assert_int_equal(injected.error, PF_WRITE);
    assert_int_equal(injected_gva, 0x1234);
    f.error = (uint32_t)PF_NOT_CANONICAL;
    guest_inject_fault(&vcpu->cpu, &f);
    assert_int_equal(injected.vector, X86_GP);
    assert_int_equal(injected.error, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_paging, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_mode_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_five_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pae, setup, teardown),
        cmocka_unit_test_setup_teardown(test_legacy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_accessed_dirty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tables_outside_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fetch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_walks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fault_injection, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * MSI-X against a model, over the places where tables and pending bits are found in real devices:
 * at the start of a page, on the second page, in the middle of one; pending bits beside, on another
 * page, in another BAR; other registers on the same pages; 1 to 2048 vectors; every access size and
 * alignment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "mm/phys.h"
#include "sim.h"
#include "sim_pci.h"

#define DEV  PCI_SBDF(0, 0, 2, 0)
#define BAR0 (17UL << 20)
#define BAR2 (24UL << 20)

struct layout {
    unsigned nr;
    uint32_t table;
    unsigned pba_bar;
    uint32_t pba;
};

struct model_entry {
    uint64_t address;
    uint32_t data;
    bool masked;
};

static struct sim_function *f;
static struct layout lay;
static uint32_t table_len, pba_len;
static uint64_t table_gpa, pba_gpa;
static struct model_entry model[2048];
static bool model_enabled, model_fmask;
static unsigned cap;

static uint32_t seed;

static unsigned rnd(unsigned below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % below;
}

static void model_reset(void)
{
    for (unsigned i = 0; i < lay.nr; i++)
        model[i] = (struct model_entry){ .masked = true };
    model_enabled = model_fmask = false;
}

static void boot(const struct layout *l)
{
    uint32_t size0 = 0x20000;

    sim_reset();
    lay = *l;
    table_len = lay.nr * 16;
    pba_len = (lay.nr + 63) / 64 * 8;
    f = sim_add(DEV, 0x1b36, 0x0010);
    sim_bar(f, 0, size0, BAR0, true);
    sim_bar(f, 2, 0x4000, BAR2, false);
    cap = sim_msix(f, lay.nr, 0, lay.table, lay.pba_bar, lay.pba);
    table_gpa = BAR0 + lay.table;
    pba_gpa = (lay.pba_bar ? BAR2 : BAR0) + lay.pba;
    for (unsigned i = 0; i < size0; i++)
        ((uint8_t *)phys_to_virt(BAR0))[i] = (uint8_t)rnd(256);
    /* Firmware left it on, with every entry unmasked. */
    f->config[cap + PCI_MSIX_CONTROL + 1] |= 0x80;
    for (unsigned i = 0; i < lay.nr; i++)
        ((uint32_t *)phys_to_virt(table_gpa))[i * 4 + 3] = 0;
    sim_decode(f, true);
    model_reset();
    sim_boot();
}

static uint32_t hw_dword(unsigned i, unsigned dword)
{
    return ((uint32_t *)phys_to_virt(table_gpa))[i * 4 + dword];
}

static bool model_live(unsigned i)
{
    return model_enabled && !model[i].masked && model[i].address >> 20 == 0xfee && !sim_bind_fails;
}

static void check_entry(unsigned i)
{
    struct sim_girq *g;
    uint64_t addr;

    assert_int_equal(hw_dword(i, 3), !model_live(i));
    if (!model_live(i))
        return;
    addr = hw_dword(i, 0) | (uint64_t)hw_dword(i, 1) << 32;
    g = sim_girq_of_message(addr, hw_dword(i, 2));
    assert_non_null(g);
    assert_int_equal(g->guest_addr, model[i].address);
    assert_int_equal(g->guest_data, model[i].data);
    assert_int_equal(g->g.sbdf, DEV);
}

static void check_all(void)
{
    uint32_t control = sim_config32(f, cap) >> 16;

    if (model_enabled)
        for (unsigned i = 0; i < lay.nr; i++)
            check_entry(i);
    assert_int_equal(!!(control & PCI_MSIX_ENABLE), model_enabled);
    assert_int_equal(!!(control & PCI_MSIX_FMASK), model_fmask);
}

static void check_mapping(bool on)
{
    for (uint64_t a = BAR0; a < BAR0 + 0x20000; a += PAGE_SIZE) {
        bool table = a + PAGE_SIZE > table_gpa && a < table_gpa + table_len;
        bool pba = a + PAGE_SIZE > pba_gpa && a < pba_gpa + pba_len;

        assert_int_equal(sim_mapped(a), on && !table && !pba);
    }
    for (uint64_t a = BAR2; a < BAR2 + 0x4000; a += PAGE_SIZE)
        assert_int_equal(sim_mapped(a), on && !(a + PAGE_SIZE > pba_gpa && a < pba_gpa + pba_len));
}

static uint32_t model_dword(uint32_t off)
{
    const struct model_entry *e = &model[off / 16];

    switch (off / 4 % 4) {
    case 0:
        return (uint32_t)e->address;
    case 1:
        return (uint32_t)(e->address >> 32);
    case 2:
        return e->data;
    default:
        return e->masked;
    }
}

static void model_write_dword(uint32_t off, uint32_t val)
{
    struct model_entry *e = &model[off / 16];

    switch (off / 4 % 4) {
    case 0:
        e->address = (e->address & ~0xffffffffULL) | (val & ~3u);
        break;
    case 1:
        e->address = (e->address & 0xffffffff) | (uint64_t)val << 32;
        break;
    case 2:
        e->data = val;
        break;
    default:
        e->masked = val & 1;
        break;
    }
}

static bool within(uint64_t gpa, unsigned size, uint64_t start, uint32_t len)
{
    return gpa >= start && gpa + size <= start + len;
}

static bool touches(uint64_t gpa, unsigned size, uint64_t start, uint32_t len)
{
    return gpa + size > start && gpa < start + len;
}

/* A value that is a likely one for the place: messages that bind, and some that do not. */
static uint64_t some_value(uint64_t gpa)
{
    uint32_t low = 0xfee00000 | rnd(256) << 12, high = rnd(10) ? 0 : 1;

    if (gpa % 16 == 0)
        return rnd(12) ? low | (uint64_t)high << 32 : rnd(1u << 24);
    if (gpa % 16 == 4)
        return high;
    if (gpa % 16 == 8)
        return rnd(1 << 16) | (uint64_t)rnd(3) << 32;
    return rnd(8);
}

static void one_read(uint64_t gpa, unsigned size)
{
    uint64_t val = 0x5a5a, want = 0;
    enum trap_result res = mem_read(gpa, size, &val);
    uint32_t off = (uint32_t)(gpa - table_gpa);

    if (within(gpa, size, table_gpa, table_len)) {
        if (size == 8 && !(gpa & 7)) {
            assert_int_equal(val, model_dword(off) | (uint64_t)model_dword(off + 4) << 32);
        } else if ((gpa & 3) + size <= 4) {
            want = model_dword(off & ~3u) >> (gpa & 3) * 8;
            assert_int_equal(val, want & trap_all_ones(size));
        } else {
            assert_int_equal(res, TRAP_DENIED);
            assert_int_equal(val, trap_all_ones(size));
        }
        return;
    }
    if (!within(gpa, size, pba_gpa, pba_len) &&
        (touches(gpa, size, table_gpa, table_len) || touches(gpa, size, pba_gpa, pba_len))) {
        assert_int_equal(res, TRAP_DENIED);
        assert_int_equal(val, trap_all_ones(size));
        return;
    }
    assert_int_equal(res, TRAP_DONE);
    memcpy(&want, phys_to_virt(gpa), size);
    assert_int_equal(val, want);
}

static void one_write(uint64_t gpa, unsigned size)
{
    uint64_t val = some_value(gpa), old = 0, now = 0;
    uint32_t off = (uint32_t)(gpa - table_gpa);
    enum trap_result res;

    memcpy(&old, phys_to_virt(gpa), size);
    res = mem_write(gpa, size, val);
    memcpy(&now, phys_to_virt(gpa), size);
    if (within(gpa, size, table_gpa, table_len) && size >= 4 && !(gpa & (size - 1))) {
        assert_int_equal(res, TRAP_DONE);
        model_write_dword(off, (uint32_t)val);
        if (size == 8)
            model_write_dword(off + 4, (uint32_t)(val >> 32));
        if (model_enabled)
            check_entry(off / 16);
    } else if (touches(gpa, size, table_gpa, table_len) || touches(gpa, size, pba_gpa, pba_len)) {
        assert_int_equal(res, TRAP_DENIED);
        assert_int_equal(now, old);
    } else {
        assert_int_equal(res, TRAP_DONE);
        assert_int_equal(now, val & trap_all_ones(size));
    }
}

/* An address on or around the interesting pages, not crossing a page as accesses never do. */
static uint64_t some_address(unsigned size)
{
    uint64_t base;
    unsigned around;

    switch (rnd(6)) {
    case 0:
        base = (pba_gpa & PAGE_MASK) + rnd(PAGE_SIZE - 8);
        return base;
    case 1:
        base = (table_gpa & PAGE_MASK) + rnd(PAGE_SIZE - 8);
        return base;
    case 2:
        /* Around an edge, where it exists on the same page. */
        around = rnd(16);
        base = (rnd(2) ? table_gpa + table_len : pba_gpa + pba_len) - 8 + around;
        break;
    default:
        base = table_gpa + rnd(table_len);
        base &= rnd(4) ? ~(uint64_t)(size - 1) : ~0ULL;
        break;
    }
    return base & (PAGE_SIZE - 1) && (base & (PAGE_SIZE - 1)) + size > PAGE_SIZE ? base & ~7ULL
                                                                                 : base;
}

static void random_control(void)
{
    uint32_t val = rnd(4) << 14;

    cfg_write(DEV, cap + PCI_MSIX_CONTROL, 2, val);
    model_enabled = val & PCI_MSIX_ENABLE;
    model_fmask = val & PCI_MSIX_FMASK;
    assert_int_equal(cfg_read(DEV, cap + PCI_MSIX_CONTROL, 2), val | (lay.nr - 1));
    check_all();
}

static void random_walk(unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        unsigned size = 1u << rnd(4);
        uint64_t gpa = some_address(rnd(3) ? 4 : size);

        if (!rnd(64))
            random_control();
        if (!rnd(200)) {
            cfg_write(DEV, 4, 2, 0);
            check_mapping(false);
            cfg_write(DEV, 4, 2, 6);
            check_mapping(true);
        }
        if (rnd(2))
            one_write(gpa, rnd(3) ? 4 : size);
        else
            one_read(gpa, size);
    }
    random_control();
}

static bool fits(const struct layout *l)
{
    uint32_t t = l->nr * 16, p = (l->nr + 63) / 64 * 8;

    if (l->table + t > 0x20000 || l->pba + p > (l->pba_bar ? 0x4000u : 0x20000u))
        return false;
    return l->pba_bar || l->pba >= l->table + t || l->pba + p <= l->table;
}

static void test_matrix(void **state)
{
    static const unsigned counts[] = { 1, 2, 17, 64, 65, 256, 2048 };
    static const uint32_t tables[] = { 0, 0x1000, 0x5200, 0x2800 };
    unsigned done = 0;

    (void)state;
    seed = 4711;
    for (unsigned c = 0; c < ARRAY_SIZE(counts); c++) {
        for (unsigned t = 0; t < ARRAY_SIZE(tables); t++) {
            uint32_t end = tables[t] + counts[c] * 16;
            const struct layout places[] = {
                { counts[c], tables[t], 0, ALIGN_UP(end, 8) },          /* right behind */
                { counts[c], tables[t], 0, ALIGN_UP(end, 8) + 0x48 },   /* with registers between */
                { counts[c], tables[t], 0, ALIGN_UP(end, 0x1000) + 8 }, /* on another page */
                { counts[c], tables[t], 0, 0x10 },                      /* before */
                { counts[c], tables[t], 2, 0 },
                { counts[c], tables[t], 2, 0x1810 },
            };

            for (unsigned p = 0; p < ARRAY_SIZE(places); p++) {
                if (!fits(&places[p]))
                    continue;
                boot(&places[p]);
                check_mapping(true);
                random_walk(150);
                sim_finish();
                done++;
            }
        }
    }
    assert_true(done > 100);
}

static const struct layout plain = { 4, 0x2000, 0, 0x3000 };

static void set_entry(unsigned i, uint32_t address, uint32_t data, bool masked)
{
    mem_write(table_gpa + i * 16, 8, address);
    mem_write(table_gpa + i * 16 + 8, 4, data);
    mem_write(table_gpa + i * 16 + 12, 4, masked);
    model[i] = (struct model_entry){ address, data, masked };
}

static void set_control(bool enable, bool fmask)
{
    cfg_write(DEV, cap + 2, 2, (enable ? 0x8000 : 0) | (fmask ? 0x4000 : 0));
    model_enabled = enable;
    model_fmask = fmask;
}

static void test_firmware_leftovers(void **state)
{
    (void)state;
    boot(&plain);
    assert_int_equal(sim_config32(f, cap) >> 16 & 0xc000, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(hw_dword(i, 3), 1);
    assert_int_equal(sim_girqs_used, 0);
    sim_finish();
    /* With decoding off at boot the table cannot be reached until it comes on. */
    sim_reset();
    f = sim_add(DEV, 1, 1);
    sim_bar(f, 0, 0x20000, BAR0, true);
    cap = sim_msix(f, 4, 0, 0x2000, 0, 0x3000);
    memset(phys_to_virt(table_gpa), 0, 64);
    sim_boot();
    cfg_write(DEV, cap + 2, 2, 0x8000);
    assert_int_equal(hw_dword(0, 3), 0);
    cfg_write(DEV, 4, 2, 2);
    assert_int_equal(hw_dword(0, 3), 1);
    assert_int_equal(hw_dword(3, 3), 1);
    sim_finish();
}

/* As a kernel does it: enable with everything masked, write, unmask all, then mask and unmask. */
static void test_linux_sequence(void **state)
{
    struct trap_region *r;
    uint64_t val;

    (void)state;
    seed = 1;
    boot(&plain);
    set_control(true, true);
    for (unsigned i = 0; i < 4; i++)
        set_entry(i, 0xfee00000 + (i << 12), 0x20 + i, true);
    assert_int_equal(sim_girqs_used, 0);
    set_control(true, false);
    assert_int_equal(sim_girqs_used, 0);
    set_entry(1, 0xfee01000, 0x21, false);
    check_all();
    assert_int_equal(sim_girqs_used, 1);
    mem_write(table_gpa + 28, 4, 1);
    model[1].masked = true;
    check_all();
    mem_read(table_gpa + 28, 4, &val);
    assert_int_equal(val, 1);
    /* Unmasked again without a change: the same interrupt, nothing bound anew. */
    sim_bind_fails = true;
    mem_write(table_gpa + 28, 4, 0);
    sim_bind_fails = false;
    model[1].masked = false;
    check_all();
    /* A new message while masked takes effect at the unmask. */
    set_entry(1, 0xfee03000, 0x33, true);
    check_all();
    set_entry(1, 0xfee03000, 0x33, false);
    check_all();
    assert_int_equal(sim_girqs_used, 1);
    r = trap_find(&sim_traps, TRAP_MMIO, table_gpa);
    assert_non_null(r);
    assert_string_equal(r->name, "msix-page");
    assert_true(r->count.writes >= 18 && r->count.denied == 0);
    sim_finish();
}

static void test_bind_refused(void **state)
{
    uint64_t before = deny_count(DENY_MSI_BIND);

    (void)state;
    boot(&plain);
    set_control(true, false);
    set_entry(2, 0x100000, 0x22, false);
    assert_int_equal(deny_count(DENY_MSI_BIND), before + 1);
    check_all();
    set_entry(2, 0xfee00000, 0x22, false);
    check_all();
    /* Running, then rewritten with nonsense: silent, not stale. */
    mem_write(table_gpa + 32, 4, 0);
    model[2].address = 0;
    check_all();
    sim_finish();
}

static void test_reset(void **state)
{
    (void)state;
    boot(&plain);
    set_control(true, false);
    set_entry(0, 0xfee00000, 0x41, false);
    set_entry(3, 0xfee01000, 0x42, false);
    check_all();
    sim_flr(f);
    sim_bar(f, 0, 0x20000, BAR0, true);
    memset(phys_to_virt(table_gpa), 0, 64);
    for (unsigned i = 0; i < 4; i++)
        ((uint32_t *)phys_to_virt(table_gpa))[i * 4 + 3] = 1;
    /* Restored in a kernel's order: BARs, command, MSI-X enabled and masked, entries, unmask. */
    cfg_write(DEV, 0x10, 4, BAR0 | 4);
    cfg_write(DEV, 0x18, 4, BAR2);
    cfg_write(DEV, 4, 2, 6);
    check_mapping(true);
    cfg_write(DEV, cap + 2, 2, 0xc000);
    set_entry(0, 0xfee00000, 0x41, false);
    set_entry(3, 0xfee01000, 0x42, false);
    set_control(true, false);
    check_all();
    assert_int_equal(sim_girqs_used, 2);
    /* The same, but only the control register is written: the kept messages go in again. */
    sim_flr(f);
    sim_bar(f, 0, 0x20000, BAR0, true);
    cfg_write(DEV, 4, 2, 6);
    set_control(true, false);
    check_all();
    /* Control before command: what is written to the table meanwhile would be lost. */
    sim_flr(f);
    sim_bar(f, 0, 0x20000, BAR0, true);
    set_control(true, false);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(hw_dword(i, 3), 1);
    cfg_write(DEV, 4, 2, 6);
    check_all();
    /* Only MSI-X was turned off, as a device's own reset may do. */
    f->config[cap + PCI_MSIX_CONTROL + 1] &= 0x3f;
    for (unsigned i = 0; i < 4; i++)
        ((uint32_t *)phys_to_virt(table_gpa))[i * 4 + 3] = 1;
    set_control(true, false);
    check_all();
    sim_finish();
}

static void test_moved_bar(void **state)
{
    uint64_t val;

    (void)state;
    boot(&plain);
    set_control(true, false);
    set_entry(0, 0xfee00000, 0x41, false);
    cfg_write(DEV, 4, 2, 0);
    assert_int_equal(mem_read(table_gpa, 4, &val), TRAP_NONE);
    memcpy(phys_to_virt(30 << 20), phys_to_virt(BAR0), 0x20000);
    cfg_write(DEV, 0x10, 4, 30 << 20 | 4);
    cfg_write(DEV, 4, 2, 2);
    assert_int_equal(mem_read(table_gpa, 4, &val), TRAP_NONE);
    table_gpa = (30 << 20) + 0x2000;
    assert_int_equal(mem_read(table_gpa, 4, &val), TRAP_DONE);
    assert_int_equal(val, 0xfee00000);
    assert_false(sim_mapped(table_gpa) || sim_mapped(table_gpa + 0x1000));
    assert_true(sim_mapped(table_gpa - 0x1000));
    check_all();
    set_entry(0, 0xfee00000, 0x41, true);
    check_all();
    sim_finish();
}

static void test_unusable_table(void **state)
{
    (void)state;
    sim_reset();
    f = sim_add(DEV, 1, 1);
    sim_bar(f, 0, 0x1000, BAR0, false);
    cap = sim_msix(f, 2048, 0, 0, 0, 0x800);
    f->config[cap + 3] |= 0x80;
    sim_boot();
    assert_null(vpci_find(&sim_vpci, DEV)->msix);
    assert_int_equal(f->config[cap + 3] & 0x80, 0);
    cfg_write(DEV, cap + 2, 2, 0x8000);
    cfg_write(DEV, cap, 4, 0x80000000);
    assert_int_equal(f->config[cap + 3] & 0x80, 0);
    sim_finish();
    /* In reserved memory: never reached, and not mapped either. */
    sim_reset();
    f = sim_add(DEV, 1, 1);
    sim_bar(f, 0, 0x1000, SIM_RESERVED, false);
    cap = sim_msix(f, 2, 0, 0, 0, 0x800);
    sim_boot();
    cfg_write(DEV, 4, 2, 2);
    cfg_write(DEV, cap + 2, 2, 0x8000);
    assert_int_equal(sim_nr_mapped(), 0);
    sim_finish();
}

/* Small BARs: several functions' tables, and one's plain registers, on one page. */
static void test_shared_page(void **state)
{
    struct sim_function *fn[6];
    uint64_t page = 40 << 20, val, before = deny_count(DENY_BAR_TRAP);

    (void)state;
    sim_reset();
    for (unsigned i = 0; i < 6; i++) {
        fn[i] = sim_add(PCI_SBDF(0, 0, 8 + i, 0), 1, (uint16_t)i);
        sim_bar(fn[i], 0, 0x100, page + i * 0x100, false);
        if (i)
            sim_msix(fn[i], 2, 0, 0x40, 0, 0x80);
    }
    sim_boot();
    cfg_write(fn[0]->sbdf, 4, 2, 2);
    assert_true(sim_mapped(page));
    for (unsigned i = 1; i <= 4; i++) {
        cfg_write(fn[i]->sbdf, 4, 2, 2);
        assert_false(sim_mapped(page));
    }
    /* No place for a fifth table: it must not decode. */
    cfg_write(fn[5]->sbdf, 4, 2, 2);
    assert_int_equal(deny_count(DENY_BAR_TRAP), before + 1);
    assert_int_equal(fn[5]->config[4], 0);
    for (unsigned i = 1; i <= 4; i++) {
        assert_int_equal(mem_write(page + i * 0x100 + 0x48, 4, 0x100 + i), TRAP_DONE);
        assert_int_equal(mem_read(page + i * 0x100 + 0x48, 4, &val), TRAP_DONE);
        assert_int_equal(val, 0x100 + i);
        assert_int_equal(mem_write(page + i * 0x100, 2, 0x4242), TRAP_DONE);
        assert_int_equal(*(uint16_t *)phys_to_virt(page + i * 0x100), 0x4242);
    }
    /* The one without a table is reached, nobody's bytes are not. */
    assert_int_equal(mem_write(page + 0x10, 4, 0x99), TRAP_DONE);
    assert_int_equal(*(uint32_t *)phys_to_virt(page + 0x10), 0x99);
    assert_int_equal(mem_read(page + 0x510, 4, &val), TRAP_DENIED);
    assert_int_equal(mem_read(page + 0xf00, 4, &val), TRAP_DENIED);
    assert_int_equal(val, 0xffffffff);
    for (unsigned i = 1; i <= 4; i++) {
        assert_false(sim_mapped(page));
        cfg_write(fn[i]->sbdf, 4, 2, 0);
    }
    assert_true(sim_mapped(page));
    sim_finish();
}

/* A large BAR laid over another function's table, before and after that one decodes. */
static void test_overlap(void **state)
{
    struct sim_function *big, *small;

    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        sim_reset();
        big = sim_add(PCI_SBDF(0, 0, 8, 0), 1, 1);
        sim_bar(big, 0, 0x10000, 40 << 20, false);
        small = sim_add(PCI_SBDF(0, 0, 9, 0), 1, 2);
        sim_bar(small, 0, 0x1000, (40 << 20) + 0x3000, false);
        sim_msix(small, 4, 0, 0, 0, 0x800);
        sim_boot();
        cfg_write(order ? big->sbdf : small->sbdf, 4, 2, 2);
        cfg_write(order ? small->sbdf : big->sbdf, 4, 2, 2);
        assert_int_equal(sim_nr_mapped(), 15);
        assert_false(sim_mapped((40 << 20) + 0x3000));
        cfg_write(small->sbdf, 4, 2, 0);
        assert_int_equal(sim_nr_mapped(), 16);
        cfg_write(small->sbdf, 4, 2, 2);
        assert_int_equal(sim_nr_mapped(), 15);
        cfg_write(big->sbdf, 4, 2, 0);
        assert_int_equal(sim_nr_mapped(), 0);
        sim_finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrix),         cmocka_unit_test(test_firmware_leftovers),
        cmocka_unit_test(test_linux_sequence), cmocka_unit_test(test_bind_refused),
        cmocka_unit_test(test_reset),          cmocka_unit_test(test_moved_bar),
        cmocka_unit_test(test_unusable_table), cmocka_unit_test(test_shared_page),
        cmocka_unit_test(test_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

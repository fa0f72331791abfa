/* SPDX-License-Identifier: MIT */
/*
 * A guest in the simulated machine; see sim_guest.h. Its page table is a table of pages by hash.
 */
#include "sim_guest.h"

#include <stdlib.h>

#include "irq/girq.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/phys.h"

#define MAX_PAGES 65536u

bool sim_guest_on, sim_guest_started;
unsigned sim_messages;
uint64_t sim_message_addr;
uint32_t sim_message_data, sim_port_value;
uint16_t sim_port_last;

/* Open addressing; a page that was unmapped keeps its place with type P2M_NONE. */
static struct {
    uint64_t gfn, mfn;
    bool used;
    enum p2m_type type;
} pages[MAX_PAGES];
static unsigned used[MAX_PAGES / 2]; /* places in use */
static unsigned nr_used, nr_mapped;

static unsigned place_of(uint64_t gfn)
{
    unsigned i = (unsigned)((gfn * 0x9e3779b97f4a7c15ULL) >> 48) % MAX_PAGES;

    while (pages[i].used && pages[i].gfn != gfn)
        i = (i + 1) % MAX_PAGES;
    return i;
}

static void set_page(uint64_t gfn, uint64_t mfn, enum p2m_type type)
{
    unsigned i = place_of(gfn);

    if (!pages[i].used) {
        ASSERT(nr_used < MAX_PAGES / 2);
        used[nr_used++] = i;
        pages[i].used = true;
        pages[i].gfn = gfn;
        pages[i].type = P2M_NONE;
    }
    nr_mapped -= pages[i].type == P2M_MMIO_DIRECT;
    nr_mapped += type == P2M_MMIO_DIRECT;
    pages[i].mfn = mfn;
    pages[i].type = type;
}

int sim_guest_map_range(uint64_t gfn, uint64_t mfn, uint64_t nr, enum p2m_type type, uint64_t *done)
{
    uint64_t n = MIN(nr, (uint64_t)300); /* as if more took too long */

    *done = 0;
    if (sim_p2m_fails)
        return -ENOMEM;
    for (uint64_t i = 0; i < n; i++) {
        unsigned at = place_of(gfn + i);

        ASSERT(!pages[at].used || pages[at].type == P2M_NONE);
        set_page(gfn + i, mfn + i, type);
    }
    *done = n;
    return n < nr ? -ERESTART : 0;
}

int sim_guest_unmap(uint64_t gfn, uint64_t nr, uint64_t *done)
{
    uint64_t n = MIN(nr, (uint64_t)300);

    for (uint64_t i = 0; i < n; i++) {
        unsigned at = place_of(gfn + i);

        if (!pages[at].used)
            continue;
        ASSERT(pages[at].type == P2M_NONE || pages[at].type == P2M_MMIO_DIRECT);
        set_page(gfn + i, 0, P2M_NONE);
    }
    *done = n;
    return n < nr ? -ERESTART : 0;
}

uint64_t sim_guest_lookup(uint64_t gfn, enum p2m_type *type, unsigned *order)
{
    unsigned at = place_of(gfn);

    *order = 0;
    *type = pages[at].used ? pages[at].type : P2M_NONE;
    return *type == P2M_NONE ? INVALID_MFN : pages[at].mfn;
}

void sim_guest_ram(uint64_t gfn)
{
    set_page(gfn, SIM_RAM >> PAGE_SHIFT, P2M_RAM_RW);
}

uint64_t sim_guest_mfn(uint64_t gpa)
{
    enum p2m_type type;
    unsigned order;

    return sim_guest_lookup(gpa >> PAGE_SHIFT, &type, &order);
}

unsigned sim_guest_nr_mapped(void)
{
    return nr_mapped;
}

void sim_guest_for_each(void (*fn)(uint64_t gfn, uint64_t mfn))
{
    for (unsigned i = 0; i < nr_used; i++)
        if (pages[used[i]].type == P2M_MMIO_DIRECT)
            fn(pages[used[i]].gfn, pages[used[i]].mfn);
}

enum trap_result guest_mem(uint64_t gpa, unsigned size, bool write, uint64_t *val)
{
    uint64_t mfn = sim_guest_mfn(gpa);
    uint8_t *p;

    if (mfn == INVALID_MFN)
        return trap_mmio_access(SIM_VCPU, gpa, size, write, val);
    p = (uint8_t *)phys_to_virt(mfn << PAGE_SHIFT) + (gpa & (PAGE_SIZE - 1));
    if (write) {
        memcpy(p, val, size);
    } else {
        *val = 0;
        memcpy(val, p, size);
    }
    return TRAP_DONE;
}

/* ---- what the code under test calls ---- */

struct p2m *domain_p2m(struct domain *d)
{
    (void)d;
    return &sim_p2m;
}

struct trap_table *domain_traps(struct domain *d)
{
    (void)d;
    return &sim_traps;
}

uint16_t domain_id(const struct domain *d)
{
    (void)d;
    return 1;
}

bool domain_has_started(const struct domain *d)
{
    (void)d;
    return sim_guest_started;
}

unsigned vapic_deliver_msi(struct domain *dom, uint64_t addr, uint32_t data)
{
    (void)dom;
    sim_messages++;
    sim_message_addr = addr;
    sim_message_data = data;
    return 1;
}

uint32_t pci_port_read(uint16_t port, unsigned size)
{
    sim_port_last = port;
    return sim_port_value & (uint32_t)trap_all_ones(size);
}

void pci_port_write(uint16_t port, unsigned size, uint32_t val)
{
    sim_port_last = port;
    sim_port_value = val & (uint32_t)trap_all_ones(size);
}

/* ---- life cycle ---- */

void sim_guest_begin(void)
{
    while (nr_used)
        memset(&pages[used[--nr_used]], 0, sizeof(pages[0]));
    nr_mapped = sim_messages = 0;
    sim_guest_started = false;
    ASSERT(!pci_scan());
    /* It was the control domain so far. */
    vpci_destroy(&sim_vpci);
    vpci_prepare(&sim_vpci);
    sim_guest_on = true;
    if (vroot_create(SIM_DOMAIN))
        abort();
}

void sim_guest_end(void)
{
    vroot_destroy(SIM_DOMAIN);
    ASSERT(!nr_mapped);
    sim_guest_on = false;
    if (vpci_init(&sim_vpci, SIM_DOMAIN, 0, &sim_traps, &sim_p2m, &vpci_policy_control))
        abort();
}

/* SPDX-License-Identifier: MIT */
/*
 * Physical IO-APICs.  Each pin is masked from the start; routing a GSI writes its entry either with
 * the destination in it, or, with interrupt remapping, with the number of an entry that only this
 * IO-APIC may use.
 */
#include "irq/ioapic.h"

#include "iommu/iommu.h"
#include "irq/ioapic_hw.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/spinlock.h"
#include "mm/heap.h"
#include "mm/map.h"

#define DELIVERY_SMI 2

struct ioapic_pin {
    struct ir_entry ir; /* valid once routed through remapping */
    uint32_t cpu;
    uint8_t vector;
    bool level, active_low;
    bool routed;
    bool masked;
    bool reserved; /* the hypervisor's */
    bool firmware; /* delivers SMIs: not to be touched */
};

struct ioapic {
    spinlock_t lock; /* registers and pins; innermost but for the remapping unit's */
    volatile void *regs;
    struct ioapic_info info;
    struct ioapic_pin *pin;
};

static struct ioapic ioapics[IOAPIC_MAX];
static unsigned nr_ioapics;
static struct acpi_madt_override isa_override[ACPI_MAX_OVERRIDES];
static unsigned nr_isa_overrides;

/* ---- registers ---- */

static uint64_t rte_read(struct ioapic *io, unsigned pin)
{
    uint64_t low = ioapic_hw_read(io->regs, IOAPIC_REG_RTE(pin));

    return low | (uint64_t)ioapic_hw_read(io->regs, IOAPIC_REG_RTE(pin) + 1) << 32;
}

/* The two halves are not written at once: masked while they disagree. */
static void rte_write(struct ioapic *io, unsigned pin, uint64_t rte)
{
    uint8_t reg = IOAPIC_REG_RTE(pin);

    ioapic_hw_write(io->regs, reg, (uint32_t)(rte | RTE_MASKED));
    ioapic_hw_write(io->regs, (uint8_t)(reg + 1), (uint32_t)(rte >> 32));
    if (!(rte & RTE_MASKED))
        ioapic_hw_write(io->regs, reg, (uint32_t)rte);
}

static void rte_set_mask(struct ioapic *io, unsigned pin, bool masked)
{
    uint8_t reg = IOAPIC_REG_RTE(pin);
    uint32_t low = ioapic_hw_read(io->regs, reg);
    uint32_t want = masked ? low | (uint32_t)RTE_MASKED : low & ~(uint32_t)RTE_MASKED;

    if (want != low)
        ioapic_hw_write(io->regs, reg, want);
}

/* ---- start ---- */

static bool overlaps_earlier(const struct ioapic_info *info)
{
    for (unsigned i = 0; i < nr_ioapics; i++) {
        const struct ioapic_info *o = &ioapics[i].info;

        if (info->base == o->base || (info->gsi_base < o->gsi_base + o->nr_pins &&
                                      o->gsi_base < info->gsi_base + info->nr_pins))
            return true;
    }
    return false;
}

/* What firmware left: pins for SMIs stay its own, all others are silenced. */
static void take_over_pins(struct ioapic *io)
{
    for (unsigned pin = 0; pin < io->info.nr_pins; pin++) {
        uint64_t rte = rte_read(io, pin);

        io->pin[pin].masked = true;
        if (!(rte & RTE_MASKED) && RTE_DELIVERY(rte) == DELIVERY_SMI) {
            io->pin[pin].firmware = true;
            pr_info("ioapic: GSI %u is firmware's", io->info.gsi_base + pin);
            continue;
        }
        /* Writing an edge entry also clears a remote IRR that was left set. */
        rte_write(io, pin, RTE_MASKED);
    }
}

static int add_ioapic(const struct acpi_madt_ioapic *m)
{
    struct ioapic *io = &ioapics[nr_ioapics];
    uint32_t version;

    if (nr_ioapics == IOAPIC_MAX)
        return -ENOSPC;
    spin_lock_init(&io->lock);
    io->regs = mmio_map(m->base, PAGE_SIZE);
    if (!io->regs)
        return -ENOMEM;
    version = ioapic_hw_read(io->regs, IOAPIC_REG_VERSION);
    io->info.base = m->base;
    io->info.gsi_base = m->gsi_base;
    io->info.id = m->id;
    io->info.version = (uint8_t)version;
    io->info.nr_pins = ((version >> 16) & 0xff) + 1;
    if (version == 0xffffffff || !(uint8_t)version || io->info.nr_pins > IOAPIC_MAX_PINS ||
        m->gsi_base > 0xffffu)
        return -EINVAL;
    if (overlaps_earlier(&io->info))
        return -EEXIST;
    io->pin = xcalloc(io->info.nr_pins, sizeof(*io->pin));
    if (!io->pin)
        return -ENOMEM;
    take_over_pins(io);
    nr_ioapics++;
    return 0;
}

int ioapic_init(const struct acpi_madt_info *madt)
{
    while (nr_ioapics)
        xfree(ioapics[--nr_ioapics].pin);
    nr_isa_overrides = MIN(madt->nr_overrides, (unsigned)ACPI_MAX_OVERRIDES);
    for (unsigned i = 0; i < nr_isa_overrides; i++)
        isa_override[i] = madt->override[i];
    for (unsigned i = 0; i < madt->nr_ioapics; i++) {
        const struct acpi_madt_ioapic *m = &madt->ioapic[i];
        int ret = add_ioapic(m);

        if (ret)
            pr_warn("ioapic: id %u at %#lx, GSI %u: left out (%d)", m->id, (unsigned long)m->base,
                    m->gsi_base, ret);
        else
            pr_info("ioapic: id %u at %#lx, GSIs %u-%u, version %#x", m->id, (unsigned long)m->base,
                    m->gsi_base, m->gsi_base + ioapics[nr_ioapics - 1].info.nr_pins - 1,
                    ioapics[nr_ioapics - 1].info.version);
    }
    return nr_ioapics ? 0 : -ENODEV;
}

unsigned ioapic_count(void)
{
    return nr_ioapics;
}

int ioapic_get(unsigned index, struct ioapic_info *out)
{
    if (index >= nr_ioapics)
        return -ENOENT;
    *out = ioapics[index].info;
    return 0;
}

/* ISA interrupts are rising edges at the GSI of their number unless the MADT says otherwise
 * (ACPI 6.4, 5.2.12.5). */
void ioapic_isa_route(unsigned isa_irq, uint32_t *gsi, bool *level, bool *active_low)
{
    *gsi = isa_irq;
    *level = false;
    *active_low = false;
    for (unsigned i = 0; i < nr_isa_overrides; i++) {
        const struct acpi_madt_override *o = &isa_override[i];

        if (o->bus != 0 || o->source != isa_irq)
            continue;
        *gsi = o->gsi;
        *active_low = (o->flags & 3) == 3;
        *level = ((o->flags >> 2) & 3) == 3;
        return;
    }
}

/* ---- pins ---- */

/* The IO-APIC that has the GSI, locked, and its pin; NULL if none has it. */
static struct ioapic *lock_gsi(uint32_t gsi, unsigned *pin)
{
    for (unsigned i = 0; i < nr_ioapics; i++) {
        struct ioapic *io = &ioapics[i];

        if (gsi >= io->info.gsi_base && gsi - io->info.gsi_base < io->info.nr_pins) {
            *pin = gsi - io->info.gsi_base;
            spin_lock(&io->lock);
            return io;
        }
    }
    return NULL;
}

int ioapic_reserve(uint32_t gsi)
{
    unsigned pin;
    struct ioapic *io = lock_gsi(gsi, &pin);
    int ret = 0;

    if (!io)
        return -ENOENT;
    if (io->pin[pin].reserved || io->pin[pin].routed || io->pin[pin].firmware)
        ret = -EBUSY;
    else
        io->pin[pin].reserved = true;
    spin_unlock(&io->lock);
    return ret;
}

bool ioapic_is_reserved(uint32_t gsi)
{
    unsigned pin;
    struct ioapic *io = lock_gsi(gsi, &pin);
    bool ret;

    if (!io)
        return false;
    ret = io->pin[pin].reserved || io->pin[pin].firmware;
    spin_unlock(&io->lock);
    return ret;
}

static uint64_t direct_rte(const struct ioapic_pin *p)
{
    return RTE_VECTOR(p->vector) | (p->active_low ? RTE_ACTIVE_LOW : 0) |
           (p->level ? RTE_LEVEL : 0) | (p->masked ? RTE_MASKED : 0) |
           (uint64_t)apicid_of_cpu(p->cpu) << RTE_DEST_SHIFT;
}

/* Writes what `p` says into the hardware, masked first if that fails.  Lock held. */
static int program_pin(struct ioapic *io, unsigned pin)
{
    struct ioapic_pin *p = &io->pin[pin];
    int ret;

    if (!iommu_intremap()) {
        if (apicid_of_cpu(p->cpu) > 0xfe)
            return -EINVAL;
        rte_write(io, pin, direct_rte(p));
        return 0;
    }
    rte_set_mask(io, pin, true);
    if (!p->ir.valid) {
        ret = ir_alloc_ioapic(io->info.id, &p->ir);
        if (ret)
            return ret;
    }
    ret = ir_set(&p->ir, p->vector, apicid_of_cpu(p->cpu), p->level, IR_FIXED);
    if (ret)
        return ret;
    rte_write(io, pin, ir_ioapic_rte(&p->ir, p->active_low, p->masked));
    return 0;
}

static void silence_pin(struct ioapic *io, unsigned pin)
{
    struct ioapic_pin *p = &io->pin[pin];

    rte_write(io, pin, RTE_MASKED);
    if (p->ir.valid)
        ir_free(&p->ir);
    p->ir.valid = false;
    p->routed = false;
    p->masked = true;
}

int ioapic_route(uint32_t gsi, unsigned cpu, uint8_t vector, bool level, bool active_low)
{
    unsigned pin;
    struct ioapic *io = lock_gsi(gsi, &pin);
    struct ioapic_pin *p;
    int ret;

    if (!io)
        return -ENOENT;
    p = &io->pin[pin];
    if (p->firmware) {
        spin_unlock(&io->lock);
        return -EBUSY;
    }
    p->cpu = cpu;
    p->vector = vector;
    p->level = level;
    p->active_low = active_low;
    p->masked = true;
    ret = program_pin(io, pin);
    if (ret)
        silence_pin(io, pin);
    else
        p->routed = true;
    spin_unlock(&io->lock);
    return ret;
}

void ioapic_release(uint32_t gsi)
{
    unsigned pin;
    struct ioapic *io = lock_gsi(gsi, &pin);

    if (!io)
        return;
    if (io->pin[pin].routed)
        silence_pin(io, pin);
    spin_unlock(&io->lock);
}

/* Lock held. */
static bool pin_agrees(const struct ioapic_pin *p)
{
    struct ir_state e;

    return ir_inspect(p->ir.unit, p->ir.index, &e) && (uint16_t)e.sbdf == p->ir.sid &&
           (!e.present ||
            (!e.post && e.vector == p->vector && e.dest == apicid_of_cpu(p->cpu)));
}

bool ioapic_of_entry(unsigned unit, unsigned index, uint32_t *gsi, uint16_t *sid, bool *agrees)
{
    bool found = false;

    for (unsigned i = 0; i < nr_ioapics && !found; i++) {
        struct ioapic *io = &ioapics[i];

        spin_lock(&io->lock);
        for (unsigned pin = 0; pin < io->info.nr_pins && !found; pin++) {
            const struct ioapic_pin *p = &io->pin[pin];

            found = p->ir.valid && p->ir.unit == unit && p->ir.index == index;
            if (!found)
                continue;
            *gsi = io->info.gsi_base + pin;
            *sid = p->ir.sid;
            *agrees = pin_agrees(p);
        }
        spin_unlock(&io->lock);
    }
    return found;
}

static void set_mask(uint32_t gsi, bool masked)
{
    unsigned pin;
    struct ioapic *io = lock_gsi(gsi, &pin);

    if (!io)
        return;
    if (io->pin[pin].routed && io->pin[pin].masked != masked) {
        io->pin[pin].masked = masked;
        rte_set_mask(io, pin, masked);
    }
    spin_unlock(&io->lock);
}

void ioapic_mask(uint32_t gsi)
{
    set_mask(gsi, true);
}

void ioapic_unmask(uint32_t gsi)
{
    set_mask(gsi, false);
}

void ioapic_mask_all(void)
{
    for (unsigned i = 0; i < nr_ioapics; i++) {
        struct ioapic *io = &ioapics[i];

        spin_lock(&io->lock);
        for (unsigned pin = 0; pin < io->info.nr_pins; pin++)
            if (!io->pin[pin].firmware)
                rte_set_mask(io, pin, true);
        spin_unlock(&io->lock);
    }
}

int ioapic_reroute_all(void)
{
    int first_error = 0;

    for (unsigned i = 0; i < nr_ioapics; i++) {
        struct ioapic *io = &ioapics[i];

        spin_lock(&io->lock);
        for (unsigned pin = 0; pin < io->info.nr_pins; pin++) {
            int ret;

            if (!io->pin[pin].routed)
                continue;
            ret = program_pin(io, pin);
            if (ret) {
                io->pin[pin].masked = true;
                rte_set_mask(io, pin, true);
                first_error = first_error ? first_error : ret;
            }
        }
        spin_unlock(&io->lock);
    }
    return first_error;
}

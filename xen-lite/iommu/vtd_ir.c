/* SPDX-License-Identifier: MIT */
/*
 * Interrupt remapping: the table of a unit, its entries, and the messages and redirection entries
 * that name them. Every entry is tied to one source id for as long as it is allocated (high word);
 * the low word, which says where the interrupt goes, changes in one 64-bit store, so that a unit
 * never sees half of a change.
 */
#include "iommu/internal.h"

#include "lib/assert.h"
#include "lib/atomic.h"
#include "lib/bitmap.h"
#include "lib/errno.h"
#include "lib/leave_out.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/phys.h"

/* ---- a unit's table; its lock is held ---- */

int vtd_irt_build(struct vtd_unit *u)
{
    u->irt = vtd_alloc_table(u, VTD_IRT_ORDER);
    if (!u->irt)
        return -ENOMEM;
    u->ir_size = VTD_IRT_SIZE;
    return 0;
}

int vtd_irte_alloc(struct vtd_unit *u, uint16_t sid)
{
    unsigned index = find_first_zero_bit(u->ir_map, u->ir_size);

    ASSERT(spin_is_locked(&u->lock));
    if (u->failed)
        return -EIO;
    if (index == u->ir_size)
        return -ENOSPC;
    set_bit(u->ir_map, index);
    u->ir_used++;
    WRITE_ONCE(u->irt[index * 2], 0);
    WRITE_ONCE(u->irt[index * 2 + 1], IRTE_HI_EXACT(sid));
    vtd_writeback(u, &u->irt[index * 2], 16);
    return (int)index;
}

int vtd_irte_write(struct vtd_unit *u, unsigned index, uint64_t low)
{
    ASSERT(spin_is_locked(&u->lock));
    ASSERT(index < u->ir_size && test_bit(u->ir_map, index));
    WRITE_ONCE(u->irt[index * 2], low);
    vtd_writeback(u, &u->irt[index * 2], 16);
    if (flush_due(FLUSH_INTERRUPT_CHANGE))
        vtd_inval_iec(u, index);
    return vtd_inval_wait(u);
}

void vtd_irte_free(struct vtd_unit *u, unsigned index)
{
    /* an entry that the unit may still have in its cache must not get another owner */
    if (vtd_irte_write(u, index, 0))
        return;
    WRITE_ONCE(u->irt[index * 2 + 1], 0);
    vtd_writeback(u, &u->irt[index * 2], 16);
    clear_bit(u->ir_map, index);
    u->ir_used--;
}

/* ---- what the rest of the hypervisor calls ---- */

static int alloc_for(unsigned unit, uint16_t sid, struct ir_entry *out)
{
    struct vtd_unit *u = &iommu.unit[unit];
    int index;

    spin_lock(&u->lock);
    index = vtd_irte_alloc(u, sid);
    spin_unlock(&u->lock);
    if (index < 0)
        return index;
    *out = (struct ir_entry){
        .unit = (uint8_t)unit,
        .index = (uint16_t)index,
        .sid = sid,
        .valid = true,
    };
    return 0;
}

int ir_alloc(uint32_t sbdf, struct ir_entry *out)
{
    struct vtd_unit *u;

    memset(out, 0, sizeof(*out));
    if (!iommu_intremap())
        return -EOPNOTSUPP;
    sbdf = iommu_msi_requester(sbdf);
    u = iommu_unit_of(sbdf);
    return u ? alloc_for(u->id, (uint16_t)sbdf, out) : -ENODEV;
}

static int alloc_special(enum dmar_scope_type type, uint8_t id, struct ir_entry *out)
{
    unsigned unit;
    uint16_t sid;

    memset(out, 0, sizeof(*out));
    if (!iommu_intremap())
        return -EOPNOTSUPP;
    if (dmar_special(&iommu.dmar, type, id, &unit, &sid))
        return -ENODEV;
    return alloc_for(unit, sid, out);
}

int ir_alloc_ioapic(uint8_t ioapic_id, struct ir_entry *out)
{
    return alloc_special(DMAR_SCOPE_IOAPIC, ioapic_id, out);
}

int ir_alloc_hpet(uint8_t hpet_id, struct ir_entry *out)
{
    return alloc_special(DMAR_SCOPE_HPET, hpet_id, out);
}

/* 9.10: SMI, NMI, INIT and ExtINT carry no vector. */
static bool has_vector(enum ir_delivery mode)
{
    return mode == IR_FIXED || mode == IR_LOWEST;
}

static int write_entry(struct ir_entry *e, uint64_t low)
{
    struct vtd_unit *u = &iommu.unit[e->unit];
    int err;

    spin_lock(&u->lock);
    err = vtd_irte_write(u, e->index, low);
    spin_unlock(&u->lock);
    if (err)
        iommu_check_units();
    return err;
}

int ir_set(struct ir_entry *e, uint8_t vector, uint32_t dest_apicid, bool level,
           enum ir_delivery mode)
{
    uint64_t low = IRTE_P;
    bool eim;
    int err;

    if (!e->valid || (has_vector(mode) && vector < 16))
        return -EINVAL;
    eim = iommu.unit[e->unit].eim;
    /* without EIM ids have 8 bits; 255 would be a broadcast */
    if (!eim && dest_apicid > 0xfe)
        return -EINVAL;
    low |= eim ? IRTE_DEST(dest_apicid) : IRTE_DEST_XAPIC(dest_apicid);
    low |= IRTE_DLM(mode) | IRTE_VECTOR(vector) | (level ? IRTE_TM_LEVEL : 0);
    err = write_entry(e, low);
    e->vector = vector;
    e->dest = dest_apicid;
    e->level = level;
    e->present = true;
    return err;
}

int ir_mask(struct ir_entry *e)
{
    if (!e->valid)
        return -EINVAL;
    e->present = false;
    return write_entry(e, IRTE_FPD);
}

void ir_free(struct ir_entry *e)
{
    struct vtd_unit *u = &iommu.unit[e->unit];
    bool failed;

    if (!e->valid)
        return;
    spin_lock(&u->lock);
    vtd_irte_free(u, e->index);
    failed = u->failed;
    spin_unlock(&u->lock);
    memset(e, 0, sizeof(*e));
    if (failed)
        iommu_check_units();
}

void ir_msi_message(const struct ir_entry *e, uint64_t *addr, uint32_t *data)
{
    /*
     * 5.1.5.2: handle 14:0 in bits 19:5, handle 15 in bit 2, format bit 4, no subhandle, so that
     * the data is 0: when the entry moves to another vector, nothing in the device has to follow.
     */
    *addr = 0xfee00000ULL | (uint64_t)(e->index & 0x7fff) << 5 | BIT(4) | (e->index >> 15) << 2;
    *data = 0;
}

uint64_t ir_ioapic_rte(const struct ir_entry *e, bool active_low, bool masked)
{
    /*
     * 5.1.5.1: handle 14:0 in bits 63:49, format bit 48, handle 15 in bit 11, delivery mode 0;
     * trigger mode and vector must be the entry's.
     */
    uint64_t rte = (uint64_t)(e->index & 0x7fff) << 49 | BIT(48);

    rte |= (uint64_t)(e->index >> 15) << 11 | e->vector;
    rte |= (active_low ? BIT(13) : 0) | (e->level ? BIT(15) : 0) | (masked ? BIT(16) : 0);
    return rte;
}

bool ir_inspect(unsigned unit, unsigned index, bool *present, uint32_t *sbdf, uint8_t *vector,
                uint32_t *dest)
{
    struct vtd_unit *u;
    uint64_t lo, hi;

    if (!iommu.ready || unit >= iommu.dmar.nr_units || index >= iommu.unit[unit].ir_size)
        return false;
    u = &iommu.unit[unit];
    spin_lock(&u->lock);
    lo = u->irt[index * 2];
    hi = u->irt[index * 2 + 1];
    spin_unlock(&u->lock);
    *present = lo & IRTE_P;
    *sbdf = IOMMU_SBDF(u->segment, hi);
    *vector = (uint8_t)(lo >> 16);
    *dest = u->eim ? (uint32_t)(lo >> 32) : (uint32_t)(lo >> 40) & 0xff;
    return true;
}

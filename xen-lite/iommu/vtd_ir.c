/* SPDX-License-Identifier: MIT */
/*
 * Interrupt remapping: the table of a unit, its entries, and the messages and redirection entries
 * that name them. Every entry is tied to one source id for as long as it is allocated (high word).
 * A change of where the interrupt goes is one store, of 64 bits where only the low word changes and
 * of 128 where a descriptor's address is in the high one as well, so that a unit never sees half of
 * it.
 */
#include "iommu/internal.h"
#include "iommu/post.h"

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

/*
 * A unit reads the 128 bits of an entry (9.10, 9.11) at once, so they are replaced at once. Every processor that comes with
 * a unit has CMPXCHG16B, and nobody but us writes the table, so the first attempt succeeds.
 */
static void store_entry(uint64_t *entry, uint64_t low, uint64_t high)
{
    uint64_t old_low = READ_ONCE(entry[0]), old_high = READ_ONCE(entry[1]);
    bool done = false;

    if (old_high == high) {
        WRITE_ONCE(entry[0], low);
        return;
    }
    while (!done)
        __asm__ __volatile__("lock cmpxchg16b %1"
                             : "=@ccz"(done), "+m"(*(uint64_t(*)[2])entry), "+a"(old_low),
                               "+d"(old_high)
                             : "b"(low), "c"(high)
                             : "memory");
}

int vtd_irte_write(struct vtd_unit *u, unsigned index, uint64_t low, uint64_t high)
{
    ASSERT(spin_is_locked(&u->lock));
    ASSERT(index < u->ir_size && test_bit(u->ir_map, index));
    store_entry(&u->irt[index * 2], low, high);
    vtd_writeback(u, &u->irt[index * 2], 16);
    if (flush_due(FLUSH_INTERRUPT_CHANGE))
        vtd_inval_iec(u, index);
    return vtd_inval_wait(u);
}

void vtd_irte_free(struct vtd_unit *u, unsigned index)
{
    /* an entry that the unit may still have in its cache must not get another owner */
    if (vtd_irte_write(u, index, 0, READ_ONCE(u->irt[index * 2 + 1])))
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

/*
 * Either format; post: the descriptor that `low` names, NULL for none. After an error the unit may write to the old as
 * well as to the new one: both keep their user for ever, and so are never anything else.
 */
static int write_entry(struct ir_entry *e, uint64_t low, struct ir_post *post)
{
    struct vtd_unit *u = &iommu.unit[e->unit];
    uint64_t high = IRTE_HI_EXACT(e->sid) | (post ? IRTE_PDA_HI(ir_post_address(post)) : 0);
    int err;

    ir_post_use(post, 1);
    spin_lock(&u->lock);
    err = vtd_irte_write(u, e->index, low, high);
    spin_unlock(&u->lock);
    if (err)
        iommu_check_units();
    else
        ir_post_use(e->post, -1);
    e->post = post;
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
    err = write_entry(e, low, NULL);
    e->vector = vector;
    e->dest = dest_apicid;
    e->level = level;
    e->present = true;
    return err;
}

bool ir_can_post(const struct ir_entry *e)
{
    return e->valid && iommu.unit[e->unit].use_post;
}

int ir_set_posted(struct ir_entry *e, struct ir_post *post, uint8_t vector)
{
    int err;

    if (!e->valid || vector < 16)
        return -EINVAL;
    if (!ir_can_post(e))
        return -EOPNOTSUPP;
    err = write_entry(
        e, IRTE_P | IRTE_IM | IRTE_VECTOR(vector) | IRTE_PDA_LO(ir_post_address(post)), post);
    e->vector = vector;
    e->dest = 0;
    e->level = false;
    e->present = true;
    return err;
}

int ir_mask(struct ir_entry *e)
{
    if (!e->valid)
        return -EINVAL;
    e->present = false;
    return write_entry(e, IRTE_FPD, NULL);
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
    if (!failed)
        ir_post_use(e->post, -1);
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

bool ir_inspect(unsigned unit, unsigned index, struct ir_state *out)
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
    *out = (struct ir_state){
        .present = lo & IRTE_P,
        .sbdf = IOMMU_SBDF(u->segment, hi),
        .vector = (uint8_t)(lo >> 16),
    };
    if ((lo & IRTE_P) && (lo & IRTE_IM))
        out->post = IRTE_PDA(lo, hi);
    else
        out->dest = u->eim ? (uint32_t)(lo >> 32) : (uint32_t)(lo >> 40) & 0xff;
    return true;
}

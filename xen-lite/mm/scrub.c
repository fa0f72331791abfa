/* SPDX-License-Identifier: MIT */
/*
 * Clearing free memory while a CPU has nothing else to do, so that giving it to a domain takes no time in proportion to its
 * size, and what a domain leaves behind does not lie around.
 *
 * Kept for units of 2 MiB: a unit is clean if all frames in it that are free hold zeroes, except for the link in the first
 * frame of a free block, which is cleared when the block leaves its list. Freeing makes a unit dirty. A unit becomes clean
 * here only, and only while it is free as a whole.
 */
#include "lib/bitmap.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/frame_priv.h"

#ifdef XL_HOST
static inline void scrub_relax(void)
{
}
#else
#include "cpu/x86.h"
static inline void scrub_relax(void)
{
    cpu_relax();
}
#endif

#define UNIT_ORDER  9u
#define UNIT_FRAMES (1UL << UNIT_ORDER)
/* Units looked at in one call: the search must not keep others from the lock. */
#define LOOK 64u
/*
 * Some tens of milliseconds. Who waits may hold a lock that an interrupt on the clearing CPU wants: then the wait must end,
 * and 2 MiB seem to be in use.
 */
#define MAX_SPINS (1u << 20)

/* A unit's bit shares its word with others', which may change without the lock. */
static void set_clean(uint64_t unit)
{
    (void)test_and_set_bit(fa.clean, (unsigned)unit);
}

/* Such a unit is as good as clean: what will be free of it was in use before, and freeing makes it dirty. */
static bool nothing_free(uint64_t unit)
{
    uint64_t end = MIN((unit + 1) << UNIT_ORDER, fa.nr);

    for (uint64_t mfn = unit << UNIT_ORDER; mfn < end; mfn++)
        if (fa.table[mfn].use == PAGE_FREE || fa.table[mfn].use == PAGE_FREE_HEAD)
            return false;
    return true;
}

void frames_start_scrubbing(void)
{
    uint64_t units = DIV_ROUND_UP(fa.nr, UNIT_FRAMES);
    unsigned order = 0;
    uint64_t mfn;

    while ((PAGE_SIZE << order) * 8 < units)
        order++;
    mfn = frame_alloc(order, OWNER_XEN, FRAME_ZERO);
    if (mfn == INVALID_MFN)
        return; /* then everything is cleared when it is needed */
    spin_lock(&fa.lock);
    fa.clean = mfn_to_virt(mfn);
    fa.nr_units = fa.to_look = units;
    for (uint64_t unit = 0; unit < units; unit++)
        if (nothing_free(unit))
            set_clean(unit);
    spin_unlock(&fa.lock);
}

void frames_mark_dirty(uint64_t mfn, uint64_t nr)
{
    if (!fa.clean)
        return;
    for (uint64_t unit = mfn >> UNIT_ORDER; unit <= (mfn + nr - 1) >> UNIT_ORDER; unit++)
        (void)test_and_clear_bit(fa.clean, (unsigned)unit);
    WRITE_ONCE(fa.to_look, fa.nr_units);
    fa.freed = true;
}

bool frames_are_clean(uint64_t mfn, uint64_t nr)
{
    if (!fa.clean)
        return false;
    for (uint64_t unit = mfn >> UNIT_ORDER; unit <= (mfn + nr - 1) >> UNIT_ORDER; unit++)
        if (!test_bit(fa.clean, (unsigned)unit))
            return false;
    return true;
}

/*
 * The bits of a unit of which frames are taken can only go from clean to dirty meanwhile, as it is not free as a whole: what
 * is found clean is clean.
 */
void frames_clear(uint64_t mfn, uint64_t nr)
{
    while (nr) {
        uint64_t n = MIN(nr, UNIT_FRAMES - (mfn & (UNIT_FRAMES - 1)));

        if (!frames_are_clean(mfn, n)) {
            memset(mfn_to_virt(mfn), 0, n << PAGE_SHIFT);
            if (fa.clean && n == UNIT_FRAMES)
                set_clean(mfn >> UNIT_ORDER);
        }
        mfn += n;
        nr -= n;
    }
}

bool frames_scrubbing(void)
{
    return READ_ONCE(fa.scrubbing) != 0;
}

void frames_hold_scrubbing(void)
{
    __atomic_add_fetch(&fa.hold, 1, __ATOMIC_SEQ_CST);
    for (unsigned spins = 0; frames_scrubbing() && spins < MAX_SPINS; spins++)
        scrub_relax();
}

void frames_allow_scrubbing(void)
{
    __atomic_sub_fetch(&fa.hold, 1, __ATOMIC_SEQ_CST);
}

static bool unit_is_dirty(uint64_t unit)
{
    return !test_bit(fa.clean, (unsigned)unit);
}

/*
 * A free block with a dirty unit at fa.next_unit, taken off its list; INVALID_MFN if none was met. It is taken as it is: to
 * split it would be to write links into memory that may never have been touched. Under the lock.
 */
static uint64_t take_dirty_block(void)
{
    for (unsigned i = 0; i < LOOK && fa.to_look; i++) {
        uint64_t mfn = fa.next_unit << UNIT_ORDER, head = INVALID_MFN;

        if (unit_is_dirty(fa.next_unit) && mfn < fa.nr)
            head = frame_find_block(mfn);
        if (head != INVALID_MFN && fa.table[head].order >= UNIT_ORDER) {
            frame_list_pull(head);
            return head;
        }
        fa.next_unit = fa.next_unit + 1 < fa.nr_units ? fa.next_unit + 1 : 0;
        fa.to_look--;
    }
    return INVALID_MFN;
}

/* Most memory that nobody has used yet is zeroes; writing it anyway would cost an emulator real memory. */
static void make_zero(uint64_t *p, size_t bytes)
{
    uint64_t *end = p + bytes / 8;

    for (; p < end; p += 8)
        if (p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7])
            memset(p, 0, 64);
}

static bool clear_unit(uint64_t unit, bool (*go_on)(void))
{
    uint64_t mfn = unit << UNIT_ORDER;

    for (uint64_t done = 0; done < UNIT_FRAMES; done += SCRUB_STEP_FRAMES) {
        if (!go_on() || READ_ONCE(fa.hold))
            return false;
        make_zero(mfn_to_virt(mfn + done), SCRUB_STEP_FRAMES << PAGE_SHIFT);
    }
    return true;
}

bool frames_scrub(bool (*go_on)(void))
{
    uint64_t head = INVALID_MFN, unit, end, nr;
    unsigned order = 0;

    if (!READ_ONCE(fa.to_look) || READ_ONCE(fa.hold))
        return false;
    spin_lock(&fa.lock);
    if (fa.clean && !READ_ONCE(fa.hold) && !fa.scrubbing)
        head = take_dirty_block();
    if (head != INVALID_MFN) {
        order = fa.table[head].order;
        fa.freed = false;
        fa.scrubbing = 1UL << order;
        fa.scrubbing_low = head < MFN_4G ? fa.scrubbing : 0;
    }
    unit = fa.next_unit;
    spin_unlock(&fa.lock);
    if (head == INVALID_MFN)
        return !frames_scrubbing() && READ_ONCE(fa.to_look) && go_on();
    end = (head + (1UL << order)) >> UNIT_ORDER;
    for (nr = 0; unit + nr < end; nr++) {
        if (unit_is_dirty(unit + nr) && !clear_unit(unit + nr, go_on))
            break;
        set_clean(unit + nr);
    }
    spin_lock(&fa.lock);
    fa.next_unit = unit + nr < fa.nr_units ? unit + nr : 0;
    fa.to_look = fa.freed ? fa.nr_units : fa.to_look - MIN(nr, fa.to_look);
    fa.scrubbing = fa.scrubbing_low = 0;
    frame_put_block(head, order);
    spin_unlock(&fa.lock);
    return true;
}

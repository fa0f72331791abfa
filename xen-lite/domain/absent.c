/* SPDX-License-Identifier: MIT */
/*
 * What a domain does not have, where an empty bus would cost more than an answer; and the one port that is for writing
 * only.
 */
#include "domain/domain.h"
#include "irq/time.h"

/*
 * The PIT is not there. Its counters read as 0, not as the ones of an empty bus: Linux 6.1 takes
 * ones for a counter that has just started and reads 50,000 times (1.5 s under an emulator) before
 * it gives the calibration up.
 */
static int pit_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                    uint64_t *val)
{
    (void)v;
    (void)r;
    (void)addr;
    (void)size;
    *val = 0;
    return TRAP_DONE;
}

static int pit_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                     uint64_t val)
{
    (void)v;
    (void)r;
    (void)addr;
    (void)size;
    (void)val;
    return TRAP_DROPPED;
}

static const struct trap_ops pit_ops = { pit_read, pit_write };

int domain_hide_pit(struct domain *d)
{
    return trap_register(&d->traps, TRAP_PIO, 0x40, 0x43, &pit_ops, NULL, "pit-absent");
}

static int debug_read(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                      uint64_t *val)
{
    (void)v;
    (void)r;
    (void)addr;
    (void)size;
    *val = ~0ULL;
    return TRAP_DONE;
}

static int debug_write(struct vcpu *v, struct trap_region *r, uint64_t addr, unsigned size,
                       uint64_t val)
{
    (void)r;
    (void)addr;
    (void)size;
    debugport_put(&v->domain->debugport, v->domain->domid, (uint8_t)val, now_ns());
    return TRAP_DONE;
}

static const struct trap_ops debug_ops = { debug_read, debug_write };

int domain_debugport_init(struct domain *d)
{
    spin_lock_init(&d->debugport.lock);
    return trap_register(&d->traps, TRAP_PIO, DEBUGPORT, DEBUGPORT, &debug_ops, NULL, "debug-port");
}

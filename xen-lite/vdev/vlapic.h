/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of a guest's vCPU, in xAPIC (register page) and x2APIC (MSR) mode, and the bus
 * that connects the local APICs of one domain with each other, with its IO-APICs and with devices'
 * messages.
 *
 * Locking: none.  Registers belong to whoever runs the vCPU (or holds it descheduled).  Any CPU may
 * set bits in irr and tmr (atomic) and reads ldr, dfr, svr and apic_base to match destinations; a
 * destination that changes at the same moment matches the old or the new value, as on a real bus.
 *
 * Where the CPU can, it keeps a part of the registers itself, in a page (vlapic_page.c): then what
 * is in service and the task priority are there, and irr holds what has not reached the page yet.
 */
#ifndef XL_VDEV_VLAPIC_H
#define XL_VDEV_VLAPIC_H

#include "iommu/post.h"
#include "irq/timer.h"
#include "lib/types.h"

struct domain;
struct trap_table;
struct vcpu;
struct vioapic;

#define VLAPIC_DEFAULT_BASE 0xfee00000ULL
#define VLAPIC_VERSION      0x00050014u /* version 0x14, six local vectors (SDM vol. 3, 11.4.8) */
#define VAPIC_MAX_VCPUS     128         /* ids are 2 * vCPU and stay below the 8-bit broadcast id */
#define VAPIC_MAX_IOAPICS   16

/* MSR_APIC_BASE (SDM vol. 3, 11.4.4 and 11.12.1). */
#define APIC_BASE_BSP  BIT(8)
#define APIC_BASE_EXTD BIT(10)
#define APIC_BASE_EN   BIT(11)

#define VLAPIC_MSR_APIC_BASE  0x1b
#define VLAPIC_MSR_X2APIC     0x800 /* first */
#define VLAPIC_MSR_X2APIC_END 0x8ff /* last of the range that the architecture reserves */

enum vlapic_lvt {
    VLAPIC_LVT_TIMER,
    VLAPIC_LVT_THERMAL,
    VLAPIC_LVT_PMC,
    VLAPIC_LVT_LINT0,
    VLAPIC_LVT_LINT1,
    VLAPIC_LVT_ERROR,
    VLAPIC_NR_LVT,
};

struct vlapic_stats {
    uint64_t accepted;  /* atomic; bits set in irr that were clear */
    uint64_t posted;    /* atomic; bits that CPUs set in the descriptor; accepted as well when we take them from there */
    uint64_t coalesced; /* atomic; already set */
    uint64_t acked;     /* taken by the vCPU */
    uint64_t eois;
    uint64_t ipis_sent;
    uint64_t timer_fired;
    uint64_t mmio_reads, mmio_writes; /* traps on the register page */
    uint64_t msr_reads, msr_writes;
};

struct vapic_bus;

struct vlapic {
    struct vcpu *vcpu;
    struct vapic_bus *bus;
    uint32_t index; /* vCPU number */
    struct ir_post *post; /* the vCPU's descriptor for posted interrupts; NULL: nobody posts; see sched/post.h */
    bool page_posts;      /* while there is a page, the CPU takes from there to the page */

    /*
     * Non-zero: irr may hold something to deliver.  Set after irr by whoever raises an interrupt,
     * cleared by vlapic_next_irq() before it looks.  While it is 0 an entry to the guest needs to
     * look at nothing else.
     */
    uint32_t pending;
    bool blocked;    /* irr holds something that only the priorities keep back: look again when they
                        drop */
    uint32_t irr[8]; /* atomic */
    uint32_t tmr[8]; /* atomic; set: the vector's last interrupt was level triggered */
    uint32_t isr[8];
    uint8_t isr_top; /* highest vector in isr, 0 for none */
    uint8_t tpr;     /* while there is a page: as it was at the last exit */
    uint32_t *page;  /* the CPU keeps isr, tpr and what was requested here; NULL: nobody but us does.
                        Changed by whoever the registers belong to */

    uint64_t apic_base;
    uint32_t ldr, dfr, svr; /* ldr as in the register of the current mode */
    uint32_t esr;           /* what a read returns: latched by the last write */
    uint32_t esr_pending;   /* atomic; errors since then */
    uint64_t icr;
    uint32_t lvt[VLAPIC_NR_LVT];

    uint32_t timer_divide; /* divide configuration register */
    uint32_t timer_initial;
    bool timer_running;
    uint64_t timer_start; /* ns at which the running count was timer_initial */
    struct timer timer;

    struct vlapic_stats stats;
};

/* One domain's; embedded in struct domain. */
struct vapic_bus {
    struct domain *dom;
    struct vlapic *vlapic[VAPIC_MAX_VCPUS]; /* by vCPU number, NULL where there is none; never
                                               removed while in use */
    uint32_t nr_vlapics;                    /* one past the highest */
    uint32_t lowest_next;                   /* where the next lowest-priority arbitration starts */
    struct vioapic *vioapic[VAPIC_MAX_IOAPICS];
    uint32_t nr_vioapics;
    uint64_t msi_delivered, msi_unclaimed;
};

/* ---- what the vCPU and domain layers provide ---- */

struct vapic_bus *domain_vapic(struct domain *dom);
struct vlapic *vcpu_vlapic(struct vcpu *v);
/* The physical CPU whose queue the vCPU is on. */
unsigned vcpu_cpu(const struct vcpu *v);
void vcpu_init_signal(struct vcpu *v);
/* Start-up message: begins at vector * 4096 in real mode if it waits for one, else nothing. */
void vcpu_sipi(struct vcpu *v, uint8_t vector);
void vcpu_nmi(struct vcpu *v);
/* Software has just enabled the APIC: interrupts that were refused before may be raised again. */
void vcpu_lapic_enabled(struct vcpu *v);
/*
 * Something became pending: makes it runnable if it is blocked, and takes it out of guest mode on
 * another CPU.  Called after a full barrier that follows the store to `pending`; the vCPU's loop
 * does the reverse: says that it is about to enter the guest, then (full barrier) looks at
 * `pending`.
 */
void vcpu_kick(struct vcpu *v);
/* The same, and if the vCPU is in guest mode its CPU takes what was posted, if it can without an exit. */
void vcpu_tell_posted(struct vcpu *v);
/* What the descriptor has goes to vlapic_accept_posted(). Nobody is kicked: for whoever the vCPU's registers belong to. */
void vcpu_take_posted(struct vcpu *v);

/* ---- life cycle ---- */

void vapic_bus_init(struct vapic_bus *bus, struct domain *dom);
/*
 * Puts vCPU number `index` on the bus with id 2 * index, enabled in xAPIC mode, reset state.  0,
 * -EINVAL (index out of range), -EEXIST.
 */
int vlapic_init(struct vlapic *l, struct vapic_bus *bus, struct vcpu *v, uint32_t index);
/* Takes it off the bus and stops its timer.  The domain's devices and other vCPUs must be silent
 * already. */
void vlapic_destroy(struct vlapic *l);
/*
 * State after INIT (SDM vol. 3, 11.4.7.3): registers as after power-up, id and APIC_BASE kept,
 * timer stopped.  Called by the vCPU layer when it resets the vCPU.
 */
void vlapic_reset_init(struct vlapic *l);
/* State after power-up or RESET: the same, and xAPIC mode, enabled. */
void vlapic_reset(struct vlapic *l);
/*
 * The vCPU moved to another physical CPU: its timer follows.  The timer's function may then only
 * run while the vCPU's own code does not, so the two need no lock.
 */
void vlapic_migrate(struct vlapic *l, unsigned cpu);

/* ---- the vCPU's run loop ---- */

int vlapic_next_irq_slow(struct vlapic *l);

/*
 * The vector to inject now, -1 if there is none or the task and processor priorities hold it back.
 * Does not change the interrupt's state: call vlapic_ack_irq() when the vCPU takes it.  A few
 * instructions while nothing is pending.
 */
static inline int vlapic_next_irq(struct vlapic *l)
{
    if (likely(!READ_ONCE(l->pending) && !l->page))
        return -1;
    return vlapic_next_irq_slow(l);
}

/* The vCPU takes `vec`, which vlapic_next_irq() returned: from requested to in service. */
void vlapic_ack_irq(struct vlapic *l, uint8_t vec);

/* Anything that would wake the vCPU from HLT, given its interrupt flag is set?  Only whoever runs
 * the vCPU asks. */
static inline bool vlapic_has_irq(struct vlapic *l)
{
    return vlapic_next_irq(l) >= 0;
}

/*
 * The highest vector requested, whatever the priorities say, -1 for none: for backends that need
 * the priority to open an interrupt window or set a TPR threshold.
 */
int vlapic_highest_irr(const struct vlapic *l);

/* CR8 is the task priority's upper half (SDM vol. 3, 10.8.6). */
void vlapic_set_tpr(struct vlapic *l, uint8_t tpr);
static inline uint8_t vlapic_get_cr8(const struct vlapic *l)
{
    return (uint8_t)(l->tpr >> 4);
}
static inline void vlapic_set_cr8(struct vlapic *l, uint8_t cr8)
{
    if (unlikely((l->tpr >> 4) != (cr8 & 15)))
        vlapic_set_tpr(l, (uint8_t)(cr8 << 4));
}

/* Ends the highest interrupt in service; a level-triggered one is told to the IO-APICs. */
void vlapic_eoi(struct vlapic *l);

/* ---- registers in a page that the CPU keeps (vlapic_page.c); whoever runs the vCPU ---- */

/* In this mode it could: x2APIC, enabled by software. */
bool vlapic_page_possible(const struct vlapic *l);
/*
 * From now on the registers are in `page`, 4 KiB that are this vCPU's until vlapic_from_page(). posts: in guest mode the CPU
 * takes posted requests. Sets `pending`.
 */
void vlapic_to_page(struct vlapic *l, uint32_t *page, bool posts);
/* They come back, and `pending` is set; nothing if they are here. Also for whoever holds the vCPU descheduled. */
void vlapic_from_page(struct vlapic *l);
/* Puts what was requested into the page and clears `pending`; the highest vector requested, 0 for none. */
uint8_t vlapic_page_requests(struct vlapic *l);
/* The highest vector in service, 0 for none. */
uint8_t vlapic_page_in_service(const struct vlapic *l);
/* The CPU has ended `vec`, which may have been level triggered: then the IO-APICs are told. */
void vlapic_page_eoi(struct vlapic *l, uint8_t vec);
/* The guest has written to the register at `offset` of the page, which did not take effect. -1: none that can be. */
int vlapic_page_written(struct vlapic *l, uint32_t offset);
/* Vectors whose last interrupt was level triggered: the EOI concerns others. i: 0..3, 64 vectors each. */
static inline uint64_t vlapic_level_vectors(const struct vlapic *l, unsigned i)
{
    return READ_ONCE(l->tmr[2 * i]) | (uint64_t)READ_ONCE(l->tmr[2 * i + 1]) << 32;
}

/* ---- raising interrupts, from any CPU ---- */

/*
 * Requests `vec` (16..255; below is counted as an error in the register).  1 if accepted newly, 0
 * if it was requested already, -1 if the APIC is disabled (by MSR or software) and nothing
 * happened.
 */
int vlapic_set_irq(struct vlapic *l, uint8_t vec, bool level);
/*
 * Posted requests, a bit a vector, that have been taken from the descriptor. Sets `pending`, kicks nobody. False: none was
 * accepted newly.
 */
bool vlapic_accept_posted(struct vlapic *l, const uint64_t vectors[4]);
/* A local source fires: what happens is as its entry of the local vector table says. */
void vlapic_local_signal(struct vlapic *l, enum vlapic_lvt which);

/* ---- registers ---- */

/* MSR 0x1b and 0x800..0x8ff.  0, or non-zero: the guest gets #GP(0) and nothing has changed. */
int vlapic_msr_read(struct vlapic *l, uint32_t msr, uint64_t *val);
int vlapic_msr_write(struct vlapic *l, uint32_t msr, uint64_t val);

/*
 * The register page; offset 0..0xfff.  Accesses that the APIC does not define (other widths than 4,
 * unaligned, unknown registers, or any while in x2APIC mode or disabled) read as the hardware's
 * leftovers do and write nothing.  Always 0.
 */
int vlapic_mmio_read(struct vlapic *l, uint32_t offset, unsigned size, uint64_t *val);
int vlapic_mmio_write(struct vlapic *l, uint32_t offset, unsigned size, uint64_t val);
/* Makes the page at VLAPIC_DEFAULT_BASE trap, once a domain.  0 or what trap_register() returns. */
int vlapic_register_page(struct trap_table *traps);

/*
 * The toolstack's records (vlapic_save.c). For a vCPU that does not run. The checks return 0, or -EINVAL for what no APIC of
 * this index can be; loading wants what was checked, the mode before the registers.
 */
struct hvm_hw_lapic;
struct hvm_hw_lapic_regs;
void vlapic_save(const struct vlapic *l, struct hvm_hw_lapic *hw);
void vlapic_save_regs(const struct vlapic *l, struct hvm_hw_lapic_regs *regs);
int vlapic_check(const struct vlapic *l, const struct hvm_hw_lapic *hw);
int vlapic_check_regs(const struct hvm_hw_lapic_regs *regs);
void vlapic_load(struct vlapic *l, const struct hvm_hw_lapic *hw);
void vlapic_load_regs(struct vlapic *l, const struct hvm_hw_lapic_regs *regs);

/* The APIC id, without the shift that the xAPIC register has. */
static inline uint32_t vlapic_id(const struct vlapic *l)
{
    return 2 * l->index;
}

static inline bool vlapic_is_x2apic(const struct vlapic *l)
{
    return READ_ONCE(l->apic_base) & APIC_BASE_EXTD;
}

static inline bool vlapic_hw_enabled(const struct vlapic *l)
{
    return READ_ONCE(l->apic_base) & APIC_BASE_EN;
}

/* Enabled by MSR and by the spurious-vector register. */
static inline bool vlapic_sw_enabled(const struct vlapic *l)
{
    return vlapic_hw_enabled(l) && (READ_ONCE(l->svr) & BIT(8));
}

/* ---- messages on the bus (any CPU) ---- */

/* Delivery modes (SDM vol. 3, 11.6.1). */
enum vapic_delivery {
    VAPIC_FIXED = 0,
    VAPIC_LOWEST = 1,
    VAPIC_SMI = 2,
    VAPIC_NMI = 4,
    VAPIC_INIT = 5,
    VAPIC_STARTUP = 6,
    VAPIC_EXTINT = 7,
};

struct vapic_message {
    uint32_t dest;
    bool logical;
    bool wide;  /* dest is 32 bits (an x2APIC's IPI); else the 8 bits of xAPIC, IO-APIC and MSI */
    bool level; /* trigger mode */
    uint8_t delivery; /* enum vapic_delivery */
    uint8_t vector;
};

/* Does this message name this APIC? */
bool vlapic_matches(const struct vlapic *l, const struct vapic_message *m);
/* Delivers it to all whom it names, or to one of them; how many accepted it. */
unsigned vapic_deliver(struct vapic_bus *bus, const struct vapic_message *m);
/* The message that an address and data word of a device or IO-APIC mean (SDM vol. 3, 11.11). */
void vapic_decode_msi(uint64_t addr, uint32_t data, struct vapic_message *m);
/* vapic_deliver_msi() and vapic_msi_cpu() are declared in irq/girq.h. */

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Interrupt remapping entries and fault handling against the software unit: who may use which
 * entry, what a message looks like, what faults are counted, logged and answered with a quarantine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "lib/printf.h"
#include "mm/phys.h"
#include "sim.h"
#include "vtd_rig.h"

static struct rig_domain dom0;

static enum model_result send(const struct ir_entry *e, uint16_t sid, struct model_irq *irq,
                              unsigned *reason)
{
    uint64_t addr;
    uint32_t data;

    ir_msi_message(e, &addr, &data);
    return model_msi(rig_unit_of(sid), sid, addr, data, irq, reason);
}

static void assert_delivers(const struct ir_entry *e, uint16_t sid, uint8_t vector, uint32_t dest)
{
    struct model_irq irq;
    unsigned reason;

    assert_int_equal(send(e, sid, &irq, &reason), MODEL_OK);
    assert_int_equal(irq.vector, vector);
    assert_int_equal(irq.dest, dest);
    assert_int_equal(irq.mode, 0);
    assert_false(irq.level);
}

static void assert_blocked(const struct ir_entry *e, uint16_t sid, unsigned reason)
{
    struct model_irq irq;
    unsigned got;

    assert_int_equal(send(e, sid, &irq, &got), reason ? MODEL_FAULT : MODEL_DROPPED);
    assert_int_equal(got, reason);
}

/* ---- interrupt remapping ---- */

static void test_entry(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 3; v++) {
        struct vtd_model m = rig_qemu(39);
        struct ir_entry e, other;

        m.coherent = v == 1;
        m.caching_mode = v == 2;
        rig_up(&m, 1);
        assert_int_equal(ir_alloc(DEV_A, &e), 0);
        assert_int_equal(ir_alloc(DEV_B, &other), 0);
        assert_int_not_equal(e.index, other.index);
        assert_blocked(&e, DEV_A, 0x22);
        assert_int_equal(ir_set(&e, 0x41, 3, false, IR_FIXED), 0);
        assert_delivers(&e, DEV_A, 0x41, 3);
        /* nobody else may use it: that is all the isolation there is */
        assert_blocked(&e, DEV_B, 0x26);
        assert_blocked(&e, DEV_A + 1, 0x26);
        assert_blocked(&e, SID_IOAPIC, 0x26);
        /* a change is in force at once */
        assert_int_equal(ir_set(&e, 0x52, 0xfe, false, IR_FIXED), 0);
        assert_delivers(&e, DEV_A, 0x52, 0xfe);
        assert_int_equal(ir_mask(&e), 0);
        assert_blocked(&e, DEV_A, 0);
        assert_int_equal(ir_set(&e, 0x53, 1, false, IR_FIXED), 0);
        assert_delivers(&e, DEV_A, 0x53, 1);
        ir_free(&e);
        assert_false(e.valid);
        e.index = 0;
        assert_blocked(&e, DEV_A, 0x22);
        /* its place goes to another device, and only to that */
        assert_int_equal(ir_alloc(DEV_B, &e), 0);
        assert_int_equal(e.index, 0);
        assert_int_equal(ir_set(&e, 0x60, 1, false, IR_FIXED), 0);
        assert_delivers(&e, DEV_B, 0x60, 1);
        assert_blocked(&e, DEV_A, 0x26);
        rig_check();
    }
}

static void test_refusals(void **state)
{
    struct vtd_model m = rig_qemu(39), without = rig_qemu(39);
    struct ir_entry e, none = { 0 };

    (void)state;
    rig_up(&m, 1);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    assert_int_equal(ir_set(&e, 15, 0, false, IR_FIXED), -EINVAL);
    assert_int_equal(ir_set(&e, 0x40, 0xff, false, IR_FIXED), -EINVAL);
    assert_int_equal(ir_set(&e, 0x40, 0x100, false, IR_FIXED), -EINVAL);
    assert_blocked(&e, DEV_A, 0x22);
    assert_int_equal(ir_set(&e, 0, 0, false, IR_NMI), 0);
    assert_int_equal(ir_set(&none, 0x40, 0, false, IR_FIXED), -EINVAL);
    assert_int_equal(ir_mask(&none), -EINVAL);
    ir_free(&none);
    assert_int_equal(ir_alloc(IOMMU_SBDF(3, DEV_A), &e), -ENODEV);
    assert_int_equal(ir_alloc_ioapic(9, &e), -ENODEV);
    assert_int_equal(ir_alloc_hpet(9, &e), -ENODEV);
    without.intremap = false;
    rig_up(&without, 1);
    assert_int_equal(ir_alloc(DEV_A, &e), -EOPNOTSUPP);
    assert_int_equal(ir_alloc_ioapic(2, &e), -EOPNOTSUPP);
    rig_check();
}

static void test_compatibility(void **state)
{
    struct vtd_model m = rig_qemu(39);
    struct model_irq irq;
    unsigned reason;

    (void)state;
    m.gsts = 1u << 23; /* firmware had let the old format through */
    rig_up(&m, 1);
    assert_int_equal(rig_model[0].gsts >> 23 & 1, 0);
    assert_int_equal(model_msi(&rig_model[0], DEV_A, 0xfee01000, 0x41, &irq, &reason), MODEL_FAULT);
    assert_int_equal(reason, 0x25);
    assert_int_equal(model_ioapic(&rig_model[0], SID_IOAPIC, 0x41, &irq, &reason), MODEL_FAULT);
}

static void test_ioapic(void **state)
{
    struct vtd_model m[2] = { rig_qemu(39), rig_qemu(39) };
    struct ir_entry e, h, many;
    struct model_irq irq;
    unsigned reason;

    (void)state;
    rig_up(m, 2);
    assert_int_equal(ir_alloc_ioapic(2, &e), 0);
    assert_int_equal(e.sid, SID_IOAPIC);
    assert_int_equal(ir_set(&e, 0x31, 2, true, IR_FIXED), 0);
    assert_int_equal(
        model_ioapic(&rig_model[0], SID_IOAPIC, ir_ioapic_rte(&e, true, false), &irq, &reason),
        MODEL_OK);
    assert_int_equal(irq.vector, 0x31);
    assert_int_equal(irq.dest, 2);
    assert_true(irq.level);
    assert_int_equal(ir_ioapic_rte(&e, true, false) >> 13 & 1, 1);
    assert_int_equal(ir_ioapic_rte(&e, false, false) >> 13 & 1, 0);
    assert_int_equal(
        model_ioapic(&rig_model[0], SID_IOAPIC, ir_ioapic_rte(&e, true, true), &irq, &reason),
        MODEL_DROPPED);
    assert_int_equal(
        model_ioapic(&rig_model[0], DEV_A, ir_ioapic_rte(&e, true, false), &irq, &reason),
        MODEL_FAULT);
    assert_int_equal(ir_alloc_hpet(0, &h), 0);
    assert_int_equal(h.sid, SID_HPET);
    rig_check();

    /* each unit has entries of its own, up to the last */
    for (unsigned n = 0; n < 4096; n++) {
        assert_int_equal(ir_alloc(DEV_C, &many), 0);
        assert_int_equal(many.index, n);
    }
    assert_int_equal(ir_alloc(DEV_C, &e), -ENOSPC);
    assert_false(e.valid);
    assert_int_equal(ir_set(&many, 0x77, 1, false, IR_FIXED), 0);
    assert_delivers(&many, DEV_C, 0x77, 1);
    /* handles beyond 15 bits: the message alone */
    many.index = 0x9234;
    uint64_t addr, rte = ir_ioapic_rte(&many, false, false);
    uint32_t data;

    ir_msi_message(&many, &addr, &data);
    assert_int_equal((addr >> 5 & 0x7fff) | (addr >> 2 & 1) << 15, 0x9234);
    assert_int_equal((rte >> 49) | (rte >> 11 & 1) << 15, 0x9234);
}

static void test_extended(void **state)
{
    struct vtd_model m = rig_qemu(39);
    const struct iommu_options opt = { .x2apic = true };
    struct ir_entry e;

    (void)state;
    m.eim = true;
    assert_int_equal(rig_start(&m, 1, &opt), 0);
    assert_true(iommu_extended_dest());
    assert_int_equal(iommu_enable(), 0);
    assert_true(rig_model[0].irt_eim);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    assert_int_equal(ir_set(&e, 0x41, 0x12345, false, IR_FIXED), 0);
    assert_delivers(&e, DEV_A, 0x41, 0x12345);
    assert_int_equal(iommu_enable_fault_irq(0x50, 0x12345), 0);
    assert_int_equal(rig_model[0].feuaddr, 0x12300);
    assert_int_equal(rig_model[0].feaddr, 0xfee45000);
    /* the unit can, the processors do not */
    rig_up(&m, 1);
    assert_false(iommu_extended_dest());
    assert_false(rig_model[0].irt_eim);
}

static void test_inspect(void **state)
{
    struct vtd_model m = rig_qemu(39);
    struct ir_entry e;
    struct ir_state s;

    (void)state;
    rig_up(&m, 1);
    assert_int_equal(ir_alloc(DEV_B, &e), 0);
    assert_true(ir_inspect(0, e.index, &s));
    assert_false(s.present);
    assert_int_equal(ir_set(&e, 0x41, 3, false, IR_FIXED), 0);
    assert_true(ir_inspect(0, e.index, &s));
    assert_true(s.present);
    assert_int_equal(s.sbdf, DEV_B);
    assert_int_equal(s.vector, 0x41);
    assert_int_equal(s.dest, 3);
    assert_int_equal(s.post, 0);
    assert_false(ir_inspect(0, 4096, &s));
    assert_false(ir_inspect(1, 0, &s));
}

static void test_ir_failures(void **state)
{
    struct vtd_model m = rig_qemu(39);
    struct ir_entry e;

    (void)state;
    /* the flush matters: a unit that does not do it goes on using the old entry */
    m.deaf = 1u << MI_IEC_INDEX;
    rig_up(&m, 1);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    assert_int_equal(ir_set(&e, 0x41, 3, false, IR_FIXED), 0);
    assert_delivers(&e, DEV_A, 0x41, 3);
    assert_int_equal(ir_set(&e, 0x42, 3, false, IR_FIXED), 0);
    assert_delivers(&e, DEV_A, 0x41, 3);
    /* an entry that a dead unit may still use is not given out again */
    m.deaf = 0;
    rig_up(&m, 1);
    assert_int_equal(ir_alloc(DEV_A, &e), 0);
    assert_int_equal(ir_set(&e, 0x41, 3, false, IR_FIXED), 0);
    rig_model[0].stuck_queue = true;
    ir_free(&e);
    assert_int_equal(ir_alloc(DEV_B, &e), -EIO);
}

/* ---- faults ---- */

static void faulty(const struct vtd_model *m, unsigned limit)
{
    const struct iommu_options opt = { .fault_limit = limit };

    assert_int_equal(rig_start(m, 1, &opt), 0);
    assert_int_equal(iommu_enable(), 0);
    assert_int_equal(iommu_enable_fault_irq(0x50, 1), 0);
    rig_domain_init(&dom0, 7);
    rig_pte(&dom0, 5, 50, 0, 1);
    assert_int_equal(iommu_attach(&dom0.io, DEV_A), 0);
}

static void test_fault_record(void **state)
{
    struct vtd_model m = rig_qemu(39);
    struct iommu_dev_info dev;
    struct iommu_fault f;
    struct model_irq irq;
    unsigned reason;

    (void)state;
    faulty(&m, 100);
    assert_int_equal(rig_model[0].fedata, 0x50);
    assert_int_equal(rig_model[0].feaddr, 0xfee01000);
    assert_false(iommu_fault_history(0, &f));
    rig_refused(DEV_A, 5, true, 5);
    assert_int_equal(rig_model[0].fault_events, 1);
    sim_now_ns = 77;
    iommu_fault_irq();
    assert_int_equal(rig_hook_faults, 1);
    assert_true(iommu_fault_history(0, &f));
    assert_int_equal(f.sbdf, DEV_A);
    assert_int_equal(f.domid, 7);
    assert_int_equal(f.addr, 5 << PAGE_SHIFT);
    assert_int_equal(f.reason, 5);
    assert_true(f.write && !f.interrupt && !f.reserved);
    assert_int_equal(f.mapped, P2M_RAM_RO);
    assert_int_equal(f.time_ns, 77);
    assert_string_equal(iommu_fault_reason(f.reason), "no write permission");
    assert_string_equal(iommu_fault_reason(0xee), "unknown reason");
    assert_string_equal(iommu_fault_reason(0), "unknown reason");
    /* the unit can report again */
    rig_refused(DEV_A, 9, false, 6);
    assert_int_equal(rig_model[0].fault_events, 2);
    iommu_fault_irq();
    assert_true(iommu_fault_history(0, &f));
    assert_false(f.write);
    assert_int_equal(f.mapped, P2M_NONE);
    assert_true(iommu_device_info(0, &dev));
    assert_int_equal(dev.sbdf, DEV_A);
    assert_int_equal(dev.faults, 2);
    assert_int_equal(dev.first.addr, 5 << PAGE_SHIFT);
    assert_int_equal(dev.last.addr, 9 << PAGE_SHIFT);
    /* in memory that firmware wanted for it */
    rig_refused(DEV_A, 0x7b0ff, false, 6);
    iommu_fault_irq();
    assert_true(iommu_fault_history(0, &f));
    assert_true(f.reserved);
    /* a device nobody gave to anybody */
    rig_refused(DEV_B, 1, false, 1);
    iommu_fault_irq();
    assert_true(iommu_fault_history(0, &f));
    assert_int_equal(f.sbdf, DEV_B);
    assert_int_equal(f.domid, IOMMU_DOMID_NONE);
    assert_true(iommu_device_info(1, &dev));
    assert_int_equal(dev.state, IOMMU_DEV_BLOCKED);
    assert_false(iommu_device_info(2, &dev));
    /* an interrupt through an entry that is not there */
    assert_int_equal(model_msi(&rig_model[0], DEV_A, 0xfee00010 | 0x123 << 5, 0, &irq, &reason),
                     MODEL_FAULT);
    iommu_fault_irq();
    assert_true(iommu_fault_history(0, &f));
    assert_true(f.interrupt);
    assert_int_equal(f.addr, 0x123);
    assert_int_equal(f.reason, 0x22);
    rig_check();
}

static void test_many_records(void **state)
{
    struct iommu_unit_info info;
    struct iommu_dev_info dev;
    struct iommu_fault f;

    (void)state;
    for (unsigned nfr = 1; nfr <= 31; nfr += 10) {
        struct vtd_model m = rig_qemu(39);

        m.nfr = nfr;
        faulty(&m, 100000);
        /* more than there are records: some are lost, and that is known */
        for (unsigned i = 0; i < nfr + 3; i++)
            rig_refused(DEV_A, 100 + i, true, 5);
        assert_int_equal(rig_model[0].fault_events, 1);
        iommu_fault_irq();
        assert_true(iommu_unit_info(0, &info));
        assert_int_equal(info.faults, nfr);
        assert_int_equal(info.faults_lost, 1);
        assert_int_equal(rig_model[0].fsts, rig_model[0].fsts & 0xff00);
        /* the ring starts anywhere */
        for (unsigned i = 0; i < 50; i++) {
            for (unsigned k = 0; k < i % (nfr + 1); k++)
                rig_refused(DEV_A, 200 + i + k, true, 5);
            iommu_fault_irq();
            if (i % (nfr + 1)) {
                assert_true(iommu_fault_history(0, &f));
                assert_int_equal(f.addr >> PAGE_SHIFT, 200 + i + i % (nfr + 1) - 1);
            }
        }
        assert_true(iommu_device_info(0, &dev));
        assert_true(dev.faults > 20);
        assert_int_equal(rig_hook_faults, dev.faults);
        rig_check();
    }
}

/*
 * A record that arrives while the others are taken out: the unit gives no further interrupt for it.
 */
static struct vtd_model *late_model;
static unsigned late;

static void late_fault(const struct iommu_fault *f)
{
    uint64_t pa;
    unsigned reason;

    (void)f;
    if (late) {
        late--;
        model_dma(late_model, DEV_A, 0x900000 + late * 0x1000, true, &pa, &reason);
    }
}

static void test_late_records(void **state)
{
    static const struct iommu_hooks hooks = { .fault = late_fault };
    struct vtd_model m = rig_qemu(39);
    struct iommu_dev_info dev;

    (void)state;
    m.nfr = 4;
    faulty(&m, 100000);
    iommu_set_hooks(&hooks);
    late_model = &rig_model[0];
    late = 30;
    rig_refused(DEV_A, 100, true, 5);
    rig_refused(DEV_A, 101, true, 5);
    iommu_fault_irq();
    assert_int_equal(rig_model[0].fsts & 2, 0);
    assert_true(iommu_device_info(0, &dev));
    assert_int_equal(dev.faults, 32);
}

static void test_quarantine(void **state)
{
    struct vtd_model m = rig_qemu(39);
    struct iommu_dev_info dev;

    (void)state;
    faulty(&m, 20);
    rig_reaches(DEV_A, 5, false, 50);
    for (unsigned i = 0; i < 20; i++) {
        rig_refused(DEV_A, 100, true, 5);
        iommu_fault_irq();
    }
    assert_int_equal(rig_hook_quarantines, 0);
    /* slow faults never add up */
    sim_now_ns += 11000000000ULL;
    for (unsigned i = 0; i < 20; i++) {
        rig_refused(DEV_A, 100, true, 5);
        iommu_fault_irq();
    }
    assert_int_equal(rig_hook_quarantines, 0);
    rig_reaches(DEV_A, 5, false, 50);
    rig_refused(DEV_A, 100, true, 5);
    iommu_fault_irq();
    assert_int_equal(rig_hook_quarantines, 1);
    assert_int_equal(rig_quarantined, DEV_A);
    assert_string_equal(rig_why, "more than 20 faults in 10000 ms");
    assert_true(iommu_device_info(0, &dev));
    assert_int_equal(dev.state, IOMMU_DEV_QUARANTINED);
    assert_int_equal(dev.domid, 7);
    assert_string_equal(dev.why, rig_why);
    /* off, cached translations included, and silent */
    unsigned events = rig_model[0].fault_events;

    rig_refused(DEV_A, 5, false, 2);
    rig_refused(DEV_A, 100, true, 2);
    assert_int_equal(rig_model[0].fault_events, events);
    assert_int_equal(iommu_attach(&dom0.io, DEV_A), -EPERM);
    /* and back */
    assert_int_equal(iommu_release(DEV_A), 0);
    assert_int_equal(iommu_release(DEV_A), -ENODEV);
    rig_reaches(DEV_A, 5, false, 50);
    rig_refused(DEV_A, 5, true, 5);
    assert_int_equal(rig_model[0].fault_events, events + 1);
    iommu_fault_irq();
    assert_int_equal(rig_hook_quarantines, 1);

    rig_check();
}

static void test_quarantine_by_hand(void **state)
{
    struct vtd_model m = rig_qemu(39);
    struct iommu_dev_info dev;

    (void)state;
    faulty(&m, 20);
    rig_reaches(DEV_A, 5, false, 50);
    /* outlives the owner; ends blocked */
    assert_int_equal(iommu_quarantine(DEV_A, "asked to"), 0);
    assert_int_equal(rig_hook_quarantines, 1);
    rig_refused(DEV_A, 5, false, 2);
    assert_int_equal(iommu_detach(DEV_A), 0);
    assert_true(iommu_device_info(0, &dev));
    assert_int_equal(dev.state, IOMMU_DEV_QUARANTINED);
    assert_int_equal(iommu_attach(&dom0.io, DEV_A), -EPERM);
    assert_int_equal(iommu_release(DEV_A), 0);
    assert_true(iommu_device_info(0, &dev));
    assert_int_equal(dev.state, IOMMU_DEV_BLOCKED);
    assert_int_equal(iommu_attach(&dom0.io, DEV_A), 0);
    rig_reaches(DEV_A, 5, false, 50);
    rig_check();
}

/*
 * Requesters that nobody knows: each is silenced, and they never take the records that devices
 * need.
 */
static void test_spoofed(void **state)
{
    struct vtd_model m = rig_qemu(39);
    struct iommu_dev_info dev;
    unsigned n = 0;

    (void)state;
    faulty(&m, 2);
    for (unsigned round = 0; round < 3; round++) {
        rig_refused(0x0400, 1, true, round ? 0 : 1);
        iommu_fault_irq();
    }
    assert_int_equal(rig_quarantined, 0x0400);
    rig_refused(0x0400, 1, true, 2);
    iommu_fault_irq();
    assert_int_equal(rig_hook_faults, 3);
    for (unsigned sid = 0x0800; sid < 0x0800 + 1000; sid++) {
        rig_refused((uint16_t)sid, 1, true, 0);
        iommu_fault_irq();
    }
    while (iommu_device_info(n, &dev))
        n++;
    assert_int_equal(n, 384);
    assert_int_equal(iommu_attach(&dom0.io, 0x7000), 0);
    rig_reaches(0x7000, 5, false, 50);
    rig_check();
}

/* A unit whose records never run out: the call ends, the interrupt rests for a second. */
static void flood(const struct iommu_fault *f)
{
    uint64_t pa;
    unsigned reason;

    (void)f;
    model_dma(late_model, DEV_A, 0x900000, true, &pa, &reason);
}

static void test_flood(void **state)
{
    static const struct iommu_hooks hooks = { .fault = flood }, quiet = { .fault = NULL };
    struct vtd_model m = rig_qemu(39);
    struct iommu_unit_info info;

    (void)state;
    faulty(&m, 1000000);
    iommu_set_hooks(&hooks);
    late_model = &rig_model[0];
    rig_refused(DEV_A, 100, true, 5);
    iommu_fault_irq();
    assert_true(iommu_unit_info(0, &info));
    assert_int_equal(info.faults, 1024);
    assert_int_equal(rig_model[0].fectl >> 31, 1);
    iommu_set_hooks(&quiet);
    iommu_fault_irq();
    assert_int_equal(rig_model[0].fectl >> 31, 1);
    sim_now_ns += 2000000000ULL;
    iommu_fault_irq();
    assert_int_equal(rig_model[0].fectl >> 31, 0);
    unsigned events = rig_model[0].fault_events;

    rig_refused(DEV_A, 100, true, 5);
    assert_int_equal(rig_model[0].fault_events, events + 1);
    rig_check();
}

/* ---- log ---- */

static unsigned printed;
static char message[256];

void printk(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    (void)level;
    if (!strstr(fmt, "refused: %s"))
        return;
    printed++;
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
}

static void test_log_text(void **state)
{
    struct vtd_model m = rig_qemu(39);

    (void)state;
    sim_now_ns += 100000000000ULL;
    faulty(&m, 1000000);
    rig_refused(DEV_A, 5, true, 5);
    iommu_fault_irq();
    assert_string_equal(
        message, "iommu: 0000:00:03.0 of domain 7: DMA write at 0x5000, a page of type ram-ro, "
                 "refused: no write permission (reason 0x5)\n");
    rig_refused(DEV_A, 6, false, 6);
    iommu_fault_irq();
    assert_string_equal(
        message, "iommu: 0000:00:03.0 of domain 7: DMA read at 0x6000, where nothing is mapped, "
                 "refused: no read permission (reason 0x6)\n");
    rig_refused(DEV_A, 0x7b000, false, 6);
    iommu_fault_irq();
    assert_non_null(
        strstr(message, "0x7b000000, its reserved memory, which is not mapped, refused"));
    rig_refused(DEV_B, 6, false, 1);
    iommu_fault_irq();
    assert_string_equal(
        message, "iommu: 0000:01:04.0 of nobody: DMA read at 0x6000 refused: no context table for "
                 "the bus (reason 0x1)\n");
}

static void test_log_rate(void **state)
{
    struct vtd_model m = rig_qemu(39);

    (void)state;
    sim_now_ns += 100000000000ULL;
    faulty(&m, 1000000);
    printed = 0;
    for (unsigned i = 0; i < 500; i++) {
        rig_refused(DEV_A, 100, true, 5);
        iommu_fault_irq();
    }
    assert_int_equal(printed, 8);
    sim_now_ns += 3000000000ULL;
    for (unsigned i = 0; i < 500; i++) {
        rig_refused(DEV_A, 100, true, 5);
        iommu_fault_irq();
    }
    assert_int_equal(printed, 11);
}

static int teardown(void **state)
{
    (void)state;
    model_reset_machine();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry),         cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_compatibility), cmocka_unit_test(test_ioapic),
        cmocka_unit_test(test_extended),      cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_ir_failures),   cmocka_unit_test(test_fault_record),
        cmocka_unit_test(test_many_records),  cmocka_unit_test(test_late_records),
        cmocka_unit_test(test_quarantine),    cmocka_unit_test(test_quarantine_by_hand),
        cmocka_unit_test(test_spoofed),       cmocka_unit_test(test_flood),
        cmocka_unit_test(test_log_text),      cmocka_unit_test(test_log_rate),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}

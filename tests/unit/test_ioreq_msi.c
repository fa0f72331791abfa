/* SPDX-License-Identifier: MIT */
/*
 * Messages of MSI and MSI-X that a device model decides on: bound as the guest has them or not at all, whoever writes what
 * meanwhile; several with one write; by request and by name.
 */
#include "ioreq_rig.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "vdev/msi_bind.h"

static void enable_msix(void)
{
    sim_run_on(0);
    vpci_write(&sim_vpci, DEV, f->msix + PCI_MSIX_CONTROL, 2, PCI_MSIX_ENABLE);
}

static void test_msix(void **state)
{
    uint64_t id;

    (void)state;
    dm_start();
    enable_msix();
    assert_false(sim_vcpu[0].waiting); /* all are masked */
    msix_set(1, 3, ADDR, 0x31);
    assert_false(sim_vcpu[1].waiting);
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 0), TRAP_FORWARD);
    assert_true(sim_vcpu[1].waiting);
    assert_int_equal(slot(1)->type, IOREQ_TYPE_COPY);
    assert_int_equal(slot(1)->addr, BAR0 + MSIX + 3 * 16 + 12);
    assert_int_equal(slot(1)->size, 4);
    assert_int_equal(slot(1)->data, 0);
    assert_int_equal(detail(1)->kind, XENLITE_IOREQ_MSIX);
    assert_int_equal(detail(1)->index, 3);
    assert_int_equal(detail(1)->address, ADDR);
    assert_int_equal(detail(1)->message, 0x31);
    assert_null(sends(3));
    assert_int_equal(complete(1, detail(1)->id, XENLITE_IOREQ_WRITE, 0, ~0u), -EINVAL);
    sim_bind_fails = true;
    assert_int_equal(complete(1, detail(1)->id, XENLITE_IOREQ_BIND, 0, 0), -EINVAL);
    assert_true(sim_vcpu[1].waiting);
    sim_bind_fails = false;
    assert_int_equal(complete(1, detail(1)->id, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_false(sim_vcpu[1].waiting);
    assert_non_null(sends(3));
    assert_int_equal(sends(3)->guest_data, 0x31);
    /* Mask and unmask are the hypervisor's own. */
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 1), TRAP_DONE);
    assert_null(sends(3));
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 0), TRAP_DONE);
    assert_int_equal(sends(3)->guest_data, 0x31);
    /* The same message written again is no new one. */
    msix_set(1, 3, ADDR, 0x31);
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 0), TRAP_DONE);
    /* A new one is; refused, nothing is sent. */
    msix_set(1, 3, ADDR, 0x32);
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 0), TRAP_FORWARD);
    id = detail(1)->id;
    assert_int_equal(complete(1, id, XENLITE_IOREQ_DENY, 0, 0), 0);
    assert_false(sim_vcpu[1].waiting);
    assert_null(sends(3));
    /* Asked again, the device model has bound it by another call and says so. */
    assert_int_equal(msix_write(1, 3, PCI_MSIX_ENTRY_CTRL, 0), TRAP_FORWARD);
    respond(1, 0);
    assert_null(sends(3)); /* it has not */
}

/* Two vCPUs at the same entry while the device model decides. */
static void test_msix_two(void **state)
{
    uint64_t first, second;

    (void)state;
    dm_start();
    enable_msix();
    msix_set(0, 2, ADDR, 0x41);
    msix_write(0, 2, PCI_MSIX_ENTRY_CTRL, 0);
    first = detail(0)->id;
    /* Masked meanwhile: bound, and stays masked. */
    msix_write(1, 2, PCI_MSIX_ENTRY_CTRL, 1);
    assert_false(sim_vcpu[1].waiting);
    assert_int_equal(complete(0, first, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_null(sends(2));
    assert_int_equal(msix_write(1, 2, PCI_MSIX_ENTRY_CTRL, 0), TRAP_DONE);
    assert_int_equal(sends(2)->guest_data, 0x41);
    /* Rewritten meanwhile: the older message is never bound. */
    msix_set(0, 2, ADDR, 0x42);
    msix_write(0, 2, PCI_MSIX_ENTRY_CTRL, 0);
    first = detail(0)->id;
    assert_int_equal(msix_write(1, 2, PCI_MSIX_ENTRY_DATA, 0x43), TRAP_FORWARD);
    second = detail(1)->id;
    assert_int_equal(detail(1)->message, 0x43);
    assert_int_equal(complete(0, first, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_null(sends(2));
    assert_int_equal(complete(1, second, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_int_equal(sends(2)->guest_data, 0x43);
    /* The other way round. */
    msix_set(0, 2, ADDR, 0x44);
    msix_write(0, 2, PCI_MSIX_ENTRY_CTRL, 0);
    first = detail(0)->id;
    msix_write(1, 2, PCI_MSIX_ENTRY_DATA, 0x45);
    second = detail(1)->id;
    assert_int_equal(complete(1, second, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_int_equal(sends(2)->guest_data, 0x45);
    assert_int_equal(complete(0, first, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_int_equal(sends(2)->guest_data, 0x45);
}

/* Several entries are put to use by one write. */
static void test_msix_sweep(void **state)
{
    static const unsigned used[] = { 1, 4, 7 };
    unsigned asked = 0;

    (void)state;
    dm_start();
    for (unsigned i = 0; i < ARRAY_SIZE(used); i++) {
        msix_set(0, used[i], ADDR, 0x50 + used[i]);
        msix_write(0, used[i], PCI_MSIX_ENTRY_CTRL, 0);
    }
    assert_false(sim_vcpu[0].waiting);
    sim_run_on(0);
    assert_int_equal(vpci_write(&sim_vpci, DEV, f->msix + PCI_MSIX_CONTROL, 2, PCI_MSIX_ENABLE), TRAP_FORWARD);
    while (sim_vcpu[0].waiting) {
        assert_int_equal(detail(0)->index, used[asked]);
        assert_int_equal(detail(0)->message, 0x50 + used[asked]);
        /* The second one is refused, which is nothing to the others. */
        assert_int_equal(complete(0, detail(0)->id, asked == 1 ? XENLITE_IOREQ_DENY : XENLITE_IOREQ_BIND, 0, 0), 0);
        if (asked++ == 0)
            dm_die(), dm_start();
    }
    assert_int_equal(asked, 3);
    assert_int_equal(sends(1)->guest_data, 0x51);
    assert_null(sends(4));
    assert_int_equal(sends(7)->guest_data, 0x57);
}

/*
 * Random writes to the table by all vCPUs, decisions at random times: an entry that can send has the message that is in
 * the guest's table, and when nobody waits, an entry that the guest uses can send.
 */
static void test_msix_random(void **state)
{
    struct {
        uint32_t data, ctrl;
        uint64_t address;
    } model[NR];
    unsigned binds = 0;

    (void)state;
    srand(7);
    dm_start();
    enable_msix();
    for (unsigned i = 0; i < NR; i++) {
        model[i].ctrl = 1;
        model[i].data = 0;
        model[i].address = 0;
    }
    for (unsigned step = 0; step < 40000; step++) {
        unsigned v = (unsigned)rand() % SIM_VCPUS, i = (unsigned)rand() % NR;
        uint32_t val = 0x30 + (unsigned)rand() % 4;

        if (sim_vcpu[v].waiting) {
            assert_int_equal(complete(v, detail(v)->id, XENLITE_IOREQ_BIND, 0, 0), 0);
            binds++;
        } else if (rand() % 3 == 0) {
            model[i].ctrl = val & 1;
            msix_write(v, i, PCI_MSIX_ENTRY_CTRL, val & 1);
        } else if (rand() % 2) {
            model[i].data = val;
            msix_write(v, i, PCI_MSIX_ENTRY_DATA, val);
        } else {
            model[i].address = 0xfee00000 | val << 12;
            msix_write(v, i, PCI_MSIX_ENTRY_ADDR_LO, 0xfee00000 | val << 12);
        }
        if (rand() % 500 == 0) {
            dm_die();
            dm_start();
        }
        for (unsigned e = 0; e < NR; e++) {
            const struct sim_girq *g = sends(e);

            if (!g)
                continue;
            assert_int_equal(model[e].ctrl, 0);
            assert_int_equal(g->guest_data, model[e].data);
            assert_int_equal(g->guest_addr, model[e].address);
        }
        if (step % 50)
            continue;
        for (unsigned w = 0; w < SIM_VCPUS; w++)
            while (sim_vcpu[w].waiting)
                if (complete(w, detail(w)->id, XENLITE_IOREQ_BIND, 0, 0)) /* an address of zero */
                    complete(w, detail(w)->id, XENLITE_IOREQ_DENY, 0, 0);
        for (unsigned e = 0; e < NR; e++)
            if (!model[e].ctrl && model[e].address)
                assert_non_null(sends(e));
    }
    assert_true(binds > 3000);
}

static void test_msi(void **state)
{
    unsigned ctrl;
    struct sim_girq *g = &sim_girqs[0];

    (void)state;
    ctrl = f->msi + PCI_MSI_CONTROL;
    dm_start();
    assert_int_equal(wr(0, f->msi + PCI_MSI_ADDR_LO, 4, (uint32_t)ADDR), TRAP_DONE);
    assert_int_equal(wr(0, f->msi + PCI_MSI_DATA_64, 2, 0x61), TRAP_DONE);
    assert_int_equal(wr(0, ctrl, 2, PCI_MSI_ENABLE), TRAP_FORWARD);
    assert_int_equal(detail(0)->kind, XENLITE_IOREQ_MSI);
    assert_int_equal(detail(0)->address, ADDR);
    assert_int_equal(detail(0)->message, 0x61);
    assert_int_equal(slot(0)->type, IOREQ_TYPE_PCI_CONFIG);
    assert_int_equal(slot(0)->addr, (uint64_t)DEV << 32 | ctrl);
    assert_int_equal(f->config[ctrl] & PCI_MSI_ENABLE, 0);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_int_equal(f->config[ctrl] & PCI_MSI_ENABLE, PCI_MSI_ENABLE);
    assert_int_equal(g->guest_data, 0x61);
    /* A new message while it is on: the old one until the new one is bound. */
    assert_int_equal(wr(1, f->msi + PCI_MSI_DATA_64, 2, 0x62), TRAP_FORWARD);
    assert_int_equal(g->guest_data, 0x61);
    /* Turned off meanwhile by another vCPU: nothing is enabled. */
    assert_int_equal(wr(0, ctrl, 2, 0), TRAP_DONE);
    assert_int_equal(complete(1, detail(1)->id, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_int_equal(f->config[ctrl] & PCI_MSI_ENABLE, 0);
    /* Refused: off, although the guest reads back what it wrote. */
    assert_int_equal(wr(0, f->msi + PCI_MSI_DATA_64, 2, 0x63), TRAP_DONE);
    assert_int_equal(wr(0, ctrl, 2, PCI_MSI_ENABLE), TRAP_FORWARD);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_DENY, 0, 0), 0);
    assert_int_equal(f->config[ctrl] & PCI_MSI_ENABLE, 0);
    assert_int_equal(cfg_read(DEV, ctrl, 2) & PCI_MSI_ENABLE, PCI_MSI_ENABLE);
}

/* A stock device model binds by name, and says afterwards that it has. */
static void test_bind_by_name(void **state)
{
    struct msi_name name = { .hw_sbdf = DEV, .msix = true, .entry = 5 };
    struct msi_name other = { .hw_sbdf = DEV + 1, .msix = true, .entry = 5 };

    (void)state;
    dm_start();
    enable_msix();
    assert_int_equal(msi_exists(SIM_DOMAIN, &name), 0);
    assert_int_equal(msi_exists(SIM_DOMAIN, &other), -ENODEV);
    other = (struct msi_name){ .hw_sbdf = DEV, .msix = true, .entry = NR };
    assert_int_equal(msi_bind(SIM_DOMAIN, &other, ADDR, 0x71), -ENODEV);
    msix_set(0, 5, ADDR, 0x71);
    msix_write(0, 5, PCI_MSIX_ENTRY_CTRL, 0);
    assert_true(sim_vcpu[0].waiting);
    assert_int_equal(msi_bind(SIM_DOMAIN, &name, ADDR, 0x72), -ESTALE);
    assert_int_equal(msi_bind(SIM_DOMAIN, &name, ADDR + 0x1000, 0x71), -ESTALE);
    assert_int_equal(msi_bind(SIM_DOMAIN, &name, ADDR | 0xff0, 0x71 | BIT(14)), 0); /* no meaning */
    assert_int_equal(sends(5)->guest_data, 0x71);
    assert_true(sim_vcpu[0].waiting);
    respond(0, 0);
    assert_false(sim_vcpu[0].waiting);
    assert_int_equal(sends(5)->guest_data, 0x71);
    assert_int_equal(msi_unbind(SIM_DOMAIN, &name), 0);
    assert_null(sends(5));
    /* The next unmask asks again. */
    msix_write(0, 5, PCI_MSIX_ENTRY_CTRL, 1);
    assert_int_equal(msix_write(0, 5, PCI_MSIX_ENTRY_CTRL, 0), TRAP_FORWARD);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_BIND, 0, 0), 0);
    assert_non_null(sends(5));
    name.msix = false;
    wr(0, f->msi + PCI_MSI_ADDR_LO, 4, (uint32_t)ADDR);
    wr(0, f->msi + PCI_MSI_DATA_64, 2, 0x74);
    wr(0, f->msi + PCI_MSI_CONTROL, 2, PCI_MSI_ENABLE);
    assert_int_equal(msi_bind(SIM_DOMAIN, &name, ADDR, 0x74), 0);
    assert_int_equal(complete(0, detail(0)->id, XENLITE_IOREQ_DONE, 0, 0), 0);
    assert_int_equal(f->config[f->msi + PCI_MSI_CONTROL] & PCI_MSI_ENABLE, PCI_MSI_ENABLE);
    assert_int_equal(msi_unbind(SIM_DOMAIN, &name), 0);
    assert_int_equal(f->config[f->msi + PCI_MSI_CONTROL] & PCI_MSI_ENABLE, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_msix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_msix_two, setup, teardown),
        cmocka_unit_test_setup_teardown(test_msix_sweep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_msix_random, setup, teardown),
        cmocka_unit_test_setup_teardown(test_msi, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bind_by_name, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

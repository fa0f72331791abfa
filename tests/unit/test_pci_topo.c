/* SPDX-License-Identifier: MIT */
/*
 * Groups and requester ids over topologies that exist and topologies that should not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "mm/heap.h"
#include "pt_rig.h"

static int setup(void **state)
{
    (void)state;
    rig_begin();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_end();
    return 0;
}

#define F(bus, dev, fn) PCI_SBDF(0, bus, dev, fn)

static bool together(uint32_t a, uint32_t b)
{
    struct pci_topology *t = pci_topology();
    bool same = pci_same_group(t, pci_node_of(t, a), pci_node_of(t, b));

    xfree(t);
    return same;
}

static unsigned group_size(uint32_t sbdf)
{
    struct pci_topology *t = pci_topology();
    unsigned self = pci_node_of(t, sbdf), n = 0;

    for (unsigned i = 0; i < t->nr; i++)
        n += pci_same_group(t, self, i);
    xfree(t);
    return n;
}

static enum pci_group_why why(uint32_t sbdf, uint32_t *via)
{
    struct pci_topology *t = pci_topology();
    const struct pci_node *n = &t->node[pci_node_of(t, sbdf)];
    enum pci_group_why w = n->why;

    *via = n->via;
    xfree(t);
    return w;
}

static void test_root_bus(void **state)
{
    (void)state;
    rig_add(0, 1, 0);
    rig_express(rig_add(0, 2, 0), PCIE_RC_ENDPOINT, true);
    rig_boot();
    assert_int_equal(group_size(F(0, 1, 0)), 1);
    assert_int_equal(group_size(F(0, 2, 0)), 1);
}

static void test_root_port(void **state)
{
    struct rig_fn *port = rig_bridge(0, 1, 0, 1, 1), *other = rig_bridge(0, 2, 0, 2, 2);
    uint32_t via;

    (void)state;
    rig_express(port, PCIE_ROOT_PORT, false);
    rig_acs(port, true);
    rig_express(rig_add(1, 0, 0), PCIE_ENDPOINT, true);
    rig_express(other, PCIE_ROOT_PORT, false);
    rig_express(rig_add(2, 0, 0), PCIE_ENDPOINT, true);
    rig_boot();
    assert_int_equal(group_size(F(1, 0, 0)), 1);
    assert_int_equal(group_size(F(2, 0, 0)), 2);
    assert_int_equal(why(F(2, 0, 0), &via), PCI_GROUP_ACS);
    assert_int_equal(via, F(0, 2, 0));
    assert_int_equal(why(F(0, 2, 0), &via), PCI_GROUP_BRIDGE);
    assert_int_equal(why(F(1, 0, 0), &via), PCI_GROUP_SELF);
}

/* Root port 0:1.0, switch 1:0.0 with ports 2:0.0 and 2:1.0, an endpoint behind each. */
static void build_switch(bool acs0, bool acs1)
{
    struct rig_fn *root = rig_bridge(0, 1, 0, 1, 4), *p0, *p1;

    rig_express(root, PCIE_ROOT_PORT, false);
    rig_acs(root, true);
    rig_express(rig_bridge(1, 0, 0, 2, 4), PCIE_UPSTREAM, false);
    p0 = rig_bridge(2, 0, 0, 3, 3);
    p1 = rig_bridge(2, 1, 0, 4, 4);
    rig_express(p0, PCIE_DOWNSTREAM, false);
    rig_express(p1, PCIE_DOWNSTREAM, false);
    if (acs0)
        rig_acs(p0, true);
    if (acs1)
        rig_acs(p1, true);
    rig_express(rig_add(3, 0, 0), PCIE_ENDPOINT, true);
    rig_express(rig_add(4, 0, 0), PCIE_ENDPOINT, true);
    rig_boot();
}

static void test_switch_with_acs(void **state)
{
    (void)state;
    build_switch(true, true);
    assert_int_equal(group_size(F(3, 0, 0)), 1);
    assert_int_equal(group_size(F(4, 0, 0)), 1);
}

static void test_switch_without_acs(void **state)
{
    (void)state;
    build_switch(false, false);
    assert_true(together(F(3, 0, 0), F(4, 0, 0)));
    assert_true(together(F(3, 0, 0), F(1, 0, 0)));
    assert_false(together(F(3, 0, 0), F(0, 1, 0)));
}

/* One port without it is enough: what is below reaches what is below the other. */
static void test_switch_half(void **state)
{
    (void)state;
    build_switch(true, false);
    assert_true(together(F(3, 0, 0), F(4, 0, 0)));
}

/* It is there, but off: no protection until somebody turns it on. */
static void test_acs_off(void **state)
{
    struct rig_fn *port = rig_bridge(0, 1, 0, 1, 1);

    (void)state;
    rig_express(port, PCIE_ROOT_PORT, false);
    rig_acs(port, false);
    rig_express(rig_add(1, 0, 0), PCIE_ENDPOINT, true);
    rig_boot();
    assert_int_equal(group_size(F(1, 0, 0)), 2);
    pci_enable_acs(rig_dev(F(0, 1, 0)));
    assert_int_equal(group_size(F(1, 0, 0)), 1);
}

static void test_functions(void **state)
{
    struct rig_fn *a = rig_add(0, 1, 0), *b = rig_add(0, 1, 1), *c = rig_add(0, 2, 0),
                  *d = rig_add(0, 2, 1);
    uint32_t via;

    (void)state;
    rig_multi(a);
    rig_multi(c);
    rig_express(a, PCIE_RC_ENDPOINT, true);
    rig_express(b, PCIE_RC_ENDPOINT, true);
    rig_acs(a, true); /* the other one has none */
    rig_express(c, PCIE_RC_ENDPOINT, true);
    rig_express(d, PCIE_RC_ENDPOINT, true);
    rig_acs(c, true);
    rig_acs(d, true);
    rig_boot();
    assert_int_equal(group_size(F(0, 1, 0)), 2);
    assert_int_equal(why(F(0, 1, 1), &via), PCI_GROUP_MULTIFUNCTION);
    assert_int_equal(group_size(F(0, 2, 0)), 1);
}

/* Made for being apart: without the capability they are believed to be, with it only if it is on. */
static void test_virtual_functions(void **state)
{
    struct rig_fn *port = rig_bridge(0, 1, 0, 1, 1), *pf = rig_add(1, 0, 0), *vf;
    uint32_t via;

    (void)state;
    rig_express(port, PCIE_ROOT_PORT, false);
    rig_acs(port, true);
    rig_express(pf, PCIE_ENDPOINT, true);
    rig_sriov(pf, 3);
    vf = rig_of(F(1, 0, 2));
    rig_acs(vf, false);
    rig_boot();
    rig_find_vfs(F(1, 0, 0), 3);
    assert_int_equal(group_size(F(1, 0, 1)), 1);
    assert_int_equal(group_size(F(1, 0, 3)), 1);
    assert_true(together(F(1, 0, 0), F(1, 0, 2)));
    assert_int_equal(why(F(1, 0, 2), &via), PCI_GROUP_MULTIFUNCTION);
    pci_enable_acs(rig_dev(F(1, 0, 2)));
    assert_int_equal(group_size(F(1, 0, 2)), 1);
    assert_int_equal(group_size(F(1, 0, 0)), 1);
}

/* A port without access control joins them all the same. */
static void test_virtual_functions_without_acs(void **state)
{
    struct rig_fn *port = rig_bridge(0, 1, 0, 1, 1), *pf = rig_add(1, 0, 0);

    (void)state;
    rig_express(port, PCIE_ROOT_PORT, false);
    rig_express(pf, PCIE_ENDPOINT, true);
    rig_sriov(pf, 2);
    rig_boot();
    rig_find_vfs(F(1, 0, 0), 2);
    assert_int_equal(group_size(F(1, 0, 1)), 4);
}

/* Ports that are functions of one device and have no access control: all behind them is one group. */
static void test_ports_of_one_device(void **state)
{
    struct rig_fn *a = rig_bridge(0, 1, 0, 1, 1), *b = rig_bridge(0, 1, 1, 2, 2);

    (void)state;
    rig_multi(a);
    rig_express(a, PCIE_ROOT_PORT, false);
    rig_express(b, PCIE_ROOT_PORT, false);
    rig_express(rig_add(1, 0, 0), PCIE_ENDPOINT, true);
    rig_express(rig_add(2, 0, 0), PCIE_ENDPOINT, true);
    rig_boot();
    assert_true(together(F(1, 0, 0), F(2, 0, 0)));
}

/* Root port, bridge to conventional PCI 1:0.0 with devices 2:1.0 and 2:2.0; a second bridge below it. */
static void build_conventional(void)
{
    struct rig_fn *root = rig_bridge(0, 1, 0, 1, 3);

    rig_express(root, PCIE_ROOT_PORT, false);
    rig_acs(root, true);
    rig_express(rig_bridge(1, 0, 0, 2, 3), PCIE_TO_PCI_BRIDGE, false);
    rig_add(2, 1, 0);
    rig_add(2, 2, 0);
    rig_bridge(2, 3, 0, 3, 3);
    rig_add(3, 0, 0);
    rig_boot();
}

static void test_conventional(void **state)
{
    uint32_t via;

    (void)state;
    build_conventional();
    assert_int_equal(group_size(F(2, 1, 0)), 5);
    assert_false(together(F(2, 1, 0), F(0, 1, 0)));
    assert_int_equal(why(F(2, 2, 0), &via), PCI_GROUP_ALIAS);
    assert_int_equal(via, F(1, 0, 0));
}

static void test_requesters(void **state)
{
    uint16_t rid[IOMMU_MAX_ALIASES];

    (void)state;
    build_conventional();
    /* PCI Express to PCI Bridge 1.0, 2.3: its secondary bus, device and function 0. */
    assert_int_equal(pci_aliases(rig_dev(F(2, 1, 0)), rid), 1);
    assert_int_equal(rid[0], 0x0200);
    /* Through the inner bridge first, which uses its own id. */
    assert_int_equal(pci_aliases(rig_dev(F(3, 0, 0)), rid), 2);
    assert_int_equal(rid[0], F(2, 3, 0));
    assert_int_equal(rid[1], 0x0200);
    assert_int_equal(pci_aliases(rig_dev(F(1, 0, 0)), rid), 0);
    assert_true(pci_is_alias_bridge(rig_dev(F(1, 0, 0))));
    assert_true(pci_is_alias_bridge(rig_dev(F(2, 3, 0))));
    assert_false(pci_is_alias_bridge(rig_dev(F(0, 1, 0))));
    /* Bridges leave the id to those behind them. */
    assert_int_equal(pci_dma_attach(&control_domain->iommu, rig_dev(F(1, 0, 0))), 0);
    assert_string_equal(rig_log(), "");
    assert_int_equal(pci_dma_attach(&control_domain->iommu, rig_dev(F(2, 1, 0))), 0);
    assert_string_equal(rig_log(), "alias:0200 attach0:0208 ");
}

/* A conventional bridge right below the root uses its own id. */
static void test_old_bridge(void **state)
{
    uint16_t rid[IOMMU_MAX_ALIASES];

    (void)state;
    rig_bridge(0, 30, 0, 1, 1);
    rig_add(1, 1, 0);
    rig_boot();
    assert_int_equal(pci_aliases(rig_dev(F(1, 1, 0)), rid), 1);
    assert_int_equal(rid[0], F(0, 30, 0));
    assert_int_equal(group_size(F(1, 1, 0)), 2);
}

/* Number 0 behind the bridge has the id that the bridge uses for all. */
static void test_first_on_bus(void **state)
{
    uint16_t rid[IOMMU_MAX_ALIASES];
    struct rig_fn *bridge = rig_bridge(0, 1, 0, 1, 1);

    (void)state;
    rig_express(bridge, PCIE_TO_PCI_BRIDGE, false);
    rig_add(1, 0, 0);
    rig_boot();
    assert_int_equal(pci_aliases(rig_dev(F(1, 0, 0)), rid), 0);
}

/* More bridges in a row than there is room for ids: the topmost ones count. */
static void test_many_bridges(void **state)
{
    uint16_t rid[IOMMU_MAX_ALIASES];

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        rig_bridge(i, 1, 0, i + 1, 10);
    rig_add(10, 1, 0);
    rig_boot();
    assert_int_equal(pci_aliases(rig_dev(F(10, 1, 0)), rid), IOMMU_MAX_ALIASES);
    assert_int_equal(rid[IOMMU_MAX_ALIASES - 1], F(0, 1, 0));
}

/* Bus numbers that lead back up, to itself, or nowhere; capability lists that loop. */
static void test_garbage(void **state)
{
    uint8_t secondary, subordinate;
    uint16_t rid[IOMMU_MAX_ALIASES];
    struct rig_fn *f;

    (void)state;
    rig_bridge(0, 1, 0, 1, 5);
    rig_bridge(1, 0, 0, 1, 5);   /* itself */
    rig_bridge(1, 1, 0, 0, 255); /* upwards */
    rig_bridge(1, 2, 0, 3, 2);   /* ends before it begins */
    rig_bridge(1, 3, 0, 2, 5);
    rig_bridge(2, 0, 0, 1, 5); /* back */
    f = rig_add(2, 1, 0);
    f->cfg[PCI_REG_CAP_POINTER] = 0x40;
    f->cfg[0x40] = 0x09;
    f->cfg[0x41] = 0x40;
    rig_set(f, 0x100, 4, 0x10010003); /* an extended one that is its own successor */
    rig_boot();
    assert_false(pci_bridge_buses(rig_dev(F(1, 0, 0)), &secondary, &subordinate));
    assert_false(pci_bridge_buses(rig_dev(F(1, 1, 0)), &secondary, &subordinate));
    assert_false(pci_bridge_buses(rig_dev(F(1, 2, 0)), &secondary, &subordinate));
    assert_false(pci_bridge_buses(rig_dev(F(2, 0, 0)), &secondary, &subordinate));
    assert_int_equal(pci_aliases(rig_dev(F(2, 1, 0)), rid), 2);
    assert_int_equal(group_size(F(2, 1, 0)), 7);
    assert_int_equal(pci_find_ext_cap(F(2, 1, 0), 0x0d), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_root_bus),       T(test_root_port),
        T(test_switch_with_acs), T(test_switch_without_acs),
        T(test_switch_half),    T(test_acs_off),
        T(test_functions), T(test_virtual_functions),
        T(test_virtual_functions_without_acs),      T(test_ports_of_one_device),
        T(test_conventional),   T(test_requesters),
        T(test_old_bridge),     T(test_first_on_bus),
        T(test_many_bridges),   T(test_garbage),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

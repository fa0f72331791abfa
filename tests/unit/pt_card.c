/* SPDX-License-Identifier: MIT */
/* A scene for tests of hand-overs, see pt_card.h. */
#include "pt_card.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "sim.h"

struct rig_fn *nic, *port;
struct domain *guest, *other;

int card_setup(void **state)
{
    (void)state;
    rig_begin();
    port = rig_bridge(0, 1, 0, 1, 1);
    rig_express(port, PCIE_ROOT_PORT, false);
    rig_acs(port, true);
    nic = rig_add(1, 0, 0);
    rig_express(nic, PCIE_ENDPOINT, true);
    guest = rig_domain(3, true);
    other = rig_domain(4, true);
    return 0;
}

int card_teardown(void **state)
{
    uint64_t wake;

    (void)state;
    guest->dying = other->dying = true;
    while (pt_release_all(guest, &wake) || pt_release_all(other, &wake))
        sim_now_ns = wake;
    rig_end();
    return 0;
}

struct pt_result attach(uint32_t sbdf, uint32_t flags)
{
    return rig_run(&(struct pt_request){ PT_ATTACH, 3, sbdf, flags, 0 }, NULL);
}

struct pt_result detach(uint32_t sbdf, uint32_t flags)
{
    return rig_run(&(struct pt_request){ PT_DETACH, 3, sbdf, flags, 0 }, NULL);
}

void refused(const struct pt_request *req, enum xenlite_pci_stage stage, enum deny_rule rule)
{
    struct pt_request dry = *req;
    uint64_t before = deny_count(rule);
    struct pt_result res;
    char text[512];
    uint8_t cfg[PCI_CFG_EXT_SIZE];

    memcpy(cfg, nic->cfg, sizeof(cfg));
    dry.flags |= XENLITE_PCI_DRY_RUN;
    for (unsigned i = 0; i < 2; i++) {
        res = rig_run(i ? req : &dry, NULL);
        assert_int_equal(res.stage, stage);
        assert_int_equal(res.rule, rule);
        assert_string_equal(rig_log(), "");
        assert_memory_equal(cfg, nic->cfg, sizeof(cfg));
        /* Only the real one counts. */
        assert_int_equal(deny_count(rule), before + i);
    }
    assert_true(deny_describe(res.rule, res.at, res.a, res.b, text, sizeof(text)) < sizeof(text));
    assert_null(strchr(text, '{'));
    assert_non_null(strstr(text, "; "));
}

/* SPDX-License-Identifier: MIT */
/*
 * Who may act on whom: the one rule that most calls which name a domain share.
 */
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"

struct domain *hypercall_target(struct vcpu *v, uint16_t domid, int *err)
{
    struct domain *d;

    if (domid != DOMID_SELF && domid != v->domain->domid && !v->domain->control) {
        *err = -EPERM;
        return NULL;
    }
    d = domain_get_by_id_or_self(v, domid);
    *err = d ? 0 : -ESRCH;
    return d;
}

/* SPDX-License-Identifier: MIT */
/*
 * The end of a domain: stopping it for good, taking back what it has in bounded pieces, waiting for
 * those who still hold something of it, and freeing the rest.
 */
#include "domain/domain.h"

#include "lib/assert.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "mm/frame.h"

/*
 * Domains without a reference, to be freed, and those that wait for others. Both under the domain
 * list's lock. Freeing happens in domain_reap() only, because the last reference may be given back
 * under locks that it needs.
 */
static struct list_head dead = LIST_HEAD_INIT(dead);
static struct list_head lingering = LIST_HEAD_INIT(lingering);
static unsigned nr_lingering; /* atomic for readers */
bool domain_reap_wanted;

void domain_dead(struct domain *d)
{
    list_add_tail(&d->destroy.link, &dead);
    WRITE_ONCE(domain_reap_wanted, true);
}

void domain_foreign_released(void)
{
    if (unlikely(READ_ONCE(nr_lingering)))
        WRITE_ONCE(domain_reap_wanted, true);
}

/* ---- the steps ---- */

static int stop(struct domain *d)
{
    struct vcpu *v;

    __atomic_store_n(&d->dying, true, __ATOMIC_SEQ_CST);
    for_each_vcpu (d, v)
        sched_hold(v);
    sched_undedicate(d);
    spin_lock(&d->lock);
    frames_stake(d->domid, 0);
    spin_unlock(&d->lock);
    return 0;
}

/* What could signal a vCPU, or be signalled by it. */
static int silence(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu (d, v) {
        vtime_destroy(v);
        timer_cancel_sync(&v->vlapic.timer);
        post_stop(v);
    }
    watchdog_destroy(d);
    ioreq_domain_destroy(&d->ioreq);
    evtchn_domain_destroy(d);
    return 0;
}

/* Before its memory: what a device may write to must not have another owner. */
static int give_back_devices(struct domain *d)
{
    return pt_release_all(d, &d->destroy.wake_ns) ? -ERESTART : 0;
}

static int give_back_mappings(struct domain *d)
{
    return grant_release_mappings(d);
}

static int give_back_memory(struct domain *d)
{
    return p2m_teardown(&d->p2m);
}

/* Nobody maps its memory, its grant table or its shared info any more. */
static bool is_let_go(struct domain *d)
{
    if (frames_owned(d->domid) || page_users(domain_shared_info_mfn(d)))
        return false;
    for (uint32_t i = 0; i < d->grants.nr_frames; i++)
        if (page_users(d->grants.frame[i].mfn))
            return false;
    return true;
}

/* From here on the domain waits; who releases the last of its frames starts the reaping. */
static int linger(struct domain *d)
{
    domain_list_lock();
    d->destroy.lingering = true;
    list_add_tail(&d->destroy.link, &lingering);
    WRITE_ONCE(nr_lingering, nr_lingering + 1);
    domain_list_unlock();
    WRITE_ONCE(domain_reap_wanted, true);
    return 0;
}

static int (*const steps[])(struct domain *d) = {
    stop, silence, give_back_devices, give_back_mappings, give_back_memory, linger,
};

int domain_destroy(struct domain *d)
{
    int rc = 0;

    if (d->control)
        return -EINVAL;
    if (__atomic_exchange_n(&d->destroy.busy, true, __ATOMIC_ACQUIRE))
        return -ERESTART;
    if (d->destroy.step < ARRAY_SIZE(steps)) {
        rc = steps[d->destroy.step](d);
        if (!rc && ++d->destroy.step < ARRAY_SIZE(steps))
            rc = -ERESTART;
        if (!rc)
            send_virq_global(control_domain, VIRQ_DOM_EXC);
    }
    __atomic_store_n(&d->destroy.busy, false, __ATOMIC_RELEASE);
    return rc;
}

/* ---- the end ---- */

/* A lingering domain that everybody has let go, off its list; NULL if there is none. */
static struct domain *take_let_go(void)
{
    struct domain *d, *found = NULL;

    domain_list_lock();
    list_for_each_entry (d, &lingering, destroy.link) {
        if (!is_let_go(d))
            continue;
        found = d;
        break;
    }
    if (found) {
        list_del(&found->destroy.link);
        WRITE_ONCE(nr_lingering, nr_lingering - 1);
    }
    domain_list_unlock();
    return found;
}

static struct domain *take_dead(void)
{
    struct domain *d = NULL;

    domain_list_lock();
    if (!list_empty(&dead)) {
        d = list_first_entry(&dead, struct domain, destroy.link);
        list_del(&d->destroy.link);
    }
    domain_list_unlock();
    return d;
}

void domain_reap(void)
{
    struct domain *d;
    bool announced;

    /* Cleared before looking: what comes meanwhile is looked at the next time. */
    WRITE_ONCE(domain_reap_wanted, false);
    mb();
    while ((d = take_let_go()))
        domain_put(d); /* its life's own reference; grants in use may hold others */
    while ((d = take_dead())) {
        announced = d->destroy.lingering;
        domain_free(d);
        if (announced)
            send_virq_global(control_domain, VIRQ_DOM_EXC);
    }
}

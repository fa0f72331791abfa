/* SPDX-License-Identifier: MIT */
/*
 * The one transaction of the machine: starting it, going on with it whoever comes, and leaving its result for the one who
 * asked; and the end of a domain's functions.
 */
#include "domain/passthrough.h"

#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "vdev/vintx.h"
#include "vdev/vroot.h"

/* For a request that found another's transaction at work, or a CPU busy with it. */
#define LATER_NS NS_PER_MS
/* A result that nobody fetched for so long is nobody's. */
#define FORGET_NS (2 * NS_PER_SEC)

static bool entered; /* atomic */

/* Under pt_enter(). */
static struct pt_job job;
static enum { JOB_NONE, JOB_RUNS, JOB_ENDED } job_state;
static uint64_t ended_ns;

void pt_domain_init(struct passthrough *pt)
{
    list_init(&pt->functions);
}

int pt_create_root(struct domain *d)
{
    static const struct ioapic_info info = {
        .id = XENLITE_PCI_IOAPIC_ID,
        .base = XENLITE_PCI_IOAPIC_BASE,
        .nr_pins = XENLITE_PCI_IOAPIC_PINS,
        .version = VIOAPIC_VERSION,
    };
    int rc = vroot_create(d);

    if (rc)
        return rc;
    rc = vioapic_create(&d->vapic, &d->traps, &info, false, &d->pt.ioapic);
    if (rc) {
        vroot_destroy(d);
        return rc;
    }
    d->pt.ioapic->ended = vintx_ended;
    d->cpu.owns_devices = true;
    return 0;
}

int pt_connect_intx(struct domain *d, uint32_t sbdf, uint32_t gsi, bool active_low)
{
    struct pci_dev *pdev = pci_find(sbdf);
    struct pt_function *f = pdev && pdev->owner == d ? pt_function_of(d, pdev) : NULL;

    return f ? vintx_connect(d, pdev, f->slot, gsi, active_low) : -ENODEV;
}

bool pt_enter(void)
{
    return !__atomic_exchange_n(&entered, true, __ATOMIC_ACQUIRE);
}

void pt_leave(void)
{
    __atomic_store_n(&entered, false, __ATOMIC_RELEASE);
}

static void end_job(void)
{
    if (job.d)
        domain_put(job.d);
    job.d = NULL;
    job_state = JOB_ENDED;
    ended_ns = now_ns();
}

/* Goes on with the transaction. False: it waits until job.wake_ns. */
static bool push_on(void)
{
    if (pt_move(&job) == -EAGAIN)
        return false;
    end_job();
    return true;
}

static bool acts(const struct pt_request *req)
{
    return !(req->flags & XENLITE_PCI_DRY_RUN);
}

static void start_job(const struct pt_request *req)
{
    memset(&job, 0, sizeof(job));
    job.req = *req;
    job.res.rule = PT_NO_RULE;
    job.res.at = req->sbdf;
    job.d = domain_get_by_id(req->domid);
    if (pt_check(&job)) {
        if (acts(req))
            deny(job.res.rule, req->domid, job.res.at, job.res.a, job.res.b);
        end_job();
        return;
    }
    if (!acts(req)) {
        job.res.stage = XENLITE_PCI_STAGE_done;
        end_job();
        return;
    }
    job.stage = XENLITE_PCI_STAGE_take;
    job_state = JOB_RUNS;
}

static bool same(const struct pt_request *a, const struct pt_request *b)
{
    return a->kind == b->kind && a->domid == b->domid && a->sbdf == b->sbdf &&
           a->flags == b->flags && a->slot == b->slot;
}

static int run_entered(const struct pt_request *req, struct pt_result *res, uint64_t *wake_ns)
{
    bool mine = same(req, &job.req);

    if (job_state == JOB_RUNS && !push_on()) {
        *wake_ns = mine ? job.wake_ns : MIN(job.wake_ns, now_ns() + LATER_NS);
        return -EAGAIN;
    }
    if (job_state == JOB_ENDED && !mine && !deadline_passed(ended_ns + FORGET_NS)) {
        /* Its caller sleeps no longer than the transaction: it comes for the result soon. */
        *wake_ns = now_ns() + LATER_NS;
        return -EAGAIN;
    }
    if (job_state != JOB_ENDED || !mine) {
        start_job(req);
        if (job_state == JOB_RUNS && !push_on()) {
            *wake_ns = job.wake_ns;
            return -EAGAIN;
        }
    }
    *res = job.res;
    job_state = JOB_NONE;
    return 0;
}

int pt_run(const struct pt_request *req, struct pt_result *res, uint64_t *wake_ns)
{
    int rc;

    if (!pt_enter()) {
        *wake_ns = now_ns() + LATER_NS;
        return -EAGAIN;
    }
    rc = run_entered(req, res, wake_ns);
    pt_leave();
    return rc;
}

bool pt_moving(const struct pci_dev *pdev)
{
    for (unsigned i = 0; job_state == JOB_RUNS && i < job.nr; i++)
        if (job.item[i].pdev == pdev)
            return true;
    return false;
}

/* ---- the end of a domain ---- */

/* At once, for all of them: resets take their time, and DMA must not go on meanwhile. */
static void silence_all(struct domain *d)
{
    struct pt_function *f;

    list_for_each_entry (f, &d->pt.functions, link) {
        int rc;

        pci_silence(f->pdev);
        rc = iommu_detach(f->pdev->sbdf);
        if (rc && rc != -ENODEV)
            pr_err("pci " PCI_FMT ": its IOMMU unit failed while it was blocked (%d)",
                   PCI_ARG(f->pdev->sbdf), rc);
    }
    d->pt.silent = true;
}

/* A transaction about d is under way. */
static bool concerns(const struct domain *d)
{
    return job_state == JOB_RUNS && job.d == d;
}

/* One transaction further; *wake_ns is set. Entered. */
static int release_some(struct domain *d, uint64_t *wake_ns)
{
    struct pt_request req = { .kind = PT_RELEASE, .domid = d->domid };
    struct pt_result res;
    int rc;

    /* One that is about to give d something finds it dying; it ends first. */
    if (concerns(d) && job.req.kind != PT_RELEASE) {
        push_on();
        return -EAGAIN;
    }
    if (!concerns(d) && list_empty(&d->pt.functions))
        return 0;
    req.sbdf = concerns(d) ? job.req.sbdf
                           : list_first_entry(&d->pt.functions, struct pt_function, link)->pdev->sbdf;
    rc = run_entered(&req, &res, wake_ns);
    if (!rc)
        *wake_ns = now_ns();
    return rc || !list_empty(&d->pt.functions) ? -EAGAIN : 0;
}

int pt_release_all(struct domain *d, uint64_t *wake_ns)
{
    int rc;

    *wake_ns = now_ns() + LATER_NS;
    if (!pt_enter())
        return -EAGAIN;
    if (!d->pt.silent)
        silence_all(d);
    rc = release_some(d, wake_ns);
    pt_leave();
    return rc;
}

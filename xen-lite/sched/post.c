/* SPDX-License-Identifier: MIT */
/*
 * Posted interrupts and the run state of vCPUs: see post.h.
 *
 * A request is in the descriptor before a unit tells of it, and a unit that has told of one says nothing more until requests
 * are taken. So each change of where notifications go is followed by a look at the descriptor, by whoever made the
 * change: what came before the change may have been told of where nobody listens any more.
 */
#include "sched/post.h"

#include "domain/domain.h"
#include "iommu/iommu.h"
#include "iommu/post.h"
#include "irq/irq.h"
#include "irq/lapic.h"
#include "lib/bitmap.h"
#include "lib/errno.h"
#include "sched/runq.h"

/* Those that fell asleep on a CPU and have not run since; some may have been woken. */
struct sleepers {
    spinlock_t lock;
    struct list_head vcpus;
    unsigned nr;
};

static struct sleepers sleepers[MAX_CPUS];

/* ---- delivery ---- */

/* Any CPU. Each request goes to the local APIC once, whoever else does this at the same time. True: some did. */
static bool take(struct vcpu *v)
{
    uint64_t vectors[IR_POST_WORDS];
    uint64_t n = 0;

    if (!ir_post_take(v->vlapic.post, vectors))
        return false;
    for (unsigned i = 0; i < IR_POST_WORDS; i++)
        n += word_count(vectors[i]);
    __atomic_fetch_add(&v->post.taken, n, __ATOMIC_RELAXED);
    return vlapic_accept_posted(&v->vlapic, vectors);
}

static void deliver(struct vcpu *v)
{
    if (take(v))
        vcpu_kick(v);
}

void vcpu_take_posted(struct vcpu *v)
{
    if (v->vlapic.post)
        (void)take(v);
}

/* The vCPU that was meant may have left: then it takes its requests when it comes to a CPU again. */
static void posted(void *arg)
{
    (void)arg;
    if (current_vcpu())
        post_sync(current_vcpu());
}

/* The first sleeper goes to the end. A reference to its domain is taken if something was posted for it, else NULL. */
static struct vcpu *turn(struct sleepers *s)
{
    struct vcpu *v = NULL;

    spin_lock(&s->lock);
    if (!list_empty(&s->vcpus)) {
        v = container_of(s->vcpus.next, struct vcpu, post.link);
        list_del(&v->post.link);
        list_add_tail(&v->post.link, &s->vcpus);
        if (ir_post_outstanding(v->vlapic.post)) {
            v->post.wakeups++;
            domain_get(v->domain);
        } else {
            v = NULL;
        }
    }
    spin_unlock(&s->lock);
    return v;
}

/*
 * Somebody who sleeps here has got something. Each is looked at once: what is posted after that is told of anew. Delivery
 * takes run queue locks, so it happens without the list's.
 */
static void wake(void *arg)
{
    struct sleepers *s = &sleepers[cpu_id()];

    (void)arg;
    for (unsigned left = READ_ONCE(s->nr); left; left--) {
        struct vcpu *v = turn(s);

        if (!v)
            continue;
        deliver(v);
        domain_put(v->domain);
    }
}

/* ---- the list of sleepers ---- */

static void list_on(struct vcpu *v, unsigned cpu)
{
    struct sleepers *s = &sleepers[cpu];

    spin_lock(&s->lock);
    list_add_tail(&v->post.link, &s->vcpus);
    WRITE_ONCE(s->nr, s->nr + 1);
    spin_unlock(&s->lock);
    v->post.cpu = cpu;
    v->post.listed = true;
}

static void unlist(struct vcpu *v)
{
    struct sleepers *s = &sleepers[v->post.cpu];

    if (!v->post.listed)
        return;
    spin_lock(&s->lock);
    list_del(&v->post.link);
    WRITE_ONCE(s->nr, s->nr - 1);
    spin_unlock(&s->lock);
    v->post.listed = false;
}

/* ---- changes of run state ---- */

void post_run(struct vcpu *v)
{
    if (likely(!v->vlapic.post))
        return;
    unlist(v);
    ir_post_notify(v->vlapic.post, VECTOR_POSTED, apicid_of_cpu(cpu_id()));
    deliver(v);
}

void post_stay(struct vcpu *v)
{
    if (unlikely(v->post.listed))
        post_run(v);
}

void post_sleep(struct vcpu *v)
{
    if (likely(!v->vlapic.post))
        return;
    /* It runs with this still set if it was woken before it had left the CPU. */
    if (!v->post.listed)
        list_on(v, cpu_id());
    ir_post_notify(v->vlapic.post, VECTOR_POSTED_WAKE, apicid_of_cpu(cpu_id()));
}

bool post_waiting(const struct vcpu *v)
{
    return unlikely(v->vlapic.post) && ir_post_waiting(v->vlapic.post);
}

void post_leave(struct vcpu *v)
{
    if (likely(!v->vlapic.post) || (v->post.listed && READ_ONCE(v->sched.blocked)))
        return;
    unlist(v);
    ir_post_suppress(v->vlapic.post);
}

void post_move(struct vcpu *v, unsigned cpu)
{
    uint32_t apicid = apicid_of_cpu(cpu);

    if (likely(!v->post.listed))
        return;
    unlist(v);
    list_on(v, cpu);
    ir_post_notify(v->vlapic.post, VECTOR_POSTED_WAKE, apicid);
    /* The old CPU may have been told, and does not find v any more. */
    if (ir_post_outstanding(v->vlapic.post))
        lapic_send_ipi(apicid, VECTOR_POSTED_WAKE);
}

void post_stop(struct vcpu *v)
{
    struct runq *rq;

    if (!v->vlapic.post)
        return;
    rq = lock_runq_of(v);
    unlist(v);
    ir_post_suppress(v->vlapic.post);
    spin_unlock(&rq->lock);
}

void post_sync(struct vcpu *v)
{
    if (unlikely(v->vlapic.post))
        deliver(v);
}

void post_discard(struct vcpu *v)
{
    uint64_t vectors[IR_POST_WORDS];

    if (unlikely(v->vlapic.post))
        (void)ir_post_take(v->vlapic.post, vectors);
}

/* ---- life ---- */

void post_init_cpu(unsigned cpu)
{
    struct sleepers *s = &sleepers[cpu];

    spin_lock_init(&s->lock);
    list_init(&s->vcpus);
    s->nr = 0;
    irq_set_fixed(VECTOR_POSTED, posted, NULL);
    irq_set_fixed(VECTOR_POSTED_WAKE, wake, NULL);
}

int post_vcpu_init(struct vcpu *v)
{
    v->post.listed = false;
    if (!iommu_posts() && !cpu_takes_posted())
        return 0;
    v->vlapic.post = ir_post_alloc();
    return v->vlapic.post ? 0 : -ENOMEM;
}

void post_vcpu_destroy(struct vcpu *v)
{
    unlist(v);
    ir_post_free(v->vlapic.post);
    v->vlapic.post = NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * The FIFO event channel ABI: one 32-bit word a port in pages of the guest, 16 queues a vCPU whose
 * links run through those words, heads in the vCPU's control block.
 *
 * All of it is guest memory that a hostile guest rewrites at will. What the producer needs to
 * remember (queue tails, where a port was linked) is kept here; a link field is only written, never
 * followed; loops on a word are bounded. A guest that scribbles loses events of its own and nothing
 * else. Everything runs under the table lock.
 */
#include "hypercall/evtchn.h"

#include "domain/domain.h"
#include "lib/assert.h"
#include "lib/errno.h"

#define WORD_PENDING (1u << EVTCHN_FIFO_PENDING)
#define WORD_MASKED  (1u << EVTCHN_FIFO_MASKED)
#define WORD_LINKED  (1u << EVTCHN_FIFO_LINKED)
#define WORD_BUSY    (1u << EVTCHN_FIFO_BUSY)
#define WORD_LINK    ((uint32_t)EVTCHN_FIFO_LINK_MASK)

/*
 * An honest consumer changes a word a few times at most while it is being linked to (clears LINKED,
 * masks, clears PENDING); more than this many lost races is a guest's game.
 */
#define LINK_TRIES 16

static event_word_t *word_of(const struct domain *d, evtchn_port_t port)
{
    const struct evtchn_table *t = &d->evtchn;
    uint32_t page = port / EVTCHN_FIFO_WORDS_PER_PAGE;

    if (page >= t->nr_fifo_pages)
        return NULL;
    return (event_word_t *)t->fifo_page[page].va + port % EVTCHN_FIFO_WORDS_PER_PAGE;
}

static uint32_t word_or(event_word_t *w, uint32_t bits)
{
    return __atomic_fetch_or(w, bits, __ATOMIC_SEQ_CST);
}

static uint32_t word_clear(event_word_t *w, uint32_t bits)
{
    return __atomic_fetch_and(w, ~bits, __ATOMIC_SEQ_CST);
}

/* One attempt: 1 linked, 0 the tail has left its queue, -EAGAIN it changed under us. */
static int try_link(event_word_t *tail, uint32_t *seen, evtchn_port_t port)
{
    uint32_t next;

    if (!(*seen & WORD_LINKED))
        return 0;
    next = (*seen & ~(WORD_BUSY | WORD_LINK)) | port;
    if (__atomic_compare_exchange_n(tail, seen, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return 1;
    return -EAGAIN;
}

/*
 * Appends `port` behind `tail`. BUSY asks the guest not to unmask the word meanwhile; a successful
 * exchange clears it. Returns false when the tail is not in a queue any more, so that the port
 * becomes the head of an empty one.
 */
static bool link_behind(event_word_t *tail, evtchn_port_t port)
{
    uint32_t seen = __atomic_load_n(tail, __ATOMIC_SEQ_CST);
    int rc = try_link(tail, &seen, port);

    if (rc >= 0)
        return rc;
    seen = word_or(tail, WORD_BUSY) | WORD_BUSY;
    for (unsigned i = 0; i < LINK_TRIES; i++) {
        rc = try_link(tail, &seen, port);
        if (rc > 0)
            return true;
        if (rc == 0)
            break;
    }
    word_clear(tail, WORD_BUSY);
    return false;
}

/* Puts a word that has just become LINKED into its queue. */
static void enqueue(struct domain *d, struct evtchn_port *chn, evtchn_port_t port)
{
    struct vcpu *v = d->vcpu[chn->vcpu];
    struct vcpu *old = d->vcpu[chn->last_vcpu];
    evtchn_port_t *tail = &v->evt.fifo_tail[chn->priority];
    evtchn_port_t *old_tail = &old->evt.fifo_tail[chn->last_priority];
    struct evtchn_fifo_control_block *cb = v->evt.fifo;
    event_word_t *tail_word;

    /* The word's link field moves to another queue: nobody may append behind it in the old one. */
    if (old_tail != tail && *old_tail == port)
        *old_tail = 0;
    chn->last_vcpu = chn->vcpu;
    chn->last_priority = chn->priority;

    /*
     * Consumed as its queue's last event and signalled again: the queue is empty, the port must
     * become the head, not its own successor.
     */
    tail_word = *tail && *tail != port ? word_of(d, *tail) : NULL;
    if (tail_word && link_behind(tail_word, port)) {
        *tail = port;
        return;
    }
    __atomic_store_n(&cb->head[chn->priority], port, __ATOMIC_SEQ_CST);
    *tail = port;
    if (!(__atomic_fetch_or(&cb->ready, 1u << chn->priority, __ATOMIC_SEQ_CST) &
          (1u << chn->priority)))
        evtchn_mark_upcall(v);
}

void evtchn_fifo_set_pending(struct domain *d, struct evtchn_port *chn, evtchn_port_t port)
{
    event_word_t *word = word_of(d, port);
    uint32_t old;

    if (!word) {
        chn->pending = true; /* until evtchn_fifo_expand_array() */
        return;
    }
    old = word_or(word, WORD_PENDING);
    if (old & (WORD_MASKED | WORD_LINKED))
        return;
    if (!d->vcpu[chn->vcpu]->evt.fifo)
        return; /* no control block yet: found by evtchn_fifo_init_control() */
    if (!(word_or(word, WORD_LINKED) & WORD_LINKED))
        enqueue(d, chn, port);
}

void evtchn_fifo_clear_pending(struct domain *d, evtchn_port_t port)
{
    event_word_t *word = word_of(d, port);

    if (word)
        word_clear(word, WORD_PENDING);
}

void evtchn_fifo_unmask(struct domain *d, struct evtchn_port *chn, evtchn_port_t port)
{
    event_word_t *word = word_of(d, port);

    if (!word)
        return;
    if (word_clear(word, WORD_MASKED) & WORD_PENDING)
        evtchn_fifo_set_pending(d, chn, port);
}

bool evtchn_fifo_is_pending(const struct domain *d, evtchn_port_t port)
{
    event_word_t *word = word_of(d, port);

    return word && (READ_ONCE(*word) & WORD_PENDING);
}

bool evtchn_fifo_is_busy(const struct domain *d, evtchn_port_t port)
{
    event_word_t *word = word_of(d, port);

    return word && (READ_ONCE(*word) & WORD_LINKED);
}

/* Signals again what was signalled before its word or queue was there. */
static void requeue(struct domain *d, uint32_t first, uint32_t end, const struct vcpu *only)
{
    for (evtchn_port_t port = MAX(first, 1u); port < end; port++) {
        struct evtchn_port *chn = evtchn_port_get(&d->evtchn, port);

        if (!chn || (only && d->vcpu[chn->vcpu] != only))
            continue;
        if (chn->pending || evtchn_fifo_is_pending(d, port)) {
            chn->pending = false;
            evtchn_fifo_set_pending(d, chn, port);
        }
    }
}

/* Events that are pending in the two-level bitmap wait for their word. */
static void take_over_twolevel(struct domain *d)
{
    struct evtchn_table *t = &d->evtchn;
    uint32_t end = MIN(t->nr_ports, (uint32_t)EVTCHN_2L_NR_CHANNELS);

    for (evtchn_port_t port = 1; port < end; port++) {
        struct evtchn_port *chn = evtchn_port_get(t, port);

        if (chn && test_bit(t->shared_info->evtchn_pending, port))
            chn->pending = true;
    }
}

int evtchn_fifo_init_control(struct domain *d, struct evtchn_init_control *arg)
{
    struct evtchn_table *t = &d->evtchn;
    struct guest_page page = { 0 };
    struct vcpu *v;
    int rc;

    arg->link_bits = EVTCHN_FIFO_LINK_BITS;
    if (arg->vcpu >= d->max_vcpus || !d->vcpu[arg->vcpu])
        return -ENOENT;
    if (arg->offset > PAGE_SIZE - sizeof(struct evtchn_fifo_control_block) || arg->offset % 8)
        return -EINVAL;
    v = d->vcpu[arg->vcpu];
    rc = guest_page_map(d, arg->control_gfn, &page);
    if (rc < 0)
        return rc;

    spin_lock(&t->lock);
    if (v->evt.fifo || t->dying) {
        spin_unlock(&t->lock);
        guest_page_unmap(&page);
        return -EINVAL;
    }
    v->evt.fifo_page = page;
    v->evt.fifo = (struct evtchn_fifo_control_block *)((uint8_t *)page.va + arg->offset);
    if (!t->fifo) {
        take_over_twolevel(d);
        t->fifo = true;
    } else {
        requeue(d, 1, t->nr_ports, v);
    }
    spin_unlock(&t->lock);
    return 0;
}

int evtchn_fifo_expand_array(struct domain *d, const struct evtchn_expand_array *arg)
{
    struct evtchn_table *t = &d->evtchn;
    struct guest_page page = { 0 };
    uint32_t first;
    int rc;

    rc = guest_page_map(d, arg->array_gfn, &page);
    if (rc < 0)
        return rc;
    spin_lock(&t->lock);
    if (!t->fifo)
        rc = -EOPNOTSUPP;
    else if (t->dying)
        rc = -ESRCH;
    else if (t->nr_fifo_pages * EVTCHN_FIFO_WORDS_PER_PAGE >= t->max_ports)
        rc = -ENOSPC;
    if (rc < 0) {
        spin_unlock(&t->lock);
        guest_page_unmap(&page);
        return rc;
    }
    first = t->nr_fifo_pages * (uint32_t)EVTCHN_FIFO_WORDS_PER_PAGE;
    t->fifo_page[t->nr_fifo_pages++] = page;
    requeue(d, first, MIN(first + (uint32_t)EVTCHN_FIFO_WORDS_PER_PAGE, t->nr_ports), NULL);
    spin_unlock(&t->lock);
    return 0;
}

void evtchn_fifo_destroy(struct domain *d)
{
    struct evtchn_table *t = &d->evtchn;

    for (unsigned i = 0; i < d->max_vcpus; i++) {
        struct vcpu *v = d->vcpu[i];

        if (!v)
            continue;
        v->evt.fifo = NULL;
        guest_page_unmap(&v->evt.fifo_page);
        for (unsigned q = 0; q < EVTCHN_FIFO_MAX_QUEUES; q++)
            v->evt.fifo_tail[q] = 0;
    }
    for (unsigned i = 0; i < t->nr_fifo_pages; i++)
        guest_page_unmap(&t->fifo_page[i]);
    t->nr_fifo_pages = 0;
    t->fifo = false;
}

/* SPDX-License-Identifier: MIT */
/*
 * Servers: what a device model makes, names ranges for, and looks at. A server owns its frames and its event channels;
 * the frames stay with whoever has them mapped.
 */
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/phys.h"
#include "vdev/ioreq_finish.h"

#include <xen/hvm/hvm_op.h>
#include <xen/hvm/ioreq.h>

_Static_assert(sizeof(struct ioreq) * IOREQ_MAX_VCPUS == PAGE_SIZE, "a page of slots");
_Static_assert(sizeof(struct xenlite_ioreq_detail) * IOREQ_MAX_VCPUS == PAGE_SIZE, "and its details");

/* The byte of struct ioreq that holds state, data_is_ptr, dir and df: written as a whole, last. */
#define SLOT_STATE_BYTE 30
#define SLOT_STATE_MASK 0xf
#define SLOT_DIR_READ   BIT(5)

#define FRAME_BUFFERED 0

struct ioreq_server *ioreq_server_find(struct ioreq_domain *io, uint16_t id)
{
    for (unsigned i = 0; i < IOREQ_MAX_SERVERS; i++)
        if (io->server[i] && io->server[i]->id == id)
            return io->server[i];
    return NULL;
}

/* ---- pages ---- */

static uint8_t *state_byte(struct ioreq_server *s, const struct ioreq_vcpu *iv)
{
    return (uint8_t *)&s->slot[iv->id] + SLOT_STATE_BYTE;
}

static uint8_t slot_type(const struct ioreq_request *req)
{
    switch (req->kind) {
    case XENLITE_IOREQ_CONFIG:
    case XENLITE_IOREQ_MSI:
        return IOREQ_TYPE_PCI_CONFIG;
    case XENLITE_IOREQ_PORT:
        return IOREQ_TYPE_PIO;
    default:
        return IOREQ_TYPE_COPY;
    }
}

void ioreq_fill_detail(struct xenlite_ioreq_detail *out, const struct ioreq_request *req)
{
    out->address = req->address;
    out->message = req->message;
    out->hw_sbdf = req->hw_sbdf;
    out->guest_sbdf = req->guest_sbdf;
    out->index = req->index;
    out->kind = req->kind;
    out->waiting = 1;
    __atomic_store_n(&out->id, req->id, __ATOMIC_RELEASE);
}

void ioreq_show(struct ioreq_server *s, const struct ioreq_vcpu *iv, const struct ioreq_request *req)
{
    struct ioreq *slot = &s->slot[iv->id];

    slot->addr = req->addr;
    slot->data = req->data;
    slot->count = 1;
    slot->size = req->size;
    slot->vp_eport = s->port[iv->id];
    slot->type = slot_type(req);
    __atomic_store_n(state_byte(s, iv), STATE_IOREQ_READY | (req->read ? SLOT_DIR_READ : 0),
                     __ATOMIC_RELEASE);
    /* A device model that looks without being told goes by the detail's id: the slot is whole before it. */
    ioreq_fill_detail(&s->detail[iv->id], req);
}

void ioreq_hide(struct ioreq_server *s, const struct ioreq_vcpu *iv)
{
    __atomic_store_n(state_byte(s, iv), STATE_IOREQ_NONE, __ATOMIC_RELEASE);
    WRITE_ONCE(s->detail[iv->id].waiting, 0);
}

bool ioreq_answered(struct ioreq_server *s, const struct ioreq_vcpu *iv, uint64_t *data)
{
    uint8_t state = __atomic_load_n(state_byte(s, iv), __ATOMIC_ACQUIRE);

    *data = READ_ONCE(s->slot[iv->id].data);
    return (state & SLOT_STATE_MASK) == STATE_IORESP_READY;
}

/* ---- making and destroying ---- */

static void release(struct ioreq_domain *io, struct ioreq_server *s)
{
    for (unsigned i = 0; i < io->nr_vcpus; i++)
        if (s->port[i])
            ioreq_port_free(io->domain, s->port[i]);
    if (s->buffered_port)
        ioreq_port_free(io->domain, s->buffered_port);
    for (unsigned i = 0; i < IOREQ_FRAMES; i++)
        if (s->mfn[i] != INVALID_MFN)
            frame_free(s->mfn[i], 0);
    xfree(s);
}

static int take_frame(struct ioreq_domain *io, struct ioreq_server *s, unsigned i)
{
    s->mfn[i] = frame_alloc(0, io->domid, FRAME_ZERO | FRAME_SHARED);
    return s->mfn[i] == INVALID_MFN ? -ENOMEM : 0;
}

static int take_port(struct ioreq_domain *io, unsigned vcpu, uint32_t *port)
{
    int rc = ioreq_port_alloc(io->vcpu[vcpu]->v);

    if (rc < 0)
        return rc;
    *port = (uint32_t)rc;
    return 0;
}

static int furnish(struct ioreq_domain *io, struct ioreq_server *s, bool buffered)
{
    int rc = take_frame(io, s, XENLITE_IOREQ_FRAME_SLOTS);

    if (!rc)
        rc = take_frame(io, s, XENLITE_IOREQ_FRAME_DETAIL);
    if (!rc && buffered)
        rc = take_frame(io, s, FRAME_BUFFERED);
    if (!rc && buffered)
        rc = take_port(io, 0, &s->buffered_port);
    for (unsigned i = 0; i < io->nr_vcpus && !rc; i++)
        rc = take_port(io, i, &s->port[i]);
    if (rc)
        return rc;
    s->slot = mfn_to_virt(s->mfn[XENLITE_IOREQ_FRAME_SLOTS]);
    s->detail = mfn_to_virt(s->mfn[XENLITE_IOREQ_FRAME_DETAIL]);
    for (unsigned i = 0; i < io->nr_vcpus; i++)
        s->slot[i].vp_eport = s->port[i];
    return 0;
}

/* Takes server `i` out of the table; who waits for it is shown to others. Lock held. */
static struct ioreq_server *detach(struct ioreq_domain *io, unsigned i)
{
    struct ioreq_server *s = io->server[i];

    io->server[i] = NULL;
    ioreq_withdraw_all(io, s);
    ioreq_present_all(io);
    return s;
}

/* A server whose device model has gone: nobody else will destroy it. Lock held. */
static struct ioreq_server *detach_abandoned(struct ioreq_domain *io)
{
    for (unsigned i = 0; i < IOREQ_MAX_SERVERS; i++)
        if (io->server[i] && io->server[i]->abandoned)
            return detach(io, i);
    return NULL;
}

/* Lock held. */
static int insert(struct ioreq_domain *io, struct ioreq_server *s)
{
    unsigned place = 0;

    if (io->dying)
        return -ESRCH;
    while (place < IOREQ_MAX_SERVERS && io->server[place])
        place++;
    if (place == IOREQ_MAX_SERVERS)
        return -ENOSPC;
    do
        io->last_server++;
    while (io->last_server == XENLITE_IOREQ_NO_SERVER || ioreq_server_find(io, io->last_server));
    s->id = io->last_server;
    io->server[place] = s;
    io->had_server = true;
    return 0;
}

int ioreq_server_create(struct ioreq_domain *io, unsigned buffered, uint16_t *id)
{
    struct ioreq_server *s, *old;
    int rc;

    if (buffered > HVM_IOREQSRV_BUFIOREQ_ATOMIC || !io->nr_vcpus)
        return -EINVAL;
    s = xzalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    for (unsigned i = 0; i < IOREQ_FRAMES; i++)
        s->mfn[i] = INVALID_MFN;
    rc = furnish(io, s, buffered != HVM_IOREQSRV_BUFIOREQ_OFF);
    if (!rc) {
        spin_lock(&io->lock);
        old = detach_abandoned(io);
        rc = insert(io, s);
        spin_unlock(&io->lock);
        if (old)
            release(io, old);
    }
    if (rc)
        release(io, s);
    else
        *id = s->id;
    return rc;
}

int ioreq_server_destroy(struct ioreq_domain *io, uint16_t id)
{
    struct ioreq_server *s = NULL;

    spin_lock(&io->lock);
    for (unsigned i = 0; i < IOREQ_MAX_SERVERS && !s; i++)
        if (io->server[i] && io->server[i]->id == id)
            s = detach(io, i);
    spin_unlock(&io->lock);
    if (!s)
        return -ENOENT;
    release(io, s);
    return 0;
}

void ioreq_server_free_all(struct ioreq_domain *io)
{
    for (unsigned i = 0; i < IOREQ_MAX_SERVERS; i++) {
        struct ioreq_server *s;

        spin_lock(&io->lock);
        s = io->server[i];
        io->server[i] = NULL;
        spin_unlock(&io->lock);
        if (s)
            release(io, s);
    }
}

int ioreq_server_enable(struct ioreq_domain *io, uint16_t id, bool on)
{
    struct ioreq_server *s;

    spin_lock(&io->lock);
    s = ioreq_server_find(io, id);
    if (s) {
        s->enabled = on;
        s->abandoned = false;
        if (!on)
            ioreq_withdraw_all(io, s);
        ioreq_present_all(io);
    }
    spin_unlock(&io->lock);
    return s ? 0 : -ENOENT;
}

int ioreq_server_port(struct ioreq_domain *io, uint16_t id, uint32_t *buffered_port)
{
    const struct ioreq_server *s;

    spin_lock(&io->lock);
    s = ioreq_server_find(io, id);
    *buffered_port = s ? s->buffered_port : 0;
    spin_unlock(&io->lock);
    return s ? 0 : -ENOENT;
}

int ioreq_server_frame(struct ioreq_domain *io, uint16_t id, uint64_t frame, uint64_t *mfn)
{
    const struct ioreq_server *s;
    int rc = -EINVAL;

    spin_lock(&io->lock);
    s = ioreq_server_find(io, id);
    if (s && frame < IOREQ_FRAMES && s->mfn[frame] != INVALID_MFN &&
        page_get(s->mfn[frame], io->domid)) {
        *mfn = s->mfn[frame];
        rc = 0;
    }
    spin_unlock(&io->lock);
    return rc;
}

/* ---- ranges ---- */

static bool range_valid(unsigned kind, uint64_t first, uint64_t last)
{
    static const uint64_t limit[IOREQ_NR_RANGES] = { 0xffff, ~0ULL, 0xffffffff };

    return kind < IOREQ_NR_RANGES && first <= last && last <= limit[kind];
}

/* The first range that ends at or after `at`: its number, or that of the end. */
static unsigned range_at(const struct ioreq_server *s, unsigned kind, uint64_t at)
{
    unsigned i = 0;

    while (i < s->nr_ranges[kind] && s->range[kind][i].last < at)
        i++;
    return i;
}

static bool covers(const struct ioreq_server *s, unsigned kind, uint64_t first, uint64_t last)
{
    unsigned i = range_at(s, kind, first);

    return i < s->nr_ranges[kind] && s->range[kind][i].first <= first && last <= s->range[kind][i].last;
}

static void remove_range(struct ioreq_server *s, unsigned kind, unsigned i)
{
    struct ioreq_range *r = s->range[kind];

    s->nr_ranges[kind]--;
    memmove(&r[i], &r[i + 1], (s->nr_ranges[kind] - i) * sizeof(*r));
}

static int insert_range(struct ioreq_server *s, unsigned kind, unsigned i, struct ioreq_range new)
{
    struct ioreq_range *r = s->range[kind];

    if (s->nr_ranges[kind] == IOREQ_MAX_RANGES)
        return -ENOSPC;
    memmove(&r[i + 1], &r[i], (s->nr_ranges[kind] - i) * sizeof(*r));
    r[i] = new;
    s->nr_ranges[kind]++;
    return 0;
}

/* Neighbours become one range, so that a part that spans them can be taken away again. */
static int add_range(struct ioreq_server *s, unsigned kind, struct ioreq_range new)
{
    struct ioreq_range *r = s->range[kind];
    unsigned i = range_at(s, kind, new.first);

    if (i < s->nr_ranges[kind] && r[i].first <= new.last)
        return -EEXIST;
    if (i && r[i - 1].last + 1 == new.first) {
        r[i - 1].last = new.last;
        if (i < s->nr_ranges[kind] && new.last + 1 == r[i].first) {
            r[i - 1].last = r[i].last;
            remove_range(s, kind, i);
        }
        return 0;
    }
    if (i < s->nr_ranges[kind] && new.last + 1 == r[i].first) {
        r[i].first = new.first;
        return 0;
    }
    return insert_range(s, kind, i, new);
}

static int cut_range(struct ioreq_server *s, unsigned kind, struct ioreq_range cut)
{
    unsigned i = range_at(s, kind, cut.first);
    struct ioreq_range *r = &s->range[kind][i];
    struct ioreq_range rest = { cut.last + 1, r->last };

    if (!covers(s, kind, cut.first, cut.last))
        return -ENOENT;
    if (r->first == cut.first && r->last == cut.last) {
        remove_range(s, kind, i);
    } else if (r->first == cut.first) {
        r->first = cut.last + 1;
    } else if (r->last == cut.last) {
        r->last = cut.first - 1;
    } else {
        if (insert_range(s, kind, i + 1, rest))
            return -ENOSPC;
        s->range[kind][i].last = cut.first - 1;
    }
    return 0;
}

int ioreq_server_map(struct ioreq_domain *io, uint16_t id, unsigned kind, uint64_t first, uint64_t last)
{
    struct ioreq_server *s;
    int rc = -ENOENT;

    if (!range_valid(kind, first, last))
        return -EINVAL;
    spin_lock(&io->lock);
    s = ioreq_server_find(io, id);
    if (s)
        rc = add_range(s, kind, (struct ioreq_range){ first, last });
    if (!rc)
        ioreq_present_all(io);
    spin_unlock(&io->lock);
    return rc;
}

int ioreq_server_unmap(struct ioreq_domain *io, uint16_t id, unsigned kind, uint64_t first, uint64_t last)
{
    struct ioreq_server *s;
    int rc = -ENOENT;

    if (!range_valid(kind, first, last))
        return -EINVAL;
    spin_lock(&io->lock);
    s = ioreq_server_find(io, id);
    if (s)
        rc = cut_range(s, kind, (struct ioreq_range){ first, last });
    spin_unlock(&io->lock);
    return rc;
}

/* A function's requests go to whoever has it, those without one by address. */
static bool concerns(const struct ioreq_server *s, const struct ioreq_request *req)
{
    uint64_t last = req->addr + req->size - 1;

    switch (req->kind) {
    case XENLITE_IOREQ_PORT:
        return covers(s, IOREQ_RANGE_PORT, req->addr, last);
    case XENLITE_IOREQ_MEMORY:
        return covers(s, IOREQ_RANGE_MEMORY, req->addr, last);
    case XENLITE_IOREQ_MSIX:
        if (covers(s, IOREQ_RANGE_MEMORY, req->addr, last))
            return true;
        /* fall through */
    default:
        return covers(s, IOREQ_RANGE_PCI, req->guest_sbdf, req->guest_sbdf);
    }
}

/* The youngest: after a device model was started anew its predecessor may still be there. */
struct ioreq_server *ioreq_server_for(struct ioreq_domain *io, const struct ioreq_request *req)
{
    struct ioreq_server *best = NULL;

    for (unsigned i = 0; i < IOREQ_MAX_SERVERS; i++) {
        struct ioreq_server *s = io->server[i];

        if (!s || !s->enabled || s->abandoned || !concerns(s, req))
            continue;
        if (!best || (int16_t)(s->id - best->id) > 0)
            best = s;
    }
    return best;
}

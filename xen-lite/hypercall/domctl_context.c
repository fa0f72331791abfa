/* SPDX-License-Identifier: MIT */
/*
 * domctl: a domain's vCPUs as a stream of HVM save records. Supported are the header, registers, local
 * APICs and MTRRs; a record of another kind is refused.
 *
 * The vCPUs are held back meanwhile. Setting looks at everything before it changes anything.
 */
#include "cpu/context.h"
#include "cpu/cpuid.h"
#include "cpu/guest_mem.h"
#include "cpu/x86.h"
#include "domain/domain.h"
#include "hypercall/domctl_ops.h"
#include "hypercall/dominfo.h"
#include "irq/time.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/heap.h"

#include <xen/hvm/save.h>

/* No stream that makes sense is longer: all records of all vCPUs, twice. */
#define CONTEXT_MAX (2u * DOMAIN_MAX_VCPUS * 4096u)

union record {
    struct hvm_save_header header;
    struct hvm_hw_cpu cpu;
    struct hvm_hw_lapic lapic;
    struct hvm_hw_lapic_regs lapic_regs;
    struct hvm_hw_mtrr mtrr;
};

static uint64_t host_tsc(void)
{
#ifdef XL_HOST
    return 0;
#else
    return rdtsc();
#endif
}

static void hold_all(struct domain *d)
{
    struct vcpu *t;

    for_each_vcpu (d, t)
        sched_hold(t);
}

static void unhold_all(struct domain *d)
{
    struct vcpu *t;

    for_each_vcpu (d, t)
        sched_unhold(t);
}

static long may_look(const struct vcpu *v, const struct domain *d)
{
    if (d == v->domain)
        return -EINVAL;
    return READ_ONCE(d->dying) ? -ESRCH : 0;
}

/* ---- reading ---- */

/* Payload and length of a vCPU's record; 0 when there is none. */
static uint32_t make_record(struct vcpu *t, unsigned type, uint64_t tsc, union record *r)
{
    switch (type) {
    case HVM_SAVE_CODE(CPU):
        if (!vcpu_is_online(t))
            return 0;
        cpu_context_get(&t->cpu, tsc, &r->cpu);
        return sizeof(r->cpu);
    case HVM_SAVE_CODE(LAPIC):
        vlapic_save(&t->vlapic, &r->lapic);
        return sizeof(r->lapic);
    case HVM_SAVE_CODE(LAPIC_REGS):
        post_sync(t);
        vlapic_save_regs(&t->vlapic, &r->lapic_regs);
        return sizeof(r->lapic_regs);
    case HVM_SAVE_CODE(MTRR):
        cpu_mtrr_get(&t->cpu, &r->mtrr);
        return sizeof(r->mtrr);
    default:
        return 0;
    }
}

static void make_header(const struct domain *d, struct hvm_save_header *h)
{
    *h = (struct hvm_save_header){ .magic = HVM_FILE_MAGIC,
                                   .version = HVM_FILE_VERSION,
                                   .cpuid = cpuid_signature(d->cpu.cpuid),
                                   .gtsc_khz = tsc_khz() };
}

static const uint16_t vcpu_records[] = { HVM_SAVE_CODE(CPU), HVM_SAVE_CODE(LAPIC),
                                         HVM_SAVE_CODE(LAPIC_REGS), HVM_SAVE_CODE(MTRR) };

static bool is_vcpu_record(unsigned type)
{
    for (unsigned i = 0; i < ARRAY_SIZE(vcpu_records); i++)
        if (vcpu_records[i] == type)
            return true;
    return false;
}

struct stream {
    struct vcpu *v; /* the caller */
    uint64_t buffer;
    uint32_t size, used;
};

static long put_record(struct stream *s, unsigned type, unsigned instance, const void *payload,
                       uint32_t len)
{
    struct hvm_save_descriptor desc = { .typecode = (uint16_t)type,
                                        .instance = (uint16_t)instance,
                                        .length = len };

    if (s->size - s->used < sizeof(desc) + len)
        return -ENOSPC;
    if (copy_to_guest(s->v, s->buffer + s->used, &desc, sizeof(desc)) ||
        (len && copy_to_guest(s->v, s->buffer + s->used + sizeof(desc), payload, len)))
        return -EFAULT;
    s->used += (uint32_t)sizeof(desc) + len;
    return 0;
}

static long put_all(struct stream *s, struct domain *d, union record *r)
{
    uint64_t tsc = host_tsc();
    struct vcpu *t;
    long rc;

    make_header(d, &r->header);
    rc = put_record(s, HVM_SAVE_CODE(HEADER), 0, &r->header, sizeof(r->header));
    for (unsigned i = 0; i < ARRAY_SIZE(vcpu_records); i++) {
        for_each_vcpu (d, t) {
            uint32_t len = make_record(t, vcpu_records[i], tsc, r);

            if (!rc && len)
                rc = put_record(s, vcpu_records[i], t->id, r, len);
        }
    }
    return rc ? rc : put_record(s, HVM_SAVE_CODE(END), 0, NULL, 0);
}

static uint32_t stream_size(const struct domain *d)
{
    size_t a_vcpu = sizeof(struct hvm_hw_cpu) + sizeof(struct hvm_hw_lapic) +
                    sizeof(struct hvm_hw_lapic_regs) + sizeof(struct hvm_hw_mtrr) +
                    ARRAY_SIZE(vcpu_records) * sizeof(struct hvm_save_descriptor);

    return (uint32_t)(2 * sizeof(struct hvm_save_descriptor) + sizeof(struct hvm_save_header) +
                      d->max_vcpus * a_vcpu);
}

long domctl_get_hvmcontext(struct vcpu *v, struct domain *d, struct xen_domctl_hvmcontext *op)
{
    struct stream s = { .v = v, .buffer = (uint64_t)op->buffer.p, .size = op->size };
    union record *r;
    long rc = may_look(v, d);

    if (rc)
        return rc;
    if (!s.buffer) {
        op->size = stream_size(d);
        return 0;
    }
    if (op->size < stream_size(d))
        return -ENOSPC;
    r = xmalloc(sizeof(*r));
    if (!r)
        return -ENOMEM;
    hold_all(d);
    rc = put_all(&s, d, r);
    unhold_all(d);
    xfree(r);
    op->size = s.used;
    return rc;
}

long domctl_get_hvmcontext_partial(struct vcpu *v, struct domain *d,
                                   struct xen_domctl_hvmcontext_partial *op)
{
    union record *r;
    uint32_t len;
    long rc = may_look(v, d);

    if (rc)
        return rc;
    if (!is_vcpu_record(op->type))
        return -EINVAL;
    if (op->instance >= d->max_vcpus || !d->vcpu[op->instance])
        return -ENOENT;
    r = xmalloc(sizeof(*r));
    if (!r)
        return -ENOMEM;
    hold_all(d);
    len = make_record(d->vcpu[op->instance], op->type, host_tsc(), r);
    unhold_all(d);
    if (!len)
        rc = -ENODATA;
    else if (!op->buffer.p)
        rc = 0;
    else if (op->bufsz < len)
        rc = -ENOSPC;
    else
        rc = copy_to_guest(v, (uint64_t)op->buffer.p, r, len) ? -EFAULT : 0;
    op->bufsz = len;
    xfree(r);
    return rc;
}

/* ---- setting ---- */

static uint32_t record_length(unsigned type)
{
    switch (type) {
    case HVM_SAVE_CODE(HEADER):
        return sizeof(struct hvm_save_header);
    case HVM_SAVE_CODE(CPU):
        return sizeof(struct hvm_hw_cpu);
    case HVM_SAVE_CODE(LAPIC):
        return sizeof(struct hvm_hw_lapic);
    case HVM_SAVE_CODE(LAPIC_REGS):
        return sizeof(struct hvm_hw_lapic_regs);
    case HVM_SAVE_CODE(MTRR):
        return sizeof(struct hvm_hw_mtrr);
    default:
        return 0;
    }
}

/* The next record and its payload. -EINVAL for what is malformed or of an unknown kind; the end has
 * type END. */
static long take_record(struct stream *s, struct hvm_save_descriptor *desc, union record *r)
{
    if (s->size - s->used < sizeof(*desc))
        return -ENODATA;
    if (copy_from_guest(s->v, desc, s->buffer + s->used, sizeof(*desc)))
        return -EFAULT;
    s->used += (uint32_t)sizeof(*desc);
    if (desc->typecode == HVM_SAVE_CODE(END))
        return 0;
    if (!desc->length || desc->length != record_length(desc->typecode))
        return -EINVAL;
    if (s->size - s->used < desc->length)
        return -ENODATA;
    if (copy_from_guest(s->v, r, s->buffer + s->used, desc->length))
        return -EFAULT;
    s->used += desc->length;
    return 0;
}

static long check_record(struct domain *d, const struct hvm_save_descriptor *desc,
                         const union record *r)
{
    const struct vcpu *t;

    if (desc->typecode == HVM_SAVE_CODE(HEADER))
        return r->header.magic == HVM_FILE_MAGIC && r->header.version == HVM_FILE_VERSION ? 0
                                                                                          : -EINVAL;
    t = desc->instance < d->max_vcpus ? d->vcpu[desc->instance] : NULL;
    if (!t)
        return -EINVAL;
    switch (desc->typecode) {
    case HVM_SAVE_CODE(CPU):
        return cpu_context_check(&t->cpu, &r->cpu);
    case HVM_SAVE_CODE(LAPIC):
        return vlapic_check(&t->vlapic, &r->lapic);
    case HVM_SAVE_CODE(LAPIC_REGS):
        return vlapic_check_regs(&r->lapic_regs);
    default:
        return cpu_mtrr_check(&t->cpu, &r->mtrr);
    }
}

static void apply_record(struct domain *d, const struct hvm_save_descriptor *desc, uint64_t tsc,
                         const union record *r)
{
    struct vcpu *t = d->vcpu[desc->instance];

    switch (desc->typecode) {
    case HVM_SAVE_CODE(MTRR):
        cpu_mtrr_set(&t->cpu, &r->mtrr);
        break;
    case HVM_SAVE_CODE(LAPIC):
        vlapic_load(&t->vlapic, &r->lapic);
        break;
    case HVM_SAVE_CODE(LAPIC_REGS):
        vlapic_load_regs(&t->vlapic, &r->lapic_regs);
        break;
    default:
        cpu_context_set(&t->cpu, tsc, &r->cpu);
        vtime_update(t);
        WRITE_ONCE(t->initialised, true);
        WRITE_ONCE(t->wait_for_sipi, false);
        vcpu_wake(t);
        break;
    }
}

/* The stream is read twice, as it is hostile and too long to keep: what is applied has been checked
 * in this very pass. */
static long pass(struct stream s, struct domain *d, union record *r, bool apply)
{
    /*
     * TSCs in a stream belong to one moment. For a new domain that is its creation, when all of its
     * TSCs were 0, so that vCPUs which the stream does not name agree with those that it does.
     */
    uint64_t tsc = READ_ONCE(d->started) ? host_tsc() : d->tsc_base;
    struct hvm_save_descriptor desc;
    bool first = true;
    long rc;

    for (;;) {
        rc = take_record(&s, &desc, r);
        if (rc || desc.typecode == HVM_SAVE_CODE(END))
            return rc;
        if (first != (desc.typecode == HVM_SAVE_CODE(HEADER)))
            return -EINVAL;
        first = false;
        rc = check_record(d, &desc, r);
        if (rc)
            return rc;
        if (apply && desc.typecode != HVM_SAVE_CODE(HEADER))
            apply_record(d, &desc, tsc, r);
    }
}

long domctl_set_hvmcontext(struct vcpu *v, struct domain *d, const struct xen_domctl_hvmcontext *op)
{
    struct stream s = { .v = v, .buffer = (uint64_t)op->buffer.p, .size = op->size };
    union record *r;
    long rc = may_look(v, d);

    if (rc)
        return rc;
    if (op->size > CONTEXT_MAX)
        return -EINVAL;
    r = xmalloc(sizeof(*r));
    if (!r)
        return -ENOMEM;
    hold_all(d);
    rc = pass(s, d, r, false);
    if (!rc)
        rc = pass(s, d, r, true);
    unhold_all(d);
    xfree(r);
    return rc;
}

/* ---- the older structure, for debuggers: what of it a translated guest has ---- */

static void fill_user_regs(const struct hvm_hw_cpu *c, struct cpu_user_regs *u)
{
    u->rax = c->rax;
    u->rbx = c->rbx;
    u->rcx = c->rcx;
    u->rdx = c->rdx;
    u->rbp = c->rbp;
    u->rsi = c->rsi;
    u->rdi = c->rdi;
    u->rsp = c->rsp;
    u->r8 = c->r8;
    u->r9 = c->r9;
    u->r10 = c->r10;
    u->r11 = c->r11;
    u->r12 = c->r12;
    u->r13 = c->r13;
    u->r14 = c->r14;
    u->r15 = c->r15;
    u->rip = c->rip;
    u->rflags = c->rflags;
    u->cs = (uint16_t)c->cs_sel;
    u->ds = (uint16_t)c->ds_sel;
    u->es = (uint16_t)c->es_sel;
    u->fs = (uint16_t)c->fs_sel;
    u->gs = (uint16_t)c->gs_sel;
    u->ss = (uint16_t)c->ss_sel;
}

static void fill_context(const struct hvm_hw_cpu *c, bool online, struct vcpu_guest_context *g)
{
    memcpy(&g->fpu_ctxt, c->fpu_regs, MIN(sizeof(g->fpu_ctxt), sizeof(c->fpu_regs)));
    g->flags = VGCF_i387_valid | (online ? VGCF_online : 0);
    fill_user_regs(c, &g->user_regs);
    g->ctrlreg[0] = c->cr0;
    g->ctrlreg[2] = c->cr2;
    g->ctrlreg[3] = c->cr3;
    g->ctrlreg[4] = c->cr4;
    g->debugreg[0] = c->dr0;
    g->debugreg[1] = c->dr1;
    g->debugreg[2] = c->dr2;
    g->debugreg[3] = c->dr3;
    g->debugreg[6] = c->dr6;
    g->debugreg[7] = c->dr7;
    g->fs_base = c->fs_base;
    g->gs_base_kernel = c->gs_base;
    g->gs_base_user = c->shadow_gs;
}

long domctl_getvcpucontext(struct vcpu *v, struct domain *d,
                           const struct xen_domctl_vcpucontext *op)
{
    struct {
        struct hvm_hw_cpu cpu;
        struct vcpu_guest_context guest;
    } * m;
    struct vcpu *t;
    long rc = may_look(v, d);

    if (rc)
        return rc;
    t = op->vcpu < d->max_vcpus ? d->vcpu[op->vcpu] : NULL;
    if (!t)
        return op->vcpu < DOMAIN_MAX_VCPUS ? -ESRCH : -EINVAL;
    if (!READ_ONCE(t->initialised))
        return -ENODATA;
    m = xzalloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    sched_hold(t);
    cpu_context_get(&t->cpu, host_tsc(), &m->cpu);
    fill_context(&m->cpu, vcpu_is_online(t), &m->guest);
    sched_unhold(t);
    rc = copy_to_guest(v, (uint64_t)op->ctxt.p, &m->guest, sizeof(m->guest)) ? -EFAULT : 0;
    xfree(m);
    return rc;
}

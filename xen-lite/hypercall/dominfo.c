/* SPDX-License-Identifier: MIT */
/*
 * Descriptions of domains for the toolstack, see dominfo.h.
 */
#include "hypercall/dominfo.h"

#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/frame.h"

#define CPUMAP_MAX_BYTES 65536u

struct domain *domain_get_next(uint16_t from)
{
    struct domain *d, *found = NULL;

    domain_list_lock();
    for_each_domain (d) {
        if (d->domid < from)
            continue;
        domain_get(d);
        found = d;
        break;
    }
    domain_list_unlock();
    return found;
}

bool vcpu_is_online(const struct vcpu *v)
{
    return READ_ONCE(v->initialised) && !READ_ONCE(v->wait_for_sipi) && !READ_ONCE(v->sched.down);
}

static void vcpu_summary(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    bool running = false, blocked = true;
    struct vcpu *v;

    for_each_vcpu (d, v) {
        int state = sched_state(v);

        info->max_vcpu_id = v->id;
        info->cpu_time += vtime_cpu_time(v);
        if (!vcpu_is_online(v))
            continue;
        info->nr_online_vcpus++;
        running |= state == RUNSTATE_running;
        blocked &= state == RUNSTATE_blocked;
    }
    if (running)
        info->flags |= XEN_DOMINF_running;
    else if (blocked)
        info->flags |= XEN_DOMINF_blocked;
}

uint64_t domain_ram_pages(const struct domain *d)
{
    return READ_ONCE(d->p2m.frames[P2M_RAM_RW]) + READ_ONCE(d->p2m.frames[P2M_RAM_RO]);
}

void domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    memset(info, 0, sizeof(*info));
    info->domain = d->domid;
    info->flags = XEN_DOMINF_hvm_guest | XEN_DOMINF_hap;
    info->max_vcpu_id = XEN_INVALID_MAX_VCPU_ID;
    vcpu_summary(d, info);
    if (READ_ONCE(d->dying))
        info->flags |= XEN_DOMINF_dying;
    if (READ_ONCE(d->pause_count))
        info->flags |= XEN_DOMINF_paused;
    if (READ_ONCE(d->is_shut_down))
        info->flags |= XEN_DOMINF_shutdown | (uint32_t)d->shutdown_code << XEN_DOMINF_shutdownshift;
    info->tot_pages = domain_ram_pages(d);
    info->outstanding_pages = frames_staked(d->domid);
    /* "No limit" is what tools know as 32 bits of ones. */
    info->max_pages = MIN(READ_ONCE(d->max_pages), (uint64_t)UINT32_MAX);
    info->shared_info_frame = domain_shared_info_mfn(d);
    memcpy(info->handle, d->handle, sizeof(info->handle));
    info->gpaddr_bits = d->p2m.addr_bits;
    info->arch_config.emulation_flags = XEN_X86_EMU_LAPIC;
    if (d->control)
        info->arch_config.emulation_flags |= XEN_X86_EMU_IOAPIC | XEN_X86_EMU_VPCI;
}

static uint64_t online_mask(void)
{
    return nr_cpus >= 64 ? ~0ULL : BIT(nr_cpus) - 1;
}

int get_cpumap(struct vcpu *v, const struct xenctl_bitmap *src, uint64_t *map)
{
    uint32_t bits = MIN(src->nr_bits, 64u);
    uint64_t word = 0;

    if (bits && copy_from_guest(v, &word, (uint64_t)src->bitmap.p, DIV_ROUND_UP(bits, 8)))
        return -EFAULT;
    if (bits < 64)
        word &= BIT(bits) - 1;
    *map = word & online_mask();
    return 0;
}

int put_cpumap(struct vcpu *v, const struct xenctl_bitmap *dst, const uint64_t *map)
{
    uint32_t bytes = dst->nr_bits / 8 + (dst->nr_bits % 8 != 0);
    uint64_t gva = (uint64_t)dst->bitmap.p, zero = 0;
    uint64_t word = *map & online_mask();

    if (bytes > CPUMAP_MAX_BYTES)
        return -EINVAL;
    if (dst->nr_bits < 64)
        word &= BIT(dst->nr_bits) - 1;
    for (uint32_t done = 0; done < bytes; done += (uint32_t)sizeof(word)) {
        if (copy_to_guest(v, gva + done, done ? &zero : &word,
                          MIN((size_t)(bytes - done), sizeof(word))))
            return -EFAULT;
    }
    return 0;
}

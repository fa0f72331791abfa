/* SPDX-License-Identifier: MIT */
/*
 * platform_op: the control domain's questions about the machine and the setting of the wall clock.
 */
#include "acpi/acpi.h"
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/time.h"

#include <xen/platform.h>

#define NO_ACPI_ID 0xffffffffu

/* ---- processors ---- */

/*
 * ACPI's name of a processor; the table is parsed once, a few hundred bytes a time are not worth
 * it.
 */
static uint32_t acpi_id_of(uint32_t apic_id)
{
    static struct acpi_madt_info madt;
    static bool valid;
    static spinlock_t lock = SPINLOCK_INIT;
    uint32_t uid = NO_ACPI_ID;

    spin_lock(&lock);
    if (!valid)
        valid = acpi_get_madt(&madt) == 0;
    for (unsigned i = 0; valid && i < madt.nr_cpus; i++)
        if (madt.cpu[i].apic_id == apic_id)
            uid = madt.cpu[i].uid;
    spin_unlock(&lock);
    return uid;
}

static int get_cpuinfo(struct xenpf_pcpuinfo *info)
{
    const struct percpu *cpu;

    info->max_present = nr_cpus - 1;
    if (info->xen_cpuid >= nr_cpus) {
        info->flags = XEN_PCPU_FLAGS_INVALID;
        info->apic_id = info->acpi_id = NO_ACPI_ID;
        return 0;
    }
    cpu = percpu_of(info->xen_cpuid);
    info->flags = cpu->online ? XEN_PCPU_FLAGS_ONLINE : 0;
    info->apic_id = cpu->apicid;
    info->acpi_id = acpi_id_of(cpu->apicid);
    return 0;
}

/* ---- wall clock ---- */

static int settime64(const struct xenpf_settime64 *t)
{
    if (t->mbz || t->nsecs >= NS_PER_SEC || t->secs < t->system_time / NS_PER_SEC + 1)
        return -EINVAL;
    wallclock_set(t->secs, t->nsecs, t->system_time);
    return 0;
}

static int settime32(const struct xenpf_settime32 *t)
{
    struct xenpf_settime64 wide = { .secs = t->secs,
                                    .nsecs = t->nsecs,
                                    .system_time = t->system_time };

    return settime64(&wide);
}

long do_platform_op(struct vcpu *v, uint64_t argp, uint64_t a2, uint64_t a3, uint64_t a4,
                    uint64_t a5)
{
    struct xen_platform_op op;
    int rc;

    (void)a2;
    (void)a3;
    (void)a4;
    (void)a5;
    if (!v->domain->control)
        return -EPERM;
    if (copy_from_guest(v, &op, argp, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XENPF_INTERFACE_VERSION)
        return -EACCES;

    switch (op.cmd) {
    case XENPF_settime32:
        return settime32(&op.u.settime32);
    case XENPF_settime64:
        return settime64(&op.u.settime64);
    case XENPF_get_cpuinfo:
        rc = get_cpuinfo(&op.u.pcpu_info);
        break;
    default:
        return -ENOSYS;
    }
    if (rc == 0 && copy_to_guest(v, argp, &op, sizeof(op)))
        return -EFAULT;
    return rc;
}

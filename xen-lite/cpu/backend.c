/* SPDX-License-Identifier: MIT */
/*
 * Choosing the virtualisation backend at start-up, and what the vCPUs of a domain share: port permissions, MSR
 * permissions, CPUID policy.
 */
#include "cpu/vcpu.h"

#include "cpu/cpuid.h"
#include "cpu/cpuid_edit.h"
#include "cpu/msr.h"
#include "cpu/state.h"
#include "cpu/x86.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/phys.h"

#define IO_BITMAP_ORDER 2 /* CPU_IO_BITMAP_SIZE rounded up */

extern const struct cpu_backend svm_backend, vmx_backend;

static const struct cpu_backend *const backends[] = { &svm_backend, &vmx_backend };

int cpu_backend_init(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(backends); i++) {
        const char *reason = backends[i]->probe();

        if (!reason) {
            cpu_backend = backends[i];
            break;
        }
        pr_info("cpu: %s not used: %s", backends[i]->name, reason);
    }
    if (!cpu_backend) {
        pr_err("cpu: no virtualisation extension that can be used");
        return -ENODEV;
    }
    cpu_state_probe();
    msr_probe();
    pr_info("cpu: guests run on %s, extended state %#lx", cpu_backend->name, cpu_xcr0_max);
    return 0;
}

bool cpu_takes_posted(void)
{
    return cpu_backend->takes_posted && cpu_backend->takes_posted();
}

int cpu_init_this(void)
{
    cpu_state_init_this();
    return cpu_backend->cpu_init();
}

void cpu_exit_this(void)
{
    if (cpu_backend)
        cpu_backend->cpu_exit();
}

static void read_host_leaf(uint32_t leaf, uint32_t sub, struct cpuid_leaf *out)
{
    cpuid(leaf, sub, &out->a, &out->b, &out->c, &out->d);
    if (cpu_backend->cpuid_filter)
        cpu_backend->cpuid_filter(leaf, sub, out);
}

static int policy_init(struct cpu_domain *cd, const struct cpu_domain_config *cfg)
{
    struct cpuid_config cc = {
        .domid = cfg->domid,
        .nr_vcpus = cfg->nr_vcpus,
        .addr_bits = cfg->addr_bits,
        .tsc_khz = cfg->tsc_khz,
        .xcr0 = cpu_xcr0_max,
        .iommu = cfg->owns_devices,
        .read = read_host_leaf,
    };

    cd->cpuid = xmalloc(sizeof(*cd->cpuid));
    cd->cpuid_max = xmalloc(sizeof(*cd->cpuid));
    if (!cd->cpuid || !cd->cpuid_max) {
        xfree(cd->cpuid);
        xfree(cd->cpuid_max);
        cd->cpuid = cd->cpuid_max = NULL;
        return -ENOMEM;
    }
    cpuid_policy_build(cd->cpuid_max, &cc);
    *cd->cpuid = *cd->cpuid_max;
    return 0;
}

void cpu_machine_policy(struct cpuid_policy *out)
{
    struct cpuid_config cc = { .nr_vcpus = 1, .xcr0 = cpu_xcr0_max, .read = read_host_leaf };

    cpuid_policy_build(out, &cc);
}

int cpu_domain_init(struct cpu_domain *cd, const struct cpu_domain_config *cfg)
{
    uint64_t mfn = frame_alloc(IO_BITMAP_ORDER, OWNER_XEN, 0);
    int err;

    if (mfn == INVALID_MFN)
        return -ENOMEM;
    cd->io_bitmap = mfn_to_virt(mfn);
    memset(cd->io_bitmap, 0xff, CPU_IO_BITMAP_SIZE);
    cd->nr_vcpus = cfg->nr_vcpus;
    cd->control = cfg->control;
    cd->owns_devices = cfg->owns_devices;
    err = policy_init(cd, cfg);
    if (!err)
        err = cpu_backend->domain_init(cd);
    if (err) {
        xfree(cd->cpuid);
        xfree(cd->cpuid_max);
        frame_free(mfn, IO_BITMAP_ORDER);
        memset(cd, 0, sizeof(*cd));
    }
    return err;
}

void cpu_domain_destroy(struct cpu_domain *cd)
{
    cpu_backend->domain_destroy(cd);
    frame_free(virt_to_mfn(cd->io_bitmap), IO_BITMAP_ORDER);
    xfree(cd->cpuid);
    xfree(cd->cpuid_max);
    memset(cd, 0, sizeof(*cd));
}

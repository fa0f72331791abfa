/* SPDX-License-Identifier: MIT */
/*
 * Builds a PVH guest with libxenguest (build.h). The order of the calls is the one that the library
 * and the hypervisor expect: image, domain, limits, memory, tables, contents, registers.
 */
#include "build.h"

#include <cpuid.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/hvm/params.h>
#include <xenctrl.h>
#include <xenguest.h>

#include "../libs/acpi_build.h"
#include "../libs/xenlite.h"
#include "../libs/xenlite_sched.h"
#include "kernel_trim.h"
#include "xl.h"

#define MIB  ((uint64_t)1 << 20)
#define GIB4 ((uint64_t)1 << 32)
#define IMAGE_SLACK                                                                                \
    (2 * MIB) /* start info, command line, and page tables of the guest's first steps */

/* What the memory map of a guest has at most: RAM below and above, tables, ECAM. */
#define MEMORY_MAP_MAX 4

/*
 * Local APIC, ACPI tables and the library's special pages lie above this, and of a guest with PCI the windows of its root: RAM
 * goes around it.
 */
static uint64_t hole_start(const struct build *b)
{
    return b->cfg->pci_root ? XENLITE_PCI_MMIO_BASE : GUEST_ACPI_ADDRESS;
}

static int fail_at(struct build *b, int line, const char *what)
{
    const int error = errno;

    if (xl.last[0] != '\0') {
        guest_cfg_error(b->cfg, stderr, line, "%s: %s", what, xl.last);
    } else {
        guest_cfg_error(b->cfg, stderr, line, "%s: %s", what, strerror(error));
    }
    xl.last[0] = '\0';
    errno = error;
    return -1;
}

/* Does the machine have what the guest asks for? */
static int check_machine(struct build *b)
{
    const struct guest_cfg *cfg = b->cfg;
    xc_physinfo_t phys;
    uint64_t page_tables_kb;

    if (xc_physinfo(xl.xch, &phys) != 0) {
        return xl_hv_error("cannot ask what the machine has");
    }
    if ((phys.capabilities & XEN_SYSCTL_PHYSCAP_hvm) == 0) {
        return xl_error("this machine cannot run guests of type pvh (no hardware virtualisation)");
    }
    b->hap = (phys.capabilities & XEN_SYSCTL_PHYSCAP_hap) != 0;
    b->grant_v2 = (phys.capabilities & XEN_SYSCTL_PHYSCAP_gnttab_v2) != 0;
    for (unsigned i = 0; i < cfg->nr_pins; i++) {
        if (!cpu_set_is_all(&cfg->pins[i], CPU_SET_MAX) &&
            cpu_set_last(&cfg->pins[i]) > phys.max_cpu_id) {
            guest_cfg_error(cfg, stderr, cfg->cpus_line, "cpus: there is no CPU %u, the last is %u",
                            cpu_set_last(&cfg->pins[i]), phys.max_cpu_id);
            return -1;
        }
    }
    /* Page tables: 8 bytes a page, and one page of each kind a vCPU. */
    page_tables_kb = cfg->memory_mb * 2ull + 256ull * cfg->maxvcpus;
    b->need_kb = cfg->memory_mb * 1024ull + page_tables_kb;
    b->free_kb = phys.free_pages * (XC_PAGE_SIZE / 1024);
    if (b->need_kb > b->free_kb) {
        guest_cfg_error(cfg, stderr, cfg->memory_line,
                        "memory = %u: the guest needs %" PRIu64 " MiB, and %" PRIu64
                        " MiB are free",
                        cfg->memory_mb, b->need_kb / 1024, b->free_kb / 1024);
        return -1;
    }
    return 0;
}

static int find_cached(struct build *b)
{
    int rc = kernel_cache_find(KERNEL_CACHE_DIR, b->key, &b->cached);

    /* Without a ramdisk behind it, the library would put the start info where the kernel's zeros
     * were cut off. */
    if (rc == 0 && b->cached.end != 0 && b->cfg->ramdisk == NULL) {
        rc = kernel_untrim(b->cached.map, b->cached.size, b->cached.end);
        if (rc != 0) {
            kernel_cache_release(&b->cached);
        }
    }
    return rc;
}

static int load_kernel(struct build *b)
{
    int rc;

    if (kernel_cache_key(b->cfg->kernel, b->key) != 0) {
        b->key[0] = '\0';
    }
    if (b->key[0] != '\0' && find_cached(b) == 0) {
        rc = xc_dom_kernel_mem(b->dom, b->cached.map, b->cached.size);
    } else {
        rc = xc_dom_kernel_file(b->dom, b->cfg->kernel);
    }
    if (rc != 0) {
        return fail_at(b, b->cfg->kernel_line, "kernel cannot be read");
    }
    b->kernel_file_size = b->dom->kernel_size;
    if (b->cfg->ramdisk != NULL && xc_dom_module_file(b->dom, b->cfg->ramdisk, NULL) != 0) {
        return fail_at(b, b->cfg->ramdisk_line, "ramdisk cannot be read");
    }
    return 0;
}

/* Kernel, ramdisk and the rest must fit into the RAM below the hole. */
static int place_image(struct build *b)
{
    struct xc_dom_image *dom = b->dom;
    const uint64_t ram = b->cfg->memory_mb * MIB;
    const uint64_t low = ram < hole_start(b) ? ram : hole_start(b);
    const uint64_t end =
        b->cached.end > dom->kernel_seg.vend ? b->cached.end : dom->kernel_seg.vend;

    if (dom->kernel_seg.vstart >= end || end > low || low - end < IMAGE_SLACK) {
        guest_cfg_error(b->cfg, stderr, b->cfg->memory_line,
                        "memory = %u: the kernel alone needs %" PRIu64 " MiB", b->cfg->memory_mb,
                        end / MIB + 1 + IMAGE_SLACK / MIB);
        return -1;
    }
    b->kernel_end = end;
    if (dom->num_modules > 0) {
        /* A place of our own choice: the library then loads the ramdisk as it is, and the guest
         * unpacks it. */
        const uint64_t start = (end + XC_PAGE_SIZE - 1) & ~(uint64_t)(XC_PAGE_SIZE - 1);

        if (dom->modules[0].size > low || low - dom->modules[0].size < start + IMAGE_SLACK) {
            guest_cfg_error(b->cfg, stderr, b->cfg->ramdisk_line,
                            "ramdisk: its %" PRIu64
                            " MiB and the kernel do not fit into memory = %u",
                            dom->modules[0].size / MIB + 1, b->cfg->memory_mb);
            return -1;
        }
        dom->modules[0].seg.vstart = start;
    }
    return 0;
}

static void describe_memory(struct build *b)
{
    struct xc_dom_image *dom = b->dom;
    const uint64_t ram = b->cfg->memory_mb * MIB, hole = hole_start(b);

    dom->container_type = XC_DOM_HVM_CONTAINER;
    dom->device_model = false;
    dom->vga_hole_size = 0;
    dom->max_vcpus = b->cfg->maxvcpus;
    dom->claim_enabled = 1;
    dom->target_pages = ram >> XC_PAGE_SHIFT;
    dom->mmio_start = hole;
    dom->mmio_size = GIB4 - hole;
    dom->lowmem_end = ram < hole ? ram : hole;
    dom->highmem_end = ram < hole ? 0 : GIB4 + ram - hole;
    dom->console_domid = 0;
    dom->xenstore_domid = 0;
}

int build_prepare(struct build *b, const struct guest_cfg *cfg)
{
    memset(b, 0, sizeof(*b));
    b->cfg = cfg;
    if (check_machine(b) != 0) {
        return -1;
    }
    b->dom = xc_dom_allocate(xl.xch, cfg->cmdline, NULL);
    if (b->dom == NULL) {
        return xl_error("out of memory");
    }
    describe_memory(b);
    if (xc_dom_kernel_max_size(b->dom, BUILD_KERNEL_MAX) != 0 || load_kernel(b) != 0) {
        return -1;
    }
    if (xc_dom_boot_xen_init(b->dom, xl.xch, 0) != 0) {
        return xl_hv_error("the hypervisor does not say what guests it runs");
    }
    if (xc_dom_parse_image(b->dom) != 0) {
        return fail_at(b, b->cfg->kernel_line, "this kernel cannot be a pvh guest's");
    }
    return place_image(b);
}

static int create_domain(struct build *b)
{
    struct xen_domctl_createdomain config = {
        .flags = XEN_DOMCTL_CDF_hvm | (b->hap ? XEN_DOMCTL_CDF_hap : 0) | XEN_DOMCTL_CDF_oos_off |
                 (b->cfg->pci_root ? XEN_DOMCTL_CDF_iommu : 0),
        .max_vcpus = b->cfg->maxvcpus,
        .max_evtchn_port = 1023,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = XEN_DOMCTL_GRANT_version(b->grant_v2 ? 2 : 1),
        .arch.emulation_flags = XEN_X86_EMU_LAPIC,
    };

    memcpy(config.handle, b->cfg->uuid, sizeof(config.handle));
    if (xc_domain_create(xl.xch, &b->domid, &config) != 0) {
        b->domid = 0;
        return xl_hv_error("cannot create a domain");
    }
    b->dom->guest_domid = b->domid;
    return 0;
}

/* Shadow or HAP memory, as libxl reckons it; hypervisors that need none do not have the call. */
static int set_paging_memory(struct build *b)
{
    const uint64_t kb = 4ull * (256ull * b->cfg->maxvcpus + 2ull * b->cfg->maxmem_mb);

    if (xc_set_paging_mempool_size(xl.xch, b->domid, ((kb + 1023) / 1024) * MIB) != 0 &&
        errno != ENOSYS && errno != EOPNOTSUPP) {
        return xl_hv_error("cannot give memory for page tables");
    }
    xl.last[0] = '\0';
    return 0;
}

static int set_affinity(struct build *b)
{
    const struct guest_cfg *cfg = b->cfg;
    const int size = cfg->nr_pins > 0 ? xc_get_cpumap_size(xl.xch) : 0;

    for (unsigned vcpu = 0; vcpu < cfg->maxvcpus && cfg->nr_pins > 0; vcpu++) {
        xc_cpumap_t hard = xc_cpumap_alloc(xl.xch);
        int rc;

        if (cfg->nr_pins > 1 && vcpu >= cfg->nr_pins) {
            free(hard);
            break;
        }
        if (hard == NULL) {
            return xl_error("out of memory");
        }
        for (int cpu = 0; cpu < size * 8; cpu++) {
            if (cpu_set_test(&cfg->pins[cfg->nr_pins > 1 ? vcpu : 0], (unsigned)cpu)) {
                xc_cpumap_setcpu(cpu, hard);
            }
        }
        rc = xc_vcpu_setaffinity(xl.xch, b->domid, (int)vcpu, hard, NULL, XEN_VCPUAFFINITY_HARD);
        free(hard);
        if (rc != 0) {
            return xl_hv_error("cannot bind vCPU %u to its CPUs", vcpu);
        }
    }
    return 0;
}

static int dedicate_cpus(struct build *b)
{
    uint64_t cpus[XENLITE_SCHED_CPUS / 64] = { 0 };

    if (!b->cfg->dedicated_cpus) {
        return 0;
    }
    for (unsigned i = 0; i < b->cfg->nr_pins; i++) {
        const unsigned cpu = cpu_set_last(&b->cfg->pins[i]);

        cpus[cpu / 64 % (XENLITE_SCHED_CPUS / 64)] |= 1ull << (cpu % 64); /* checked: it exists */
    }
    if (xenlite_sched_dedicate(xl.xch, b->domid, cpus) == 0) {
        return 0;
    }
    if (errno == ENOSYS) {
        return xl_error("dedicated_cpus: this hypervisor has no dedicated CPUs");
    }
    if (errno == EBUSY) {
        guest_cfg_error(b->cfg, stderr, b->cfg->cpus_line,
                        "cpus: another domain has one of these CPUs to itself, or runs nowhere else");
        return -1;
    }
    return xl_error("cannot dedicate CPUs: %s", strerror(errno));
}

static int set_weight(struct build *b)
{
    int scheduler = 0, rc = -1;

    if (b->cfg->cpu_weight == 0) {
        return 0;
    }
    if (xc_sched_id(xl.xch, &scheduler) != 0) {
        return xl_hv_error("cannot ask for the scheduler");
    }
    if (scheduler == XEN_SCHEDULER_CREDIT2) {
        struct xen_domctl_sched_credit2 params = { 0 };

        rc = xc_sched_credit2_domain_get(xl.xch, b->domid, &params);
        params.weight = (uint16_t)b->cfg->cpu_weight;
        rc = rc == 0 ? xc_sched_credit2_domain_set(xl.xch, b->domid, &params) : rc;
    } else if (scheduler == XEN_SCHEDULER_CREDIT) {
        struct xen_domctl_sched_credit params = { 0 };

        rc = xc_sched_credit_domain_get(xl.xch, b->domid, &params);
        params.weight = (uint16_t)b->cfg->cpu_weight;
        rc = rc == 0 ? xc_sched_credit_domain_set(xl.xch, b->domid, &params) : rc;
    } else {
        xl_warn("cpu_weight has no effect: the hypervisor's scheduler knows no weights");
        return 0;
    }
    return rc == 0 ? 0 : xl_hv_error("cannot set the weight");
}

static int open_channels(struct build *b)
{
    const int store = xc_evtchn_alloc_unbound(xl.xch, b->domid, 0);
    const int console = store < 0 ? -1 : xc_evtchn_alloc_unbound(xl.xch, b->domid, 0);

    if (console < 0) {
        return xl_hv_error("cannot open the guest's event channels");
    }
    b->store_port = (uint32_t)store;
    b->console_port = (uint32_t)console;
    b->dom->xenstore_evtchn = b->store_port;
    b->dom->console_evtchn = b->console_port;
    return 0;
}

static int set_limits(struct build *b)
{
    if (xc_domain_max_vcpus(xl.xch, b->domid, b->cfg->maxvcpus) != 0) {
        return xl_hv_error("cannot give the domain %u vCPUs", b->cfg->maxvcpus);
    }
    /* One MiB more than the guest's RAM: special pages and tables. */
    if (xc_domain_setmaxmem(xl.xch, b->domid, b->cfg->maxmem_mb * 1024ull + 1024) != 0) {
        return xl_hv_error("cannot set the memory limit");
    }
    if (xc_hvm_param_set(xl.xch, b->domid, HVM_PARAM_TIMER_MODE, b->cfg->timer_mode) != 0) {
        return xl_hv_error("cannot set the timer mode");
    }
    if (xc_domain_set_tsc_info(xl.xch, b->domid, b->cfg->tsc_mode, 0, 0, 0) != 0) {
        return xl_hv_error("cannot set the TSC mode");
    }
    return 0;
}

/* Invariant TSC is for guests whose TSC is left alone, on a machine that has it (AMD APM vol 3,
 * E.4.7). */
static bool wants_invariant_tsc(const struct guest_cfg *cfg)
{
    unsigned a, b, c, d;

    return cfg->tsc_mode == 2 && __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 &&
           (d & (1u << 8)) != 0;
}

int build_create(struct build *b)
{
    if (create_domain(b) != 0 || set_limits(b) != 0 || set_paging_memory(b) != 0 ||
        dedicate_cpus(b) != 0 || set_affinity(b) != 0 || set_weight(b) != 0 || open_channels(b) != 0) {
        return -1;
    }
    if (b->cfg->pci_root && xenlite_pci_root(xl.xch, b->domid) != 0) {
        return xl_hv_error("cannot give the guest a PCI root");
    }
    if (xc_cpuid_apply_policy(xl.xch, b->domid, false, NULL, 0, true, wants_invariant_tsc(b->cfg),
                              false, NULL, NULL) != 0) {
        return xl_hv_error("cannot set what CPU the guest sees");
    }
    return 0;
}

static int give_tables(struct build *b)
{
    const struct guest_acpi guest = { GUEST_ACPI_ADDRESS, b->cfg->vcpus, b->cfg->maxvcpus,
                                      b->cfg->pci_root };
    const size_t size = guest_acpi_size(b->cfg->maxvcpus, b->cfg->pci_root);
    struct xc_hvm_firmware_module *module = &b->dom->acpi_modules[0];

    b->acpi = calloc(1, size);
    if (b->acpi == NULL || guest_acpi_build(b->acpi, size, &guest) != 0) {
        return xl_error("cannot make the ACPI tables");
    }
    module->data = b->acpi;
    module->length = (uint32_t)size;
    module->guest_addr_out = GUEST_ACPI_ADDRESS;
    return 0;
}

static int give_memory_map(struct build *b)
{
    struct xc_dom_image *dom = b->dom;
    struct e820entry *map = xc_dom_malloc(dom, MEMORY_MAP_MAX * sizeof(*map));
    const uint64_t tables =
        (b->dom->acpi_modules[0].length + XC_PAGE_SIZE - 1) & ~(uint64_t)(XC_PAGE_SIZE - 1);
    uint32_t n = 0;

    if (map == NULL) {
        return xl_error("out of memory");
    }
    map[n++] = (struct e820entry){ .addr = 0, .size = dom->lowmem_end, .type = 1 };
    /* Kernels use an ECAM early only when the map says that it is reserved. */
    if (b->cfg->pci_root) {
        map[n++] = (struct e820entry){ .addr = XENLITE_PCI_ECAM_BASE,
                                       .size = XENLITE_PCI_ECAM_SIZE,
                                       .type = 2 };
    }
    map[n++] = (struct e820entry){ .addr = GUEST_ACPI_ADDRESS, .size = tables, .type = 3 };
    if (dom->highmem_end > GIB4) {
        map[n++] = (struct e820entry){ .addr = GIB4, .size = dom->highmem_end - GIB4, .type = 1 };
    }
    dom->e820 = map;
    dom->e820_entries = n;
    if (xc_domain_set_memory_map(xl.xch, b->domid, map, n) != 0) {
        return xl_hv_error("cannot set the memory map");
    }
    return 0;
}

static int set_parameters(struct build *b)
{
    const bool store = xl_store_works();

    /* A guest that finds a store waits for it: without a xenstored it must see none. */
    if (xc_hvm_param_set(xl.xch, b->domid, HVM_PARAM_CONSOLE_EVTCHN, b->console_port) != 0 ||
        xc_hvm_param_set(xl.xch, b->domid, HVM_PARAM_STORE_EVTCHN, store ? b->store_port : 0) !=
            0 ||
        (!store && xc_hvm_param_set(xl.xch, b->domid, HVM_PARAM_STORE_PFN, 0) != 0)) {
        return xl_hv_error("cannot set the guest's parameters");
    }
    b->console_gfn = b->dom->console_pfn;
    b->store_gfn = b->dom->xenstore_pfn;
    return 0;
}

int build_fill(struct build *b)
{
    struct xc_dom_image *dom = b->dom;

    if (xc_dom_rambase_init(dom, 0) != 0 || xc_dom_mem_init(dom, b->cfg->memory_mb) != 0 ||
        xc_dom_boot_mem_init(dom) != 0) {
        return xl_hv_error("cannot give the guest its memory");
    }
    if (give_tables(b) != 0) {
        return -1;
    }
    if (xc_dom_build_image(dom) != 0) {
        return xl_hv_error("cannot load the kernel");
    }
    if (give_memory_map(b) != 0) {
        return -1;
    }
    if (xc_dom_boot_image(dom) != 0) {
        return xl_hv_error("cannot set the guest's first state");
    }
    if (xc_dom_gnttab_init(dom) != 0) {
        return xl_hv_error("cannot grant the guest's console");
    }
    return set_parameters(b);
}

void build_keep_kernel(struct build *b)
{
    int rc;

    /* What the library did not unpack is its file's own contents: nothing to gain. */
    if (b->cached.map != NULL || b->key[0] == '\0' || b->dom == NULL ||
        b->dom->kernel_size <= b->kernel_file_size) {
        return;
    }
    rc = kernel_cache_keep(KERNEL_CACHE_DIR, b->key, b->dom->kernel_blob, b->dom->kernel_size);
    if (rc != 0 && xl.verbose > 0) {
        xl_warn("the unpacked kernel is not kept in %s: %s", KERNEL_CACHE_DIR, strerror(-rc));
    }
}

void build_release(struct build *b)
{
    if (b->dom != NULL) {
        xc_dom_release(b->dom);
    }
    kernel_cache_release(&b->cached);
    free(b->acpi);
    b->dom = NULL;
    b->acpi = NULL;
}

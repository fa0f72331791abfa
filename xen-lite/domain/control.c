/* SPDX-License-Identifier: MIT */
/*
 * Builds the control domain: its share of the machine's memory at the machine's own addresses, the kernel and initrd that
 * the boot loader brought, start info and ACPI tables, ports, IO-APICs and every PCI function. Boot only; what makes the domain impossible
 * ends in a panic that says why.
 */
#include "lib/types.h"

#include <xen/sched.h>

#include "acpi/acpi.h"
#include "boot/bootmem.h"
#include "boot/cmdline.h"
#include "boot/console.h"
#include "boot/multiboot.h"
#include "domain/bzimage.h"
#include "domain/control_map.h"
#include "domain/domain.h"
#include "domain/pvh_elf.h"
#include "domain/start_info.h"
#include "irq/ioapic.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "mm/frame.h"
#include "mm/heap.h"
#include "mm/phys.h"
#include "vdev/pci.h"
#include "vdev/pci_topo.h"

#define CONTROL_EVTCHN_PORTS 4096
#define CONTROL_GRANT_FRAMES 64
#define CONTROL_MAPTRACK_FRAMES 1024
#define CONTROL_MEM_MIN (64UL << 20)

static struct acpi_madt_info madt;

static unsigned vcpus_wanted(void)
{
    unsigned n = nr_cpus;

    if (cmdline_uint("control_vcpus", &n) == -EINVAL)
        pr_warn("control_vcpus: not a number; %u taken", nr_cpus);
    return n == 0 || n > DOMAIN_MAX_VCPUS ? nr_cpus : n;
}

static struct domain *create(void)
{
    struct domain_config cfg = {
        .domid = CONTROL_DOMID,
        .control = true,
        .max_vcpus = vcpus_wanted(),
        .max_evtchn_ports = CONTROL_EVTCHN_PORTS,
        .max_grant_frames = CONTROL_GRANT_FRAMES,
        .max_maptrack_frames = CONTROL_MAPTRACK_FRAMES,
    };
    int err = domain_create(&cfg, &control_domain);

    if (err)
        panic("cannot create the control domain: error %d", err);
    return control_domain;
}

/* ---- kernel and initrd ---- */

struct image_places {
    uint64_t initrd, initrd_size;
    uint64_t entry;
};

struct placer {
    const struct ctl_layout *layout;
};

static int place_segment(void *ctx, uint64_t gpa, const void *src, size_t filesz, size_t memsz)
{
    const struct placer *p = ctx;

    if (!ctl_layout_is_ram(p->layout, gpa, memsz)) {
        pr_err("the kernel wants %#lx bytes at %#lx, which is not the control domain's RAM", memsz, gpa);
        return -ERANGE;
    }
    memcpy(phys_to_virt(gpa), src, filesz);
    memset((char *)phys_to_virt(gpa) + filesz, 0, memsz - filesz);
    return 0;
}

static void move_initrd(struct ctl_layout *l, const struct boot_info *bi, struct image_places *pl)
{
    const struct boot_module *m = &bi->mod[1];

    if (bi->nr_mods < 2)
        return;
    pl->initrd_size = m->end - m->start;
    pl->initrd = ctl_layout_take(l, pl->initrd_size, CTL_LOW_4G);
    if (!pl->initrd)
        panic("no room for the initrd of %lu KiB in the control domain's memory", pl->initrd_size >> 10);
    memcpy(phys_to_virt(pl->initrd), phys_to_virt(m->start), pl->initrd_size);
}

static void load_kernel(struct ctl_layout *l, const struct boot_info *bi, struct image_places *pl)
{
    const struct boot_module *m = &bi->mod[0];
    struct kernel_image image;
    struct pvh_elf elf;
    struct placer placer = { l };
    uint64_t tmp, begin = now_ns();
    size_t len;
    void *work;
    int err = kernel_image_parse(phys_to_virt(m->start), m->end - m->start, &image);

    if (err)
        panic("the first module is not a Linux kernel that can be loaded (error %d)", err);
    pr_info("Control domain's kernel: %s", image.version[0] ? image.version : "ELF");
    tmp = ctl_layout_take(l, image.unpacked_len, CTL_LOW_4G);
    work = xmalloc(KERNEL_UNPACK_WORK);
    if (!tmp || !work)
        panic("no room to unpack a kernel of %lu KiB", image.unpacked_len >> 10);
    err = kernel_image_unpack(&image, phys_to_virt(tmp), image.unpacked_len, &len, work);
    xfree(work);
    if (err)
        panic("the kernel cannot be unpacked (error %d)", err);
    err = pvh_elf_parse(phys_to_virt(tmp), len, &elf);
    if (err)
        panic(err == -ENOENT ? "the kernel has no PVH entry point" : "the kernel's ELF file is malformed");
    if (ctl_layout_is_busy(l, elf.start, elf.end - elf.start))
        panic("the kernel at %#lx..%#lx does not fit beside what must stay in memory; give it more "
              "with control_mem=",
              elf.start, elf.end);
    err = pvh_elf_load(phys_to_virt(tmp), len, place_segment, &placer);
    if (err)
        panic("the kernel cannot be placed in the control domain's memory (error %d)", err);
    pl->entry = elf.entry;
    pr_info("Kernel of %zu KiB at %#lx, unpacked in %llu ms", len >> 10, elf.start,
            (now_ns() - begin) / NS_PER_MS);
}

/* ---- what the kernel is told ---- */

static uint64_t write_start_info(struct ctl_layout *l, const struct boot_info *bi,
                                 const struct image_places *pl)
{
    struct start_info_args args = {
        .cmdline = bi->mod[0].cmdline,
        .initrd = pl->initrd,
        .initrd_size = pl->initrd_size,
        .rsdp = l->acpi,
        .memmap = l->map,
        .nr_memmap = l->nr,
        .control = true,
    };
    size_t size = start_info_size(&args);
    uint64_t gpa = ctl_layout_take(l, size, CTL_LOW_1G);

    if (!gpa || start_info_build(&args, phys_to_virt(gpa), size, gpa))
        panic("no room for the control domain's start info");
    return gpa;
}

static void write_acpi(struct ctl_layout *l, const struct ctl_acpi_args *args)
{
    if (ctl_acpi_build(args, phys_to_virt(l->acpi), l->acpi_size, l->acpi))
        panic("the control domain's ACPI tables cannot be built");
}

static void keep_memmap(struct domain *d, const struct ctl_layout *l)
{
    d->nr_memmap = l->nr;
    for (unsigned i = 0; i < l->nr; i++)
        d->memmap[i] = (struct domain_memmap_entry){ l->map[i].base, l->map[i].len, l->map[i].type };
}

/* ---- devices ---- */

static void setup_ports(struct domain *d)
{
    /*
     * Interrupt controllers and timers are the hypervisor's: reads give ones, and Linux then does without them. CF8-CFF belong
     * to vPCI. Everything else is the control domain's own.
     */
    static const uint16_t denied[][2] = {
        { 0x20, 0x21 }, { 0xa0, 0xa1 }, { 0x4d0, 0x4d1 }, { 0x40, 0x43 }, { 0x61, 0x61 }, { 0xcf8, 0xcff },
    };
    struct acpi_fadt_info fadt;
    uint16_t first, last;

    cpu_iobitmap_allow(&d->cpu, 0, 0xffff);
    for (unsigned i = 0; i < ARRAY_SIZE(denied); i++)
        cpu_iobitmap_deny(&d->cpu, denied[i][0], denied[i][1]);
    if (domain_hide_pit(d))
        panic("no memory for the control domain's ports");
    if (console_ports(&first, &last))
        cpu_iobitmap_deny(&d->cpu, first, last);
    /* As a clock the PM timer would be read through an exit each time; without it Linux takes the paravirtual one. */
    if (!acpi_get_fadt(&fadt) && fadt.pm_timer.address && fadt.pm_timer.address < 0xfffc)
        cpu_iobitmap_deny(&d->cpu, (uint16_t)fadt.pm_timer.address,
                          (uint16_t)(fadt.pm_timer.address + 3));
}

static void map_rmrrs(struct domain *d, uint32_t sbdf)
{
    uint64_t start, end;

    for (unsigned n = 0; iommu_rmrr_for(sbdf, n, &start, &end); n++) {
        uint64_t first = start >> PAGE_SHIFT, nr = (end >> PAGE_SHIFT) - first + 1;

        for (uint64_t gfn = first; gfn < first + nr; gfn++)
            if (p2m_lookup(&d->p2m, gfn, NULL, NULL) == INVALID_MFN &&
                p2m_map(&d->p2m, gfn, gfn, 0, P2M_FIRMWARE))
                pr_warn(PCI_FMT ": reserved memory at %#lx cannot be mapped", PCI_ARG(sbdf),
                        gfn << PAGE_SHIFT);
    }
}

static int give_function(struct pci_dev *pdev, void *arg)
{
    struct domain *d = arg;
    int err;

    if (iommu_present()) {
        map_rmrrs(d, pdev->sbdf);
        pci_enable_acs(pdev);
        err = pci_dma_attach(&d->iommu, pdev);
        if (err)
            pr_warn(PCI_FMT ": DMA stays blocked, error %d", PCI_ARG(pdev->sbdf), err);
    }
    err = vpci_add_device(d, pdev->sbdf);
    if (err)
        pr_warn(PCI_FMT ": not given to the control domain, error %d", PCI_ARG(pdev->sbdf), err);
    return 0;
}

static void setup_devices(struct domain *d)
{
    struct acpi_mcfg_info mcfg;
    int err = vioapic_mirror_host(&d->vapic, &d->traps);

    if (err)
        panic("the control domain's IO-APICs cannot be set up (error %d)", err);
    err = vpci_init(&d->vpci, d, d->domid, &d->traps, &d->p2m, &vpci_policy_control);
    if (err)
        panic("the control domain's PCI configuration space cannot be set up (error %d)", err);
    if (!acpi_get_mcfg(&mcfg)) {
        for (unsigned i = 0; i < mcfg.nr_segments; i++) {
            const struct acpi_mcfg_segment *s = &mcfg.segment[i];

            if (vpci_add_ecam(&d->vpci, s->base, s->segment, s->start_bus, s->end_bus))
                pr_warn("ECAM window of segment %u is not available to the control domain", s->segment);
        }
    }
    pci_for_each(give_function, d);
    setup_ports(d);
}

/* ---- memory ---- */

static uint64_t memory_wanted(const struct boot_info *bi)
{
    uint64_t total = boot_mem_ram_total(bi->mem, bi->nr_mem);
    uint64_t want = total / 2;
    int err = cmdline_size("control_mem", &want);

    if (err == -EINVAL || err == -ERANGE)
        pr_warn("control_mem: not a size; %lu MiB taken", want >> 20);
    if (want < CONTROL_MEM_MIN)
        panic("control_mem: %lu MiB are too little for a control domain; at least %lu MiB", want >> 20,
              CONTROL_MEM_MIN >> 20);
    return ALIGN_DOWN(want, PAGE_SIZE);
}

void control_domain_build(const struct boot_info *bi)
{
    struct ctl_layout *l = xzalloc(sizeof(*l));
    struct image_places places = { 0 };
    struct ctl_acpi_args acpi = { .madt = &madt, .host = bi->mem, .nr_host = bi->nr_mem };
    struct domain *d;
    struct vcpu *v;
    uint64_t info;

    if (!bi->nr_mods)
        panic("no kernel for the control domain: give vmlinuz as the first module and its initrd as the second");
    if (!l || acpi_get_madt(&madt))
        panic("no memory, or no MADT, for the control domain");
    d = create();
    acpi.nr_vcpus = d->max_vcpus;
    ctl_layout_init(l, bi, memory_wanted(bi), ctl_acpi_size(&acpi));
    move_initrd(l, bi, &places);
    load_kernel(l, bi, &places);
    info = write_start_info(l, bi, &places);
    write_acpi(l, &acpi);
    keep_memmap(d, l);
    ctl_layout_commit(l, d);
    setup_devices(d);
    wallclock_update(d);

    v = d->vcpu[0];
    cpu_vcpu_start_pvh(&v->cpu, (uint32_t)places.entry, (uint32_t)info);
    v->initialised = true;
    v->wait_for_sipi = false;
    pr_info("Control domain: %u vCPU%s, %lu MiB, %lu KiB of page tables", d->max_vcpus,
            d->max_vcpus == 1 ? "" : "s", l->given >> 20, d->p2m.tables * PAGE_SIZE >> 10);
    xfree(l);
}

void control_domain_start(void)
{
    struct vcpu *v;

    for_each_vcpu(control_domain, v)
        sched_unhold(v);
}

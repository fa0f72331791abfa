/* SPDX-License-Identifier: MIT */
/*
 * Start-up: one visible table of steps in their order, each with what it needs, timed; walked backwards at the end.
 */
#include "acpi/acpi.h"
#include "boot/bootmem.h"
#include "boot/cmdline.h"
#include "boot/console.h"
#include "boot/exception.h"
#include "boot/mapping.h"
#include "boot/multiboot.h"
#include "boot/power.h"
#include "boot/smp.h"
#include "cpu/vcpu.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "hypercall/vtime.h"
#include "iommu/iommu.h"
#include "irq/ioapic.h"
#include "irq/irq.h"
#include "irq/lapic.h"
#include "irq/pic.h"
#include "irq/time.h"
#include "irq/timer.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/percpu.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "mm/frame.h"
#include "mm/phys.h"
#include "sched/sched.h"
#include "vdev/pci.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "development"
#endif

/* Free frames that no domain's memory may take: for tables and objects that isolation depends on. 4 MiB. */
#define RESERVE_FRAMES 1024

extern char __image_start[], __image_end[];

void hv_main(uint32_t magic, paddr_t info) __noreturn;

static struct boot_info boot;
static struct acpi_madt_info madt;

enum step_id {
    STEP_MEMORY,
    STEP_ACPI,
    STEP_IRQ,
    STEP_TIME,
    STEP_CPU,
    STEP_PCI,
    STEP_IOMMU,
    STEP_SMP,
    STEP_CONTROL,
    STEP_DMA,
    STEP_CONSOLE,
    NR_STEPS
};

struct step {
    const char *name;
    uint32_t needs;          /* bits by step_id: must have been done */
    int (*init)(void);       /* 0, or an error that ends the boot */
    void (*exit)(void);      /* may be NULL */
    uint64_t ns;
};

/* ---- memory ---- */

static int init_memory(void)
{
    uint64_t nr = PFN_UP(boot_mem_ram_end(boot.mem, boot.nr_mem));
    paddr_t start, used, end;
    struct page *table;

    bootmem_init(&boot);
    mapping_init(&boot);
    table = bootmem_alloc(nr * sizeof(struct page));
    frames_init(table, nr);
    bootmem_finish(&start, &used, &end);
    frames_assign((uint64_t)__image_start >> PAGE_SHIFT, PFN_UP(__image_end - __image_start), OWNER_XEN);
    frames_assign(start >> PAGE_SHIFT, (used - start) >> PAGE_SHIFT, OWNER_XEN);
    frames_add(used >> PAGE_SHIFT, (end - used) >> PAGE_SHIFT);
    pci_reserve((paddr_t)__image_start, (paddr_t)__image_end - 1, "the hypervisor");
    pci_reserve(start, end - 1, "the hypervisor");
    pr_info("RAM: %lu MiB; hypervisor: image %lu KiB, memory %lu KiB at %#lx",
            boot_mem_ram_total(boot.mem, boot.nr_mem) >> 20,
            (uint64_t)(__image_end - __image_start) >> 10, (end - start) >> 10, start);
    return 0;
}

static int init_acpi(void)
{
    int err;

    acpi_set_map(mapping_firmware);
    err = boot.rsdp_len ? acpi_init_copy(boot.rsdp, boot.rsdp_len) : acpi_init(0);
    if (!err)
        err = acpi_get_madt(&madt);
    if (err)
        pr_err("no usable ACPI tables: xen-lite needs the MADT for CPUs and interrupts");
    return err;
}

/* ---- interrupts, time, CPUs ---- */

static int init_irq(void)
{
    int err;

    pic_disable();
    err = lapic_init(madt.lapic_base);
    if (err) {
        pr_err("the local APIC is disabled or missing");
        return err;
    }
    err = irq_init_cpu(0);
    if (err)
        return err;
    percpu_of(0)->apicid = lapic_id();
    err = ioapic_init(&madt);
    if (err)
        pr_err("no usable IO-APIC");
    return err;
}

static int init_time(void)
{
    if (time_init())
        pr_warn("no reference clock: the TSC is taken for 1 GHz");
    lapic_init_cpu();
    irq_set_fixed(VECTOR_TIMER, timer_interrupt, NULL);
    timer_init_cpu(0);
    sched_init_cpu(0);
    pr_info("TSC: %u kHz (%s)", tsc_khz(), time_reference());
    wallclock_init();
    return lapic_timer_calibrate();
}

static int init_cpu(void)
{
    int err = cpu_backend_init();

    return err ? err : cpu_init_this();
}

static void exit_cpu(void)
{
    cpu_exit_this();
}

/* ---- PCI and IOMMU ---- */

static int init_pci(void)
{
    static struct acpi_mcfg_info mcfg;
    bool have = !acpi_get_mcfg(&mcfg);
    int err;

    pci_hw_init(have ? &mcfg : NULL);
    pci_reserve(madt.lapic_base, madt.lapic_base + (1UL << 20) - 1, "local APICs and interrupt messages");
    for (unsigned i = 0; i < madt.nr_ioapics; i++)
        pci_reserve(madt.ioapic[i].base, madt.ioapic[i].base + PAGE_SIZE - 1, "an IO-APIC");
    err = pci_scan();
    pr_info("PCI: %u functions", pci_nr_devices());
    return err;
}

static uint32_t config_read(uint16_t segment, uint16_t bdf, uint16_t reg, unsigned width)
{
    return pci_conf_read(IOMMU_SBDF(segment, bdf), reg, width);
}

static void stop_mastering(uint32_t sbdf)
{
    uint32_t command = pci_conf_read(sbdf, PCI_REG_COMMAND, 2);

    pci_conf_write(sbdf, PCI_REG_COMMAND, 2, command & ~(uint32_t)PCI_COMMAND_MASTER);
}

/* The id may be a bridge's, which took over the request of some function behind it: all that share it are suspects. */
static void cut_off(uint32_t sbdf, const char *why)
{
    uint32_t user;

    if (!iommu_alias_user(sbdf, 0, &user))
        stop_mastering(sbdf);
    for (unsigned n = 0; iommu_alias_user(sbdf, n, &user); n++)
        stop_mastering(user);
    pr_warn(PCI_FMT " is quarantined: %s", PCI_ARG(sbdf), why);
}

static uint32_t scope_of(uint32_t sbdf)
{
    const struct pci_dev *dev = pci_find(sbdf);

    return dev && dev->physfn ? dev->physfn->sbdf : sbdf;
}

static const struct iommu_hooks iommu_hooks = { .quarantined = cut_off, .scope_of = scope_of };

static void reserve_units(void)
{
    paddr_t start;
    size_t len;

    for (unsigned n = 0; iommu_unit_mmio(n, &start, &len); n++)
        pci_reserve(start, start + len - 1, "an IOMMU");
}

static int init_iommu(void)
{
    const struct acpi_table_header *dmar = acpi_find("DMAR", 0);
    struct iommu_options opt = {
        .no_intremap = cmdline_list_has("iommu", "no-intremap"),
        .no_posted = cmdline_list_has("iommu", "no-posted"),
        .no_queue = cmdline_list_has("iommu", "no-queue"),
        .x2apic = lapic_is_x2apic(),
    };
    const char *why;

    if (cmdline_list_has("iommu", "off"))
        dmar = NULL;
    if (iommu_init(dmar, dmar ? dmar->length : 0, config_read, &opt))
        pr_warn("no IOMMU: %s; devices cannot be passed through",
                iommu_share_reason() ? iommu_share_reason() : "none found");
    reserve_units();
    iommu_set_hooks(&iommu_hooks);
    why = iommu_share_reason();
    p2m_set_limits(iommu_address_bits(), MIN(iommu_max_page_order(), cpu_backend->page_order()), iommu_needs_map_flush());
    if (iommu_present())
        pr_info("IOMMU: %s", why ? why : "shares the domains' page tables with the CPUs");
    return 0;
}

static struct timer fault_poll;

static void fault_vector(void *arg)
{
    (void)arg;
    iommu_fault_irq();
}

/* A flood of faults keeps its interrupt masked for a while; who looks once a second sees the end of it. */
static void poll_faults(void *arg)
{
    (void)arg;
    iommu_fault_irq();
    timer_set(&fault_poll, now_ns() + NS_PER_SEC);
}

/* Translation goes on when the control domain's devices have their tables and no pin can interrupt. */
static int init_dma(void)
{
    int vector, err;

    if (!iommu_present())
        return 0;
    err = iommu_enable();
    if (err) {
        pr_err("the IOMMU cannot be turned on (error %d)", err);
        return err;
    }
    err = ioapic_reroute_all();
    vector = irq_alloc_vector(0, fault_vector, NULL);
    if (vector < 0 || iommu_enable_fault_irq((uint8_t)vector, apicid_of_cpu(0)))
        pr_warn("IOMMU faults are not reported by interrupt");
    timer_init(&fault_poll, 0, poll_faults, NULL);
    timer_set(&fault_poll, now_ns() + NS_PER_SEC);
    return err;
}

static void exit_dma(void)
{
    iommu_shutdown();
}

static int init_smp(void)
{
    smp_start_others(&madt);
    return 0;
}

static int init_control(void)
{
    control_domain_build(&boot);
    frames_set_reserve(RESERVE_FRAMES);
    frames_start_scrubbing();
    return 0;
}

static int init_console(void)
{
    console_init_irq();
    return 0;
}

static struct step steps[NR_STEPS] = {
    [STEP_MEMORY] = { "memory", 0, init_memory, NULL, 0 },
    [STEP_ACPI] = { "ACPI tables", BIT(STEP_MEMORY), init_acpi, NULL, 0 },
    [STEP_IRQ] = { "interrupts", BIT(STEP_ACPI), init_irq, NULL, 0 },
    [STEP_TIME] = { "clocks", BIT(STEP_IRQ), init_time, NULL, 0 },
    [STEP_CPU] = { "virtualisation", BIT(STEP_TIME), init_cpu, exit_cpu, 0 },
    [STEP_PCI] = { "PCI", BIT(STEP_ACPI), init_pci, NULL, 0 },
    [STEP_IOMMU] = { "IOMMU", BIT(STEP_PCI) | BIT(STEP_CPU), init_iommu, NULL, 0 },
    [STEP_SMP] = { "processors", BIT(STEP_CPU), init_smp, NULL, 0 },
    [STEP_CONTROL] = { "control domain", BIT(STEP_SMP) | BIT(STEP_IOMMU), init_control, NULL, 0 },
    [STEP_DMA] = { "DMA translation", BIT(STEP_CONTROL), init_dma, exit_dma, 0 },
    [STEP_CONSOLE] = { "console input", BIT(STEP_DMA), init_console, NULL, 0 },
};

static uint32_t steps_done;

static void run_steps(void)
{
    for (unsigned i = 0; i < NR_STEPS; i++) {
        struct step *s = &steps[i];
        uint64_t begin = now_ns();
        int err;

        if ((steps_done & s->needs) != s->needs)
            panic("start-up step \"%s\" comes too early", s->name);
        err = s->init();
        if (err)
            panic("start-up step \"%s\" failed with error %d", s->name, err);
        s->ns = now_ns() - begin;
        steps_done |= (uint32_t)BIT(i);
        pr_debug("start-up: %s, %llu us", s->name, s->ns / NS_PER_US);
    }
}

void boot_steps_exit(void)
{
    for (unsigned i = NR_STEPS; i-- > 0;)
        if ((steps_done & BIT(i)) && steps[i].exit)
            steps[i].exit();
}

static void unknown_option(const char *word)
{
    pr_warn("unknown option on the command line: %s", word);
}

void hv_main(uint32_t magic, paddr_t info)
{
    int err;

    smp_init_bsp();
    idt_init();
    descriptors_load(0);
    err = multiboot_parse(magic, info, NULL, &boot);
    cmdline_init(boot.cmdline);
    console_init();
    pr_info("xen-lite " PACKAGE_VERSION ", started by %s", boot.loader[0] ? boot.loader : "a boot loader");
    if (err)
        panic("the boot loader's information cannot be used (error %d)", err);
    pr_info("Command line: %s", boot.cmdline);
    xen_version_set_cmdline(boot.cmdline);
    run_steps();
    cmdline_get("panic");
    cmdline_get("debug-exit");
    stack_self_test(0);
    gs_self_test(0);
    cmdline_report_unknown(unknown_option);
    control_domain_start();
    sched_loop();
}

/* SPDX-License-Identifier: MIT */
/*
 * Restart and power-off through what the FADT describes, with the PC's older ways behind it.
 */
#include "boot/power.h"

#include "acpi/acpi.h"
#include "boot/cmdline.h"
#include "boot/exception.h"
#include "boot/mapping.h"
#include "boot/panic.h"
#include "boot/smp.h"
#include "cpu/x86.h"
#include "lib/mmio.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "lib/time.h"
#include "mm/map.h"

#define KBD_STATUS 0x64
#define KBD_BUSY BIT(1)
#define KBD_RESET 0xfe
#define RESET_CONTROL 0xcf9
#define SLP_EN BIT(13)
#define SLP_TYP_SHIFT 10

static void acpi_reset(void)
{
    struct acpi_fadt_info fadt;

    if (acpi_get_fadt(&fadt) || !fadt.has_reset)
        return;
    if (fadt.reset.space == ACPI_SPACE_IO) {
        outb(fadt.reset_value, (uint16_t)fadt.reset.address);
    } else if (fadt.reset.space == ACPI_SPACE_MEMORY) {
        volatile void *p = mmio_map(fadt.reset.address, 1);

        if (p)
            mmio_write8(p, fadt.reset_value);
    }
    udelay(50000);
}

void machine_reset(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __packed none = { 0, 0 };

    irq_disable();
    acpi_reset();
    outb(0x02, RESET_CONTROL);
    outb(0x06, RESET_CONTROL);
    udelay(50000);
    for (unsigned i = 0; i < 1000 && (inb(KBD_STATUS) & KBD_BUSY); i++)
        udelay(50);
    outb(KBD_RESET, KBD_STATUS);
    udelay(50000);
    __asm__ __volatile__("lidt %0; int3" ::"m"(none));
    cpu_park();
}

void machine_restart(void)
{
    irq_disable();
    pr_info("Restarting the machine.");
    stop_other_cpus();
    boot_steps_exit();
    machine_reset();
}

/*
 * SLP_TYP of S5 without an AML interpreter: the DSDT holds \_S5 as a package of small integers (ACPI 6.4, 7.4.2 and
 * 20.2.5). The name, PackageOp, a length byte, a count, then the first integer: zero, one, or a byte with its prefix.
 */
static bool find_s5(const struct acpi_fadt_info *fadt, uint8_t *type)
{
    const struct acpi_table_header *dsdt = mapping_firmware(fadt->dsdt, sizeof(*dsdt));
    const uint8_t *p;

    if (!fadt->dsdt || !dsdt || memcmp(dsdt->signature, "DSDT", 4) ||
        dsdt->length > ACPI_MAX_TABLE_LEN)
        return false;
    p = mapping_firmware(fadt->dsdt, dsdt->length);
    if (!p)
        return false;
    for (uint32_t i = sizeof(*dsdt); i + 9 < dsdt->length; i++) {
        if (memcmp(p + i, "_S5_\x12", 5))
            continue;
        i += 5;
        i += 1u + (p[i] >> 6) + 1; /* PkgLength says how many bytes follow it; then the number of elements */
        if (i + 1 >= dsdt->length)
            return false;
        *type = p[i] == 0x0a ? p[i + 1] : p[i];
        return *type < 8;
    }
    return false;
}

void machine_poweroff(void)
{
    struct acpi_fadt_info fadt;
    uint8_t type;

    irq_disable();
    pr_info("Switching the machine off.");
    stop_other_cpus();
    boot_steps_exit();
    if (!acpi_get_fadt(&fadt) && fadt.pm1a_control.address && find_s5(&fadt, &type)) {
        uint16_t v = (uint16_t)(SLP_EN | (uint64_t)type << SLP_TYP_SHIFT);

        outw(v, (uint16_t)fadt.pm1a_control.address);
        if (fadt.pm1b_control.address)
            outw(v, (uint16_t)fadt.pm1b_control.address);
        udelay(100000);
    }
    pr_err("The machine does not switch itself off.");
    cpu_park();
}

void machine_halted(void)
{
    unsigned port;

    if (!cmdline_uint("debug-exit", &port) && port <= 0xffff)
        outl(70, (uint16_t)port);
}

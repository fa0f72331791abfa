/* SPDX-License-Identifier: MIT */
/*
 * libxenlite: names of registers. Those of the header are fixed (PCI 3.0, 6.1; bridges: PCI-to-PCI Bridge 1.2, 3.2), those of a
 * capability follow from its id and the place in it (PCIe 5.0, chapter 7; PCI 3.0, 6.8).
 */
#include <stdio.h>
#include <string.h>

#include "xenlite.h"

struct name {
    uint16_t offset; /* where the register begins */
    const char *name;
};

/* Ascending; a name reaches up to the next one. "" is a gap without a name; END ends the table, with a gap to infinity. */
#define END 0xffff
static const struct name header[] = {
    { 0x00, "vendor" },    { 0x02, "device" },     { 0x04, "command" }, { 0x06, "status" },
    { 0x08, "class" },     { 0x0c, "cache_line" }, { 0x0d, "latency" }, { 0x0e, "header_type" },
    { 0x0f, "bist" },      { 0x10, "BAR0" },       { 0x14, "BAR1" },    { 0x18, "BAR2" },
    { 0x1c, "BAR3" },      { 0x20, "BAR4" },       { 0x24, "BAR5" },    { 0x28, "cardbus_cis" },
    { 0x2c, "subvendor" }, { 0x2e, "subdevice" },  { 0x30, "ROM" },     { 0x34, "capabilities" },
    { 0x38, "" },          { 0x3c, "int_line" },   { 0x3d, "int_pin" }, { 0x3e, "min_gnt" },
    { 0x3f, "max_lat" },   { 0x40, "" },           { END, "" },
};

static const struct name bridge_header[] = {
    { 0x00, "vendor" },
    { 0x02, "device" },
    { 0x04, "command" },
    { 0x06, "status" },
    { 0x08, "class" },
    { 0x0c, "cache_line" },
    { 0x0d, "latency" },
    { 0x0e, "header_type" },
    { 0x0f, "bist" },
    { 0x10, "BAR0" },
    { 0x14, "BAR1" },
    { 0x18, "bus_numbers" },
    { 0x1b, "sec_latency" },
    { 0x1c, "io_window" },
    { 0x1e, "sec_status" },
    { 0x20, "mem_window" },
    { 0x24, "pref_window" },
    { 0x28, "pref_base_hi" },
    { 0x2c, "pref_limit_hi" },
    { 0x30, "io_window_hi" },
    { 0x34, "capabilities" },
    { 0x38, "ROM" },
    { 0x3c, "int_line" },
    { 0x3d, "int_pin" },
    { 0x3e, "bridge_ctl" },
    { 0x40, "" },
    { END, "" },
};

static const struct name pm[] = { { 2, "PMC" },  { 4, "PMCSR" }, { 6, "PMCSR_BSE" },
                                  { 7, "Data" }, { 8, "" },      { END, "" } };
static const struct name vpd[] = { { 2, "Address" }, { 4, "Data" }, { 8, "" }, { END, "" } };
static const struct name msi32[] = { { 2, "Control" }, { 4, "Address" },  { 8, "Data" },
                                     { 12, "Mask" },   { 16, "Pending" }, { 20, "" },
                                     { END, "" } };
static const struct name msi64[] = { { 2, "Control" }, { 4, "Address" }, { 8, "AddressHi" },
                                     { 12, "Data" },   { 16, "Mask" },   { 20, "Pending" },
                                     { 24, "" },       { END, "" } };
static const struct name msix[] = {
    { 2, "Control" }, { 4, "Table" }, { 8, "PBA" }, { 12, "" }, { END, "" }
};
static const struct name pcie[] = {
    { 2, "Cap" },      { 4, "DevCap" },   { 8, "DevCtl" },   { 10, "DevSta" },  { 12, "LnkCap" },
    { 16, "LnkCtl" },  { 18, "LnkSta" },  { 20, "SltCap" },  { 24, "SltCtl" },  { 26, "SltSta" },
    { 28, "RootCtl" }, { 30, "RootCap" }, { 32, "RootSta" }, { 36, "DevCap2" }, { 40, "DevCtl2" },
    { 42, "DevSta2" }, { 44, "LnkCap2" }, { 48, "LnkCtl2" }, { 50, "LnkSta2" }, { 52, "SltCap2" },
    { 56, "SltCtl2" }, { 58, "SltSta2" }, { 60, "" },        { END, "" },
};
static const struct name af[] = { { 2, "Length" }, { 3, "Cap" }, { 4, "Ctl" },
                                  { 5, "Sta" },    { 6, "" },    { END, "" } };
static const struct name plain[] = { { 2, "" }, { END, "" } };

static const struct name aer[] = {
    { 4, "UESta" },    { 8, "UEMsk" },   { 12, "UESvrt" },    { 16, "CESta" },
    { 20, "CEMsk" },   { 24, "Ctl" },    { 28, "HeaderLog" }, { 44, "RootCmd" },
    { 48, "RootSta" }, { 52, "ErrSrc" }, { 56, "" },          { END, "" },
};
static const struct name acs[] = {
    { 4, "Cap" }, { 6, "Ctl" }, { 8, "Egress" }, { 12, "" }, { END, "" }
};
static const struct name ari[] = { { 4, "Cap" }, { 6, "Ctl" }, { 8, "" }, { END, "" } };
static const struct name ats[] = { { 4, "Cap" }, { 6, "Ctl" }, { 8, "" }, { END, "" } };
static const struct name sriov[] = {
    { 4, "Cap" },       { 8, "Ctl" },       { 10, "Sta" },         { 12, "InitialVFs" },
    { 14, "TotalVFs" }, { 16, "NumVFs" },   { 20, "VFOffset" },    { 22, "VFStride" },
    { 24, "" },         { 26, "VFDevice" }, { 28, "PageSizes" },   { 32, "PageSize" },
    { 36, "VFBAR0" },   { 40, "VFBAR1" },   { 44, "VFBAR2" },      { 48, "VFBAR3" },
    { 52, "VFBAR4" },   { 56, "VFBAR5" },   { 60, "VFMigration" }, { 64, "" },
    { END, "" },
};
static const struct name pri[] = { { 4, "Ctl" },         { 6, "Sta" }, { 8, "Capacity" },
                                   { 12, "Allocation" }, { 16, "" },   { END, "" } };
static const struct name pasid[] = { { 4, "Cap" }, { 6, "Ctl" }, { 8, "" }, { END, "" } };
static const struct name rebar[] = { { 4, "Cap" }, { 8, "Ctl" }, { 12, "" }, { END, "" } };
static const struct name ltr[] = { { 4, "MaxSnoop" }, { 6, "MaxNoSnoop" }, { 8, "" }, { END, "" } };
static const struct name l1pm[] = {
    { 4, "Cap" }, { 8, "Ctl1" }, { 12, "Ctl2" }, { 16, "" }, { END, "" }
};
static const struct name serial[] = { { 4, "Low" }, { 8, "High" }, { 12, "" }, { END, "" } };
static const struct name plain_ext[] = { { 4, "" }, { END, "" } };

static const struct {
    uint16_t id;
    uint8_t extended;
    const char *name;
    const struct name *regs;
} known[] = {
    { 0x01, 0, "PM", pm },           { 0x02, 0, "AGP", plain },
    { 0x03, 0, "VPD", vpd },         { 0x05, 0, "MSI", msi32 }, /* or msi64 */
    { 0x09, 0, "Vendor", plain },    { 0x0d, 0, "Subsystem", plain },
    { 0x10, 0, "PCIe", pcie },       { 0x11, 0, "MSI-X", msix },
    { 0x12, 0, "SATA", plain },      { 0x13, 0, "AF", af },
    { 0x14, 0, "EA", plain },        { 0x01, 1, "AER", aer },
    { 0x02, 1, "VC", plain_ext },    { 0x03, 1, "Serial", serial },
    { 0x04, 1, "Power", plain_ext }, { 0x0b, 1, "VSEC", plain_ext },
    { 0x0d, 1, "ACS", acs },         { 0x0e, 1, "ARI", ari },
    { 0x0f, 1, "ATS", ats },         { 0x10, 1, "SR-IOV", sriov },
    { 0x13, 1, "PRI", pri },         { 0x15, 1, "ReBAR", rebar },
    { 0x18, 1, "LTR", ltr },         { 0x19, 1, "SecPCIe", plain_ext },
    { 0x1b, 1, "PASID", pasid },     { 0x1d, 1, "DPC", plain_ext },
    { 0x1e, 1, "L1PM", l1pm },       { 0x1f, 1, "PTM", plain_ext },
    { 0x23, 1, "DVSEC", plain_ext }, { 0x25, 1, "DLF", plain_ext },
    { 0x26, 1, "PL16", plain_ext },  { 0x27, 1, "Margin", plain_ext },
};

/* The name of the register at `offset`, NULL when the table knows none. */
static const char *find(const struct name *table, unsigned offset)
{
    const char *name = "";

    for (const struct name *n = table; n->offset != END && n->offset <= offset; n++) {
        name = n->name;
    }
    return name[0] != '\0' ? name : NULL;
}

static void cap_name(const struct xenlite_capability *cap, unsigned offset,
                     char name[XENLITE_NAME_MAX])
{
    const unsigned in = offset - cap->offset;
    const struct name *regs = cap->extended ? plain_ext : plain;
    const char *title = NULL, *reg;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].id == cap->id && known[i].extended == cap->extended) {
            title = known[i].name;
            regs = known[i].regs;
        }
    }
    /* PCI 3.0, 6.8.1.3: bit 7 of Message Control is "64 bit address capable". */
    if (regs == msi32 && (cap->control & 0x80) != 0) {
        regs = msi64;
    }
    reg = in < (cap->extended ? 4u : 2u) ? "header" : find(regs, in);
    if (title == NULL) {
        snprintf(name, XENLITE_NAME_MAX, "%s%#x+%#x", cap->extended ? "ext cap " : "cap ", cap->id,
                 in);
    } else if (reg == NULL) {
        snprintf(name, XENLITE_NAME_MAX, "%s+%#x", title, in);
    } else {
        snprintf(name, XENLITE_NAME_MAX, "%s %s", title, reg);
    }
}

void xenlite_config_name(const struct xenlite_capability *caps, unsigned nr, int bridge,
                         unsigned offset, char name[XENLITE_NAME_MAX])
{
    const struct xenlite_capability *in = NULL;
    const char *reg;

    if (offset < 0x40) {
        reg = find(bridge ? bridge_header : header, offset);
        if (reg != NULL) {
            snprintf(name, XENLITE_NAME_MAX, "%s", reg);
        } else {
            snprintf(name, XENLITE_NAME_MAX, "0x%03x", offset);
        }
        return;
    }
    /* The nearest capability that begins at or before it, in the same of the two spaces. */
    for (unsigned i = 0; i < nr; i++) {
        if (caps[i].offset <= offset && (caps[i].offset >= 0x100) == (offset >= 0x100) &&
            (in == NULL || caps[i].offset > in->offset)) {
            in = &caps[i];
        }
    }
    if (in != NULL) {
        cap_name(in, offset, name);
    } else {
        snprintf(name, XENLITE_NAME_MAX, "0x%03x", offset);
    }
}

void xenlite_msix_name(unsigned offset, char name[XENLITE_NAME_MAX])
{
    /* PCI 3.0, 6.8.2: sixteen bytes an entry. */
    static const char *const fields[4] = { "address", "address_hi", "data", "vector_control" };

    snprintf(name, XENLITE_NAME_MAX, "MSI-X[%u].%s", offset / 16, fields[offset / 4 % 4]);
}

const char *xenlite_kind_name(unsigned kind)
{
    static const char *const names[] = { "mmio", "port", "config", "denial", "msi-x", "decision" };

    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

const char *xenlite_disposition_name(unsigned disposition)
{
    static const char *const names[] = { "done",      "denied",  "dropped",
                                         "forwarded", "retried", "nobody" };

    return disposition < sizeof(names) / sizeof(names[0]) ? names[disposition] : "?";
}

const char *xenlite_audit_sentence(unsigned sentence)
{
    static const char *const sentences[XENLITE_AUDIT_SENTENCES + 1] = {
        "",
        "no frame of the hypervisor is reachable from any page table",
        "memory is writable in one domain only, except recorded grants and foreign mappings",
        "every context entry has the page table of the device's owner, or blocks",
        "no interrupt table, configuration space, interrupt controller or IOMMU page is mapped",
        "every remapping entry names a requester and a destination of one owner",
        "no stale translation: what is taken away is flushed everywhere",
    };

    return sentence <= XENLITE_AUDIT_SENTENCES ? sentences[sentence] : "";
}

/* SPDX-License-Identifier: MIT */
/*
 * The DSDT of a guest that may own PCI devices: one PCI Express host bridge, whose 16 root ports are hot-plug
 * slots. Addresses are those of xen-lite/include/xenlite/pci.h; tests/unit/test_acpi_build.c compares them.
 */
DefinitionBlock ("", "DSDT", 2, "XENLTE", "PVHGUEST", 1)
{
    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, Zero)
            Name (_SEG, Zero)
            Name (_BBN, Zero)

            /* Buses that the ECAM covers, configuration ports, I/O window, memory below and above 4 GiB. */
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x003F, 0x0000, 0x0040)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x1000, 0xFFFF, 0x0000, 0xF000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x00000000, 0xC0000000, 0xDFFFFFFF, 0x00000000, 0x20000000)
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Prefetchable, ReadWrite,
                    0x0000000000000000, 0x0000004000000000, 0x0000004FFFFFFFFF,
                    0x0000000000000000, 0x0000001000000000)
            })

            /*
             * INTx: pin p (0 to 3) of slot n is GSI 16 + (n + p) % 4. What sits behind the port in slot n arrives
             * at the port's pin of the same number, as it is device 0 there.
             */
            Method (_PRT, 0, Serialized)
            {
                Name (MAP, Package (0x40) {})
                Local0 = Zero
                While (Local0 < 0x40)
                {
                    Local1 = (Local0 >> 2) + 1
                    Local2 = Local0 & 0x03
                    Local3 = Package (0x04) {}
                    Local3 [Zero] = (Local1 << 0x10) | 0xFFFF
                    Local3 [One] = Local2
                    Local3 [0x02] = Zero
                    Local3 [0x03] = 0x10 + ((Local1 + Local2) & 0x03)
                    MAP [Local0] = Local3
                    Local0++
                }
                Return (MAP)
            }

            /*
             * PCI Firmware Specification 3.3, 4.5: the guest's kernel runs native hot-plug (bit 0), power
             * management events (2), error reporting (3) and the capability structure (4). There is no SHPC.
             */
            Method (_OSC, 4, Serialized)
            {
                CreateDWordField (Arg3, Zero, STAT)
                If (Arg0 != ToUUID ("33db4d5b-1ff7-401c-9657-7441c03dd766"))
                {
                    STAT |= 0x04
                    Return (Arg3)
                }
                If (Arg2 < 0x03)
                {
                    STAT |= 0x02
                    Return (Arg3)
                }
                CreateDWordField (Arg3, 0x08, CTRL)
                If (Arg1 != One)
                {
                    STAT |= 0x08
                }
                Local0 = CTRL & 0x1D
                If (Local0 != CTRL)
                {
                    STAT |= 0x10
                }
                CTRL = Local0
                Return (Arg3)
            }
        }

        /* The ECAM: Linux uses only what firmware says is reserved. */
        Device (ECAM)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xE0000000, 0x04000000)
            })
        }
    }
}

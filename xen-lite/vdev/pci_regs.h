/* SPDX-License-Identifier: MIT */
/*
 * Registers of PCI configuration space that the hypervisor looks at.  Sources: PCI Local Bus 3.0,
 * 6.1-6.8; PCI-to-PCI Bridge 1.2, 3.2; PCI Express Base 5.0, 7.5.
 */
#ifndef XL_VDEV_PCI_REGS_H
#define XL_VDEV_PCI_REGS_H

/* clang-format off: bits are indented under their register */

#define PCI_REG_VENDOR        0x00
#define PCI_REG_DEVICE        0x02
#define PCI_REG_COMMAND       0x04
#define   PCI_COMMAND_IO        0x0001
#define   PCI_COMMAND_MEMORY    0x0002
#define   PCI_COMMAND_MASTER    0x0004
#define   PCI_COMMAND_NO_INTX   0x0400
#define PCI_REG_STATUS        0x06
#define   PCI_STATUS_INTERRUPT  0x0008 /* INTx would be asserted */
#define   PCI_STATUS_CAP_LIST   0x0010
#define PCI_REG_CLASS_REV     0x08
#define PCI_REG_HEADER_TYPE   0x0e
#define   PCI_HEADER_MULTI      0x80
#define   PCI_HEADER_TYPE_MASK  0x7f
#define   PCI_HEADER_NORMAL     0
#define   PCI_HEADER_BRIDGE     1
#define   PCI_HEADER_CARDBUS    2
#define PCI_REG_BAR0          0x10
#define   PCI_BAR_IO_SPACE      0x1
#define   PCI_BAR_MEM_TYPE_MASK 0x6
#define   PCI_BAR_MEM_64        0x4
#define   PCI_BAR_MEM_PREFETCH  0x8
#define   PCI_BAR_IO_MASK       (~0x3u)
#define   PCI_BAR_MEM_MASK      (~0xfu)
#define PCI_REG_ROM           0x30 /* header type 0 */
#define PCI_REG_ROM_BRIDGE    0x38 /* header type 1 */
#define   PCI_ROM_ENABLE        0x1
#define   PCI_ROM_MASK          (~0x7ffu)
#define PCI_REG_CAP_POINTER   0x34
#define PCI_REG_SUBSYSTEM     0x2c
#define PCI_REG_INT_LINE      0x3c
#define PCI_REG_INT_PIN       0x3d
#define PCI_REG_PRIMARY_BUS   0x18
#define PCI_REG_SECONDARY_BUS 0x19
#define PCI_REG_SUBORD_BUS    0x1a
/* A bridge's windows, and the bits that are address (PCI-to-PCI Bridge 1.2, 3.2.5.6 to 3.2.5.11). */
#define PCI_REG_IO_WINDOW     0x1c
#define   PCI_IO_WINDOW_MASK    0xf0f0
#define PCI_REG_MEM_WINDOW    0x20
#define PCI_REG_PREF_WINDOW   0x24
#define   PCI_MEM_WINDOW_MASK   0xfff0fff0u
#define PCI_REG_PREF_BASE_HI  0x28
#define PCI_REG_PREF_LIMIT_HI 0x2c
#define PCI_REG_IO_WINDOW_HI  0x30

#define PCI_CAP_PM   0x01
#define PCI_CAP_MSI  0x05
#define PCI_CAP_PCIE 0x10
#define PCI_CAP_MSIX 0x11
#define PCI_CAP_AF   0x13

/* MSI, PCI 3.0, 6.8.1: offsets inside the capability. */
#define PCI_MSI_CONTROL  2
#define   PCI_MSI_ENABLE   0x0001
#define   PCI_MSI_MMC_MASK 0x000e /* messages the function can send, log2 */
#define   PCI_MSI_MME_MASK 0x0070 /* messages it may send, log2 */
#define   PCI_MSI_64BIT    0x0080
#define   PCI_MSI_MASKABLE 0x0100
#define PCI_MSI_ADDR_LO  4
#define PCI_MSI_ADDR_HI  8 /* with PCI_MSI_64BIT */
#define PCI_MSI_DATA_32  8
#define PCI_MSI_DATA_64  12
#define PCI_MSI_MASK_32  12
#define PCI_MSI_MASK_64  16

/* MSI-X, PCI 3.0, 6.8.2. */
#define PCI_MSIX_CONTROL       2
#define   PCI_MSIX_SIZE_MASK     0x07ff
#define   PCI_MSIX_FMASK         0x4000
#define   PCI_MSIX_ENABLE        0x8000
#define PCI_MSIX_TABLE         4
#define PCI_MSIX_PBA           8
#define   PCI_MSIX_BIR_MASK      0x7
#define PCI_MSIX_ENTRY_SIZE    16
#define   PCI_MSIX_ENTRY_ADDR_LO 0
#define   PCI_MSIX_ENTRY_ADDR_HI 4
#define   PCI_MSIX_ENTRY_DATA    8
#define   PCI_MSIX_ENTRY_CTRL    12
#define   PCI_MSIX_CTRL_MASKED   0x1

/* PCI Express capability. */
#define PCI_EXP_FLAGS      2
#define   PCI_EXP_FLAGS_VERSION 0x000f
#define   PCI_EXP_FLAGS_SLOT 0x0100 /* there is a slot, and registers for it */
#define PCI_EXP_DEVCAP     4
#define   PCI_EXP_DEVCAP_FLR (1u << 28)
#define PCI_EXP_DEVCTL     8
#define   PCI_EXP_DEVCTL_PAYLOAD 0x00e0 /* largest that the port sends, and takes */
#define   PCI_EXP_DEVCTL_FLR 0x8000
#define PCI_EXP_DEVSTA     10
#define   PCI_EXP_DEVSTA_PENDING 0x0020 /* transactions pending */
#define PCI_EXP_LEN_MIN    12 /* every function has so much, also one without a link (PCIe 5.0, 7.5.3) */
#define PCI_EXP_LNKCTL     16
#define   PCI_EXP_LNKCTL_DISABLE 0x0010
#define PCI_EXP_SLTCTL     24
#define   PCI_EXP_SLTCTL_POWER_OFF 0x0400
#define   PCI_EXP_SLTCTL_INTERLOCK 0x0800 /* 1 lets go of the card, or holds it again */
#define PCI_EXP_DEVCTL2    40
#define PCI_EXP_LNKCTL2    48
#define   PCI_EXP_LNKCTL2_COMPLIANCE 0x0010 /* the link goes down for a test pattern */

/* Advanced Features (PCI ECN Advanced Capabilities for Conventional PCI). */
#define PCI_AF_CAP         3
#define   PCI_AF_CAP_TP      0x01
#define   PCI_AF_CAP_FLR     0x02
#define PCI_AF_CONTROL     4
#define   PCI_AF_CONTROL_FLR 0x01
#define PCI_AF_STATUS      5
#define   PCI_AF_STATUS_PENDING 0x01
#define PCI_AF_LEN         6

/* Power management (PCI Bus Power Management 1.2, 3.2). */
#define PCI_PM_CONTROL     4
#define   PCI_PM_STATE_MASK    0x0003
#define   PCI_PM_NO_SOFT_RESET 0x0008
#define   PCI_PM_PME_STATUS    0x8000 /* cleared by writing 1 */
#define PCI_PM_LEN         8

#define PCI_REG_BRIDGE_CONTROL 0x3e
#define   PCI_BRIDGE_RESET       0x0040
#define   PCI_BRIDGE_DISCARDED   0x0400 /* cleared by writing 1 */

#define PCI_EXT_CAP_ACS   0x0d
#define PCI_EXT_CAP_SRIOV 0x10
#define PCI_EXT_CAP_REBAR 0x15 /* resizable BAR */
#define PCI_EXT_CAP_DPC   0x1d

/* Access control, PCIe 5.0, 7.7.8. */
#define PCI_ACS_CAP     4
#define PCI_ACS_CONTROL 6
#define   PCI_ACS_SV      0x01 /* source validation */
#define   PCI_ACS_RR      0x04 /* peer-to-peer request redirect */
#define   PCI_ACS_CR      0x08 /* peer-to-peer completion redirect */
#define   PCI_ACS_UF      0x10 /* upstream forwarding */
/* What keeps functions below a port apart; the rest are features to be used, not protections. */
#define   PCI_ACS_WANTED  (PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)

/* Downstream port containment, PCIe 5.0, 7.9.15. */
#define PCI_DPC_CONTROL 6
#define   PCI_DPC_TRIGGER 0x0040 /* takes the link down */

/* SR-IOV, PCIe 5.0, 9.3.3: offsets inside the capability. */
#define PCI_SRIOV_CONTROL   0x08
#define   PCI_SRIOV_VFE       0x0001 /* virtual functions exist */
#define   PCI_SRIOV_MSE       0x0008 /* and decode their memory */
#define   PCI_SRIOV_ARI       0x0010 /* offset and stride may lead beyond function 7 */
#define PCI_SRIOV_TOTAL_VFS 0x0e
#define PCI_SRIOV_NUM_VFS   0x10
#define PCI_SRIOV_OFFSET    0x14
#define PCI_SRIOV_STRIDE    0x16
#define PCI_SRIOV_VF_DEVICE 0x1a
#define PCI_SRIOV_PAGE_SIZE 0x20
#define PCI_SRIOV_BAR0      0x24
#define PCI_SRIOV_LEN       0x40

#define PCI_CFG_SIZE     256
#define PCI_CFG_EXT_SIZE 4096

#define PCI_CONFIG_ADDRESS 0xcf8
#define PCI_CONFIG_DATA    0xcfc
#define   PCI_CONFIG_ENABLE  0x80000000u

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Registers, table entries and queue descriptors of a VT-d remapping unit in legacy mode. Numbers
 * in comments are sections of the Intel VT-d architecture specification, revision 3.x (chapter 11
 * there is chapter 10 in 2.x).
 */
#ifndef XL_IOMMU_VTD_REGS_H
#define XL_IOMMU_VTD_REGS_H

#include "lib/types.h"

/* 11.4: register offsets */
#define VTD_VER      0x00
#define VTD_CAP      0x08
#define VTD_ECAP     0x10
#define VTD_GCMD     0x18
#define VTD_GSTS     0x1c
#define VTD_RTADDR   0x20
#define VTD_CCMD     0x28
#define VTD_FSTS     0x34
#define VTD_FECTL    0x38
#define VTD_FEDATA   0x3c
#define VTD_FEADDR   0x40
#define VTD_FEUADDR  0x44
#define VTD_PMEN     0x64
#define VTD_IQH      0x80
#define VTD_IQT      0x88
#define VTD_IQA      0x90
#define VTD_IRTA     0xb8
#define VTD_REGS_MIN 0xc0 /* up to here every unit has registers */

/* 11.4.2: capabilities */
#define CAP_ND(c)    ((unsigned)(c)&7)             /* 4 + 2 n bits of domain id */
#define CAP_RWBF     BIT(4)                        /* write buffers to flush */
#define CAP_PLMR     BIT(5)                        /* protected low memory region */
#define CAP_PHMR     BIT(6)                        /* protected high memory region */
#define CAP_CM       BIT(7)                        /* caches entries that are not present */
#define CAP_SAGAW(c) ((unsigned)((c) >> 8) & 0x1f) /* bit 1: three levels, bit 2: four */
#define CAP_MGAW(c)  ((unsigned)(((c) >> 16) & 0x3f) + 1)
#define CAP_FRO(c)   ((unsigned)(((c) >> 24) & 0x3ff) * 16) /* offset of the fault records */
#define CAP_SLLPS(c) ((unsigned)((c) >> 34) & 0xf)          /* bit 0: 2 MiB, bit 1: 1 GiB */
#define CAP_PSI      BIT(39)                                /* page-selective invalidation */
#define CAP_NFR(c)   ((unsigned)(((c) >> 40) & 0xff) + 1)
#define CAP_MAMV(c)  ((unsigned)((c) >> 48) & 0x3f)
#define CAP_DWD      BIT(54) /* can drain writes */
#define CAP_DRD      BIT(55) /* can drain reads */
#define CAP_PI       BIT(59) /* can post interrupts */

/* 11.4.3: extended capabilities */
#define ECAP_C      BIT(0) /* walks snoop the processors' caches */
#define ECAP_QI     BIT(1)
#define ECAP_IR     BIT(3)
#define ECAP_EIM    BIT(4)                                /* 32-bit interrupt destinations */
#define ECAP_IRO(e) ((unsigned)(((e) >> 8) & 0x3ff) * 16) /* offset of the IOTLB registers */

/* 11.4.4: global command and status; the first five are states, the others one-shot commands */
#define GCMD_TE     BIT(31)
#define GCMD_EAFL   BIT(28)
#define GCMD_QIE    BIT(26)
#define GCMD_IRE    BIT(25)
#define GCMD_CFI    BIT(23)
#define GCMD_STATES (GCMD_TE | GCMD_EAFL | GCMD_QIE | GCMD_IRE | GCMD_CFI)
#define GCMD_SRTP   BIT(30)
#define GCMD_WBF    BIT(27)
#define GCMD_SIRTP  BIT(24)

/* 11.4.5: root table address; bits 11:10 choose the mode, 0 is legacy */
#define RTADDR_MODE (BIT(10) | BIT(11))

/* 11.4.6: context command */
#define CCMD_ICC      BIT(63)
#define CCMD_GLOBAL   (1ULL << 61)
#define CCMD_DOMAIN   (2ULL << 61)
#define CCMD_DEVICE   (3ULL << 61)
#define CCMD_CAIG(v)  ((unsigned)((v) >> 59) & 3)
#define CCMD_SID(sid) ((uint64_t)(sid) << 16)
#define CCMD_DID(did) ((uint64_t)(did))

/* 11.4.8: IOTLB registers, at ECAP.IRO: address, then command */
#define IVA_IH         BIT(6)
#define IOTLB_IVT      BIT(63)
#define IOTLB_GLOBAL   (1ULL << 60)
#define IOTLB_DOMAIN   (2ULL << 60)
#define IOTLB_PAGE     (3ULL << 60)
#define IOTLB_IAIG(v)  ((unsigned)((v) >> 57) & 3)
#define IOTLB_DR       BIT(49)
#define IOTLB_DW       BIT(48)
#define IOTLB_DID(did) ((uint64_t)(did) << 32)

/* 11.4.7: faults */
#define FSTS_PFO    BIT(0) /* records were lost */
#define FSTS_PPF    BIT(1) /* a record is there */
#define FSTS_IQE    BIT(4) /* the queue has a bad descriptor and stands still */
#define FSTS_ICE    BIT(5)
#define FSTS_ITE    BIT(6) /* a device did not answer an invalidation; the queue stands still */
#define FSTS_QUEUE  (FSTS_IQE | FSTS_ITE)
#define FSTS_FRI(v) (((v) >> 8) & 0xff)
#define FECTL_IM    BIT(31)
/* 11.4.14: fault record, 128 bits; these are of the high half */
#define FRCD_F            BIT(63)
#define FRCD_READ         BIT(62)
#define FRCD_REASON(hi)   ((uint8_t)((hi) >> 32))
#define FRCD_SID(hi)      ((uint16_t)(hi))
#define FRCD_IR_INDEX(lo) ((uint16_t)((lo) >> 48))

/* 11.4.8: protected memory enable */
#define PMEN_EPM BIT(31)
#define PMEN_PRS BIT(0)

/* 11.4.9: queue address: bits 2:0 size, 2^n pages of 256 descriptors of 16 bytes */
#define QUEUE_LEN 256u

/* 11.4.10: interrupt remapping table address */
#define IRTA_EIME BIT(11)

/* 9.1, 9.3: root and context entries of 128 bits */
#define ROOT_P          BIT(0)
#define CTX_P           BIT(0)
#define CTX_FPD         BIT(1) /* do not record faults; obeyed also when not present */
#define CTX_HI(aw, did) ((uint64_t)(aw) | (uint64_t)(did) << 8)
#define CTX_HI_AW(hi)   ((unsigned)(hi)&7)
#define CTX_HI_DID(hi)  ((uint16_t)((hi) >> 8))
#define ENTRY_ADDR      GENMASK(51, 12)

/* 6.5.2: queue descriptors */
#define QI_CONTEXT         1u
#define QI_IOTLB           2u
#define QI_IEC             4u
#define QI_WAIT            5u
#define QI_G_GLOBAL        (1ULL << 4)
#define QI_G_DOMAIN        (2ULL << 4)
#define QI_G_FINE          (3ULL << 4) /* device (context), page (IOTLB) */
#define QI_DID(did)        ((uint64_t)(did) << 16)
#define QI_SID(sid)        ((uint64_t)(sid) << 32)
#define QI_IOTLB_DW        BIT(6)
#define QI_IOTLB_DR        BIT(7)
#define QI_IOTLB_IH        BIT(6) /* of the high half */
#define QI_IEC_INDEX       BIT(4) /* not global */
#define QI_IEC_IM(order)   ((uint64_t)(order) << 27)
#define QI_IEC_IIDX(index) ((uint64_t)(index) << 32)
#define QI_WAIT_SW         BIT(5)
#define QI_WAIT_FN         BIT(6)
#define QI_WAIT_DATA(v)    ((uint64_t)(v) << 32)

/* 9.10: interrupt remapping entry (9.10 to 9.12 are 9.9 to 9.11 since revision 5) */
#define IRTE_P              BIT(0)
#define IRTE_FPD            BIT(1)
#define IRTE_TM_LEVEL       BIT(4)
#define IRTE_DLM(mode)      ((uint64_t)(mode) << 5)
#define IRTE_VECTOR(v)      ((uint64_t)(v) << 16)
#define IRTE_DEST(d)        ((uint64_t)(d) << 32)
#define IRTE_DEST_XAPIC(id) ((uint64_t)(id) << 40) /* 8-bit ids stand in bits 15:8 of the field */
/* high half: all 16 bits of the source id are compared (SVT 01, SQ 00) */
#define IRTE_HI_EXACT(sid) ((uint64_t)(sid) | BIT(18))

/*
 * 9.11: the same entry in posted format: the vector is the guest's, and in the place of the destination is the address of
 * a posted-interrupt descriptor, bits 31:6 in the low half, 63:32 in the high one.
 */
#define IRTE_IM         BIT(15) /* posted format */
#define IRTE_PDA_LO(pa) (((uint64_t)(pa) & GENMASK(31, 6)) << 32)
#define IRTE_PDA_HI(pa) ((uint64_t)(pa) & GENMASK(63, 32))
#define IRTE_PDA(lo, hi) (((lo) >> 32 & GENMASK(31, 6)) | ((hi) & GENMASK(63, 32)))

/* 9.12: the fifth word of a posted-interrupt descriptor, behind the 256 requests */
#define PID_ON             BIT(0) /* a notification is outstanding */
#define PID_SN             BIT(1) /* do not notify */
#define PID_NV(v)          ((uint64_t)(v) << 16)
#define PID_NDST(id)       ((uint64_t)(id) << 32)
#define PID_NDST_XAPIC(id) ((uint64_t)(id) << 40) /* 8-bit ids stand in bits 15:8 of the field */

#endif

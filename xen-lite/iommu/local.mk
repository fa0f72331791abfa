# SPDX-License-Identifier: MIT
iommu_logic = xen-lite/iommu/dmar.c xen-lite/iommu/vtd.c xen-lite/iommu/vtd_root.c \
	xen-lite/iommu/vtd_inval.c xen-lite/iommu/vtd_ir.c xen-lite/iommu/vtd_post.c xen-lite/iommu/vtd_fault.c \
	xen-lite/iommu/iommu.c xen-lite/iommu/iommu_domain.c xen-lite/iommu/iommu_fault.c \
	xen-lite/iommu/iommu_audit.c \
	xen-lite/iommu/dmar.h xen-lite/iommu/vtd.h xen-lite/iommu/vtd_regs.h \
	xen-lite/iommu/iommu.h xen-lite/iommu/post.h xen-lite/iommu/internal.h
hv_sources += $(iommu_logic) xen-lite/iommu/vtd_hw.c

check_PROGRAMS += tests/unit/test_dmar
tests_unit_test_dmar_SOURCES = tests/unit/test_dmar.c xen-lite/iommu/dmar.c
tests_unit_test_dmar_LDADD = $(UNIT_LIBS)

vtd_rig = tests/unit/vtd_rig.c tests/unit/vtd_rig.h tests/unit/vtd_model.c \
	tests/unit/vtd_model_regs.c tests/unit/vtd_model.h tests/unit/vtd_model_priv.h
check_PROGRAMS += tests/unit/test_vtd
tests_unit_test_vtd_SOURCES = tests/unit/test_vtd.c $(vtd_rig) $(iommu_logic)
tests_unit_test_vtd_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_vtd_random
tests_unit_test_vtd_random_SOURCES = tests/unit/test_vtd_random.c $(vtd_rig) $(iommu_logic)
tests_unit_test_vtd_random_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_vtd_irq
tests_unit_test_vtd_irq_SOURCES = tests/unit/test_vtd_irq.c $(vtd_rig) $(iommu_logic)
tests_unit_test_vtd_irq_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_vtd_posted
tests_unit_test_vtd_posted_SOURCES = tests/unit/test_vtd_posted.c $(vtd_rig) $(iommu_logic)
tests_unit_test_vtd_posted_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_vtd_p2m
tests_unit_test_vtd_p2m_SOURCES = tests/unit/test_vtd_p2m.c $(vtd_rig) $(iommu_logic) \
	$(p2m_sources) $(frame_sources)
tests_unit_test_vtd_p2m_LDADD = $(UNIT_LIBS)

# Drives the emulated unit of an installed QEMU; skipped without one.
check_PROGRAMS += tests/unit/test_vtd_qemu
tests_unit_test_vtd_qemu_SOURCES = tests/unit/test_vtd_qemu.c tests/unit/qemu_dev.c \
	tests/unit/qemu_dev.h $(iommu_logic)
tests_unit_test_vtd_qemu_LDADD = $(CMOCKA_LIBS)

/* SPDX-License-Identifier: MIT */
/*
 * libxenlite: xen-lite's extension of Xen's interface as functions, in libxenctrl's style. Every function takes the connection,
 * returns 0, or -1 with errno set as the command's description in <xenlite/...> says (ENOSYS: the hypervisor does not have the
 * call, EPERM: not the control domain). A function that makes an array allocates it; the caller frees it, on errors there is none.
 * Arrays are never NULL on success, also with 0 entries. A connection may be used by several threads at a time.
 */
#ifndef LIBS_XENLITE_H
#define LIBS_XENLITE_H

#include <stddef.h>
#include <stdint.h>
#include <xenctrl.h>

#include <xenlite/audit.h>
#include <xenlite/ioreq.h>
#include <xenlite/pci.h>
#include <xenlite/trace.h>
#include <xenlite/xenlite.h>

/*
 * Any command: `args` of `size` bytes (at most XENLITE_OP_ARGS) are copied in and, when the hypervisor wrote, out. Pointers in
 * them must be of memory from xencall_alloc_buffer().
 */
int xenlite_call(xc_interface *xch, uint32_t cmd, uint32_t domid, void *args, size_t size);

/* -------- trap counters -------- */

int xenlite_trap_regions(xc_interface *xch, uint32_t domid, struct xenlite_trap_region **out,
                         unsigned *nr);
int xenlite_trap_functions(xc_interface *xch, uint32_t domid, struct xenlite_trap_function **out,
                           unsigned *nr);
/* sbdf: as the domain sees the function. */
int xenlite_trap_registers(xc_interface *xch, uint32_t domid, uint32_t sbdf,
                           struct xenlite_trap_register **out, unsigned *nr);
/* vcpu: a number or XENLITE_ALL_VCPUS. */
int xenlite_exit_counts(xc_interface *xch, uint32_t domid, uint32_t vcpu,
                        struct xenlite_exit_count **out, unsigned *nr);
int xenlite_rules(xc_interface *xch, struct xenlite_rule **out, unsigned *nr);
int xenlite_handlers(xc_interface *xch, struct xenlite_handler **out, unsigned *nr);
int xenlite_denials(xc_interface *xch, struct xenlite_trap_record **out, unsigned *nr);

/* -------- trap records -------- */

int xenlite_trace_start(xc_interface *xch, struct xenlite_trace_session *session);
int xenlite_trace_stop(xc_interface *xch, const struct xenlite_trace_session *session);
/*
 * Up to max records of one CPU (0..session->cpus - 1), in *nr; *lost (may be NULL) is what was lost since the last read of it.
 */
int xenlite_trace_read(xc_interface *xch, const struct xenlite_trace_session *session, unsigned cpu,
                       struct xenlite_trap_record *records, unsigned max, unsigned *nr,
                       uint64_t *lost);
/*
 * Empties the rings of all CPUs: *out in order of time, *lost of all. What is in the rings when this begins is returned; records
 * of different calls may overlap in time by what a CPU needs to write one.
 */
int xenlite_trace_read_all(xc_interface *xch, const struct xenlite_trace_session *session,
                           struct xenlite_trap_record **out, unsigned *nr, uint64_t *lost);

/* -------- names of registers -------- */

/* The capabilities of a physical function, ascending. */
int xenlite_capabilities(xc_interface *xch, uint32_t hw_sbdf, struct xenlite_capability **out,
                         unsigned *nr);

#define XENLITE_NAME_MAX 48
/*
 * "command", "PCIe DevCtl", "AER 0x10": the name of a configuration register of an endpoint (bridge: of a bridge's header) with
 * these capabilities (which may be none). Always gives one, "0x0e4" at worst. No call, cannot fail.
 */
void xenlite_config_name(const struct xenlite_capability *caps, unsigned nr, int bridge,
                         unsigned offset, char name[XENLITE_NAME_MAX]);
/* "MSI-X[3].vector_control": of an offset in an MSI-X table. */
void xenlite_msix_name(unsigned offset, char name[XENLITE_NAME_MAX]);
/* "mmio", "port", "config", "denial", "msi-x", "decision" of XENLITE_TRAP_*, "?" past them. */
const char *xenlite_kind_name(unsigned kind);
/* "done", "denied", "dropped", "forwarded", "retried", "nobody" of XENLITE_DONE.., "?" past them. */
const char *xenlite_disposition_name(unsigned disposition);

/* -------- audit -------- */

/* Runs it to its end; begins again when another one came in between (a few times, then EAGAIN). First breaches in breaches[max]. */
int xenlite_audit(xc_interface *xch, struct xenlite_breach *breaches, unsigned max,
                  struct xenlite_audit_run *result);
/* The sentence as words: 1..XENLITE_AUDIT_SENTENCES, "" for others. */
const char *xenlite_audit_sentence(unsigned sentence);
int xenlite_audit_break(xc_interface *xch, uint32_t domid, unsigned what, int undo);

/* -------- page tables and DMA remapping -------- */

int xenlite_p2m(xc_interface *xch, uint32_t domid, struct xenlite_p2m *out);
int xenlite_explain(xc_interface *xch, uint32_t domid, uint64_t address,
                    struct xenlite_explain *out);
int xenlite_iommu(xc_interface *xch, struct xenlite_iommu *out);
int xenlite_iommu_units(xc_interface *xch, struct xenlite_iommu_unit **out, unsigned *nr);
int xenlite_iommu_devices(xc_interface *xch, struct xenlite_iommu_device **out, unsigned *nr);
int xenlite_iommu_faults(xc_interface *xch, struct xenlite_iommu_fault **out, unsigned *nr);

/* -------- devices and their owners (<xenlite/pci.h>) -------- */

int xenlite_pci_root(xc_interface *xch, uint32_t domid);
int xenlite_pci_info(xc_interface *xch, uint32_t sbdf, struct xenlite_pci_info *out);
/* *group (may be NULL): its number. */
int xenlite_pci_group(xc_interface *xch, uint32_t sbdf, struct xenlite_pci_member **out,
                      unsigned *nr, uint32_t *group);
int xenlite_pci_list(xc_interface *xch, struct xenlite_pci_entry **out, unsigned *nr);
/*
 * sbdf, flags and slot are the caller's, the fields OUT are valid after success and after a refusal. `text` (len bytes, may be
 * NULL) is the refusal as a sentence, "" after success; move->text and text_len are not looked at.
 */
int xenlite_pci_attach(xc_interface *xch, uint32_t domid, struct xenlite_pci_move *move, char *text,
                       size_t len);
int xenlite_pci_detach(xc_interface *xch, uint32_t domid, struct xenlite_pci_move *move, char *text,
                       size_t len);
/* Which of the machine's GSIs the function's pin is; flags: XENLITE_PCI_INTX_*. */
int xenlite_pci_intx(xc_interface *xch, uint32_t domid, uint32_t sbdf, uint32_t gsi, uint32_t flags);
/* slot and action are the caller's. */
int xenlite_pci_slot(xc_interface *xch, uint32_t domid, struct xenlite_pci_slot_op *slot);
/* Name and purpose of a stage, from the header that the library was built with; NULL past the last. */
const char *xenlite_pci_stage_name(unsigned stage);
const char *xenlite_pci_stage_text(unsigned stage);

/* -------- requests to a device model (<xenlite/ioreq.h>) -------- */

int xenlite_ioreq_complete(xc_interface *xch, uint32_t domid,
                           const struct xenlite_ioreq_complete *complete);
/* Up to max pending ones; *waiting (may be NULL): all that there are. */
int xenlite_ioreq_query(xc_interface *xch, uint32_t domid, struct xenlite_ioreq_pending *out,
                        unsigned max, unsigned *nr, unsigned *waiting);
int xenlite_ioreq_statistics(xc_interface *xch, uint32_t domid,
                             struct xenlite_ioreq_statistics *out);

#endif

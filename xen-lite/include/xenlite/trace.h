/* SPDX-License-Identifier: MIT */
/*
 * Trap counters and trap records, in the hypervisor's interface: which regions, functions and registers of a domain trap, how
 * often and what became of it; and, while somebody listens, a record of each access. See xenlite.h for the call.
 */
#ifndef XENLITE_TRACE_H
#define XENLITE_TRACE_H

#include <stdint.h>

#include "xenlite.h"

#define XENLITE_NO_DEVICE 0xffffffffu /* in an sbdf: none */
#define XENLITE_NO_VCPU   0xffffu

/*
 * All counts are of the time since the domain was created (rules: since boot), never reset, and read while they move. Names are
 * zero-terminated.
 */
enum {
    XENLITE_TRACE_regions =
        XENLITE_TRACE_FIRST, /* domid; struct xenlite_list of struct xenlite_trap_region */
    XENLITE_TRACE_functions, /* domid; struct xenlite_list of struct xenlite_trap_function */
    XENLITE_TRACE_registers, /* domid, arg: sbdf as the domain sees it; list of struct xenlite_trap_register */
    XENLITE_TRACE_exits, /* domid, arg: vCPU or XENLITE_ALL_VCPUS; list of struct xenlite_exit_count */
    XENLITE_TRACE_rules, /* list of struct xenlite_rule */
    XENLITE_TRACE_handlers, /* list of struct xenlite_handler: entry n is the one that records call n */
    XENLITE_TRACE_denials, /* the newest refusals, oldest first; list of struct xenlite_trap_record */
    XENLITE_TRACE_start,   /* struct xenlite_trace_session */
    XENLITE_TRACE_stop,    /* struct xenlite_trace_session */
    XENLITE_TRACE_read,    /* struct xenlite_trace_read */
    XENLITE_TRACE_capabilities, /* arg: sbdf of a physical function; list of struct xenlite_capability */
};

#define XENLITE_ALL_VCPUS 0xffffffffu

/*
 * What all commands that give lists take. 0; -EINVAL another entry_size than the hypervisor's, -EFAULT; with a domid -ESRCH;
 * registers, capabilities: -ENODEV there is no such function; exits: -EINVAL no such vCPU. The list may change between two calls.
 */
struct xenlite_list {
    uint64_t buffer;     /* address of entry_size * max bytes */
    uint32_t entry_size; /* sizeof one entry */
    uint32_t first;      /* leave out so many */
    uint32_t max;        /* room at buffer */
    uint32_t nr;         /* OUT: entries written */
    uint32_t total;      /* OUT: entries that there are */
    uint32_t arg;        /* where the command says so */
};

/* ---- counters ---- */

#define XENLITE_TRAP_MMIO 0
#define XENLITE_TRAP_PIO  1
/* In records only: */
#define XENLITE_TRAP_CONFIG 2 /* a configuration register; addr is its number, sbdf the function */
#define XENLITE_TRAP_DENY                                                                          \
    3 /* a refusal beside the access's own record; rule, addr and value are its operands */
#define XENLITE_TRAP_MSIX 4 /* an MSI-X table; addr is the offset in it, sbdf the function */
#define XENLITE_TRAP_DECIDE                                                                        \
    5 /* a device model's decision on a forwarded access: reason, and ns it took */

struct xenlite_trap_region {
    uint64_t first, last;                /* guest-physical addresses or ports, both included */
    uint64_t reads, writes;              /* whatever became of them */
    uint64_t denied, dropped, forwarded; /* of these */
    uint16_t handler;                    /* XENLITE_TRACE_handlers */
    uint8_t kind;                        /* XENLITE_TRAP_MMIO or _PIO */
    uint8_t pad[5];
    char name[24];
};

/* One PCI function of the domain. */
struct xenlite_trap_function {
    uint32_t sbdf;                    /* as the domain sees it */
    uint32_t hw_sbdf;                 /* the physical function, XENLITE_NO_DEVICE: virtual */
    uint64_t reads, writes, denied;   /* configuration space */
    uint64_t msi_binds, msi_failed;   /* messages bound, refused */
    uint64_t msix_reads, msix_writes; /* of the table */
    uint64_t msix_mask_writes;        /* of these: to a vector control */
    uint64_t msix_binds, msix_failed;
    uint64_t neighbour_reads,
        neighbour_writes;  /* other registers on the table's or the pending bits' pages */
    uint32_t registers;    /* entries XENLITE_TRACE_registers has now */
    uint16_t msix_entries; /* 0: no MSI-X */
    uint8_t msi;           /* 1: has MSI */
    uint8_t pad;
};

#define XENLITE_SPACE_CONFIG 0 /* offset is a configuration register's */
#define XENLITE_SPACE_MSIX   1 /* offset is in the MSI-X table */

/*
 * One register of a function that was touched: a dword of configuration space (what is counted is where the access began), or an
 * entry's dword of the MSI-X table.
 */
struct xenlite_trap_register {
    uint64_t reads, writes;
    uint32_t offset;
    uint8_t space;   /* XENLITE_SPACE_* */
    uint8_t managed; /* 1: the hypervisor emulates (part of) it */
    uint8_t pad[2];
    char name
        [16]; /* of the first emulated register in it; "" if none. libxenlite knows the names of all others */
};

/* Where a function's capabilities lie: with them libxenlite names any register. */
struct xenlite_capability {
    uint16_t offset;
    uint16_t id;
    uint8_t extended; /* 1: an extended one */
    uint8_t version;  /* of an extended one */
    uint16_t
        control; /* the first word behind id and link, for what depends on it (MSI: 64 bits, masks; PCIe: port type) */
};

struct xenlite_exit_count {
    char name[16];
    uint64_t count;
};

struct xenlite_rule {
    char name[32];
    char sentence[240]; /* a and b, or {a:...} and {b:...} in it are the operands */
    int32_t error;      /* positive errno */
    uint32_t pad;
    uint64_t count;
};

struct xenlite_handler {
    char name[32];
};

/* ---- records ---- */

#define XENLITE_DONE      0
#define XENLITE_DENIED    1 /* refused: write ignored, read gives ones */
#define XENLITE_DROPPED   2 /* nobody there to decide */
#define XENLITE_FORWARDED 3 /* a device model decides; a record XENLITE_TRAP_DECIDE follows */
#define XENLITE_RETRIED   4
#define XENLITE_NOBODY    5

struct xenlite_trap_record {
    uint64_t time;  /* ns since boot, start of the access */
    uint64_t addr;  /* address, port, register, offset, or first operand: by kind */
    uint64_t value; /* written or read, or second operand */
    uint32_t sbdf;  /* XENLITE_NO_DEVICE: none */
    uint32_t ns;    /* spent on it */
    uint16_t domid;
    uint16_t vcpu;       /* XENLITE_NO_VCPU: none */
    uint16_t handler;    /* XENLITE_TRACE_handlers */
    uint16_t rule;       /* of _DENY: XENLITE_TRACE_rules */
    uint8_t kind;        /* XENLITE_TRAP_* */
    uint8_t size;        /* bytes */
    uint8_t write;       /* 1: write */
    uint8_t disposition; /* XENLITE_DONE.. */
    uint32_t
        reason; /* of _DECIDE: the device model's own number, struct xenlite_ioreq_complete.reason */
};

/*
 * There is one listener at a time. It reads every CPU's ring at least once in XENLITE_TRACE_PATIENCE_MS; who does not, and whose
 * rings are full, has gone: recording ends by itself, or the next start takes over.
 *
 * start: OUT token, cpus, ring. 0; -EBUSY somebody listens; -ENOMEM.
 * stop: IN token. 0; -ESTALE this session has ended.
 */
#define XENLITE_TRACE_PATIENCE_MS 10000

struct xenlite_trace_session {
    uint64_t token;
    uint32_t cpus; /* rings */
    uint32_t ring; /* records that one holds */
};

/*
 * Takes records out of one CPU's ring, oldest first. Rings are not ordered among each other: sort by time. 0; -ESTALE this
 * session has ended (what its rings still held is gone); -EINVAL no such CPU; -EFAULT.
 */
struct xenlite_trace_read {
    uint64_t token;
    uint64_t buffer; /* address of struct xenlite_trap_record[max] */
    uint32_t cpu;
    uint32_t max;
    uint32_t nr; /* OUT */
    uint32_t pad;
    uint64_t lost; /* OUT: records since the last read for which there was no room */
};

#endif

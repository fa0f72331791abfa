/* SPDX-License-Identifier: MIT */
/* A simulated hypervisor for xl-dmd: guests that exist, write to their consoles, lie, die. */
#ifndef TESTS_DM_FAKE_HV_H
#define TESTS_DM_FAKE_HV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/io/console.h>
#include <xenlite/pci.h>

#include "dm/hv.h"
#include "dm/hv_server.h"

#define FAKE_GUESTS 8
#define FAKE_PORT   5      /* the guest's console port */
#define FAKE_GFN    0xfeff /* and frame */

#define FAKE_VCPUS   2
#define FAKE_DEVICES 4

/* What a guest asks of its device model, vCPU by vCPU: request n writes n to register regs[n % nr_regs], until n is last. */
struct fake_vcpu {
    uint64_t id; /* of the request that waits; 0: none */
    uint32_t sent, last;
    uint32_t done;        /* requests completed */
    uint32_t disorder;    /* completions that were not the next one's */
    uint32_t decision[5]; /* how often, by XENLITE_IOREQ_* */
    struct xenlite_ioreq_complete latest;
    struct hv_port *port; /* the daemon's; NULL: not bound */
    bool pending, masked;
};

struct fake_io {
    bool root, server; /* has a PCI root; the daemon has a server */
    uint8_t kind;      /* of requests: XENLITE_IOREQ_* */
    uint8_t size;
    const uint16_t *regs;
    unsigned nr_regs;
    uint32_t hw_sbdf;
    uint64_t address;
    uint32_t message;
    int complete_error; /* errno that completions get, once */
    int server_error;   /* errno that a daemon gets which wants a server; 0: it gets one */
    struct fake_vcpu vcpu[FAKE_VCPUS];
    /* What the daemon has mapped; a dead one's mapping stays. */
    void *pages;
};

struct fake_guest {
    struct hv_domain info;
    struct xencons_interface *page; /* freed when it is neither listed nor mapped */
    bool listed, has_console, mapped;
    int bind_error;       /* errno of hv_bind(); 0: it works */
    struct hv_port *port; /* the daemon's; NULL: not bound */
    bool pending, masked;
    unsigned notified; /* by the daemon */
    struct fake_io io;
};

struct fake_device {
    struct xenlite_pci_entry entry; /* sbdf 0: there is none */
    unsigned slot_state;            /* XENLITE_PCI_SLOT_* */
    uint32_t gsi;                   /* that its pin was connected to; 0: none */
    unsigned connected;             /* how often */
};

/* The hypervisor's other side, for tests. */
struct fake_pci {
    struct fake_device device[FAKE_DEVICES];
    const char *refusal; /* of the next attach or detach; NULL: none */
    int die_in;          /* completions until the daemon is killed; < 0: never */
    bool die_before;     /* the last one does not reach the hypervisor */
    bool dead;           /* nothing that the daemon does reaches the hypervisor any more */
    bool tracing;
    unsigned records; /* that the next read of the rings finds */
    bool missing;     /* the hypervisor has none of the extension's calls */
    bool resetting;   /* atomic: a device is being reset: who moves devices or asks for their list waits */
    bool walking;     /* atomic: tables are large: whoever walks them waits */
    bool waits;       /* atomic: somebody waits, for the one or the other */
    unsigned kept;    /* how often the daemon left its second thread behind */
    char order[16];   /* what came first: 'a'udit, 'p'2m, 'l'ist; to be looked at when nothing is under way */
};
struct fake_pci *fake_pci(struct hv *hv);
struct fake_guest *fake_guests(struct hv *hv);

/* A function of the control domain's, or the guest's in a slot. */
struct fake_device *fake_device(struct hv *hv, uint32_t sbdf, uint16_t owner, unsigned slot);
/* The vCPU begins: it makes requests until it has made last; each waits for the one before. */
void fake_requests(struct hv *hv, struct fake_guest *guest, unsigned vcpu, uint32_t last);
/* The daemon's process ends as by SIGKILL: channels close, the server stays until the next one is made. */
void fake_killed(struct hv *hv);

struct hv *fake_open(void);
/* Frees everything; fails if something is still mapped or bound. */
void fake_close(struct hv *hv);

struct fake_guest *fake_add(struct hv *hv, uint16_t domid, uint8_t uuid_byte);
/* The guest leaves the list; its page stays while it is mapped. */
void fake_remove(struct fake_guest *guest);
void fake_send_event(struct hv *hv, struct fake_guest *guest);
/* The guest writes text and sends an event; the ring must have room. */
void fake_write(struct hv *hv, struct fake_guest *guest, const char *text);
/* Takes all input; returns its length. buf has room for the whole ring. */
size_t fake_read(struct fake_guest *guest, char *buf);
/* Makes listing fail. */
void fake_fail_list(struct hv *hv, bool fail);

/* Between the two files: what is pending has changed; a port for the daemon, of a guest's console or of a vCPU. */
void fake_update(struct hv *hv);
struct hv_port *fake_port(struct hv *hv, struct fake_guest *guest, struct fake_vcpu *v);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the daemon asks of the hypervisor, all of it through Debian's libxenctrl, libxenevtchn and
 * libxenforeignmemory. Functions that return int return -1 with errno on failure. Tests link a simulated
 * hypervisor with these names instead.
 */
#ifndef DM_HV_H
#define DM_HV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HV_NO_REASON 255u

struct hv;

struct hv_domain {
    uint16_t domid;
    uint8_t uuid[16];
    bool hvm, running, blocked, paused, shutdown, dying;
    unsigned shutdown_reason; /* SHUTDOWN_* of xen/sched.h; HV_NO_REASON unless shutdown */
    unsigned vcpus;           /* online */
    uint64_t memory_kib, max_memory_kib;
    uint64_t cpu_ns;
};

/* Opens what needs privileges, so that they can go afterwards, and tries the rest. NULL: *what says what failed. */
struct hv *hv_open(const char **what);
void hv_close(struct hv *hv);

/* The hypervisor's version as it calls itself. */
int hv_version(struct hv *hv, char *buf, size_t size);

/* Sets *list to an array for the caller to free, and returns its length. */
int hv_list(struct hv *hv, struct hv_domain **list);

/* The console's frame and the guest's port; zeros while the builder has not set them. */
int hv_console_params(struct hv *hv, uint16_t domid, uint64_t *gfn, uint32_t *port);

/* Maps one page of a guest, readable and writable. NULL with errno. It stays valid when the guest dies. */
void *hv_map(struct hv *hv, uint16_t domid, uint64_t gfn);
void hv_unmap(struct hv *hv, void *page);

/*
 * Event channels, each with a descriptor of its own. Linux's driver loses the wake-up of a descriptor that has several: it decides
 * whether to wake by what its ring held before it puts the port there (drivers/xen/evtchn.c, evtchn_interrupt()), and a reader that
 * empties the ring in between sleeps with a port in it. A ring that one port alone fills is empty whenever that port's event comes, as
 * long as nobody unmasks it who has not taken its event before.
 */
struct hv_port;

/* NULL with errno. Needs no privilege but to open the device. */
struct hv_port *hv_bind(struct hv *hv, uint16_t domid, uint32_t remote_port);
/* NULL is fine. */
void hv_unbind(struct hv_port *port);
void hv_notify(struct hv_port *port);
/* Has an event come? Then it is masked until hv_unmask(). */
bool hv_take(struct hv_port *port);
/* Only after hv_take() has said that one has come, once. */
void hv_unmask(struct hv_port *port);
/* The descriptor that is readable when hv_take() has something. */
int hv_port_fd(const struct hv_port *port);

#endif

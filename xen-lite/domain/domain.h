/* SPDX-License-Identifier: MIT */
/*
 * Domains and their vCPUs: the structures that embed what the subsystems own, who may look at them, and life cycle.
 *
 * Each member belongs to the subsystem whose type it is, together with its lock. What this header itself owns is protected
 * by domain.lock, or written once at creation. A struct domain is freed when its last reference goes.
 *
 * The order of locks is in docs/architecture.md.
 */
#ifndef XL_DOMAIN_DOMAIN_H
#define XL_DOMAIN_DOMAIN_H

#include "lib/types.h"

#include <xen/xen.h>

#include "cpu/vcpu.h"
#include "domain/debugport.h"
#include "domain/passthrough.h"
#include "hypercall/evtchn.h"
#include "hypercall/grant.h"
#include "hypercall/params.h"
#include "hypercall/pt_irq.h"
#include "hypercall/sched_op.h"
#include "hypercall/vtime.h"
#include "iommu/iommu.h"
#include "lib/list.h"
#include "lib/spinlock.h"
#include "p2m/p2m.h"
#include "sched/post.h"
#include "sched/sched.h"
#include "trap/trap.h"
#include "vdev/ioreq.h"
#include "vdev/vioapic.h"
#include "vdev/vlapic.h"
#include "vdev/vpci.h"

#define DOMAIN_MAX_VCPUS VAPIC_MAX_VCPUS
/* All that there can be at a time, dying ones and the control domain included. */
#define DOMAIN_MAX 128
#define CONTROL_DOMID 0

/* One entry of the memory map that XENMEM_memory_map gives (E820 types). */
#define DOMAIN_MAX_MEMMAP 128
struct domain_memmap_entry {
    uint64_t base, len;
    uint32_t type;
};

struct vcpu {
    struct domain *domain;
    unsigned id;
    struct trap_vcpu trap;
    struct cpu_vcpu cpu;
    struct vlapic vlapic;
    struct evtchn_vcpu evt;
    struct vtime time;
    struct sched_vcpu sched;
    struct post_vcpu post;
    struct ioreq_vcpu ioreq;

    /* Start-up protocol (INIT, SIPI); set from any CPU, acted on by the vCPU's own loop. */
    bool init_signal;          /* atomic */
    bool wait_for_sipi;        /* atomic */
    uint16_t sipi;             /* atomic: BIT(8) | vector while one waits */
    bool initialised;          /* has registers to run with */
};

/* How far destruction has come; domain/destroy.c. */
struct domain_destroy {
    unsigned step;
    bool busy;                 /* some CPU works on it; atomic */
    uint64_t wake_ns;          /* nothing to do before: a device is being reset */
    bool lingering;            /* done, but others still hold frames; under the list lock */
    struct list_head link;     /* in the list of lingering or dead domains; under the list lock */
};

struct domain {
    uint16_t domid;
    bool control;              /* the control domain: privileged */
    bool dying;                /* destruction has begun; atomic */
    uint32_t pinned;           /* struct guest_page of its frames; atomic */
    bool shutting_down;        /* a vCPU asked for shutdown; under lock */
    bool is_shut_down;         /* all vCPUs are stopped; under lock */
    uint8_t shutdown_code;     /* SHUTDOWN_*; under lock */
    unsigned refs;             /* atomic */
    unsigned pause_count;      /* pauses by the toolstack; atomic */
    spinlock_t lock;
    struct list_head link;     /* in the list of domains, ascending domid */
    xen_domain_handle_t handle;

    unsigned max_vcpus;
    struct vcpu *vcpu[DOMAIN_MAX_VCPUS]; /* written at creation */

    struct cpu_domain cpu;
    struct p2m p2m;
    struct iommu_domain iommu;
    struct trap_table traps;
    struct vapic_bus vapic;
    struct vpci vpci;
    struct passthrough pt;
    struct ioreq_domain ioreq;
    struct pt_irqs pt_irqs;
    uint64_t irqs_followed_ns; /* when its devices' interrupts were last moved after their vCPUs; atomic */
    struct evtchn_table evtchn;
    struct grant_table grants;
    struct hvm_params hvm_params;
    struct domain_watchdog watchdog;
    struct domain_assist assist;
    struct debugport debugport;

    struct shared_info *shared_info; /* one frame, type PAGE_SHARED, owned by the domain */
    uint64_t max_pages;        /* bound for the frames it owns; under lock */
    int64_t time_offset;       /* s; how far its wall clock is ahead of the machine's; atomic */
    uint64_t tsc_base;         /* the host's TSC when the domain was created: 0 of the guest's */
    bool started;              /* was unpaused once: what CPUID says stays as it is; atomic */
    struct domain_destroy destroy;

    unsigned nr_memmap;        /* under lock */
    struct domain_memmap_entry memmap[DOMAIN_MAX_MEMMAP];
};

#define for_each_vcpu(d, v)                                                                        \
    for (unsigned i_##v = 0; i_##v < (d)->max_vcpus; i_##v++)                                      \
        if (((v) = (d)->vcpu[i_##v]) == NULL) {                                                    \
        } else

/*
 * Walks the list of domains; the body holds the list lock, so it must be short and may not create or destroy one:
 *     domain_list_lock(); for_each_domain(d) {...} domain_list_unlock();
 */
extern struct list_head domain_list;
void domain_list_lock(void);
void domain_list_unlock(void);
#define for_each_domain(d) list_for_each_entry(d, &domain_list, link)

/* The domain with a reference held, or NULL. domain_put() gives it back. */
struct domain *domain_get_by_id(uint16_t domid);
/* The same; DOMID_SELF is v's own domain. */
struct domain *domain_get_by_id_or_self(struct vcpu *v, uint16_t domid);
void domain_get(struct domain *d);
void domain_put(struct domain *d);
/* The control domain; exists from boot to the end. */
extern struct domain *control_domain;

struct domain_config {
    uint16_t domid;
    bool control;
    unsigned max_vcpus;
    uint32_t max_evtchn_ports;
    uint32_t max_grant_frames;
    uint32_t max_maptrack_frames;
    xen_domain_handle_t handle;
};

/*
 * Creates a domain with its vCPUs, none of them runnable: a guest is paused once. The one reference belongs to the
 * domain's life and is given back by its destruction. 0 and *out; -EEXIST, -EINVAL, -ENOMEM, or -ENOSPC (too many
 * domains) with nothing left behind.
 */
int domain_create(const struct domain_config *cfg, struct domain **out);
/* An id that no domain has, other than those given last where possible; DOMID_INVALID when there are too many domains. */
uint16_t domain_free_id(void);

/*
 * domain/destroy.c: stops the domain for good and takes back what it has, in pieces: -ERESTART until done, then 0; with
 * d->destroy.wake_ns in the future, nothing can be done before that. The
 * domain stays in the list, dying, while others hold its frames or grants; then it goes, with VIRQ_DOM_EXC to the control
 * domain. -EINVAL for the control domain. The caller holds a reference and is not a vCPU of d.
 */
int domain_destroy(struct domain *d);
/* Frees what no one holds any more. Called without locks, after each hypercall that may have dropped a last reference. */
void domain_reap(void);
/* Something for domain_reap() to look at. */
extern bool domain_reap_wanted;
/* For domain.c: d's last reference is gone, it is off the list. List lock held. */
void domain_dead(struct domain *d);
/* domain.c: releases the domain's parts. */
void domain_free(struct domain *d);
/* A frame that d did not own has left d's p2m: a dying domain may have waited for that. */
void domain_foreign_released(void);

/* All vCPUs stop soon; sends VIRQ_DOM_EXC to the control domain when they have. The control domain's own ends the machine. */
void domain_shutdown(struct domain *d, unsigned code);

/* Ends a shutdown: the vCPUs go on. -EINVAL if d is not shut down or is dying. */
int domain_resume(struct domain *d);

/* Holds back all vCPUs until domain_unpause; nests. Returns when none of them runs (not for the calling vCPU). */
void domain_pause(struct domain *d);
void domain_unpause(struct domain *d);

/* memory.c: what becomes of frames that left the p2m, by type; the hook of struct p2m_hooks. */
void domain_p2m_release(struct domain *d, uint64_t gfn, uint64_t mfn, unsigned order, enum p2m_type type);

/* A vCPU went offline by itself: when it was the last one, the domain has switched itself off. */
void domain_vcpu_went_down(struct domain *d);
uint64_t domain_shared_info_mfn(const struct domain *d);

/* domain/absent.c: ports 40-43 of d answer as fits best where there is no PIT. 0 or what trap_register() returns. */
int domain_hide_pit(struct domain *d);

/* domain/control.c: builds the control domain from the boot modules and lets it run. Panics with the reason if that is impossible. */
struct boot_info;
void control_domain_build(const struct boot_info *bi);
/* Lets its vCPUs run; the other ones wait for their SIPI. */
void control_domain_start(void);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The device model's end of ioreq: one server on a domain, its pages and its ports. Tests link a simulated hypervisor with
 * these names instead, as with hv.h.
 */
#ifndef DM_HV_SERVER_H
#define DM_HV_SERVER_H

#include <stdint.h>

#include <xenctrl.h>
#include <xenlite/ioreq.h>

struct hv;
struct hv_port;
struct ioreq;

#define HV_VCPUS_MAX 128

struct hv_server {
    uint16_t domid, id;
    unsigned nr_vcpus;
    const volatile struct ioreq *slot; /* [nr_vcpus], the hypervisor's: only to be read */
    const volatile struct xenlite_ioreq_detail *detail; /* likewise */
    struct hv_port *port[HV_VCPUS_MAX];                 /* NULL: not bound */
    void *pages;
};

/*
 * Makes and enables a server for every PCI function of the domain, and binds its ports: requests that waited for one are in
 * its slots when this returns. 0, or -1 with errno and nothing left.
 */
int hv_server_open(struct hv *hv, uint16_t domid, struct hv_server *server);
/* Requests that are not completed go to the next server. The domain may be gone. */
void hv_server_close(struct hv *hv, struct hv_server *server);

/* XENLITE_IOREQ_complete. Allocates nothing. 0 or -1 with errno. */
int hv_complete(struct hv *hv, uint16_t domid, const struct xenlite_ioreq_complete *complete);

/* For libxenlite's functions. */
xc_interface *hv_xc(struct hv *hv);
/* The same for the second thread alone. */
xc_interface *hv_worker_xc(struct hv *hv);
/* That thread could not be waited for: hv_close() leaves its handle open. */
void hv_keep_worker_xc(struct hv *hv);

#endif

/* SPDX-License-Identifier: MIT */
/* libxenlite: the commands about devices and their owners, and about requests to a device model. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "xenlite_priv.h"

/* Functions are few; what a machine has at most is bounded by the hypervisor. */
#define FIRST_ROOM 64u
#define MOST       65536u
/* A refusal as a sentence. */
#define TEXT_SIZE  512u
#define MOST_VCPUS 128u

int xenlite_pci_root(xc_interface *xch, uint32_t domid)
{
    return xenlite_call(xch, XENLITE_PCI_root, domid, NULL, 0);
}

int xenlite_pci_info(xc_interface *xch, uint32_t sbdf, struct xenlite_pci_info *out)
{
    struct xenlite_pci_info_op op = { .sbdf = sbdf, .size = sizeof(*out) };
    struct xenlite_pci_info *buffer = xenlite_buffer(xch, sizeof(*buffer));
    int rc;

    if (buffer == NULL) {
        return -1;
    }
    memset(buffer, 0, sizeof(*buffer));
    op.info = (uintptr_t)buffer;
    rc = xenlite_call(xch, XENLITE_PCI_info, 0, &op, sizeof(op));
    if (rc == 0) {
        *out = *buffer;
    }
    xenlite_buffer_free(xch, buffer);
    return rc;
}

/* One try of a command that fills an array of `room` entries: 0 complete, 1 there is more (*need), -1 error. */
typedef int (*fill_fn)(xc_interface *xch, void *buffer, unsigned room, unsigned *nr, unsigned *need,
                       void *arg);

static int fill_all(xc_interface *xch, fill_fn fill, void *arg, size_t entry, void **out,
                    unsigned *nr)
{
    unsigned room = FIRST_ROOM, need = 0;

    while (room <= MOST) {
        void *buffer = xenlite_buffer(xch, room * entry);
        int rc;

        if (buffer == NULL) {
            return -1;
        }
        memset(buffer, 0, room * entry);
        rc = fill(xch, buffer, room, nr, &need, arg);
        *out = rc == 0 ? malloc(*nr * entry + 1) : NULL;
        if (*out != NULL) {
            memcpy(*out, buffer, *nr * entry);
        }
        xenlite_buffer_free(xch, buffer);
        if (rc <= 0) {
            return *out != NULL ? 0 : -1;
        }
        room = need;
    }
    errno = EPROTO;
    return -1;
}

static int fill_group(xc_interface *xch, void *buffer, unsigned room, unsigned *nr, unsigned *need,
                      void *arg)
{
    struct xenlite_pci_group_op *op = arg;

    op->members = (uintptr_t)buffer;
    op->max = room;
    if (xenlite_call(xch, XENLITE_PCI_group, 0, op, sizeof(*op)) != 0) {
        return -1;
    }
    *nr = *need = op->nr;
    return op->nr > room;
}

int xenlite_pci_group(xc_interface *xch, uint32_t sbdf, struct xenlite_pci_member **out,
                      unsigned *nr, uint32_t *group)
{
    struct xenlite_pci_group_op op = { .sbdf = sbdf };

    if (fill_all(xch, fill_group, &op, sizeof(**out), (void **)out, nr) != 0) {
        return -1;
    }
    if (group != NULL) {
        *group = op.group;
    }
    return 0;
}

static int fill_list(xc_interface *xch, void *buffer, unsigned room, unsigned *nr, unsigned *need,
                     void *arg)
{
    struct xenlite_pci_list_op op = { .max = room, .entries = (uintptr_t)buffer };

    (void)arg;
    if (xenlite_call(xch, XENLITE_PCI_list, 0, &op, sizeof(op)) != 0) {
        return -1;
    }
    *nr = op.nr < room ? op.nr : room;
    *need = op.total;
    return op.total > room;
}

int xenlite_pci_list(xc_interface *xch, struct xenlite_pci_entry **out, unsigned *nr)
{
    return fill_all(xch, fill_list, NULL, sizeof(**out), (void **)out, nr);
}

static int move_device(xc_interface *xch, uint32_t cmd, uint32_t domid,
                       struct xenlite_pci_move *move, char *text, size_t len)
{
    char *buffer = xenlite_buffer(xch, TEXT_SIZE);
    int rc;

    if (buffer == NULL) {
        return -1;
    }
    memset(buffer, 0, TEXT_SIZE);
    move->text = (uintptr_t)buffer;
    move->text_len = TEXT_SIZE;
    rc = xenlite_call(xch, cmd, domid, move, sizeof(*move));
    move->text = 0;
    move->text_len = 0;
    buffer[TEXT_SIZE - 1] = '\0';
    if (text != NULL && len != 0) {
        const size_t have = rc == 0 ? 0 : strnlen(buffer, len - 1);

        memcpy(text, buffer, have);
        text[have] = '\0';
    }
    xenlite_buffer_free(xch, buffer);
    return rc;
}

int xenlite_pci_attach(xc_interface *xch, uint32_t domid, struct xenlite_pci_move *move, char *text,
                       size_t len)
{
    return move_device(xch, XENLITE_PCI_attach, domid, move, text, len);
}

int xenlite_pci_detach(xc_interface *xch, uint32_t domid, struct xenlite_pci_move *move, char *text,
                       size_t len)
{
    return move_device(xch, XENLITE_PCI_detach, domid, move, text, len);
}

int xenlite_pci_intx(xc_interface *xch, uint32_t domid, uint32_t sbdf, uint32_t gsi, uint32_t flags)
{
    struct xenlite_pci_intx_op op = { .sbdf = sbdf, .gsi = gsi, .flags = flags };

    return xenlite_call(xch, XENLITE_PCI_intx, domid, &op, sizeof(op));
}

int xenlite_pci_slot(xc_interface *xch, uint32_t domid, struct xenlite_pci_slot_op *slot)
{
    return xenlite_call(xch, XENLITE_PCI_slot, domid, slot, sizeof(*slot));
}

static const struct {
    const char *name, *text;
} stages[] = {
#define X(name, text) { #name, text },
    XENLITE_PCI_STAGES(X)
#undef X
};

const char *xenlite_pci_stage_name(unsigned stage)
{
    return stage < sizeof(stages) / sizeof(stages[0]) ? stages[stage].name : NULL;
}

const char *xenlite_pci_stage_text(unsigned stage)
{
    return stage < sizeof(stages) / sizeof(stages[0]) ? stages[stage].text : NULL;
}

/* ---- requests to a device model ---- */

int xenlite_ioreq_complete(xc_interface *xch, uint32_t domid,
                           const struct xenlite_ioreq_complete *complete)
{
    struct xenlite_ioreq_complete copy = *complete;

    return xenlite_call(xch, XENLITE_IOREQ_complete, domid, &copy, sizeof(copy));
}

int xenlite_ioreq_query(xc_interface *xch, uint32_t domid, struct xenlite_ioreq_pending *out,
                        unsigned max, unsigned *nr, unsigned *waiting)
{
    struct xenlite_ioreq_query op = { .nr = max < MOST_VCPUS ? max : MOST_VCPUS };
    const uint32_t room = op.nr;
    const size_t size = (room != 0 ? room : 1) * sizeof(*out);
    struct xenlite_ioreq_pending *buffer = xenlite_buffer(xch, size);
    int rc;

    if (buffer == NULL) {
        return -1;
    }
    memset(buffer, 0, size);
    op.buffer = (uintptr_t)buffer;
    rc = xenlite_call(xch, XENLITE_IOREQ_query, domid, &op, sizeof(op));
    if (rc == 0) {
        *nr = op.nr < room ? op.nr : room;
        memcpy(out, buffer, *nr * sizeof(*out));
        if (waiting != NULL) {
            *waiting = op.waiting;
        }
    }
    xenlite_buffer_free(xch, buffer);
    return rc;
}

int xenlite_ioreq_statistics(xc_interface *xch, uint32_t domid,
                             struct xenlite_ioreq_statistics *out)
{
    memset(out, 0, sizeof(*out));
    return xenlite_call(xch, XENLITE_IOREQ_statistics, domid, out, sizeof(*out));
}

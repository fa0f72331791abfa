/* SPDX-License-Identifier: MIT */
/*
 * audit-break WHAT DOMID [undo]: has a test image of the hypervisor break one of its isolation sentences, or mend it. Exit
 * status 0, 3 when there is nothing to break, 4 when the hypervisor is no test image, 1 else.
 */
#include "hostile.h"

#include "../../xen-lite/include/xenlite/audit.h"

int main(int argc, char **argv)
{
    struct xenlite_break b = { .what = 0 };
    struct xenlite_op *op;
    long rc;

    if (argc < 3)
        return 1;
    privcmd_open();
    op = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    if (op == MAP_FAILED)
        die("mmap");
    b.what = (uint32_t)atoi(argv[1]);
    b.undo = argc > 3;
    op->cmd = XENLITE_AUDIT_break;
    op->interface_version = XENLITE_INTERFACE_VERSION;
    op->domid = (uint16_t)atoi(argv[2]);
    memcpy(op->args, &b, sizeof(b));
    rc = hypercall(XENLITE_HYPERCALL, (uint64_t[5]){ (uintptr_t)op });
    if (rc)
        fprintf(stderr, "audit-break %s %s: %s\n", argv[1], argv[2], strerror((int)-rc));
    return rc == 0 ? 0 : rc == -ENOENT ? 3 : rc == -ENOSYS ? 4 : 1;
}

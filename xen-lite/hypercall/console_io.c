/* SPDX-License-Identifier: MIT */
/*
 * console_io: the control domain's share of the hypervisor's console.
 */
#include "boot/console.h"
#include "cpu/guest_mem.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/errno.h"

#define CONSOLE_CHUNK 256u
/* A serial line takes 90 us a character: this much between two looks at what else is due. */
#define CONSOLE_CHUNKS_PER_CALL 4u

/* Arguments of a restarted call are moved on by what was written. */
static long console_out(struct vcpu *v, uint64_t count, uint64_t gva)
{
    char buf[CONSOLE_CHUNK];

    for (unsigned i = 0; count; i++) {
        size_t n = MIN(count, (uint64_t)sizeof(buf));

        if (i == CONSOLE_CHUNKS_PER_CALL) {
            hypercall_set_arg(v, 2, count);
            hypercall_set_arg(v, 3, gva);
            return HYPERCALL_RESTART;
        }
        if (copy_from_guest(v, buf, gva, n))
            return -EFAULT;
        console_write(buf, n);
        gva += n;
        count -= n;
    }
    return 0;
}

static long console_in(struct vcpu *v, uint64_t count, uint64_t gva)
{
    char buf[CONSOLE_CHUNK];
    size_t n = console_read(buf, MIN(count, (uint64_t)sizeof(buf)));

    if (n && copy_to_guest(v, gva, buf, n))
        return -EFAULT;
    return (long)n;
}

static void console_input(void)
{
    send_virq_global(control_domain, VIRQ_CONSOLE);
}

long do_console_io(struct vcpu *v, uint64_t cmd, uint64_t count, uint64_t gva, uint64_t a4,
                   uint64_t a5)
{
    (void)a4;
    (void)a5;
    if (!v->domain->control)
        return -EPERM;
    /*
     * From its first use on the control domain wants to know of typed characters. Setting the hook
     * again does no harm.
     */
    console_set_input_hook(console_input);
    count = (uint32_t)count;
    if (count > INT32_MAX)
        return -EINVAL;
    switch ((uint32_t)cmd) {
    case CONSOLEIO_write:
        return console_out(v, count, gva);
    case CONSOLEIO_read:
        return console_in(v, count, gva);
    default:
        return -ENOSYS;
    }
}

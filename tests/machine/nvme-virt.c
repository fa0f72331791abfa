/* SPDX-License-Identifier: MIT */
/*
 * Gives queues and interrupts of an NVMe controller to the controllers of its virtual functions: the command Virtualization
 * Management (NVM Express 1.4, 5.22), for which the control domain has no other tool.
 *
 *     nvme-virt DEVICE CONTROLLER ACTION [RESOURCE NUMBER]
 *
 * RESOURCE is 0 (queues) or 1 (interrupts). ACTION 1: what the physical function keeps of the flexible ones, after its next
 * reset; 7: controller off; 8: gets them; 9: controller on.
 */
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define VIRTUALIZATION_MANAGEMENT 0x1c

static unsigned number(int argc, char **argv, int i)
{
    return i < argc ? (unsigned)strtoul(argv[i], NULL, 0) : 0;
}

int main(int argc, char **argv)
{
    struct nvme_admin_cmd cmd = { .opcode = VIRTUALIZATION_MANAGEMENT };
    int fd, status;

    if (argc < 4) {
        fprintf(stderr, "usage: nvme-virt DEVICE CONTROLLER ACTION [RESOURCE NUMBER]\n");
        return 2;
    }
    cmd.cdw10 = number(argc, argv, 2) << 16 | number(argc, argv, 4) << 8 | number(argc, argv, 3);
    cmd.cdw11 = number(argc, argv, 5);
    fd = open(argv[1], O_RDWR);
    status = fd < 0 ? -1 : ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd);
    if (status < 0)
        perror(argv[1]);
    else if (status > 0)
        fprintf(stderr, "nvme-virt: status %#x\n", (unsigned)status);
    return status != 0;
}

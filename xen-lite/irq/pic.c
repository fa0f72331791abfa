/* SPDX-License-Identifier: MIT */
/*
 * Silences the two 8259 interrupt controllers (8259A data sheet: initialisation words ICW1-ICW4,
 * mask OCW1).
 */
#include "irq/pic.h"

#include "cpu/x86.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1

#define ICW1_INIT_ICW4 0x11
#define ICW4_8086      0x01

/* Spurious interrupts of inputs 7 cannot be masked: they would come as these vectors, of the lowest
 * priority class. */
#define PIC1_VECTOR 0x20
#define PIC2_VECTOR 0x28

void pic_disable(void)
{
    outb(0xff, PIC1_DATA);
    outb(0xff, PIC2_DATA);
    outb(ICW1_INIT_ICW4, PIC1_COMMAND);
    outb(PIC1_VECTOR, PIC1_DATA);
    outb(1u << 2, PIC1_DATA); /* the second is behind input 2 */
    outb(ICW4_8086, PIC1_DATA);
    outb(ICW1_INIT_ICW4, PIC2_COMMAND);
    outb(PIC2_VECTOR, PIC2_DATA);
    outb(2, PIC2_DATA);
    outb(ICW4_8086, PIC2_DATA);
    outb(0xff, PIC1_DATA);
    outb(0xff, PIC2_DATA);
}

/* SPDX-License-Identifier: MIT */
/*
 * The two 8259 interrupt controllers, which are only ever silenced.
 */
#ifndef XL_IRQ_PIC_H
#define XL_IRQ_PIC_H

/*
 * Initialises both, so that a spurious interrupt could not look like an exception, and masks all
 * inputs.  Boot CPU, once, interrupts off.
 */
void pic_disable(void);

#endif

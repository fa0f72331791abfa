/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel VMX emulation for TCG: instructions that exit are decoded once more at
 * the time of the exit, for their length, their operands and the "VM-exit
 * instruction information".  So the translator knows nothing of VMX.
 *
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License as published by
 * the Free Software Foundation; either version 2 of the License, or
 * (at your option) any later version.
 *
 * This program is distributed in the hope that it will be useful,
 * but WITHOUT ANY WARRANTY; without even the implied warranty of
 * MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
 * GNU General Public License for more details.
 *
 * You should have received a copy of the GNU General Public License along
 * with this program; if not, see <http://www.gnu.org/licenses/>.
 */

#include "qemu/osdep.h"
#include "vmx_internal.h"

static target_ulong insn_linear(CPUX86State *env, target_ulong eip)
{
    if (env->hflags & HF_CS64_MASK) {
        return eip;
    }
    return (uint32_t)(env->segs[R_CS].base + eip);
}

target_ulong vmx_asize_mask(int asize, target_ulong v)
{
    return asize == 2 ? v : asize == 1 ? (uint32_t)v : (uint16_t)v;
}

/* EIP of the current instruction, without changing the CPU state. */
static target_ulong current_eip(CPUX86State *env, uintptr_t ra)
{
    uint64_t data[TARGET_INSN_START_WORDS];

    if (ra && cpu_unwind_state_data(env_cpu(env), ra, data)) {
        if (TARGET_TB_PCREL) {
            target_ulong base = env->hflags & HF_CS64_MASK
                                ? 0 : env->segs[R_CS].base;
            target_ulong pc = ((env->eip + base) & TARGET_PAGE_MASK) | data[0];

            return env->hflags & HF_CS64_MASK ? pc : (uint32_t)(pc - base);
        }
        return env->hflags & HF_CS64_MASK ? data[0]
               : (uint32_t)(data[0] - env->segs[R_CS].base);
    }
    return env->eip;
}

void vmx_decode_at(CPUX86State *env, VMXInsn *d, target_ulong eip)
{
    bool code64 = env->hflags & HF_CS64_MASK;
    int def32 = env->hflags & HF_CS32_MASK ? 1 : 0;
    bool data_pfx = false, addr_pfx = false;
    int n = 0, seg = -1;
    uint8_t b;

#define FETCH() cpu_ldub_code(env, insn_linear(env, eip + n++))
    memset(d, 0, sizeof(*d));
    d->eip = eip;
    d->base = d->index = -1;
    for (;;) {
        b = FETCH();
        if (n > 15) {
            break;
        }
        switch (b) {
        case 0xf3:
            d->rep = true;
            continue;
        case 0xf2:
            d->repne = true;
            continue;
        case 0xf0:
            continue;
        case 0x2e:
            seg = R_CS;
            continue;
        case 0x36:
            seg = R_SS;
            continue;
        case 0x3e:
            seg = R_DS;
            continue;
        case 0x26:
            seg = R_ES;
            continue;
        case 0x64:
            seg = R_FS;
            continue;
        case 0x65:
            seg = R_GS;
            continue;
        case 0x66:
            data_pfx = true;
            continue;
        case 0x67:
            addr_pfx = true;
            continue;
        case 0x40 ... 0x4f:
            if (code64) {
                d->rex = b;
                b = FETCH();
            }
            break;
        }
        break;
    }
    d->data16 = data_pfx;
    if (code64) {
        d->asize = addr_pfx ? 1 : 2;
        d->osize = d->rex & 8 ? 2 : data_pfx ? 0 : 1;
    } else {
        d->asize = def32 ^ addr_pfx;
        d->osize = def32 ^ data_pfx;
    }

    d->op = b;
    bool modrm = false;
    int imm = 0;
    if (b == 0x0f) {
        d->map = 1;
        d->op = FETCH();
        if (d->op == 0x38) {
            d->map = 2;
            d->op = FETCH();
            modrm = true;
        } else {
            switch (d->op) {
            case 0x00: case 0x01: case 0x20 ... 0x23:
            case 0x78: case 0x79: case 0xc7: case 0xae:
                modrm = true;
                break;
            }
        }
    } else {
        switch (b) {
        case 0xff:
            modrm = true;
            break;
        case 0xe4 ... 0xe7: case 0xcd:
            imm = 1;
            break;
        case 0x9a: case 0xea:
            imm = d->osize ? 6 : 4;
            break;
        }
    }

    if (modrm) {
        target_ulong addr = 0;

        d->modrm = FETCH();
        d->mod = d->modrm >> 6;
        d->reg = ((d->modrm >> 3) & 7) | ((d->rex & 4) << 1);
        d->rm = (d->modrm & 7) | ((d->rex & 1) << 3);
        if (d->map == 1 && d->op >= 0x20 && d->op <= 0x23) {
            d->mod = 3;
        }
        d->has_mem = d->mod != 3;
        if (d->has_mem && d->asize == 0) {
            static const int8_t b16[8] = { R_EBX, R_EBX, R_EBP, R_EBP,
                                           R_ESI, R_EDI, R_EBP, R_EBX };
            static const int8_t i16[8] = { R_ESI, R_EDI, R_ESI, R_EDI,
                                           -1, -1, -1, -1 };
            int rm = d->modrm & 7;

            d->base = b16[rm];
            d->index = i16[rm];
            if (d->mod == 0 && rm == 6) {
                d->base = -1;
                d->disp = FETCH();
                d->disp = (int16_t)(d->disp | FETCH() << 8);
            } else if (d->mod == 1) {
                d->disp = (int8_t)FETCH();
            } else if (d->mod == 2) {
                d->disp = FETCH();
                d->disp = (int16_t)(d->disp | FETCH() << 8);
            }
            if (d->base == R_EBP && seg < 0) {
                seg = R_SS;
            }
        } else if (d->has_mem) {
            int dsz = d->mod == 1 ? 1 : d->mod == 2 ? 4 : 0;

            d->base = d->rm;
            if ((d->modrm & 7) == 4) {
                uint8_t sib = FETCH();

                d->scale = sib >> 6;
                d->index = ((sib >> 3) & 7) | ((d->rex & 2) << 2);
                d->base = (sib & 7) | ((d->rex & 1) << 3);
                if (d->index == 4) {
                    d->index = -1;
                }
                if ((sib & 7) == 5 && d->mod == 0) {
                    d->base = -1;
                    dsz = 4;
                }
            } else if ((d->modrm & 7) == 5 && d->mod == 0) {
                d->base = -1;
                d->rip_rel = code64;
                dsz = 4;
            }
            if (dsz == 1) {
                d->disp = (int8_t)FETCH();
            } else if (dsz == 4) {
                uint32_t v = FETCH();
                v |= (uint32_t)FETCH() << 8;
                v |= (uint32_t)FETCH() << 16;
                v |= (uint32_t)FETCH() << 24;
                d->disp = (int32_t)v;
            }
            if (seg < 0 && (d->base == R_ESP || d->base == R_EBP)) {
                seg = R_SS;
            }
        }
        d->seg = seg < 0 ? R_DS : seg;
        if (d->rip_rel) {
            d->disp += eip + n + imm;
        }
        addr = d->disp;
        if (d->base >= 0) {
            addr += env->regs[d->base];
        }
        if (d->index >= 0) {
            addr += env->regs[d->index] << d->scale;
        }
        addr = vmx_asize_mask(d->asize, addr);
        if (code64) {
            if (d->seg == R_FS || d->seg == R_GS) {
                addr += env->segs[d->seg].base;
            }
        } else {
            addr = (uint32_t)(addr + env->segs[d->seg].base);
        }
        d->ea = addr;
    } else {
        d->seg = seg < 0 ? R_DS : seg;
    }
    for (int i = 0; i < imm; i++) {
        d->imm |= (uint64_t)FETCH() << (i * 8);
    }
    d->len = MIN(n, 15);
#undef FETCH
}

void vmx_decode(CPUX86State *env, VMXInsn *d, uintptr_t ra)
{
    vmx_decode_at(env, d, current_eip(env, ra));
}

/* VM-exit instruction information, for instructions with a ModRM operand */
uint32_t vmx_insn_info(const VMXInsn *d)
{
    uint32_t v = d->asize << 7;

    if (d->has_mem) {
        v |= d->scale | (d->seg << 15);
        v |= d->index >= 0 ? d->index << 18 : 1 << 22;
        v |= d->base >= 0 ? d->base << 23 : 1 << 27;
    } else {
        v |= (1 << 10) | (d->rm << 3);
    }
    return v;
}

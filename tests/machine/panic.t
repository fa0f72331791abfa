#!/bin/bash
# SPDX-License-Identifier: MIT
# What a panic leaves behind: a message, where it came from with names, the last trap records, and a machine that has
# stopped in a way that scripts see.
. "$(dirname -- "$0")/lib.sh"

[ "$hypervisor" != none ] && [ "$hypervisor" != xen ] || skip_all 'needs xen-lite'
vm_timeout=90
vm --cpus 2 -- 'dd if=/proc/bus/pci/00/00.0 of=/dev/null bs=64 count=1; usleep 100000; xl debug-keys C; echo survived'
text=$(tr -d '\0\r' <"$serial" | sed -n '/PANIC/,$p')
is "$status" 70 'scripts/vm tells that the hypervisor stopped'
unlike "$out" survived 'the control domain does not run on'
like "$text" 'PANIC on CPU [01]: .*debug key C' 'the message, and the CPU'
like "$text" 'rsp [0-9a-f]{16} +cr0 [0-9a-f]+' "the hypervisor's registers"
like "$text" 'rax 0{14}23 ' "the guest's registers: it made the call sysctl (35)"
like "$text" 'code: 0f 01 (d9|c1)' "the guest's instruction"
like "$text" 'do_sysctl\+0x[0-9a-f]+' 'the backtrace names do_sysctl'
like "$text" 'hypercall_(call|dispatch)\+0x' 'and its caller'
unlike "$text" '\[0x[0-9a-f]+\] \?' 'every address of the backtrace has a name'
like "$text" 'cpu[01] d0 (read|write) (port|mmio) 0x[0-9a-f]+' 'the last traps are told'
is "$(grep -c 'PANIC on CPU' <<<"$text")" 1 'there is one panic'

# Below each stack lies a page that is not there.
cpus=1
! full_form || cpus='1 0'
for cpu in $cpus; do
    vm --cpus 2 --hv-args "stack-test=$cpu" -- true
    text=$(tr -d '\0\r' <"$serial" | sed -n '/PANIC/,$p')
    is "$status" 70 "CPU $cpu runs off its stack: scripts/vm tells that the hypervisor stopped"
    like "$text" "PANIC on CPU $cpu: stack overflow: 0x[0-9a-f]+ was touched" 'the message says so'
    like "$text" 'run_off\+0x' 'the backtrace names who did it'
done

vm --cpus 2 --hv-args gs-test=1 -- true
text=$(tr -d '\0\r' <"$serial" | sed -n '/PANIC/,$p')
is "$status" 70 'a CPU without its own data: scripts/vm tells that the hypervisor stopped'
like "$text" 'GS base was 0xffffe00000000000' 'the panic says what GS was'
like "$text" 'PANIC on CPU 1: page fault' 'and prints all the same'
like "$text" 'gs_self_test\+0x' 'where it was'
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# What a guest tries that it has no business with: every outcome is defined, and the same on every virtualisation extension.
# XEN_LITE_TEST_MACHINE=intel: on VMX; else on SVM, where stock QEMU cannot be asked about bad values of CR0, CR4 and CR8 and 'amd' can
# (see wild-guest.c).
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || skip_all 'for xen-lite'
case $test_machine in intel | amd | bochs) unchecked=() ;; *) unchecked=(-DUNCHECKED_CR) ;; esac
gcc -std=gnu11 -O1 -Wall -Wextra -Werror -ffreestanding -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only \
    -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -static -nostdlib -Wl,--build-id=none \
    -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-Ttext-segment=0x1000000 -Wl,-e,start32 -Wl,--no-warn-rwx-segments \
    -o "$tmp/guest" ${unchecked[@]+"${unchecked[@]}"} "$tests_dir/wild-guest.c" \
    "$tests_dir/cpu-guest-entry.S" || skip_all 'no C compiler'

# The guest's own results, each once.
wild()
{
    vm --cpus 1 --kernel "$tmp/guest" "$@" -- ''
    while IFS= read -r line; do
        case $line in
        ok\ *) result 0 "$name: ${line#* - }" ;;
        not\ ok\ *) result 1 "$name: ${line#* - }" ;;
        '# '*) note "${line#\# }" ;;
        esac
    done <<<"$out"
    like "$out" '^1\.\.' "$name: the guest ran to its end" || :
    grep -q '^1\.\.' <<<"$out" || diag "$(tail -n 30 "$serial")"
}

name='plain CPU' wild
[ "$test_machine" = bochs ] || name='CPU with XSAVE' wild --cpu-features +xsave,+xsaveopt
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# The virtual CPU: a guest of our own as the control domain does what kernels seldom do.
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || [ "$hypervisor" != none ] || skip_all 'needs a hypervisor'
gcc -std=gnu11 -O1 -Wall -Wextra -Werror -ffreestanding -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only \
    -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -static -nostdlib -Wl,--build-id=none \
    -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-Ttext-segment=0x1000000 -Wl,-e,start32 -Wl,--no-warn-rwx-segments \
    -o "$tmp/guest" "$tests_dir/cpu-guest.c" "$tests_dir/cpu-guest-entry.S" || skip_all 'no C compiler'
vm --cpus 2 --kernel "$tmp/guest" -- ''
printf '%s\n' "$out"
grep -q '^1\.\.' <<<"$out" || { diag "the guest stopped early:"$'\n'"$(tail -n 30 "$serial")"; printf '1..1\nnot ok 1 - the guest ran to its end\n'; }
[ "$(cpus_or 2)" -lt 2 ] || grep -q 'a second vCPU ran' <<<"$out" || printf 'not ok - the guest found a second vCPU\n'
exit "$status"

#!/bin/bash
# SPDX-License-Identifier: MIT
# Nothing that the control domain does brings the hypervisor down: hypercalls, registers, ports, configuration space,
# device memory, instructions. And nothing is lost by it: pages, event channels, domains.
. "$(dirname -- "$0")/lib.sh"

[ "$hypervisor" != none ] && [ "$hypervisor" != xen ] || skip_all 'needs xen-lite'
compile_with_xen()
{
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -D__XEN_TOOLS__ -static -o "$2" "$1" ||
        skip_all "no C compiler with static libraries and Xen's headers"
}
compile_with_xen "$tests_dir/hostile.c" "$tmp/hostile"
compile_with_xen "$tests_dir/hostile-hw.c" "$tmp/hostile-hw"
modes='insns msrs ports mmio config'
calls=5000 seeds='1 2' vm_timeout=300
if long_form; then
    calls=50000 vm_timeout=7200
    seeds=$(seq 1 20)
fi
seeds=${XEN_LITE_SEED:-$seeds}

cat >"$tmp/run" <<RUN
modprobe msr
for mode in $modes; do timeout 120 hostile-hw \$mode; echo "\$mode ended \$?"; done
for seed in $(echo $seeds); do echo "seed \$seed"; hostile $calls \$seed; echo "seed \$seed ended \$?"; done
xl debug-keys qp
xl dmesg | grep -a 'counters: d0'
echo online \$(nproc)
RUN
vm --cpus 2 --kernel-args 'memmap=32M$0x30000000' --device edu --device virtio-rng-pci --add "$tmp/hostile:/bin/hostile" \
    --add "$tmp/hostile-hw:/bin/hostile-hw" --script "$tmp/run"
note "$out"
is "$status" 0 'the machine lives'
like "$out" '^online 2' 'all CPUs do'
for mode in $modes; do
    like "$out" "^$mode ended 0" "$mode: the hypervisor answers as before"
done
for seed in $seeds; do
    like "$out" "^seed $seed ended 0" "hypercalls, seed $seed: event channels, domains and memory are as before"
done
is "$(grep -c '^unexplained: 0 frames, 0 objects$' <<<"$out")" "$(wc -w <<<"$seeds")" 'every page and object of the hypervisor is accounted for'
like "$out" 'counters: d0: .*unknown: [1-9][0-9]* MSR reads, [1-9][0-9]* MSR writes, [1-9][0-9]* port' \
    'what nobody knows is counted'
unlike "$(tr -d '\0' <"$serial")" 'PANIC|assertion failed' 'no panic'
unlike "$(tr -d '\0' <"$serial")" 'BUG:|Oops|soft lockup|Kernel panic' 'the kernel lives well'
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# Nothing that the control domain does brings the hypervisor down: registers, ports, configuration space, hypercalls.
. "$(dirname -- "$0")/lib.sh"

[ "$hypervisor" != none ] || skip_all 'needs a hypervisor'
compile "$tests_dir/poke.c" "$tmp/poke"
seed=${XEN_LITE_SEED:-$RANDOM}
note "seed $seed (XEN_LITE_SEED repeats it)"
for kind in msr ports config hypercalls; do
    vm --cpus 2 --add "$tmp/poke:/bin/poke" -- "modprobe msr; poke $kind $seed; echo ended \$?; nproc; cat /sys/hypervisor/type"
    is "$status" 0 "$kind: the machine lives"
    note "$(grep -v ended <<<"$out")"
    like "$out" '^ended 0' "$kind: the program ran to its end"
done
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# What records of traps cost while nobody listens: the same accesses of a guest's as in vpci-cost.t, in executed instructions, with the
# hypervisor as it is and with one that is built without records.
. "$(dirname -- "$0")/lib.sh"

need_pci_guest
full_form || skip_all 'builds the hypervisor: XEN_LITE_FULL=1'

mapfile -t users < <(cd "$src_dir" && grep -rl 'trap/record.h' xen-lite --include='*.c')
# build LEVEL: the hypervisor with that much of records left out (xen-lite/trap/record.h), as $tmp/hypervisor-LEVEL.
build()
{
    local f
    mkdir -p "$tmp/build" && cd "$tmp/build" || return
    [ -e Makefile ] || "$src_dir/configure" || return
    for f in "${users[@]}"; do find . -name "*-$(basename "$f" .c).o" -delete; done
    make -j2 CPPFLAGS="-DXL_LEAVE_OUT_RECORDS=$1" xen-lite/xen-lite && cp xen-lite/xen-lite "$tmp/hypervisor-$1"
}

declare -A cost
# measure LEVEL: cost[LEVEL access] of each.
measure()
{
    local name value
    pci_guest_costs --hypervisor "$tmp/hypervisor-$1"
    is "$status" 0 "machine that counts instructions runs the guest: $2"
    while read -r name value; do [[ $name != silent-* ]] || cost[$1 ${name#silent-}]=$value; done <<<"$out"
}
percent() { awk -v with="$1" -v without="$2" 'BEGIN { if (with > 0 && without > 0) printf "%.1f", (with - without) * 100 / without }'; }

kinds=('as it is' 'without records for listeners' 'without any memory of accesses')
for level in 0 1 2; do
    ok "builds ${kinds[level]}" eval '(build "$level")'
    measure "$level" "${kinds[level]}"
done
names='port-read ecam-read msix-mask port-read-device ecam-read-device msix-unmask msix-read handled-write'
note "$(printf '%-18s %8s %22s %22s' access 'as it is' 'no records' 'nor a memory for panics')"
for name in $names; do
    with=${cost[0 $name]:-0}
    note "$(printf '%-18s %8s %10s %9s %% %10s %9s %%' "$name" "$with" "${cost[1 $name]:-}" "$(percent "$with" "${cost[1 $name]:-0}")" \
        "${cost[2 $name]:-}" "$(percent "$with" "${cost[2 $name]:-0}")")"
done
for name in $names; do at_most "$(percent "${cost[0 $name]:-0}" "${cost[1 $name]:-0}")" 2 "percent that records add to $name while nobody listens"; done
done_testing

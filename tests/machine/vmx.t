#!/bin/bash
# SPDX-License-Identifier: MIT
# VMX on CPUs that lack something: what is optional is done without, what is not is named.
. "$(dirname -- "$0")/lib.sh"

[ "$test_machine" = intel ] || skip_all 'for the Intel machine (XEN_LITE_TEST_MACHINE=intel)'
[ -z "$hypervisor" ] || skip_all 'for xen-lite'

# without FEATURE,...: a CPU that lacks these.
without() { printf '%s\n' --cpu-features "-${1//,/,-}"; }

while read -r what features; do
    vm --cpus 2 $(without "$features") -- 'xl dmesg; dmesg'
    is "$status" 0 "user land without $what"
    like "$out" 'guests run on VMX' 'on VMX'
    unlike "$out" "$kernel_complaints|broken: SDM" 'nobody complains'
done <<'LIST'
TPR-shadow vmx-flexpriority
VPID vmx-vpid
INVVPID vmx-invvpid
accessed-and-dirty-bits vmx-eptad
large-pages-in-EPT vmx-ept-1gb,vmx-ept-2mb
single-context-INVEPT vmx-invept-single-context
RDTSCP-for-guests vmx-rdtscp-exit
LIST

for features in vmx-flexpriority vmx-vpid,vmx-eptad; do
    ok "the virtual CPU does as it should without $features" \
        env XEN_LITE_TEST_OPTIONS="$(without "$features" | tr '\n' ' ')" "$tests_dir/cpu.t"
done

# EPT's root is the one that the unit's context entries lead to; of three levels, the one table of it that they need.
for bits in 39 48; do
    vm --cpus 2 --aw-bits "$bits" -- 'xl-lite iommu --json | tr -d " ,"; xl-lite audit'
    contexts=$(sed -n 's/^"context_root"://p' <<<"$out" | sort -u) tables=$(sed -n 's/^"p2m_root"://p' <<<"$out" | sort -u)
    ok "$bits bits: devices have a root" test "${contexts:-0}" -gt 0
    is "$contexts" "$tables" "$bits bits: and it is the domain's"
    [ "$bits" = 39 ] || is "$contexts" "$(sed -n 's/^"cpu_root"://p' <<<"$out" | sort -u)" "$bits bits: and the processors'"
    like "$out" '^No breach' "$bits bits: the audit is clean"
done

while read -r feature reason; do
    vm_timeout=30
    vm --cpus 1 $(without "$feature") -- true
    is "$status" 70 "without $feature the hypervisor stops"
    like "$(cat "$serial")" "VMX not used: VMX has no $reason" 'and says why'
done <<'LIST'
vmx-ept EPT
vmx-unrestricted-guest unrestricted guest
vmx-vnmi virtual NMIs
vmx-msr-bitmap MSR bitmaps
vmx-invept INVEPT
vmx-exit-load-efer load EFER at exits
vmx-store-lma way to tell a guest's change of mode
LIST
done_testing

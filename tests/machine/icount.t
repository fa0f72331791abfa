#!/bin/bash
# SPDX-License-Identifier: MIT
# What traps of the control domain cost, in executed instructions, and that they stay within their bars. The long form
# measures Xen beside it.
. "$(dirname -- "$0")/lib.sh"

compile "$tests_dir/trapcost.c" "$tmp/trapcost"
vm_timeout=300
declare -A limit=([cpuid]=640 [cf8_write]=400 [cfc_read]=500 [ecam_read]=1800 [ecam_write]=2500 [xen_version]=1500)
# Xen 4.17 on the same machine.
declare -A xen=([cpuid]=6378 [cf8_write]=1044 [cfc_read]=1268 [ecam_read]=18058 [ecam_write]=40525 [xen_version]=6100)

vm --icount --add "$tmp/trapcost:/bin/trapcost" -- trapcost
is "$status" 0 'machine that counts instructions runs the program'
figures=$out
if long_form; then
    ours=$hypervisor
    hypervisor=xen
    vm --icount --add "$tmp/trapcost:/bin/trapcost" -- trapcost
    is "$status" 0 'and so on Xen'
    while read -r name cost; do xen[$name]=$cost; done <<<"$out"
    hypervisor=$ours
fi
figure() { awk -v n="$1" '$1 == n { print $2 }' <<<"$figures"; }

note "$(printf '%-12s %10s %10s %10s' trap "$hypervisor_name" limit Xen)"
note "$(printf '%-12s %10s %10s %10s' rdtsc "$(figure rdtsc)" - "${xen[rdtsc]:--}")"
for name in cpuid cf8_write cfc_read ecam_read ecam_write xen_version; do
    note "$(printf '%-12s %10s %10s %10s' $name "$(figure $name)" "${limit[$name]}" "${xen[$name]}")"
done
for name in cpuid cf8_write cfc_read ecam_read ecam_write xen_version; do
    at_most "$(figure $name)" "${limit[$name]}" "instructions of $name"
done
done_testing

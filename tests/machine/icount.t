#!/bin/bash
# SPDX-License-Identifier: MIT
# What traps of the control domain and making guests cost, in executed instructions, and that they stay within their bars.
# The full form measures Xen's traps beside it, and on the Intel machine those of the other backend.
. "$(dirname -- "$0")/lib.sh"

compile "$tests_dir/trapcost.c" "$tmp/trapcost"
vm_timeout=600
declare -A limit=([cpuid]=640 [cf8_write]=400 [cfc_read]=500 [ecam_read]=1800 [ecam_write]=2500 [xen_version]=1500)
# Xen 4.17 on the same machine.
declare -A xen=([cpuid]=6378 [cf8_write]=1044 [cfc_read]=1268 [ecam_read]=18058 [ecam_write]=40525 [xen_version]=6100)

# Guests are made from an unpacked kernel (the second time) and cleared memory (30 s after the start).
cat >"$tmp/script" <<'SCRIPT'
trapcost
[ -x /usr/bin/xl-lite ] || [ -x /bin/xl-lite ] || exit 0
now() { awk '/^now at/ { print $3 }' /proc/timer_list; }
xl-dmd >/var/log/dmd.log 2>&1 &
sleep 1
create() { local start=$(now); xl-lite create -p -q /root/g.cfg "memory=$2" && echo "$1 $(($(now) - start))"; xl-lite destroy g; }
create create_first 512
sleep 120
create create_512 512
sleep 30
create create_2048 2048
SCRIPT
cat >"$tmp/g.cfg" <<'CFG'
name = "g"
type = "pvh"
kernel = "/boot/vmlinuz"
memory = 512
vcpus = 2
CFG
guest=(--add "$("$src_dir/scripts/build-image")/vmlinuz:/boot/vmlinuz" --add "$tmp/g.cfg:/root/g.cfg")
[ -z "$hypervisor" ] || guest=()
vm --icount --add "$tmp/trapcost:/bin/trapcost" ${guest[@]+"${guest[@]}"} --script "$tmp/script"
is "$status" 0 'machine that counts instructions runs the program'
figures=$out
if full_form; then
    ours=$hypervisor
    hypervisor=xen
    vm --icount --add "$tmp/trapcost:/bin/trapcost" -- trapcost
    is "$status" 0 'and so on Xen'
    while read -r name cost; do xen[$name]=$cost; done <<<"$out"
    hypervisor=$ours
fi
# What the other backend needs for the same.
declare -A svm=()
if full_form && [ "$test_machine" = intel ]; then
    test_machine=qemu
    vm --icount --add "$tmp/trapcost:/bin/trapcost" -- trapcost
    is "$status" 0 'and so on SVM'
    while read -r name cost; do svm[$name]=$cost; done <<<"$out"
    test_machine=intel
fi
figure() { awk -v n="$1" '$1 == n { print $2 }' <<<"$figures"; }

note "$(printf '%-12s %10s %10s %10s %10s' trap "$hypervisor_name" limit Xen "${svm[cpuid]:+on SVM}")"
note "$(printf '%-12s %10s %10s %10s' rdtsc "$(figure rdtsc)" - "${xen[rdtsc]:--}")"
for name in cpuid cf8_write cfc_read ecam_read ecam_write xen_version; do
    note "$(printf '%-12s %10s %10s %10s %10s' $name "$(figure $name)" "${limit[$name]}" "${xen[$name]}" "${svm[$name]:-}")"
done
for name in cpuid cf8_write cfc_read ecam_read ecam_write xen_version; do
    at_most "$(figure $name)" "${limit[$name]}" "instructions of $name"
done
for name in ${svm[cpuid]:+cpuid cf8_write cfc_read ecam_read ecam_write xen_version}; do
    at_most "$(figure $name)" $((svm[$name] * 13 / 10)) "instructions of $name, 1.3 times those on SVM"
done
if [ ${#guest[@]} -gt 0 ]; then
    small=$(figure create_512) large=$(figure create_2048)
    note "instructions to make a guest of 512 MiB: $small; of 2 GiB: $large; with the kernel to unpack: $(figure create_first)"
    at_most "$small" 250000000 'instructions to make a guest of 512 MiB'
    # Straight on from these two: 15.5 GiB more than 512 MiB, where 2 GiB is 1.5 GiB more.
    at_most "$(awk -v s="$small" -v l="$large" 'BEGIN { if (s > 0) printf "%.2f", (s + (l - s) / 1.5 * 15.5) / s }')" 1.5 \
        'one of 16 GiB costs so many times that'
fi
done_testing

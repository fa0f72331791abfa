#!/bin/bash
# SPDX-License-Identifier: MIT
# How fast an NVMe disk is in a guest: sequential reads of 1 MiB past the page cache, beside the same kernel without a hypervisor and the
# control domain, what traps meanwhile, and how long it takes from 'xl-lite create' to the guest's user land. What takes time is
# printed beside its bar, and judged by who reads it: on a busy host it says nothing. What fails the test is what traps for a request.
# Long form only.
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || skip_all 'needs xen-lite'
long_form || skip_all 'long form only: it measures time'
need_tools
compile "$tests_dir/read-speed.c" "$tmp/read-speed"
image=$("$src_dir/scripts/build-image")
# Xen 4.17 with its HVM guest (device model QEMU) on the same emulated machine: 920 of 2,576 MiB/s, and 37.4 s to user land. The bars
# are 1.5 times that share, and a third of that time.
xen_ratio=0.36 xen_user_land=37.4 bar_ratio=0.54 bar_user_land=12.5
mib=256 passes=20
truncate -s "${mib}M" "$tmp/disk"
disk=(--device nvme,drive=disk,serial=speed,addr=5 --qemu-arg -drive --qemu-arg "file=$tmp/disk,format=raw,if=none,id=disk"
    --add "$tmp/read-speed:/bin/read-speed")
# The best of all that is there, and the medians.
best() { sed -n 's/.*best \([0-9]*\) .*/\1/p' <<<"$1" | sort -n | tail -n 1; }

"$tests_dir/guest-initrd" --add "$tmp/read-speed" "$tmp/initrd" "
for i in \$(seq 100); do [ -b /dev/nvme0n1 ] && break; usleep 100000; done
[ -b /dev/nvme0n1 ] && echo DISK-UP
sleep 1; echo BEGIN; sleep 2
before=\$(awk '/nvme0q[1-9]/ { n += \$2 + \$3 } END { print n }' /proc/interrupts)
read-speed /dev/nvme0n1 $mib $passes
after=\$(awk '/nvme0q[1-9]/ { n += \$2 + \$3 } END { print n }' /proc/interrupts)
echo INTERRUPTS \$((after - before))
echo END; sleep 5" nvme || skip_all 'cannot make an initrd for the guest'
cat >"$tmp/guest.cfg" <<'CFG'
name = "speed"
type = "pvh"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/guest.initrd"
cmdline = "console=hvc0 panic=1 quiet"
memory = 256
vcpus = 2
pci = ["0000:00:05.0"]
CFG
cat >"$tmp/script" <<'SCRIPT'
cd /root
log=/var/log/xen-lite/speed.log
# within SECONDS TEXT PAUSE: the pause between two looks is long while we measure, as they take a processor from the guest.
within() { end=$(($(clock) + $1 * 1000)); until grep -q "$2" $log 2>/dev/null; do [ $(clock) -lt $end ] || return 1; sleep $3; done; }
clock() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
one()
{
    rm -f $log
    start=$(clock)
    xl-lite create -q guest.cfg || return
    made=$(clock)
    within 90 DISK-UP 0.2 && echo "user-land $(($(clock) - start)) create $((made - start))"
    if [ "$1" = measure ]; then
        within 30 BEGIN 0.2; xl-lite traps --json speed >/tmp/before
        within 120 END 3; xl-lite traps --json speed >/tmp/after
        for kind in cpuid rdmsr wrmsr hlt hypercall pause port memory other; do
            echo "exits $kind $(($(sed -n "s/.*\"$kind\": *\([0-9]*\).*/\1/p" /tmp/after) - $(sed -n "s/.*\"$kind\": *\([0-9]*\).*/\1/p" /tmp/before)))"
        done
        sum() { awk -F '[:,]' '/"(reads|writes)":/ { n += $2 } END { print n + 0 }' $1; }
        echo "registers $(($(sum /tmp/after) - $(sum /tmp/before)))"
        grep -a -E 'best|INTERRUPTS' $log
    fi
    xl-lite destroy speed
    for i in $(seq 100); do xl-lite domid speed >/dev/null 2>&1 || break; usleep 100000; done
}
read-speed /dev/nvme0n1 $1 $2 | sed 's/^/control /'
xl-dmd
xl-lite pci-assignable-add 0000:00:05.0
one measure
one
one
SCRIPT

native=() native_user_land=
for round in 1 2; do
    hypervisor=none vm "${disk[@]}" -- "read-speed /dev/nvme0n1 $mib $passes"
    native+=("$out") native_user_land+=" $user_land"
done
native_best=$(best "$(printf '%s\n' "${native[@]}")")
vm_timeout=300
vm "${disk[@]}" --add "$image/vmlinuz:/boot/vmlinuz" --add "$tmp/initrd:/boot/guest.initrd" --add "$tmp/guest.cfg:/root/guest.cfg" \
    --script "$tmp/script" -- "$mib" "$passes"
is "$status" 0 'the script runs to its end'
control=$(best "$(grep '^control' <<<"$out")") guest=$(best "$(grep '^best' <<<"$out")")
requests=$((mib * passes))
number() { sed -n "s/^$1 \([0-9]*\).*/\1/p" <<<"$out" | tr -d '\r'; }
interrupts=$(number INTERRUPTS)
ratio=$(awk -v g="${guest:-0}" -v n="${native_best:-1}" 'BEGIN { printf "%.2f", g / n }')
median() { sed -n 's/.*median \([0-9]*\) .*/\1/p' <<<"$1" | sort -n | tail -n 1; }
note "MiB/s, best (median) of $passes passes: without a hypervisor $native_best ($(median "$(printf '%s\n' "${native[@]}")")), \
control domain $control ($(median "$(grep '^control' <<<"$out")")), guest $guest ($(median "$(grep '^best' <<<"$out")")): \
$ratio of native, where Xen's HVM guest has $xen_ratio"
note "for $requests reads of 1 MiB: $interrupts interrupts; exits:$(sed -n 's/^exits \(.*\) \(-\?[0-9]*\)$/ \1 \2/p' <<<"$out" | tr '\n' ' ')"
# met VALUE LIMIT [least]: says whether a figure that depends on the host is within its bar.
met() { awk -v v="$1" -v l="$2" -v least="${3:-}" 'BEGIN { print (least ? v >= l : v != "" && v <= l) ? "met" : "MISSED here" }'; }
note "share of native speed: $ratio, bar $bar_ratio or more (1.5 times Xen's): $(met "$ratio" $bar_ratio least)"
ok 'the disk was read everywhere' test "${native_best:-0}" -gt 0 -a "${control:-0}" -gt 0 -a "${guest:-0}" -gt 0
is "$(number 'exits port')" 0 'no port is touched meanwhile'
at_most "$(number 'exits memory')" 10 'exits for memory that is not mapped, MSI-X and configuration space among it'
at_most "$(number registers)" 10 'accesses of trapped registers'
# A request has a completion, which has an interrupt at most; data in pieces of the device's largest transfer may make it some.
per() { awk -v n="$1" -v of="$2" 'BEGIN { printf "%.2f", of ? n / of : 99 }'; }
at_most "$(per "$interrupts" $requests)" 2.5 'interrupts for each request'
# An interrupt's own: the exit, and the write that ends it.
at_most "$(per "$(number 'exits wrmsr')" "$interrupts")" 2.5 'MSR writes for each interrupt: its end, and timers'
at_most "$(per $(($(number 'exits hlt') + $(number 'exits hypercall'))) $requests)" 2.5 'halts, and hypercalls for timers, for each request'
first=$(sed -n 's/^user-land \([0-9]*\).*/\1/p' <<<"$out" | head -n 1)
user_land=$(sed -n 's/^user-land \([0-9]*\).*/\1/p' <<<"$out" | sort -n | head -n 1)
seconds() { awk -v m="$1" 'BEGIN { if (m != "") printf "%.1f", m / 1000 }'; }
note "from 'xl-lite create' to user land with the disk, ms: $(sed -n 's/^user-land \([0-9]*\) create \([0-9]*\)/\1 (\2 in create)/p' <<<"$out" | tr '\n' ' ')"
note "seconds to user land the first time, when the kernel has to be unpacked: $(seconds "$first"), and when it has been: \
$(seconds "$user_land"); bar $bar_user_land, a third of Xen's $xen_user_land: $(met "$(seconds "$first")" $bar_user_land), \
$(met "$(seconds "$user_land")" $bar_user_land)"
note "user land without a hypervisor, seconds:$native_user_land"
like "$(grep -c '^user-land' <<<"$out")" 3 'three guests came up with the disk'
[ "$tests_failed" -eq 0 ] || diag "$out"
done_testing

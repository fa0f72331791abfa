#!/bin/bash
# SPDX-License-Identifier: MIT
# The device model dies again and again while a guest writes: no write is lost, made twice or reordered. Devices come and go while the guest
# reads from its disk, and the guest ends in the middle of DMA: nothing reaches memory afterwards, and nothing is left over.
. "$(dirname -- "$0")/lib.sh"

need_pci_guest
full_form || skip_all 'not in the quick form: more than two minutes'
kills=6 cycles=6 ends=3
! long_form || { kills=100; cycles=100; ends=20; }
pci_guest_disk "$tmp/disk"
pci_guest_config 2 '' >"$tmp/guest.cfg"
cat >"$tmp/script" <<SCRIPT
kills=$kills cycles=$cycles ends=$ends
SCRIPT
cat >>"$tmp/script" <<'SCRIPT'
run=/run/xen-lite disk=0000:00:05.0 nics='0000:00:06.0 0000:00:07.0'
free_kb() { xl-lite info --json | sed -n 's/.*"free_memory_kb": *\([0-9]*\).*/\1/p'; }
ports() { lsevtchn 0 | wc -l; }
guests() { echo $(($(xl-lite list | wc -l) - 2)); }
state() { echo "free=$(free_kb) ports=$(ports) guests=$(guests)"; }
faults() { xl-lite iommu --json | sed -n 's/.*"faults": *\([0-9][0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }'; }
quiet() { for i in $(seq 50); do [ "$(guests)" = 0 ] && break; usleep 200000; done; }
writes() { vpci-watch $domid status | awk '$1 == "writes" { print $2 }'; }
create() { xl-lite create -q guest.cfg "$@" || echo "FAILED create $*"; domid=$(xl-lite domid g); }
kill_daemon()
{
    local pid=$(cat $run/xl-dmd.lock)
    kill -9 $pid
    while [ -d /proc/$pid ]; do usleep 1000; done
    usleep $1
    xl-dmd || echo "FAILED xl-dmd"
}

xl-dmd
for bdf in $disk $nics; do xl-lite pci-assignable-add $bdf; done
# What is allocated once and kept.
create 'passthrough="enabled"' 'cmdline="mode=4"'
xl-lite pci-attach g $disk; vpci-watch $domid until commands 20; xl-lite destroy g; quiet; kill_daemon 1000
sleep 1
before=$(state); echo "BEFORE $before faults=$(faults)"

# ---- the daemon dies ----
create "pci=[$(printf '"%s,permissive=1", ' $nics | sed 's/, $//')]" 'cmdline="mode=3"'
for i in $(seq $kills); do
    vpci-watch $domid until writes $(($(writes) + 300)) >/dev/null || echo "FAILED kill $i: the writes stand still"
    kill_daemon $((i % 7 * 50000))
done
vpci-watch $domid until writes $(($(writes) + 300)) >/dev/null || echo "FAILED the writes stand still"
vpci-watch $domid stop >/root/storm; sed 's/^/storm-/' /root/storm
vpci-watch $domid requests | sed 's/^/storm-/'
xl-lite audit >/dev/null; echo "storm-audit $?"
xl-lite destroy g; quiet

# ---- devices come and go ----
create 'passthrough="enabled"' 'cmdline="mode=4"'
for i in $(seq $cycles); do
    xl-lite pci-attach g $disk >/dev/null || echo "FAILED attach $i"
    vpci-watch $domid until commands $(($(vpci-watch $domid status | awk '$1 == "commands" { print $2 }') + 50)) >/dev/null || echo "FAILED cycle $i: no reads"
    xl-lite pci-detach -f g $disk >/dev/null || echo "FAILED detach $i"
done
vpci-watch $domid stop | sed 's/^/cycles-/'
xl-lite audit >/dev/null; echo "cycles-audit $?"
xl-lite destroy g; quiet

# ---- the guest ends in the middle of DMA ----
for i in $(seq $ends); do
    create "pci=[\"$disk\"]" 'cmdline="mode=4"'
    vpci-watch $domid until commands 100 >/dev/null || echo "FAILED end $i: no reads"
    xl-lite destroy g || echo "FAILED destroy $i"
    quiet
done
xl-lite audit >/dev/null; echo "ends-audit $?"
for i in $(seq 20); do [ "$(state)" = "$before" ] && break; usleep 500000; done
echo "AFTER $(state) faults=$(faults)"
for bdf in $disk $nics; do xl-lite pci-assignable-remove -r $bdf >/dev/null || echo "FAILED remove $bdf"; done
modprobe nvme; for i in $(seq 50); do [ -b /dev/nvme0n1 ] && break; usleep 200000; done
echo "SUM $(md5sum </dev/nvme0n1)"
grep -v gone /var/log/xen-lite/xl-lite-g.log
xl dmesg | grep -a -E 'd[1-9][0-9]*(v[0-9]|:)' | tail -n 20
SCRIPT
vm_timeout=240
! long_form || vm_timeout=3000
vm --cpus 2 --kernel-args vm_drivers=off --device e1000e,addr=6 --device e1000e,addr=7 "${pci_guest_vm[@]}" --script "$tmp/script"
note "$out"
[ -z "$err" ] || note "$err"
value() { awk -v n="$1" '$1 == n { print $2; exit }' <<<"$out"; }
is "$status" 0 'the machine lives'
unlike "$out" '^FAILED' 'every step did'
is "$(value storm-state)" 2 "the guest writes through $kills deaths of xl-dmd and ends"
is "$(value storm-wrong)" 0 'each write is there when the next instruction reads'
ok 'it wrote' test "$(value storm-writes)" -gt 1000
is "$(value storm-written)" "$(value storm-writes)" 'as many writes reached the devices as the guest made'
note "each write took at most $(value storm-wait-max-ms) ms"
is "$(value storm-expired) $(value storm-dropped) $(value storm-denied)" '0 0 0' 'none was given up, dropped or refused'
is "$(value storm-audit)" 0 'the audit is clean'
is "$(value cycles-state)" 2 "$cycles times the disk came, was read from, and went"
is "$(value cycles-audit)" 0 'the audit is clean'
is "$(value ends-audit)" 0 "and after $ends guests that ended while they read"
is "$(sed -n 's/^AFTER //p' <<<"$out")" "$(sed -n 's/^BEFORE //p' <<<"$out")" 'memory, ports and domains are as before, and no device was caught at DMA'
like "$out" "^SUM $(md5_of "$tmp/disk")" 'the disk is as it was'
unlike "$(cat "$serial")" "PANIC|assertion failed|$kernel_complaints" 'no complaints'
done_testing

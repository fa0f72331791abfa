#!/bin/bash
# SPDX-License-Identifier: MIT
# Explaining itself: the audit of a running machine is clean, and not when something is broken on purpose; devices go through
# their owner's page table; traps are counted by register and can be followed.
. "$(dirname -- "$0")/lib.sh"

[ "$hypervisor" != none ] && [ "$hypervisor" != xen ] || skip_all 'needs xen-lite'
need_tools
if [ -z "$hypervisor" ]; then
    # The same objects and one that breaks sentences.
    make -s -C "$build_dir" xen-lite/xen-lite-break >"$tmp/make.out" 2>&1 || { diag "$(tail "$tmp/make.out")"; exit 1; }
    hypervisor=$build_dir/xen-lite/xen-lite-break
fi
image=$("$src_dir/scripts/build-image")
"$tests_dir/guest-initrd" "$tmp/initrd" 'sleep 600' || skip_all 'cannot make an initrd for the guest'
compile "$tests_dir/audit-break.c" "$tmp/audit-break"

cat >"$tmp/script" <<'SCRIPT'
cat >guest.cfg <<CFG
name = "one"
type = "pvh"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/guest.initrd"
memory = 128
cmdline = "console=hvc0"
CFG
run() { echo "== $*"; timeout 60 "$@" 2>&1; echo "== status $?"; }
xl-dmd >/var/log/dmd.log 2>&1 &
run xl-lite audit
run xl-lite create -q guest.cfg
sleep 4
run xl-lite audit --json
for what in 1 2 3 4 5 6 7 8 9; do
    domid=0
    [ "$what" -gt 2 ] || domid=$(xl-lite domid one)
    echo "== break $what"; audit-break $what $domid 2>&1; status=$?
    echo "broken $status"
    [ "$status" -eq 0 ] || continue
    xl-lite audit; echo "audit $?"
    audit-break $what $domid undo; echo "mended $?"
    xl-lite audit >/dev/null; echo "audit again $?"
done
echo '== end of breaks'
run xl-lite iommu
run xl-lite iommu --json
run xl-lite p2m one
run xl-lite p2m one 0x100000
run xl-lite p2m one 0xfee00000
run xl-lite p2m one nonsense
echo '== follow'
(timeout 4 xl-lite traps 0 --follow --json; echo "follow ended $?") >follow.out &
sleep 2
timeout 1 xl-lite traps --follow 2>&1; echo "second listener $?"
for d in /sys/bus/pci/devices/*; do od -A n -t x1 -N 64 "$d/config" >/dev/null; done
wait $!
grep -c '"time"' follow.out
cat follow.out | tail -n 40
run xl-lite traps --top 100
run xl-lite traps --json
run xl-lite traps 0 --kind port --top 2
run xl-lite traps --kind nonsense
run xl-lite destroy one
sleep 2
run xl-lite audit
SCRIPT
vm_timeout=300 vm --cpus 2 --memory 4G --device edu --device e1000e --script "$tmp/script" --add "$image/vmlinuz:/boot/vmlinuz" \
    --add "$tmp/initrd:/boot/guest.initrd" --add "$tmp/audit-break:/bin/audit-break"
is "$status" 0 'the script runs to its end'

first=$(part 'xl-lite audit')
like "$first" '^No breach\.$' 'the audit of a machine without guests is clean'
like "$first" '^== status 0$' 'and its exit status 0'
is "$(grep -c '^A[1-6] holds' <<<"$first")" 6 'each of the six sentences holds'
json=$(part 'xl-lite audit --json')
like "$json" '"clean": *true' 'with a guest it is clean as well'
like "$json" '"domains": *2' 'and looked at both domains'
note "$(grep -o '"ns": *[0-9]*' <<<"$json")"

if grep -q '^broken 4$' <<<"$out"; then
    note 'not a test image: sentences are not broken'
else
    sentences=(0 1 2 3 3 4 4 5 5 6)
    for what in 1 2 3 4 5 6 7 8 9; do
        text=$(part "break $what")
        like "$text" '^broken 0$' "break $what: done"
        like "$text" "^A${sentences[what]} broken: " "break $what: named as A${sentences[what]}: $(grep -m 1 -o ' broken: [^;]*' <<<"$text")"
        like "$text" '^audit 1$' "break $what: exit status 1"
        like "$text" '^audit again 0$' "break $what: clean again when mended"
    done
fi

iommu=$(part 'xl-lite iommu')
note "$iommu"
like "$iommu" '^DMA remapping on, interrupt remapping on, posted interrupts not available' 'xl-lite iommu: what is on'
like "$iommu" '^0000:00:1f\.2 +0 .* attached +0x[0-9a-f]+ +0x[0-9a-f]+ equal' 'a device with its owner and equal roots'
unlike "$iommu" 'DIFFER' 'no device has another root than its owner'
like "$(part 'xl-lite iommu --json')" '"shared": *true' 'the same as JSON'
like "$(part 'xl-lite p2m one')" '^ram-rw +[1-9][0-9]* frames' 'xl-lite p2m: frames by type'
like "$(part 'xl-lite p2m one 0x100000')" 'is machine frame 0x[0-9a-f]+, ram-rw, writable' 'xl-lite p2m: an address explained'
like "$(part 'xl-lite p2m one 0xfee00000')" 'not mapped; accesses trap to' 'xl-lite p2m: an address that traps'
like "$(part 'xl-lite p2m one nonsense')" '^== status 2$' 'xl-lite p2m: no address'

follow=$(part follow)
like "$follow" '"kind":"(config|port)".*"register":"' 'records are followed, as JSON'
like "$follow" '"device":"0000:00:1f\.2".*"register":"' 'with device and register'
like "$follow" '^follow ended' 'until a signal'
like "$follow" 'somebody listens' 'one listener at a time'
like "$follow" '^second listener 1$' 'which the second is told'
traps=$(part 'xl-lite traps --top 100')
note "$(head -n 12 <<<"$traps")"
like "$traps" ' config +command +[1-9]' 'xl-lite traps: configuration registers by name'
like "$traps" ' port +pci-address +[0-9]+ +[1-9]' 'xl-lite traps: ports'
like "$traps" ' MSI-X|PCIe|MSI ' 'xl-lite traps: capabilities by name'
like "$traps" '^Exits of domain 0: .*cpuid [1-9]' 'xl-lite traps: exits by kind'
like "$(part 'xl-lite traps --json')" '"traps": *\[' 'xl-lite traps: JSON'
is "$(part 'xl-lite traps 0 --kind port --top 2' | grep -c '^ *0 ')" 2 'xl-lite traps: kind and number of rows'
like "$(part 'xl-lite traps --kind nonsense')" '^== status 2$' 'xl-lite traps: no such kind'
like "$(part 'xl-lite audit' 2)" '^No breach\.$' 'the audit is clean when the guest is gone'
done_testing

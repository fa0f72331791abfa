#!/bin/bash
# SPDX-License-Identifier: MIT
# Devices in guests: a guest is created with an NVMe disk and reads it; refusals say why; a daemon that is killed meanwhile is not
# missed; devices are attached and detached while the guest runs, and come back clean.
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || skip_all 'needs xen-lite'
need_tools
compile "$tests_dir/talk.c" "$tmp/talk"
compile "$tests_dir/overtake.c" "$tmp/overtake"
image=$("$src_dir/scripts/build-image")
random_file "$tmp/disk" 16
sum=$(md5_of "$tmp/disk")

# The guest reads its disk, writes its registers, and waits for words on its console.
"$tests_dir/guest-initrd" "$tmp/initrd" '
disk() { for i in $(seq 100); do [ -b /dev/nvme0n1 ] && return; usleep 100000; done; }
case " $(cat /proc/cmdline) " in
*" do=disk "*)
    disk; echo "SUM:$(dd if=/dev/nvme0n1 bs=1M iflag=direct 2>/dev/null | md5sum)"
    echo "IRQ:$(awk "/nvme0q/ { n += \$2 } END { print n }" /proc/interrupts)"
    ;;
*" do=wait "*)
    echo READY
    while read -r line; do
        case $line in
        sum) disk; echo "SUM:$(dd if=/dev/nvme0n1 bs=1M iflag=direct 2>/dev/null | md5sum)" ;;
        gone) for i in $(seq 100); do [ -e /dev/nvme0n1 ] || break; usleep 100000; done; [ -e /dev/nvme0n1 ] && echo STILL || echo GONE ;;
        quit) break ;;
        esac
    done ;;
esac' nvme || skip_all 'cannot make an initrd for the guest'

guest_cfg one "console=hvc0 panic=1 do=disk" >"$tmp/guest.cfg"

script_helpers >"$tmp/script"
cat >>"$tmp/script" <<'SCRIPT'
cd /root
bdf=0000:01:00.0 port=0000:00:05.0 run=/run/xen-lite
no_guests() { [ "$(xl-lite list | wc -l)" -eq 2 ]; }
# Outside of run(): timeout cannot execute a function.
ask() { section "ask $1"; qmp "$@"; echo; }
qmp() { talk $run/control.sock 10 "$1" '{"execute": "qmp_capabilities"}'"$2"; }

section 'no daemon'; xl-lite create -q guest.cfg "pci=[\"$bdf\"]" 2>&1; echo "== status $?"
run xl-dmd
run xl-lite pci-info $bdf
run xl-lite pci-info $bdf --json
run xl-lite pci-info 0000:00:1f.0
run xl-lite pci-info 0000:77:00.0
section 'in use'; xl-lite create -q guest.cfg "pci=[\"$bdf\"]" 2>&1; echo "== status $?"
section 'nothing was made'; xl-lite list | wc -l
run xl-lite pci-assignable-add $bdf
run xl-lite pci-assignable-add 0000:77:00.0
run xl-lite pci-assignable-list

section 'create'; xl-lite create -q guest.cfg "pci=[\"$bdf\"]" 2>&1; echo "== status $?"
run xl-lite pci-list one
section 'taken'; xl-lite create -q guest.cfg 'name="two"' "pci=[\"$bdf\"]" 2>&1; echo "== status $?"
section 'disk'; within 120 grep -q GUEST-DONE /var/log/xen-lite/one.log; grep -h -E 'SUM|IRQ' /var/log/xen-lite/one.log
section 'gone'; within 40 no_guests; echo "$?"
run xl-lite audit
section 'back'; xl-lite pci-assignable-list

# A guest without devices gets one while it runs; xl-dmd dies meanwhile.
section 'empty'; xl-lite create -q guest.cfg 'name="hot"' 'passthrough="enabled"' 'cmdline="console=hvc0 panic=1 do=wait"' 2>&1; echo "== status $?"
within 120 grep -q READY /var/log/xen-lite/hot.log
run xl-lite pci-attach --dry-run hot $bdf
run xl-lite pci-list hot
run xl-lite pci-attach --permissive hot $bdf
run xl-lite pci-attach hot $bdf
say hot sum; section 'hot disk'; within 60 grep -q SUM /var/log/xen-lite/hot.log; grep SUM /var/log/xen-lite/hot.log
ask '"served-here"' '{"execute": "query-ioreq", "arguments": {"domid": '"$(xl-lite domid hot)"'}}'
ask '"decisions"' '{"execute": "query-pci", "arguments": {"bdf": "'$bdf'"}}'
ask '"functions"' '{"execute": "query-traps", "arguments": {"domid": '"$(xl-lite domid hot)"'}}'
ask '"remapping-entries"' '{"execute": "audit"}'
ask '"units"' '{"execute": "query-iommu"}'
# All that would take the disk from the guest from above: it is reset, loses its link, its bus, its memory, the bridge's forwarding.
section 'from above'; link=$(($(cap $port 0x10) + 16)); before=$(bytes $port 0 64):$(bytes $port $link 2)
put $port 0x3e '\x42\x00'; put $port $link '\x10\x00'; put $port 0x1a '\x00'; put $port 0x20 '\xf0\xff\x00\x00'; put $port 0x04 '\x00\x05'
[ "$(bytes $port 0 64):$(bytes $port $link 2)" = "$before" ] && echo 'the bridge is as it was' || echo "$before, now $(bytes $port 0 64)"
put $port 0x3e '\x03\x00'; echo "control $(bytes $port 0x3e 2)"
xl-lite dmesg | grep '00:05.0: this bridge'
say hot sum; within 60 sh -c '[ $(grep -c SUM /var/log/xen-lite/hot.log) = 2 ]'; grep SUM /var/log/xen-lite/hot.log | tail -n 1
ask '"BRIDGE_IN_USE"' '{"execute": "query-trap-records", "arguments": {"disposition": "denied"}}'
kill -9 "$(cat $run/xl-dmd.lock)"; usleep 300000; xl-dmd
run xl-lite pci-list hot --json
run xl-lite pci-detach hot $bdf
say hot gone; section 'unplugged'; within 40 grep -q -E 'GONE|STILL' /var/log/xen-lite/hot.log; grep -E 'GONE|STILL' /var/log/xen-lite/hot.log
# Its reset takes a tenth of a second, in which others are answered.
section 'overtake'
overtake $run/control.sock '{"execute": "device-add", "arguments": {"domid": '"$(xl-lite domid hot)"', "bdf": "'$bdf'"}, "id": "move"}' \
    '{"execute": "query-domains", "id": "other"}' 2>&1; echo "== status $?"
# So is whoever comes while tables are walked.
section 'walk'
overtake $run/control.sock '{"execute": "audit", "id": "walk"}' '{"execute": "query-version", "id": "other"}' 2>&1; echo "== status $?"
say hot sum; section 'again'; within 60 sh -c '[ $(grep -c SUM /var/log/xen-lite/hot.log) = 3 ]'; grep -c "SUM" /var/log/xen-lite/hot.log
run xl-lite pci-detach -f hot $bdf
run xl-lite pci-detach hot $bdf
run xl-lite destroy hot
section 'all gone'; within 40 no_guests; echo "$?"
run xl-lite pci-assignable-remove -r $bdf
section 'control'; within 20 test -b /dev/nvme0n1; dd if=/dev/nvme0n1 bs=1M 2>/dev/null | md5sum
run xl-lite audit
section 'messages'; cat /var/log/xen-lite/xl-dmd.log; xl-lite dmesg | tail -n 20
SCRIPT

vm_timeout=500
vm --cpus 2 --device pcie-root-port,id=port1,chassis=1,slot=1,addr=5 --device nvme,drive=disk,serial=one,bus=port1 --qemu-arg -drive --qemu-arg "file=$tmp/disk,format=raw,if=none,id=disk" \
    --add "$image/vmlinuz:/boot/vmlinuz" --add "$tmp/initrd:/boot/guest.initrd" --add "$tmp/guest.cfg:/root/guest.cfg" \
    --add "$tmp/talk:/usr/bin/talk" --add "$tmp/overtake:/usr/bin/overtake" --script "$tmp/script"
fails() { like "$(part "$1" "${4:-1}")" '^== status 1' "$3: fails"; like "$(part "$1" "${4:-1}")" "$2" "$3: says why"; }
bdf=0000:01:00.0

is "$status" 0 'the script runs to its end'
fails 'no daemon' 'start xl-dmd first' 'create with a device and without xl-dmd'
works 'xl-dmd' 'xl-dmd starts'
works "xl-lite pci-info $bdf" 'pci-info'
like "$(part "xl-lite pci-info $bdf")" 'but not as things are' 'it says that the disk can be given away, but not now'
like "$(part "xl-lite pci-info $bdf")" "its driver nvme: make it so with 'xl-lite pci-assignable-add" 'because of its driver, and what to do'
like "$(part "xl-lite pci-info $bdf")" 'MSI-X with [0-9]+ vectors \(table in BAR 0' 'it tells of MSI-X'
like "$(part "xl-lite pci-info $bdf --json")" '"obstacles":' 'and speaks JSON'
like "$(part 'xl-lite pci-info 0000:00:1f.0')" 'It cannot be given to a guest|not as things are' 'an ISA bridge has obstacles'
fails 'xl-lite pci-info 0000:77:00.0' 'there is no PCI function' 'a function that is not there'
fails 'in use' 'guest.cfg.*command line: error: pci|command line: error: pci.*cannot be given' 'a device in use'
is "$(part 'nothing was made' | head -n 1)" 2 'and no domain was made'
works "xl-lite pci-assignable-add $bdf" 'pci-assignable-add'
fails 'xl-lite pci-assignable-add 0000:77:00.0' 'there is no PCI function' 'adding what is not there'
like "$(part 'xl-lite pci-assignable-list')" "^$bdf" 'pci-assignable-list lists it'
works create 'create with the disk'
like "$(part 'xl-lite pci-list one')" "^01.0 $bdf  1b36:0010" 'pci-list shows it in slot 1'
fails taken "Domain [0-9]+ has it" 'a second guest for the same disk'
like "$(part disk)" "^SUM:$sum" 'the guest reads the disk'
like "$(part disk)" '^IRQ:[1-9]' 'by interrupts'
is "$(part gone | head -n 1)" 0 'the guest goes when it powers off'
works 'xl-lite audit' 'the audit is clean'
like "$(part back)" "^$bdf" 'and the disk is assignable again'
works empty 'a guest with a PCI root and no device'
works "xl-lite pci-attach --dry-run hot $bdf" 'pci-attach --dry-run'
unlike "$(part 'xl-lite pci-list hot')" "$bdf" 'which does nothing'
works "xl-lite pci-attach --permissive hot $bdf" 'pci-attach'
fails "xl-lite pci-attach hot $bdf" 'rule ' 'attaching it twice'
like "$(part 'hot disk')" "^SUM:$sum" 'the running guest notices the disk and reads it'
like "$out" '"bound": [1-9]' 'its messages were bound through the daemon'
like "$out" '"permissive": true' 'it is permissive'
like "$out" '"clean": true' 'the audit over the socket is clean'
like "$(part 'from above')" 'the bridge is as it was' 'what the control domain writes to the bridge above does not take the disk away'
like "$(part 'from above')" '^control 0300' 'what harms nobody arrives'
is "$(part 'from above' | grep -c 'stay as they are, because 0000:01:00.0 is not')" 1 'the log says once why'
like "$(part 'from above')" "^SUM:$sum" 'the guest reads the disk all the same'
like "$(part 'ask "BRIDGE_IN_USE"')" '"disposition": "denied".*"BRIDGE_IN_USE"|"BRIDGE_IN_USE".*"disposition": "denied"' 'each refusal is on record'
like "$(part 'xl-lite pci-list hot --json')" '"permissive": ?true' 'a daemon that was killed and started finds the device'
works "xl-lite pci-detach hot $bdf" 'pci-detach, with the guest'"'"'s consent'
like "$(part unplugged)" GONE 'the disk is gone in the guest'
works overtake 'while it is attached again, which takes a reset, another client is answered'
like "$(part overtake)" '"id": "move"' 'and who asked for it afterwards'
works walk 'while an audit walks all tables, another client is answered'
like "$(part walk)" '"id": "walk"' 'and who asked for the audit afterwards'
note "walk: $(part walk | grep -o -E '^(first|second) after [0-9.]* ms' | tr '\n' ' ')"
note "$(part overtake | grep -o -E '^(first|second) after [0-9.]* ms' | tr '\n' ' ')"
is "$(part again | head -n 1)" 3 'attached again, it is read again'
works "xl-lite pci-detach -f hot $bdf" 'pci-detach -f'
fails "xl-lite pci-detach hot $bdf" 'does not have this device' 'detaching what is not there' 2
works 'xl-lite destroy hot' 'destroy'
is "$(part 'all gone' | head -n 1)" 0 'the guest is gone'
works "xl-lite pci-assignable-remove -r $bdf" 'pci-assignable-remove'
like "$(part control)" "$sum" 'the control domain reads the disk again, unchanged'
works 'xl-lite audit' 'the audit is clean at the end' 2
unlike "$(cat "$serial")" "$kernel_complaints" 'no complaint of the control domain'"'"'s kernel'
[ "$tests_failed" -eq 0 ] || diag "$out"
done_testing

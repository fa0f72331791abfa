#!/bin/bash
# SPDX-License-Identifier: MIT
# SR-IOV: an NVMe controller's virtual functions appear when the control domain's kernel enables them; one goes to a guest, which
# reads the disk through it; while it has it, nothing that the control domain does to the physical function harms it; after that
# they go as they came.
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || skip_all 'needs xen-lite'
need_tools
full_form || skip_all 'takes longer than the quick form has time for: XEN_LITE_FULL=1'
compile "$tests_dir/nvme-virt.c" "$tmp/nvme-virt"
image=$("$src_dir/scripts/build-image")
random_file "$tmp/disk" 8
sum=$(md5_of "$tmp/disk")

"$tests_dir/guest-initrd" "$tmp/initrd" '
disk() { for i in $(seq 100); do [ -b /dev/nvme0n1 ] && return; usleep 100000; done; }
dev=$(echo /sys/bus/pci/devices/0000:01:00.0)
echo "ID:$(cat $dev/vendor):$(cat $dev/device)"
echo "BAR:$(head -n 1 $dev/resource)"
echo "CONFIG:$(od -A n -t x1 -N 64 $dev/config | tr -d "\n")"
echo READY
while read -r line; do
    case $line in
    sum) disk; echo "SUM:$(dd if=/dev/nvme0n1 bs=1M iflag=direct 2>/dev/null | md5sum)"
         echo "IRQ:$(grep -c nvme0q /proc/interrupts):$(awk "/nvme0q/ { n += \$2 } END { print n }" /proc/interrupts)" ;;
    alive) echo "ALIVE:$(cat $dev/vendor):$(od -A n -t x1 -N 6 $dev/config | tr -d "\n")" ;;
    quit) break ;;
    esac
done' nvme || skip_all 'cannot make an initrd for the guest'

{ guest_cfg g "console=hvc0 panic=1"; echo 'pci = [ "0000:01:00.1" ]'; } >"$tmp/guest.cfg"

script_helpers >"$tmp/script"
cat >>"$tmp/script" <<'SCRIPT'
cd /root
pf=0000:01:00.0 files=/sys/bus/pci/devices/0000:01:00.0 vf=0000:01:00.1 log=/var/log/xen-lite/g.log
sums() { [ "$(grep -c ^SUM $log)" -ge "$1" ]; }
number() { echo "$1" >$files/sriov_numvfs; echo "wrote $?, $(cat $files/sriov_numvfs) now"; }

xl-dmd
section 'nobody has asked'; xl-lite pci-info 01:00.1 2>&1
# All flexible queues and interrupts are for the virtual functions after a reset.
nvme-virt /dev/nvme0 0 1 1 0; nvme-virt /dev/nvme0 0 1 0 0; echo 1 >$files/reset
echo 0 >$files/sriov_drivers_autoprobe
section 'enable'; number 2
nvme-virt /dev/nvme0 1 8 1 1; nvme-virt /dev/nvme0 1 8 0 2; nvme-virt /dev/nvme0 1 9
section 'control pf'; within 20 test -b /dev/nvme0n1; md5sum </dev/nvme0n1
run xl-lite pci-info 01:00.1
run xl-lite pci-info 01:00.2 --json
section 'physical'; xl-lite pci-assignable-add 0000:01:00.0 2>&1; echo "status $?"; xl-lite pci-info 01:00.0
run xl-lite pci-assignable-add $vf
section 'create'; xl-lite create -q guest.cfg 2>&1; echo "== status $?"
section 'guest'; within 60 grep -q READY $log; grep -h -E 'ID:|BAR:|CONFIG:' $log
run xl-lite pci-list g
section 'disk'; say g sum; within 60 sums 1; grep -h -E '^(SUM|IRQ):' $log
run xl-lite audit
section 'pulled away'
before=$(bytes $pf 0x120 64)
number 0
[ -e /sys/bus/pci/devices/$vf ] && echo 'still there' || echo 'the kernel has forgotten it'
put $pf 0x128 '\x00\x00'; put $pf 0x128 '\x01\x00'; put $pf 0x130 '\x01\x00'; put $pf 0x144 '\x00\x00\x80\xfe'; put $pf 0x88 '\x00\x80'; put $pf 0x64 '\x03\x00'
echo "capability $([ "$(bytes $pf 0x120 64)" = "$before" ] && echo unchanged || bytes $pf 0x120 64)"
section 'still works'; say g sum; within 60 sums 2; grep -h SUM $log | tail -n 1
section 'refusals'; xl-lite dmesg | grep 'its virtual functions'
run xl-lite pci-info 01:00.1
run xl-lite audit
section 'physical gone'; echo 1 >$files/remove; [ -e $files ] && echo 'still there' || echo 'the kernel has forgotten it'
xl-lite pci-info 01:00.0 --json | grep '"id"'; say g alive; within 20 grep -q ALIVE $log; grep -h ^ALIVE $log
run xl-lite audit
run xl-lite destroy g
section 'back'; within 40 sh -c '[ "$(xl-lite list | wc -l)" -eq 2 ]'; xl-lite pci-info 01:00.1 2>&1
echo 1 >/sys/bus/pci/rescan; within 20 test -b /dev/nvme0n1; echo 0 >$files/sriov_drivers_autoprobe
# What the kernel believes to be off is on until it can say so again.
section 'again'; number 1; number 0
xl-lite pci-info 01:00.1 2>&1; echo "control $(bytes $pf 0x128 2)"
section 'enable again'; number 2
run xl-lite pci-info 01:00.2
section 'by the kernel'; nvme-virt /dev/nvme0 1 8 1 1; nvme-virt /dev/nvme0 1 8 0 2; nvme-virt /dev/nvme0 1 9
echo 1 >$files/sriov_drivers_autoprobe; echo $vf >/sys/bus/pci/drivers/nvme/bind; within 20 test -d /sys/bus/pci/devices/$vf/nvme
within 20 grep -q live /sys/class/nvme/nvme1/state
# The kernel takes both for paths to one disk, and is to use both.
echo round-robin >/sys/class/nvme-subsystem/nvme-subsys0/iopolicy
irqs() { awk '/nvme1q/ { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts; }
before=$(irqs); dd if=/dev/nvme0n1 bs=64k iflag=direct 2>/dev/null | md5sum; echo "interrupts $(($(irqs) - before))"
section 'off'; number 0; xl-lite pci-assignable-list
run xl-lite audit
section 'messages'; cat /var/log/xen-lite/xl-dmd.log; xl-lite dmesg | tail -n 20
SCRIPT

vm_timeout=300
vm --cpus 2 --device pcie-root-port,id=port1,chassis=1,slot=1 --device nvme-subsys,id=subsystem1 \
    --device nvme,id=nvme1,subsys=subsystem1,serial=one,bus=port1,sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2 \
    --device nvme-ns,drive=disk1,bus=nvme1,nsid=1,shared=on --qemu-arg -drive --qemu-arg "file=$tmp/disk,format=raw,if=none,id=disk1" \
    --add "$image/vmlinuz:/boot/vmlinuz" --add "$tmp/initrd:/boot/guest.initrd" --add "$tmp/guest.cfg:/root/guest.cfg" \
    --add "$tmp/nvme-virt:/usr/bin/nvme-virt" --script "$tmp/script"

is "$status" 0 'the script runs to its end'
like "$(part 'nobody has asked')" 'there is no PCI function' 'no virtual function is there before'
like "$(part enable)" 'wrote 0, 2 now' 'the control domain enables two'
like "$(part 'control pf')" "$sum" 'and reads the disk through the physical function'
like "$(part 'xl-lite pci-info 01:00.1')" '1b36:0010 .*a virtual function of 0000:01:00.0' 'pci-info: what it is'
like "$(part 'xl-lite pci-info 01:00.1')" 'Group: it is alone' 'its group is its own'
like "$(part 'xl-lite pci-info 01:00.1')" 'Reset: function level reset\.' 'it has its own reset, and no other'
like "$(part 'xl-lite pci-info 01:00.1')" 'BAR 0: 0xfe604000, 16 KiB' 'its BAR is the first behind that of its physical function'
like "$(part 'xl-lite pci-info 01:00.2 --json')" '"physical_function": ?"0000:01:00.0"' 'the same in JSON'
like "$(part physical)" '^status 1' 'the physical function is not made assignable meanwhile'
like "$(part physical)" 'has 2 virtual functions, which its driver keeps alive' 'with a reason'
like "$(part physical)" '^- It has 2 virtual functions' 'which pci-info gives, too'
works "xl-lite pci-assignable-add 0000:01:00.1" 'pci-assignable-add'
works create 'a guest is created with it'
like "$(part guest)" '^ID:0x1b36:0x0010' 'the guest sees vendor and device'
like "$(part guest)" '^BAR:0x[0-9a-f]*[1-9a-f][0-9a-f]* 0x' 'a BAR that it placed'
like "$(part guest)" '^CONFIG: 36 1b 10 00 .* 00 00 00' 'a header like any other'
like "$(part disk)" "^SUM:$sum" 'it reads the disk'
like "$(part disk)" '^IRQ:1:[1-9]' 'by the one MSI-X vector that it has'
works 'xl-lite audit' 'the audit is clean'
like "$(part 'pulled away')" 'the kernel has forgotten it' 'the kernel believes it disabled'
like "$(part 'pulled away')" '^capability unchanged' 'but nothing of what it writes to the physical function gets through'
like "$(part 'still works')" "^SUM:$sum" 'and the guest reads its disk all the same'
like "$(part refusals)" '01:00.0: its virtual functions stay as they are, because 0000:01:00.1' 'the log says why, and what to do'
like "$(part 'xl-lite pci-info 01:00.1' 2)" 'Owner: domain [1-9]' 'it is the guest'"'"'s'
works 'xl-lite audit' 'the audit is clean' 2
like "$(part 'physical gone')" 'the kernel has forgotten it' 'the kernel takes the physical function away as well'
like "$(part 'physical gone')" '"id":"1b36:0010"' 'which the hypervisor still knows'
like "$(part 'physical gone')" '^ALIVE:0x1b36: 36 1b 10 00 06 04' 'and the guest still finds its function'
works 'xl-lite audit' 'the audit is clean' 3
works 'xl-lite destroy g' 'the guest goes'
like "$(part back)" '^Owner: the control domain' 'the function is the control domain'"'"'s again'
like "$(part again)" 'there is no PCI function' 'disabled once more, it is gone'
like "$(part again)" '^control (00|10)00' 'in hardware as well'
like "$(part 'enable again')" 'wrote 0, 2 now' 'enabled once more'
works 'xl-lite pci-info 01:00.2' 'both are there'
like "$(part 'by the kernel')" "$sum" 'the control domain'"'"'s own driver reads the disk through one'
like "$(part 'by the kernel')" '^interrupts [1-9][0-9]' 'by interrupts'
like "$(part off)" 'wrote 0, 0 now' 'and disables them'
works 'xl-lite audit' 'the audit is clean at the end' 4
unlike "$(cat "$serial")" "$kernel_complaints" 'no complaint of the control domain'"'"'s kernel'
[ "$tests_failed" -eq 0 ] || diag "$out"
done_testing

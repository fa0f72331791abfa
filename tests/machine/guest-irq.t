#!/bin/bash
# SPDX-License-Identifier: MIT
# Interrupts and DMA of a guest's devices: every MSI-X vector arrives on the vCPU that it names; none is lost while one moves
# between vCPUs under load; INTx works in a kernel without MSI; edu's messages arrive, and its DMA reaches nothing but the guest.
# Long form: a million reads while the interrupt moves, every 10 ms.
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || skip_all 'needs xen-lite'
full_form || skip_all 'not in the quick form: about a minute'
need_tools
compile "$tests_dir/edu-dma.c" "$tmp/edu-dma"
compile "$tests_dir/read-storm.c" "$tmp/read-storm"
compile "$tests_dir/talk.c" "$tmp/talk"
image=$("$src_dir/scripts/build-image")
random_file "$tmp/disk" 16
# Each block of 4 KiB begins with its number.
perl -e 'print pack("Q<", $_) . pack("V", int(rand(2**32))) x 1022 for 0 .. 4095' >"$tmp/moved"
random_file "$tmp/file" 4
disk_sum=$(md5_of "$tmp/disk") moved_sum=$(md5_of "$tmp/moved") file_sum=$(md5_of "$tmp/file")
reads=10000
! long_form || reads=1000000
"$src_dir/scripts/lib/web-server" "$tmp/file" "$tmp/port" &
server=$!
trap 'kill "$server"; rm -rf "$tmp"' EXIT
for ((i = 0; i < 50; i++)); do [ -e "$tmp/port" ] && break; sleep 0.1; done

# In the guest: nvme0 has a vector a queue, which the kernel lets nobody move; the other disk has one for all.
"$tests_dir/guest-initrd" --add "$tmp/edu-dma" --add "$tmp/read-storm" "$tmp/initrd" '
parameter() { tr " " "\n" </proc/cmdline | sed -n "s/^$1=//p"; }
count() { awk -v name="$1\$" -v cpu=$2 "\$0 ~ name { n += \$(cpu + 2) } END { print n + 0 }" /proc/interrupts; }
line() { awk -F: -v name="$1\$" "\$0 ~ name { gsub(/ /, \"\", \$1); print \$1 }" /proc/interrupts; }
disk_of() { for c in /sys/class/nvme/nvme*; do [ "$(cat $c/serial | tr -d " ")" = $1 ] && ls $c | grep "^nvme[0-9]n1\$" && return; done; }
sum() { dd if=$1 bs=64k iflag=direct 2>/dev/null | md5sum | cut -c 1-32; }
for i in $(seq 100); do [ -n "$(disk_of disk)" ] && break; usleep 100000; done
disk=$(disk_of disk) moved=$(disk_of moved)
if [ -n "$(parameter intx)" ]; then
    echo "INTX-SUM:$(sum /dev/$disk)"
    grep nvme /proc/interrupts | sed "s/^/INTX-LINE:/"
    return
fi
for cpu in 0 1; do
    queue=${disk%n1}q$((cpu + 1))
    before=$(count $queue $cpu) others=$(count $queue $((1 - cpu)))
    echo "SUM$cpu:$(taskset $((cpu + 1)) dd if=/dev/$disk bs=64k iflag=direct 2>/dev/null | md5sum | cut -c 1-32)"
    echo "VECTOR$cpu:$(($(count $queue $cpu) - before)) elsewhere $(($(count $queue $((1 - cpu))) - others))"
done
echo "ADMIN:$(($(count ${disk%n1}q0 0) + $(count ${disk%n1}q0 1)))"

cat >/dhcp <<D
#!/bin/sh
[ "\$1" != bound ] || ip address add "\$ip/24" dev "\$interface"
D
chmod +x /dhcp
card=$(ls /sys/class/net | grep -v lo)
ip link set $card up
udhcpc -i $card -n -q -t 20 -T 1 -s /dhcp >/dev/null 2>&1
for cpu in 0 1; do
    for name in $card-rx-0 $card-tx-0 $card; do echo $cpu >/proc/irq/$(line $name)/smp_affinity_list; done
    rx=$(count $card-rx-0 $cpu) tx=$(count $card-tx-0 $cpu) other=$(count $card $cpu)
    echo "FILE$cpu:$(wget -q -O - $(parameter url) | md5sum | cut -c 1-32)"
    # An interrupt moves when it comes, so that the first one of the link still goes where it went before.
    for i in 1 2; do ip link set $card down; ip link set $card up; usleep 300000; done
    [ $cpu = 1 ] || udhcpc -i $card -n -q -t 20 -T 1 -s /dhcp >/dev/null 2>&1
    for i in $(seq 30); do [ $(count $card $cpu) != $other ] && break; usleep 100000; done
    echo "CARD$cpu:rx $(($(count $card-rx-0 $cpu) - rx)) tx $(($(count $card-tx-0 $cpu) - tx)) other $(($(count $card $cpu) - other))"
done

irq=$(line ${moved%n1}q1)
[ -n "$irq" ] || irq=$(awk -F: "/${moved%n1}q1/ { gsub(/ /, \"\", \$1); print \$1 }" /proc/interrupts)
echo "READS:$(read-storm /dev/$moved $(parameter reads) 2 16 $irq 10000)"
echo "MOVED:on $(awk "/${moved%n1}q1/ { print \$2, \$3 }" /proc/interrupts)"
echo "MOVED-SUM:$(sum /dev/$moved)"
echo "TIMEOUTS:$(dmesg | grep -c -i "nvme.*timeout\|completion polled")"

edu=$(basename "$(dirname "$(grep -l 0x1234 /sys/bus/pci/devices/*/vendor)")")
edu-dma $edu | sed "s/^/EDU:/"
edu-dma $edu msi 0 0xd1 | sed "s/^/EDU:/"
edu-dma $edu msi 2 0xd2 | sed "s/^/EDU:/"
edu-dma $edu write $(parameter targets | tr , " ") | sed "s/^/EDU:/"
edu-dma $edu read $(parameter targets | tr , " ") | sed "s/^/EDU:/"
edu-dma $edu | sed "s/^/EDU-AFTER:/"
dmesg | grep "No irq handler" | sed "s/^/KERNEL:/"
' nvme e1000e || skip_all 'cannot make an initrd for the guest'

cat >"$tmp/guest.cfg" <<'CFG'
type = "pvh"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/guest.initrd"
memory = 256
vcpus = 2
CFG

cat >"$tmp/script" <<'SCRIPT'
cd /root
disk=0000:00:05.0 moved=0000:00:06.0 card=0000:00:07.0 edu=0000:01:00.0 log=/var/log/xen-lite
section() { echo "== $*"; }
# What the device model decided for a guest, and how long that took.
decided() { talk /run/xen-lite/control.sock 10 '"served-here"' '{"execute": "qmp_capabilities"} {"execute": "query-ioreq", "arguments": {"domid": '$1'}}'; }
# gone NAME SECONDS: waits for a guest's end, without taking much of the processors from it.
gone()
{
    end=$(($(cut -d . -f 1 /proc/uptime) + $2))
    while xl-lite domid $1 >/dev/null 2>&1; do
        [ $(cut -d . -f 1 /proc/uptime) -lt $end ] || { echo "$1 does not end"; return 1; }
        decided "$(xl-lite domid $1)" >/tmp/decided.new 2>/dev/null && grep -q '"bound"' /tmp/decided.new && mv /tmp/decided.new /tmp/decided
        sleep 3
    done
}
xl-dmd
for bdf in $disk $moved $card $edu; do xl-lite pci-assignable-add $bdf || echo "BAD $bdf"; done
section 'learned'; cat /run/xen-lite/assignable/$disk.gsi
xl-lite create -q -p guest.cfg 'name="other"' 'cmdline=""' || echo BAD other
xl-lite load other -s 'NOBODY-READS-IT.NOBODY-READS-IT.NOBODY-READS-IT.NOBODY-READS-IT.' -a 0x2000000 || echo BAD load
theirs=$(xl-lite p2m other 0x2000000 | sed -n 's/.*is machine frame \(0x[0-9a-f]*\).*/\1/p')
# Above the guest's own memory: below it, the same number is the guest's own.
edu-dma hold 0x10000000 >/tmp/ours &
for i in $(seq 300); do [ -s /tmp/ours ] && break; usleep 100000; done
# A frame of the hypervisor's own that never holds zeros only: the root of the control domain's page table.
targets=$(xl-lite iommu | awk '/^0000:00:00.0/ { print $7 }'),$(cat /tmp/ours),$(printf 0x%x $((theirs << 12)))
section 'targets'; echo $targets
xl-lite create -q guest.cfg 'name="one"' "pci=[\"$disk\",\"$moved\",\"$card\",\"$edu\"]" \
    "cmdline=\"console=hvc0 panic=1 quiet url=http://10.0.2.2:$1/file reads=$2 targets=$targets\"" || echo BAD one
gone one $3
section 'decided'; tr -d '\r' </tmp/decided; echo; echo "daemon-ms $(awk '{ print ($14 + $15) * 10 }' /proc/$(pidof xl-dmd)/stat)"
section 'one'; tr -d '\r' <$log/one.log
section 'iommu'; xl-lite iommu
xl-lite create -q guest.cfg 'name="intx"' "pci=[\"$disk\"]" 'cmdline="console=hvc0 panic=1 quiet pci=nomsi intx=1"' || echo BAD intx
gone intx 90
section 'intx'; tr -d '\r' <$log/intx.log
# The other guest stays: freed memory is cleared, and what arrived in it with that.
section 'audit'; xl-lite audit
section 'messages'; cat $log/xl-dmd.log; xl-lite dmesg | tail -n 30
SCRIPT

memory_file=$tmp/memory patience=120
! long_form || patience=1500
vm_timeout=$((patience + 200))
vm --cpus 2 --add "$image/vmlinuz:/boot/vmlinuz" --add "$tmp/initrd:/boot/guest.initrd" --add "$tmp/guest.cfg:/root/guest.cfg" \
    --device nvme,drive=disk,serial=disk,addr=5 --qemu-arg -drive --qemu-arg "file=$tmp/disk,format=raw,if=none,id=disk" \
    --device nvme,drive=moved,serial=moved,msix_qsize=1,addr=6 --qemu-arg -drive --qemu-arg "file=$tmp/moved,format=raw,if=none,id=moved" \
    --device e1000e,netdev=net,addr=7 --qemu-arg -netdev --qemu-arg user,id=net \
    --device pcie-root-port,id=edu-port,slot=1,addr=8 --device edu,bus=edu-port,dma_mask=0xffffffffff \
    --qemu-arg -object --qemu-arg "memory-backend-file,id=ram,size=4G,mem-path=$memory_file,share=on" \
    --qemu-arg -machine --qemu-arg memory-backend=ram \
    --add "$tmp/edu-dma:/bin/edu-dma" --add "$tmp/talk:/bin/talk" --script "$tmp/script" -- "$(cat "$tmp/port")" "$reads" "$patience"
# The section of that name, up to the next one.
part() { awk -v head="== $1" '$0 == head { on = 1; next } /^== / { on = 0 } on' <<<"$out"; }
one=$(part one)

is "$status" 0 'the script runs to its end'
unlike "$out" '^BAD|does not end' 'both guests come and go'
for cpu in 0 1; do
    like "$one" "^SUM$cpu:$disk_sum" "vCPU $cpu reads the NVMe disk"
    like "$one" "^VECTOR$cpu:[1-9][0-9]* elsewhere 0" "the vector of its queue arrives there and nowhere else"
    like "$one" "^FILE$cpu:$file_sum" "a file over the e1000e with its interrupts on vCPU $cpu"
    like "$one" "^CARD$cpu:rx [1-9][0-9]* tx [1-9][0-9]* other [1-9]" 'all three vectors arrived there'
done
like "$one" '^ADMIN:[1-9]' 'the vector of the admin queue arrives'
note "$(grep -E '^(VECTOR|CARD|READS|MOVED:)' <<<"$one")"
figure() { sed -n "s/^READS:.*$1 \([0-9]*\).*/\1/p" <<<"$one"; }
decided() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" <<<"$(part decided)"; }
note "changes that the device model bound: $(decided bound), waited for $(($(decided wait-ns) / ($(decided bound) + 1) / 1000)) us on average, \
$(($(decided wait-max-ns) / 1000)) us at most; the daemon's processor time $(part decided | sed -n 's/^daemon-ms //p') ms"
# Each round of reads ends only with its last interrupt; the kernel gives up on one that does not come after 30 s, and says so.
like "$one" "^READS:reads $reads failed 0 wrong 0 " "$reads reads with several in flight, each counted and of the right block"
moves=$(figure moves)
ok "the interrupt was moved ${moves:-not} times meanwhile" test "${moves:-0}" -ge $((reads > 100000 ? reads / 500 : 20))
like "$one" '^MOVED:on [1-9][0-9]* [1-9][0-9]*$' 'and arrived on both vCPUs'
is "$(sed -n 's/^TIMEOUTS://p' <<<"$one")" 0 'none was lost'
like "$one" "^MOVED-SUM:$moved_sum" 'what is read is right'
like "$one" '^EDU:round trip .* same' "edu's DMA works inside the guest"
like "$one" '^EDU:msi to 0 vector 209 status 1' 'edu interrupts by MSI'
like "$one" '^KERNEL:.* 0\.209 No irq handler' 'which arrives on vCPU 0'
like "$one" '^KERNEL:.* 1\.210 No irq handler' 'and, told so, on vCPU 1'

# ---- DMA out of the guest ----
targets=$(part targets)
log=$(tr -d '\r' <"$serial")
# The machine's memory has 2 GiB below 4 GiB.
offset_of() { echo $(($1 >= 0x100000000 ? $1 - 0x80000000 : $1)); }
for n in 1 2 3; do
    address=$(cut -d , -f $n <<<"$targets") whose=$(cut -d , -f $n <<<"the hypervisor,the control domain,another guest")
    [[ $address =~ ^0x[0-9a-f]+$ ]] || { result 1 "no address of $whose"; continue; }
    like "$one" "^EDU:write $address done" "DMA to $address ($whose) was tried"
    is "$(tail -c +$(($(offset_of "$address") + 1)) "$memory_file" | head -c 4096 | grep -a -c EDU-DMA-WAS-HERE)" 0 'nothing arrived'
    truth=$(tail -c +$(($(offset_of "$address") + 1)) "$memory_file" | head -c 64 | od -An -v -tx1 | tr -d ' \n')
    got=$(sed -n "s/^EDU:read $address //p" <<<"$one")
    ok 'and reading there gives nothing of it' test "${#got}" -eq 128 -a "$got" != "$truth"
    like "$log$(part iommu)" "01:00\.0.*${address#0x}" 'the fault is reported with device and address'
done
note "$(part iommu | grep -i '01:00.0')"
like "$one" '^EDU-AFTER:round trip .* same' 'DMA inside works afterwards'

# ---- INTx ----
intx=$(part intx)
like "$(part learned)" '^(1[6-9]|2[0-3])$' 'the control domain tells which GSI the pin is'
like "$intx" "^INTX-SUM:$disk_sum" 'a guest without MSI reads the disk'
like "$intx" '^INTX-LINE:.*[1-9].*IO-APIC.*fasteoi.*nvme' 'by INTx'
note "$(grep INTX-LINE <<<"$intx")"
like "$(part audit)" 'No breach' 'the audit is clean'
unlike "$(cat "$serial")$one$intx" "$kernel_complaints" 'no complaint of any kernel'
[ "$tests_failed" -eq 0 ] || diag "$out"
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# NVMe (MSI-X, a vector a queue) and AHCI (MSI) disks: a whole disk image is read and written right, and their
# interrupts arrive on every vCPU.
. "$(dirname -- "$0")/lib.sh"

size=64
cpus=$(cpus_or 2)
random_file "$tmp/nvme.img" $size
random_file "$tmp/ahci.img" $size
nvme_sum=$(md5_of "$tmp/nvme.img")
ahci_sum=$(md5_of "$tmp/ahci.img")

cat >"$tmp/script" <<'SCRIPT'
#!/bin/sh
wait_for() { n=0; while [ ! -b "$1" ]; do n=$((n + 1)); [ $n -lt 100 ] || { echo "no $1"; return; }; usleep 100000; done; }
cpus=$(nproc)
wait_for /dev/nvme0n1
wait_for /dev/sda
echo "nvme sum $(md5sum </dev/nvme0n1 | cut -c1-32)"
echo "ahci sum $(md5sum </dev/sda | cut -c1-32)"

# Each NVMe queue belongs to a vCPU: reads from each vCPU must raise interrupts there.
cpu=0
while [ $cpu -lt $cpus ]; do
    taskset -c $cpu dd if=/dev/nvme0n1 of=/dev/null bs=64k count=32 skip=$((cpu * 64)) iflag=direct 2>/dev/null
    count=$(awk -v c=$((cpu + 2)) '/nvme0q[1-9]/ { n += $c } END { print n + 0 }' /proc/interrupts)
    echo "nvme cpu$cpu $count"
    cpu=$((cpu + 1))
done
grep nvme /proc/interrupts | sed 's/^/interrupts /'

# AHCI has one vector: it is moved from vCPU to vCPU.
irq=$(awk -F: '/ahci/ { gsub(/ /, "", $1); print $1; exit }' /proc/interrupts)
cpu=0
while [ $cpu -lt $cpus ]; do
    echo $cpu >/proc/irq/$irq/smp_affinity_list
    dd if=/dev/sda of=/dev/null bs=64k count=4 skip=$cpu iflag=direct 2>/dev/null
    before=$(awk -v c=$((cpu + 2)) '/ahci/ { print $c; exit }' /proc/interrupts)
    dd if=/dev/sda of=/dev/null bs=64k count=32 skip=$((cpu * 64 + 8)) iflag=direct 2>/dev/null
    after=$(awk -v c=$((cpu + 2)) '/ahci/ { print $c; exit }' /proc/interrupts)
    echo "ahci cpu$cpu $((after - before))"
    cpu=$((cpu + 1))
done
grep ahci /proc/interrupts | sed 's/^/interrupts /'

# The second MiB of each disk is written with what its first MiB holds.
for disk in nvme0n1 sda; do
    dd if=/dev/$disk of=/tmp/first bs=1M count=1 2>/dev/null
    dd if=/tmp/first of=/dev/$disk bs=1M count=1 seek=1 conv=fsync oflag=direct 2>/dev/null || echo "write to $disk failed"
done
dmesg >&2
SCRIPT

vm --cpus $cpus --script "$tmp/script" \
    --qemu-arg -drive --qemu-arg "if=none,id=nvme,format=raw,file=$tmp/nvme.img" \
    --device nvme,drive=nvme,serial=xl1,max_ioqpairs=8,msix_qsize=9 \
    --qemu-arg -drive --qemu-arg "if=none,id=ahci,format=raw,file=$tmp/ahci.img" \
    --device ide-hd,drive=ahci,bus=ide.1
is "$status" 0 'machine with an NVMe and an AHCI disk runs the script'
note "$(grep '^interrupts' <<<"$out")"
like "$out" "^nvme sum $nvme_sum" "NVMe: all $size MiB read right"
like "$out" "^ahci sum $ahci_sum" "AHCI: all $size MiB read right"
for ((cpu = 0; cpu < cpus; cpu++)); do
    like "$out" "^nvme cpu$cpu [1-9]" "NVMe: interrupts on vCPU $cpu"
    like "$out" "^ahci cpu$cpu [1-9]" "AHCI: interrupts on vCPU $cpu"
done
like "$out" 'interrupts .*MSI.*nvme0q1' 'NVMe uses MSI-X'
like "$out" 'interrupts .*MSI.*ahci' 'AHCI uses MSI'
for disk in nvme ahci; do
    is "$(dd if="$tmp/$disk.img" bs=1M count=1 skip=1 2>/dev/null | md5sum)" \
        "$(dd if="$tmp/$disk.img" bs=1M count=1 2>/dev/null | md5sum)" "$disk: what was written is in the image"
done
unlike "$err" "$kernel_complaints|I/O error|timeout, (aborting|completion polled)|ata[0-9].*(failed command|exception)" \
    'no complaint of the kernel'
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# An e1000e network card (MSI-X, several vectors): DHCP, a file fetched over the emulator's user network, and
# interrupts on every vCPU.
. "$(dirname -- "$0")/lib.sh"

cpus=$(cpus_or 2)
random_file "$tmp/file" 8
sum=$(md5_of "$tmp/file")
"$src_dir/scripts/lib/web-server" "$tmp/file" "$tmp/port" &
server=$!
trap 'kill "$server"; rm -rf "$tmp"' EXIT
for ((i = 0; i < 50; i++)); do [ -e "$tmp/port" ] && break; sleep 0.1; done
port=$(cat "$tmp/port")

cat >"$tmp/script" <<'SCRIPT'
#!/bin/sh
card=$(basename "$(ls -d /sys/bus/pci/drivers/e1000e/*/net/* | head -n 1)")
echo "card $card"
ip link set "$card" up
udhcpc -i "$card" -n -q -t 10 -s /usr/bin/udhcpc-script >&2 || echo "no lease"
echo "address $(ip -4 -o address show dev "$card" | awk '{ print $4 }')"
cpu=0
while [ $cpu -lt "$(nproc)" ]; do
    for irq in $(awk -F: "/$card/ { gsub(/ /, \"\", \$1); print \$1 }" /proc/interrupts); do
        echo $cpu >/proc/irq/$irq/smp_affinity_list
    done
    before=$(awk -v c=$((cpu + 2)) "/$card/ { n += \$c } END { print n + 0 }" /proc/interrupts)
    echo "sum $cpu $(wget -q -O - "http://10.0.2.2:$1/file" | md5sum | cut -c1-32)"
    after=$(awk -v c=$((cpu + 2)) "/$card/ { n += \$c } END { print n + 0 }" /proc/interrupts)
    echo "interrupts cpu$cpu $((after - before))"
    cpu=$((cpu + 1))
done
grep "$card" /proc/interrupts | sed 's/^/line /'
dmesg >&2
SCRIPT

vm --cpus $cpus --script "$tmp/script" --device e1000e,netdev=n0 \
    --qemu-arg -netdev --qemu-arg user,id=n0 -- "$port"
is "$status" 0 'machine with an e1000e runs the script'
note "$(grep '^line' <<<"$out")"
like "$out" '^address 10\.0\.2\.15/' 'DHCP gives an address'
for ((cpu = 0; cpu < cpus; cpu++)); do
    like "$out" "^sum $cpu $sum" "8 MiB fetched right with the interrupts on vCPU $cpu"
    like "$out" "^interrupts cpu$cpu [1-9][0-9]" "and those were taken there"
done
like "$out" '^line .*MSI.*-rx-0' 'the card uses MSI-X'
unlike "$err" "$kernel_complaints|transmit queue .* timed out|Detected Hardware Unit Hang" 'no complaint of the kernel'
done_testing

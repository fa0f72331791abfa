#!/bin/bash
# SPDX-License-Identifier: MIT
# Functions go to domains that never run and come back; the control domain's drivers work again.

. "$(dirname "$0")/lib.sh"

gcc -std=gnu11 -O2 -Wall -Wextra -Werror -D__XEN_TOOLS__ -I"$src_dir" -I"$src_dir/xen-lite/include" -o "$tmp/handover" \
    "$tests_dir/handover.c" "$src_dir"/libs/xenlite*.c -lxenctrl -lxencall || skip_all 'libxenctrl is missing'

cycles=20
long_form && cycles=100
random_file "$tmp/nvme.img" 4
cat >"$tmp/script" <<EOS
cd /sys/bus/pci/devices
find() { for d in *; do [ "\$(cat \$d/vendor):\$(cat \$d/device)" = \$1 ] && echo \$d; done; }
nvme=\$(find 0x1b36:0x0010)
nic=\$(find 0x8086:0x10d3)
echo "before \$(md5sum </dev/nvme0n1 | cut -c1-32)"
handover list
echo \$nvme >/sys/bus/pci/drivers/nvme/unbind
echo \$nic >/sys/bus/pci/drivers/e1000e/unbind
for d in \$nvme \$nic; do
    handover try \$d
    handover destroy \$d
    handover cycles \$d $cycles
done
handover refused \$nvme
for d in \$(find 0x1234:0x11e8); do
    case \$d in 0000:00:*) handover try \$d 8 ;; *) handover try \$d ;; esac
done
echo \$nvme >/sys/bus/pci/drivers/nvme/bind
echo \$nic >/sys/bus/pci/drivers/e1000e/bind
for i in \$(seq 50); do [ -b /dev/nvme0n1 ] && [ -d /sys/class/net/eth0 ] && break; sleep 0.2; done
echo "after \$(md5sum </dev/nvme0n1 | cut -c1-32)"
echo "net \$(ls /sys/class/net)"
EOS
vm_timeout=400 vm --memory 2G --add "$tmp/handover:/bin/handover" \
    --qemu-arg -drive --qemu-arg "if=none,id=nvme,format=raw,file=$tmp/nvme.img" --device nvme,drive=nvme,serial=1 \
    --device e1000e --device edu \
    --device pcie-root-port,id=port1,chassis=1,slot=1 --device edu,bus=port1 \
    --device pcie-root-port,id=port2,chassis=2,slot=2 --device pcie-pci-bridge,bus=port2,id=bridge \
    --device edu,bus=bridge,addr=1 --script "$tmp/script"
is "$status" 0 'the script ran'
while read -r word rest; do
    case $word in
    ok) result 0 "$rest" ;;
    not) result 1 "${rest#ok }" ;;
    esac
done <<<"$out"
like "$out" "before $(md5_of "$tmp/nvme.img")" 'the disk reads before'
like "$out" "after $(md5_of "$tmp/nvme.img")" 'and after it has been with other domains'
like "$out" 'net .*eth0' 'the network card has its driver again'
like "$out" '1234:11e8 owner 0 group 0200 of 2 .* rid 0300' 'a conventional function has its bridge as requester and in its group'
done_testing

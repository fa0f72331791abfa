#!/bin/bash
# SPDX-License-Identifier: MIT
# The machine is handed back clean: after a restart by the control domain the firmware, the loader and the hypervisor
# come up again, with the devices in use before; and a power-off ends it.
. "$(dirname -- "$0")/lib.sh"

full_form || skip_all 'not in the quick form: it boots twice'
truncate -s 16M "$tmp/disk.img"
cat >"$tmp/script" <<'SCRIPT'
#!/bin/sh
disk=/dev/nvme0n1
n=0; while [ ! -b $disk ]; do n=$((n + 1)); [ $n -lt 100 ] || exit 9; usleep 100000; done
if [ "$(dd if=$disk bs=512 count=1 2>/dev/null | head -c 5)" != again ]; then
    echo "first boot"
    printf 'again%507s' '' | dd of=$disk bs=512 oflag=direct conv=fsync 2>/dev/null
    reboot -f
    sleep 600
fi
echo "second boot"
nproc
dmesg >&2
SCRIPT
vm_timeout=150
vm --allow-reboot --script "$tmp/script" --device nvme,drive=nvme,serial=xl1 \
    --qemu-arg -drive --qemu-arg "if=none,id=nvme,format=raw,file=$tmp/disk.img"
is "$status" 0 'the machine restarts and comes up again'
is "$out" "$(printf 'first boot\nsecond boot\n%s' "$(cpus_or 2)")" 'both boots ran the script, the second with all vCPUs and the disk'
unlike "$err" "$kernel_complaints" 'no complaint of the kernel'
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# VMX on Bochs, which was written by others than the emulated Intel machine, and has no IOMMU: the control domain and a guest
# that is created, restarted and destroyed. Long form only, as Bochs takes minutes.
. "$(dirname -- "$0")/lib.sh"

long_form || [ "$test_machine" = bochs ] || skip_all 'takes ten minutes: long form only'
[ -z "$hypervisor" ] || skip_all 'for xen-lite'
image=$("$src_dir/scripts/build-image")
test_machine=bochs
vm_timeout=900

"$tests_dir/guest-initrd" "$tmp/initrd" '
case " $(cat /proc/cmdline) " in *" do=reboot "*) reboot -f; sleep 600 ;; esac' ||
    skip_all 'cannot make an initrd for the guest'

cat >"$tmp/guest.cfg" <<'CFG'
name = "one"
type = "pvh"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/guest.initrd"
memory = 256
vcpus = 1
cmdline = "console=hvc0 panic=1 clearcpuid=xsavec do=reboot"
CFG

# Debian's Bochs gets XRSTOR of what XSAVEC wrote wrong (tried by a program alone): neither kernels nor the dynamic linker are
# to use it.
cat >"$tmp/script" <<'SCRIPT'
export LD_BIND_NOW=1
xl dmesg
xl-dmd >/var/log/dmd.log 2>&1 &
left=30
until [ -S /run/xen-lite/control.sock ] || [ $left -eq 0 ]; do sleep 1; left=$((left - 1)); done
xl-lite create -q /root/guest.cfg 2>&1; created=$?; echo "== created $created"
left=400; [ $created -eq 0 ] || { cat /var/log/dmd.log; left=0; }
until [ "$(grep -c GUEST-UP /var/log/xen-lite/one.log)" -ge 2 ] || [ $left -eq 0 ]; do sleep 1; left=$((left - 1)); done 2>/dev/null
grep GUEST-UP /var/log/xen-lite/one.log
xl-lite destroy one; echo "== destroyed $?"
left=30
until [ "$(xl-lite list | wc -l)" -eq 2 ] || [ $left -eq 0 ]; do sleep 1; left=$((left - 1)); done
xl-lite list
SCRIPT

for model in corei7_skylake_x corei7_sandy_bridge_2600k; do
    vm --bochs-cpu "$model" --kernel-args clearcpuid=xsavec --cpus 1 --memory 2G --control-memory 512M --add "$image/vmlinuz:/boot/vmlinuz" \
        --add "$tmp/initrd:/boot/guest.initrd" --add "$tmp/guest.cfg:/root/guest.cfg" --script "$tmp/script" --
    is "$status" 0 "$model: the control domain reaches user land (after ${user_land:-?} s)"
    like "$out" 'guests run on VMX' 'on VMX'
    unlike "$out" 'broken: SDM|VM entry failed' 'with VMCSs that break no rule'
    like "$out" 'no IOMMU: .*; devices cannot be passed through' 'it says that devices cannot be passed through, and why'
    like "$out" 'created 0' 'a guest is created'
    ok "it reaches user land, and again after a restart" test "$(grep -c GUEST-UP <<<"$out")" -ge 2
    like "$out" 'destroyed 0' 'it is destroyed'
    is "$(sed -n '/== destroyed/,$p' <<<"$out" | tail -n +2 | wc -l)" 2 'and gone'
done
done_testing

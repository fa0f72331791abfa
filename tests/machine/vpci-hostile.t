#!/bin/bash
# SPDX-License-Identifier: MIT
# A guest at its worst with two devices: configuration accesses of every width and alignment, BARs over memory, over each other, over MSI-X
# tables and the local APIC, MSI-X entries rewritten by both of its CPUs while interrupts come. The audit is clean after every
# thousand, and the disk works again after the guest has reset it.
. "$(dirname -- "$0")/lib.sh"

need_pci_guest
operations=100000
! long_form || operations=2000000
seed=${XEN_LITE_SEED:-$RANDOM}
pci_guest_disk "$tmp/disk"
pci_guest_config 2 '"0000:00:05.0", "0000:00:06.0"' >"$tmp/guest.cfg"
cat >"$tmp/script" <<SCRIPT
xl-dmd
for bdf in 0000:00:05.0 0000:00:06.0; do xl-lite pci-assignable-add \$bdf; done
xl-lite create -q guest.cfg 'cmdline="mode=2 ops=$operations seed=$seed"'; echo "create \$?"
domid=\$(xl-lite domid g)
vpci-watch \$domid hostile
vpci-watch \$domid requests
xl-lite destroy g; echo "destroy \$?"
xl-lite audit; echo "audit \$?"
for bdf in 0000:00:05.0 0000:00:06.0; do xl-lite pci-assignable-remove \$bdf; echo "back \$?"; done
SCRIPT
vm_timeout=900
long_form || vm_timeout=200
vm --cpus 2 --kernel-args vm_drivers=off --device e1000e,addr=6 "${pci_guest_vm[@]}" --script "$tmp/script"
note "seed $seed"$'\n'"$out"
value() { awk -v n="$1" '$1 == n { print $2; exit }' <<<"$out"; }
is "$status" 0 'the machine lives'
is "$(value create)" 0 'the guest is created with two devices'
is "$(value state)" 2 "it comes to its end, and its disk works after a reset (seed $seed)"
is "$(value text)" '' 'nothing went wrong in it'
ok "it made $operations accesses" test "$(value writes)" -ge "$operations"
ok 'interrupts came to both of its CPUs' test "$(value irqs0)" -gt 0 -a "$(value irqs1)" -gt 0
ok 'some accesses went to the device model' test "$(value forwarded)" -gt 100
is "$(value expired)" 0 'none of these was given up'
is "$(value audits)" $((operations / 1000)) 'the audit ran after each thousand'
is "$(value clean)" 1 'and found no breach'
is "$(value destroy)" 0 'the guest is destroyed'
is "$(value audit)" 0 'the audit is clean afterwards'
is "$(grep -c '^back 0' <<<"$out")" 2 'the devices go back to the control domain'
unlike "$(cat "$serial")" 'PANIC|assertion failed|BUG:|Oops' 'no panic'
done_testing

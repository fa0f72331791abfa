#!/bin/bash
# SPDX-License-Identifier: MIT
# What a guest's accesses to its device cost, in executed instructions, and that they stay within their bars: masks of MSI-X vectors,
# configuration registers by both ways, a configuration write to the device model and back, registers in a BAR; and what it adds when
# somebody listens to traps.
. "$(dirname -- "$0")/lib.sh"

need_pci_guest
declare -A limit=([msix-mask]=1500 [msix-unmask]=1500 [msix-read]=1200 [port-read]=500 [port-read-device]=500 [ecam-read]=1800
    [ecam-read-device]=1800 [forwarded-write]=18000 [forwarded-port-write]=18000 [bar-read]=60)
# Xen 4.17's HVM guest on the same machine.
declare -A xen=([msix-mask]=23734 [msix-unmask]=23734 [msix-read]=18717 [port-read]=47800 [port-read-device]=47800 [ecam-read]=47800
    [ecam-read-device]=47800 [forwarded-write]=54100 [forwarded-port-write]=54100 [bar-read]=5)
# Percent that recording adds to each of these.
recorded='msix-mask msix-unmask msix-read port-read port-read-device ecam-read ecam-read-device handled-write forwarded-write-again
    forwarded-write forwarded-port-write'

# What the other backend needs for the same.
svm=
if full_form && [ "$test_machine" = intel ]; then
    test_machine=qemu
    pci_guest_costs
    is "$status" 0 'so does the machine with SVM'
    svm=$out test_machine=intel
fi
pci_guest_costs
is "$status" 0 'machine that counts instructions runs the guest'
value() { awk -v n="$1" '$1 == n { print $2; exit }' <<<"$out"; }
names='msix-mask msix-unmask msix-read port-read port-read-device ecam-read ecam-read-device handled-write forwarded-write-again
    forwarded-write forwarded-port-write bar-read'
note "$(printf '%-22s %8s %8s %8s %8s' access silent recorded limit Xen)"
for name in $names; do
    note "$(printf '%-22s %8s %8s %8s %8s' $name "$(value silent-$name)" "$(value recorded-$name)" "${limit[$name]:--}" "${xen[$name]:--}")"
done
for name in $names; do [ -z "${limit[$name]:-}" ] || at_most "$(value silent-$name)" "${limit[$name]}" "instructions of $name"; done
for name in ${svm:+$names}; do
    at_most "$(value silent-$name)" "$(awk -v n="silent-$name" '$1 == n { print int($2 * 1.3); exit }' <<<"$svm")" \
        "instructions of $name, 1.3 times those on SVM"
done
# The register was read 61 times between the two counts.
is "$(value bar-traps)" 0 'reading a register in a BAR does not trap'
for name in $recorded; do
    at_most "$(awk -v s="$(value silent-$name)" -v r="$(value recorded-$name)" 'BEGIN { if (s > 0) printf "%.1f", (r - s) * 100 / s }')" \
        10 "percent that recording adds to $name"
done
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# The image's size, and the time to user land beside the same kernel's without a hypervisor. Wall time is printed and
# judged by people: on a busy machine it proves nothing, so it fails no test.
. "$(dirname -- "$0")/lib.sh"

[ "$hypervisor" != none ] || skip_all 'needs a hypervisor'
if [ "$hypervisor" != xen ]; then
    image=${hypervisor:-$build_dir/xen-lite/xen-lite}
    # What a loader puts into memory from the file; debugging information stays in the file.
    loaded=0
    for size in $(readelf -lW "$image" | awk '$1 == "LOAD" { print $5 }'); do loaded=$((loaded + size)); done
    at_most $loaded $((512 * 1024)) 'loaded bytes of the image'
    header=$(head -c 8192 "$image" | od -An -v -tx1 | tr -d ' \n')
    like "$header" 02b0ad1b 'the image has a multiboot 1 header in its first 8 KiB'
fi

rounds=1
long_form && rounds=3
ours=$hypervisor
best_native= best_ours=
for ((i = 0; i < rounds; i++)); do
    hypervisor=none vm_timeout=60
    vm -- true
    best_native=$(printf '%s\n' $best_native $user_land | sort -n | head -n 1)
    hypervisor=$ours
    vm -- true
    best_ours=$(printf '%s\n' $best_ours $user_land | sort -n | head -n 1)
done
ok 'user land was reached on the hypervisor' test -n "$best_ours"
note "seconds from the emulator's start to user land: ${best_native:-?} natively, ${best_ours:-?} on $hypervisor_name," \
    "ratio $(awk -v a="${best_ours:-0}" -v b="${best_native:-0}" 'BEGIN { if (b > 0) printf "%.2f", a / b; else print "unknown" }') (the bar: 1.60)"
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# What a device's DMA can reach: the control domain's memory, and never the hypervisor's. The device is QEMU's "edu",
# whose DMA engine does what it is told. The machine's memory is a file here, so that what the hypervisor's frames hold
# is seen from outside.
. "$(dirname -- "$0")/lib.sh"

[ "$hypervisor" != none ] || skip_all 'needs a hypervisor'
compile "$tests_dir/edu-dma.c" "$tmp/edu-dma"

# A frame of the hypervisor's: the second page of its first loaded segment, where its code is. Debian's Xen moves itself;
# with it the test takes an address that its control domain does not own.
if [ "$hypervisor" = xen ]; then
    target=$((0x60000000))
else
    image=${hypervisor:-$build_dir/xen-lite/xen-lite}
    read -r file_offset target < <(readelf -lW "$image" | awk '$1 == "LOAD" { print $2, $4; exit }')
    file_offset=$((file_offset + 4096)) target=$((target + 4096))
fi
page_hex=$(printf '%x' "$target")
# 2 GiB lie in one piece from address 0 on, so that an address is an offset in the file.
memory_file=$tmp/memory

vm --memory 2G --add "$tmp/edu-dma:/bin/edu-dma" --device edu,addr=5,dma_mask=0xffffffffff \
    --qemu-arg -object --qemu-arg "memory-backend-file,id=ram,size=2G,mem-path=$memory_file,share=on" \
    --qemu-arg -machine --qemu-arg memory-backend=ram -- \
    "edu-dma 0000:00:05.0; edu-dma 0000:00:05.0 write $target; edu-dma 0000:00:05.0 read $target; edu-dma 0000:00:05.0; sleep 1"
is "$status" 0 'machine with an edu device runs the program'
note "$out"
like "$(head -n 1 <<<"$out")" '^round trip .* same$' 'DMA arrives inside the memory of the control domain'
like "$out" "^write 0x$page_hex done" "DMA write to 0x$page_hex (not the control domain's) was tried"
found=$(dd if="$memory_file" bs=4096 skip=$((target / 4096)) count=1 2>/dev/null | grep -a -c EDU-DMA-WAS-HERE)
is "$found" 0 'memory there does not hold what the device wrote'
if [ "$hypervisor" != xen ]; then
    ok 'memory there is the hypervisor code of the image file, unchanged' cmp \
        <(dd if="$memory_file" bs=4096 skip=$((target / 4096)) count=1 2>/dev/null) \
        <(tail -c +$((file_offset + 1)) "$image" | head -c 4096)
fi
read_back=$(sed -n "s/^read 0x$page_hex //p" <<<"$out")
truth=$(dd if="$memory_file" bs=4096 skip=$((target / 4096)) count=1 2>/dev/null | head -c 64 | od -An -v -tx1 | tr -d ' \n')
if [ "$hypervisor" = xen ]; then
    ok 'DMA read there was tried' test -n "$read_back"
else
    ok 'DMA read there gives nothing of what is there' test -n "$read_back" -a "$read_back" != "$truth"
fi
log=$(tr -d '\r' <"$serial")
faults=$(grep -E '00:05\.0' <<<"$log" | grep -i "$page_hex")
like "$faults" . "the fault is logged with device 00:05.0 and address 0x$page_hex"
note "$(head -n 3 <<<"$faults")"
like "$(tail -n 1 <<<"$out")" '^round trip .* same$' 'DMA inside still works afterwards'
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# What guests do to the hypervisor and to each other, and what is left of them: random hypercalls, ends at random moments,
# all sizes; and the ways to start and end one that guest.t does not go.
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || skip_all "checks xen-lite's own bounds and answers"
need_tools
image=$("$src_dir/scripts/build-image")
gcc -std=gnu11 -O1 -Wall -Wextra -Werror -ffreestanding -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only \
    -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -static -nostdlib -Wl,--build-id=none \
    -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-Ttext-segment=0x1000000 -Wl,-e,start32 -Wl,--no-warn-rwx-segments \
    -o "$tmp/fuzz" "$tests_dir/fuzz-guest.c" "$tests_dir/fuzz-guest-entry.S" || skip_all 'needs libxen-dev'
# Kernels run these when the toolstack asks for an end; the guest's messages of warning and worse are said, too.
"$tests_dir/guest-initrd" "$tmp/initrd" '
mkdir -p /sbin
for what in poweroff reboot; do printf "#!/bin/sh\nexec /bin/%s -f\n" $what >/sbin/$what; chmod +x /sbin/$what; done
dmesg -r | grep -E "^<[0-4]>" | sed "s/^<.>\[[^]]*\]/KMSG/"
case " $(cat /proc/cmdline) " in
*" do=tick "*) n=0; while :; do n=$((n + 1)); echo "TICK $n"; sleep 1; done ;;
esac' || skip_all 'cannot make an initrd for the guest'

# What the same kernel with the same configuration says as a PVH guest of Xen 4.17, at warning level and above.
# Then a continuation of the line that counts the processors, which printk does not tell from a warning, and what a slow host makes of time.
kernel_warnings_on_xen='No IOAPIC entries present|setting ELCR to|spinlock event irq|Grant table initialized|No config space access function|System does not support PCI|KMSG  #[0-9]+$|hrtimer: interrupt took'

calls=10000 cycles=5 kills=3 patience=60 vm_timeout=600
! long_form || { calls=1000000; cycles=200 kills=50 patience=1000 vm_timeout=3000; }

cat >"$tmp/guest.cfg" <<'CFG'
name = "g"
type = "pvh"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/guest.initrd"
memory = 192
vcpus = 2
tsc_mode = "native"
cmdline = "console=hvc0 panic=1 do=tick"
on_reboot = "destroy"
CFG

cat >"$tmp/script" <<SCRIPT
calls=$calls cycles=$cycles kills=$kills patience=$patience seed=${RANDOM}
SCRIPT
cat >>"$tmp/script" <<'SCRIPT'
cd /root
log=/var/log/xen-lite
within() { local left=$1; shift; until "$@" >/dev/null 2>&1; do left=$((left - 1)); [ "$left" -gt 0 ] || return 1; sleep 1; done; }
free_kb() { xl-lite info --json | sed -n 's/.*"free_memory_kb": *\([0-9]*\).*/\1/p'; }
ports() { lsevtchn 0 | wc -l; }
guests() { echo $(($(xl-lite list | wc -l) - 2)); }
state() { echo "free=$(free_kb) guests=$(guests) ports=$(ports)"; }
as_before() { [ "$(state)" = "$before" ]; }
said() { grep -q -a "$2" "$log/$1.log"; }
ticks() { grep -a -c TICK "$log/$1.log"; }
up() { cut -d ' ' -f 1 /proc/uptime; }
xl-dmd >/var/log/dmd.log 2>&1 &
within 60 test -S /run/xen-lite/control.sock
# What the control domain allocates once and keeps.
xl-lite create -q guest.cfg 'name="first"'; within 90 said first TICK; xl-lite destroy first; sleep 2
before=$(state); echo "BEFORE $before"

for i in $(seq $cycles); do xl-lite create -q -p guest.cfg "name=\"c$i\"" memory=128 && xl-lite destroy "c$i" || echo "CYCLE $i failed"; done
within 60 as_before; echo "CYCLES $? $(state)"
for i in $(seq $kills); do
    delay=$(awk -v s=$((seed + i)) 'BEGIN { srand(s); printf "%d", rand() * 1500000 }')
    xl-lite create -q guest.cfg "name=\"k$i\"" memory=128 >/dev/null 2>&1 &
    builder=$!
    usleep $delay
    # The toolstack dies while it builds, or the guest while it starts.
    [ $((i % 2)) -eq 0 ] || kill -9 $builder 2>/dev/null
    [ $((i % 2)) -eq 1 ] || wait $builder 2>/dev/null
    xl-lite destroy "k$i" 2>/dev/null
    wait $builder 2>/dev/null
done
within 10 as_before || for d in $(xl-lite list | awk 'NR > 2 { print $2 }'); do xl-lite destroy $d; done
within 60 as_before; echo "KILLS $? $(state)"

xl-lite create -q guest.cfg 'name="beside"'; within 90 said beside TICK
xl-lite create -q guest.cfg 'name="fuzz"' 'kernel="/boot/fuzz"' 'ramdisk=""' vcpus=1 memory=128 "cmdline=\"calls=$calls seed=$seed\"" && within $patience said fuzz 'FUZZ-DONE\|FUZZ-EXCEPTION'; echo "FUZZ $?"
echo "SEED $seed"; grep -a FUZZ $log/fuzz.log | tr -d '\r'
t=$(ticks beside); within 120 sh -c "[ \$(grep -a -c TICK $log/beside.log) -gt $((t + 2)) ]"; echo "BESIDE $?"
within 60 sh -c '! xl-lite list fuzz'; xl-lite destroy beside
within 60 as_before; echo "AFTER-FUZZ $? $(state)"

# Console from the first line on; in the foreground to the end; without a RAM disk; as many as 8 vCPUs, as much as 2 GiB.
xl-lite create -q -c guest.cfg 'name="con"' </dev/null >/tmp/con 2>&1 & console=$!
within 60 grep -q TICK /tmp/con; kill $console; wait $console; tr -d '\r' </tmp/con | sed 's/^/CON /'; echo # killed in the middle of a line, perhaps
echo "CON-STATUS $(xl-lite list con | wc -l)"; xl-lite destroy con
timeout 120 xl-lite create -q -F guest.cfg 'name="fore"' 'cmdline="console=hvc0 do=nothing"' >/tmp/fore 2>&1; echo "FORE $? $(guests)"
xl-lite create -q guest.cfg 'name="bare"' 'ramdisk=""' 'cmdline="console=hvc0 earlyprintk=xen panic=1"'; within 90 said bare 'Unable to mount root'; echo "BARE $?"; within 60 sh -c '! xl-lite list bare'; echo "EARLY $(xl-lite dmesg | grep -c '^.*(d[0-9]*) .*Linux version 6')"
xl-lite create -q guest.cfg 'name="big"' vcpus=8 memory=2048 'cmdline="console=hvc0 do=nothing"'; echo "BIG $?"; within 150 said big GUEST-DONE; grep -a GUEST-UP $log/big.log || tail -n 5 $log/big.log
within 60 as_before; echo "SIZES $? $(state)"

# With a store: guests are asked to end, to restart, to give memory back.
mkdir -p /var/log/xen /var/lib/xen /run/xen /var/lock; start-xenstored >/dev/null
xl-lite create -q guest.cfg 'name="asked"'; within 90 said asked TICK
xl-lite mem-set asked 150; within 120 sh -c '[ "$(xl-lite list asked | tail -n 1 | awk "{ print \$3 }")" -le 152 ]'; echo "MEM-SET $? $(xl-lite list asked | tail -n 1)"
xl-lite shutdown asked; within 120 sh -c '! xl-lite list asked'; echo "SHUTDOWN $?"
xl-lite create -q guest.cfg 'name="asked"' 'on_reboot="restart"'; within 90 said asked TICK
first=$(xl-lite domid asked); xl-lite reboot asked; within 90 sh -c "d=\$(xl-lite domid asked) && [ \$d != $first ]"; echo "REBOOT $?"
xl-lite destroy asked
grep -a -h KMSG $log/*.log | tr -d '\r' | sort -u
SCRIPT

vm --cpus 2 --memory 4G --script "$tmp/script" --add "$image/vmlinuz:/boot/vmlinuz" \
    --add "$tmp/initrd:/boot/guest.initrd" --add "$tmp/guest.cfg:/root/guest.cfg" --add "$tmp/fuzz:/boot/fuzz" \
    --add "$(realpath "$(gcc -print-file-name=libgcc_s.so.1)"):/lib/x86_64-linux-gnu/libgcc_s.so.1"
is "$status" 0 'the script runs to its end'
note "$(grep -E '^(BEFORE|CYCLES|KILLS|SEED|FUZZ|AFTER-FUZZ|SIZES)' <<<"$out")"
unlike "$out" '^CYCLE ' "$cycles guests can be made and destroyed"
like "$out" '^CYCLES 0 ' 'and leave free memory, domains and event channels as before'
like "$out" '^KILLS 0 ' "so do $kills whose toolstack or which themselves were killed at a random moment"
like "$out" '^FUZZ-DONE calls=[0-9]+ good=[0-9]+ let-in=0$' "$calls random hypercalls of a guest; those of the control domain all refused"
like "$out" '^BESIDE 0' 'the guest beside it goes on'
like "$out" '^AFTER-FUZZ 0 ' 'and nothing is left of it'
like "$out" '^CON .*Linux version' 'create -c shows the first line'
like "$out" '^CON TICK' 'and what follows'
like "$out" '^CON-STATUS 2' 'whose end leaves the guest running'
like "$out" '^FORE 0 0' 'create -F lasts until the guest has gone'
like "$out" '^BARE 0' 'a guest without a RAM disk starts its kernel'
like "$out" '^EARLY 1' 'its first words, before it has a console, are in the log of the hypervisor'
like "$out" '^GUEST-UP cpus=8 memory=(19|20)[0-9][0-9]' '8 vCPUs and 2 GiB'
like "$out" '^SIZES 0 ' 'they leave nothing behind'
like "$out" '^MEM-SET 0' 'mem-set: the guest gives memory back'
like "$out" '^SHUTDOWN 0' 'shutdown: the guest ends as it is asked'
like "$out" '^REBOOT 0' 'reboot: it starts again'
# Of the same kernel and configuration as a PVH guest of Xen 4.17.
unlike "$(grep '^KMSG' <<<"$out" | grep -v -E "$kernel_warnings_on_xen")" '^KMSG' 'no warning of the guests'"'"' kernels that Xen'"'"'s have not'
unlike "$(cat "$serial")" "$kernel_complaints" 'no complaint of the control domain'"'"'s kernel'
done_testing

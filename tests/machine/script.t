#!/bin/bash
# SPDX-License-Identifier: MIT
# scripts/vm keeps its word: output, exit status, time-out, an end that nobody asked for, files and scripts.
. "$(dirname -- "$0")/lib.sh"

vm -- sh -c 'printf "a b\n"; echo quiet >&2; exit 42'
is "$status" 42 'exit status is that of the command'
is "$out" 'a b' 'standard output is that of the command, alone'
like "$err" '^quiet$' 'standard error goes to standard error'

random_file "$tmp/blob" 1
cat >"$tmp/script" <<'SCRIPT'
cat /data/blob
echo "$1|$2" >&2
SCRIPT
vm --add "$tmp/blob:/data/blob" --script "$tmp/script" -- 'one word' two
is "$(md5_of "$tmp/out")" "$(md5_of "$tmp/blob")" 'a file added and written out is the same file'
like "$err" '^one word\|two$' 'a script gets its arguments'

vm_timeout=20
vm -- sleep 600
is "$status" 124 'time-out is 124'
like "$err" 'end of the serial log' 'time-out shows the end of the serial log'
vm_timeout=

vm -- 'sleep 1; echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 600'
is "$status" 70 'a kernel that panics is 70'
like "$err" 'sysrq: Trigger a crash|Kernel panic' 'and its last words are shown'

vm --linger 30 -- true
machine_time=$(sed -n 's/^vm: machine ran for \([0-9]*\).*/\1/p' <<<"$err")
ok "the control domain powers the machine off (after ${machine_time:-?} s, user land at ${user_land:-?} s)" \
    test "${machine_time:-99}" -lt "$((${user_land%.*} + 15))"

"$src_dir/scripts/vm" --machine vax -- true 2>"$tmp/err"
is "$?" 2 'a machine that is not there is refused with 2'
# Nested KVM: what this host has does not matter, it is made of files.
kvm="$tmp/host/sys/module/kvm_intel/parameters"
mkdir -p "$tmp/host/dev" "$tmp/host/proc" "$kvm"
chosen() { XEN_LITE_KVM_ROOT="$tmp/host" "$src_dir/scripts/vm" --machine "$1" --print-command -- true 2>"$tmp/err"; }
lacks() { chosen kvm >/dev/null; is "$?" 2 "KVM without $2 is refused"; like "$(cat "$tmp/err")" "$1" 'with the reason'; }
lacks 'no /dev/kvm' /dev/kvm
touch "$tmp/host/dev/kvm"
echo 'flags : fpu sse2' >"$tmp/host/proc/cpuinfo"
lacks 'no vmx or svm' 'virtualisation of the CPU'
echo 'flags : fpu vmx sse2' >"$tmp/host/proc/cpuinfo"
echo N >"$kvm/nested"
lacks 'kvm_intel nested=1' nesting
like "$(chosen auto)" '-accel.*tcg' 'auto emulates then'
echo Y >"$kvm/nested"
like "$(chosen auto)" "'-accel' 'kvm' '-cpu' 'host'" 'where it nests, auto takes it'
like "$(chosen kvm)" 'intel-iommu,intremap=on,.*caching-mode=on' 'with an IOMMU'

# Debian's Bochs is mended as a copy. What of it concerns that is enough here.
bochs() { PATH="$tmp:$PATH" XEN_LITE_CACHE="$tmp/cache" "$src_dir/scripts/lib/bochs" 2>"$tmp/err"; }
code=80bf60920000004889fb740df6876c930000010f85fb00000080bbc18f0000008b83b093000074174889dff6c4020f85d0000000e8e31704008b83b0930000
perl -e "print 'before', pack('H*', '$code'), '.' x 227, pack('H*', 'e9f2feffff'), 'after'" >"$tmp/bochs-bin"
chmod +x "$tmp/bochs-bin"
mended=$(bochs)
like "$mended" "^$tmp/cache/" 'the known Bochs is mended, in the cache directory'
ok 'and can be run' test -x "$mended"
is "$(head -c 6 "$mended") $(tail -c 5 "$mended")" 'before after' 'what surrounds the function stays'
is "$(wc -c <"$mended")" 306 'nothing moves'
is "$(cmp -l "$mended" "$tmp/bochs-bin" | wc -l)" 58 'the function changes'
is "$(bochs)" "$mended" 'a second time there is nothing to do'
echo unknown >"$tmp/bochs-bin"
is "$(bochs)" "$tmp/bochs-bin" 'an unknown one is used as it is'
like "$(cat "$tmp/err")" 'apicv=off' 'with a word of what to expect'
is "$(find "$tmp/cache/bochs" -type f | wc -l)" 1 'and leaves nothing behind'

"$src_dir/scripts/vm" --cpus many -- true 2>"$tmp/err"
is "$?" 2 'a wrong argument is refused with 2'
done_testing

#!/bin/bash
# SPDX-License-Identifier: MIT
# Whether every invalidation of cached translations is there and is missed where it is not. The quick form runs guests that
# would notice (stale.c). The long form also builds the hypervisor and the unit tests without one kind of flush after the
# other (xen-lite/lib/leave_out.h): each time one of the tests named here must fail. On the machines 'intel' and 'amd' the emulator
# keeps what a processor may keep.
. "$(dirname -- "$0")/lib.sh"

[ -z "$hypervisor" ] || skip_all "looks for xen-lite's own flushes"
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -D__XEN_TOOLS__ -o "$tmp/stale" "$tests_dir/stale.c" "$tests_dir/stale-guest.S" \
    -lxenctrl -lxenforeignmemory || skip_all 'needs libxen-dev'

stale() { vm --cpus 2 --memory 2G --add "$tmp/stale:/bin/stale" "$@" -- stale; }

stale
is "$status" 0 'guests whose translations change run'
ok 'there were results' test "$(grep -c '^ok ' <<<"$out")" -ge 12
unlike "$out" '^not ok' 'no guest runs on a translation that should be forgotten'
long_form || done_testing

# FLUSH_* without FLUSH_, and the unit test that sees it missing, or the machines on which guests do.
flushes()
{
    cat <<'LIST'
P2M_START test_vmx
P2M_CHANGE intel,amd
P2M_FIRST intel
P2M_TAGS amd
VCPU_START test_vmx
VCPU_MOVE intel,amd
VCPU_MODE intel
IOTLB_START test_vtd
IOTLB_RANGE test_vtd_p2m
IOTLB_ATTACH test_vtd
IOTLB_DETACH test_vtd
CONTEXT_START test_vtd
CONTEXT_ATTACH test_vtd
CONTEXT_DETACH test_vtd
INTERRUPT_START test_vtd_irq
INTERRUPT_CHANGE test_vtd_irq
LIST
}

is "$(flushes | sed 's/^\([A-Z_0-9]*\) .*/FLUSH_\1/')" "$(grep -o '^ *FLUSH_[A-Z_0-9]*' "$src_dir/xen-lite/lib/leave_out.h" | tr -d ' ')" \
    'all kinds of flushes are here, in their order'

mkdir "$tmp/build"
mapfile -t users < <(cd "$src_dir" && grep -rl 'lib/leave_out.h' xen-lite --include='*.c')
mapfile -t units < <(flushes | awk '$2 ~ /^test_/ { print "tests/unit/" $2 }' | sort -u)

# build NUMBER: the hypervisor and the unit tests without this flush; 0: with all.
build()
{
    local f
    cd "$tmp/build" || return
    for f in "${users[@]}"; do
        f=$(basename "$f" .c)
        find . \( -name "$f.o" -o -name "*-$f.o" \) -delete # unit tests', hypervisor's
    done
    make -j2 CPPFLAGS="-DXL_LEAVE_OUT=$1" xen-lite/xen-lite "${units[@]}"
}

ok 'a tree to build without flushes in' eval '(cd "$tmp/build" && "$src_dir/configure")'
ok 'builds' build 0
for test in "${units[@]}"; do ok "$(basename "$test") passes with all flushes" "$tmp/build/$test"; done
number=0
note "$(printf '%-20s %-14s %s' flush 'missed by' what)"
while read -r -u 3 flush test; do
    number=$((number + 1))
    case $test in
    test_*) who=$test ;;
    *) [[ ,$test, == *",$test_machine,"* ]] || continue; who='a guest' ;;
    esac
    build "$number" >"$tmp/make.log" 2>&1 || { diag "$(tail "$tmp/make.log")"; result 1 "builds without $flush"; continue; }
    if [ "$who" = "a guest" ]; then
        stale --hypervisor "$tmp/build/xen-lite/xen-lite"
        missed=$(grep -m 1 '^not ok' <<<"$out" | sed 's/^not ok //')
        [ "$status" -ne 70 ] || missed=${missed:-the machine stops}
    else
        missed=$("$tmp/build/tests/unit/$test" 2>&1 | sed -n 's/^\[  FAILED  \] //p' | grep -m 1 '^[a-z]')
    fi
    note "$(printf '%-20s %-14s %s' "$flush" "$test" "$missed")"
    ok "without $flush $who fails" test -n "$missed"
done 3< <(flushes)
done_testing

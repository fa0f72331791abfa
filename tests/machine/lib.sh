# SPDX-License-Identifier: MIT
# What the machine tests share: TAP output, running things in the emulated machine, small compilations. Sourced.
#
# Environment: XEN_LITE_TEST_HYPERVISOR  runs the tests on this instead of xen-lite ('xen', 'none' or a file)
#              XEN_LITE_TEST_MACHINE     scripts/vm's --machine (auto)
#              XEN_LITE_TEST_OPTIONS     more options for scripts/vm, in words
#              XEN_LITE_TEST_SHAPE       the same, but these win over the test's own: '--cpus 4 --aw-bits 48'
#              XEN_LITE_FULL             if set, those run, too, that the quick form has no time for
#              XEN_LITE_LONG             if set, all run, in their long form
#              XEN_LITE_BUILD            the build directory

tests_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
src_dir=$(cd -- "$tests_dir/../.." && pwd)
build_dir=${XEN_LITE_BUILD:-$src_dir/build}
hypervisor=${XEN_LITE_TEST_HYPERVISOR:-}
hypervisor_name=${hypervisor:-xen-lite}
test_machine=${XEN_LITE_TEST_MACHINE:-auto}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/xen-lite-test.XXXXXX")
trap '[ -n "${XEN_LITE_KEEP:-}" ] || rm -rf "$tmp"' EXIT # XEN_LITE_KEEP: look at what a test left

tests_run=0
tests_failed=0

long_form() { [ -n "${XEN_LITE_LONG:-}" ]; }
full_form() { [ -n "${XEN_LITE_FULL:-}${XEN_LITE_LONG:-}" ]; }

diag() { sed 's/^/# /' >&2 <<<"$*"; }

# Diagnostic text that belongs to the result: shown by prove -v.
note() { sed 's/^/# /' <<<"$*"; }

skip_all()
{
    printf '1..0 # SKIP %s\n' "$*"
    exit 0
}

# result STATUS NAME
result()
{
    tests_run=$((tests_run + 1))
    if [ "$1" -eq 0 ]; then
        printf 'ok %d - %s\n' "$tests_run" "$2"
    else
        tests_failed=$((tests_failed + 1))
        printf 'not ok %d - %s\n' "$tests_run" "$2"
    fi
}

# ok NAME COMMAND...: passes when the command succeeds.
ok()
{
    local name=$1 status=0
    shift
    "$@" >"$tmp/ok.out" 2>&1 || status=$?
    result "$status" "$name"
    [ "$status" -eq 0 ] || diag "failed: $*"$'\n'"$(head -c 2000 "$tmp/ok.out")"
}

is()
{
    if [ "$1" = "$2" ]; then result 0 "$3"; else
        result 1 "$3"
        diag "     got: '$1'"$'\n'"expected: '$2'"
    fi
}

# like TEXT REGEX NAME
like()
{
    if grep -q -E -- "$2" <<<"$1"; then result 0 "$3"; else
        result 1 "$3"
        diag "text:"$'\n'"$(tail -n 12 <<<"$1" | cut -c 1-160)"$'\n'"does not match $2"
    fi
}

unlike()
{
    if ! grep -q -E -- "$2" <<<"$1"; then result 0 "$3"; else
        result 1 "$3"
        diag "matches $2:"$'\n'"$(grep -E -- "$2" <<<"$1" | head -n 10)"
    fi
}

# at_most VALUE LIMIT NAME, for numbers with or without a fraction.
at_most()
{
    if awk -v v="$1" -v l="$2" 'BEGIN { exit !(v != "" && v + 0 <= l + 0) }'; then
        result 0 "$3: $1, at most $2"
    else
        result 1 "$3: '$1', at most $2"
    fi
}

done_testing()
{
    printf '1..%d\n' "$tests_run"
    [ "$tests_failed" -eq 0 ]
    exit
}

# vm OPTION... -- COMMAND...: runs the command in the machine. Leaves $out (its output), $err, $status, and the serial
# console's text in the file $serial.
vm()
{
    local patience=${vm_timeout:-120} cpus=$(cpus_or 1)
    # CPUs that are more than the builder's take turns.
    [ "$cpus" -le "$(nproc)" ] || patience=$((patience * cpus / $(nproc)))
    local options=(--timeout "$patience" --machine "$test_machine" ${XEN_LITE_TEST_OPTIONS:-}) own=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do own+=("$1"); shift; done
    [ -z "$hypervisor" ] || options+=(--hypervisor "$hypervisor")
    # Xen 4.17 gives a PVH control domain no devices behind a unit of three levels ("setup ... failed (-12)").
    [ "$hypervisor" != xen ] || options+=(--aw-bits 48)
    serial=$tmp/serial.log
    rm -f "$serial"
    status=0
    "$src_dir/scripts/vm" "${options[@]}" --times --log "$serial" "${own[@]}" ${XEN_LITE_TEST_SHAPE:-} "$@" >"$tmp/out" 2>"$tmp/err" || status=$?
    out=$(tr -d '\0' <"$tmp/out")
    err=$(tr -d '\0' <"$tmp/err")
    user_land=$(sed -n 's/^vm: user land after \([0-9.]*\) s.*/\1/p' "$tmp/err")
    [ "$status" -lt 64 ] || diag "scripts/vm ${own[*]} $* ended with $status:"$'\n'"$(tail -n 25 "$tmp/err")"
}

# cpus_or N: how many CPUs vm gives the machine, if N were asked for.
cpus_or() { [[ " ${XEN_LITE_TEST_SHAPE:-} " =~ " --cpus "([0-9]+) ]] && echo "${BASH_REMATCH[1]}" || echo "$1"; }

# What no boot may show.
kernel_complaints='BUG:|WARNING: CPU|Call Trace|Oops|soft lockup|rcu.*stall|unchecked MSR access|nobody cared'

# compile SOURCE OUTPUT: a static program for the control domain.
compile()
{
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -o "$2" "$1" || skip_all "no C compiler with static libraries"
}

# A file of SIZE MiB that no two runs share.
random_file() { head -c "$(($2 * 1048576))" /dev/urandom >"$1"; }

md5_of() { md5sum "$1" | cut -d ' ' -f 1; }

# For tests of guests: ends the script unless what makes them is built.
need_tools()
{
    [ -x "$build_dir/tools/xl-lite" ] || skip_all 'xl-lite is not built (libxen-dev, libjson-c-dev)'
    [ -x "$build_dir/dm/xl-dmd" ] || skip_all 'xl-dmd is not built (libevent-dev)'
}

# guest_cfg NAME CMDLINE: a guest's configuration, with the kernel of the image and an initrd of tests/machine/guest-initrd.
guest_cfg()
{
    cat <<CFG
name = "$1"
type = "pvh"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/guest.initrd"
memory = 256
vcpus = 1
tsc_mode = "native"
cmdline = "$2"
CFG
}

# The beginning of a script that runs in the machine: what it writes is in sections, which part() finds.
script_helpers()
{
    cat <<'SCRIPT'
section() { echo "== $*"; }
run() { section "$*"; timeout 150 "$@" 2>&1; echo "== status $?"; }
# within HALF-SECONDS COMMAND: until it succeeds.
within()
{
    local left=$1
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        usleep 500000
    done
}
# say GUEST WORD: on its console.
say() { printf '%s\n' "$2" | timeout 2 xl-lite console "$1" >/dev/null 2>&1; }
# bytes FUNCTION OFFSET NUMBER and put FUNCTION OFFSET BYTES: its configuration space, as lspci and setpci do.
bytes() { od -A n -t x1 -j $(($2)) -N "$3" "/sys/bus/pci/devices/$1/config" | tr -d ' \n'; }
put() { printf "$3" | dd of="/sys/bus/pci/devices/$1/config" bs=1 seek=$(($2)) conv=notrunc 2>/dev/null; }
# cap FUNCTION ID: where the capability is, 0 if there is none.
cap()
{
    local at=$((0x$(bytes "$1" 0x34 1)))
    while [ "$at" != 0 ] && [ $((0x$(bytes "$1" $at 1))) != $(($2)) ]; do at=$((0x$(bytes "$1" $((at + 1)) 1))); done
    echo "$at"
}
SCRIPT
}

# part NAME [N]: the nth section of that name, up to the next one.
part() { awk -v head="== $1" -v n="${2:-1}" '$0 == head { if (++seen == n) { on = 1; next } } /^== / && on { print; exit } on' <<<"$out"; }
# works SECTION TEST [N]: its command succeeded.
works() { like "$(part "$1" "${3:-1}")" '^== status 0' "$2"; }

# ---- the guest of pci-guest.c, and its watcher ----

# Compiles both; the options that put them into the machine, with an NVMe disk at 00:05.0, are then in pci_guest_vm.
need_pci_guest()
{
    [ -z "$hypervisor" ] || skip_all 'needs xen-lite'
    need_tools
    gcc -std=gnu11 -O1 -Wall -Wextra -Werror -DPCI_GUEST -ffreestanding -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only \
        -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -static -nostdlib -Wl,--build-id=none \
        -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-Ttext-segment=0x1000000 -Wl,-e,start32 -Wl,--no-warn-rwx-segments \
        -o "$tmp/pci-guest" "$tests_dir"/pci-guest{,-disk,-cost,-hostile}.c "$tests_dir/pci-guest-entry.S" ||
        skip_all 'no C compiler for a guest'
    gcc -std=gnu11 -O2 -Wall -Wextra -Werror -D__XEN_TOOLS__ -I"$src_dir" -I"$src_dir/xen-lite/include" -o "$tmp/vpci-watch" \
        "$tests_dir/vpci-watch.c" "$src_dir"/libs/xenlite{,_pci,_names}.c -lxenctrl -lxencall -lxenforeignmemory ||
        skip_all 'needs libxen-dev'
    pci_guest_vm=(--device 'nvme,drive=disk,serial=one,addr=5' --qemu-arg -drive
        --qemu-arg "file=$tmp/disk,format=raw,if=none,id=disk" --add "$tmp/pci-guest:/root/pci-guest"
        --add "$tmp/guest.cfg:/root/guest.cfg" --add "$tmp/vpci-watch:/usr/bin/vpci-watch")
}

# A disk of 1 MiB whose blocks begin with their numbers, from 1.
pci_guest_disk() { perl -e 'print pack("V", $_) . "\0" x 508 for 1 .. 2048' >"$1"; }

# pci_guest_config VCPUS DEVICES
pci_guest_config()
{
    cat <<CFG
name = "g"
type = "pvh"
kernel = "/root/pci-guest"
memory = 128
vcpus = $1
tsc_mode = "native"
pci = [$2]
on_reboot = "destroy"
CFG
}

# pci_guest_costs [OPTION]...: what accesses of a guest's cost, in executed instructions; lines of $out are "silent-ACCESS NUMBER" while nobody
# listens to traps, "recorded-ACCESS NUMBER" while somebody does. Options are scripts/vm's.
pci_guest_costs()
{
    pci_guest_disk "$tmp/disk"
    pci_guest_config 1 '"0000:00:05.0"' >"$tmp/guest.cfg"
    cat >"$tmp/script" <<'SCRIPT'
xl-dmd
xl-lite pci-assignable-add 0000:00:05.0
xl-lite create -q guest.cfg 'cmdline="mode=1"'; echo "create $?"
vpci-watch $(xl-lite domid g) cost
SCRIPT
    vm_timeout=300
    vm --icount --kernel-args vm_drivers=off "${pci_guest_vm[@]}" --script "$tmp/script" "$@"
}

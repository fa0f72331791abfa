#!/bin/sh
# SPDX-License-Identifier: MIT
# Links the hypervisor with a table of its own function names in it, for backtraces. The table's size moves no code
# (it lies behind it), so two passes are enough: one to learn the addresses, one with the table.
# Called by make as a linker: link.sh SCRIPT -o OUT OBJECTS...; LD, NM and CC come in the environment.
set -eu
script=$1
shift
[ "$1" = -o ] || { echo "link.sh: usage: link.sh SCRIPT -o OUT OBJECTS..." >&2; exit 2; }
out=$2
shift 2
objects=
for o; do
    case $o in *.o | *.a) objects="$objects $o" ;; esac
done

# One record a function: 32-bit address, then a 32-bit offset into the names; ends with the end of the code.
table() {
    sort | awk '
        BEGIN { n = 0; print ".section .symtab_hv, \"a\"\n.balign 8\n.globl symtab_count, symtab_entries, symtab_names" }
        $2 ~ /^[tT]$/ && $3 !~ /^__/ { addr[n] = $1; name[n] = $3; n++ }
        END {
            print "symtab_count: .quad " n + 0 "\nsymtab_entries:"
            off = 0
            for (i = 0; i < n; i++) { print ".long 0x" substr(addr[i], 9) ", " off; off += length(name[i]) + 1 }
            print "symtab_names:"
            for (i = 0; i < n; i++) print ".asciz \"" name[i] "\""
            print ".section .note.GNU-stack, \"\", @progbits"
        }'
}

link() {
    # shellcheck disable=SC2086
    $LD -m elf_x86_64 -nostdlib -static -z noexecstack -z max-page-size=4096 --gc-sections --no-warn-rwx-segments \
        -T "$script" -o "$1" $objects "$2"
}

tmp=$out.link
trap 'rm -f "$tmp".*' EXIT
: | table >"$tmp.s"
$CC -c -o "$tmp.tab.o" "$tmp.s"
link "$tmp.1" "$tmp.tab.o"
$NM "$tmp.1" | table >"$tmp.s"
$CC -c -o "$tmp.tab.o" "$tmp.s"
link "$out" "$tmp.tab.o"

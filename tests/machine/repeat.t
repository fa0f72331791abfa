#!/bin/bash
# SPDX-License-Identifier: MIT
# Boots in a row, all of which must succeed (long form: 20, otherwise 3).
. "$(dirname -- "$0")/lib.sh"

boots=3
long_form && boots=20
for ((i = 1; i <= boots; i++)); do
    vm -- 'nproc; dmesg | grep -c -E "BUG:|Call Trace|soft lockup"; true'
    is "$status/$(tr '\n' ' ' <<<"$out")" '0/2 0 ' "boot $i of $boots (user land after ${user_land:-?} s)"
done
done_testing

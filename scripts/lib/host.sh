# SPDX-License-Identifier: MIT
# What every script here needs of the host: messages, the source and build directories, the cache directory,
# and Debian packages that must be there. Sourced, never run.

src_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
cache_dir=${XEN_LITE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xen-lite}
build_dir=${XEN_LITE_BUILD:-$src_dir/build}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 2; }

# need_packages PACKAGE:PROBE...
# PROBE is a command name, or an absolute path (a pattern is allowed) that the package provides. What is missing
# is installed when we are root, else named in the error message.
need_packages()
{
    local entry probe missing=()

    for entry in "$@"; do
        probe=${entry#*:}
        case $probe in
        /*) compgen -G "$probe" >/dev/null ;;
        *) command -v "$probe" >/dev/null || [ -x "/usr/sbin/$probe" ] || [ -x "/sbin/$probe" ] ;;
        esac || missing+=("${entry%%:*}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        die "missing Debian packages: ${missing[*]} (apt-get install ${missing[*]})"
    fi
    say "installing missing Debian packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt_lists_fresh
    apt-get install -y -q --no-install-recommends "${missing[@]}" >&2 ||
        { apt-get update -q >&2 && apt-get install -y -q --no-install-recommends "${missing[@]}" >&2; } ||
        die "cannot install: ${missing[*]}"
}

# Package lists are needed to install or download anything; a fresh machine or container may have none.
apt_lists_fresh()
{
    compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null && return 0
    [ "$(id -u)" -eq 0 ] || die "apt has no package lists: run 'apt-get update' as root"
    say "fetching apt's package lists"
    apt-get update -q >&2 || die "apt-get update failed"
}

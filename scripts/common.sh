# Shared by the scripts of this directory: source it, don't run it. Sets `root` and goes there.
# shellcheck shell=bash disable=SC2034 # what is set here is used there

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
invoked=$0 # as typed, for messages
cd "$root" || exit 1
export LC_ALL=C.UTF-8

# The tests and the plugin are for the distribution's Python, not for whatever PATH has.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
python=/usr/bin/python3
build=${MEMTRACE_BUILD:-$root/build}
jobs=$(nproc)

say() { printf '== %s\n' "$*"; }
die() {
    printf '%s: %s\n' "$(basename "$invoked")" "$*" >&2
    exit 1
}

# package_is_installed PACKAGE
package_is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# help_is_asked "$@"
help_is_asked() { [[ ${1-} = -h || ${1-} = --help ]]; }

# help_if_asked "$@" — print what the head of the script says, and exit.
help_if_asked() {
    help_is_asked "$@" || return 0
    sed -n '2,/^set /{/^#/s/^# \?//p}' "$root/scripts/$(basename "$invoked")"
    exit
}

# install_packages PACKAGE… — those that are missing, by apt; nothing to do, no root needed.
install_packages() {
    local missing=() package as_root=()
    command -v dpkg-query >/dev/null ||
        die "no dpkg here: this script installs on Debian and its kin only. Install what" \
            "these Debian packages hold, then build with cmake -B build -S . && cmake --build" \
            "build: $*"
    for package; do
        package_is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die "these packages are missing: ${missing[*]}; there is no sudo, so run as root:" \
                "apt-get install ${missing[*]}"
        as_root=(sudo)
        [ -t 0 ] || as_root=(sudo -n) # nobody is there to type a password
    fi
    say "installing ${missing[*]}"
    # Package lists may be absent (a fresh image) or old.
    "${as_root[@]}" apt-get update -q ||
        say "apt-get update failed: trying with the package lists that are there"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}" ||
        die "apt-get could not install: ${missing[*]}"
}

# What building and running takes.
build_packages=(gdb cmake gcc libc6-dev ninja-build python3 python3-dev)

# The package with CPython's own tests for the distribution's Python.
testsuite_package() {
    "$python" -c 'import sys; print("libpython%d.%d-testsuite" % sys.version_info[:2])'
}

# configure DIRECTORY [CMAKE OPTION…] — once; cmake looks again by itself when it must.
configure() {
    local directory=$1 generator=()
    shift
    # A directory that was configured before keeps its generator.
    [ -e "$directory/CMakeCache.txt" ] || generator=(-G Ninja)
    mkdir -p "$directory"
    if ! cmake -B "$directory" -S . "${generator[@]}" "$@" >"$directory/configure.log" 2>&1; then
        cat "$directory/configure.log"
        say "cmake could not configure $directory"
        return 1
    fi
    grep -E '^-- helper for' "$directory/configure.log" || true
}

# compile DIRECTORY [TARGET…]
compile() {
    local directory=$1
    shift
    cmake --build "$directory" -j "$jobs" ${1:+--target "$@"}
}

# git_files PATTERN… — files of the checkout, new ones too; also in a copy without .git.
git_files() {
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard -- "$@" | while IFS= read -r file; do
            if [ -e "$file" ]; then printf '%s\n' "$file"; fi
        done
    else
        local pattern paths=()
        for pattern; do
            paths+=(-o -path "./$pattern")
        done
        find . -path './build*' -prune -o -type f \( "${paths[@]:1}" \) -printf '%P\n' | sort
    fi
}

# shell_scripts — ours that begin with #!/bin/bash.
shell_scripts() {
    grep -lE --directories=skip '^#!/bin/bash' scripts/* .ci/*
    echo scripts/common.sh
}

# What apt knows of this machine's mirrors: "URI CODENAME", Debian's own first.
known_repositories() {
    # shellcheck disable=SC2016 # apt-get expands them
    apt-get indextargets --format '$(LABEL) $(REPO_URI) $(CODENAME) $(COMPONENT)' \
        'Created-By: Packages' |
        sed -n 's/^\(Debian\S*\) \(\S*\) \(\S*\) main$/\1 \2 \3/p' | sort -u
}

# The mirror that this machine takes Debian's own packages from; nothing if apt knows none.
debian_mirror() {
    known_repositories | sed -n 's/^Debian \(\S*\) .*/\1/p' | head -n 1
}

# copy_network_settings FOLDER — a system in it reaches the mirror as this machine does: proxy,
# checks, certificates, name service; not its credentials.
copy_network_settings() {
    local item
    mkdir -p "$1/etc/apt/apt.conf.d" "$1/etc/apt/trusted.gpg.d" "$1/etc/ssl/certs"
    for item in /etc/apt/apt.conf /etc/apt/apt.conf.d/* /etc/apt/trusted.gpg \
        /etc/apt/trusted.gpg.d/* /etc/ssl/certs/ca-certificates.crt /etc/resolv.conf \
        /etc/hosts; do
        [ ! -f "$item" ] || cp -L "$item" "$1$item"
    done
}

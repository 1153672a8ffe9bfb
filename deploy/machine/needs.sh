#!/bin/sh
# What building needs from the machine besides this tree: each missing tool is installed where we
# are root on a Debian, and otherwise named with the command that installs it. `dev fetch` does the
# same for Java, Maven, npm and Python, which only running and testing need.
set -u

missing=""
if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null 2>&1; then debian_root=yes; else debian_root=no; fi

install() {
    export DEBIAN_FRONTEND=noninteractive
    apt="apt-get -q -y -o DPkg::Lock::Timeout=300"
    $apt install --no-install-recommends "$1" >/dev/null 2>&1 && return 0
    $apt update >/dev/null 2>&1 && $apt install --no-install-recommends "$1" >/dev/null
}

# need NAME DEBIAN-PACKAGE HOMEBREW-FORMULA TEST…
need() {
    name=$1 package=$2 formula=$3
    shift 3
    "$@" >/dev/null 2>&1 && return 0
    if [ "$debian_root" = yes ]; then
        echo "$name is missing: installing $package with apt-get"
        install "$package" && "$@" >/dev/null 2>&1 && return 0
    fi
    if [ "$(uname)" = Darwin ]; then how="brew install $formula"; else how="sudo apt-get install $package"; fi
    echo "$name is missing: install it with: $how" >&2
    missing="$missing $name"
}

compiles() { echo "$1" | "${CC:-cc}" -E -x c - ; }

need "a C compiler" gcc gcc command -v "${CC:-cc}"
# librdkafka's configure asks for it, although only its C part is used.
need "a C++ compiler" g++ gcc command -v "${CXX:-c++}"
need "the C library's headers" libc6-dev gcc compiles '#include <stdio.h>'
need "make" make make command -v make
need "perl" perl perl command -v perl

if ! command -v cargo >/dev/null 2>&1; then
    echo "cargo is missing: install Rust with rustup (https://rustup.rs), then run this again" >&2
    missing="$missing cargo"
fi

[ -z "$missing" ]

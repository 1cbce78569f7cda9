# shellcheck shell=bash
# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Prepares a machine for the tests: bash tests/ci/bootstrap.sh [unit|lab|eda]
# Always: git, the virtual environment .build/venv, and the collection's tree in .build/ansible_collections.
# With `lab`: also the packages and the image of the lab. With `unit`: those packages, the vCenter simulator's, Chromium and kubectl.
# With `eda`: Java and the virtual environment .build/eda.
# Existing packages and environments are left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

die() {
    echo "error: $*" >&2
    exit 1
}

# install PACKAGE...: install those that are missing, by apt.
install() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ "${#missing[@]}" -eq 0 ] && return
    command -v apt-get >/dev/null || die "apt-get is missing; install by other means: ${missing[*]}"
    [ "$(id -u)" -eq 0 ] || die "not root; run as root: apt-get install ${missing[*]}"
    echo "Installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null
    apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install: ${missing[*]}"
}

# The newest Python that ansible-core of tests/requirements.txt supports.
find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is missing; on Debian 12 or newer: apt-get install python3 python3-venv"
}

# make_venv FOLDER REQUIREMENTS [FILE...]: a virtual environment with exactly these tools, created again when a file changes.
make_venv() {
    local venv=$1 requirements=$2 python stamp log=.build/pip.log
    shift
    python=$(find_python)
    stamp=$("$python" --version; sha256sum "$@")
    [ -x "$venv/bin/python" ] && [ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ] && return
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        install "$("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
    fi
    echo "Making $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --disable-pip-version-check -r "$requirements" >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; die "pip could not install $requirements; the whole log is $log"; }
    echo "$stamp" >"$venv/stamp"
}

# install_packages FILE...: install the packages that these lists name.
install_packages() {
    mapfile -t packages < <(grep -hv '^#' "$@")
    install "${packages[@]}"
}

# Builds the lab's image and starts it once; the error message has the fix.
try_lab() {
    [ "$(id -u)" -eq 0 ] || die "the lab needs root: run as root"
    install_packages tests/packages.txt
    .build/venv/bin/python tests/lab/lab.py image >/dev/null || die "the lab's image cannot be built; see above"
}

command -v git >/dev/null || install git
mkdir -p .build
make_venv .build/venv tests/requirements.txt
.build/venv/bin/python tests/ci/tree.py
case "${1:-}" in
    unit)
        install_packages tests/packages.txt tests/vcenter/packages.txt
        # For the page of a fleet. Ubuntu has it as a snap only, which containers cannot run: there it is one of the others.
        command -v chromium chromium-browser google-chrome >/dev/null || install chromium
        .build/venv/bin/python tests/kubernetes/kubectl.py || die "kubectl cannot be installed; install it by other means"
        ;;
    lab) try_lab ;;
    eda)
        command -v java >/dev/null || install default-jre-headless
        make_venv .build/eda tests/eda/requirements.txt tests/requirements.txt
        ;;
esac

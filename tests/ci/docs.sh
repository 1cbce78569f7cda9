# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Renders the reference of plugins and roles to .build/docs/build/html.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export ANSIBLE_COLLECTIONS_PATH="$PWD/.build" PATH="$PWD/.build/venv/bin:$PATH"
rm -rf .build/docs
mkdir -p .build/docs
antsibull-docs sphinx-init --use-current --sphinx-theme alabaster --dest-dir .build/docs netops.egress_ip >/dev/null
cd .build/docs
mkdir -p rst
chmod og-w rst  # antsibull-docs requires it
antsibull-docs --config-file antsibull-docs.cfg collection --cleanup everything --fail-on-error \
    --use-current --dest-dir rst netops.egress_ip
# Not with -W: references to Ansible's own documentation are resolved only where that site is in reach.
sphinx-build -M html rst build -c . -q
echo "The reference is in .build/docs/build/html/index.html"

#!/bin/sh
# What the Dockerfile and apptainer.def have in common: a worker's environment, in /opt/walking_noise.
#   install.sh requirements FILE   the distribution's Python and the pinned packages
#   install.sh package             walking_noise, from the folder this runs in
set -eu

environment=/opt/walking_noise
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

case "$1" in
requirements)
    apt-get update
    # A C compiler and Python's headers: on a GPU, triton compiles what launches our kernels.
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        ca-certificates gcc libc6-dev libpython3-dev python3 python3-venv
    rm -rf /var/lib/apt/lists/*
    python3 -m venv "$environment"
    "$environment/bin/pip" install --require-hashes --requirement "$2"
    ;;
package)
    "$environment/bin/pip" install --no-deps --no-build-isolation .
    ;;
*)
    echo "install.sh: requirements FILE or package" >&2
    exit 2
    ;;
esac

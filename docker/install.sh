#!/bin/sh
# Installation steps shared by the Dockerfile and apptainer.def: the environment of a worker in /opt/walking_noise.
#   install.sh requirements FILE   install the Python of the distribution and the pinned packages
#   install.sh package             install walking_noise from the current folder
set -eu

environment=/opt/walking_noise
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

case "$1" in
requirements)
    apt-get update
    # A C compiler: on a GPU, triton compiles the launchers of our kernels with it and the headers of Python; on a CPU,
    # our kernels are compiled with it on first use.
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
    echo "usage: install.sh requirements FILE | install.sh package" >&2
    exit 2
    ;;
esac

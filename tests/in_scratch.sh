#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# in_scratch.sh FOLDER SCRIPT: runs SCRIPT with bash in FOLDER, made anew; removes it again when the script passes.
set -u
rm -rf "$1"
mkdir -p "$1"
cd "$1" || exit 1
bash "$2"
status=$?
cd / && { [ $status -ne 0 ] || rm -rf "$1"; }
exit $status

#!/bin/sh
# Promotes a staged repository only if no host of the fleet would lose a driver with it.
#
#   gate.sh INVENTORY STAGED-REPOSITORY [--repo ALIAS=SRC ...]
#
# Leaves gate.xml, which CI servers show host by host, and gate.html for people.
set -eu
inventory=$1 staged=$2
shift 2
kmpsolve=${KMPSOLVE:-kmpsolve}
code=0
$kmpsolve audit "$inventory" --repo "staged=$staged" "$@" --format junit -o gate.xml --fail-on unverified || code=$?
$kmpsolve audit "$inventory" --repo "staged=$staged" "$@" --format html -o gate.html --fail-on never
exit "$code"

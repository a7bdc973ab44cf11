# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash disable=SC2034 # sourced by the scripts of this folder
#
# The lab's machines, by name: what runs as PID 1, from which image, and which GPUs it is told to have.

network=gguf-fleet-lab
# The first three numbers of the lab's addresses; inventories/lab reads the same variable.
net=${GGUF_FLEET_LAB_NET:-172.30.86}

hosts=(h20-01 rtx4090-01 cpp-01 gw-01)
# All hosts have HAProxy: the gateway, and the others for their doors.
declare -A image=([h20-01]=gateway [rtx4090-01]=gateway [cpp-01]=forky [gw-01]=gateway [hub]=bookworm)
declare -A pid1=([h20-01]=systemd [rtx4090-01]=sleep [cpp-01]=systemd [gw-01]=systemd)
declare -A gpus=([h20-01]=h20x8 [rtx4090-01]=rtx4090x2)
declare -A address=([hub]=$net.2 [h20-01]=$net.11 [rtx4090-01]=$net.12 [cpp-01]=$net.13 [gw-01]=$net.14)

container() { echo "$network-$1"; }

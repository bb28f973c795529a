"""Memory of a gateway pod, and how much of it one team may fill."""

from __future__ import annotations

MIB = 2**20

MEMORY_MIB = 1024
"""Limit of a gateway pod. Envoy itself takes about 70 MiB, 20,000 connections take 400. The rest is for
bodies, which are collected whole, and stand there three times while they are read (request_body.py)."""

WORKER_THREADS = 2
"""Threads of a gateway pod. It asks for half a core and may use more, which a second thread can take."""

TEAM_SHARE = 0.25
"""Part of it that the unfinished bodies of one team may fill (upload_limit.py)."""

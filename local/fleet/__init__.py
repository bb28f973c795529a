"""The local cluster's kubelets: pods with known images become processes of this machine.

`images.py` says which images are known; all other pods stay KWOK's (`stages.py`). What a process does is what
the pod's status says: phases, conditions, probes, restarts and back-off, hooks, grace periods, termination
messages. `kubectl logs` works, and the logs are files in the state folder:
`pods/<namespace>_<name>_<uid>/<container>.log`.

What one machine cannot give every pod is translated:

* Network: pod IPs exist in the API only. Each container port has a real port of 127.0.0.1, which annotations
  on the pod tell (`ports.py`). Envoy's configuration (`envoy.py`) and Python's name lookup (`resolver/`) lead
  there and refuse any other machine. LoadBalancer Services have a port that stays (`load_balancer.py`).
* Files: volumes are folders, and mount paths in commands, arguments, variables and Envoy's configuration are
  rewritten (`rewrite.py`). PersistentVolumeClaims are folders that outlive the pod; host paths are refused.

Not there: limits on memory and CPU, users, read-only file systems, and process 1's habit of ignoring signals
that it has no handler for.
"""

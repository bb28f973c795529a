"""Stand-in for Pulumi's Kubernetes resource plugin, for API servers on this machine only.

Its yardstick is the behaviour of the official plugin 4.34: the same ids, inputs, outputs and marks in the
state, so that either can continue what the other began. What it leaves out (Helm, YAML and Kustomize
components, Patch resources, client-side apply) it refuses by name.

| module | what it knows |
|---|---|
| `server`, `diagnostics` | the gRPC protocol: requests in, answers, errors and log lines out |
| `values`, `state`, `saving`, `secrecy` | Pulumi's property values and the shape of the saved state |
| `check`, `diff`, `create`, `read`, `update`, `delete` | what each operation means for a Kubernetes object |
| `inputs`, `naming` | what a program's inputs become before they are compared or sent |
| `differences`, `replacement`, `ownership` | what changed, what forces a replacement, who owns a field |
| `settings`, `session`, `kubeconfig`, `api` | the configured provider and its API server |
| `readiness`, `pods`, `waiting`, `refusals` | when an object is ready, and what to tell people if it is not |
"""

"""Stand-in for Pulumi's Kubernetes resource plugin, for API servers on this machine only.

Its yardstick is the behaviour of the official plugin 4.34: the same ids, inputs, outputs and marks in the
state, so that either can continue what the other began. What it leaves out (Helm, YAML and Kustomize
components, Patch resources, client-side apply) it refuses by name.

| module | what it knows |
|---|---|
| `server`, `diagnostics` | the gRPC protocol: requests in, answers, errors and log lines out |
| `operations` | what check, diff, create, read, update and delete mean for a Kubernetes object |
| `values`, `state`, `secrecy` | Pulumi's property values and the shape of the saved state |
| `inputs`, `naming` | what a program's inputs become before they are compared or sent |
| `differences`, `replacement`, `ownership` | what changed, what forces a replacement, who owns a field |
| `settings`, `kubeconfig`, `api` | the provider's configuration and the API server |
| `readiness`, `pods`, `waiting` | when an object is ready, and what to tell people until then |
"""

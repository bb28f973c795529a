"""A whole Kubernetes control plane on one machine, with Karpenter and the fleet, under one supervisor."""

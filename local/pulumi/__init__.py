"""Pulumi on a machine that cannot download Pulumi's own plugins.

`language` stands in for the Python language host, `provider` for the Kubernetes resource plugin, and
`install` decides whether they are needed: wherever the official ones are present or can be downloaded, those
are used. The stand-ins live in the checkout's own PULUMI_HOME, talk to loopback API servers only, and say
that they are in use.
"""

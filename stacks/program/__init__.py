"""The Pulumi program: registers an environment from its plan, and computes nothing."""

from stacks.program.platform import Platform, build, build_on, export

__all__ = ["Platform", "build", "build_on", "export"]

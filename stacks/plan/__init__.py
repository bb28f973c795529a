"""What an environment amounts to before anything exists: machines, replicas and dollars.

`python -m stacks.plan <stack>` prints it; that needs pydantic, PyYAML and rich, no Pulumi and no credentials.
The program registers the same plan, and exports its outline.
"""

from stacks.plan.figures import FixedCost, ModelPlan, Plan, PoolPlan
from stacks.plan.make import make_plan

__all__ = ["FixedCost", "ModelPlan", "Plan", "PoolPlan", "make_plan"]

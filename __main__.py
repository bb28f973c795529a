from stacks import load
from stacks.program import platform as program

stack = load.from_pulumi()
platform = program.build(stack)
program.export(platform)

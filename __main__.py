# ruff: noqa: E402 (the program's imports make a third of what the garbage collector would look through)
import gc

# A run lives for seconds and lets go of little: looking for cycles in what it keeps took a quarter of its CPU
# time; without that, fifty models take 5 MB more (Python 3.11).
gc.disable()

from stacks import load, program

stack = load.from_pulumi()
platform = program.build(stack)
program.export(platform)

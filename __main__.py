from stacks import load, program

stack = load.from_pulumi()
platform = program.build(stack)
program.export(platform)

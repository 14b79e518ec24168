"""Registry messages, oBDS 3 and ADT/GEKID 2: read, code, compare, fill. `commands` is the command line.

from agent.apps.registry.run import Run
"""

"""How the machine's cores are shared.

with Workers(CodingAgent.load, 4) as workers: ...          # workers: processes that each load the agent
with one_thread(): ...                                     # threads: how many the libraries compute with
"""

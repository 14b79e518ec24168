"""The HTTP service: the agent behind a small JSON API on this machine.

app = create_app(CodingAgent.load(), ServiceSettings())        # service.app: an ASGI application
onkokode serve --port 8000                                     # the same from the command line

app.py          the application put together, and /docs: start reading here
routes.py       the routes; schemas.py: their requests and answers
batcher.py      concurrent requests in common batches
guard.py        what every request passes first: key, host, limits, log
bodies.py       request bodies within a size, a time and a memory
connections.py  which connections stay open
errors.py       the form of all error answers, none of which repeats a request
metrics.py      what is counted, for Prometheus
logs.py         what is logged: nothing that somebody sent
jobs/           tables coded beside the requests, which outlive the process
settings.py     what an operator may set; the API key
server.py       binding, running, an orderly end
commands.py     `onkokode serve`
"""

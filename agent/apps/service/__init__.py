"""The HTTP service: the agent behind a small JSON API on this machine. `app.py` is the place to start reading.

app = create_app(CodingAgent.load(), ServiceSettings())        # an ASGI application
onkokode serve --port 8000                                     # the same from the command line
"""

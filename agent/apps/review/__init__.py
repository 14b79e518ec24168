"""The review of codings by documentation officers: a work list in SQLite, a page for it, and a LangGraph
interrupt for Python users.

    from agent.apps.review.store import Store
    store = Store.open(Path("review.sqlite"))       # the work list and every decision ever made
    mount(app, agent, Path("review.sqlite"))        # agent.review.page: the page at /review

Start with `decision.py` (what a decision is), then `store.py` (where it is kept); `desk.py` is what one person
has in front of them, `page.py` shows it. Nothing here sends a text anywhere, and no error repeats one.
"""

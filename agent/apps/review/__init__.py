"""The review of codings by documentation officers. Nothing here sends a text anywhere, and no error repeats one.

store = Store.open(Path("review.sqlite"))           # review.store: the work list and every decision ever made
mount(app, agent, Path("review.sqlite"))            # review.page: the page at /review

decision.py         what a decision is, and when it is valid: start reading here
items.py            what stands on the list; selection.py: which of it is meant
second.py           the second reader: what became of two people's decisions
store.py            where items and decisions are kept; schema.py: its tables, and how the file is opened; rows.py: their rows;
                    faults.py: what can go wrong
drafts.py           what was chosen and not yet decided
sources.py          where texts for the list come from; tables.py: which files they were
documents.py        whole documents: an entry for each tumour
filling.py          texts coded onto the list; intake.py: what is brought to the page, turns.py: coded beside
                    the service's requests; uploads.py: files that come, brought.py: how a table is read and what is
                    to be chosen, transfer.py: the page's addresses for what comes and goes
own_table.py        decisions in the table that the texts came from
export.py           decisions as CSV and as training pairs
statistics.py       how the work went
desk.py             what one person has in front of them, knowing nothing of browsers; bench.py: the item there and the
                    choice for it (choice.py), checking.py: its checks; listing.py: the list; bulk.py: many at once
notices.py          what a person is told
view.py             a desk as HTML (templates/); panels.py: the dialogs
page.py             the NiceGUI page (assets/); live.py: one open page, and how it hears of the others
session.py          who is at work: login and cookie
browser.py          what a browser may do with the page
interrupt.py        the review in LangGraph, for Python users
checkpoint_file.py  its checkpoints in a file that may hold anything
commands.py         `onkokode review`
"""

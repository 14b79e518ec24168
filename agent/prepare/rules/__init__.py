"""The vocabulary of diagnosis texts: tables of words with the label that each gets, and what compiles them.

pattern("former").search("Mammakarzinom, Z.n. Ablatio")      # the rows of the label `former`, as one pattern
fired("Z.n. Mamma-Ca li.", ["former", "left"])               # which rows speak, and where

- `table`: the rows of `*.tsv` by label, their patterns compiled once
- `notation`: how a row's pattern is written

A row's example is its test (`tests/agent/test_rules.py`). Whoever adds a word adds a row.
"""

from agent.prepare.rules.table import FOLDER, Firing, Rule, fired, labels_under, pattern, rules, source

__all__ = ["FOLDER", "Firing", "Rule", "fired", "labels_under", "pattern", "rules", "source"]

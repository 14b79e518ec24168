"""`onkokode rules`: which rows of the vocabulary speak in a text."""

from __future__ import annotations

import click


@click.command("rules")
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
@click.option("--label", "labels", multiple=True, help="Only rows with this label; may be repeated.")
def rules_command(texts: tuple[str, ...], labels: tuple[str, ...]) -> None:
    """Show which rows of the tables in `agent/prepare/rules` speak in a TEXT: the words, their label, and where the row
    stands.

    \b
    onkokode rules "V.a. Mamma-Ca li., Tumorboard"
    onkokode rules --label former "Zust. n. Sigma-Ca"

    A word is added by adding a row; its example is its test (`pytest tests/agent/test_rules.py`).
    """
    from agent.prepare.normalise import normalise
    from agent.prepare.pipeline import line_of
    from agent.prepare.rules import FOLDER, fired, rules
    from index.errors import OnkokodeError

    if unknown := [label for label in labels if label not in rules()]:
        raise OnkokodeError(
            f"--label: no rows have the label {', '.join(unknown)}; known are {', '.join(rules())}"
        )
    for text in texts:
        read = line_of(normalise(text))
        click.echo(text)
        for one in fired(read, labels or None):
            where = one.rule.where.removeprefix(f"{FOLDER}/")
            why = f"  ({one.rule.why})" if one.rule.why else ""
            click.echo(
                f"  {read[one.start : one.end]!r:28} {one.label:22} {one.rule.pattern:32} {where}{why}"
            )

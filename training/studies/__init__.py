"""Studies beside the recipe, as dev/LOG.md reports them; `studies.sh` runs those that train.

onkokode train audit --catalogues ../shared/catalogues --out runs/audit

arms     do composed texts help, does topography catch up: models that differ in one thing
audit    what is wrong or undecidable in the catalogues
unseen   what a reader that has never seen a line makes of it
"""

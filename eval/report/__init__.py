"""From run folders to numbers, tables and plots; no model is loaded.

comparison   all scores of all variants, tested against the reference; knowing  those of the confidence
tables       the scores as tables; knowing_tables  those of the confidence; plots  as SVG
blocks       what tables and pages are made of
ablation     report.html, report.md and scores.json; row_browser  the single rows in the page
side_by_side variants beside each other, for docs/figures.md and docs/study.md
section      figures that no run gives: speed, FAISS, what texts determine
published    figures of others, on other texts
commands     `onkokode eval report`
"""

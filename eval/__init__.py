"""Measuring: variants answer test sets, each run leaves a folder, and every figure is made from such folders.

onkokode eval run --testset wards --only agent --out runs/mine
onkokode eval report runs/mine --out runs/report

testset     rows of texts with their codes; testsets/  those that ship
run/        variants, runs and their folders
report/     from run folders to scores, tables and plots
bench/      the runs behind docs/figures.md, and speed
scoring     exact, partial, malformed, coverage; statistics  intervals and tests
ceiling     what the texts determine at all
unchanged   whether a change of the program changed an answer
export      test sets in the form of other tools
commands    `onkokode eval …`
"""

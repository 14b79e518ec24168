"""Tables in, coded tables out: `onkokode code-file`, on one machine or on many.

code_file(CodingAgent.load(), Path("diagnosen.csv"), Path("kodiert.csv"))

run.py            a table coded from end to end, in chunks that survive a kill
formats.py        which format a file has, which an output gets
table.py          what all formats have in common
delimited.py      CSV, TSV: encoding and delimiter found        (lines.py: line by line, each decoded by itself)
json_lines.py     JSON Lines
parquet.py        Parquet, types kept
sheets.py         a sheet of a workbook as a table
other_books.py    OpenDocument, .xls, .xlsb, read only
workbook.py       Excel; workbook_writer.py: its writer        (workbook_parts.py: looked over before openpyxl sees it)
header.py         whether the first row names the columns
columns.py        which columns tell the diagnosis of a row
answer.py         a coded text as columns
writing.py        values made fit for the format that they go into
work_folder.py    what lies beside an output while a run lasts
process_engine.py the same on several processes; ray_engine.py  on many machines
options.py        how a table is to be read, as options of a command
commands.py       `onkokode code-file`
"""

from agent.apps.files.run import FileRun, code_file

__all__ = ["FileRun", "code_file"]

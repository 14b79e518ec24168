"""`onkokode read`: whole documents from files.

formats   the text of a file, by its ending
sources   the documents of a file or table
show      an answer for people
commands  the command
"""

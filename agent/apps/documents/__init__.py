"""`onkokode read`: whole documents from files.

sources   the text of a .txt, .docx or .pdf file
show      an answer for people
commands  the command
"""

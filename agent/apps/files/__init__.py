"""Tables in, coded tables out: `onkokode code-file`, on one machine or on many.

code_file(CodingAgent.load(), Path("diagnosen.csv"), Path("kodiert.csv"))
"""

from agent.apps.files.run import FileRun, code_file

__all__ = ["FileRun", "code_file"]

"""`python -m agent` is the command `onkokode`, for a checkout that is not installed.

python -m agent code "Mammakarzinom links"
"""

from agent.apps.cli import main

if __name__ == "__main__":
    main()

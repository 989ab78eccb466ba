"""``python -m runfold`` is the command ``runfold``."""

from runfold.cli import main

if __name__ == "__main__":
    main(prog_name="runfold")

"""Write the mutants of the configuration in the working directory, without running any."""

from __future__ import annotations

import os

from mutmut.__main__ import create_mutants
from mutmut.utils.file_utils import copy_src_dir


def main() -> None:
    """Do what the first step of `mutmut run` does."""
    copy_src_dir()
    create_mutants(os.cpu_count() or 1)


if __name__ == "__main__":
    main()

"""``python -m segrepro``: the same as the ``segrepro`` command."""

from segrepro.cli import main

main()

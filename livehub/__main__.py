"""`python -m livehub` is `livehub`."""

from livehub.cli import main

main()

"""`python -m deploy.cli` is `offshoot`."""

from deploy.cli import main

main()

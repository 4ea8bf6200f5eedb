"""Where a number comes from: config, data, seeds, code, packages, machine and command."""

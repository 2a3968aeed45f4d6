"""What commands, runs and reports share: files, the machine, tables and messages."""

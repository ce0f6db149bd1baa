"""Help of the commands: eighty columns, examples, completion."""

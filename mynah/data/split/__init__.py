"""Set records apart: what each is known by, which belong together, which hold evaluation text."""

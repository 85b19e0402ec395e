"""Tables: what their columns hold, what layout that makes, and records from their rows."""

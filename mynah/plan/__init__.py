"""How large, how long: from the data's size and the machine's measured speed."""

"""What is in a folder of records, in numbers and as a page."""

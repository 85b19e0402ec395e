"""A folder of records in numbers, and two of them compared."""

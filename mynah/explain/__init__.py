"""Why a network says what it says: what it looks at, what each part adds, what would change it."""

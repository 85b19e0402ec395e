"""Messages of many people become conversations: times, threads, roles, exchanges within a text."""

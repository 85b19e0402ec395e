"""Several processes that train one model: who they are, what each holds, and who is still there."""

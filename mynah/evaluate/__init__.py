"""Evidence: how good the models are, measured on what was held out."""

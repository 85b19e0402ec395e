"""The stages of a build put together: recipe, paths, build, `mynah train`, and opening what they made."""

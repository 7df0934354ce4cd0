"""The plugin that core ships: the destination ``dir:`` and the README of a release."""

"""The plugins that core ships: ``dir:``, the README of a release, sources in folders."""

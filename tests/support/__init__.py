"""What several test suites share; README.md in this folder says which module is for what."""

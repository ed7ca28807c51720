"""The finished data set of a project, in a layout that other programs read, with the audit trail of its labels."""

"""What is measured, beside the host's own code in the same run.

Each is started from the root of the project: `python -m benchmarks.FOLDER.MODULE`.
"""

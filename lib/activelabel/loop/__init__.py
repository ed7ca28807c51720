"""The loop's own work: choosing the next task, scoring, collecting training cases, advice."""

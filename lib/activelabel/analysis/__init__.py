"""Analysis of curves, masks and tables of metrics: pure functions of numbers, each interval and p-value with its n."""

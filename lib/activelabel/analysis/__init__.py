"""What curves, masks and tables of metrics say: pure functions of numbers, each interval and p-value with its n."""

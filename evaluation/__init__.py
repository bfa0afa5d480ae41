"""What a result is: metrics, report, pictures."""

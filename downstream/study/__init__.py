"""Human studies of a run's answers: items, schedules, the page that shows them, what people answered, the results."""

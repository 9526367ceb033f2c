"""Human studies of how real the predictions of runs look: items, schedules, the page, the answers, the results."""

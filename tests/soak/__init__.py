"""Hours of random changes and faults on a real cluster; after each minute everything must add up (`support.adds_up`)."""

"""Effects: the queue, what was observed, what is applied, the scraping of pods, the lease."""

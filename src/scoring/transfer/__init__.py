"""What is neither rows nor one answer: files that are sent as they are, and answers that come in pieces."""

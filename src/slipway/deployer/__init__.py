"""The service that takes versions to their targets, by request and whenever @champion moves."""

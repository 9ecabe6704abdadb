"""The pages for people, and the OpenAPI document that they read."""

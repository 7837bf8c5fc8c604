"""What recorded results come to: a page to read, and tables for pandas; no net is needed for it."""

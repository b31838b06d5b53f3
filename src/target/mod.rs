//! The PostgreSQL that the statements are replayed on. Knows nothing of Kafka.

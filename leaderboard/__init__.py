"""The leaderboard's frozen suite, the schema of a submission, and the submissions."""

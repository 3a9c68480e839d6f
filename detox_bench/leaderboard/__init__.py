"""The leaderboard: what a submission is, how it is checked, and the page that shows them all.

Nothing here imports torch or lm_eval, and nothing in a submission is executed.
"""

"""What a low toxicity may have been bought with: fluency, diversity, the language itself."""

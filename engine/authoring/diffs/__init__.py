"""What an edit of a campaign type means."""
